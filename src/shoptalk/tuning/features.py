"""Log-mel features, computed once for each manifest and speed and kept in a memory-mapped file.

Shapes: T mel frames (10 ms), M mel bins. What is kept is the log-mel before normalisation, in half precision, so
that noise can still be added in the mel power domain.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shoptalk.core import audio, examples
from shoptalk.core.errors import TrainingError
from shoptalk.core.files import write_file
from shoptalk.core.records import Example, Samples
from shoptalk.core.tokens import HOP_S

Features = npt.NDArray[np.float16]
Featurize = Callable[[Samples], npt.NDArray[np.float32]]
"""Samples (T,) at `audio.SAMPLE_RATE_HZ` to log-mel features (T / hop, M)."""


@dataclass(frozen=True)
class FeatureCache:
    """Features of every (entry, speed), in one file that is written once and mapped into memory."""

    entries: Sequence[Example]
    speeds: tuple[float, ...]
    places: npt.NDArray[np.int64]
    """(first frame, frames) of each, shape (entries, speeds, 2)."""
    stored_TM: Features
    """The frames of all, one behind the other."""

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Mel frames of each entry at each speed, shape (entries, speeds)."""
        return self.places[..., 1]

    def frames(self, entry: int, speed: int = 0) -> int:
        """Mel frames of an entry at one of `speeds`."""
        return int(self.places[entry, speed, 1])

    def get(self, entry: int, speed: int = 0) -> Features:
        """Log-mel features (T, M)."""
        first, frames = self.places[entry, speed]
        return self.stored_TM[first : first + frames]


@dataclass(frozen=True)
class FeatureCaches:
    """Several caches of the same speeds as one, entry behind entry: each manifest has a file of its own."""

    parts: Sequence[FeatureCache]

    @cached_property
    def entries(self) -> list[Example]:
        """The entries of all parts."""
        return [entry for part in self.parts for entry in part.entries]

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Mel frames of each entry at each speed, shape (entries, speeds)."""
        return np.concatenate([part.lengths for part in self.parts])

    @cached_property
    def _firsts(self) -> npt.NDArray[np.int64]:
        counts = [len(part.entries) for part in self.parts]
        return np.cumsum([0, *counts[:-1]])

    def get(self, entry: int, speed: int = 0) -> Features:
        """Log-mel features (T, M)."""
        part = int(np.searchsorted(self._firsts, entry, side="right")) - 1
        return self.parts[part].get(entry - int(self._firsts[part]), speed)


def cached(
    folder: Path,
    entries: Sequence[Example],
    speeds: Sequence[float],
    *,
    mels: int,
    featurize: Featurize,
    progress: Callable[[int], object],
) -> FeatureCache:
    """Open the cache of these recordings in `folder`, made first if it is not there."""
    make(folder, entries, speeds, mels=mels, featurize=featurize, progress=progress)
    return opened(folder, entries, speeds, mels=mels)


def make(
    folder: Path,
    entries: Sequence[Example],
    speeds: Sequence[float],
    *,
    mels: int,
    featurize: Featurize,
    progress: Callable[[int], object],
) -> None:
    """Write the cache of these recordings unless it is there; `progress` counts recordings."""
    data, index = _paths(folder, entries, speeds, mels)
    if index.is_file():
        return
    places = _write(data, entries, speeds, featurize, progress)
    with write_file(index) as partial, partial.open("wb") as out:  # last: without it there is no cache
        np.save(out, places)


def opened(folder: Path, entries: Sequence[Example], speeds: Sequence[float], *, mels: int) -> FeatureCache:
    """The cache of these recordings, mapped into memory; `TrainingError` if it was not made. Writes nothing."""
    data, index = _paths(folder, entries, speeds, mels)
    if not index.is_file():
        raise TrainingError(f"{folder} has no features of {entries[0].audio} and those beside it; prepare them first")
    stored_TM = np.memmap(data, np.float16, mode="r").reshape(-1, mels)
    return FeatureCache(entries, tuple(speeds), np.load(index), stored_TM)


def _paths(folder: Path, entries: Sequence[Example], speeds: Sequence[float], mels: int) -> tuple[Path, Path]:
    """The files of a cache, named by what is in it: the frames, and where those of each recording are."""
    keys = [f"{_place(entry)}@{speed}" for speed in speeds for entry in entries]
    name = hashlib.sha256("\n".join([str(mels), *keys]).encode()).hexdigest()[:16]
    return folder / f"features-{name}.f16", folder / f"features-{name}.npy"


def _write(
    path: Path,
    entries: Sequence[Example],
    speeds: Sequence[float],
    featurize: Featurize,
    progress: Callable[[int], object],
) -> npt.NDArray[np.int64]:
    """Write the features, entry by entry and speed by speed; returns `FeatureCache.places`."""
    lengths: list[int] = []
    with write_file(path) as partial, partial.open("wb") as out:
        for entry in entries:
            for features_TM in _at_speeds(entry, speeds, featurize):
                out.write(features_TM.astype(np.float16).tobytes())
                lengths.append(len(features_TM))
            progress(1)
    frames = np.array(lengths, np.int64)
    return np.stack([np.cumsum(frames) - frames, frames], axis=-1).reshape(len(entries), len(speeds), 2)


def _place(entry: Example) -> str:
    """Where the samples of an entry are: its file, and of a segment from where and how long."""
    whole = str(entry.audio)
    return whole if entry.offset_s is None else f"{whole}[{entry.offset_s}+{entry.duration_s}]"


def _at_speeds(entry: Example, speeds: Sequence[float], featurize: Featurize) -> Iterator[npt.NDArray[np.float32]]:
    """Features (T, M) of an entry at each speed; ready ones (`.npy`) are stretched, their pitch stays."""
    if entry.audio.suffix == examples.FEATURES:
        ready_TM = _ready(entry)
        yield from (stretched(ready_TM, speed) for speed in speeds)
        return
    samples_T = examples.load(entry)
    for speed in speeds:
        rate_hz = round(audio.SAMPLE_RATE_HZ * speed)
        yield featurize(audio.resample(samples_T, from_hz=rate_hz, to_hz=audio.SAMPLE_RATE_HZ))


def _ready(entry: Example) -> npt.NDArray[np.float32]:
    """Features (T, M) that a file holds, or the segment of them."""
    ready_TM: npt.NDArray[np.float32] = np.load(entry.audio).astype(np.float32)
    if entry.offset_s is None:
        return ready_TM
    first = round(entry.offset_s / HOP_S)
    return ready_TM[first : first + round(entry.duration_s / HOP_S)]


def stretched(features_TM: npt.NDArray[np.float32], speed: float) -> npt.NDArray[np.float32]:
    """Features `speed` times as fast, linearly between frames."""
    place_T = np.arange(0, len(features_TM) - 1 + 1e-6, speed)
    before_T = place_T.astype(int)
    after_T = np.minimum(before_T + 1, len(features_TM) - 1)
    part_T1 = (place_T - before_T).astype(np.float32)[:, None]
    out_TM: npt.NDArray[np.float32] = features_TM[before_T] * (1 - part_T1) + features_TM[after_T] * part_T1
    return out_TM
