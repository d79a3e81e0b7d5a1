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

Counted = npt.NDArray[np.int64]
Ratio = tuple[Counted, Counted]
"""Numerators and denominators, one of each for an utterance."""
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
class TermCounts:
    """Occurrences of some terms in the utterances, M of them, that have any on either side."""

    row_M: npt.NDArray[np.intp]
    """The utterances, in order, each once."""
    reference_M: Counted
    heard_M: Counted
    found_M: Counted

    @property
    def missed(self) -> Ratio:
        return self.reference_M - self.found_M, self.reference_M

    @property
    def recall(self) -> Ratio:
        return self.found_M, self.reference_M

    @property
    def precision(self) -> Ratio:
        return self.found_M, self.heard_M

    @property
    def f1(self) -> Ratio:
        return 2 * self.found_M, self.reference_M + self.heard_M

    @property
    def inserted_M(self) -> Counted:
        return self.heard_M - self.found_M


@dataclass(frozen=True)
class TermTable:
    """T terms over N utterances: K entries, one for each utterance and term that meet on either side.

    A table of all N x T would grow with the square of the lexicon, whose sentences grow with it.
    """

    utterances: int
    """N."""
    row_K: npt.NDArray[np.intp]
    """The utterance of each entry; entries are in the order of their terms."""
    term_K: npt.NDArray[np.intp]
    """Its term, by its place in the list."""
    reference_K: Counted
    heard_K: Counted
    found_K: Counted
    instead: tuple[Counter[str], ...]
    """For each term the words recognised instead, and how often."""
    missed: tuple[tuple[int, ...], ...]
    """For each term the utterances in which it was missed."""

    def rows(self, terms: Sequence[int]) -> npt.NDArray[np.intp]:
        """The utterances that have any of these terms, on either side."""
        return np.unique(self.row_K[self._of_terms(terms)])

    def counts(self, terms: Sequence[int], row_M: npt.NDArray[np.intp]) -> TermCounts:
        """Of these terms together, in these utterances, which hold all of `rows`."""
        own = self._of_terms(terms)
        place_E = np.searchsorted(row_M, self.row_K[own])
        sums_3M = np.zeros((3, len(row_M)), np.int64)
        for place, values_K in enumerate((self.reference_K, self.heard_K, self.found_K)):
            np.add.at(sums_3M[place], place_E, values_K[own])
        return TermCounts(row_M, *sums_3M)

    def _of_terms(self, terms: Sequence[int]) -> npt.NDArray[np.intp] | slice:
        """Where the entries of these terms stand."""
        if len(terms) == 1:
            first, behind = np.searchsorted(self.term_K, [terms[0], terms[0] + 1]).tolist()
            return slice(first, behind)
        is_chosen_T = np.zeros(len(self.missed), bool)
        is_chosen_T[list(terms)] = True
        return np.flatnonzero(is_chosen_T[self.term_K])

    def of(self, rows: Sequence[int]) -> "TermTable":
        """The table of some utterances, each once; `instead` and `missed` stay those of all."""
        place_N = np.full(self.utterances, -1, np.intp)
        place_N[list(rows)] = np.arange(len(rows))
        is_kept_K = place_N[self.row_K] >= 0
        return TermTable(
            utterances=len(rows),
            row_K=place_N[self.row_K[is_kept_K]],
            term_K=self.term_K[is_kept_K],
            reference_K=self.reference_K[is_kept_K],
            heard_K=self.heard_K[is_kept_K],
            found_K=self.found_K[is_kept_K],
            instead=self.instead,
            missed=self.missed,
        )


def counts_of_both(before: TermTable, after: TermTable, terms: Sequence[int]) -> tuple[TermCounts, TermCounts]:
    """Of some terms in two tables of the same utterances, over the same rows: those that have any in either table."""
    row_M = np.union1d(before.rows(terms), after.rows(terms))
    return before.counts(terms, row_M), after.counts(terms, row_M)


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
    known = index_of(terms)
    entries: list[tuple[int, int, int, int, int]] = []
    instead: list[Counter[str]] = [Counter() for _ in terms]
    missed: list[list[int]] = [[] for _ in terms]
    for row, (reference, heard) in enumerate(pairs):
        for place, counted in match(known, reference, heard).items():
            entries.append((place, row, counted.reference, counted.heard, counted.found))
            if counted.instead and row not in hidden:
                instead[place].update(counted.instead)
                missed[place].append(row)
    term_K, row_K, reference_K, heard_K, found_K = np.array(sorted(entries), np.int64).reshape(-1, 5).T
    return TermTable(
        utterances=len(pairs),
        row_K=row_K,
        term_K=term_K,
        reference_K=reference_K,
        heard_K=heard_K,
        found_K=found_K,
        instead=tuple(instead),
        missed=tuple(tuple(rows) for rows in missed),
    )


def join(tables: Sequence[TermTable]) -> TermTable:
    """The tables of several test sets, for the same terms, as one."""
    term_count = len(tables[0].missed)
    instead: list[Counter[str]] = [Counter() for _ in range(term_count)]
    missed: list[list[int]] = [[] for _ in range(term_count)]
    rows: list[npt.NDArray[np.intp]] = []
    first_row = 0
    for table in tables:
        rows.append(table.row_K + first_row)
        for place in np.unique(table.term_K).tolist():
            instead[place].update(table.instead[place])
            missed[place] += [first_row + row for row in table.missed[place]]
        first_row += table.utterances
    term_K = np.concatenate([table.term_K for table in tables])
    order_K = np.argsort(term_K, kind="stable")
    return TermTable(
        utterances=first_row,
        row_K=np.concatenate(rows)[order_K],
        term_K=term_K[order_K],
        reference_K=np.concatenate([table.reference_K for table in tables])[order_K],
        heard_K=np.concatenate([table.heard_K for table in tables])[order_K],
        found_K=np.concatenate([table.found_K for table in tables])[order_K],
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
