"""Terms found again, missed and made up, each judged at the place where it stands in the reference."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shoptalk.core.records import Term
from shoptalk.core.terms import occurrences, phonetic_distance
from shoptalk.scoring.wer import Alignment, align

NOTHING = ""
"""What was heard instead of a term where nothing was."""


@dataclass(frozen=True)
class Match:
    """One term in one pair of texts."""

    reference: int
    """Occurrences in the reference."""
    heard: int
    """Occurrences in what was heard."""
    found: int
    """Occurrences of the reference that were heard at their place."""
    instead: tuple[str, ...] = ()
    """For each missed occurrence the words that were heard at its place."""

    @property
    def inserted(self) -> int:
        """Occurrences that were heard where the reference has none: false insertions."""
        return self.heard - self.found


class Place(NamedTuple):
    """One occurrence of a term in the reference, in words."""

    start: int
    end: int
    low: int
    """What was heard at it, with what was inserted beside it, starts at this word; it ends before `high`."""
    high: int
    found: bool
    """Whether the term was heard there."""


@dataclass(frozen=True)
class TermTable:
    """All terms over all utterances: counts of shape (N utterances, T terms)."""

    reference_NT: npt.NDArray[np.int64]
    heard_NT: npt.NDArray[np.int64]
    found_NT: npt.NDArray[np.int64]
    instead: tuple[Counter[str], ...]
    """For each term what was heard instead, and how often."""
    missed: tuple[tuple[int, ...], ...]
    """For each term the utterances in which it was missed."""

    @property
    def inserted_NT(self) -> npt.NDArray[np.int64]:
        return self.heard_NT - self.found_NT

    def of(self, rows: Sequence[int]) -> "TermTable":
        """The table of some utterances; what was heard instead stays that of all."""
        chosen = list(rows)
        counts = (self.reference_NT[chosen], self.heard_NT[chosen], self.found_NT[chosen])
        return TermTable(*counts, self.instead, self.missed)


def match(term: Term, reference: str, heard: str) -> Match:
    """Count a term; an occurrence is found if the aligned words, with what was inserted beside them, hold it.

    Each occurrence heard answers for one of the reference, so a model that repeats or sprays a term gains no recall
    and loses precision.
    """
    said = places(term, reference, heard)
    instead = tuple(_instead(align(reference, heard), place) for place in said if not place.found)
    return Match(len(said), len(occurrences(term, heard)), len(said) - len(instead), instead)


def places(term: Term, reference: str, heard: str) -> list[Place]:
    """Where the reference has the term, and whether it was heard there, as `match` says."""
    expected = occurrences(term, reference)
    if not expected:
        return []
    edges = align(reference, heard).edges
    free = list(occurrences(term, heard))
    found = []
    for start, end in expected:
        low, high = edges[start][0], edges[end][1]
        here = next((span for span in free if span[0] < high and span[1] > low), None)
        if here is not None:
            free.remove(here)
        found.append(Place(start, end, low, high, here is not None))
    return found


def tabulate(
    terms: Sequence[Term], pairs: Sequence[tuple[str, str]], *, hidden: frozenset[int] = frozenset()
) -> TermTable:
    """`match` for every term and every (reference, heard); of `hidden` rows nothing but counts is kept."""
    shape = (len(pairs), len(terms))
    reference_NT, heard_NT, found_NT = (np.zeros(shape, np.int64) for _ in range(3))
    instead: tuple[Counter[str], ...] = tuple(Counter() for _ in terms)
    missed: tuple[list[int], ...] = tuple([] for _ in terms)
    for row, (reference, heard) in enumerate(pairs):
        for column, term in enumerate(terms):
            one = match(term, reference, heard)
            reference_NT[row, column], heard_NT[row, column], found_NT[row, column] = (
                one.reference,
                one.heard,
                one.found,
            )
            if one.instead and row not in hidden:
                instead[column].update(one.instead)
                missed[column].append(row)
    return TermTable(reference_NT, heard_NT, found_NT, instead, tuple(map(tuple, missed)))


def join(tables: Sequence[TermTable]) -> TermTable:
    """The tables of several test sets, for the same terms, as one."""
    starts = np.cumsum([0, *(len(one.reference_NT) for one in tables)])
    return TermTable(
        np.concatenate([one.reference_NT for one in tables]),
        np.concatenate([one.heard_NT for one in tables]),
        np.concatenate([one.found_NT for one in tables]),
        tuple(sum(counters, Counter()) for counters in zip(*(one.instead for one in tables), strict=True)),
        tuple(
            tuple(int(start) + row for start, one in zip(starts, tables, strict=False) for row in one.missed[column])
            for column in range(len(tables[0].missed))
        ),
    )


def _instead(alignment: Alignment, place: Place) -> str:
    """Of the words heard at the place of a missed term, those that sound most like it: the rest is beside the point.

    The least edits say little about which of several wrong words stands for which, so sound decides.
    """
    wanted = " ".join(alignment.reference[place.start : place.end])
    most = place.end - place.start + 3
    choices = [
        " ".join(alignment.heard[start:end])
        for start in range(place.low, place.high)
        for end in range(start + 1, min(start + most, place.high) + 1)
    ]
    return min(choices, key=lambda words: phonetic_distance(wanted, words)) if choices else NOTHING
