"""Laws of the audio effects."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import effects
from shoptalk.core.audio import SAMPLE_RATE_HZ, decode
from shoptalk.core.errors import AudioError
from shoptalk.core.records import Samples

NOISE = Path(__file__).parents[2] / "assets" / "noise"


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
    with pytest.raises(AudioError, match="noise is silent"):
        effects.at_level(np.zeros(100, np.float32), level_db=-30)
    with pytest.raises(AudioError, match="speech is silent"):
        effects.add_noise(np.zeros(100, np.float32), hiss(100), snr_db=10)
    with pytest.raises(AudioError, match="voice of the babble is silent"):
        effects.babble([speech(), np.zeros(100, np.float32)], size=100, starts=[0.0, 0.0])
    with pytest.raises(AudioError, match="impulse response is silent"):
        effects.room(speech(), np.zeros(100, np.float32))


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_broken_noise_makes_no_mixture(broken: float) -> None:
    noise_T = hiss(3_200)
    noise_T[100] = broken
    with pytest.raises(AudioError, match="SNR of"), np.errstate(all="ignore"):
        effects.add_noise(speech(0.2), noise_T, snr_db=10)


def test_a_mixture_of_another_snr_is_an_error() -> None:
    """Noise of -300 dB leaves no trace in samples of 32 bits."""
    with pytest.raises(AudioError, match="SNR of inf dB where 300.0 dB were asked for"):
        effects.add_noise(speech(0.2), hiss(3_200), snr_db=300)


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


def test_telephone_cuts_the_band_and_keeps_the_place() -> None:
    noisy_T = speech() + hiss(2 * SAMPLE_RATE_HZ)
    heard_T = effects.telephone(noisy_T)
    assert heard_T.shape == noisy_T.shape and np.isfinite(heard_T).all()
    assert band_power(heard_T, 4200, 8000) < 1e-3 * band_power(noisy_T, 4200, 8000)
    assert band_power(heard_T, 0, 150) < 0.05 * band_power(noisy_T, 0, 150)
    assert band_power(heard_T, 500, 3000) == pytest.approx(band_power(noisy_T, 500, 3000), rel=0.1)
    assert np.argmax(np.correlate(heard_T, noisy_T[800:-800], "valid")) == 800


CODECS = [(name, rates[0]) for name, rates in effects.CODEC_BIT_RATES.items()]
CODECS += [(name, rates[-1]) for name, rates in effects.CODEC_BIT_RATES.items()]


@pytest.mark.parametrize(("name", "bit_rate"), CODECS)
def test_codecs_are_lossy_aligned_and_repeatable(name: effects.Codec, bit_rate: int) -> None:
    speech_T = speech()
    heard_T = effects.codec(speech_T, name=name, bit_rate=bit_rate)
    assert heard_T.shape == speech_T.shape and np.isfinite(heard_T).all()
    assert np.array_equal(heard_T, effects.codec(speech_T, name=name, bit_rate=bit_rate))
    assert not np.allclose(heard_T, speech_T, atol=1e-3)
    assert abs(int(np.argmax(np.correlate(heard_T, speech_T[800:-800], "valid"))) - 800) <= 16  # 1 ms
    assert np.corrcoef(heard_T, speech_T)[0, 1] > 0.8


@pytest.mark.parametrize("law", ["mu", "a"])
@given(quieter_db=st.floats(0, 40))
@settings(max_examples=10, deadline=None)
def test_companding_is_that_of_g711(law: effects.Law, quieter_db: float) -> None:
    """Against FFmpeg's G.711, whose curves are made of straight pieces: no further from it than its own steps."""
    t = np.arange(8_000) / 8_000
    speech_T = (0.9 * 10 ** (-quieter_db / 20) * np.sin(2 * np.pi * 440 * t) * np.sin(2 * np.pi * 3 * t)).astype(
        np.float32
    )
    carried_T, oracle_T = effects.companded(speech_T, law=law), g711_of_ffmpeg(speech_T, f"pcm_{law}law")
    step_T = np.maximum(np.abs(oracle_T) / 16, 2 / 4096)
    assert np.all(np.abs(carried_T - speech_T) <= step_T)
    assert np.all(np.abs(oracle_T - speech_T) <= step_T)
    assert snr_db(speech_T, carried_T) == pytest.approx(snr_db(speech_T, oracle_T), abs=3)


def g711_of_ffmpeg(samples_T: Samples, codec: str) -> Samples:
    encoder = av.CodecContext.create(codec, "w")
    encoder.sample_rate, encoder.format, encoder.layout = 8_000, "s16", "mono"
    frame = av.AudioFrame.from_ndarray(np.round(samples_T * 32767).astype(np.int16)[None], "s16", "mono")
    frame.sample_rate = 8_000
    decoder = av.CodecContext.create(codec, "r")
    decoder.sample_rate, decoder.layout = 8_000, "mono"
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    decoded = [part.to_ndarray()[0] for packet in packets for part in decoder.decode(packet)]
    return np.concatenate(decoded).astype(np.float32) / 32768


def snr_db(clean_T: Samples, other_T: Samples) -> float:
    return float(10 * np.log10(np.sum(clean_T**2) / np.sum((other_T - clean_T) ** 2)))


def test_a_law_cuts_the_same_band() -> None:
    noisy_T = speech() + hiss(2 * SAMPLE_RATE_HZ)
    assert snr_db(effects.telephone(noisy_T), effects.telephone(noisy_T, law="a")) > 25


@given(low_hz=st.floats(50, 300), high_hz=st.floats(3_400, 5_000), tilt_db=st.floats(-3, 3))
@settings(max_examples=10, deadline=None)
def test_a_microphone_has_a_band_and_a_tilt(low_hz: float, high_hz: float, tilt_db: float) -> None:
    noise_T = hiss(SAMPLE_RATE_HZ)
    heard_T = effects.microphone(noise_T, low_hz=low_hz, high_hz=high_hz, tilt_db_per_octave=tilt_db)
    kept = {
        hz: 10 * np.log10(band_power(heard_T, hz * 0.9, hz * 1.1) / band_power(noise_T, hz * 0.9, hz * 1.1))
        for hz in (low_hz / 2, 1_000, 2_000)
    }
    assert kept[1_000] == pytest.approx(0, abs=0.5)
    assert kept[2_000] - kept[1_000] == pytest.approx(tilt_db, abs=0.6)
    assert kept[low_hz / 2] < -30
    assert band_power(heard_T, 1.5 * high_hz, 8_000) < 1e-2 * band_power(noise_T, 1.5 * high_hz, 8_000)
    assert np.argmax(np.correlate(heard_T, noise_T[800:-800], "valid")) == 800


@given(part=st.floats(0.05, 0.5), burst=st.floats(1, 5))
@settings(max_examples=10, deadline=None)
def test_packets_are_lost_as_often_and_in_bursts_as_long_as_asked(part: float, burst: float) -> None:
    rng = np.random.default_rng(3)
    lost_P = effects.draw_losses(rng, size=320 * 40_000, part=part, burst_packets=burst)
    starts = int(np.sum(np.diff(lost_P.astype(int)) == 1))
    assert lost_P.mean() == pytest.approx(part, rel=0.25)
    assert lost_P.sum() / starts == pytest.approx(burst, rel=0.2)


@pytest.mark.parametrize("concealment", ["zero", "repeat"])
def test_lost_packets_are_concealed_and_the_others_kept(concealment: effects.Concealment) -> None:
    samples_T = hiss(320 * 8 + 100)
    lost_P = np.array([1, 0, 1, 1, 1, 1, 0, 0, 1], bool)
    heard_T = effects.packet_loss(samples_T, lost_P, concealment=concealment)
    packet = [heard_T[320 * number : 320 * (number + 1)] for number in range(9)]
    for number in (1, 6, 7):
        np.testing.assert_array_equal(packet[number], samples_T[320 * number : 320 * (number + 1)])
    assert not packet[0].any() and not packet[5].any(), "before the first packet, and behind three repeats"
    if concealment == "repeat":
        np.testing.assert_array_equal(packet[2], packet[1])
        np.testing.assert_allclose(packet[3], packet[1] * 2 / 3, rtol=1e-6)
        np.testing.assert_array_equal(packet[8], packet[7][:100])
    else:
        assert not any(packet[number].any() for number in (2, 3, 4, 8))


def test_voices_of_a_babble_are_equally_loud() -> None:
    loud_T, quiet_T = speech(seed=1), speech(seed=2) * np.float32(0.01)
    both_T = effects.babble([loud_T, quiet_T], size=40_001, starts=[0.0, 0.5])
    without_T = effects.babble([loud_T], size=40_001, starts=[0.0])
    assert effects.active_power(both_T - without_T) == pytest.approx(effects.active_power(without_T), rel=0.1)


@given(level_db=st.floats(-70, -10))
@settings(max_examples=10, deadline=None)
def test_levels_are_as_asked(level_db: float) -> None:
    white_T = effects.white_noise(np.random.default_rng(3), size=16_001, level_db=level_db)
    for samples_T in (white_T, effects.at_level(speech(), level_db=level_db)):
        assert 10 * np.log10(np.mean(samples_T.astype(np.float64) ** 2)) == pytest.approx(level_db, abs=0.1)


def test_only_what_would_clip_is_lowered() -> None:
    np.testing.assert_array_equal(effects.lowered(speech()), speech())
    assert np.abs(effects.lowered(speech() * 40)).max() == pytest.approx(effects.PEAK)


@pytest.mark.parametrize("path", sorted(NOISE.glob("*.flac")), ids=lambda path: path.stem)
def test_recorded_rooms_leave_words_where_they_are(path: Path) -> None:
    assert first_sound_s(effects.room(clicks(), decode(path))) == pytest.approx([0.25, 1.25, 2.25], abs=0.01)


@pytest.mark.parametrize("seed", range(20))
def test_simulated_rooms_leave_words_where_they_are(seed: int) -> None:
    rir_T = effects.simulated_room(effects.draw_room(np.random.default_rng(seed)))
    assert first_sound_s(effects.room(clicks(), rir_T)) == pytest.approx([0.25, 1.25, 2.25], abs=0.01)


def clicks() -> Samples:
    """Three short sounds, a second from each other."""
    samples_T = np.zeros(3 * SAMPLE_RATE_HZ, np.float32)
    samples_T[[4_000, 20_000, 36_000]] = 0.5
    return samples_T


def first_sound_s(samples_T: Samples) -> list[float]:
    """Where, in each second, something first reaches half of the highest magnitude of it."""
    seconds = np.abs(samples_T).reshape(3, -1)
    loud = seconds >= seconds.max(axis=1, keepdims=True) / 2
    return [float(second + np.argmax(row) / SAMPLE_RATE_HZ) for second, row in enumerate(loud)]


@pytest.mark.parametrize("size", [1_600, 1_601, 4_801, 480_000])
@pytest.mark.parametrize(
    "effect",
    [
        effects.telephone,
        partial(effects.telephone, law="a"),
        partial(effects.codec, name="opus", bit_rate=8_000),
        partial(effects.codec, name="mp3", bit_rate=16_000),
        partial(effects.codec, name="aac", bit_rate=16_000),
        partial(effects.microphone, low_hz=150.0, high_hz=5_000.0, tilt_db_per_octave=2.0),
        partial(effects.add_noise, noise_T=hiss(20_000), snr_db=10.0),
        partial(effects.room, rir_T=hiss(3_000)),
        partial(effects.gain, gain_db=-3.0),
        partial(effects.packet_loss, lost_P=np.arange(1_500) % 7 == 3, concealment="repeat"),
    ],
)
def test_every_length_is_kept_in_float32_and_the_input_as_it_was(
    effect: Callable[[Samples], Samples], size: int
) -> None:
    samples_T = speech(size / SAMPLE_RATE_HZ + 0.1)[-size:]
    before_T = samples_T.copy()
    made_T = effect(samples_T)
    assert made_T.shape == (size,) and made_T.dtype == np.float32 and np.isfinite(made_T).all() and made_T.any()
    np.testing.assert_array_equal(samples_T, before_T)
