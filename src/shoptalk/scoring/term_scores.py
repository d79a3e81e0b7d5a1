"""Terms found, missed and falsely inserted, each judged at the place where it stands in the reference."""

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
"""Stands for the words recognised instead of a term where there are none."""


@dataclass(frozen=True)
class Match:
    """One term in one pair of texts."""

    reference: int
    """Occurrences in the reference."""
    heard: int
    """Occurrences in the hypothesis."""
    found: int
    """Occurrences of the reference that the hypothesis has at their place."""
    instead: tuple[str, ...] = ()
    """For each missed occurrence the words that were recognised at its place."""

    @property
    def inserted(self) -> int:
        """Occurrences of the hypothesis where the reference has none: false insertions."""
        return self.heard - self.found


class Place(NamedTuple):
    """One occurrence of a term in the reference, in words."""

    start: int
    end: int
    low: int
    """The first word of the hypothesis that is aligned with it or inserted beside it."""
    high: int
    """The word behind the last one of these."""
    found: bool
    """Whether the hypothesis has the term there."""


@dataclass(frozen=True)
class TermTable:
    """All terms over all utterances: counts of shape (N utterances, T terms)."""

    reference_NT: npt.NDArray[np.int64]
    heard_NT: npt.NDArray[np.int64]
    found_NT: npt.NDArray[np.int64]
    instead: tuple[Counter[str], ...]
    """For each term the words recognised instead, and how often."""
    missed: tuple[tuple[int, ...], ...]
    """For each term the utterances in which it was missed."""

    @property
    def inserted_NT(self) -> npt.NDArray[np.int64]:
        return self.heard_NT - self.found_NT

    def of(self, rows: Sequence[int]) -> "TermTable":
        """The table of some utterances; `instead` and `missed` stay those of all."""
        chosen = list(rows)
        return TermTable(
            reference_NT=self.reference_NT[chosen],
            heard_NT=self.heard_NT[chosen],
            found_NT=self.found_NT[chosen],
            instead=self.instead,
            missed=self.missed,
        )


def match(term: Term, reference: str, heard: str) -> Match:
    """Count a term; an occurrence is found if the aligned words, with what was inserted beside them, contain it.

    Each occurrence in the hypothesis matches one of the reference. A model that repeats or sprays a term gains no
    recall and loses precision.
    """
    occurring = places(term, reference, heard)
    instead: list[str] = []
    for place in occurring:
        if not place.found:
            instead.append(_instead(align(reference, heard), place))
    return Match(
        reference=len(occurring),
        heard=len(occurrences(term, heard)),
        found=len(occurring) - len(instead),
        instead=tuple(instead),
    )


def places(term: Term, reference: str, heard: str) -> list[Place]:
    """Where the reference has the term, and whether the hypothesis has it there, as `match` says."""
    expected = occurrences(term, reference)
    if not expected:
        return []
    edges = align(reference, heard).edges
    unmatched = list(occurrences(term, heard))
    result: list[Place] = []
    for start, end in expected:
        low, high = edges[start][0], edges[end][1]
        overlapping = [(first, behind) for first, behind in unmatched if first < high and behind > low]
        if overlapping:
            unmatched.remove(overlapping[0])
        result.append(Place(start, end, low, high, found=bool(overlapping)))
    return result


def tabulate(
    terms: Sequence[Term], pairs: Sequence[tuple[str, str]], *, hidden: frozenset[int] = frozenset()
) -> TermTable:
    """`match` for every term and every (reference, hypothesis); of `hidden` rows nothing but counts is kept."""
    shape = (len(pairs), len(terms))
    reference_NT = np.zeros(shape, np.int64)
    heard_NT = np.zeros(shape, np.int64)
    found_NT = np.zeros(shape, np.int64)
    instead: list[Counter[str]] = [Counter() for _ in terms]
    missed: list[list[int]] = [[] for _ in terms]
    for row, (reference, heard) in enumerate(pairs):
        for column, term in enumerate(terms):
            counted = match(term, reference, heard)
            reference_NT[row, column] = counted.reference
            heard_NT[row, column] = counted.heard
            found_NT[row, column] = counted.found
            if counted.instead and row not in hidden:
                instead[column].update(counted.instead)
                missed[column].append(row)
    return TermTable(reference_NT, heard_NT, found_NT, tuple(instead), tuple(tuple(rows) for rows in missed))


def join(tables: Sequence[TermTable]) -> TermTable:
    """The tables of several test sets, for the same terms, as one."""
    term_count = len(tables[0].missed)
    instead: list[Counter[str]] = [Counter() for _ in range(term_count)]
    missed: list[list[int]] = [[] for _ in range(term_count)]
    first_row = 0
    for table in tables:
        for column in range(term_count):
            instead[column].update(table.instead[column])
            missed[column] += [first_row + row for row in table.missed[column]]
        first_row += len(table.reference_NT)
    return TermTable(
        reference_NT=np.concatenate([table.reference_NT for table in tables]),
        heard_NT=np.concatenate([table.heard_NT for table in tables]),
        found_NT=np.concatenate([table.found_NT for table in tables]),
        instead=tuple(instead),
        missed=tuple(tuple(rows) for rows in missed),
    )


def _instead(alignment: Alignment, place: Place) -> str:
    """Of the words recognised at the place of a missed term, those that sound most like it.

    The alignment with the fewest edits says little about which of several wrong words stands for which, so the
    sound decides.
    """
    term = " ".join(alignment.reference[place.start : place.end])
    most_words = place.end - place.start + 3
    nearest, nearest_distance = NOTHING, float("inf")
    for start in range(place.low, place.high):
        for end in range(start + 1, min(start + most_words, place.high) + 1):
            candidate = " ".join(alignment.heard[start:end])
            distance = phonetic_distance(term, candidate)
            if distance < nearest_distance:
                nearest, nearest_distance = candidate, distance
    return nearest
