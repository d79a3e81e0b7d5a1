"""Corrections on a store with a clock of their own, and a keeper of recordings."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.service.access.callers import SCOPES, Caller, Limits
from shoptalk.service.access.kept import Keeper
from shoptalk.service.account import Account
from shoptalk.service.corrections.corrections import Corrections
from shoptalk.service.corrections.records import Sent
from shoptalk.service.settings import Settings
from shoptalk.service.store import open_store

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
KEY = bytes(range(32))
WARD = Caller("ward7", SCOPES, Limits(), keeps_audio=True)
HEARD = Recognition(
    text="Start met for men today.",
    words=tuple(
        Word(word=word, start_s=place / 2, end_s=place / 2 + 0.4)
        for place, word in enumerate("Start met for men today.".split())
    ),
)
SPOKEN: Samples = (np.sin(np.arange(3 * 16_000) / 10) / 2).astype(np.float32)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **time: float) -> None:
        self.now += timedelta(**time)


def settings_of(folder: Path, **changes: object) -> Settings:
    key = folder / "key"
    key.write_text(base64.b64encode(KEY).decode())
    return Settings(**{"store_dir": folder / "store", "store_key": key, **changes})  # type: ignore[arg-type]


class Ward:
    """A key whose requests are answered, and their recordings kept."""

    def __init__(self, folder: Path, **changes: object) -> None:
        self.clock = Clock()
        self.folder = folder
        self.settings = settings_of(folder, **changes)
        self.kept = folder / "kept"
        self.keeper = Keeper(self.kept, KEY, self.settings.keep_audio_hours, self.clock)
        store = open_store(self.settings, self.clock)
        assert store is not None
        self.store = store
        self.corrections = Corrections(store, self.settings, self.keeper)

    def answer(self, request_id: str = "req_1", *, caller: Caller = WARD, channels: int = 1, keep: bool = True) -> None:
        """A recording of 3 s was transcribed for a caller."""
        account = Account(request_id=request_id, caller=caller.id, model="tiny", audio_s=3.0 * channels)
        for _ in range(channels if keep else 0):
            account.kept.append(self.keeper.keep(caller, request_id, "tiny", SPOKEN, HEARD))
        self.corrections.answered.note(account)

    def correct(self, text: str = "Start metformin today.", request_id: str = "req_1", **more: object) -> str:
        """The id of a correction with consent."""
        sent = Sent(**{"request_id": request_id, "text": text, "consent": True, **more})  # type: ignore[arg-type]
        return self.corrections.take("ward7", sent).correction.id

    def recordings(self) -> list[str]:
        return sorted(path.name for path in self.kept.iterdir())
