"""Paired bootstrap intervals of rates of sums, resampling whole clusters (carriers or speakers).

Utterances of one carrier or speaker err alike, so clusters, not utterances, are drawn with replacement
(Bisani & Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance evaluation"). Before and after
are measured on the same draws, so that the interval of the difference knows that they are pairs. Percentile intervals
of few clusters are too narrow; the quantiles are moved outwards as in Hesterberg 2015 ("expanded percentile",
arXiv 1411.5279). Where nothing ever varied (no error at all), the bootstrap would claim certainty; the exact binomial
bound of that many clusters stands in.

Shapes: N utterances, C clusters, B draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Kind = Literal["ratio", "proportion"]


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
    sums_C = [np.bincount(draws.cluster_N, values_N, draws.count).astype(float) for values_N in (*before, *after)]
    taking_part_C = (sums_C[1] > 0) | (sums_C[3] > 0)
    sums_C = [values_C[taking_part_C] for values_C in sums_C]
    weights_BC = (
        _weights(int(taking_part_C.sum()), draws.draws, draws.seed) if taking_part_C.any() else np.zeros((1, 0))
    )
    one, one_B = _rate(sums_C[0], sums_C[1], weights_BC, draws.confidence, kind)
    two, two_B = _rate(sums_C[2], sums_C[3], weights_BC, draws.confidence, kind)
    if one.value is None or two.value is None:
        return one, two, Interval(None, None, None)
    value = two.value - one.value
    clusters = int(min(np.count_nonzero(sums_C[1]), np.count_nonzero(sums_C[3])))
    low, high = _quantiles(two_B - one_B, clusters, draws.confidence)
    if low is None or high is None:
        return one, two, Interval(value, None, None)
    # A side that never varied adds its binomial bound, in quadrature as independent errors do (Zou & Donner 2008).
    second_slack, first_slack = _unseen(two, two_B), _unseen(one, one_B)[::-1]
    low = value - float(np.hypot(value - low, np.hypot(second_slack[0], first_slack[0])))
    high = value + float(np.hypot(high - value, np.hypot(second_slack[1], first_slack[1])))
    return one, two, Interval(value, min(low, value), max(high, value))


def _rate(
    numerator_C: Floats, denominator_C: Floats, weights_BC: Floats, confidence: float, kind: Kind
) -> tuple[Interval, Floats]:
    total = float(denominator_C.sum())
    if total == 0:
        return Interval(None, None, None), np.full(len(weights_BC), np.nan)
    numerator_B, denominator_B = weights_BC @ numerator_C, weights_BC @ denominator_C
    rate_B = np.divide(numerator_B, denominator_B, out=np.full_like(numerator_B, np.nan), where=denominator_B > 0)
    value = float(numerator_C.sum()) / total
    clusters = int(np.count_nonzero(denominator_C))
    low, high = _quantiles(rate_B, clusters, confidence)
    if low is None or high is None:
        return Interval(value, None, None), rate_B
    unseen = 1.0 - ((1.0 - confidence) / 2.0) ** (1.0 / clusters)  # Clopper–Pearson where no cluster erred
    if value == 0.0:
        high = unseen if kind == "proportion" else unseen * clusters / total
    if kind == "proportion":
        low = 1.0 - unseen if value == 1.0 else max(low, 0.0)
        high = min(high, 1.0)
    return Interval(value, min(low, value), max(high, value)), rate_B


def _unseen(interval: Interval, rate_B: Floats) -> tuple[float, float]:
    """How far the bounds of a rate that no draw varied lie below and above it; 0 where the draws told."""
    if interval.value is None or interval.low is None or interval.high is None or np.ptp(rate_B[~np.isnan(rate_B)]) > 0:
        return 0.0, 0.0
    return interval.value - interval.low, interval.high - interval.value


def _quantiles(rate_B: Floats, clusters: int, confidence: float) -> tuple[float | None, float | None]:
    if clusters < 2:
        return None, None
    tail = NormalDist().cdf(
        -_student(1.0 - (1.0 - confidence) / 2.0, clusters - 1) * np.sqrt(clusters / (clusters - 1))
    )
    low, high = np.nanquantile(rate_B, [tail, 1.0 - tail])
    return float(low), float(high)


def _student(probability: float, freedom: int) -> float:
    """Quantile of Student's t by its expansion around the normal (Abramowitz & Stegun 26.7.5); within 1 % from 3 on."""
    z = NormalDist().inv_cdf(probability)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
