"""The quantiles of distributions that intervals and tests use; scipy computes them."""

from functools import lru_cache


@lru_cache(maxsize=1024)
def student(probability: float, freedom: int) -> float:
    """Quantile of Student's t; 12.7 for 0.975 and one degree of freedom."""
    from scipy.stats import t

    return float(t.ppf(probability, freedom))


@lru_cache(maxsize=1024)
def rate_without_events(trials: int, confidence: float) -> float:
    """The highest rate of an event that `trials` without one are compatible with (Clopper & Pearson 1934)."""
    from scipy.stats import beta

    return float(beta.ppf((1.0 + confidence) / 2.0, 1, trials))
