"""Sentences of a test that show what changed, chosen by one rule for every run."""

from collections.abc import Iterable, Mapping, Sequence

from shoptalk.records import Hypothesis
from shoptalk.scoring.scores import Example
from shoptalk.scoring.wer import count_words

MOST_WORDS = 60
"""A longer text is no example to read (joined recordings)."""


def examples(sets: Mapping[str, Sequence[tuple[Hypothesis, Hypothesis]]], *, private: bool) -> Iterable[Example]:
    """Where tuning helped most, where it did not help, and where it did harm; of patients only if `private`."""
    for name, pairs in sets.items():
        few = 4 if name == "taught" else 2
        rows = []
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
        for kind, chosen in (("improved", improved[:few]), ("still wrong", stuck[:2]), ("worse", worse[:2])):
            for _, _, before, after in chosen:
                yield Example.model_validate(
                    {
                        "id": before.id,
                        "set": name,
                        "kind": kind,
                        "reference": before.reference,
                        "before": before.heard,
                        "after": after.heard,
                    }
                )
