"""Intervals hold what they promise, know pairs, and never claim certainty."""

from collections.abc import Sequence

import numpy as np
import pytest
from benchmarks.bootstrap_coverage import CASES, coverage

from shoptalk.core.recipe import EvaluateSection
from shoptalk.scoring.bootstrap import _weights, draw, paired, ranges, student


@pytest.mark.parametrize("name", ["wer_25_to_15", "wer_06_to_05", "recall_50_to_70"])
def test_intervals_hold_the_truth_as_often_as_they_say(name: str) -> None:
    """A thousand simulated test sets; results/bootstrap_coverage.json has more of everything."""
    held = coverage(CASES[name], 40, rounds=1_000, draws=300, seed=3)
    assert all(0.93 <= part <= 0.97 for part in held.values()), held


@pytest.mark.parametrize("name", ["wer_06_to_05", "recall_90_to_95"])
def test_few_clusters_and_rare_errors_are_not_far_off(name: str) -> None:
    held = coverage(CASES[name], 12, rounds=400, draws=300, seed=3)
    assert all(part >= 0.85 for part in held.values()), held


def ones(count: int, value: float = 1.0) -> np.ndarray:
    return np.full(count, value)


def test_the_difference_of_equal_pairs_is_zero_however_much_they_vary() -> None:
    errors_N = np.random.default_rng(1).integers(0, 9, 30).astype(float)
    draws = draw([str(one) for one in range(30)], draws=200, confidence=0.95, seed=3)
    before, after, difference = paired((errors_N, ones(30, 10)), (errors_N, ones(30, 10)), draws)
    assert before == after and before.low is not None and before.value is not None and before.low < before.value
    assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)


def test_no_error_in_a_few_clusters_is_not_certainty() -> None:
    draws = draw([str(one) for one in range(20)], draws=200, confidence=0.95, seed=3)
    never, always, difference = paired((ones(20, 0), ones(20)), (ones(20), ones(20)), draws, kind="proportion")
    bound = 1 - 0.025 ** (1 / 20)
    assert (never.low, never.value, never.high) == (0.0, 0.0, pytest.approx(bound))
    assert (always.low, always.value, always.high) == (pytest.approx(1 - bound), 1.0, 1.0)
    assert difference.low == pytest.approx(1 - 2**0.5 * bound) and difference.high == pytest.approx(1.0)


def test_nothing_to_divide_by_and_a_single_cluster() -> None:
    draws = draw(["a", "a"], draws=100, confidence=0.95, seed=3)
    nothing, one, difference = paired((ones(2, 0), ones(2, 0)), (ones(2), ones(2, 4)), draws)
    assert (nothing.value, nothing.low) == (None, None) and difference.value is None
    assert (one.value, one.low, one.high) == (0.25, None, None)


def test_the_seed_makes_the_draw() -> None:
    first = _weights(9, 100, 1)
    _weights.cache_clear()
    assert (first == _weights(9, 100, 1)).all() and (first != _weights(9, 100, 2)).any()
    assert (first.sum(axis=1) == 9).all()


def test_clusters_without_a_term_do_not_widen_its_interval() -> None:
    found_N, said_N = np.array([1.0] * 5 + [0.0]), ones(6)
    few = draw([str(one) for one in range(6)], draws=500, confidence=0.95, seed=3)
    many = draw([str(one) for one in range(60)], draws=500, confidence=0.95, seed=3)
    padded = np.concatenate([found_N, ones(54, 0)]), np.concatenate([said_N, ones(54, 0)])
    alone = paired((found_N, said_N), (found_N, said_N), few, kind="proportion")
    assert alone == paired(padded, padded, many, kind="proportion")
    assert alone[0].low is not None and 0.1 < alone[0].low < 0.6


def teststudents_quantiles() -> None:
    for freedom, quantile in ((3, 3.182), (5, 2.571), (10, 2.228), (100, 1.984)):
        assert student(0.975, freedom) == pytest.approx(quantile, rel=0.015)


def test_ranges_hold_a_figure_that_is_no_rate_of_sums() -> None:
    rng = np.random.default_rng(3)
    values_N = rng.normal(size=300)
    clusters = [f"c{number % 60}" for number in range(300)]

    def measure(rows: Sequence[int]) -> dict[str, float | None]:
        return {"median": float(np.median(values_N[list(rows)])), "nothing": None}

    config = EvaluateSection(bootstrap=200)
    found = ranges(measure, clusters, config, seed=1)
    assert found.keys() == {"median"} and found == ranges(measure, clusters, config, seed=1)
    low, high = found["median"]
    spread = 1.96 * 1.2533 / np.sqrt(300)  # of the median of normal values
    assert low < np.median(values_N) < high
    assert 0.6 < (high - low) / (2 * spread) < 1.5
    assert ranges(measure, ["one"] * 300, config, seed=1) == {}
