"""Products of stages, and parts of them, written whole and resumed."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from shoptalk.core import files
from shoptalk.core.records import Record
from shoptalk.stages.run import StageRun

R = TypeVar("R", bound=Record)


def write(run: StageRun, make: Callable[[frozenset[str]], Iterable[Record]]) -> None:
    """Write the product of a stage, taking up what an interrupted run left."""
    files.write_records(run.product(run.stage.name), make, signature=run.signature())


def kept_of(path: Path, kind: type[R], done: frozenset[str]) -> list[R]:
    """The records that an interrupted run left of a file."""
    return list(files.read(files.partial_path(path), kind)) if done else []


def once(path: Path, make: Callable[[frozenset[str]], Iterable[Record]], *, signature: str) -> None:
    """Write a part of a stage's work, unless it is there whole and only a later part is to be made (again)."""
    note = path.with_name(path.name + ".signature")
    if not (path.is_file() and note.is_file() and note.read_text() == signature):
        files.write_records(path, make, signature=signature)
        files.write_text(note, signature)
