"""Log-mel features, computed once for each manifest and speed and kept in a memory-mapped file.

Shapes: T mel frames (10 ms), M mel bins. What is kept is the log-mel before normalisation, in half precision, so
that noise can still be added in the mel power domain.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shoptalk import audio
from shoptalk.errors import ManifestError
from shoptalk.records import Samples

Features = npt.NDArray[np.float16]
Featurize = Callable[[Samples], npt.NDArray[np.float32]]
"""Samples (T,) at `audio.SAMPLE_RATE_HZ` to log-mel features (T / hop, M)."""


@dataclass(frozen=True)
class Entry:
    """One line of a NeMo manifest."""

    id: str
    audio: Path
    duration_s: float
    text: str


def read_manifest(path: Path) -> list[Entry]:
    """A NeMo manifest (`audio_filepath` relative to its folder, `duration`, `text`, optional `id`)."""
    if not path.is_file():
        raise ManifestError(f"{path}: no such manifest")
    entries = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            name = row["audio_filepath"]
            entries.append(Entry(row.get("id", name), path.parent / name, float(row["duration"]), row["text"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ManifestError(
                f"{path}:{number}: a manifest line needs audio_filepath, duration and text ({error})"
            ) from None
    return entries


class FeatureCache:
    """Features of every (entry, speed), in one file that is written once and mapped into memory."""

    def __init__(self, folder: Path, entries: Sequence[Entry], speeds: Sequence[float], mels: int):
        keys = [f"{entry.audio}@{speed}" for speed in speeds for entry in entries]
        name = hashlib.sha256("\n".join([str(mels), *keys]).encode()).hexdigest()[:16]
        self.entries = entries
        self.speeds = tuple(speeds)
        self._mels = mels
        self._data = folder / f"features-{name}.f16"
        self._index = folder / f"features-{name}.npy"
        self._offsets: npt.NDArray[np.int64] | None = None
        self._map: Features | None = None

    def fill(self, featurize: Featurize, progress: Callable[[int], object]) -> None:
        """Compute what is not there yet; `progress` is told after each recording."""
        if not self._index.is_file():
            self._write(featurize, progress)
        self._offsets = np.load(self._index)
        self._map = np.memmap(self._data, np.float16, mode="r").reshape(-1, self._mels)

    def _write(self, featurize: Featurize, progress: Callable[[int], object]) -> None:
        self._data.parent.mkdir(parents=True, exist_ok=True)
        frames = {}
        partial = self._data.with_suffix(".partial")
        offset = 0
        with partial.open("wb") as out:
            for row, entry in enumerate(self.entries):
                samples_T = audio.decode(entry.audio)
                for column, speed in enumerate(self.speeds):
                    rate_hz = round(audio.SAMPLE_RATE_HZ * speed)
                    features_TM = featurize(audio.resample(samples_T, from_hz=rate_hz, to_hz=audio.SAMPLE_RATE_HZ))
                    out.write(features_TM.astype(np.float16).tobytes())
                    frames[row, column] = (offset, features_TM.shape[0])
                    offset += features_TM.shape[0]
                progress(1)
        partial.replace(self._data)
        index = np.array([[frames[r, c] for c in range(len(self.speeds))] for r in range(len(self.entries))], np.int64)
        with self._index.with_suffix(".partial").open("wb") as out:
            np.save(out, index)
        self._index.with_suffix(".partial").replace(self._index)

    def frames(self, entry: int, speed: int = 0) -> int:
        """Mel frames of an entry at one of `speeds`."""
        assert self._offsets is not None
        return int(self._offsets[entry, speed, 1])

    def get(self, entry: int, speed: int = 0) -> Features:
        """Log-mel features (T, M)."""
        assert self._offsets is not None and self._map is not None
        offset, frames = self._offsets[entry, speed]
        return self._map[offset : offset + frames]
