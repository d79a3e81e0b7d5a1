"""What stages share while they work: lines of progress, bars, and products that are written whole and resumed."""

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from shoptalk.core import files
from shoptalk.core.records import Record
from shoptalk.stages.run import StageRun

R = TypeVar("R", bound=Record)


def say(text: str) -> None:
    """Print a line of progress on standard error at once, indented below its stage."""
    tqdm.write(f"   {text}", file=sys.stderr)


def progress(records: Iterable[R], name: str, total: int | None, done: int) -> Iterator[R]:
    """Pass records on under a progress bar that starts at what was already done."""
    yield from tqdm(records, desc=f"   {name}", total=total, initial=done, mininterval=0.5, smoothing=0.05)


def write(run: StageRun, make: Callable[[frozenset[str]], Iterable[Record]]) -> None:
    """Write the product of a stage, taking up what an interrupted run left."""
    files.write_records(run.product(run.stage.name), make, signature=run.signature())


def once(path: Path, make: Callable[[frozenset[str]], Iterable[Record]], *, signature: str) -> None:
    """Write a part of a stage's work, unless it is there whole and only a later part is to be made (again)."""
    note = path.with_name(path.name + ".signature")
    if not (path.is_file() and note.is_file() and note.read_text() == signature):
        files.write_records(path, make, signature=signature)
        files.write_text(note, signature)
