"""Intervals hold what they promise, know pairs, and never claim certainty."""

from collections.abc import Sequence

import numpy as np
import pytest
import scipy.stats
from benchmarks.bootstrap_coverage import CASES, coverage
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core.recipe import EvaluateSection
from shoptalk.scoring import bootstrap
from shoptalk.scoring.bootstrap import Interval, Kind, draw, paired, ranges
from shoptalk.scoring.distributions import rate_without_events, student


@pytest.mark.parametrize("name", ["wer_25_to_15", "wer_06_to_05", "recall_50_to_70"])
def test_intervals_hold_the_truth_as_often_as_they_say(name: str) -> None:
    """Two thousand simulated test sets; results/bootstrap_coverage.json has more of everything."""
    held = coverage(CASES[name], 40, rounds=2_000, draws=300, seed=3)
    assert all(0.93 <= part <= 0.97 for part in held.values()), held


@pytest.mark.parametrize("name", ["wer_06_to_05", "recall_90_to_95"])
def test_few_clusters_and_rare_errors_are_not_far_off(name: str) -> None:
    held = coverage(CASES[name], 12, rounds=400, draws=300, seed=3)
    assert all(part >= 0.85 for part in held.values()), held


def ones(count: int, value: int = 1) -> np.ndarray:
    return np.full(count, value, np.int64)


Row = tuple[int, int, int, int]
"""Numerator and denominator of one cluster, before and after."""
COUNTS = st.one_of(st.integers(0, 3), st.integers(0, 50), st.integers(0, 10**12))


@st.composite
def clusters_of(draw_from: st.DrawFn, kind: Kind) -> list[Row]:
    """Any clusters, among them equal ones, one alone, all right, all wrong, empty ones, and huge beside tiny ones."""
    size = draw_from(st.integers(1, 14))
    same = draw_from(st.sampled_from(["free", "equal", "all right", "all wrong", "no words"]))
    if same == "equal":
        return [draw_from(one_cluster(kind))] * size
    rows = draw_from(st.lists(one_cluster(kind), min_size=size, max_size=size))
    if same == "all right":
        return [(0, row[1], 0, row[3]) for row in rows]
    if same == "all wrong":
        return [(row[1], row[1], row[3], row[3]) for row in rows]
    if same == "no words":
        return [(0, 0, 0, 0) for _ in rows]
    return rows


def one_cluster(kind: Kind) -> st.SearchStrategy[Row]:
    if kind == "ratio":
        return st.tuples(COUNTS, COUNTS, COUNTS, COUNTS)
    side = COUNTS.flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))
    return st.tuples(side, side).map(lambda sides: (*sides[0], *sides[1]))


def intervals(rows: list[Row], *, kind: Kind = "ratio", per: float = 1.0) -> tuple[Interval, Interval, Interval]:
    draws = draw([str(place) for place in range(len(rows))], draws=100, confidence=0.95, seed=3)
    before_above, before_below, after_above, after_below = np.array(rows, np.int64).T
    return paired((before_above, before_below), (after_above, after_below), draws, kind=kind, per=per)


@settings(deadline=None, max_examples=400)
@given(st.data(), st.sampled_from(["ratio", "proportion"]), st.sampled_from([1, 60, 1_000]))
def test_any_counts_give_finite_intervals_around_the_value(data: st.DataObject, kind: Kind, per: float) -> None:
    rows = data.draw(clusters_of(kind))
    found = intervals(rows, kind=kind, per=per)
    for interval in found:
        if interval.value is None:
            assert interval == Interval(None, None, None)
        elif interval.low is None or interval.high is None:
            assert (interval.low, interval.high) == (None, None)
        else:
            assert -np.inf < interval.low <= interval.value <= interval.high < np.inf
            if kind == "proportion":
                assert -per <= interval.low <= interval.high <= per
    for above, below, interval in ((0, 1, found[0]), (2, 3, found[1])):
        total = sum(row[below] for row in rows)
        assert interval.value == (per * (sum(row[above] for row in rows) / total) if total else None)
    assert intervals(data.draw(st.permutations(rows)), kind=kind, per=per) == found


@settings(deadline=None, max_examples=200)
@given(COUNTS, st.integers(1, 10**6), st.integers(2, 60), st.sampled_from([1, 7, 60, 1_000]))
def test_clusters_of_one_rate_vary_nowhere(above: int, below: int, size: int, per: float) -> None:
    """A sum of their residuals is 0 on one processor and 1e-17 on another; it once decided."""
    rows = [(above * times, below * times, 0, below * times) for times in range(1, size + 1)]
    before, after, difference = intervals(rows, per=per)
    assert before.value is not None and difference.value == -before.value
    assert (before.low == before.high == before.value) == (above > 0)
    assert after.low == 0.0 and after.high == pytest.approx(
        per * rate_without_events(size, 0.95) / np.mean([row[1] for row in rows])
    )


def test_two_clusters_use_students_t_with_one_degree_of_freedom() -> None:
    rows = [(0, 10, 1, 10), (0, 10, 4, 10)]
    _, after, difference = intervals(rows)
    expected = scipy.stats.ttest_1samp([0.1, 0.4], 0).confidence_interval(0.95)
    assert after.high == pytest.approx(expected.high) == pytest.approx(0.25 + 12.706 * 0.15, rel=1e-4)
    assert after.low == 0.0, "a rate has no negative bound"
    unseen = rate_without_events(2, 0.95) / 10
    assert difference.low == pytest.approx(0.25 - np.hypot(12.706 * 0.15, unseen), rel=1e-4)


def test_clusters_of_one_size_agree_with_scipys_t_interval() -> None:
    gains = np.array([3, 1, 5, 4])
    _, _, difference = intervals([(1, 10, 1 + int(gain), 10) for gain in gains])
    expected = scipy.stats.ttest_1samp(gains / 10, 0).confidence_interval(0.95)
    assert (difference.low, difference.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_the_difference_of_equal_pairs_is_zero_however_much_they_vary() -> None:
    errors_N = np.random.default_rng(1).integers(0, 9, 30)
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
    first = bootstrap._drawn_weights(9, 100, 1)
    assert (first == bootstrap._drawn_weights(9, 100, 1)).all() and (first != bootstrap._drawn_weights(9, 100, 2)).any()
    assert (first.sum(axis=0) == 9).all()


def test_clusters_drawn_in_blocks_are_those_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = np.random.default_rng([5, 30]).multinomial(30, np.full(30, 1 / 30), size=70)
    for block in (1, 100, 2**20):
        monkeypatch.setattr(bootstrap, "BLOCK", block)
        assert (bootstrap._drawn_weights(30, 70, 5) == at_once.T).all()


RARE = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 3)), max_size=6)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(0, 6), min_size=10, max_size=10), st.lists(st.integers(0, 4), min_size=10), RARE)
def test_rare_counts_over_a_common_denominator_have_the_same_intervals(
    clusters: list[int], words: list[int], rare: list[tuple[int, int, int]]
) -> None:
    words_N = np.array(words[:10], np.int64)
    draws = draw([str(cluster) for cluster in clusters], draws=100, confidence=0.95, seed=3)
    rows = np.array([row for row, _, _ in rare], np.intp)
    before_M, after_M = (np.array([counts[side] for counts in rare], np.int64) for side in (1, 2))
    before_N, after_N = np.zeros(10, np.int64), np.zeros(10, np.int64)
    np.add.at(before_N, rows, before_M)
    np.add.at(after_N, rows, after_M)
    expected = paired((before_N, words_N), (after_N, words_N), draws, per=1_000)
    exposed = bootstrap.exposure(words_N, draws)
    same = bootstrap.paired_exposed(before_M, after_M, exposed, rows=rows, per=1_000)
    for ours, theirs in zip(same, expected, strict=True):
        assert (ours.value, ours.low is None) == (theirs.value, theirs.low is None)
        assert ours.low is None or (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9, abs=1e-9)


def test_utterances_without_counts_may_be_left_out() -> None:
    draws = draw(["a", "b", "c", "b", "d"], draws=100, confidence=0.95, seed=3)
    dense = [np.array(counts) for counts in ([0, 1, 0, 2, 0], [0, 3, 0, 4, 2], [0, 1, 0, 0, 1], [0, 3, 0, 4, 2])]
    rows = np.array([1, 3, 4])
    sparse = [counts_N[rows] for counts_N in dense]
    expected = paired((dense[0], dense[1]), (dense[2], dense[3]), draws)
    assert paired((sparse[0], sparse[1]), (sparse[2], sparse[3]), draws, rows=rows) == expected


def test_clusters_without_a_term_do_not_widen_its_interval() -> None:
    found_N, said_N = np.array([1] * 5 + [0]), ones(6)
    few = draw([str(one) for one in range(6)], draws=500, confidence=0.95, seed=3)
    many = draw([str(one) for one in range(60)], draws=500, confidence=0.95, seed=3)
    padded = np.concatenate([found_N, ones(54, 0)]), np.concatenate([said_N, ones(54, 0)])
    alone = paired((found_N, said_N), (found_N, said_N), few, kind="proportion")
    assert alone == paired(padded, padded, many, kind="proportion")
    assert alone[0].low is not None and 0.1 < alone[0].low < 0.6


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (100, 1.984)]
)
def test_students_quantiles_are_the_textbooks(freedom: int, quantile: float) -> None:
    assert student(0.975, freedom) == pytest.approx(quantile, abs=5e-4)


@pytest.mark.parametrize("trials", [1, 2, 20, 500])
def test_the_bound_without_events_is_clopper_and_pearsons(trials: int) -> None:
    exact = scipy.stats.binomtest(0, trials).proportion_ci(0.95, method="exact")
    assert rate_without_events(trials, 0.95) == pytest.approx(exact.high) == pytest.approx(1 - 0.025 ** (1 / trials))


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
