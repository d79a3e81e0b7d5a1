"""Paired bootstrap intervals of rates of sums, resampling whole clusters (carriers or speakers).

Utterances of one carrier or speaker err alike, so clusters, not utterances, are drawn with replacement
(Bisani & Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance evaluation"). Before and after
are measured on the same draws, so that the interval of the difference knows that they are pairs.

Two intervals are made and the wider bound of each side is taken, for they fail in different ways. Percentiles of the
draws, moved outwards for few clusters (Hesterberg 2015, "expanded percentile", arXiv 1411.5279), are too short on the
long side of skewed rates. There the studentised bootstrap is right (Efron & Tibshirani 1993, ch. 12), which is wild for
a handful of clusters; for those, and for differences, Student's t is the second. benchmarks/bootstrap_coverage.py has
how often the truth is inside. Where nothing ever varied (no error at all), all of them would claim certainty; the exact
binomial bound of that many clusters stands in.

Shapes: N utterances, C clusters, B draws.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

from shoptalk.core.recipe import EvaluateSection

Floats = npt.NDArray[np.float64]
Kind = Literal["ratio", "proportion"]

STUDENTISED_FROM = 8
"""So many clusters have standard errors within a draw that say something."""


@dataclass(frozen=True)
class Interval:
    """A rate with its confidence bounds; None where there is nothing to divide by, or a single cluster."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Draws:
    """How clusters are drawn: the same draws for all rates that the same clusters take part in."""

    cluster_N: npt.NDArray[np.intp]
    count: int
    """C, the number of clusters."""
    draws: int
    confidence: float
    seed: int


def draw(clusters: Sequence[str], *, draws: int, confidence: float, seed: int) -> Draws:
    """Prepare drawing clusters with replacement; a draw depends on the seed and the number of clusters only."""
    names, cluster_N = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    return Draws(cluster_N, len(names), draws, confidence, seed)


RANGE_DRAWS = 200
"""Of `ranges`, whose figures are no sums and are computed anew in each draw."""


def ranges(
    measure: Callable[[Sequence[int]], Mapping[str, float | None]],
    clusters: Sequence[str],
    config: EvaluateSection,
    *,
    seed: int,
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of the figures that `measure` finds in some rows; none of a single cluster.

    `clusters` has a name for each row; a row may be drawn several times. Simpler than `paired`: for figures that are no
    rates of sums (a median, an AUROC).
    """
    draws = draw(clusters, draws=min(config.bootstrap, RANGE_DRAWS), confidence=config.confidence, seed=seed)
    if draws.count < 2:
        return {}
    members = [np.flatnonzero(draws.cluster_N == cluster) for cluster in range(draws.count)]
    found: dict[str, list[float]] = {}
    for weights_C in _weights(draws.count, draws.draws, seed).astype(int):
        rows = np.concatenate([np.repeat(rows, times) for rows, times in zip(members, weights_C, strict=True)])
        for name, value in measure(rows.tolist()).items():
            if value is not None:
                found.setdefault(name, []).append(value)
    tails = [(1 - config.confidence) / 2, (1 + config.confidence) / 2]
    bounds = {name: np.quantile(values, tails) for name, values in found.items()}
    return {name: (float(low), float(high)) for name, (low, high) in bounds.items()}


@lru_cache(maxsize=64)
def _weights(clusters: int, draws: int, seed: int) -> Floats:
    """How often each cluster is drawn, shape (B, C)."""
    rng = np.random.default_rng([seed, clusters])
    return rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=draws).astype(float)


def paired(
    before: tuple[Floats, Floats], after: tuple[Floats, Floats], draws: Draws, *, kind: Kind = "ratio"
) -> tuple[Interval, Interval, Interval]:
    """Intervals of a rate before, after, and of after − before; each rate is (numerators (N,), denominators (N,)).

    Only clusters with something to divide by, before or after, take part: those of a term are those that say it.
    ``proportion`` says that the rate lies in 0..1 (recall, precision), ``ratio`` that it has no upper end (WER).
    """
    sums_C = np.stack([np.bincount(draws.cluster_N, values_N, draws.count) for values_N in (*before, *after)])
    sums_C = sums_C[:, (sums_C[1] > 0) | (sums_C[3] > 0)]
    weights_BC = _weights(sums_C.shape[1], draws.draws, draws.seed) if sums_C.size else np.zeros((1, 0))
    first, second = (_measured(sums_C[side], sums_C[side + 1], weights_BC) for side in (0, 2))
    one, two = (_interval(measured, draws.confidence, kind) for measured in (first, second))
    if first is None or second is None:
        return one, two, Interval(None, None, None)
    difference = _Measured(
        second.value - first.value,
        min(first.clusters, second.clusters),
        min(first.size, second.size),
        second.rate_B - first.rate_B,
        None,
        second.influence_C - first.influence_C,
    )
    return one, two, _with_unseen(_bounds(difference, draws.confidence), (one, first), (two, second))


@dataclass(frozen=True)
class _Measured:
    """A rate, or a difference of rates, in the test set and in each draw."""

    value: float
    clusters: int
    """Those that have something to divide by."""
    size: float
    """What a mean cluster divides by."""
    rate_B: Floats
    error_B: Floats | None
    """Its standard error within each draw."""
    influence_C: Floats
    """How each cluster moves it; the sum of squares is its variance (delta method)."""

    @property
    def error(self) -> float:
        """The standard error in the test set itself."""
        return float(np.sqrt((self.influence_C**2).sum() * self.clusters / max(self.clusters - 1, 1)))


def _measured(numerator_C: Floats, denominator_C: Floats, weights_BC: Floats) -> _Measured | None:
    total = float(denominator_C.sum())
    if total == 0:
        return None
    value, clusters = float(numerator_C.sum()) / total, int(np.count_nonzero(denominator_C))
    products_5C = np.stack([numerator_C, denominator_C, numerator_C**2, numerator_C * denominator_C, denominator_C**2])
    numerator_B, denominator_B, squares_B, mixed_B, denominator_squares_B = products_5C @ weights_BC.T
    with np.errstate(divide="ignore", invalid="ignore"):  # a draw may have nothing to divide by
        rate_B = numerator_B / denominator_B
        squares_B = squares_B - 2.0 * rate_B * mixed_B + rate_B**2 * denominator_squares_B
        error_B = np.sqrt(np.maximum(squares_B, 0.0) * clusters / max(clusters - 1, 1)) / denominator_B
    influence_C = (numerator_C - value * denominator_C) / total
    return _Measured(value, clusters, total / clusters, rate_B, error_B, influence_C)


def _interval(measured: _Measured | None, confidence: float, kind: Kind) -> Interval:
    if measured is None:
        return Interval(None, None, None)
    bounds, value, clusters = _bounds(measured, confidence), measured.value, measured.clusters
    if bounds.low is None or bounds.high is None:
        return bounds
    low, high = max(bounds.low, 0.0), bounds.high
    unseen = 1.0 - ((1.0 - confidence) / 2.0) ** (1.0 / clusters)  # Clopper–Pearson where no cluster erred
    if value == 0.0:
        high = unseen if kind == "proportion" else unseen / measured.size
    if kind == "proportion":
        low = 1.0 - unseen if value == 1.0 else low
        high = min(high, 1.0)
    return Interval(value, min(low, value), max(high, value))


def _bounds(measured: _Measured, confidence: float) -> Interval:
    """The wider of two intervals, on each side."""
    value, clusters, error = measured.value, measured.clusters, measured.error
    if clusters < 2:
        return Interval(value, None, None)
    t = student((1.0 + confidence) / 2.0, clusters - 1)
    tail = NormalDist().cdf(-t * np.sqrt(clusters / (clusters - 1)))
    low, high = _quantiles(measured.rate_B, tail)
    left, right = -t, t
    if measured.error_B is not None and clusters >= STUDENTISED_FROM and error > 0:
        varied_B = measured.error_B > 1e-6 * error  # the others have rounding, or nothing to divide by
        studentised_B = (measured.rate_B[varied_B] - value) / measured.error_B[varied_B]
        left, right = _quantiles(studentised_B, (1.0 - confidence) / 2.0)
    return Interval(value, min(low, value - right * error), max(high, value - left * error))


def _with_unseen(
    difference: Interval, before: tuple[Interval, _Measured], after: tuple[Interval, _Measured]
) -> Interval:
    """A side that never varied adds its binomial bound, in quadrature as independent errors do (Zou & Donner 2008)."""
    value, low, high = difference.value, difference.low, difference.high
    if value is None or low is None or high is None:
        return difference
    first_slack, second_slack = _unseen(*before)[::-1], _unseen(*after)
    low = value - float(np.hypot(value - low, np.hypot(second_slack[0], first_slack[0])))
    high = value + float(np.hypot(high - value, np.hypot(second_slack[1], first_slack[1])))
    return Interval(value, min(low, value), max(high, value))


def _unseen(interval: Interval, measured: _Measured) -> tuple[float, float]:
    """How far the bounds of a rate that no draw varied lie below and above it; 0 where the draws told."""
    rate_B = measured.rate_B[~np.isnan(measured.rate_B)]
    if interval.value is None or interval.low is None or interval.high is None or np.ptp(rate_B) > 0:
        return 0.0, 0.0
    return interval.value - interval.low, interval.high - interval.value


def _quantiles(values_B: Floats, tail: float) -> tuple[float, float]:
    """Quantiles at `tail` and 1 − `tail`, without the inward bias of numpy's default (Weibull's plotting position)."""
    ordered_B = np.sort(values_B[~np.isnan(values_B)])
    places = np.array([tail, 1.0 - tail]) * (len(ordered_B) + 1) - 1
    low, high = np.interp(places, np.arange(len(ordered_B)), ordered_B)
    return float(low), float(high)


def student(probability: float, freedom: int) -> float:
    """Quantile of Student's t by its expansion around the normal (Abramowitz & Stegun 26.7.5); within 1 % from 3 on."""
    z = NormalDist().inv_cdf(probability)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
