"""Word and character errors as counts, and the pairing of two models' hypotheses by id."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from shoptalk.errors import ScoringError
from shoptalk.records import Hypothesis
from shoptalk.text import characters, words

Chunk = tuple[str, int, int, int, int]
"""``equal | substitute | delete | insert``, then reference start and end, then heard start and end (half-open)."""


@dataclass(frozen=True)
class Counts:
    """Edits between a reference and what was heard, in words or in characters."""

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
        """Errors per reference word. An empty reference: 0 if nothing was heard, else infinite."""
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
        edits = {"substitute": 0, "delete": 0, "insert": 0, "equal": 0}
        for kind, start, end, heard_start, heard_end in self.chunks:
            edits[kind] += max(end - start, heard_end - heard_start)
        return Counts(edits["substitute"], edits["delete"], edits["insert"], len(self.reference))


@lru_cache(maxsize=65_536)
def align(reference: str, heard: str) -> Alignment:
    """The least edits, word by word, between two raw texts; either may be empty."""
    import jiwer

    reference_words, heard_words = words(reference), words(heard)
    output = jiwer.process_words(" ".join(reference_words), " ".join(heard_words))
    chunks = tuple(
        (chunk.type, chunk.ref_start_idx, chunk.ref_end_idx, chunk.hyp_start_idx, chunk.hyp_end_idx)
        for chunk in output.alignments[0]
    )
    return Alignment(tuple(reference_words), tuple(heard_words), chunks)


def count_words(reference: str, heard: str) -> Counts:
    """Word errors between two raw texts."""
    return align(reference, heard).counts


def count_characters(reference: str, heard: str) -> Counts:
    """Character errors between two raw texts, spaces counted, after `text.characters`."""
    import jiwer

    output = jiwer.process_characters(characters(reference), characters(heard))
    edits = output.substitutions, output.deletions, output.insertions
    return Counts(*edits, reference=output.hits + output.substitutions + output.deletions)


def total(counts: Iterable[Counts]) -> Counts:
    """The sum of counts; its rate is the rate of sums, never a mean of rates."""
    rows = [(one.substitutions, one.deletions, one.insertions, one.reference) for one in counts]
    return Counts(*(sum(column) for column in zip(*rows, strict=True))) if rows else Counts(0, 0, 0, 0)


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
    different = [key for key, one in left.items() if (one.reference, one.set) != (right[key].reference, right[key].set)]
    if different:
        raise ScoringError(f"one id, two references or sets: {_some(different)}; recognise the same test set again")
    return [(one, right[key]) for key, one in left.items()]


def _by_id(hypotheses: Iterable[Hypothesis], name: str) -> dict[str, Hypothesis]:
    found: dict[str, Hypothesis] = {}
    for one in hypotheses:
        if one.id in found:
            raise ScoringError(f"hypotheses {name} tuning: id {one.id!r} occurs twice; ids must be unique")
        found[one.id] = one
    return found


def _some(ids: Sequence[str], most: int = 10) -> str:
    return ", ".join(ids[:most]) + (f" and {len(ids) - most} more" if len(ids) > most else "")
