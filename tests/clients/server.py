"""The server that the clients' tests talk to, as `scripts/clients.py` started it, and the recordings they send."""

import json
import os
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = "SHOPTALK_CLIENTS"
"""Environment variable: the folder with `server.json` and the recordings."""


@dataclass(frozen=True)
class Recording:
    """A recording, and what the engine makes of it without a server."""

    path: Path
    text: str
    duration_s: float

    def pcm(self) -> tuple[bytes, int]:
        """16-bit mono samples of a WAV file, and their rate."""
        with wave.open(str(self.path)) as file:
            return file.readframes(file.getnframes()), file.getframerate()


@dataclass(frozen=True)
class Server:
    """A real `shoptalk serve` with the tiny base."""

    base_url: str
    model: str
    key: str
    narrow_key: str
    """Of a key that may have one recording under way."""
    short: Recording
    """One sentence, WAV."""
    opus: Recording
    """The same sentence, Opus."""
    long: Recording
    """More than two windows of the engine, WAV."""
    live: Recording
    """The short one as WAV of 24 kHz; its text is that of a stream."""


def read() -> Server:
    """The server of this test run."""
    folder = Path(os.environ[FOLDER])
    content: dict[str, Any] = json.loads((folder / "server.json").read_text(encoding="utf-8"))
    recordings = {
        name: Recording(folder / own["file"], own["text"], own["duration_s"])
        for name, own in content.pop("recordings").items()
    }
    return Server(**content, **recordings)
