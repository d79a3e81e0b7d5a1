"""Word confidences and the temperature that makes them believable."""

import numpy as np
import numpy.typing as npt

SURE = 1e-6
"""Confidences are kept this far from 0 and 1, whose logits are infinite."""

Floats = npt.NDArray[np.float64]


def tempered(temperature: float, confidence: npt.ArrayLike) -> Floats:
    """Confidences with their logits divided by the temperature; above 1 draws them towards a half."""
    return np.asarray(1 / (1 + np.exp(-logit(np.asarray(confidence, np.float64)) / temperature)))


def logit(confidence_N: Floats) -> Floats:
    clipped_N = np.clip(confidence_N, SURE, 1 - SURE)
    return np.asarray(np.log(clipped_N) - np.log1p(-clipped_N))
