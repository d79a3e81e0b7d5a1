"""Whether two recognisers' word errors differ by more than chance, and how large a test would have to be to tell.

NIST's matched-pairs sentence-segment word error test (Gillick & Cox 1989, "Some statistical issues in the comparison of
speech recognition algorithms") with clusters (carriers or speakers) as segments, since errors within one are not
independent. Shapes: N utterances, C clusters.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from shoptalk.core.scores import Significance
from shoptalk.scoring.bootstrap import student

Floats = npt.NDArray[np.float64]

EXACT_CLUSTERS = 12
"""Up to so many clusters p counts all ways to swap before and after; a mean of so few is not normal."""
POWER = 0.8
"""How often a difference is to be found; Cohen's (1988) convention."""
POINT = 0.01


def matched_pairs(
    errors_before_N: npt.ArrayLike, errors_after_N: npt.ArrayLike, clusters: Sequence[str]
) -> float | None:
    """p of errors as different as these if neither recogniser were better, two-sided; None below two clusters.

    Of up to `EXACT_CLUSTERS` clusters: the share of all ways to swap before and after in whole clusters that leave the
    sum of differences at least as far from 0. Of more: Student's t of the clusters' differences.
    """
    difference_C = _sums(np.subtract(errors_after_N, errors_before_N), clusters)
    count = len(difference_C)
    if count < 2:
        return None
    if count <= EXACT_CLUSTERS:
        return float(np.mean(abs(_signs(count) @ difference_C) >= abs(difference_C.sum())))
    spread = float(difference_C.std(ddof=1))
    if spread == 0.0:
        return 0.0 if difference_C.any() else 1.0
    return _two_sided(abs(float(difference_C.mean())) / spread * math.sqrt(count), count - 1)


def power(
    errors_before_N: npt.ArrayLike,
    errors_after_N: npt.ArrayLike,
    words_N: npt.ArrayLike,
    clusters: Sequence[str],
    *,
    confidence: float,
) -> Significance:
    """The test's p, the difference in WER it finds 80 % of the time, and how large it must be to find 0.01.

    A difference of rates d = sum(z) / sum(w), with z the difference in errors of a cluster and w its words, has the
    standard error s / (mean(w) √C), with s the standard deviation of z − d·w (the ratio estimator by the delta method;
    Cochran 1977, "Sampling Techniques", ch. 6). It is found with probability `POWER` if it is as large as the quantiles
    of Student's t for confidence and for `POWER` together, in standard errors. None: nothing varied, or so few clusters
    that no p is small enough.
    """
    p = matched_pairs(errors_before_N, errors_after_N, clusters)
    difference_C = _sums(np.subtract(errors_after_N, errors_before_N), clusters)
    words_C = _sums(words_N, clusters)
    count = len(words_C)
    if count < 2 or words_C.sum() == 0:
        return Significance(p=p, detectable=None, clusters_for_1_point=None, utterances_for_1_point=None)
    residual_C = difference_C - difference_C.sum() / words_C.sum() * words_C
    spread = float(residual_C.std(ddof=1) / words_C.mean())
    if spread < 1e-12:  # rounding
        return Significance(p=p, detectable=None, clusters_for_1_point=None, utterances_for_1_point=None)
    needed = _needed(spread, confidence)
    return Significance(
        p=p,
        detectable=_detectable(spread, count, confidence) if count >= _fewest(confidence) else None,
        clusters_for_1_point=needed,
        utterances_for_1_point=math.ceil(needed * len(clusters) / count),
    )


def _detectable(spread: float, clusters: int, confidence: float) -> float:
    quantiles = student((1.0 + confidence) / 2.0, clusters - 1) + student(POWER, clusters - 1)
    return quantiles * spread / math.sqrt(clusters)


def _needed(spread: float, confidence: float) -> int:
    """The fewest clusters with which `POINT` is detectable."""
    normal = sum(map(NormalDist().inv_cdf, ((1.0 + confidence) / 2.0, POWER)))
    clusters = max(_fewest(confidence), math.ceil((normal * spread / POINT) ** 2))
    while _detectable(spread, clusters, confidence) > POINT:  # Student's t is a little wider
        clusters += 1
    return clusters


def _fewest(confidence: float) -> int:
    """So many clusters have a p below 1 − confidence where all differ the same way: 2 of 2^C swaps."""
    return max(2, math.ceil(1.0 - math.log2(1.0 - confidence)))


def _sums(values_N: npt.ArrayLike, clusters: Sequence[str]) -> Floats:
    places: dict[str, int] = {}
    cluster_N = np.array([places.setdefault(name, len(places)) for name in clusters], dtype=np.intp)
    return np.bincount(cluster_N, np.asarray(values_N, dtype=float)).astype(float)


@lru_cache(maxsize=EXACT_CLUSTERS)
def _signs(clusters: int) -> Floats:
    """Every row of C signs, shape (2^C, C)."""
    swapped = np.arange(2**clusters)[:, None] >> np.arange(clusters) & 1
    return np.where(swapped, -1.0, 1.0)


def _two_sided(t: float, freedom: int) -> float:
    """How often |Student's t| is larger, for whole degrees of freedom (Abramowitz & Stegun 26.7.3 and 26.7.4)."""
    angle = math.atan2(t, math.sqrt(freedom))
    cosine, odd = math.cos(angle), freedom % 2
    term, series = (cosine if odd else 1.0), 0.0
    for step in range(2 + odd, freedom + 1, 2):
        series += term
        term *= cosine**2 * (step - 1) / step
    inside = 2.0 / math.pi * (angle + math.sin(angle) * series) if odd else math.sin(angle) * series
    return max(0.0, 1.0 - inside)
