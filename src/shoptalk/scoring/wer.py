"""Word and character errors as counts, and the pairing of two models' hypotheses by id.

The edits are those of rapidfuzz, jiwer's own core, and so jiwer's counts to the last substitution; or sclite's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein

from shoptalk.core.errors import ScoringError
from shoptalk.core.records import Hypothesis
from shoptalk.core.text import Rules, characters, words

Chunk = tuple[str, int, int, int, int]
"""``equal | substitute | delete | insert``, then reference start and end, then hypothesis start and end (half-open)."""

Edits = Literal["levenshtein", "sclite"]
"""Which of the alignments is counted: the fewest edits, as jiwer does; or NIST sclite's, which prefers a deletion and
an insertion beside a right word to two substitutions, and so may count more errors, never fewer."""

_GAP, _SUBSTITUTION = 3, 4
"""sclite's cost of a deletion or an insertion, and of a substitution (its manual, "Alignment")."""


class Counts(NamedTuple):
    """Edits between a reference and a hypothesis, in words or in characters."""

    substitutions: int
    deletions: int
    insertions: int
    reference: int
    """Words or characters of the reference."""

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per reference word. An empty reference: 0 for an empty hypothesis, else infinite."""
        if self.reference:
            return self.errors / self.reference
        return float("inf") if self.errors else 0.0


@dataclass(frozen=True)
class Alignment:
    """Two texts as lists of words, and how the one is edited into the other."""

    reference: tuple[str, ...]
    heard: tuple[str, ...]
    chunks: tuple[Chunk, ...]

    @property
    def counts(self) -> Counts:
        """The edits in words."""
        return _counts_of(self.chunks, len(self.reference))

    @property
    def edges(self) -> list[tuple[int, int]]:
        """For each boundary between reference words, the hypothesis position before and after insertions there."""
        before = [0] * (len(self.reference) + 1)
        after = [len(self.heard)] * (len(self.reference) + 1)
        for kind, start, end, heard_start, heard_end in self.chunks:
            if kind == "insert":
                continue
            for offset in range(end - start):
                here = heard_start + (0 if kind == "delete" else offset)
                after[start + offset] = here
                before[start + offset + 1] = heard_end if kind == "delete" else here + 1
        return list(zip(before, after, strict=True))


@lru_cache(maxsize=65_536)
def align(reference: str, heard: str, *, rules: Rules = "clinical", edits: Edits = "levenshtein") -> Alignment:
    """The edits, word by word, between two raw texts; either may be empty."""
    reference_words, heard_words = words(reference, rules), words(heard, rules)
    return Alignment(tuple(reference_words), tuple(heard_words), _CHUNKS[edits](reference_words, heard_words))


def count_words(reference: str, heard: str, *, rules: Rules = "clinical", edits: Edits = "levenshtein") -> Counts:
    """Word errors between two raw texts."""
    return align(reference, heard, rules=rules, edits=edits).counts


def count_characters(reference: str, heard: str, *, rules: Rules = "clinical", edits: Edits = "levenshtein") -> Counts:
    """Character errors between two raw texts, spaces counted, after `text.characters`."""
    both = characters(reference, rules), characters(heard, rules)
    return _counts_of(_CHUNKS[edits](*both), len(both[0]))


def count_all(
    pairs: Iterable[tuple[Sequence[str], Sequence[str]]], *, edits: Edits = "levenshtein"
) -> npt.NDArray[np.int64]:
    """Counts of N pairs (reference, hypothesis) of lists of words, shape (N, 4): a row has the fields of `Counts`.

    An array, because making 100,000 objects takes as long as finding their edits (benchmarks/wer_speed.py). Pairs may
    come from a generator: they are not kept.
    """
    if edits == "sclite":
        rows = [_counts_of(_sclite(reference, heard), len(reference)) for reference, heard in pairs]
        return np.array(rows, dtype=np.int64).reshape(-1, 4)
    edits_by_pair = [Levenshtein.editops(reference, heard) for reference, heard in pairs]
    edits_N = np.array([len(editops) for editops in edits_by_pair], dtype=np.int64)
    reference_N = np.array([editops.src_len for editops in edits_by_pair], dtype=np.int64)
    longer_N = np.array([editops.dest_len for editops in edits_by_pair], dtype=np.int64) - reference_N
    # Insertions less deletions is known. Of the edits beyond it, one is a substitution; two or more are to be looked
    # at, for instead of two substitutions they may be a deletion and an insertion.
    substitutions_N = edits_N - abs(longer_N)
    for place in np.flatnonzero(substitutions_N > 1).tolist():
        substitutions_N[place] = [edit.tag for edit in edits_by_pair[place]].count("replace")
    deletions_N = (edits_N - substitutions_N - longer_N) // 2
    return np.stack([substitutions_N, deletions_N, deletions_N + longer_N, reference_N], axis=1)


def _counts_of(chunks: Iterable[Chunk], reference: int) -> Counts:
    edits = {"substitute": 0, "delete": 0, "insert": 0, "equal": 0}
    for kind, start, end, heard_start, heard_end in chunks:
        edits[kind] += max(end - start, heard_end - heard_start)
    return Counts(edits["substitute"], edits["delete"], edits["insert"], reference)


def _levenshtein(reference: Sequence[str], heard: Sequence[str]) -> tuple[Chunk, ...]:
    chunks: list[Chunk] = []
    for opcode in Levenshtein.opcodes(reference, heard):
        kind = "substitute" if opcode.tag == "replace" else opcode.tag
        chunks.append((kind, opcode.src_start, opcode.src_end, opcode.dest_start, opcode.dest_end))
    return tuple(chunks)


def _sclite(reference: Sequence[str], heard: Sequence[str]) -> tuple[Chunk, ...]:
    """The cheapest alignment, found from the end: of equals a pair of words goes before an insertion, that before a
    deletion. So does sclite 2.10, whose alignments tests/scoring/golden holds."""
    cost, row, column = _costs(reference, heard), len(reference), len(heard)
    kinds: list[str] = []
    while row or column:
        here = cost[row][column]
        same = row and column and reference[row - 1] == heard[column - 1]
        if row and column and here == cost[row - 1][column - 1] + (0 if same else _SUBSTITUTION):
            kinds.append("equal" if same else "substitute")
            row, column = row - 1, column - 1
        elif column and here == cost[row][column - 1] + _GAP:
            kinds.append("insert")
            column -= 1
        else:
            kinds.append("delete")
            row -= 1
    chunks: list[Chunk] = []
    for kind, run in groupby(reversed(kinds)):
        start, length = (row, column), len(list(run))
        row += length if kind != "insert" else 0
        column += length if kind != "delete" else 0
        chunks.append((kind, start[0], row, start[1], column))
    return tuple(chunks)


def _costs(reference: Sequence[str], heard: Sequence[str]) -> list[list[int]]:
    """The least cost of editing each beginning of the reference into each beginning of the hypothesis."""
    table = [[_GAP * column for column in range(len(heard) + 1)]]
    for word in reference:
        above, row = table[-1], [table[-1][0] + _GAP]
        for column, other in enumerate(heard):
            paired = above[column] + (0 if word == other else _SUBSTITUTION)
            row.append(min(paired, above[column + 1] + _GAP, row[column] + _GAP))
        table.append(row)
    return table


_CHUNKS = {"levenshtein": _levenshtein, "sclite": _sclite}


def total(counts: Iterable[Counts]) -> Counts:
    """The sum of counts; its rate is the rate of sums, never a mean of rates."""
    return Counts(*map(sum, zip(Counts(0, 0, 0, 0), *counts, strict=True)))


def pair(before: Iterable[Hypothesis], after: Iterable[Hypothesis]) -> list[tuple[Hypothesis, Hypothesis]]:
    """Two models' hypotheses by id, in the order of `before`.

    `ScoringError`: an id twice, an id that only one side has (they are listed), or one id with two references.
    """
    left, right = _by_id(before, "before"), _by_id(after, "after")
    problems = []
    for name, missing in (("after", left.keys() - right.keys()), ("before", right.keys() - left.keys())):
        if missing:
            problems.append(f"{len(missing)} missing {name} tuning: {_some(sorted(missing))}")
    if problems:
        raise ScoringError(f"hypotheses do not pair: {'; '.join(problems)}; recognise one test set with both models")
    different: list[str] = []
    for key, hypothesis in left.items():
        other = right[key]
        if (hypothesis.reference, hypothesis.set) != (other.reference, other.set):
            different.append(key)
    if different:
        raise ScoringError(f"one id, two references or sets: {_some(different)}; recognise the same test set again")
    return [(hypothesis, right[key]) for key, hypothesis in left.items()]


def _by_id(hypotheses: Iterable[Hypothesis], name: str) -> dict[str, Hypothesis]:
    by_id: dict[str, Hypothesis] = {}
    for hypothesis in hypotheses:
        if hypothesis.id in by_id:
            raise ScoringError(f"hypotheses {name} tuning: id {hypothesis.id!r} occurs twice; ids must be unique")
        by_id[hypothesis.id] = hypothesis
    return by_id


def _some(ids: Sequence[str], most: int = 10) -> str:
    return ", ".join(ids[:most]) + (f" and {len(ids) - most} more" if len(ids) > most else "")
