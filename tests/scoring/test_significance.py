"""The test errs as often as it says, and finds what it says it can find."""

from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core.scores import Significance
from shoptalk.scoring.significance import EXACT_CLUSTERS, _fewest, matched_pairs, power

SIZE = 5
"""Utterances of a cluster."""
WORDS = (8, 17)


def simulated(
    rng: np.random.Generator, clusters: int, better_by: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors before and after, and words; each cluster has a difficulty, and a taste of its own for each recogniser."""
    words_N = rng.integers(*WORDS, clusters * SIZE)
    difficulty_C = rng.beta(4, 12, clusters)
    before_N, after_N = (
        rng.binomial(words_N, np.repeat(np.clip(difficulty_C + rng.normal(-fall, 0.04, clusters), 0, 1), SIZE))
        for fall in (0.0, better_by)
    )
    return before_N, after_N, words_N


def names(clusters: int) -> list[str]:
    return [str(cluster) for cluster in range(clusters) for _ in range(SIZE)]


def found(clusters: int, *, rounds: int, seed: int, better_by: float = 0.0) -> float:
    """How often p is below 0.05."""
    rng = np.random.default_rng(seed)
    p = [matched_pairs(*simulated(rng, clusters, better_by)[:2], names(clusters)) for _ in range(rounds)]
    return float(np.mean(np.array(p, dtype=float) < 0.05))


def test_no_difference_is_called_one_in_a_twentieth() -> None:
    assert 0.04 < found(40, rounds=1_500, seed=1) < 0.06
    assert 0.04 < found(14, rounds=1_500, seed=2) < 0.06
    assert 0.03 < found(8, rounds=1_500, seed=3) < 0.06


def test_utterances_instead_of_clusters_would_call_it_more_often() -> None:
    """What clusters are for: the same data, each utterance taken for independent."""
    rng, rounds, ids = np.random.default_rng(4), 300, [str(one) for one in range(40 * SIZE)]
    p = [matched_pairs(*simulated(rng, 40)[:2], ids) for _ in range(rounds)]
    assert np.mean(np.array(p, dtype=float) < 0.05) > 0.08


@pytest.mark.parametrize("clusters", [20, 60])
def test_the_detectable_difference_is_found_four_times_of_five(clusters: int) -> None:
    rng = np.random.default_rng(5)
    each = [power(*simulated(rng, clusters), names(clusters), confidence=0.95).detectable for _ in range(150)]
    detectable = float(np.mean(np.array(each, dtype=float)))
    assert 0.76 < found(clusters, rounds=1_000, seed=6, better_by=detectable) < 0.84


def test_so_many_clusters_as_are_needed_find_one_point() -> None:
    rng = np.random.default_rng(7)
    each = [power(*simulated(rng, 60), names(60), confidence=0.95) for _ in range(100)]
    needed = round(float(np.mean([one.clusters_for_1_point for one in each if one.clusters_for_1_point])))
    assert 100 < needed < 2_000
    assert each[0].utterances_for_1_point == SIZE * (each[0].clusters_for_1_point or 0)
    assert 0.75 < found(needed, rounds=300, seed=8, better_by=0.01) < 0.85


def test_few_clusters_count_all_ways_to_swap() -> None:
    ids = ["a", "b", "b", "c"]
    assert matched_pairs([1, 1, 1, 4], [0, 0, 0, 0], ids) == 2 / 8  # all better: only all and none swapped is as far
    assert matched_pairs([1, 0, 0, 0], [0, 1, 1, 0], ids) == 1.0
    assert matched_pairs([3, 1, 0, 0], [0, 0, 0, 0], ids) == 4 / 8


def test_many_clusters_are_students_t() -> None:
    before, after, _ = simulated(np.random.default_rng(9), 30)
    difference = (after - before).reshape(30, SIZE).sum(axis=1)
    assert matched_pairs(before, after, names(30)) == pytest.approx(scipy.stats.ttest_1samp(difference, 0).pvalue)


@settings(deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=2, max_size=9))
def test_few_clusters_agree_with_every_swap_written_out(difference: list[int]) -> None:
    clusters = [str(place) for place in range(len(difference))]
    observed = abs(sum(difference))
    swaps = list(product([1, -1], repeat=len(difference)))
    as_far = [
        abs(sum(sign * value for sign, value in zip(signs, difference, strict=True))) >= observed for signs in swaps
    ]
    p = matched_pairs(np.maximum(difference, 0), np.maximum(np.negative(difference), 0), clusters)
    assert p == pytest.approx(sum(as_far) / len(swaps))


COUNTS = st.one_of(st.integers(0, 3), st.integers(0, 10**6))


@settings(deadline=None)
@given(st.data(), st.integers(0, 2 * EXACT_CLUSTERS), st.sampled_from([0.5, 0.75, 0.95, 0.999]))
def test_any_counts_give_finite_figures_in_any_order(data: st.DataObject, size: int, confidence: float) -> None:
    utterance = st.tuples(COUNTS, COUNTS, COUNTS, st.sampled_from("abcdefghijklmnopqrst"))
    rows = data.draw(st.lists(utterance, min_size=size, max_size=size))

    def figures(utterances: list[tuple[int, int, int, str]]) -> Significance:
        columns = [[utterance[place] for utterance in utterances] for place in range(4)]
        return power(*columns[:3], [str(name) for name in columns[3]], confidence=confidence)

    result = figures(rows)
    if result.p is not None:
        assert 0.0 <= result.p <= 1.0
    if result.detectable is not None:
        assert 0.0 < result.detectable < np.inf
    assert figures(data.draw(st.permutations(rows))) == result


@pytest.mark.parametrize("clusters", [5, 30])
@pytest.mark.parametrize("words", [7, 10, 42, 1_000_003])
def test_the_same_gain_in_every_cluster_leaves_no_spread(clusters: int, words: int) -> None:
    """Residuals are 0 in whole numbers; in floats they may be 1e-16."""
    ids = [str(cluster) for cluster in range(clusters)]
    weights = np.arange(1, clusters + 1)
    result = power(3 * weights, 2 * weights, words * weights, ids, confidence=0.95)
    assert (result.detectable, result.clusters_for_1_point) == (None, None)
    assert matched_pairs(np.full(clusters, 3), np.full(clusters, 2), ids) == (2 / 2**5 if clusters == 5 else 0.0)


def test_where_there_is_nothing_to_tell() -> None:
    nothing = {"p": None, "detectable": None, "clusters_for_1_point": None, "utterances_for_1_point": None}
    assert power([1, 2], [0, 1], [5, 5], ["a", "a"], confidence=0.95).model_dump() == nothing
    assert power([], [], [], [], confidence=0.95).model_dump() == nothing
    same = power([1, 2, 0] * 10, [1, 2, 0] * 10, [5] * 30, [str(one) for one in range(30)], confidence=0.95)
    assert (same.p, same.detectable, same.clusters_for_1_point) == (1.0, None, None)
    two = power([3, 0], [0, 0], [9, 9], ["a", "b"], confidence=0.95)
    assert two.p == 1.0 and two.detectable is None and (two.clusters_for_1_point or 0) > 100


@pytest.mark.parametrize("confidence", [0.75, 0.8, 0.9, 0.95, 0.99])
def test_fewer_clusters_can_never_be_significant(confidence: float) -> None:
    fewest = _fewest(confidence)
    for clusters, is_enough in ((fewest, True), (fewest - 1, False)):
        ids = [str(one) for one in range(clusters)]
        p = matched_pairs(np.ones(clusters), np.zeros(clusters), ids)
        assert p is not None and (p < 1 - confidence) == is_enough
