"""Reading and writing JSONL products: appended to a `.partial` file, renamed when whole, resumed by id."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from shoptalk.core.errors import ManifestError
from shoptalk.core.records import Record

R = TypeVar("R", bound=Record)


def read(path: Path, kind: type[R]) -> Iterator[R]:
    """Yield the records of a JSONL file in order; `ManifestError` names the line that cannot be read."""
    if not path.is_file():
        raise ManifestError(f"{path}: no such file; run the stage that makes it first (`shoptalk run` makes all)")
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield kind.model_validate_json(line)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                raise ManifestError(f"{path}:{number}: not a {kind.__name__}: {where} {first['msg']}") from None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a JSONL file of someone else's form (a NeMo manifest); `ManifestError` names the line."""
    if not path.is_file():
        raise ManifestError(f"{path}: no such file; run the stage that makes it first (`shoptalk run` makes all)")
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            found.append(dict(json.loads(line)))
        except (ValueError, TypeError) as error:
            raise ManifestError(f"{path}:{number}: not a JSON object ({error})") from None
    return found


def read_by_id(path: Path, kind: type[R]) -> dict[str, R]:
    """All records of a file keyed by id; an id that occurs twice is a `ManifestError`."""
    records: dict[str, R] = {}
    for record in read(path, kind):
        if record.id in records:
            raise ManifestError(f"{path}: id {record.id!r} occurs twice; ids must be unique")
        records[record.id] = record
    return records


def write(path: Path, make: Callable[[frozenset[str]], Iterable[Record]], *, signature: str) -> int:
    """Write the records that `make(ids already written)` yields, and return how many the finished file holds.

    Interrupted work is kept in ``NAME.partial`` and taken up again if it carries the same signature; a torn last
    line is cut. `make` must yield in the same order whatever was already written, so that a resumed file is
    byte-identical to one made in one go.
    """
    partial = path.with_name(path.name + ".partial")
    note = path.with_name(path.name + ".partial.signature")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not (note.is_file() and note.read_text() == signature):
        partial.unlink(missing_ok=True)
        note.write_text(signature)
    done = _whole_ids(partial)
    count = len(done)
    with partial.open("a", encoding="utf-8") as out:
        for record in make(frozenset(done)):
            out.write(record.model_dump_json() + "\n")
            out.flush()
            count += 1
        os.fsync(out.fileno())
    partial.replace(path)
    note.unlink()
    return count


def write_text(path: Path, text: str) -> None:
    """Write a whole file or none."""
    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _whole_ids(partial: Path) -> list[str]:
    """Cut a torn last line and return the ids of the lines that remain."""
    if not partial.is_file():
        return []
    content = partial.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) != len(content):
        with partial.open("r+b") as file:
            file.truncate(len(whole))
    return [json.loads(line)["id"] for line in whole.splitlines()]


def digest(content: object) -> str:
    """A short sha256 of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def file_digests(path: Path, pattern: str = "*.jsonl") -> list[str]:
    """sha256 of a file, or of those in a folder that fit; audio lies deeper, and counts by its path in a manifest."""
    files = sorted(path.glob(pattern)) if path.is_dir() else [path]
    return [file_digest(file) for file in files if file.is_file()]


def file_digest(path: Path) -> str:
    """sha256 of a file; read again only after it changed."""
    stat = path.stat()
    return _read_digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=1024)
def _read_digest(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
