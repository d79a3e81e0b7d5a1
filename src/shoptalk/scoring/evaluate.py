"""Stage 70: from the hypotheses of the base, the tuned model and other recognisers to scores."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from shoptalk.core.errors import ScoringError
from shoptalk.core.recipe import EvaluateSection
from shoptalk.core.records import Hypothesis, Term
from shoptalk.core.scores import Misheard, Other, Scores, SetScores, Silence, TermRow
from shoptalk.core.sets import GENERAL, LONG, NOISY, SILENCE, TAUGHT, UNTAUGHT
from shoptalk.core.terms import occurrences, phonetic_distance
from shoptalk.core.text import Rules, words
from shoptalk.scoring import significance
from shoptalk.scoring.calibration import calibrate
from shoptalk.scoring.examples import example, examples
from shoptalk.scoring.rates import (
    Pairs,
    change,
    count_pairs,
    false_insertions,
    joined,
    ratio_change,
    term_scores,
    terms_of,
)
from shoptalk.scoring.slices import slices, tier
from shoptalk.scoring.wer import pair
from shoptalk.scoring.word_times import word_times

DOMAIN = (TAUGHT, UNTAUGHT, LONG, NOISY)
"""Sets whose words are counted by the clinical rules; all others by the leaderboard's."""
_ORDER = (TAUGHT, UNTAUGHT, GENERAL, LONG)

MISHEARD = 5
"""So many of the forms recognised instead of a term are kept."""


def evaluate(
    before: Iterable[Hypothesis],
    after: Iterable[Hypothesis],
    terms: Sequence[Term],
    config: EvaluateSection,
    *,
    seed: int,
    known: frozenset[str] | None = None,
    dev: Sequence[Hypothesis] = (),
) -> Scores:
    """Score the hypotheses of the base (`before`) against those of the tuned model (`after`) on the same utterances.

    `known` are the ids of the terms in the base's training text (see `terms.occurring`). `dev` are the tuned model's
    hypotheses of the dev set, on which the temperature of its confidence is fitted. `ScoringError`: the two sides do
    not pair by id, or there is nothing to score.
    """
    terms = sorted(terms, key=lambda term: (not term.taught, term.id))
    after = list(after)
    parts = _parts(pair(before, after), terms, config, seed)
    sets = {name: pairs for name, pairs in parts.items() if name not in (NOISY, SILENCE)}
    if not sets:
        raise ScoringError("no hypotheses to score")
    scored = [hypothesis for hypothesis in after if hypothesis.set in sets]
    hypotheses = {name: pairs.hypotheses for name, pairs in sets.items()}
    return Scores(
        sets={name: _set_scores(name, pairs, terms) for name, pairs in sets.items()},
        terms=tuple(_term_rows(terms, sets, known)),
        slices=tuple(slices(sets, parts.get(NOISY), terms, known)),
        silence=_silence(parts[SILENCE]) if SILENCE in parts else None,
        calibration=calibrate(dev, scored, terms, config, seed=seed),
        word_times=word_times(scored, config, seed=seed),
        examples=tuple(examples(hypotheses, private=config.report_private)),
        unfound=tuple(_unfound(scored, terms)),
        confidence=config.confidence,
        bootstrap=config.bootstrap,
        seed=seed,
    )


def compare(
    name: str,
    heard: Iterable[Hypothesis],
    tuned: Iterable[Hypothesis],
    terms: Sequence[Term],
    config: EvaluateSection,
    *,
    seed: int,
    speed: float | None,
) -> Other:
    """Another recogniser, whose hypotheses are `heard`, beside the tuned model on the same utterances."""
    by_id = {hypothesis.id: hypothesis for hypothesis in heard}
    tuned_too = [hypothesis for hypothesis in tuned if hypothesis.id in by_id]
    parts = _parts(pair(by_id.values(), tuned_too), terms, config, seed)
    sets = {set_name: _set_scores(set_name, pairs, terms) for set_name, pairs in parts.items()}
    return Other(name=name, sets=sets, speed=speed)


def _parts(
    pairs: Sequence[tuple[Hypothesis, Hypothesis]], terms: Sequence[Term], config: EvaluateSection, seed: int
) -> dict[str, Pairs]:
    """The utterances by test set, counted; the sets of every run first."""
    by_set: dict[str, list[tuple[Hypothesis, Hypothesis]]] = {}
    for before, after in pairs:
        by_set.setdefault(before.set, []).append((before, after))
    usual = [name for name in _ORDER if name in by_set]
    imported = sorted(by_set.keys() - set(_ORDER))
    parts: dict[str, Pairs] = {}
    for name in usual + imported:
        rules: Rules = "clinical" if name in DOMAIN else "leaderboard"
        parts[name] = count_pairs(by_set[name], terms, config, seed=seed, rules=rules)
    return parts


def _set_scores(name: str, pairs: Pairs, terms: Sequence[Term]) -> SetScores:
    counts_before, counts_after = pairs.counts
    errors_before_N, _ = counts_before.words
    errors_after_N, _ = counts_after.words
    seconds = sum(before.duration_s for before, _ in pairs.hypotheses)
    return SetScores(
        utterances=len(pairs.hypotheses),
        clusters=pairs.draws.count,
        words=int(pairs.reference_words_N.sum()),
        minutes=round(seconds / 60, 2),
        wer=change(pairs, "words"),
        cer=change(pairs, "characters"),
        sentence_error=change(pairs, "sentences", kind="proportion"),
        case=change(pairs, "case", kind="proportion"),
        punctuation=change(pairs, "punctuation", kind="proportion"),
        numbers=change(pairs, "numbers", kind="proportion"),
        invented_numbers=change(pairs, "invented_numbers", per=1_000),
        false_insertions=false_insertions(pairs, terms_of(TAUGHT, terms)),
        terms=term_scores(pairs, terms_of(name, terms)),
        significance=significance.power(
            errors_before_N,
            errors_after_N,
            pairs.reference_words_N,
            [before.drawn_with for before, _ in pairs.hypotheses],
            confidence=pairs.config.confidence,
        ),
    )


def home(term: Term) -> str:
    """The set in which a term's recall is measured."""
    return TAUGHT if term.taught else UNTAUGHT


def _term_rows(terms: Sequence[Term], sets: Mapping[str, Pairs], known: frozenset[str] | None) -> Iterable[TermRow]:
    everything = joined([pairs for name, pairs in sets.items() if name != LONG])
    for place, term in enumerate(terms):
        own = sets.get(home(term))
        scores = term_scores(own, [place], heard_in=everything) if own else None
        if own is None or scores is None:
            continue
        before, after = own.counts
        missed_rows = after.terms.missed[place]
        yield TermRow(
            id=term.id,
            text=term.text,
            category=term.category,
            tier=tier(term),
            taught=term.taught,
            known=None if known is None else term.id in known,
            scores=scores,
            instead_before=_misheard(term, before.terms.instead[place]),
            instead_after=_misheard(term, after.terms.instead[place]),
            missed=example(own.hypotheses[missed_rows[0]], "still wrong") if missed_rows else None,
        )


def _misheard(term: Term, instead: Counter[str]) -> tuple[Misheard, ...]:
    """The commonest forms recognised instead of a term."""
    forms: list[Misheard] = []
    for words_instead, count in _commonest(instead):
        distance = round(phonetic_distance(term.text, words_instead), 3)
        forms.append(Misheard(words=words_instead, count=count, distance=distance))
    return tuple(forms)


def _commonest(counted: Counter[str]) -> list[tuple[str, int]]:
    """The `MISHEARD` most frequent; of equally frequent ones the first in the alphabet."""
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:MISHEARD]


def _silence(pairs: Pairs) -> Silence:
    """Words per minute of recordings without speech, and the commonest of them."""
    seconds_N = pairs.seconds_N
    counts_before, counts_after = pairs.counts
    words_before_N, _ = counts_before.words
    words_after_N, _ = counts_after.words
    invented: Counter[str] = Counter()
    for _, after in pairs.hypotheses:
        invented.update(words(after.heard))
    commonest = [Misheard(words=word, count=count, distance=0.0) for word, count in _commonest(invented)]
    return Silence(
        minutes=round(float(seconds_N.sum()) / 60, 2),
        words=ratio_change((words_before_N, seconds_N), (words_after_N, seconds_N), pairs.draws, per=60),
        made_up=tuple(commonest),
    )


def _unfound(hypotheses: Sequence[Hypothesis], terms: Sequence[Term]) -> Iterable[str]:
    by_id = {term.id: term for term in terms}
    for hypothesis in hypotheses:
        for term_id in hypothesis.term_ids:
            if term_id in by_id and not occurrences(by_id[term_id], hypothesis.reference):
                yield f"{hypothesis.id}: {term_id}"
