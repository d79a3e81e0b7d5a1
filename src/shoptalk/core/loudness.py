"""How loud speech is by EBU R128, and speech as loud as is asked for. T = samples at 16 kHz."""

import numpy as np

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.effects import gain, lowered
from shoptalk.core.errors import AudioError
from shoptalk.core.records import Samples

BLOCK_S = 0.4
"""What is measured at once, by ITU-R BS.1770; a shorter recording is one block."""


def loudness_lufs(samples_T: Samples) -> float:
    """Integrated loudness, pauses left out (EBU R128, ITU-R BS.1770; pyloudnorm); `AudioError` for silence."""
    import pyloudnorm

    if samples_T.any():
        meter = pyloudnorm.Meter(SAMPLE_RATE_HZ, block_size=min(BLOCK_S, samples_T.size / SAMPLE_RATE_HZ))
        lufs = float(meter.integrated_loudness(samples_T.astype(np.float64)))
        if np.isfinite(lufs):
            return lufs
    raise AudioError("the recording is silent, or quieter than -70 LUFS; it has no loudness")


def at_loudness(samples_T: Samples, *, lufs: float, peak: float) -> Samples:
    """The samples at this integrated loudness, or quieter if a sample would be beyond `peak`."""
    return lowered(gain(samples_T, gain_db=lufs - loudness_lufs(samples_T)), peak=peak)
