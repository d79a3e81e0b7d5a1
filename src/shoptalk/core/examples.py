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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shoptalk.core import files
from shoptalk.core.errors import AudioError, ManifestError
from shoptalk.core.recordings import digest_of, recording_s
from shoptalk.core.records import Example

SHOWN = 10
"""So many wrong lines of a manifest are told."""


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


def listed(problems: Sequence[str]) -> str:
    """The first `SHOWN` problems, a line each, and how many more there are."""
    more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    return "\n".join(f"  {problem}" for problem in (*problems[:SHOWN], *more))


def write_manifest(path: Path, examples: Iterable[Example]) -> None:
    """Write a manifest, whole or not at all; keys that hold nothing are left out of a line."""
    files.write_text(path, "".join(f"{to_line(example, path.parent)}\n" for example in examples))


def write_resumed(path: Path, make: Callable[[frozenset[str]], Iterable[Example]], *, signature: str) -> int:
    """`files.write_records` for a manifest."""
    return files.write_records(path, make, signature=signature, to_line=lambda example: to_line(example, path.parent))


def to_line(example: Example, folder: Path) -> str:
    """The line of a manifest in `folder`."""
    return json.dumps(row_of(example, name_below(example.audio, folder)), ensure_ascii=False)


def row_of(example: Example, audio: str) -> dict[str, Any]:
    """The keys of a line, its audio by the name `audio`; those that hold nothing are left out."""
    content = example.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    content["audio_filepath"] = audio
    return content


def name_below(path: Path, folder: Path) -> str:
    """The path of an audio file as a manifest in `folder` names it."""
    return Path(os.path.relpath(path, folder)).as_posix()


def content_digests(path: Path, pattern: str = "*.jsonl") -> list[str]:
    """sha256 of a file, or of those in a folder that fit; of a manifest, with the bytes of all recordings it names."""
    digests: list[str] = []
    for file in sorted(path.glob(pattern)) if path.is_dir() else [path]:
        if not file.is_file():
            continue
        recordings = _recordings(str(file), files.file_state(file)) if file.suffix == ".jsonl" else ()
        digest = files.file_digest(file)
        digests.append(files.digest([digest, *map(digest_of, recordings)]) if recordings else digest)
    return digests


@lru_cache(maxsize=256)
def _recordings(manifest: str, state: tuple[int, ...]) -> tuple[Path, ...]:
    """The recordings that the lines of a manifest name; lines that cannot be read name none: their reader tells it."""
    named: dict[Path, None] = {}
    folder = Path(manifest).parent
    with Path(manifest).open("rb") as lines:
        for line in lines:
            try:
                row = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
            except (ValueError, RecursionError):
                continue
            name = (row.get("audio_filepath") or row.get("audio")) if isinstance(row, dict) else None
            if isinstance(name, str) and "\0" not in name:
                named[folder / name] = None
    return tuple(named)
