"""`20-refused.json`: how many answers of the language model stage 20 refused, by what was wrong with them."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from shoptalk.core.errors import CoverageError
from shoptalk.core.files import write_text
from shoptalk.core.progress import say
from shoptalk.corpus.answers import told
from shoptalk.stages.run import AnyRun, StageRun

PRODUCT = "20-refused.json"
"""In the run folder: the counts of all runs of the stage under one signature."""


@contextmanager
def telling(run: StageRun) -> Iterator[Counter[str]]:
    """Count the answers that are refused; tell of them at the end, whatever ends it, and add them to the file."""
    refused: Counter[str] = Counter()
    try:
        yield refused
    except CoverageError as error:
        if not refused:
            raise
        reasons = f"{refused.total()} answers of the language model were refused: {told(refused)}"
        raise CoverageError(f"{error}\n{reasons}") from None
    finally:
        if refused:
            say(f"{refused.total()} answers of the language model were refused: {told(refused)}")
            counts = Counter(read(run)) + refused
            note = {"signature": run.run.signature("transcripts"), "refused": dict(sorted(counts.items()))}
            write_text(run.folder / PRODUCT, json.dumps(note, indent=1) + "\n")


def read(run: AnyRun) -> dict[str, int]:
    """The counts by reason; empty where none was refused, or by another recipe."""
    path = run.folder / PRODUCT
    if not path.is_file():
        return {}
    note = json.loads(path.read_text(encoding="utf-8"))
    whole = run.run if isinstance(run, StageRun) else run
    return dict(note["refused"]) if note["signature"] == whole.signature("transcripts") else {}
