"""Log-mel features in little space, to carry many hours of them to another machine: 1 to 5 MB an hour, with some error.

Shapes: T mel frames (10 ms), M mel bins, N blocks of `BLOCK` frames. Each block of a recording becomes the numbers of
its two-dimensional cosine transform, rounded to multiples of a step; most are zero, and LZMA writes the rest. The error
looks like the fine grain of speech that it takes away. `Kind.grain` says how much of it to draw anew before training.
"""

import json
import lzma
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shoptalk.core.files import write_file

Features = npt.NDArray[np.float32]

BLOCK = 16
FLOOR = -16.7
"""Just below the logarithm of what NeMo adds to each bin; synthetic features may lie lower, which tells nothing."""
CENTRE = -10.0
"""About the mean of all features."""
DEAD_ZONE = 0.6
"""What is smaller than this part of a step becomes zero: rounding small numbers up costs more than it tells."""
FILTERS = [
    {"id": lzma.FILTER_LZMA2, "preset": 6, "mf": lzma.MF_HC3, "depth": 4, "nice_len": 16, "lc": 0, "lp": 0, "pb": 0}
]
"""Little search for repetitions, of which there are few: seven times as fast for 4 % more bytes."""


@dataclass(frozen=True)
class Recording:
    """What a pack holds of one recording."""

    text: str
    source: str
    frames: int


@dataclass(frozen=True)
class Pack:
    """Recordings of one kind, packed."""

    step: float
    """The larger, the smaller and the coarser: 1 leaves an error of 0.3 (RMS, natural logarithm of the power)."""
    grain: str
    """`spoken`: white grain of the size that the decoder of synthetic features draws; `lost`: of what packing took."""
    mels: int
    recordings: tuple[Recording, ...]
    payload: bytes

    def write(self, path: Path) -> None:
        """Write the pack, whole or not at all."""
        about = {**asdict(self), "recordings": [list(asdict(row).values()) for row in self.recordings]}
        del about["payload"]
        head = lzma.compress(json.dumps(about).encode())
        with write_file(path) as partial:
            partial.write_bytes(struct.pack("<I", len(head)) + head + self.payload)

    @staticmethod
    def read(path: Path) -> "Pack":
        """A pack from its file."""
        content = path.read_bytes()
        (length,) = struct.unpack("<I", content[:4])
        about: dict[str, Any] = json.loads(lzma.decompress(content[4 : 4 + length]))
        rows = tuple(Recording(*row) for row in about.pop("recordings"))
        return Pack(**about, recordings=rows, payload=content[4 + length :])

    def features(self) -> Features:
        """The features of all recordings, one behind the other, (T, M)."""
        counts = [-(-row.frames // BLOCK) for row in self.recordings]
        planes = np.frombuffer(lzma.decompress(self.payload, lzma.FORMAT_RAW, filters=FILTERS), np.int8)
        low_CN = planes.reshape(-1, sum(counts))
        split = BLOCK * self.mels
        numbers_CN = low_CN[:split].astype(np.float32)
        wide = np.flatnonzero(_is_wide(self.mels))
        numbers_CN[wide] += 256.0 * low_CN[split:]
        blocks = numbers_CN.T.reshape(-1, BLOCK, self.mels) * np.float32(self.step)
        frames_TM = _back(blocks).reshape(-1, self.mels) + np.float32(CENTRE)
        kept = np.concatenate(
            [np.arange(BLOCK * count) < row.frames for row, count in zip(self.recordings, counts, strict=True)]
        )
        return np.asarray(frames_TM[kept], np.float32)


def pack(features: Sequence[Features], rows: Sequence[tuple[str, str]], *, step: float, grain: str) -> Pack:
    """Pack recordings with their (text, source)."""
    mels = features[0].shape[1]
    blocks = np.concatenate([_blocks(features_TM) for features_TM in features])
    numbers = _forth(blocks - np.float32(CENTRE)) / np.float32(step)
    whole_CN = (np.sign(numbers) * np.floor(np.abs(numbers) + (1 - DEAD_ZONE))).reshape(len(blocks), -1).T
    whole_CN = whole_CN.astype(np.int32)
    wide = _is_wide(mels)
    limit_C1 = np.where(wide, 2**15 - 128, 127)[:, None]
    whole_CN = np.clip(whole_CN, -limit_C1, limit_C1)
    high_CN = (whole_CN[wide] + 128) >> 8
    whole_CN[wide] -= 256 * high_CN
    planes = np.concatenate([whole_CN, high_CN]).astype(np.int8)
    payload = lzma.compress(planes.tobytes(), lzma.FORMAT_RAW, filters=FILTERS)
    recordings = [Recording(text, source, len(row_TM)) for (text, source), row_TM in zip(rows, features, strict=True)]
    return Pack(step, grain, mels, tuple(recordings), payload)


def _is_wide(mels: int) -> npt.NDArray[np.bool_]:
    """Which numbers of a block may not fit a byte: those of the slowest change."""
    slow_BM = np.add.outer(np.arange(BLOCK), np.arange(mels)) < 3
    return slow_BM.ravel()


def _blocks(features_TM: Features) -> Features:
    """Blocks (N, BLOCK, M); the last frame is repeated where the last block is not full."""
    short = -len(features_TM) % BLOCK
    padded_TM = np.pad(np.maximum(features_TM, np.float32(FLOOR)), ((0, short), (0, 0)), mode="edge")
    return padded_TM.reshape(-1, BLOCK, features_TM.shape[1]).astype(np.float32)


def _forth(blocks: Features) -> Features:
    from scipy.fft import dctn

    return np.asarray(dctn(blocks, axes=(1, 2), norm="ortho"))


def _back(numbers: Features) -> Features:
    from scipy.fft import idctn

    return np.asarray(idctn(numbers, axes=(1, 2), norm="ortho"))
