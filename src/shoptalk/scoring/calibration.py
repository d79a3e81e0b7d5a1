"""Calibration of word confidences: one temperature fitted on dev words, and its effect on test words.

A word of the hypothesis is right if the alignment of the normalised texts finds it in the reference.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np
import numpy.typing as npt

from shoptalk.core import scores, text
from shoptalk.core.confidence import logit, tempered
from shoptalk.core.recipe import EvaluateSection
from shoptalk.core.records import Hypothesis, Term, Word
from shoptalk.core.terms import Index, index_of
from shoptalk.scoring.bootstrap import ranges
from shoptalk.scoring.term_scores import places
from shoptalk.scoring.wer import align

BINS = 10
TEMPERATURES = (0.1, 10.0)
"""The lowest and the highest that is fitted."""

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def calibrate(
    dev: Sequence[Hypothesis], test: Sequence[Hypothesis], terms: Sequence[Term], config: EvaluateSection, *, seed: int
) -> scores.Calibration | None:
    """The temperature fitted on the words of `dev`, scored on those of `test`; None if either has no confidences.

    `term_auroc` is over the places of trained terms in the references of `test`: whether the lowest confidence there
    tells missed terms from found ones. A place without recognised words counts as a confidence of 1: nothing warns.
    """
    if not test:
        return None
    dev_confidence_N, dev_right_N = judged(dev)
    trained = index_of([term for term in terms if term.taught])
    words = [judged([hypothesis]) for hypothesis in test]
    places = [_term_places(hypothesis, trained) for hypothesis in test]
    raw_N, right_N = _stacked(words)
    if not dev_confidence_N.size or not raw_N.size:
        return None
    temperature = fit_temperature(dev_confidence_N, dev_right_N)

    def measure(rows: Sequence[int]) -> dict[str, float | None]:
        raw_N, right_N = _stacked([words[row] for row in rows])
        return {
            "raw_ece": ece(raw_N, right_N),
            "ece": ece(tempered(temperature, raw_N), right_N),
            "auroc": auroc(raw_N, ~right_N),
            "term_auroc": auroc(*_stacked([places[row] for row in rows])),
        }

    return scores.Calibration.model_validate(
        {
            "temperature": temperature,
            "words": raw_N.size,
            **measure(range(len(test))),
            "ranges": ranges(measure, [hypothesis.drawn_with for hypothesis in test], config, seed=seed),
            "bins": reliability(tempered(temperature, raw_N), right_N),
        }
    )


def _stacked(parts: Sequence[tuple[Floats, Bools]]) -> tuple[Floats, Bools]:
    confidences = [confidence_N for confidence_N, _ in parts]
    flags = [flag_N for _, flag_N in parts]
    return np.concatenate(confidences), np.concatenate(flags)


def fit_temperature(confidence_N: Floats, right_N: Bools) -> float:
    """The temperature within `TEMPERATURES` that makes the right words most likely; 1 for no words.

    The logarithm of the temperature has a prior of 0 ± 1, which weighs as little as one word: a few words that are
    all right do not make the recogniser infallible.
    """
    from scipy.optimize import minimize_scalar

    logit_N = logit(confidence_N)
    wrong_sign_N = np.where(right_N, -1.0, 1.0)

    def loss(log_temperature: float) -> float:
        negative_log_likelihood_N = np.logaddexp(0.0, wrong_sign_N * logit_N * np.exp(-log_temperature))
        return float(negative_log_likelihood_N.sum() + log_temperature**2 / 2)

    low, high = TEMPERATURES
    fitted = minimize_scalar(loss, bounds=(np.log(low), np.log(high)), method="bounded", options={"xatol": 1e-7})
    return round(float(np.exp(fitted.x)), 4)


def reliability(confidence_N: Floats, right_N: Bools, bins: int = BINS) -> tuple[scores.CalibrationBin, ...]:
    """Words in the order of their confidence, in bins of equally many; fewer bins where there are fewer words."""
    order_N = np.argsort(confidence_N, kind="stable")
    parts = np.array_split(order_N, min(bins, order_N.size)) if order_N.size else []
    return tuple(
        scores.CalibrationBin(
            low=float(confidence_N[part].min()),
            high=float(confidence_N[part].max()),
            words=part.size,
            confidence=float(confidence_N[part].mean()),
            right=float(right_N[part].mean()),
        )
        for part in parts
    )


def ece(confidence_N: Floats, right_N: Bools, bins: int = BINS) -> float:
    """Expected calibration error: how far mean confidence is from the part that is right in `reliability`'s bins."""
    total_distance, words = 0.0, 0
    for part in reliability(confidence_N, right_N, bins):
        total_distance += part.words * abs(part.confidence - part.right)
        words += part.words
    return total_distance / max(1, words)


def auroc(confidence_N: Floats, wrong_N: Bools) -> float | None:
    """How often the wrong one of a wrong and a right word has the lower confidence, ties counting half (Mann-Whitney).

    None if there is no wrong one or no right one.
    """
    from scipy.stats import mannwhitneyu

    right_R, wrong_W = confidence_N[~wrong_N], confidence_N[wrong_N]
    if not right_R.size or not wrong_W.size:
        return None
    pairs_won = mannwhitneyu(right_R, wrong_W, method="asymptotic").statistic
    return float(pairs_won / (right_R.size * wrong_W.size))


def judged(hypotheses: Sequence[Hypothesis]) -> tuple[Floats, Bools]:
    """The confidence of each recognised word that has one, and whether the word is right.

    A word is right if all its normalised words are found in the reference. One that is normalised to nothing ("um")
    is neither right nor wrong, and is left out.
    """
    rows: list[tuple[float, bool]] = []
    for hypothesis in hypotheses:
        alignment = align(hypothesis.reference, hypothesis.heard)
        correct: set[int] = set()
        for kind, _, _, low, high in alignment.chunks:
            if kind == "equal":
                correct.update(range(low, high))
        for word, span in zip(hypothesis.words, spans(hypothesis.words, alignment.heard), strict=True):
            if word.confidence is not None and span:
                rows.append((word.confidence, correct.issuperset(span)))
    return _columns(rows)


def spans(heard: Sequence[Word], normalised: Sequence[str]) -> list[range]:
    """For each recognised word the places of its normalised words in the normalised text; empty where it has none.

    Normalising word by word is not normalising the text: "five hundred" is 500. Where the two differ, each word of
    the stretch that differs stands for all that the text has there.
    """
    normalised_alone: list[str] = []
    owners: list[int] = []
    """For each of these the place of its recognised word."""
    for place, word in enumerate(heard):
        for part in text.words(word.word):
            normalised_alone.append(part)
            owners.append(place)
    places = [range(0)] * len(heard)
    matcher = SequenceMatcher(None, normalised_alone, normalised, autojunk=False)
    for kind, start, end, low, high in matcher.get_opcodes():
        for at in range(start, end):
            here = range(low, high)
            if kind == "equal":
                here = range(low + at - start, low + at - start + 1)
            places[owners[at]] = _joined(places[owners[at]], here)
    return places


def _joined(before: range, here: range) -> range:
    """From the start of the first to the end of the second; an empty one adds nothing."""
    if before and here:
        return range(before.start, here.stop)
    return here or before


def _term_places(hypothesis: Hypothesis, terms: Index) -> tuple[Floats, Bools]:
    """Of each place of a term: the lowest confidence of the words recognised there, and whether the term was missed."""
    occurring, _ = places(terms, hypothesis.reference, hypothesis.heard)
    if not occurring or all(word.confidence is None for word in hypothesis.words):
        return _columns([])
    normalised = align(hypothesis.reference, hypothesis.heard).heard
    word_spans = spans(hypothesis.words, normalised)
    rows: list[tuple[float, bool]] = []
    for place in occurring:
        lowest = 1.0
        for word, span in zip(hypothesis.words, word_spans, strict=True):
            overlaps = span and span.start < place.high and span.stop > place.low
            if overlaps and word.confidence is not None:
                lowest = min(lowest, word.confidence)
        rows.append((lowest, not place.found))
    return _columns(rows)


def _columns(rows: Sequence[tuple[float, bool]]) -> tuple[Floats, Bools]:
    confidences = [confidence for confidence, _ in rows]
    flags = [flag for _, flag in rows]
    return np.array(confidences, np.float64), np.array(flags, bool)
