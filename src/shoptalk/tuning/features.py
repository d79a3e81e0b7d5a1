"""Log-mel features, computed once for each manifest and speed and kept in a memory-mapped file.

Shapes: T mel frames (10 ms), M mel bins. What is kept is the log-mel before normalisation, in half precision, so
that noise can still be added in the mel power domain. A cache is named by the content of its recordings.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shoptalk.core import audio, recordings
from shoptalk.core.errors import AudioError, TrainingError
from shoptalk.core.files import digest, write_file
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
    """(first frame, frames) of each, shape (entries, speeds, 2); no frames where the recording cannot be used."""
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

    def only(self, entries: npt.NDArray[np.int64]) -> "FeatureCache":
        """The cache of some of the entries, by their places."""
        chosen = [self.entries[entry] for entry in entries]
        return FeatureCache(chosen, self.speeds, self.places[entries], self.stored_TM)


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


def make(
    folder: Path,
    entries: Sequence[Example],
    speeds: Sequence[float],
    *,
    mels: int,
    featurize: Featurize,
    progress: Callable[[int], object],
) -> list[str]:
    """Write the cache of these recordings unless it is there; `progress` counts recordings.

    Returns why recordings cannot be used, if they were read now: those have no frames in the cache.
    """
    data, index = _paths(folder, entries, speeds, mels)
    if index.is_file():
        return []
    problems: list[str] = []

    def at_speeds(entry: Example) -> list[npt.NDArray[np.float32]]:
        try:
            return list(_at_speeds(entry, speeds, mels, featurize))
        except AudioError as error:
            problems.append(str(error))
            return [np.zeros((0, mels), np.float32)] * len(speeds)

    places = _write(data, entries, speeds, at_speeds, progress)
    with write_file(index) as partial, partial.open("wb") as out:  # last: without it there is no cache
        np.save(out, places)
    return problems


def opened(folder: Path, entries: Sequence[Example], speeds: Sequence[float], *, mels: int) -> FeatureCache:
    """The cache of these recordings, mapped into memory; `TrainingError` if it was not made. Writes nothing."""
    data, index = _paths(folder, entries, speeds, mels)
    if not index.is_file():
        raise TrainingError(f"{folder} has no features of {entries[0].audio} and those beside it; prepare them first")
    is_empty = data.stat().st_size == 0  # which cannot be mapped
    frames_F = np.zeros(0, np.float16) if is_empty else np.memmap(data, np.float16, mode="r")
    stored_TM = frames_F.reshape(-1, mels)
    return FeatureCache(entries, tuple(speeds), np.load(index), stored_TM)


def remove_others(folder: Path, lists: Sequence[tuple[Sequence[Example], Sequence[float]]], *, mels: int) -> None:
    """Remove all caches but those of `lists`, recordings and their speeds: of audio that was replaced, for example."""
    kept: set[Path] = set()
    for entries, speeds in lists:
        kept.update(_paths(folder, entries, speeds, mels))
    for path in folder.glob("features-*"):
        if path not in kept:
            path.unlink()


def _paths(folder: Path, entries: Sequence[Example], speeds: Sequence[float], mels: int) -> tuple[Path, Path]:
    """The files of a cache, named by what is in it: the frames, and where those of each recording are."""
    key = [mels, list(speeds), [recordings.content_of(entry) for entry in entries]]
    name = digest(key)
    return folder / f"features-{name}.f16", folder / f"features-{name}.npy"


def _write(
    path: Path,
    entries: Sequence[Example],
    speeds: Sequence[float],
    at_speeds: Callable[[Example], Sequence[npt.NDArray[np.float32]]],
    progress: Callable[[int], object],
) -> npt.NDArray[np.int64]:
    """Write the features, entry by entry and speed by speed; returns `FeatureCache.places`."""
    lengths: list[int] = []
    with write_file(path) as partial, partial.open("wb") as out:
        for entry in entries:
            for features_TM in at_speeds(entry):
                out.write(features_TM.astype(np.float16).tobytes())
                lengths.append(len(features_TM))
            progress(1)
    frames = np.array(lengths, np.int64)
    return np.stack([np.cumsum(frames) - frames, frames], axis=-1).reshape(len(entries), len(speeds), 2)


def _at_speeds(
    entry: Example, speeds: Sequence[float], mels: int, featurize: Featurize
) -> Iterator[npt.NDArray[np.float32]]:
    """Features (T, M) of an entry at each speed; ready ones (`.npy`) are stretched, their pitch stays."""
    if entry.audio.suffix == recordings.FEATURES:
        ready_TM = _ready(entry, mels)
        yield from (stretched(ready_TM, speed) for speed in speeds)
        return
    samples_T = recordings.load(entry)
    for speed in speeds:
        rate_hz = round(audio.SAMPLE_RATE_HZ * speed)
        yield featurize(audio.resample(samples_T, from_hz=rate_hz, to_hz=audio.SAMPLE_RATE_HZ))


def _ready(entry: Example, mels: int) -> npt.NDArray[np.float32]:
    """Features (T, M) that a file holds, or the segment of them; `AudioError` if they are not what the line says."""
    ready_TM = recordings.features(entry.audio)
    if ready_TM.shape[1] != mels:
        raise AudioError(f"{entry.audio}: has {ready_TM.shape[1]} mel bins, the model {mels}; make it again")
    first = round((entry.offset_s or 0.0) / HOP_S)
    last = first + round(entry.duration_s / HOP_S)
    if last > len(ready_TM) + recordings.PAST_END_S / HOP_S or first >= len(ready_TM):
        raise AudioError(f"{entry.id}: {entry.audio} has {len(ready_TM) * HOP_S:.2f} s, less than its line says")
    return np.asarray(ready_TM if entry.offset_s is None else ready_TM[first:last], np.float32)


def stretched(features_TM: npt.NDArray[np.float32], speed: float) -> npt.NDArray[np.float32]:
    """Features `speed` times as fast, linearly between frames."""
    place_T = np.arange(0, len(features_TM) - 1 + 1e-6, speed)
    before_T = place_T.astype(int)
    after_T = np.minimum(before_T + 1, len(features_TM) - 1)
    part_T1 = (place_T - before_T).astype(np.float32)[:, None]
    out_TM: npt.NDArray[np.float32] = features_TM[before_T] * (1 - part_T1) + features_TM[after_T] * part_T1
    return out_TM
