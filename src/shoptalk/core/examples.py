"""The one reader and the one writer of dataset manifests: NeMo's JSON Lines, each line an `Example`.

A line needs `audio_filepath` (relative to the manifest's folder) and `text`. What a manifest of others leaves out, or
has as null, is taken to be:

- `id`: the `audio_filepath`, with ``@OFFSET`` behind it where there is an `offset`
- `duration`: what is left of the recording from the `offset` on, read from the audio
- `voice`, `cluster`: the `speaker`
- everything else: empty. Keys of others are left out.

A line with an `offset` is the segment of its recording that `offset` and `duration` name; without, it is the whole
recording. An `audio_filepath` that ends in ``.npy`` holds log-mel features instead of sound: T frames of 10 ms, M bins.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from shoptalk.core import files
from shoptalk.core.audio import SAMPLE_RATE_HZ, decode
from shoptalk.core.errors import AudioError, ManifestError
from shoptalk.core.records import Example, Samples
from shoptalk.core.tokens import HOP_S

FEATURES = ".npy"
"""How the names of files end that hold features instead of sound."""
PAST_END_S = 0.1
"""A segment may end so much later than its recording: others round."""


def read_manifest(path: Path, *, needs: tuple[str, ...] = ()) -> list[Example]:
    """The lines of a manifest; `needs` names further keys that each must have. `ManifestError` names file and line."""
    return [example for _, example in numbered_manifest(path, needs=needs)]


def numbered_manifest(path: Path, *, needs: tuple[str, ...] = ()) -> Iterator[tuple[int, Example]]:
    """The lines of a manifest as `read_manifest` gives them, each with its number in the file."""
    for number, row in files.read_objects(path):
        yield number, _example(row, path, number, needs)


def _example(row: Mapping[str, Any], path: Path, number: int, needs: tuple[str, ...]) -> Example:
    where = f"{path}:{number}"
    given = {key: value for key, value in row.items() if value is not None}
    wanted = ("audio_filepath", "text", *needs)
    missing = [key for key in wanted if key not in given or (key != "text" and given[key] == "")]
    if missing:
        raise ManifestError(f"{where}: lacks {', '.join(missing)}; each line needs {', '.join(wanted)}")
    name = str(given["audio_filepath"])
    speaker = given.get("speaker", "")
    is_segment = "offset" in given
    defaults = {
        "id": f"{name}@{given['offset']}" if is_segment else name,
        "duration": 1.0,  # until it is measured
        "voice": speaker,
        "cluster": speaker,
    }
    try:
        example = Example.model_validate({**defaults, **given, "audio_filepath": path.parent / name})
    except ValidationError as error:
        raise ManifestError(f"{where}: {files.first_problem(error)}; correct this line") from None
    if "duration" in given:
        return example
    return example.model_copy(update={"duration_s": _measured_s(example, where)})


def _measured_s(example: Example, where: str) -> float:
    """Seconds from the offset of a line to the end of its recording."""
    try:
        total_s = recording_s(example.audio)
    except AudioError as error:
        raise ManifestError(f"{where}: has no duration, and it cannot be read from the audio: {error}") from None
    left_s = round(total_s - (example.offset_s or 0.0), 4)
    if left_s <= 0:
        raise ManifestError(f"{where}: starts at {example.offset_s:g} s of a recording of {total_s:.2f} s")
    return left_s


def recording_s(path: Path) -> float:
    """Seconds of sound, or of features, in a file."""
    if path.suffix != FEATURES:
        return decode_kept(path).size / SAMPLE_RATE_HZ
    if not path.is_file():
        raise AudioError(f"{path}: no such file")
    frames: int = np.load(path, mmap_mode="r").shape[0]
    return frames * HOP_S


def write_manifest(path: Path, examples: Iterable[Example]) -> None:
    """Write a manifest, whole or not at all; keys that hold nothing are left out of a line."""
    files.write_text(path, "".join(f"{to_line(example, path.parent)}\n" for example in examples))


def write_resumed(path: Path, make: Callable[[frozenset[str]], Iterable[Example]], *, signature: str) -> int:
    """`files.write_records` for a manifest."""
    return files.write_records(path, make, signature=signature, to_line=lambda example: to_line(example, path.parent))


def to_line(example: Example, folder: Path) -> str:
    """The line of a manifest in `folder`."""
    content = example.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    content["audio_filepath"] = name_below(example.audio, folder)
    return json.dumps(content, ensure_ascii=False)


def name_below(path: Path, folder: Path) -> str:
    """The path of an audio file as a manifest in `folder` names it."""
    return Path(os.path.relpath(path, folder)).as_posix()


def load(example: Example) -> Samples:
    """The samples of an example: its recording at `SAMPLE_RATE_HZ`, or the segment of it. `AudioError` names it."""
    if example.offset_s is None:
        return decode(example.audio)
    try:
        return segment(decode_kept(example.audio), example.offset_s, example.duration_s)
    except AudioError as error:
        raise AudioError(f"{example.id}: {error}; correct its offset and duration") from None


def segment(samples_T: Samples, offset_s: float, duration_s: float | None) -> Samples:
    """`duration_s` seconds from `offset_s` on, or all from there; `AudioError` if they lie outside of the recording."""
    start = round(offset_s * SAMPLE_RATE_HZ)
    end = samples_T.size if duration_s is None else start + round(duration_s * SAMPLE_RATE_HZ)
    if start < 0 or start >= samples_T.size or end > samples_T.size + PAST_END_S * SAMPLE_RATE_HZ:
        raise AudioError(f"lies outside of its recording, which has {samples_T.size / SAMPLE_RATE_HZ:.2f} s")
    return samples_T[start:end].copy()


@lru_cache(maxsize=1)
def decode_kept(path: Path) -> Samples:
    """The whole recording, kept for the next example, which is often of the same; not to be written to."""
    return decode(path)
