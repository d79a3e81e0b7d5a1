"""Four short real recordings of the general set, and a manifest of them."""

import json
from pathlib import Path

from shoptalk.tuning.features import Entry, read_manifest

GENERAL = Path(__file__).parents[2] / "assets" / "general"


def entries() -> list[Entry]:
    """The four shortest utterances of two seconds or more, real and synthetic."""
    return sorted((one for one in read_manifest(GENERAL / "rehearsal.jsonl") if one.duration_s >= 2), key=_size)[:4]


def _size(entry: Entry) -> tuple[float, str]:
    return entry.duration_s, entry.id


def manifest(folder: Path) -> Path:
    """A NeMo manifest of them in `folder`."""
    rows = [
        {"id": one.id, "audio_filepath": str(one.audio), "duration": one.duration_s, "text": one.text}
        for one in entries()
    ]
    path = folder / "four.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
