"""The only place that writes a product whole or not at all, that hashes a file, and that reads and writes JSON Lines.

What is being written stands in ``NAME.partial`` beside its place, and takes the place when it is whole.
"""

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from shoptalk.core.disk import naming_full_disk
from shoptalk.core.errors import ManifestError
from shoptalk.core.records import Record

R = TypeVar("R", bound=Record)


# ---- reading


def read(path: Path, kind: type[R]) -> Iterator[R]:
    """Yield the records of a JSONL file in order; `ManifestError` names the line that cannot be read."""
    for number, line in numbered_lines(path):
        try:
            yield kind.model_validate_json(line)
        except ValidationError as error:
            raise ManifestError(f"{path}:{number}: not a {kind.__name__}: {first_problem(error)}") from None


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file, one on each line, with the lines' numbers; `ManifestError` names what is none."""
    for number, line in numbered_lines(path):
        try:
            row = json.loads(line, object_pairs_hook=_without_repeats)
            if "\\ud" in line.lower():  # an escaped half of a character, which could not be written again
                json.dumps(row, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"{path}:{number}: not JSON ({error}); write one JSON object on each line") from None
        if not isinstance(row, dict):
            raise ManifestError(f"{path}:{number}: not a JSON object; write one JSON object on each line")
        yield number, row


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; `ValueError` if a key occurs twice, of which `json` would keep the last."""
    row = dict(pairs)
    if len(row) < len(pairs):
        twice = next(key for place, (key, _) in enumerate(pairs) if key in dict(pairs[:place]))
        raise ValueError(f"the key {twice!r} occurs twice")
    return row


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All JSON objects of a file in someone else's form; `ManifestError` names the line that is none."""
    return [row for _, row in read_objects(path)]


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers; blank lines and a byte-order mark are left out.

    Lines end at a line feed alone. `str.splitlines` would also cut at U+2028, which JSON may hold within a text.
    """
    if not path.is_file():
        raise ManifestError(f"{path}: no such file; run the stage that makes it first (`shoptalk run` makes all)")
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                raise ManifestError(f"{path}:{number}: not UTF-8 ({error.reason}); save the file as UTF-8") from None
            if text:
                yield number, text


def first_problem(error: ValidationError) -> str:
    """Where the first problem of a record is, and what."""
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where} {problem['msg']}".strip()


# ---- writing: whole or not at all


def write_text(path: Path, text: str) -> None:
    """Write a whole file or none."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file or none."""
    with write_file(path) as partial:
        partial.write_bytes(content)


@contextmanager
def write_file(path: Path) -> Iterator[Path]:
    """Give a path to write to; the file takes the place of `path` when the block ends, and goes if the block fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    try:
        with naming_full_disk(path):
            yield partial
            put_in_place(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def write_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it takes the place of `folder` when the block ends, and goes if the block fails."""
    partial, replaced = partial_path(folder), folder.with_name(folder.name + ".replaced")
    for left_over in (partial, replaced):
        shutil.rmtree(left_over, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if folder.exists():
            folder.rename(replaced)
        put_in_place(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def write_records(
    path: Path,
    make: Callable[[frozenset[str]], Iterable[R]],
    *,
    signature: str,
    to_line: Callable[[R], str] = Record.model_dump_json,
) -> int:
    """Write the records that `make(ids already written)` yields, and return how many the finished file holds.

    Interrupted work is kept in ``NAME.partial`` and taken up again if it carries the same signature; a torn last
    line is cut. `make` must yield in the same order whatever was already written, so that a resumed file is
    byte-identical to one made in one go.
    """
    partial = partial_path(path)
    note = partial.with_name(partial.name + ".signature")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not (note.is_file() and note.read_text() == signature):
        partial.unlink(missing_ok=True)
        note.write_text(signature)
    done = _whole_ids(partial)
    count = len(done)
    with naming_full_disk(path), partial.open("a", encoding="utf-8") as out:
        for record in make(frozenset(done)):
            out.write(to_line(record) + "\n")
            out.flush()
            count += 1
    put_in_place(partial, path)
    note.unlink()
    return count


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


def partial_path(path: Path) -> Path:
    """Where a file or folder is written before it is whole; for work that is taken up again, or that others write."""
    return path.with_name(path.name + ".partial")


def put_in_place(partial: Path, path: Path) -> None:
    """Give what was written whole its name. The bytes reach the disk first, so that no power cut leaves half of it.

    Files get the permissions of any new file there. Libraries that write through temporary files leave others, which
    only the owner can read.
    """
    permissions = _permissions_of_new_files(partial)
    for written in partial.rglob("*") if partial.is_dir() else [partial]:
        if written.is_file():
            with written.open("rb") as file:
                to_disk(file.fileno())
            if stat.S_IMODE(written.stat().st_mode) != permissions:
                written.chmod(permissions)
    partial.replace(path)


def to_disk(descriptor: int) -> None:
    """Wait until what was written to an open file has reached the disk."""
    os.fsync(descriptor)


def _permissions_of_new_files(beside: Path) -> int:
    """As the umask and the folder give them; they are seen from a file, since the umask is read only by setting it."""
    made = beside.with_name(beside.name + ".permissions")
    number = os.open(made, os.O_CREAT | os.O_WRONLY, 0o666)
    try:
        return stat.S_IMODE(os.fstat(number).st_mode)
    finally:
        os.close(number)
        made.unlink()


# ---- hashing


def digest(content: object) -> str:
    """A short sha256 of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """sha256 of a file; read again only after what the file system tells of it did change."""
    return _remembered_sha256(str(path), file_state(path))


def file_state(path: Path | str) -> tuple[int, ...]:
    """What changes with the content of a file: size, times of change in ns, and inode.

    A copy that keeps the time of its source (``cp -p``) still has another inode or time of its inode.
    """
    told = os.stat(path)
    return told.st_size, told.st_mtime_ns, told.st_ctime_ns, told.st_ino


@cache
def _remembered_sha256(path: str, state: tuple[int, ...]) -> str:
    return file_sha256(Path(path))


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file, read in pieces, and read again at each call: for bytes that must be the right ones."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
