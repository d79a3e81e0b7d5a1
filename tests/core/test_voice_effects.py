"""Laws of the effects that make another voice of a recording."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from shoptalk.core import voice_effects
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.records import Samples


def tone(hz: float, size: int = SAMPLE_RATE_HZ) -> Samples:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(size) / SAMPLE_RATE_HZ)).astype(np.float32)


FORMANT_HZ = 150
"""As near as a formant can be measured: harmonics lie 120 Hz apart, and the highest stands for it, before and after."""


def vowel(formant_hz: float, *, pitch_hz: float = 120.0, size: int = SAMPLE_RATE_HZ) -> Samples:
    """Pulses of a voice through one resonance."""
    pulses_T = np.zeros(size)
    pulses_T[np.round(np.arange(0, size, SAMPLE_RATE_HZ / pitch_hz)).astype(int).clip(max=size - 1)] = 1.0
    radius = np.exp(-np.pi * 150 / SAMPLE_RATE_HZ)
    angle = 2 * np.pi * formant_hz / SAMPLE_RATE_HZ
    voiced_T = lfilter([1.0], [1.0, -2 * radius * np.cos(angle), radius**2], pulses_T)
    return (0.3 * voiced_T / np.abs(voiced_T).max()).astype(np.float32)


def loudest_hz(samples_T: Samples) -> float:
    power = np.abs(np.fft.rfft(samples_T * np.hanning(samples_T.size), 8 * SAMPLE_RATE_HZ))
    return float(np.argmax(power)) / 8


def formant_hz(samples_T: Samples) -> float:
    """The centre of the power around its highest place, with the harmonics smoothed over."""
    power = np.abs(np.fft.rfft(samples_T * np.hanning(samples_T.size))) ** 2
    hz = np.fft.rfftfreq(samples_T.size, 1 / SAMPLE_RATE_HZ)
    width = round(150 * samples_T.size / SAMPLE_RATE_HZ)
    smooth = np.convolve(power, np.hanning(2 * width), "same")
    return float(hz[np.argmax(smooth)])


def pitch_hz(samples_T: Samples) -> float:
    """The highest place of the autocorrelation between 60 and 400 Hz, or half its lag where it is nearly as high."""
    middle_T = samples_T[samples_T.size // 4 : 3 * samples_T.size // 4].astype(np.float64)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(middle_T, 4 * middle_T.size)) ** 2)
    lags = np.arange(SAMPLE_RATE_HZ // 400, SAMPLE_RATE_HZ // 60)
    lag = int(lags[np.argmax(correlation[lags])])
    halves = np.arange(max(lags[0], lag // 2 - 2), lag // 2 + 3)
    half = int(halves[np.argmax(correlation[halves])])
    return SAMPLE_RATE_HZ / (half if correlation[half] > 0.85 * correlation[lag] else lag)


@given(factor=st.floats(0.85, 1.2))
@settings(max_examples=20, deadline=None)
def test_speed_changes_length_and_pitch(factor: float) -> None:
    faster_T = voice_effects.change_speed(tone(500), factor=factor)
    assert faster_T.size == pytest.approx(SAMPLE_RATE_HZ / factor, abs=2)
    assert loudest_hz(faster_T) == pytest.approx(500 * factor, abs=2)


@given(factor=st.floats(0.7, 1.5), hz=st.floats(100, 3_000))
@settings(max_examples=20, deadline=None)
def test_tempo_changes_length_and_keeps_pitch(factor: float, hz: float) -> None:
    faster_T = voice_effects.change_tempo(tone(hz), factor=factor)
    assert faster_T.size == round(SAMPLE_RATE_HZ / factor)
    assert loudest_hz(faster_T) == pytest.approx(hz, rel=0.01, abs=2)


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.1, 1.25])
def test_tempo_moves_words_evenly(factor: float) -> None:
    """A sound that begins at 1, 2.5 and 4 s begins that many times as early, but for a window of the method."""
    size = 5 * SAMPLE_RATE_HZ
    seconds = np.arange(size) / SAMPLE_RATE_HZ
    is_sounding = np.zeros(size, bool)
    for start_s in (1.0, 2.5, 4.0):
        is_sounding |= (seconds >= start_s) & (seconds < start_s + 0.3)
    changed_T = voice_effects.change_tempo(np.where(is_sounding, tone(300, size), 0.0), factor=factor)
    loud = np.flatnonzero(np.abs(changed_T) > 0.15)
    starts = loud[np.concatenate([[True], np.diff(loud) > 3_200])]
    assert starts / SAMPLE_RATE_HZ == pytest.approx(np.array([1.0, 2.5, 4.0]) / factor, abs=0.05)


@given(semitones=st.floats(-4, 4))
@settings(max_examples=15, deadline=None)
def test_pitch_moves_a_tone_by_its_ratio(semitones: float) -> None:
    shifted_T = voice_effects.change_pitch(tone(500), semitones=semitones)
    assert shifted_T.size == SAMPLE_RATE_HZ
    assert loudest_hz(shifted_T) == pytest.approx(500 * 2 ** (semitones / 12), rel=0.01)


@given(semitones=st.floats(-3, 3), formant=st.floats(800, 2_500))
@settings(max_examples=15, deadline=None)
def test_pitch_moves_the_voice_and_not_its_formants(semitones: float, formant: float) -> None:
    voice_T = vowel(formant)
    shifted_T = voice_effects.change_pitch(voice_T, semitones=semitones)
    assert pitch_hz(shifted_T) == pytest.approx(pitch_hz(voice_T) * 2 ** (semitones / 12), rel=0.03)
    assert formant_hz(shifted_T) == pytest.approx(formant_hz(voice_T), abs=FORMANT_HZ)


@given(factor=st.floats(0.85, 1.18), formant=st.floats(700, 3_000))
@settings(max_examples=20, deadline=None)
def test_a_shorter_vocal_tract_moves_formants_and_not_the_pitch(factor: float, formant: float) -> None:
    voice_T = vowel(formant)
    changed_T = voice_effects.change_vocal_tract(voice_T, factor=factor)
    assert formant_hz(changed_T) == pytest.approx(factor * formant_hz(voice_T), abs=FORMANT_HZ)
    assert pitch_hz(changed_T) == pytest.approx(pitch_hz(voice_T), rel=0.01)
    assert np.sum(changed_T**2) == pytest.approx(np.sum(voice_T**2), rel=1e-3)


def test_a_vocal_tract_of_its_own_length_is_left_alone() -> None:
    np.testing.assert_array_equal(voice_effects.change_vocal_tract(vowel(900), factor=1.0), vowel(900))


@given(factor=st.floats(0.6, 1.6))
@settings(max_examples=20, deadline=None)
def test_a_warp_leaves_the_ends_of_the_spectrum(factor: float) -> None:
    hz = np.linspace(0, 8_000, 257)
    read_hz = voice_effects.warped_hz(hz, factor)
    assert read_hz[0] == 0 and read_hz[-1] == 8_000 and np.all(np.diff(read_hz) > 0)
    low = hz < voice_effects.WARP_TOP_HZ * min(factor, 1.0)
    np.testing.assert_allclose(read_hz[low], hz[low] / factor)


@pytest.mark.parametrize("size", [1_600, 1_601, 4_801, 480_000])
@pytest.mark.parametrize(
    ("effect", "factor"),
    [
        (partial(voice_effects.change_speed, factor=1.07), 1.07),
        (partial(voice_effects.change_tempo, factor=0.87), 0.87),
        (partial(voice_effects.change_pitch, semitones=-2.3), 1.0),
        (partial(voice_effects.change_vocal_tract, factor=1.13), 1.0),
    ],
)
def test_every_length_is_as_asked_in_float32(effect: Callable[[Samples], Samples], factor: float, size: int) -> None:
    voice_T = vowel(900, size=size)
    made_T = effect(voice_T)
    assert made_T.size == pytest.approx(size / factor, abs=1) and made_T.dtype == np.float32
    assert np.isfinite(made_T).all() and made_T.any()
    np.testing.assert_array_equal(voice_T, vowel(900, size=size))


@pytest.mark.parametrize("size", [1_601, 16_000])
def test_silence_stays_silent(size: int) -> None:
    silent_T = np.zeros(size, np.float32)
    for made_T in (
        voice_effects.change_tempo(silent_T, factor=1.1),
        voice_effects.change_pitch(silent_T, semitones=1.0),
        voice_effects.change_vocal_tract(silent_T, factor=0.9),
    ):
        assert not made_T.any() and np.isfinite(made_T).all()
