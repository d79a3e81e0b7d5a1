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

Shapes: N utterances, C clusters, B draws, M utterances that have something to count, K clusters of these.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from shoptalk.core.recipe import EvaluateSection
from shoptalk.scoring.distributions import rate_without_events, student

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.uint8]
Places = npt.NDArray[np.intp]
Kind = Literal["ratio", "proportion"]

STUDENTISED_FROM = 8
"""With fewer clusters, the standard error within a draw is too rough to divide by."""
BLOCK = 2**20
"""So many weights of clusters in draws are held as floats at once."""
EXACT = 2**53
"""Whole numbers below are exact as floats."""
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
    for weights_C in _weights(draws.count, draws.draws, seed).T:
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


def _weights(clusters: int, draws: int, seed: int) -> Weights:
    """How often each cluster is drawn, shape (C, B); kept for the next rate with as many clusters."""
    is_small = clusters * draws <= BLOCK
    return _many_weights(clusters, draws, seed) if is_small else _few_weights(clusters, draws, seed)


def _drawn_weights(clusters: int, draws: int, seed: int) -> Weights:
    """In bytes: in no draw of a lifetime does a cluster come more than 255 times, being expected once."""
    rng = np.random.default_rng([seed, clusters])
    weights_CB = np.empty((clusters, draws), np.uint8)
    for block in _blocks(clusters, draws):
        size = block.stop - block.start
        weights_CB[:, block] = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=size).T
    return weights_CB


_many_weights = lru_cache(maxsize=64)(_drawn_weights)
_few_weights = lru_cache(maxsize=2)(_drawn_weights)


def _blocks(clusters: int, draws: int) -> list[slice]:
    """All draws in parts, so that a part's weights are about `BLOCK` numbers, however many clusters there are."""
    size = max(1, BLOCK // max(clusters, 1))
    return [slice(start, min(start + size, draws)) for start in range(0, draws, size)]


def paired(
    before: tuple[Counts, Counts],
    after: tuple[Counts, Counts],
    draws: Draws,
    *,
    kind: Kind = "ratio",
    per: float = 1.0,
    rows: Places | None = None,
) -> tuple[Interval, Interval, Interval]:
    """Intervals of a rate before, after, and of after − before; each rate is (numerators (N,), denominators (N,)).

    Numerators and denominators are whole numbers; their sums must stay below 2^53. ``proportion`` says that the rate
    lies in 0..1 (recall, precision), ``ratio`` that it has no upper end (WER). `per` is the unit of the denominator,
    such as 1,000 words. Only clusters with something to count take part: those of a term are those that contain it.
    The result depends neither on the order of the utterances nor on the names of the clusters. `rows` are the
    utterances that the counts are of, where these are not all: the others have nothing to count.
    """
    _, sums_4C = _cluster_sums((*before, *after), draws, rows)
    sums_4C = sums_4C[:, sums_4C.any(axis=0)]
    sums_4C = sums_4C[:, np.lexsort(sums_4C)]
    sides = []
    for numerator_C, denominator_C in (sums_4C[:2], sums_4C[2:]):
        sides.append(_measured(numerator_C, denominator_C, draws) if denominator_C.any() else None)
    return _intervals(sides[0], sides[1], draws, kind=kind, per=per)


@dataclass(frozen=True)
class Exposure:
    """One denominator, such as the words of the references, that many rates have in common: its part of their draws."""

    draws: Draws
    denominator_C: Counts
    """Of each cluster."""
    rising_C: Counts
    """The same in rising order, without 0: the order in which `paired` draws clusters."""
    denominator_B: Floats
    squares_B: Floats
    """Sums over the draws of the denominators and of their squares."""


def exposure(denominator_N: Counts, draws: Draws) -> Exposure:
    """Prepare `paired_exposed` for a denominator."""
    _, [denominator_C] = _cluster_sums((denominator_N,), draws, None)
    rising_C = np.sort(denominator_C[denominator_C > 0])
    if not rising_C.size:
        return Exposure(draws, denominator_C, rising_C, np.zeros(0), np.zeros(0))
    columns_2C = np.stack([rising_C, rising_C.astype(float) ** 2])
    denominator_B, squares_B = _draw_sums(columns_2C, draws)
    return Exposure(draws, denominator_C, rising_C, denominator_B, squares_B)


def paired_exposed(
    before_M: Counts, after_M: Counts, exposed: Exposure, *, rows: Places, per: float = 1.0
) -> tuple[Interval, Interval, Interval]:
    """`paired`, with the denominator of `exposed` on both sides and numerators that are 0 in most clusters.

    `rows` (M,) are the utterances of the numerators. What it costs beside a few sums over the clusters grows with
    M times B, where `paired` would multiply all clusters with all draws.
    """
    draws = exposed.draws
    clusters_K, numerators_2K = _cluster_sums((before_M, after_M), draws, rows)
    is_counted_K = numerators_2K.any(axis=0)
    clusters_K, numerators_2K = clusters_K[is_counted_K], numerators_2K[:, is_counted_K]
    denominator_K = exposed.denominator_C[clusters_K]
    if not exposed.rising_C.size or not denominator_K.all():  # nothing to share, or clusters without a denominator
        sums_3C = np.zeros((3, draws.count), np.int64)
        sums_3C[:2, clusters_K] = numerators_2K
        sums_3C[2] = exposed.denominator_C
        before_C, after_C, of_C = sums_3C
        alone = replace(draws, cluster_N=np.arange(draws.count))
        return paired((before_C, of_C), (after_C, of_C), alone, per=per)
    order_K = np.lexsort((numerators_2K[0], numerators_2K[1], denominator_K))
    numerators_2K, denominator_K = numerators_2K[:, order_K], denominator_K[order_K]
    places_K = _last_places(denominator_K, exposed.rising_C)
    sides = [_measured_exposed(numerator_K, places_K, exposed) for numerator_K in numerators_2K]
    return _intervals(sides[0], sides[1], draws, kind="ratio", per=per)


def _last_places(rising_K: Counts, rising_C: Counts) -> Places:
    """Where in `rising_C` the values of `rising_K` stand, of equal ones at the last places."""
    behind_K = np.searchsorted(rising_C, rising_K, side="right")
    equal_behind_K = np.searchsorted(rising_K, rising_K, side="right") - np.arange(len(rising_K))
    return behind_K - equal_behind_K


def _cluster_sums(values: Sequence[Counts], draws: Draws, rows: Places | None) -> tuple[Places, Counts]:
    """Clusters (C,), and the sum of each of the values (…, C) in them; with `rows` only clusters of these rows."""
    cluster_M = draws.cluster_N
    clusters_C = np.arange(draws.count)
    if rows is not None:
        clusters_C, cluster_M = np.unique(draws.cluster_N[rows], return_inverse=True)
    sums = np.zeros((len(values), len(clusters_C)), np.int64)
    for place, values_M in enumerate(values):
        np.add.at(sums[place], cluster_M, values_M)
    return clusters_C, sums


def _draw_sums(columns: npt.NDArray[Any], draws: Draws) -> Floats:
    """Of each column (…, C), in the order of the clusters, its sum in each draw (…, B)."""
    clusters = columns.shape[1]
    weights_CB = _weights(clusters, draws.draws, draws.seed)
    sums = np.empty((len(columns), draws.draws))
    for block in _blocks(clusters, draws.draws):
        sums[:, block] = columns.astype(float) @ weights_CB[:, block].astype(float)
    return sums


def _intervals(
    measured_before: "_Measured | None", measured_after: "_Measured | None", draws: Draws, *, kind: Kind, per: float
) -> tuple[Interval, Interval, Interval]:
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


class _Drawn(NamedTuple):
    """What the draws of a rate have in sum, each (B,)."""

    numerator_B: Floats
    denominator_B: Floats
    residual_squares_B: Floats
    residual_products_B: Floats
    """Residuals times denominators."""
    denominator_squares_B: Floats


def _measured(numerator_C: Counts, denominator_C: Counts, draws: Draws) -> _Measured:
    residual_C = _residuals(numerator_C, denominator_C)
    of_C = denominator_C.astype(float)
    columns_5C = np.stack([numerator_C, of_C, residual_C**2, residual_C * of_C, of_C**2])
    drawn = _Drawn(*_draw_sums(columns_5C, draws))
    clusters = int(np.count_nonzero((numerator_C > 0) | (denominator_C > 0)))
    totals = int(numerator_C.sum()), int(denominator_C.sum())
    return _with_draws(totals, residual_C, drawn, clusters)


def _measured_exposed(numerator_K: Counts, places_K: Places, exposed: Exposure) -> _Measured:
    """As `_measured`: in sums of residuals n − r·d, what has n is summed over few clusters, and d alone is known."""
    rising_C, draws = exposed.rising_C, exposed.draws
    numerator_C = np.zeros(len(rising_C), np.int64)
    numerator_C[places_K] = numerator_K
    residual_C = _residuals(numerator_C, rising_C)
    totals = int(numerator_K.sum()), int(rising_C.sum())
    rate = totals[0] / totals[1]

    weights_KB = _weights(len(rising_C), draws.draws, draws.seed)[places_K].astype(float)
    numerator_B = numerator_K.astype(float) @ weights_KB
    squares_B = numerator_K.astype(float) ** 2 @ weights_KB
    products_B = (numerator_K * rising_C[places_K]).astype(float) @ weights_KB
    drawn = _Drawn(
        numerator_B=numerator_B,
        denominator_B=exposed.denominator_B,
        residual_squares_B=squares_B - 2.0 * rate * products_B + rate**2 * exposed.squares_B,
        residual_products_B=products_B - rate * exposed.squares_B,
        denominator_squares_B=exposed.squares_B,
    )
    return _with_draws(totals, residual_C, drawn, len(rising_C))


def _with_draws(totals: tuple[int, int], residual_C: Floats, drawn: _Drawn, clusters: int) -> _Measured:
    numerator, denominator = totals
    value = numerator / denominator
    rate_B = np.full(len(drawn.numerator_B), np.nan)
    np.divide(drawn.numerator_B, drawn.denominator_B, out=rate_B, where=drawn.denominator_B > 0)
    varies = bool(residual_C.any())
    studentised_B = np.zeros(0)
    if varies:
        # The residuals of a draw are e − δ·d, with e those of the test set, d the denominators and δ the rate's change.
        change_B = rate_B - value
        squares_B = (
            drawn.residual_squares_B
            - 2.0 * change_B * drawn.residual_products_B
            + change_B**2 * drawn.denominator_squares_B
        )
        has_error_B = squares_B > NEGLIGIBLE * (residual_C**2).sum()  # False for NaN too
        correction = clusters / max(clusters - 1, 1)
        error_B = np.sqrt(squares_B[has_error_B] * correction) / drawn.denominator_B[has_error_B]
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

    The products are exact: as floats as long as these hold them, else as Python's integers.
    """
    numerator, denominator = int(numerator_C.sum()), int(denominator_C.sum())
    largest = int(numerator_C.max(initial=0)) * denominator + numerator * int(denominator_C.max(initial=0))
    if largest < EXACT:
        return (numerator_C * denominator - numerator * denominator_C) / denominator
    numerators, denominators = numerator_C.tolist(), denominator_C.tolist()
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
    from scipy.special import ndtr

    value, clusters, error = measured.value, measured.clusters, measured.error
    if clusters < 2:
        return Interval(value, None, None)
    t = student((1.0 + confidence) / 2.0, clusters - 1)
    expanded_tail = float(ndtr(-t * np.sqrt(clusters / (clusters - 1))))
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
