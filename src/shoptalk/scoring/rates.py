"""What two recognisers made of the same utterances, counted once, and any rate of it with its paired interval.

Shapes: N utterances, T terms.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from shoptalk.core.recipe import EvaluateSection
from shoptalk.core.records import Hypothesis, Term
from shoptalk.core.scores import Change, Rate, TermScores, Verdict
from shoptalk.core.sets import UNTAUGHT
from shoptalk.core.text import Rules
from shoptalk.scoring import quantities, writing
from shoptalk.scoring.bootstrap import Draws, Interval, Kind, draw, paired
from shoptalk.scoring.term_scores import TermTable, join, tabulate
from shoptalk.scoring.wer import count_characters, count_words

Counted = npt.NDArray[np.int64]
Ratio = tuple[Counted, Counted]
"""Numerators and denominators, each (N,)."""
ROUNDING = 1e-9
"""A bound nearer to 0 than this part of the other bound is 0 but for rounding."""

Name = Literal["words", "characters", "sentences", "case", "punctuation", "numbers", "invented_numbers"]
"""What is counted beside terms: errors, and what they are counted in. Of punctuation, 1 − F1 as a ratio of sums: marks
said or heard that have no partner, over all marks said and heard."""


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

    @property
    def seconds_N(self) -> Counted:
        """Lengths of the recordings, in whole seconds."""
        return np.array([round(one.duration_s) for one, _ in self.hypotheses], np.int64)

    def of(self, rows: Sequence[int]) -> "Pairs":
        """Some of the utterances."""
        chosen = [self.hypotheses[row] for row in rows]
        before, after = (one.of(rows) for one in self.counts)
        return Pairs(chosen, (before, after), _draws(chosen, self.config, self.seed), self.config, self.seed)


def count_pairs(
    pairs: Sequence[tuple[Hypothesis, Hypothesis]],
    terms: Sequence[Term],
    config: EvaluateSection,
    *,
    seed: int,
    rules: Rules,
) -> Pairs:
    """Count everything in some utterances; words and characters by `rules`, all else by the clinical ones."""
    before, after = (_count([both[side] for both in pairs], terms, config, rules) for side in (0, 1))
    return Pairs(pairs, (before, after), _draws(pairs, config, seed), config, seed)


def joined(parts: Sequence[Pairs]) -> Pairs:
    """The utterances of several test sets, counted as each set was, as one."""
    pairs = [both for one in parts for both in one.hypotheses]
    before, after = (_joined([one.counts[side] for one in parts]) for side in (0, 1))
    first = parts[0]
    return Pairs(pairs, (before, after), _draws(pairs, first.config, first.seed), first.config, first.seed)


def _joined(counts: Sequence[Counts]) -> Counts:
    ratios = {
        name: (
            np.concatenate([one.ratios[name][0] for one in counts]),
            np.concatenate([one.ratios[name][1] for one in counts]),
        )
        for name in counts[0].ratios
    }
    return Counts(ratios, join([one.terms for one in counts]))


def _count(heard: Sequence[Hypothesis], terms: Sequence[Term], config: EvaluateSection, rules: Rules) -> Counts:
    texts = [(one.reference, one.heard) for one in heard]
    words = [count_words(*text, rules=rules) for text in texts]
    letters = [count_characters(*text, rules=rules) for text in texts]
    written = [writing.count(*text) for text in texts]
    numbers = [quantities.count(*text) for text in texts]
    reference_N = _column(one.reference for one in words)
    hidden = frozenset() if config.report_private else frozenset(row for row, one in enumerate(heard) if one.patient)
    ratios: dict[Name, Ratio] = {
        "words": (_column(one.errors for one in words), reference_N),
        "characters": (_column(one.errors for one in letters), _column(one.reference for one in letters)),
        "sentences": (_column(one.errors > 0 for one in words), np.ones(len(words), np.int64)),
        "case": (_column(one.miscased for one in written), _column(one.matched for one in written)),
        "punctuation": (
            _column(one.marks_said + one.marks_heard - 2 * one.marks_right for one in written),
            _column(one.marks_said + one.marks_heard for one in written),
        ),
        "numbers": (_column(one.wrong for one in numbers), _column(one.said for one in numbers)),
        "invented_numbers": (_column(one.invented for one in numbers), reference_N),
    }
    return Counts(ratios, tabulate(terms, texts, hidden=hidden))


def _column(counts: Iterable[int]) -> Counted:
    return np.fromiter(counts, np.int64)


def _draws(pairs: Sequence[tuple[Hypothesis, Hypothesis]], config: EvaluateSection, seed: int) -> Draws:
    clusters = [one.drawn_with for one, _ in pairs]
    return draw(clusters, draws=config.bootstrap, confidence=config.confidence, seed=seed)


def change(pairs: Pairs, name: Name, *, kind: Kind = "ratio", per: int = 1) -> Change:
    """The change of one of the ratios of `Counts`; the rate is in `per` of the denominator."""
    before, after = (one.ratios[name] for one in pairs.counts)
    return ratio_change(before, after, pairs.draws, kind=kind, per=per)


def ratio_change(
    before: Ratio, after: Ratio, draws: Draws, *, kind: Kind = "ratio", per: float = 1, rising: bool = False
) -> Change:
    """`per`: the rate is in so many of the denominator. `rising`: more is better."""
    interval_before, interval_after, difference = paired(before, after, draws, kind=kind, per=per)
    count_before, count_after = int(before[0].sum()), int(after[0].sum())
    return Change(
        before=_as_rate(interval_before, count_before, int(before[1].sum())),
        after=_as_rate(interval_after, count_after, int(after[1].sum())),
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
    """Scores of the `chosen` terms: recall in `own`, precision, F1 and insertions in `heard_in` (as `own` if None).

    None where none of the terms is said in `own`.
    """
    if not own.counts[0].terms.reference_NT[:, chosen].any():
        return None
    said = [_term_columns(one.terms, chosen) for one in own.counts]
    wide = heard_in or own
    heard = [_term_columns(one.terms, chosen) for one in wide.counts]
    return TermScores(
        error=_terms_change([(said_N - found_N, said_N) for said_N, _, found_N in said], own.draws),
        recall=_terms_change([(found_N, said_N) for said_N, _, found_N in said], own.draws, rising=True),
        precision=_terms_change([(found_N, heard_N) for _, heard_N, found_N in heard], wide.draws, rising=True),
        f1=_terms_change([(2 * found_N, said_N + heard_N) for said_N, heard_N, found_N in heard], wide.draws,
                         rising=True),
        false_insertions=false_insertions(wide, chosen),
    )  # fmt: skip


def terms_of(name: str, terms: Sequence[Term]) -> list[int]:
    """Places of the terms that a test set is about: the untaught ones in ``untaught``, else the taught ones."""
    return [place for place, term in enumerate(terms) if term.taught == (name != UNTAUGHT)]


def _term_columns(table: TermTable, chosen: Sequence[int]) -> tuple[Counted, Counted, Counted]:
    """Said, heard and found, each (N,)."""
    said_N, heard_N, found_N = (one[:, chosen].sum(1) for one in (table.reference_NT, table.heard_NT, table.found_NT))
    return said_N, heard_N, found_N


def _terms_change(sides: Sequence[Ratio], draws: Draws, *, rising: bool = False) -> Change:
    return ratio_change(sides[0], sides[1], draws, kind="proportion", rising=rising)


def false_insertions(pairs: Pairs, chosen: Sequence[int]) -> Change:
    """Of the chosen terms, per 1,000 reference words."""
    before, after = (
        (one.terms.inserted_NT[:, chosen].sum(1), pairs.reference_words_N) for one in pairs.counts
    )  # fmt: skip
    return ratio_change(before, after, pairs.draws, per=1_000)
