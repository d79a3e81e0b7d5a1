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
            if (before.patient and not private) or len(before.reference.split()) > MOST_WORDS:
                continue
            errors = (
                count_words(before.reference, before.heard).errors,
                count_words(after.reference, after.heard).errors,
            )
            rows.append((errors[1] - errors[0], errors[1], before, after))
        improved = sorted((row for row in rows if row[0] < 0), key=lambda row: (row[0], row[1], row[2].id))
        worse = sorted((row for row in rows if row[0] > 0), key=lambda row: (-row[0], row[2].id))
        stuck = sorted((row for row in rows if row[0] == 0 and row[1]), key=lambda row: (-row[1], row[2].id))
        kinds: tuple[tuple[Kind, list[Row]], ...] = (
            ("improved", improved[:few]),
            ("still wrong", stuck[:2]),
            ("worse", worse[:2]),
        )
        for kind, chosen in kinds:
            yield from (example((before, after), kind) for _, _, before, after in chosen)


def example(pair: tuple[Hypothesis, Hypothesis], kind: Kind) -> Example:
    """A sentence as it was said and heard before and after."""
    before, after = pair
    return Example(
        id=before.id, set=before.set, kind=kind, reference=before.reference, before=before.heard, after=after.heard
    )
