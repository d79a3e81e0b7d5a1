"""Stage 70: from the hypotheses of the base, the tuned model and other recognisers to scores."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from shoptalk.core.errors import ScoringError
from shoptalk.core.recipe import EvaluateSection
from shoptalk.core.records import Hypothesis, Term
from shoptalk.core.scores import Misheard, Other, Scores, SetScores, Silence, TermRow
from shoptalk.core.sets import GENERAL, LONG, NOISY, SILENCE, TAUGHT, UNTAUGHT
from shoptalk.core.terms import occurrences, phonetic_distance
from shoptalk.core.text import words
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
"""So many of the forms heard instead of a term are kept."""


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
    """Score what the base heard (`before`) against what the tuned model heard (`after`) on the same utterances.

    `known` are the ids of the terms that stand in the base's training text (see `terms.occurring`); `dev` is what the
    tuned model heard in dev, on which the temperature of its confidence is fitted. `ScoringError`: the two sides do
    not pair by id, or there is nothing to score.
    """
    terms = sorted(terms, key=lambda term: (not term.taught, term.id))
    after = list(after)
    parts = _parts(pair(before, after), terms, config, seed)
    sets = {name: one for name, one in parts.items() if name not in (NOISY, SILENCE)}
    if not sets:
        raise ScoringError("no hypotheses to score")
    scored = [one for one in after if one.set in sets]
    return Scores(
        sets={name: _set_scores(name, one, terms) for name, one in sets.items()},
        terms=tuple(_term_rows(terms, sets, known)),
        slices=tuple(slices(sets, parts.get(NOISY), terms, known)),
        silence=_silence(parts[SILENCE]) if SILENCE in parts else None,
        calibration=calibrate(dev, scored, terms, config, seed=seed),
        word_times=word_times(scored, config, seed=seed),
        examples=tuple(examples({name: one.hypotheses for name, one in sets.items()}, private=config.report_private)),
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
    """Another recogniser beside the tuned model, on the utterances that it heard."""
    by_id = {one.id: one for one in heard}
    parts = _parts(pair(by_id.values(), (one for one in tuned if one.id in by_id)), terms, config, seed)
    return Other(name=name, sets={key: _set_scores(key, one, terms) for key, one in parts.items()}, speed=speed)


def _parts(
    pairs: Sequence[tuple[Hypothesis, Hypothesis]], terms: Sequence[Term], config: EvaluateSection, seed: int
) -> dict[str, Pairs]:
    """The utterances by test set, counted; the sets of every run first."""
    by_set: dict[str, list[tuple[Hypothesis, Hypothesis]]] = {}
    for both in pairs:
        by_set.setdefault(both[0].set, []).append(both)
    names = [name for name in _ORDER if name in by_set] + sorted(by_set.keys() - set(_ORDER))
    return {
        name: count_pairs(by_set[name], terms, config, seed=seed, rules="clinical" if name in DOMAIN else "leaderboard")
        for name in names
    }


def _set_scores(name: str, pairs: Pairs, terms: Sequence[Term]) -> SetScores:
    errors = [one.words[0] for one in pairs.counts]
    clusters = [one.drawn_with for one, _ in pairs.hypotheses]
    return SetScores(
        utterances=len(pairs.hypotheses),
        clusters=pairs.draws.count,
        words=int(pairs.reference_words_N.sum()),
        minutes=round(sum(one.duration_s for one, _ in pairs.hypotheses) / 60, 2),
        wer=change(pairs, "words"),
        cer=change(pairs, "characters"),
        sentence_error=change(pairs, "sentences", kind="proportion"),
        case=change(pairs, "case", kind="proportion"),
        punctuation=change(pairs, "punctuation", kind="proportion"),
        numbers=change(pairs, "numbers", kind="proportion"),
        invented_numbers=change(pairs, "invented_numbers", per=1_000),
        false_insertions=false_insertions(pairs, terms_of(TAUGHT, terms)),
        terms=term_scores(pairs, terms_of(name, terms)),
        significance=significance.power(errors[0], errors[1], pairs.reference_words_N, clusters,
                                        confidence=pairs.config.confidence),
    )  # fmt: skip


def home(term: Term) -> str:
    """The set in which a term's recall is measured."""
    return TAUGHT if term.taught else UNTAUGHT


def _term_rows(terms: Sequence[Term], sets: Mapping[str, Pairs], known: frozenset[str] | None) -> Iterable[TermRow]:
    everything = joined([one for name, one in sets.items() if name != LONG])
    for place, term in enumerate(terms):
        own = sets.get(home(term))
        scores = term_scores(own, [place], heard_in=everything) if own else None
        if own is None or scores is None:
            continue
        before, after = (one.terms for one in own.counts)
        yield TermRow(
            id=term.id,
            text=term.text,
            category=term.category,
            tier=tier(term),
            taught=term.taught,
            known=None if known is None else term.id in known,
            scores=scores,
            instead_before=_misheard(term, before.instead[place]),
            instead_after=_misheard(term, after.instead[place]),
            missed=example(own.hypotheses[after.missed[place][0]], "still wrong") if after.missed[place] else None,
        )


def _misheard(term: Term, heard: Counter[str]) -> tuple[Misheard, ...]:
    ranked = sorted(heard.items(), key=lambda item: (-item[1], item[0]))[:MISHEARD]
    return tuple(
        Misheard(words=said, count=count, distance=round(phonetic_distance(term.text, said), 3))
        for said, count in ranked
    )


def _silence(pairs: Pairs) -> Silence:
    """Words per minute of recordings without speech, and the commonest of them."""
    seconds_N = pairs.seconds_N
    before, after = (one.words[0] for one in pairs.counts)
    made_up = Counter(word for _, one in pairs.hypotheses for word in words(one.heard))
    ranked = sorted(made_up.items(), key=lambda item: (-item[1], item[0]))[:MISHEARD]
    return Silence(
        minutes=round(float(seconds_N.sum()) / 60, 2),
        words=ratio_change((before, seconds_N), (after, seconds_N), pairs.draws, per=60),
        made_up=tuple(Misheard(words=word, count=count, distance=0.0) for word, count in ranked),
    )


def _unfound(heard: Sequence[Hypothesis], terms: Sequence[Term]) -> Iterable[str]:
    by_id = {term.id: term for term in terms}
    for one in heard:
        for term_id in one.term_ids:
            if term_id in by_id and not occurrences(by_id[term_id], one.reference):
                yield f"{one.id}: {term_id}"
