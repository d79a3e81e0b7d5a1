"""Sentences of a test that show what changed, chosen by one rule for every run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from shoptalk.core.records import Hypothesis
from shoptalk.core.scores import Example
from shoptalk.core.sets import TAUGHT
from shoptalk.scoring.wer import count_words

Kind = Literal["improved", "still wrong", "worse"]
Row = tuple[int, int, Hypothesis, Hypothesis]
"""Errors after less errors before, errors after, and the two."""

MOST_WORDS = 60
"""A longer text is no example to read (joined recordings)."""


def examples(sets: Mapping[str, Sequence[tuple[Hypothesis, Hypothesis]]], *, private: bool) -> Iterable[Example]:
    """Where tuning helped most, where it did not help, and where it did harm; of patients only if `private`."""
    for name, pairs in sets.items():
        few = 4 if name == TAUGHT else 2
        rows: list[Row] = []
        for before, after in pairs:
            if before.patient and not private:
                continue
            if len(before.reference.split()) > MOST_WORDS:
                continue
            errors_before = count_words(before.reference, before.heard).errors
            errors_after = count_words(after.reference, after.heard).errors
            rows.append((errors_after - errors_before, errors_after, before, after))
        improved = sorted((row for row in rows if row[0] < 0), key=lambda row: (row[0], row[1], row[2].id))
        worse = sorted((row for row in rows if row[0] > 0), key=lambda row: (-row[0], row[2].id))
        stuck = sorted((row for row in rows if row[0] == 0 and row[1]), key=lambda row: (-row[1], row[2].id))
        for _, _, before, after in improved[:few]:
            yield example((before, after), "improved")
        for _, _, before, after in stuck[:2]:
            yield example((before, after), "still wrong")
        for _, _, before, after in worse[:2]:
            yield example((before, after), "worse")


def example(pair: tuple[Hypothesis, Hypothesis], kind: Kind) -> Example:
    """A sentence: its reference, and what was recognised before and after."""
    before, after = pair
    return Example(
        id=before.id, set=before.set, kind=kind, reference=before.reference, before=before.heard, after=after.heard
    )
