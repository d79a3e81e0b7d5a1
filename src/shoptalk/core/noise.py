"""Recordings of noise and impulse responses of rooms, listed in a manifest that pins the bytes of each."""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field

from shoptalk.core.audio import decode
from shoptalk.core.errors import AudioError, ChecksumError
from shoptalk.core.files import file_sha256
from shoptalk.core.records import Record, Samples


class Noise(Record):
    """A recording of noise, or a room's impulse response (``rir``); one line of a noise manifest."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    audio: str
    """Relative to the manifest's folder."""
    kind: Literal["noise", "rir"]
    split: Literal["train", "test"]
    """Those of ``test`` are kept for tests under noise."""
    sound: str = Field(default="", alias="class")
    """What it sounds like, e.g. ``traffic``; a recipe gives each class a weight."""
    sha256: str


class NoiseSet(NamedTuple):
    """The records of a noise manifest and the folder that it lies in."""

    recordings: tuple[Noise, ...]
    folder: Path


def read_noise(record: Noise, folder: Path) -> Samples:
    """The samples of a recording of the noise manifest in `folder`; other bytes than it names are a `ChecksumError`.

    `AudioError` names a recording that is silent.
    """
    path = path_of(record, folder)
    samples_T = decode(path)
    if not np.any(samples_T):
        raise AudioError(f"{path}: the recording {record.id!r} is silent; take it out of the noise manifest")
    return samples_T


def path_of(record: Noise, folder: Path) -> Path:
    """Where a recording of the noise manifest in `folder` lies; other bytes than it names are a `ChecksumError`."""
    path = folder / record.audio
    if not path.is_file():
        raise AudioError(
            f"{path}: the noise {record.id!r} is not there; the manifest's paths are relative to its folder"
        )
    if file_sha256(path) != record.sha256:
        raise ChecksumError(f"{path}: not the bytes that the noise manifest names; restore the file or its sha256")
    return path
