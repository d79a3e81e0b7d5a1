"""Terms found, missed and falsely inserted, each judged at the place where it stands in the reference.

Each mention in a text belongs to one term of the lexicon (`core.terms`). A mention of the reference is found if the
hypothesis has the words of its term at the place. So ``insulin`` is found in ``insulin glargine``, where the longer
term is inserted; and ``insulin`` in place of ``insulin glargine`` is a miss, but no insertion.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shoptalk.core.records import Term
from shoptalk.core.terms import Index, Mention, counted_occurrences, index_of, mentions, phonetic_distance
from shoptalk.core.text import words
from shoptalk.scoring.wer import Alignment, align

NOTHING = ""
"""Stands for the words recognised instead of a term where there are none."""


@dataclass(frozen=True)
class Match:
    """One term in one pair of texts."""

    reference: int
    """Occurrences in the reference."""
    heard: int
    """Occurrences in the hypothesis: those found, and those inserted."""
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

    term: int
    """The term's place in the lexicon."""
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


def match(terms: Index, reference: str, heard: str) -> dict[int, Match]:
    """Count the terms that occur, by their place in the lexicon.

    An occurrence is found if the aligned words, with what was inserted beside them, contain it. Each occurrence in the
    hypothesis matches one of the reference. A model that repeats or sprays a term gains no recall and loses precision.
    """
    occurring, inserted = places(terms, reference, heard)
    inserted_of = Counter(mention.term for mention in inserted)
    result: dict[int, Match] = {}
    for term in sorted({place.term for place in occurring} | inserted_of.keys()):
        own = [place for place in occurring if place.term == term]
        missed = [place for place in own if not place.found]
        found = len(own) - len(missed)
        instead = tuple(_instead(align(reference, heard), place) for place in missed)
        result[term] = Match(reference=len(own), heard=found + inserted_of[term], found=found, instead=instead)
    return result


def places(terms: Index, reference: str, heard: str) -> tuple[list[Place], list[Mention]]:
    """Where the reference has terms, and whether the hypothesis has them there; and what it has in addition."""
    reference_words, heard_words = words(reference), words(heard)
    expected, recognised = mentions(terms, reference_words), mentions(terms, heard_words)
    if not expected:
        return [], recognised
    edges = align(reference, heard).edges
    heard_spans = counted_occurrences(terms, heard_words)
    found: set[Mention] = set()
    paired: set[Mention] = set()
    for term, spans in counted_occurrences(terms, reference_words).items():
        unmatched = heard_spans.get(term, [])
        for start, end in spans:
            low, high = edges[start][0], edges[end][1]
            overlapping = [(first, behind) for first, behind in unmatched if first < high and behind > low]
            if overlapping:
                unmatched.remove(overlapping[0])
                found.add(Mention(term, start, end))
                paired.add(Mention(term, *overlapping[0]))
    result: list[Place] = []
    for mention in expected:
        low, high = edges[mention.start][0], edges[mention.end][1]
        result.append(Place(*mention, low, high, found=mention in found))
    return result, [mention for mention in recognised if mention not in paired]


def tabulate(
    terms: Sequence[Term], pairs: Sequence[tuple[str, str]], *, hidden: frozenset[int] = frozenset()
) -> TermTable:
    """`match` for every (reference, hypothesis); of `hidden` rows nothing but counts is kept."""
    shape = (len(pairs), len(terms))
    reference_NT = np.zeros(shape, np.int64)
    heard_NT = np.zeros(shape, np.int64)
    found_NT = np.zeros(shape, np.int64)
    instead: list[Counter[str]] = [Counter() for _ in terms]
    missed: list[list[int]] = [[] for _ in terms]
    known = index_of(terms)
    for row, (reference, heard) in enumerate(pairs):
        for column, counted in match(known, reference, heard).items():
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
