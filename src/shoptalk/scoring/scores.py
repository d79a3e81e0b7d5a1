"""The scores of a tuned model against its base, as they are written to JSON."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Verdict = Literal["better", "worse", "unclear"]


class Part(BaseModel):
    """Base of all parts of the scores: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Rate(Part):
    """A rate of sums with its bootstrap interval; None where there is nothing to divide by or one cluster only."""

    value: float | None
    low: float | None
    high: float | None
    count: int
    """What was counted: errors, occurrences found, insertions. Of a difference: after − before."""
    of: int | None = None
    """Out of how many words or occurrences; None for a difference."""


class Change(Part):
    """One rate before and after tuning, and the paired difference after − before."""

    before: Rate
    after: Rate
    difference: Rate
    verdict: Verdict
    """``better`` or ``worse`` only where the interval of the difference excludes 0."""


class SetScores(Part):
    """One test set."""

    utterances: int
    clusters: int
    """How many carriers or speakers the bootstrap drew from."""
    words: int
    wer: Change
    cer: Change
    false_insertions: Change
    """Taught terms heard where none was said, per 1,000 reference words."""
    term_error: Change | None = None
    """1 − recall of the terms the set is about: taught in ``taught``, untaught in ``untaught``; None in ``general``."""
    recall: Change | None = None
    precision: Change | None = None


class Misheard(Part):
    words: str
    """What was heard instead; empty: nothing."""
    count: int
    distance: float
    """`terms.phonetic_distance` to the term."""


class TermRow(Part):
    """One term: recall in its own set; precision and false insertions in all sets together."""

    id: str
    text: str
    category: str
    taught: bool
    known: bool | None
    """Whether the base's training text holds it; None: not looked up."""
    recall: Change
    precision: Change
    false_insertions: Change
    """Per 1,000 reference words of all sets."""
    instead_before: tuple[Misheard, ...]
    instead_after: tuple[Misheard, ...]


class GroupRow(Part):
    """Several terms together: a category, or those (un)known to the base."""

    name: str
    taught: bool
    terms: int
    term_error: Change
    recall: Change
    precision: Change


class Example(Part):
    """A sentence of the test, as written and as heard."""

    id: str
    set: str
    kind: Literal["improved", "still wrong", "worse"]
    reference: str
    before: str
    after: str


class Scores(Part):
    """Everything stage 70 knows; rates are fractions, false insertions are per 1,000 words."""

    sets: dict[str, SetScores]
    terms: tuple[TermRow, ...]
    categories: tuple[GroupRow, ...]
    knowledge: tuple[GroupRow, ...]
    examples: tuple[Example, ...]
    unfound: tuple[str, ...]
    """``utterance id: term id`` where an utterance names a term that its reference does not hold; not scored."""
    confidence: float
    bootstrap: int
    seed: int

    @property
    def utterances(self) -> int:
        return sum(one.utterances for one in self.sets.values())
