"""What happens to speech on its way, on log-mel features before normalisation: `augment.py` for cached features.

Shapes: T mel frames (10 ms), M mel bins.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from shoptalk.core.audio import SAMPLE_RATE_HZ

Features = npt.NDArray[np.float32]

HOP_S = 0.01
BAND_HZ = (300.0, 3_400.0)
TOP_HZ = 4_000.0
GUARD = 2.0**-24
"""What NeMo adds to the power of each bin before the logarithm."""


def add_noise(clean_TM: Features, noise_TM: Features, *, snr_db: float, rng: np.random.Generator) -> Features:
    """Add noise, from a drawn place on, at an SNR measured on the louder half of the speech frames."""
    start = int(rng.integers(len(noise_TM)))
    noise = np.exp(np.take(noise_TM, np.arange(start, start + len(clean_TM)), axis=0, mode="wrap"))
    clean = np.exp(clean_TM)
    loudness = clean.sum(axis=1)
    active = loudness[loudness >= np.median(loudness)].mean()
    gain = active / (noise.sum(axis=1).mean() + 1e-10) * 10 ** (-snr_db / 10)
    return np.log(clean + gain * noise)


def room(clean_TM: Features, *, reverberation_s: float, direct_db: float) -> Features:
    """Reverberation that falls by 60 dB in `reverberation_s`, the direct sound `direct_db` above it."""
    from scipy.signal import lfilter

    kept = 10 ** (-6 * HOP_S / reverberation_s)
    clean = np.exp(clean_TM)
    late = lfilter([0.0, (1 - kept) * 10 ** (-direct_db / 10)], [1.0, -kept], clean, axis=0)
    return np.log(clean + late).astype(np.float32)


def telephone(clean_TM: Features, rng: np.random.Generator) -> Features:
    """The band of a telephone line, with the slopes of `augment.telephone`'s filter and next to nothing above 4 kHz."""
    power = np.maximum(np.exp(clean_TM) - GUARD, 0.0) * _telephone_gain(clean_TM.shape[1]) + GUARD
    return np.asarray(np.log(power) + rng.normal(0.0, 0.01, clean_TM.shape), np.float32)


@lru_cache(maxsize=4)
def _telephone_gain(mels: int) -> npt.NDArray[np.float64]:
    """Power gain of each mel bin of NeMo's front end (Slaney's scale up to 8 kHz)."""
    import librosa
    from scipy.signal import butter, freqz_sos

    centre_hz = librosa.mel_frequencies(mels + 2, fmin=0.0, fmax=8_000.0)[1:-1]
    band = butter(4, BAND_HZ, "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    _, response = freqz_sos(band, centre_hz, fs=SAMPLE_RATE_HZ)
    return np.where(centre_hz > TOP_HZ, 0.0, np.abs(response) ** 4)  # it is applied forwards and backwards
