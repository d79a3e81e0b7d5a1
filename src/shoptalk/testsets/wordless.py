"""Sounds in which nobody speaks: silence, tones, noise and chords, at several levels; recorded noise beside them."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.records import Samples

LEVELS_DB = (-70, -60, -50, -40, -30, -20)
CLIP_S = 8
CLIPS = 4
SCALE_HZ = 220 * 2 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16]) / 12)

Kinds = dict[str, list[Samples]]


def sounds_without_speech(rng: np.random.Generator, noises: Iterable[tuple[str, Samples]]) -> Kinds:
    """Clips by kind of sound; `noises` are recordings, by name."""
    size = CLIP_S * SAMPLE_RATE_HZ
    kinds: Kinds = {"digital silence": [np.zeros(size // 4 * number, np.float32) for number in range(1, 9)]}
    for level_db in LEVELS_DB:
        white = [rng.standard_normal(size) for _ in range(CLIPS)]
        kinds[f"white noise {level_db} dB"] = [at_level(clip_T, level_db) for clip_T in white]
        kinds[f"pink noise {level_db} dB"] = [at_level(_pink(rng, size), level_db) for _ in range(CLIPS)]
    time_s = np.arange(size) / SAMPLE_RATE_HZ
    kinds["tones"] = [at_level(np.sin(2 * np.pi * hz * time_s), -25) for hz in (50, 100, 220, 440, 1000, 3000)]
    kinds["chords"] = [at_level(_chords(rng, size), -25) for _ in range(2 * CLIPS)]
    for name, noise_T in noises:
        kinds[f"recorded {name}"] = [at_level(noise_T.astype(np.float64), level_db) for level_db in LEVELS_DB[2:]]
    return kinds


def at_level(samples_T: npt.NDArray[np.float64], level_db: float) -> Samples:
    """With an RMS of so many dB against full scale; what is over is clipped."""
    rms = float(np.sqrt(np.mean(samples_T**2)))
    return np.clip(samples_T * 10 ** (level_db / 20) / max(rms, 1e-9), -1.0, 1.0).astype(np.float32)


def _pink(rng: np.random.Generator, size: int) -> npt.NDArray[np.float64]:
    spectrum = np.fft.rfft(rng.standard_normal(size))
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(1, np.arange(spectrum.size))), size)


def _chords(rng: np.random.Generator, size: int) -> npt.NDArray[np.float64]:
    """One to three plucked notes at a time, with five harmonics each."""
    music_T = np.zeros(size)
    start = 0
    while start < size:
        length = min(size - start, round(SAMPLE_RATE_HZ * rng.choice([0.15, 0.3, 0.6])))
        time_s = np.arange(length) / SAMPLE_RATE_HZ
        envelope_T = np.exp(-3 * time_s) * np.minimum(1, time_s / 0.01)
        for note_hz in rng.choice(SCALE_HZ, rng.integers(1, 4)):
            for harmonic in range(1, 6):
                tone_T = np.sin(2 * np.pi * note_hz * harmonic * time_s)
                music_T[start : start + length] += envelope_T * tone_T / harmonic
        start += length
    return music_T
