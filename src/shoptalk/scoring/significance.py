"""Whether two recognisers' word errors differ by more than chance, and how large a test would have to be to tell.

NIST's matched-pairs sentence-segment word error test (Gillick & Cox 1989, "Some statistical issues in the comparison of
speech recognition algorithms") with clusters (carriers or speakers) as segments, since errors within one are not
independent. Errors and words are whole numbers, so that nothing hangs on the rounding of a sum.
Shapes: N utterances, C clusters.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shoptalk.core.scores import Significance
from shoptalk.scoring.bootstrap import Counts
from shoptalk.scoring.distributions import student

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
        return _swapped(difference_C)
    if np.ptp(difference_C) == 0:  # Student's t would divide by 0
        return 0.0 if difference_C.any() else 1.0
    return _students_t(difference_C)


def _swapped(difference_C: Counts) -> float:
    from scipy.stats import permutation_test

    test = permutation_test((difference_C,), np.sum, permutation_type="samples", n_resamples=math.inf, vectorized=True)
    return float(test.pvalue)


def _students_t(difference_C: Counts) -> float:
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(difference_C, 0).pvalue)


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
    words = int(words_C.sum())
    if count < 2 or words == 0:
        return Significance(p=p, detectable=None, clusters_for_1_point=None, utterances_for_1_point=None)
    residual_C = difference_C * words - words_C * int(difference_C.sum())  # times `words`: exact
    if not residual_C.any():
        return Significance(p=p, detectable=None, clusters_for_1_point=None, utterances_for_1_point=None)
    spread = float(residual_C.std(ddof=1)) / words / (words / count)
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
    from scipy.stats import norm

    quantiles = float(norm.ppf((1.0 + confidence) / 2.0) + norm.ppf(POWER))
    clusters = max(_fewest(confidence), math.ceil((quantiles * spread / POINT) ** 2))
    while _detectable(spread, clusters, confidence) > POINT:  # Student's t is a little wider
        clusters += 1
    return clusters


def _fewest(confidence: float) -> int:
    """So many clusters have a p below 1 − confidence where all differ the same way: 2 of 2^C swaps."""
    clusters = 2
    while 2.0 / 2.0**clusters >= 1.0 - confidence:
        clusters += 1
    return clusters


def _sums(values_N: npt.ArrayLike, clusters: Sequence[str]) -> Counts:
    """The sum in each cluster."""
    _, cluster_N = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    sums_C = np.zeros(len(set(clusters)), np.int64)
    np.add.at(sums_C, cluster_N, np.asarray(values_N, dtype=np.int64))
    return sums_C
