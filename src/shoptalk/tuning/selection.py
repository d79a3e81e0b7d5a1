"""Which recordings train, and how many are left out: those that are too long, and those that are not whole."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shoptalk.core.errors import TrainingError
from shoptalk.core.records import Example
from shoptalk.tuning.features import FeatureCache

DATA = "data.json"
"""In product 60: how many recordings and hours trained, and how many were left out."""
POOLS = ("domain", "rehearsal")
SHOWN = 10


@dataclass(frozen=True)
class Amount:
    """Recordings, and how long they are together."""

    recordings: int
    hours: float

    @classmethod
    def of(cls, entries: Sequence[Example]) -> "Amount":
        return cls(len(entries), round(sum(entry.duration_s for entry in entries) / 3600, 4))

    def __str__(self) -> str:
        return f"{self.recordings} recordings ({self.hours:.3g} h)"


@dataclass(frozen=True)
class Selection:
    """The recordings of a pool, one cache for each manifest, without those that cannot be used."""

    caches: Sequence[FeatureCache]
    too_long: Sequence[Example]
    not_whole: Sequence[Example]
    """They could not be decoded whole, or are shorter than their lines say."""

    @property
    def used(self) -> list[Example]:
        return [entry for cache in self.caches for entry in cache.entries]

    def as_json(self) -> dict[str, Any]:
        """How many recordings and hours are used and left out."""
        parts = {"used": self.used, "too_long": self.too_long, "not_whole": self.not_whole}
        return {name: vars(Amount.of(entries)) for name, entries in parts.items()}


def select(caches: Sequence[FeatureCache], *, max_frames: int) -> Selection:
    """Leave out what has no features, and what is longer than `max_frames` mel frames at one of the speeds."""
    kept: list[FeatureCache] = []
    too_long: list[Example] = []
    not_whole: list[Example] = []
    for cache in caches:
        is_whole = cache.lengths.min(axis=1) > 0
        is_short = cache.lengths.max(axis=1) <= max_frames
        too_long += cache.only(np.flatnonzero(is_whole & ~is_short)).entries
        not_whole += cache.only(np.flatnonzero(~is_whole)).entries
        usable = np.flatnonzero(is_whole & is_short)
        if usable.size:
            kept.append(cache if usable.size == len(cache.entries) else cache.only(usable))
    return Selection(kept, too_long, not_whole)


def left_out(selection: Selection, pool: str, manifests: Sequence[Path], max_utterance_s: float) -> list[str]:
    """What is left out of a pool, a sentence for each reason; `TrainingError` if nothing of it can be used."""
    total = Amount.of([*selection.used, *selection.too_long, *selection.not_whole])
    told = []
    if selection.too_long:
        part = Amount.of(selection.too_long)
        told.append(
            f"{pool}: {part} of {total} are left out: they are longer than train.max_utterance_s "
            f"({max_utterance_s:g} s); raise it, or cut them"
        )
    if selection.not_whole:
        part = Amount.of(selection.not_whole)
        told.append(
            f"{pool}: {part} of {total} are left out: they could not be decoded whole, or are shorter than their "
            f"lines say; replace or remove {_some(selection.not_whole)}"
        )
    if not selection.caches:
        names = ", ".join(map(str, manifests))
        raise TrainingError("\n  ".join([f"{names}: no recording is left to train on", *told]))
    return told


def summary(folder: Path) -> list[str]:
    """What product 60 in `folder` was trained on and what was left out, a line for each pool, for card and report.

    Nothing where the folder does not tell, because the product is the user's own.
    """
    if not (folder / DATA).is_file():
        return []
    content = json.loads((folder / DATA).read_text(encoding="utf-8"))
    told = []
    for pool in POOLS:
        if pool not in content:
            continue
        used, too_long, not_whole = (Amount(**content[pool][part]) for part in ("used", "too_long", "not_whole"))
        line = f"{pool}: {used} trained"
        if too_long.recordings:
            line += f"; {too_long} left out: longer than {content['max_utterance_s']:g} s (train.max_utterance_s)"
        if not_whole.recordings:
            line += f"; {not_whole} left out: not whole"
        told.append(line)
    return told


def _some(entries: Sequence[Example]) -> str:
    more = f" and {len(entries) - SHOWN} more" if len(entries) > SHOWN else ""
    return ", ".join(entry.id for entry in entries[:SHOWN]) + more
