"""How far word confidences can be believed: one temperature fitted on dev words, and what it is worth on test words.

A heard word is right if the alignment of the normalised texts finds it in the reference.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np
import numpy.typing as npt

from shoptalk.core import scores, text
from shoptalk.core.confidence import logit, tempered
from shoptalk.core.recipe import EvaluateSection
from shoptalk.core.records import Hypothesis, Term, Word
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

    `term_auroc` is over the places of taught terms in the references of `test`: whether the lowest confidence there
    tells that the term was not heard. Where nothing was heard nothing warns, which counts as a confidence of 1.
    """
    if not test:
        return None
    fitted_on, heard = judged(dev), [judged([one]) for one in test]
    taught = [term for term in terms if term.taught]
    places = [_term_places([one], taught) for one in test]
    raw_N, right_N = _stacked(heard)
    if not fitted_on[0].size or not raw_N.size:
        return None
    temperature = fit_temperature(*fitted_on)

    def measure(rows: Sequence[int]) -> dict[str, float | None]:
        raw_N, right_N = _stacked([heard[row] for row in rows])
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
            "ranges": ranges(measure, [one.drawn_with for one in test], config, seed=seed),
            "bins": reliability(tempered(temperature, raw_N), right_N),
        }
    )


def _stacked(parts: Sequence[tuple[Floats, Bools]]) -> tuple[Floats, Bools]:
    return np.concatenate([one for one, _ in parts]), np.concatenate([one for _, one in parts])


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
    found = reliability(confidence_N, right_N, bins)
    return sum(one.words * abs(one.confidence - one.right) for one in found) / max(1, sum(one.words for one in found))


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
    """The confidence of each heard word that has one, and whether it is right.

    A word is right if all its normalised words are found in the reference; one that is normalised to nothing ("um")
    is neither, and is left out.
    """
    found: list[tuple[float, bool]] = []
    for one in hypotheses:
        alignment = align(one.reference, one.heard)
        equal = {at for kind, _, _, low, high in alignment.chunks if kind == "equal" for at in range(low, high)}
        for word, span in zip(one.words, spans(one.words, alignment.heard), strict=True):
            if word.confidence is not None and span:
                found.append((word.confidence, equal.issuperset(span)))
    return _columns(found)


def spans(heard: Sequence[Word], normalised: Sequence[str]) -> list[range]:
    """For each heard word the places of its normalised words in the normalised text; empty where it has none.

    Normalising word by word is not normalising the text: "five hundred" is 500. Where the two differ, each word of
    the stretch that differs stands for all that the text has there.
    """
    parts = [text.words(one.word) for one in heard]
    owners = [place for place, own in enumerate(parts) for _ in own]
    alone = [word for own in parts for word in own]
    found = [range(0)] * len(heard)
    for kind, start, end, low, high in SequenceMatcher(None, alone, normalised, autojunk=False).get_opcodes():
        for at in range(start, end):
            here = range(low + at - start, low + at - start + 1) if kind == "equal" else range(low, high)
            before = found[owners[at]]
            found[owners[at]] = range(before.start, here.stop) if before and here else here or before
    return found


def _term_places(hypotheses: Sequence[Hypothesis], terms: Sequence[Term]) -> tuple[Floats, Bools]:
    """Of each place of a term: the lowest confidence of what was heard there, and whether the term was missed."""
    found: list[tuple[float, bool]] = []
    for one in hypotheses:
        said = [place for term in terms for place in places(term, one.reference, one.heard)]
        if not said or not any(word.confidence is not None for word in one.words):
            continue
        owned = list(zip(one.words, spans(one.words, align(one.reference, one.heard).heard), strict=True))
        for place in said:
            here = [w.confidence for w, span in owned if span and span.start < place.high and span.stop > place.low]
            found.append((min((c for c in here if c is not None), default=1.0), not place.found))
    return _columns(found)


def _columns(rows: Sequence[tuple[float, bool]]) -> tuple[Floats, Bools]:
    return np.array([one for one, _ in rows], np.float64), np.array([one for _, one in rows], bool)
