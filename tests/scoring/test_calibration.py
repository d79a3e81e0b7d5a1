"""The temperature is found again, AUROC agrees with counting pairs, and words are judged where they stand."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core.confidence import tempered
from shoptalk.core.recipe import EvaluateSection
from shoptalk.core.records import Hypothesis, Term, Word
from shoptalk.core.text import words
from shoptalk.scoring.calibration import auroc, calibrate, ece, fit_temperature, judged, reliability, spans

CONFIG = EvaluateSection(bootstrap=100)
TERM = Term(id="metformin", text="metformin", category="drug")
chances = st.floats(0, 1)


def hypothesis(reference: str, heard: str, confidences: list[float | None]) -> Hypothesis:
    raw = heard.split()
    times = (Word(word=w, start_s=0, end_s=1, confidence=c) for w, c in zip(raw, confidences, strict=True))
    return Hypothesis(id=heard or "-", reference=reference, heard=heard, set="taught", words=tuple(times))


def drawn(temperature: float, count: int, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Confidences whose words are right as often as their logits, divided by the temperature, say."""
    rng = np.random.default_rng(seed)
    confidence_N = rng.beta(2, 1, count)
    return confidence_N, rng.random(count) < tempered(temperature, confidence_N)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_a_known_temperature_is_found_again(temperature: float) -> None:
    confidence_N, right_N = drawn(temperature, 50_000)
    found = fit_temperature(confidence_N, right_N)
    assert found == pytest.approx(temperature, rel=0.05)
    raw, calibrated = ece(confidence_N, right_N), ece(tempered(found, confidence_N), right_N)
    assert calibrated < 0.01 and (temperature == 1.0 or calibrated < raw / 3)


def test_a_few_words_do_not_make_it_extreme() -> None:
    assert fit_temperature(np.array([]), np.array([], bool)) == pytest.approx(1.0)
    for right in (True, False):
        assert 0.3 < fit_temperature(np.array([0.9, 0.8]), np.array([right, right])) < 4
    many = fit_temperature(np.full(500, 0.9), np.full(500, False))
    assert many == 10.0, "the bound"


def test_certain_words_stay_finite() -> None:
    confidence_N, right_N = np.array([0.0, 1.0, 1.0, 0.0]), np.array([False, True, False, True])
    temperature = fit_temperature(confidence_N, right_N)
    assert np.isfinite(tempered(temperature, confidence_N)).all() and temperature > 1


@settings(deadline=None)
@given(st.lists(st.tuples(chances, st.booleans()), max_size=40))
def test_no_temperature_of_a_fine_grid_is_likelier(rows: list[tuple[float, bool]]) -> None:
    confidence_N, right_N = np.array([c for c, _ in rows]), np.array([r for _, r in rows], bool)

    def loss(temperature: float) -> float:
        chance_N = tempered(temperature, confidence_N)
        likelihood_N = np.where(right_N, chance_N, tempered(temperature, 1 - confidence_N))
        return float(np.log(temperature) ** 2 / 2 - np.log(likelihood_N).sum())

    fitted = loss(fit_temperature(confidence_N, right_N))
    assert fitted <= min(loss(temperature) for temperature in np.geomspace(0.1, 10.0, 1_001)) + 1e-6


@given(st.floats(0.1, 10), st.lists(chances, min_size=2))
def test_a_temperature_keeps_the_order(temperature: float, confidences: list[float]) -> None:
    calibrated_N = tempered(temperature, sorted(confidences))
    assert (np.diff(calibrated_N) >= 0).all() and ((calibrated_N >= 0) & (calibrated_N <= 1)).all()


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.1, 0.4, 0.5, 0.9]), st.booleans()), max_size=30))
def test_auroc_counts_pairs(rows: list[tuple[float, bool]]) -> None:
    confidence_N, wrong_N = np.array([c for c, _ in rows]), np.array([w for _, w in rows], bool)
    pairs = [(w < r) + (w == r) / 2 for w, r in product(confidence_N[wrong_N], confidence_N[~wrong_N])]
    assert auroc(confidence_N, wrong_N) == (pytest.approx(np.mean(pairs)) if pairs else None)


@given(st.lists(st.tuples(chances, st.booleans()), max_size=60))
def test_bins_hold_every_word_once_in_order(rows: list[tuple[float, bool]]) -> None:
    confidence_N, right_N = np.array([c for c, _ in rows]), np.array([r for _, r in rows], bool)
    bins = reliability(confidence_N, right_N)
    assert sum(one.words for one in bins) == len(rows) and len(bins) == min(10, len(rows))
    assert max((one.words for one in bins), default=0) - min((one.words for one in bins), default=0) <= 1
    assert sum(one.words * one.right for one in bins) == pytest.approx(right_N.sum())
    assert all(one.low <= one.confidence + 1e-9 and one.confidence <= one.high + 1e-9 for one in bins)
    assert 0 <= ece(confidence_N, right_N) <= 1


def test_ece_by_hand() -> None:
    confidence_N = np.array([0.2, 0.2, 0.9, 0.9])
    assert ece(confidence_N, np.array([False, True, True, True]), bins=2) == pytest.approx(0.5 * 0.3 + 0.5 * 0.1)


def test_words_are_judged_where_they_stand() -> None:
    confidence_N, right_N = judged(
        [
            hypothesis("Take metformin, now.", "Take met forming now.", [0.9, 0.4, 0.3, 0.8]),
            hypothesis("It's five hundred.", "Its 500.", [0.7, 0.6]),
            hypothesis("Well", "Um well well", [0.5, 0.6, None]),
            hypothesis("Yes.", "", []),
        ]
    )
    assert confidence_N.tolist() == [0.9, 0.4, 0.3, 0.8, 0.7, 0.6, 0.6], "no confidence, or no word: left out"
    assert right_N.tolist()[:4] == [True, False, False, True] and right_N.tolist()[5]


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        ("take five hundred milligrams", [[0], [1], [1], [2]]),
        ("um, take HbA1c.", [[], [0], [1, 2, 3]]),
        ("120/80 it's", [[0, 1, 2], [3, 4]]),
        ("two and a half", [[0], [0], [0], [0]]),
        ("so [laughter there] then", [[0], [], [], [1]]),
    ],
)
def test_a_raw_word_knows_its_normalised_words(heard: str, expected: list[list[int]]) -> None:
    raw = [Word(word=word, start_s=0, end_s=1) for word in heard.split()]
    assert [list(one) for one in spans(raw, words(heard))] == expected


def test_terms_are_judged_by_the_lowest_confidence_at_their_place() -> None:
    dev = [hypothesis("take it now", "take it no", [0.9, 0.8, 0.3])]
    test = [
        hypothesis("Take metformin now.", "Take metformin now.", [0.1, 0.9, 0.1]),
        hypothesis("Stop metformin now.", "Stop met forming now.", [0.9, 0.9, 0.2, 0.9]),
        hypothesis("No metformin.", "No.", [0.1]),
    ]
    found = calibrate(dev, test, [TERM, Term(id="now", text="now", category="x", taught=False)], CONFIG, seed=1)
    assert found is not None and found.words == 8
    assert found.term_auroc == pytest.approx(0.5), "one of two misses had a low confidence, the other left no trace"
    assert calibrate(dev, test[:2], [TERM], CONFIG, seed=1).term_auroc == 1.0  # type: ignore[union-attr]
    assert calibrate(dev, test[:1], [TERM], CONFIG, seed=1).term_auroc is None  # type: ignore[union-attr]


def test_without_confidences_there_is_nothing_to_calibrate() -> None:
    silent, heard = hypothesis("take it", "take it", [None, None]), hypothesis("take it", "take it", [0.9, 0.8])
    assert calibrate([silent], [heard], [TERM], CONFIG, seed=1) is None
    assert calibrate([heard], [silent], [TERM], CONFIG, seed=1) is None
    assert (
        calibrate([], [heard], [TERM], CONFIG, seed=1) is None
        and calibrate([heard], [], [TERM], CONFIG, seed=1) is None
    )
    assert calibrate([heard], [heard], [], CONFIG, seed=1) is not None
