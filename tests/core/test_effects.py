"""Laws of the audio effects."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import effects
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import AudioError
from shoptalk.core.records import Samples


def speech(seconds: float = 2.0, seed: int = 0) -> Samples:
    """Harmonics that move, with a pause in the middle: enough like speech for levels, bands and codecs."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    pitch = np.cumsum(140 + 30 * np.sin(2 * np.pi * 1.3 * t + seed)) / SAMPLE_RATE_HZ
    voiced = sum(np.sin(2 * np.pi * k * pitch) / k for k in range(1, 40))
    envelope = np.clip(np.sin(2 * np.pi * 2.2 * t), 0, 1) * (np.abs(t - seconds / 2) > seconds / 8)
    return np.asarray(0.2 * voiced * envelope + 1e-4 * rng.normal(size=t.size), np.float32)


def hiss(size: int, seed: int = 1) -> Samples:
    return np.random.default_rng(seed).normal(0, 0.05, size).astype(np.float32)


def band_power(samples_T: Samples, low_hz: float, high_hz: float) -> float:
    power = np.abs(np.fft.rfft(samples_T)) ** 2
    hz = np.fft.rfftfreq(samples_T.size, 1 / SAMPLE_RATE_HZ)
    return float(power[(hz >= low_hz) & (hz < high_hz)].sum())


@given(snr_db=st.floats(-5, 40), noise_s=st.floats(0.2, 4), level=st.floats(0.01, 1))
@settings(max_examples=30, deadline=None)
def test_snr_is_measured_back(snr_db: float, noise_s: float, level: float) -> None:
    speech_T = speech() * np.float32(level)
    noisy_T = effects.add_noise(speech_T, hiss(round(noise_s * SAMPLE_RATE_HZ)), snr_db=snr_db)
    added = np.mean(np.square(noisy_T.astype(np.float64) - speech_T))
    assert noisy_T.size == speech_T.size
    assert 10 * np.log10(effects.active_power(speech_T) / added) == pytest.approx(snr_db, abs=0.3)


def test_pauses_do_not_count_as_speech() -> None:
    speech_T = speech()
    longer_T = np.concatenate([speech_T, np.zeros(5 * SAMPLE_RATE_HZ, np.float32)])
    assert effects.active_power(longer_T) == pytest.approx(effects.active_power(speech_T), rel=0.1)


def test_silent_noise_and_silent_room_are_named() -> None:
    with pytest.raises(AudioError, match="noise is silent"):
        effects.add_noise(speech(), np.zeros(100, np.float32), snr_db=10)
    with pytest.raises(AudioError, match="impulse response is silent"):
        effects.room(speech(), np.zeros(100, np.float32))


@given(first=st.floats(-20, 20), second=st.floats(-20, 20))
@settings(max_examples=20, deadline=None)
def test_gains_add_up(first: float, second: float) -> None:
    samples_T = speech(0.5)
    twice_T = effects.gain(effects.gain(samples_T, gain_db=first), gain_db=second)
    np.testing.assert_allclose(twice_T, effects.gain(samples_T, gain_db=first + second), rtol=1e-4, atol=1e-7)


def test_a_perfect_room_changes_nothing_and_delay_is_taken_out() -> None:
    impulse_T = np.zeros(800, np.float32)
    impulse_T[300] = 0.25
    np.testing.assert_allclose(effects.room(speech(), impulse_T), speech(), atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_simulated_rooms_reverberate_and_keep_energy(seed: int) -> None:
    drawn = effects.draw_room(np.random.default_rng(seed))
    assert drawn == effects.draw_room(np.random.default_rng(seed))
    rir_T = effects.simulated_room(drawn)
    assert np.array_equal(rir_T, effects.simulated_room(drawn))
    speech_T = speech()
    wet_T = effects.room(speech_T, rir_T)
    assert wet_T.shape == speech_T.shape and np.isfinite(wet_T).all()
    assert np.sum(wet_T**2) == pytest.approx(np.sum(speech_T**2), rel=1e-3)
    burst_T = np.concatenate([hiss(4800), np.zeros(4800, np.float32)])
    tail_T = effects.room(burst_T, rir_T)[4800:6400]
    assert np.sum(tail_T**2) > 1e-4 * np.sum(burst_T**2), "a room goes on sounding"


@given(factor=st.floats(0.85, 1.2))
@settings(max_examples=20, deadline=None)
def test_speed_changes_length_and_pitch(factor: float) -> None:
    t = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    faster_T = effects.change_speed(np.sin(2 * np.pi * 500 * t).astype(np.float32), factor=factor)
    assert faster_T.size == pytest.approx(SAMPLE_RATE_HZ / factor, abs=2)
    loudest = np.argmax(np.abs(np.fft.rfft(faster_T))) * SAMPLE_RATE_HZ / faster_T.size
    assert loudest == pytest.approx(500 * factor, abs=2)


def test_telephone_cuts_the_band_and_keeps_the_place() -> None:
    noisy_T = speech() + hiss(2 * SAMPLE_RATE_HZ)
    heard_T = effects.telephone(noisy_T)
    assert heard_T.shape == noisy_T.shape and np.isfinite(heard_T).all()
    assert band_power(heard_T, 4200, 8000) < 1e-3 * band_power(noisy_T, 4200, 8000)
    assert band_power(heard_T, 0, 150) < 0.05 * band_power(noisy_T, 0, 150)
    assert band_power(heard_T, 500, 3000) == pytest.approx(band_power(noisy_T, 500, 3000), rel=0.1)
    assert np.argmax(np.correlate(heard_T, noisy_T[800:-800], "valid")) == 800


@pytest.mark.parametrize(("name", "bit_rate"), [("opus", 8_000), ("opus", 16_000), ("mp3", 16_000), ("mp3", 32_000)])
def test_codecs_are_lossy_aligned_and_repeatable(name: effects.Codec, bit_rate: int) -> None:
    speech_T = speech()
    heard_T = effects.codec(speech_T, name=name, bit_rate=bit_rate)
    assert heard_T.shape == speech_T.shape and np.isfinite(heard_T).all()
    assert np.array_equal(heard_T, effects.codec(speech_T, name=name, bit_rate=bit_rate))
    assert not np.allclose(heard_T, speech_T, atol=1e-3)
    assert abs(int(np.argmax(np.correlate(heard_T, speech_T[800:-800], "valid"))) - 800) <= 16  # 1 ms
    assert np.corrcoef(heard_T, speech_T)[0, 1] > 0.8
