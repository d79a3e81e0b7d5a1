"""What happens to speech on its way, on log-mel features before normalisation: `core.effects` for cached features.

Shapes: T mel frames (10 ms), M mel bins.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.effects import TELEPHONE_HZ
from shoptalk.core.voice_effects import NYQUIST_HZ, warped_hz

Features = npt.NDArray[np.float32]

HOP_S = 0.01
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
    """The band of a telephone line, with the slopes of `effects.telephone`'s filter and next to nothing above 4 kHz."""
    power = np.maximum(np.exp(clean_TM) - GUARD, 0.0) * telephone_gain(clean_TM.shape[1]) + GUARD
    return np.asarray(np.log(power) + rng.normal(0.0, 0.01, clean_TM.shape), np.float32)


@lru_cache(maxsize=4)
def telephone_gain(mels: int) -> npt.NDArray[np.float64]:
    """Power gain of each mel bin on a telephone line."""
    from scipy.signal import butter, freqz_sos

    centre_hz = centres_hz(mels)
    band = butter(4, TELEPHONE_HZ, "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    _, response = freqz_sos(band, centre_hz, fs=SAMPLE_RATE_HZ)
    return np.where(centre_hz > TOP_HZ, 0.0, np.abs(response) ** 4)  # it is applied forwards and backwards


def warp(clean_TM: Features, factor: float) -> Features:
    """A vocal tract `factor` times as short: formants and pitch lie `factor` times as high.

    The warp is that of `voice_effects.warped_hz`.
    """
    before_M, part_M = warped_places(clean_TM.shape[1], round(factor, 3))
    return clean_TM[:, before_M] * (1 - part_M) + clean_TM[:, before_M + 1] * part_M


@lru_cache(maxsize=1024)
def warped_places(mels: int, factor: float) -> tuple[npt.NDArray[np.int64], Features]:
    """Where each mel bin is read: the bin below, and how far towards the next."""
    places = np.interp(warped_hz(centres_hz(mels), factor), centres_hz(mels), np.arange(mels))
    before_M = np.minimum(places.astype(int), mels - 2)
    return before_M, (places - before_M).astype(np.float32)


def tilt(clean_TM: Features, *, db_per_octave: float) -> Features:
    """A spectrum that rises or falls evenly around 1 kHz, as microphones and voices differ.

    Normalisation takes it away again unless noise comes after it: then what is weak drowns first.
    """
    octaves_M = np.log2(np.maximum(centres_hz(clean_TM.shape[1]), 100.0) / 1_000.0)
    return _amplified(clean_TM, db_per_octave * octaves_M)


def level(clean_TM: Features, *, gain_db: float) -> Features:
    """Louder or quieter; far below full scale the weak parts sink into what NeMo adds to each bin (`GUARD`)."""
    return _amplified(clean_TM, gain_db)


def _amplified(clean_TM: Features, gain_db: float | npt.NDArray[np.float64]) -> Features:
    power = np.maximum(np.exp(clean_TM) - np.float32(GUARD), 0.0) * np.asarray(10 ** (gain_db / 10), np.float32)
    return np.log(power + np.float32(GUARD))


def low_pass(clean_TM: Features, *, cutoff_hz: float, rng: np.random.Generator) -> Features:
    """Next to nothing above `cutoff_hz`, as codecs of few bits leave it: 48 dB less at a fifth above."""
    excess_M = np.maximum(centres_hz(clean_TM.shape[1]) / cutoff_hz - 1.0, 0.0)
    return _jittered(_amplified(clean_TM, -np.minimum(240.0 * excess_M, 120.0)), rng)


def _jittered(clean_TM: Features, rng: np.random.Generator) -> Features:
    """A constant bin would be divided by its spread, which is nearly zero, when features are normalised."""
    return clean_TM + np.float32(0.01) * rng.standard_normal(clean_TM.shape, np.float32)


def shaped_noise(frames: int, mels: int, rng: np.random.Generator) -> Features:
    """Steady noise of a drawn colour: a smooth spectrum of up to ±20 dB, with the spread of noise in each bin."""
    knots = np.linspace(0, mels - 1, 6)
    colour_M = np.interp(np.arange(mels), knots, rng.normal(0.0, 2.0, knots.size))
    slope_M = np.linspace(rng.uniform(-3.0, 3.0), 0.0, mels)
    swell_T = np.interp(np.arange(frames), np.linspace(0, frames, 8), rng.normal(0.0, rng.uniform(0.0, 0.6), 8))
    fine_TM = np.log(rng.standard_gamma(4.0, (frames, mels), np.float32) / 4.0 + 1e-3)  # a bin sums a few FFT bins
    return np.asarray(fine_TM + colour_M + slope_M + swell_T[:, None] - 10.0, np.float32)


def babble(voices: Sequence[Features], frames: int, rng: np.random.Generator) -> Features:
    """Several people at once, each from a drawn place on and at a like level."""
    total = np.full((frames, voices[0].shape[1]), np.float32(GUARD))
    for voice_TM in voices:
        start = int(rng.integers(len(voice_TM)))
        power = np.exp(np.take(voice_TM, np.arange(start, start + frames), axis=0, mode="wrap"))
        total += power / (power.sum(axis=1).mean() + np.float32(1e-10))
    return np.log(total)


def cut_ends(clean_TM: Features, *, first_frames: int, last_frames: int) -> Features:
    """The recording began too late and ended too early."""
    return clean_TM[first_frames : len(clean_TM) - last_frames]


def pause(around: Sequence[Features], frames: int, rng: np.random.Generator) -> Features:
    """Frames without speech as they are in the quietest tenth of the recordings around it."""
    every_TM = np.concatenate(list(around))
    loudness_T = every_TM.max(axis=1)
    quiet_TM = every_TM[loudness_T <= np.quantile(loudness_T, 0.1)]
    return quiet_TM[rng.integers(len(quiet_TM), size=frames)]


def join(utterances: Sequence[Features], *, pauses: Sequence[int], rng: np.random.Generator) -> Features:
    """Utterances one behind the other, `pauses` frames of quiet between them."""
    parts = [utterances[0]]
    for utterance_TM, frames in zip(utterances[1:], pauses, strict=True):
        parts += [pause((parts[-1], utterance_TM), frames, rng), utterance_TM]
    return np.concatenate(parts)


def silence(frames: int, mels: int) -> Features:
    """Digital silence."""
    return np.full((frames, mels), np.log(GUARD), np.float32)


@lru_cache(maxsize=4)
def centres_hz(mels: int) -> npt.NDArray[np.float64]:
    """Centre of each mel bin of NeMo's front end (Slaney's scale up to 8 kHz)."""
    import librosa

    return np.asarray(librosa.mel_frequencies(mels + 2, fmin=0.0, fmax=NYQUIST_HZ)[1:-1], np.float64)
