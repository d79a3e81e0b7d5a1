"""The scores of a tuned model against its base, as they are written to JSON."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

SCORES = "scores.json"
"""In product 70: every figure of the run."""
GATE = "gate.json"
"""In product 70, written by `shoptalk gate`: its verdict; stale once the scores are made anew."""

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


class TermScores(Part):
    """Several terms, or one, over the utterances that a row is about."""

    error: Change
    """1 − recall."""
    recall: Change
    precision: Change
    f1: Change
    false_insertions: Change
    """False insertions: in the hypothesis, not at that place of the reference; per 1,000 reference words."""


class Significance(Part):
    """Whether a difference in word errors is one, and how large a test would have to be to tell."""

    p: float | None
    """Of no difference: NIST's matched-pairs test over clusters, two-sided; None with fewer than two clusters."""
    detectable: float | None
    """The difference in WER that this test would find 80 % of the time."""
    clusters_for_1_point: int | None
    """So many clusters would find a difference of 0.01 in WER 80 % of the time; None where nothing varied."""
    utterances_for_1_point: int | None


class SetScores(Part):
    """One test set; `before` and `after` are two recognisers on the same utterances."""

    utterances: int
    clusters: int
    """How many carriers or speakers the bootstrap drew from."""
    words: int
    minutes: float
    """Of audio; 0 where the manifest does not tell."""
    wer: Change
    cer: Change
    sentence_error: Change
    """Utterances with any word wrong."""
    case: Change
    """Correct words written with other capitals."""
    punctuation: Change
    """1 − F1 of punctuation marks behind correct words."""
    numbers: Change
    """Numbers, doses and units of the reference that the hypothesis has otherwise or not at all."""
    invented_numbers: Change
    """Numbers of the hypothesis that the reference does not have, per 1,000 reference words."""
    false_insertions: Change
    """False insertions of trained terms, per 1,000 reference words."""
    terms: TermScores | None = None
    """Held-out terms in ``untaught``, else trained ones; None if no reference has any."""
    significance: Significance


class Misheard(Part):
    words: str
    """What was recognised instead; empty: nothing."""
    count: int
    distance: float
    """`terms.phonetic_distance` to the term."""


class TermRow(Part):
    """One term: recall in its own set; precision and false insertions in all clean sets together."""

    id: str
    text: str
    category: str
    tier: str
    """Where its pronunciation came from: ``ipa`` (given), ``stem``, ``respelled``, or ``rules`` (eSpeak's)."""
    taught: bool
    known: bool | None
    """Whether the base's training text holds it; None: not looked up."""
    scores: TermScores
    instead_before: tuple[Misheard, ...]
    instead_after: tuple[Misheard, ...]
    missed: "Example | None"
    """A sentence in which the tuned model misses it; None: there is none to be shown."""


class Slice(Part):
    """A part of a set: the terms of a category or tier, or the utterances of a voice, accent, context or SNR."""

    by: Literal["category", "tier", "known", "voice", "accent", "context", "snr"]
    name: str
    """E.g. ``drug``, ``af_kore``, ``plan``, ``10 dB``, ``clean``."""
    set: str
    count: int
    """Terms (category, tier, known) or utterances."""
    wer: Change | None
    """None for slices by terms."""
    terms: TermScores | None


class Silence(Part):
    """Recordings in which nobody speaks: every recognised word is invented."""

    minutes: float
    words: Change
    """Words recognised per minute."""
    made_up: tuple[Misheard, ...]
    """What the tuned model recognised most often; `distance` is 0."""


class CalibrationBin(Part):
    low: float
    high: float
    words: int
    confidence: float
    """Mean, after the temperature."""
    right: float
    """The part of the words that is correct."""


class Calibration(Part):
    """Calibration of the tuned model's word confidences; temperature fitted on dev, scored on test."""

    temperature: float
    words: int
    raw_ece: float
    ece: float
    """Expected calibration error after the temperature."""
    auroc: float | None
    """How well low confidence finds wrong words; 0.5 is chance."""
    term_auroc: float | None
    """The same for the places of trained terms."""
    ranges: dict[str, tuple[float, float]] = {}
    """Intervals of the figures above, by name."""
    bins: tuple[CalibrationBin, ...]


class WordTimes(Part):
    """Errors of word times against known ones, in ms, of correct words."""

    words: int
    start_median: float
    start_p90: float
    end_median: float
    end_p90: float
    start_late_median: float
    """Signed: positive where words are placed too late."""
    ranges: dict[str, tuple[float, float]] = {}
    """Intervals of the figures above, by name."""


class Example(Part):
    """A sentence of the test: its reference and its two hypotheses."""

    id: str
    set: str
    kind: Literal["improved", "still wrong", "worse"]
    reference: str
    before: str
    after: str


class Other(Part):
    """Another recogniser on the same test: in its sets `before` is the other, `after` the tuned model."""

    name: str
    sets: dict[str, SetScores]
    speed: float | None
    """Audio seconds recognised per second on this machine; None for an endpoint."""


class Scores(Part):
    """Everything stage 70 knows; rates are fractions, insertions are per 1,000 words, silence is per minute."""

    sets: dict[str, SetScores]
    terms: tuple[TermRow, ...]
    slices: tuple[Slice, ...]
    others: tuple[Other, ...] = ()
    silence: Silence | None = None
    calibration: Calibration | None = None
    word_times: WordTimes | None = None
    speed_before: float | None = None
    """Audio seconds recognised per second."""
    speed_after: float | None = None
    examples: tuple[Example, ...]
    unfound: tuple[str, ...]
    """``utterance id: term id`` where an utterance names a term that its reference does not hold; not scored."""
    confidence: float
    bootstrap: int
    seed: int

    @property
    def utterances(self) -> int:
        return sum(test_set.utterances for test_set in self.sets.values())
