"""What two recognisers made of the same utterances, counted once, and any rate of it with its paired interval.

Shapes: N utterances, T terms.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from shoptalk.core.recipe import EvaluateSection
from shoptalk.core.records import Hypothesis, Term
from shoptalk.core.scores import Change, Rate, TermScores, Verdict
from shoptalk.core.sets import UNTAUGHT
from shoptalk.core.text import Rules
from shoptalk.scoring import quantities, writing
from shoptalk.scoring.bootstrap import Draws, Exposure, Interval, Kind, Places, draw, exposure, paired, paired_exposed
from shoptalk.scoring.term_scores import Counted, Ratio, TermTable, counts_of_both, join, tabulate
from shoptalk.scoring.wer import count_characters, count_words

ROUNDING = 1e-9
"""A bound nearer to 0 than this part of the other bound is 0 but for rounding."""

Name = Literal["words", "characters", "sentences", "case", "punctuation", "numbers", "invented_numbers"]
"""What is counted beside terms. The rate of punctuation is 1 − F1 as a ratio of sums: marks of reference and hypothesis
without a partner, over all marks of both."""


@dataclass(frozen=True)
class Counts:
    """What one recogniser did, utterance by utterance."""

    ratios: Mapping[Name, Ratio]
    terms: TermTable

    @property
    def words(self) -> Ratio:
        return self.ratios["words"]

    def of(self, rows: Sequence[int]) -> "Counts":
        """The counts of some utterances."""
        chosen = list(rows)
        ratios = {name: (above_N[chosen], below_N[chosen]) for name, (above_N, below_N) in self.ratios.items()}
        return Counts(ratios, self.terms.of(rows))


@dataclass(frozen=True)
class Pairs:
    """Two recognisers on the same utterances."""

    hypotheses: Sequence[tuple[Hypothesis, Hypothesis]]
    counts: tuple[Counts, Counts]
    draws: Draws
    config: EvaluateSection
    seed: int

    @property
    def reference_words_N(self) -> Counted:
        return self.counts[0].words[1]

    @cached_property
    def exposure(self) -> Exposure:
        """The reference words as the denominator of many rates."""
        return exposure(self.reference_words_N, self.draws)

    @property
    def seconds_N(self) -> Counted:
        """Lengths of the recordings, in whole seconds."""
        return np.array([round(before.duration_s) for before, _ in self.hypotheses], np.int64)

    def of(self, rows: Sequence[int]) -> "Pairs":
        """Some of the utterances."""
        chosen = [self.hypotheses[row] for row in rows]
        before, after = self.counts
        draws = _draws(chosen, self.config, self.seed)
        return Pairs(chosen, (before.of(rows), after.of(rows)), draws, self.config, self.seed)


def count_pairs(
    pairs: Sequence[tuple[Hypothesis, Hypothesis]],
    terms: Sequence[Term],
    config: EvaluateSection,
    *,
    seed: int,
    rules: Rules,
) -> Pairs:
    """Count everything in some utterances; words and characters by `rules`, all else by the clinical ones."""
    before = _count([hypothesis_before for hypothesis_before, _ in pairs], terms, config, rules)
    after = _count([hypothesis_after for _, hypothesis_after in pairs], terms, config, rules)
    return Pairs(pairs, (before, after), _draws(pairs, config, seed), config, seed)


def joined(parts: Sequence[Pairs]) -> Pairs:
    """The utterances of several test sets, counted as each set was, as one."""
    pairs: list[tuple[Hypothesis, Hypothesis]] = []
    for part in parts:
        pairs += part.hypotheses
    before = _joined([part.counts[0] for part in parts])
    after = _joined([part.counts[1] for part in parts])
    first = parts[0]
    return Pairs(pairs, (before, after), _draws(pairs, first.config, first.seed), first.config, first.seed)


def _joined(parts: Sequence[Counts]) -> Counts:
    ratios: dict[Name, Ratio] = {}
    for name in parts[0].ratios:
        numerators = [part.ratios[name][0] for part in parts]
        denominators = [part.ratios[name][1] for part in parts]
        ratios[name] = (np.concatenate(numerators), np.concatenate(denominators))
    return Counts(ratios, join([part.terms for part in parts]))


def _count(hypotheses: Sequence[Hypothesis], terms: Sequence[Term], config: EvaluateSection, rules: Rules) -> Counts:
    texts = [(hypothesis.reference, hypothesis.heard) for hypothesis in hypotheses]
    words = [count_words(*pair, rules=rules) for pair in texts]
    letters = [count_characters(*pair, rules=rules) for pair in texts]
    written = [writing.count(*pair) for pair in texts]
    numbers = [quantities.count(*pair) for pair in texts]

    reference_words_N = _column(count.reference for count in words)
    marks_N = _column(count.marks_said + count.marks_heard for count in written)
    unpaired_marks_N = marks_N - 2 * _column(count.marks_right for count in written)
    ratios: dict[Name, Ratio] = {
        "words": (_column(count.errors for count in words), reference_words_N),
        "characters": (_column(count.errors for count in letters), _column(count.reference for count in letters)),
        "sentences": (_column(count.errors > 0 for count in words), np.ones(len(words), np.int64)),
        "case": (_column(count.miscased for count in written), _column(count.matched for count in written)),
        "punctuation": (unpaired_marks_N, marks_N),
        "numbers": (_column(count.wrong for count in numbers), _column(count.said for count in numbers)),
        "invented_numbers": (_column(count.invented for count in numbers), reference_words_N),
    }
    hidden: set[int] = set()
    if not config.report_private:
        hidden = {row for row, hypothesis in enumerate(hypotheses) if hypothesis.patient}
    return Counts(ratios, tabulate(terms, texts, hidden=frozenset(hidden)))


def _column(counts: Iterable[int]) -> Counted:
    return np.fromiter(counts, np.int64)


def _draws(pairs: Sequence[tuple[Hypothesis, Hypothesis]], config: EvaluateSection, seed: int) -> Draws:
    clusters = [before.drawn_with for before, _ in pairs]
    return draw(clusters, draws=config.bootstrap, confidence=config.confidence, seed=seed)


def change(pairs: Pairs, name: Name, *, kind: Kind = "ratio", per: int = 1) -> Change:
    """The change of one of the ratios of `Counts`; the rate is in `per` of the denominator."""
    before, after = pairs.counts
    return ratio_change(before.ratios[name], after.ratios[name], pairs.draws, kind=kind, per=per)


def ratio_change(
    before: Ratio,
    after: Ratio,
    draws: Draws,
    *,
    kind: Kind = "ratio",
    per: float = 1,
    rising: bool = False,
    rows: Places | None = None,
) -> Change:
    """`per`: the rate is in so many of the denominator. `rising`: more is better. `rows`: as `paired` takes them."""
    intervals = paired(before, after, draws, kind=kind, per=per, rows=rows)
    totals = [(int(numerators.sum()), int(denominators.sum())) for numerators, denominators in (before, after)]
    return _as_change(intervals, totals, rising)


def _as_change(intervals: Sequence[Interval], totals: Sequence[tuple[int, int]], rising: bool) -> Change:
    """Of the intervals before, after and of the difference, and of both sides' sums."""
    before, after, difference = intervals
    count_before, count_after = totals[0][0], totals[1][0]
    return Change(
        before=_as_rate(before, *totals[0]),
        after=_as_rate(after, *totals[1]),
        difference=_as_rate(difference, count_after - count_before, None),
        verdict=_verdict(difference, rising),
    )


def _as_rate(interval: Interval, count: int, of: int | None) -> Rate:
    return Rate(value=interval.value, low=interval.low, high=interval.high, count=count, of=of)


def _verdict(difference: Interval, rising: bool) -> Verdict:
    if difference.low is None or difference.high is None:
        return "unclear"
    rounding = ROUNDING * max(abs(difference.low), abs(difference.high))
    if difference.low > rounding:
        return "better" if rising else "worse"
    if difference.high < -rounding:
        return "worse" if rising else "better"
    return "unclear"


def term_scores(own: Pairs, chosen: Sequence[int], *, heard_in: Pairs | None = None) -> TermScores | None:
    """Scores of the `chosen` terms; None where no reference of `own` has one of them.

    Recall is that of `own`. Precision, F1 and insertions are those of `heard_in`, or of `own` if that is None.
    """
    before, after = counts_of_both(own.counts[0].terms, own.counts[1].terms, chosen)
    if not before.reference_M.any():
        return None
    rows = before.row_M
    error = ratio_change(before.missed, after.missed, own.draws, kind="proportion", rows=rows)
    recall = ratio_change(before.recall, after.recall, own.draws, kind="proportion", rising=True, rows=rows)

    wide = heard_in or own
    before, after = counts_of_both(wide.counts[0].terms, wide.counts[1].terms, chosen)
    rows = before.row_M
    precision = ratio_change(before.precision, after.precision, wide.draws, kind="proportion", rising=True, rows=rows)
    f1 = ratio_change(before.f1, after.f1, wide.draws, kind="proportion", rising=True, rows=rows)
    insertions = false_insertions(wide, chosen)
    return TermScores(error=error, recall=recall, precision=precision, f1=f1, false_insertions=insertions)


def terms_of(name: str, terms: Sequence[Term]) -> list[int]:
    """Places of the terms that a test set is about: the held-out ones in ``untaught``, else the trained ones."""
    trained = name != UNTAUGHT
    return [place for place, term in enumerate(terms) if term.taught == trained]


def false_insertions(pairs: Pairs, chosen: Sequence[int]) -> Change:
    """Of the chosen terms, per 1,000 reference words."""
    before, after = counts_of_both(pairs.counts[0].terms, pairs.counts[1].terms, chosen)
    numerators = before.inserted_M, after.inserted_M
    intervals = paired_exposed(*numerators, pairs.exposure, rows=before.row_M, per=1_000)
    of = int(pairs.reference_words_N.sum())
    return _as_change(intervals, [(int(inserted_M.sum()), of) for inserted_M in numerators], rising=False)
