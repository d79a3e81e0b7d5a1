"""Terms found again, missed and made up, each judged at the place where it stands in the reference."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shoptalk.records import Term
from shoptalk.scoring.wer import Alignment, align
from shoptalk.terms import occurrences, phonetic_distance

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


@dataclass(frozen=True)
class TermTable:
    """All terms over all utterances: counts of shape (N utterances, T terms)."""

    reference_NT: npt.NDArray[np.int64]
    heard_NT: npt.NDArray[np.int64]
    found_NT: npt.NDArray[np.int64]
    instead: tuple[Counter[str], ...]
    """For each term what was heard instead, and how often."""

    @property
    def inserted_NT(self) -> npt.NDArray[np.int64]:
        return self.heard_NT - self.found_NT


def match(term: Term, reference: str, heard: str) -> Match:
    """Count a term; an occurrence is found if the aligned words, with what was inserted beside them, hold it.

    Each occurrence heard answers for one of the reference, so a model that repeats or sprays a term gains no recall
    and loses precision.
    """
    expected = occurrences(term, reference)
    free = occurrences(term, heard)
    count = len(free)
    if not expected:
        return Match(0, count, 0)
    alignment = align(reference, heard)
    edges = _edges(alignment)
    instead = []
    for start, end in expected:
        low, high = edges[start][0], edges[end][1]
        here = next((span for span in free if span[0] < high and span[1] > low), None)
        if here is None:
            instead.append(_instead(alignment, edges, (start, end)))
        else:
            free.remove(here)
    return Match(len(expected), count, count - len(free), tuple(instead))


def tabulate(terms: Sequence[Term], pairs: Sequence[tuple[str, str]]) -> TermTable:
    """`match` for every term and every (reference, heard)."""
    shape = (len(pairs), len(terms))
    reference_NT, heard_NT, found_NT = (np.zeros(shape, np.int64) for _ in range(3))
    instead: tuple[Counter[str], ...] = tuple(Counter() for _ in terms)
    for row, (reference, heard) in enumerate(pairs):
        for column, term in enumerate(terms):
            one = match(term, reference, heard)
            reference_NT[row, column], heard_NT[row, column], found_NT[row, column] = (
                one.reference,
                one.heard,
                one.found,
            )
            instead[column].update(one.instead)
    return TermTable(reference_NT, heard_NT, found_NT, instead)


def join(tables: Sequence[TermTable]) -> TermTable:
    """The tables of several test sets, for the same terms, as one."""
    return TermTable(
        np.concatenate([one.reference_NT for one in tables]),
        np.concatenate([one.heard_NT for one in tables]),
        np.concatenate([one.found_NT for one in tables]),
        tuple(sum(counters, Counter()) for counters in zip(*(one.instead for one in tables), strict=True)),
    )


def _edges(alignment: Alignment) -> list[tuple[int, int]]:
    """For each boundary between reference words, the heard position before and after what was inserted there."""
    before = [0] * (len(alignment.reference) + 1)
    after = [len(alignment.heard)] * (len(alignment.reference) + 1)
    for kind, start, end, heard_start, heard_end in alignment.chunks:
        if kind == "insert":
            continue
        for offset in range(end - start):
            here = heard_start + (0 if kind == "delete" else offset)
            after[start + offset] = here
            before[start + offset + 1] = heard_end if kind == "delete" else here + 1
    return list(zip(before, after, strict=True))


def _instead(alignment: Alignment, edges: list[tuple[int, int]], span: tuple[int, int]) -> str:
    """Of the words heard at the place of a missed term, those that sound most like it: the rest is beside the point.

    The least edits say little about which of several wrong words stands for which, so sound decides.
    """
    low, high = edges[span[0]][0], edges[span[1]][1]
    wanted = " ".join(alignment.reference[slice(*span)])
    most = span[1] - span[0] + 3
    choices = [
        " ".join(alignment.heard[start:end])
        for start in range(low, high)
        for end in range(start + 1, min(start + most, high) + 1)
    ]
    return min(choices, key=lambda words: phonetic_distance(wanted, words)) if choices else NOTHING
