"""The recordings of examples: how long they are, their samples or ready features, and what pins their content."""

from functools import lru_cache
from os.path import isfile  # Path.is_file raises where a name is too long
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shoptalk.core import files
from shoptalk.core.audio import SAMPLE_RATE_HZ, Decoded, read_and_warn
from shoptalk.core.errors import AudioError
from shoptalk.core.records import Example, Samples
from shoptalk.core.tokens import HOP_S

FEATURES = ".npy"
"""How the names of files end that hold features instead of sound."""
PAST_END_S = 0.1
"""A segment may end so much later than its recording, and a recording may lack so much: others round."""


def recording_s(path: Path) -> float:
    """Seconds of sound, or of features, in a file."""
    if path.suffix != FEATURES:
        return decode_kept(path).samples_T.size / SAMPLE_RATE_HZ
    return len(features(path)) * HOP_S


def features(path: Path) -> npt.NDArray[np.floating[Any]]:
    """Ready log-mel features (T, M), mapped into memory; `AudioError` if the file holds none, or not all of them."""
    if not isfile(path):
        raise AudioError(f"{path}: no such file")
    try:
        ready_TM = np.load(path, mmap_mode="r")
    except (ValueError, EOFError, OSError) as error:
        raise AudioError(f"{path}: cannot be read as features ({error}); make it again") from None
    if not isinstance(ready_TM, np.ndarray) or ready_TM.ndim != 2 or not np.issubdtype(ready_TM.dtype, np.floating):
        raise AudioError(f"{path}: holds no features of frames by mel bins; make it again")
    return ready_TM


def problem_of_audio(example: Example, shortest_s: float, lengths: dict[Path, float]) -> str:
    """What is wrong with the place or the length of an example; empty if nothing is.

    Lengths are read from headers, and kept in `lengths`: what only decoding shows, `load` tells.
    """
    try:
        if example.audio not in lengths:
            lengths[example.audio] = _length_s(example.audio)
    except AudioError as error:
        return str(error)
    start_s, total_s = example.offset_s or 0.0, lengths[example.audio]
    if start_s + example.duration_s > total_s + PAST_END_S:
        named = f"{example.duration_s:g} s from {start_s:g} s on" if example.offset_s else f"{example.duration_s:g} s"
        return f"{named} are named, but the recording has {total_s:.4g} s"
    left_s = total_s - start_s
    length_s = left_s if example.offset_s is None else min(left_s, example.duration_s)
    if length_s < shortest_s:
        return f"{length_s:.3g} s of audio; at least {shortest_s:g} s are needed"
    return ""


def _length_s(path: Path) -> float:
    """Seconds of a recording as its header tells them; without such a header it is decoded."""
    import soundfile

    if path.suffix != FEATURES and isfile(path):
        try:
            return float(soundfile.info(path).duration)
        except soundfile.LibsndfileError:
            pass
    return recording_s(path)


def load(example: Example) -> Samples:
    """The samples of an example: its recording at `SAMPLE_RATE_HZ`, or the segment of it.

    `AudioError` names an example whose audio is not there, lies outside of its recording, is shorter than its line
    says, or could not be decoded whole.
    """
    decoded = read_and_warn(example.audio) if example.offset_s is None else decode_kept(example.audio)
    if decoded.lost_s > PAST_END_S:
        raise AudioError(
            f"{example.id}: {decoded.lost_s:.2f} s of {example.audio} could not be decoded, so the text would not fit; "
            "replace the recording or remove the line"
        )
    if example.offset_s is None:
        length_s = decoded.samples_T.size / SAMPLE_RATE_HZ
        if length_s < example.duration_s - PAST_END_S:
            raise AudioError(
                f"{example.id}: {length_s:.2f} s of audio where the manifest says {example.duration_s:.2f} s; replace "
                f"{example.audio} or correct the `duration`"
            )
        return decoded.samples_T
    try:
        return segment(decoded.samples_T, example.offset_s, example.duration_s)
    except AudioError as error:
        raise AudioError(f"{example.id}: {error}; correct its offset and duration") from None


def segment(samples_T: Samples, offset_s: float, duration_s: float | None) -> Samples:
    """`duration_s` seconds from `offset_s` on, or all from there; `AudioError` if they lie outside of the recording."""
    total_s = samples_T.size / SAMPLE_RATE_HZ
    end_s = total_s if duration_s is None else offset_s + duration_s
    if not 0 <= offset_s < total_s or not end_s <= total_s + PAST_END_S:
        raise AudioError(f"lies outside of its recording, which has {total_s:.2f} s")
    return samples_T[round(offset_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ)].copy()


def decode_kept(path: Path) -> Decoded:
    """The whole recording, kept for the next example, which is often of the same; not to be written to."""
    if not isfile(path):
        raise AudioError(f"{path}: no such file")
    return _decoded(path, files.file_state(path))


@lru_cache(maxsize=1)
def _decoded(path: Path, state: tuple[int, ...]) -> Decoded:
    return read_and_warn(path)


def content_of(example: Example) -> list[object]:
    """What the sound of an example depends on: the bytes of its recording, and where in it the example is."""
    return [digest_of(example.audio), example.offset_s, example.duration_s if example.offset_s is not None else None]


def digest_of(path: Path) -> str:
    """sha256 of a recording; empty where there is none."""
    return files.file_digest(path) if isfile(path) else ""
