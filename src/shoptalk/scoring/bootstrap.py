"""Paired bootstrap intervals of rates of sums, resampling whole clusters (carriers or speakers).

Utterances of one carrier or speaker err alike, so clusters, not utterances, are drawn with replacement
(Bisani & Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance evaluation"). Before and after
are measured on the same draws, so the interval of the difference accounts for the pairing.

Two intervals are computed, and each side takes the wider bound, because the two fail in different ways.

- Percentiles of the draws, moved outwards for few clusters (Hesterberg 2015, "expanded percentile", arXiv 1411.5279).
  They are too short on the long side of skewed rates.
- The studentised bootstrap (Efron & Tibshirani 1993, ch. 12). It is right for skewed rates and unreliable for a handful
  of clusters. Differences, and rates of fewer than `STUDENTISED_FROM` clusters, use Student's t instead.

Where no cluster erred, or every one did, both would claim certainty. The exact binomial bound of that many clusters
takes their place. benchmarks/bootstrap_coverage.py measures how often the intervals contain the truth.

Counts are whole numbers. Whether clusters differ at all is decided on them, never on a sum of floats, whose last bit
depends on the processor.

Shapes: N utterances, C clusters, B draws.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from shoptalk.core.recipe import EvaluateSection
from shoptalk.scoring.distributions import rate_without_events, student

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Kind = Literal["ratio", "proportion"]

STUDENTISED_FROM = 8
"""With fewer clusters, the standard error within a draw is too rough to divide by."""
NEGLIGIBLE = 1e-9
"""A draw whose squared residuals sum to less than this part of the test set's has no standard error, only rounding."""


@dataclass(frozen=True)
class Interval:
    """A rate with its confidence bounds; None where there is nothing to divide by, or a single cluster."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Draws:
    """How clusters are drawn."""

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
    values_by_name: dict[str, list[float]] = {}
    for weights_C in _weights(draws.count, draws.draws, seed).astype(int):
        repeated = [np.repeat(rows, times) for rows, times in zip(members, weights_C, strict=True)]
        rows = np.concatenate(repeated).tolist()
        for name, value in measure(rows).items():
            if value is not None:
                values_by_name.setdefault(name, []).append(value)
    tails = [(1 - config.confidence) / 2, (1 + config.confidence) / 2]
    intervals: dict[str, tuple[float, float]] = {}
    for name, values in values_by_name.items():
        low, high = np.quantile(values, tails)
        intervals[name] = (float(low), float(high))
    return intervals


@lru_cache(maxsize=64)
def _weights(clusters: int, draws: int, seed: int) -> Floats:
    """How often each cluster is drawn, shape (B, C)."""
    rng = np.random.default_rng([seed, clusters])
    return rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=draws).astype(float)


def paired(
    before: tuple[Counts, Counts],
    after: tuple[Counts, Counts],
    draws: Draws,
    *,
    kind: Kind = "ratio",
    per: float = 1.0,
) -> tuple[Interval, Interval, Interval]:
    """Intervals of a rate before, after, and of after − before; each rate is (numerators (N,), denominators (N,)).

    Numerators and denominators are whole numbers; their sums must stay below 2^53. ``proportion`` says that the rate
    lies in 0..1 (recall, precision), ``ratio`` that it has no upper end (WER). `per` is the unit of the denominator,
    such as 1,000 words. Only clusters with something to count take part: those of a term are those that contain it.
    The result depends neither on the order of the utterances nor on the names of the clusters.
    """
    sums_4C = np.zeros((4, draws.count), np.int64)
    for row, values_N in enumerate((*before, *after)):
        np.add.at(sums_4C[row], draws.cluster_N, values_N)
    sums_4C = sums_4C[:, sums_4C.any(axis=0)]
    sums_4C = sums_4C[:, np.lexsort(sums_4C)]
    weights_BC = _weights(sums_4C.shape[1], draws.draws, draws.seed) if sums_4C.size else np.zeros((1, 0))
    measured_before = _measured(sums_4C[0], sums_4C[1], weights_BC)
    measured_after = _measured(sums_4C[2], sums_4C[3], weights_BC)
    interval_before = _interval(measured_before, draws.confidence, kind)
    interval_after = _interval(measured_after, draws.confidence, kind)
    difference = Interval(None, None, None)
    if measured_before is not None and measured_after is not None:
        bounds = _bounds(_difference(measured_before, measured_after), draws.confidence)
        difference = _with_unseen(bounds, (interval_before, measured_before), (interval_after, measured_after))
        if kind == "proportion":
            difference = _within_one(difference)
    return _scaled(interval_before, per), _scaled(interval_after, per), _scaled(difference, per)


def _within_one(difference: Interval) -> Interval:
    """Two rates of 0..1 differ by at most 1."""
    if difference.low is None or difference.high is None:
        return difference
    return replace(difference, low=max(difference.low, -1.0), high=min(difference.high, 1.0))


def _scaled(interval: Interval, per: float) -> Interval:
    if interval.value is None:
        return interval
    if interval.low is None or interval.high is None:
        return replace(interval, value=interval.value * per)
    return Interval(interval.value * per, interval.low * per, interval.high * per)


@dataclass(frozen=True)
class _Measured:
    """A rate, or a difference of rates, in the test set and in each draw."""

    value: float
    clusters: int
    """Those that have something to count."""
    size: float
    """The denominator of a mean cluster."""
    varies: bool
    """Whether the clusters differ in their rate."""
    rate_B: Floats
    """NaN in draws with nothing to divide by."""
    studentised_B: Floats
    """Of the draws that have a standard error: how many of them they lie above the test set's rate."""
    influence_C: Floats
    """How much each cluster moves the rate; the sum of squares is its variance (delta method)."""

    @property
    def error(self) -> float:
        """The standard error in the test set itself."""
        return float(np.sqrt((self.influence_C**2).sum() * self.clusters / max(self.clusters - 1, 1)))


def _measured(numerator_C: Counts, denominator_C: Counts, weights_BC: Floats) -> _Measured | None:
    numerator, denominator = int(numerator_C.sum()), int(denominator_C.sum())
    if denominator == 0:
        return None
    value = numerator / denominator
    clusters = int(np.count_nonzero((numerator_C > 0) | (denominator_C > 0)))
    numerator_B = weights_BC @ numerator_C.astype(float)
    denominator_B = weights_BC @ denominator_C.astype(float)
    rate_B = np.full(len(weights_BC), np.nan)
    np.divide(numerator_B, denominator_B, out=rate_B, where=denominator_B > 0)

    residual_C = _residuals(numerator_C, denominator_C)
    varies = bool(residual_C.any())
    studentised_B = np.zeros(0)
    if varies:
        # The residuals of a draw are e − δ·d, with e those of the test set, d the denominators and δ the rate's change.
        change_B = rate_B - value
        squares_B = (
            weights_BC @ residual_C**2
            - 2.0 * change_B * (weights_BC @ (residual_C * denominator_C))
            + change_B**2 * (weights_BC @ denominator_C.astype(float) ** 2)
        )
        has_error_B = squares_B > NEGLIGIBLE * (residual_C**2).sum()  # False for NaN too
        correction = clusters / max(clusters - 1, 1)
        error_B = np.sqrt(squares_B[has_error_B] * correction) / denominator_B[has_error_B]
        studentised_B = change_B[has_error_B] / error_B
    return _Measured(
        value=value,
        clusters=clusters,
        size=denominator / clusters,
        varies=varies,
        rate_B=rate_B,
        studentised_B=studentised_B,
        influence_C=residual_C / denominator,
    )


def _residuals(numerator_C: Counts, denominator_C: Counts) -> Floats:
    """How many more errors each cluster has than the common rate predicts; exactly 0 where it has that very rate.

    Python's integers keep the products exact.
    """
    numerators, denominators = numerator_C.tolist(), denominator_C.tolist()
    numerator, denominator = sum(numerators), sum(denominators)
    residuals = []
    for own_numerator, own_denominator in zip(numerators, denominators, strict=True):
        residuals.append((own_numerator * denominator - numerator * own_denominator) / denominator)
    return np.array(residuals, dtype=float)


def _difference(before: _Measured, after: _Measured) -> _Measured:
    influence_C = after.influence_C - before.influence_C
    return _Measured(
        value=after.value - before.value,
        clusters=min(before.clusters, after.clusters),
        size=min(before.size, after.size),
        varies=before.varies or after.varies,
        rate_B=after.rate_B - before.rate_B,
        studentised_B=np.zeros(0),
        influence_C=influence_C,
    )


def _interval(measured: _Measured | None, confidence: float, kind: Kind) -> Interval:
    if measured is None:
        return Interval(None, None, None)
    bounds = _bounds(measured, confidence)
    if bounds.low is None or bounds.high is None:
        return bounds
    value, low, high = measured.value, max(bounds.low, 0.0), bounds.high
    unseen = rate_without_events(measured.clusters, confidence)
    if value == 0.0:  # exact: a quotient of whole numbers is 0 only where nothing was counted
        high = unseen if kind == "proportion" else unseen / measured.size
    if kind == "proportion":
        low = 1.0 - unseen if value == 1.0 else low  # exact too
        high = min(high, 1.0)
    return Interval(value, min(low, value), max(high, value))


def _bounds(measured: _Measured, confidence: float) -> Interval:
    """The wider of two intervals, on each side."""
    from scipy.stats import norm

    value, clusters, error = measured.value, measured.clusters, measured.error
    if clusters < 2:
        return Interval(value, None, None)
    t = student((1.0 + confidence) / 2.0, clusters - 1)
    expanded_tail = float(norm.cdf(-t * np.sqrt(clusters / (clusters - 1))))
    low, high = _quantiles(measured.rate_B, expanded_tail, otherwise=(value, value))
    left, right = -t, t
    if clusters >= STUDENTISED_FROM:
        left, right = _quantiles(measured.studentised_B, (1.0 - confidence) / 2.0, otherwise=(-t, t))
    return Interval(value, min(low, value - right * error), max(high, value - left * error))


def _with_unseen(
    difference: Interval, before: tuple[Interval, _Measured], after: tuple[Interval, _Measured]
) -> Interval:
    """A side that never varied adds its binomial bound, in quadrature as independent errors do (Zou & Donner 2008)."""
    value, low, high = difference.value, difference.low, difference.high
    if value is None or low is None or high is None:
        return difference
    below_before, above_before = _unseen(*before)
    below_after, above_after = _unseen(*after)
    low = value - float(np.hypot(value - low, np.hypot(below_after, above_before)))
    high = value + float(np.hypot(high - value, np.hypot(above_after, below_before)))
    return Interval(value, min(low, value), max(high, value))


def _unseen(interval: Interval, measured: _Measured) -> tuple[float, float]:
    """How far the bounds lie below and above a rate that is the same in all clusters; 0 where clusters differ."""
    if interval.value is None or interval.low is None or interval.high is None or measured.varies:
        return 0.0, 0.0
    return interval.value - interval.low, interval.high - interval.value


def _quantiles(values_B: Floats, tail: float, *, otherwise: tuple[float, float]) -> tuple[float, float]:
    """Quantiles at `tail` and 1 − `tail`, without the inward bias of numpy's default; `otherwise` of no draws."""
    known_B = values_B[np.isfinite(values_B)]
    if not known_B.size:
        return otherwise
    low, high = np.quantile(known_B, [tail, 1.0 - tail], method="weibull")
    return float(low), float(high)
