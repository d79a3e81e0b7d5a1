"""Effects on log-mel features: as strong as asked, and what the effects on samples do."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tuning import speech

from shoptalk.core import audio, effects
from shoptalk.core.records import Samples
from shoptalk.core.voice_effects import change_speed
from shoptalk.integrations import nemo
from shoptalk.tuning import mel_effects
from shoptalk.tuning.mel_effects import GUARD, add_noise, room, telephone

MELS = 20
Features = npt.NDArray[np.float32]


@settings(max_examples=40, deadline=None)
@given(st.floats(-5, 30), st.integers(20, 400), st.integers(0, 999))
def test_the_snr_is_as_asked(snr_db: float, noise_frames: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    clean_TM = rng.normal(-2, 0.3, (300, MELS)).astype(np.float32)  # broadband, and equally loud throughout
    noise_TM = rng.normal(-6, 0.3, (noise_frames, MELS)).astype(np.float32)
    noisy_TM = add_noise(clean_TM, noise_TM, snr_db=snr_db, rng=rng)
    assert noisy_TM.dtype == np.float32 and (noisy_TM >= clean_TM - 1e-5).all()
    added = np.exp(noisy_TM.astype(np.float64)) - np.exp(clean_TM.astype(np.float64))
    assert 10 * np.log10(np.exp(clean_TM).mean() / added.mean()) == pytest.approx(snr_db, abs=1)


def test_silence_between_words_does_not_make_the_noise_weaker() -> None:
    rng = np.random.default_rng(1)
    speech_TM = rng.normal(-2, 0.3, (300, MELS)).astype(np.float32)
    paused_TM = np.where(np.arange(300)[:, None] % 10 < 4, np.float32(-14), speech_TM)
    noise_TM = np.full((300, MELS), -6, np.float32)
    added = [
        (np.exp(add_noise(one, noise_TM, snr_db=10, rng=np.random.default_rng(2))) - np.exp(one)).mean()
        for one in (speech_TM, paused_TM)
    ]
    assert 10 * np.log10(added[0] / added[1]) == pytest.approx(0, abs=1)


def test_reverberation_falls_by_sixty_decibels_in_its_time() -> None:
    click_TM = np.full((100, MELS), np.log(1e-9), np.float32)
    click_TM[10] = 0.0
    heard = np.exp(room(click_TM, reverberation_s=0.5, direct_db=6.0).astype(np.float64)) - 1e-9
    assert 10 * np.log10(heard[11, 0] / heard[61, 0]) == pytest.approx(60, abs=0.5)
    assert 10 * np.log10(heard[10, 0] / heard[11:, 0].sum()) == pytest.approx(6, abs=0.5)
    assert heard[:10].max() < 1e-9


def test_a_telephone_sounds_in_features_as_in_samples(tiny_nemo: Path) -> None:
    featurize = nemo.featurizer(nemo.restore(tiny_nemo))
    speech_T = audio.decode(speech.entries()[0].audio)
    on_samples = featurize(effects.telephone(speech_T))
    on_features = telephone(featurize(speech_T), np.random.default_rng(1))
    assert on_features.mean(0) == pytest.approx(on_samples.mean(0), abs=1.5)
    assert np.abs(on_features[:, -5:] - np.log(GUARD)).max() < 0.1


def spectrum(featurize: Callable[[Samples], Features], samples_T: Samples) -> Features:
    """Mean log-mel of the louder frames."""
    features_TM = featurize(samples_T)
    loudness_T = features_TM.mean(axis=1)
    mean_M: Features = features_TM[loudness_T >= np.median(loudness_T)].mean(axis=0)
    return mean_M


@pytest.fixture(scope="module")
def featurize(tiny_nemo: Path) -> Callable[[Samples], Features]:
    front_end: Callable[[Samples], Features] = nemo.featurizer(nemo.restore(tiny_nemo))
    return front_end


@pytest.mark.parametrize("factor", [0.85, 1.15])
def test_a_warp_moves_a_tone_as_playing_the_sound_faster_does(
    factor: float, featurize: Callable[[Samples], Features]
) -> None:
    times = np.arange(16_000) / 16_000
    tone_T = sum(0.1 * np.sin(2 * np.pi * hz * times) for hz in (500, 1_500, 3_000)).astype(np.float32)
    on_samples = spectrum(featurize, change_speed(tone_T, factor=factor))
    warped = mel_effects.warp(featurize(tone_T), factor)[10:-10].mean(axis=0)
    unwarped = featurize(tone_T)[10:-10].mean(axis=0)
    assert warped.dtype == np.float32

    def peaks(mean_M: Features) -> list[int]:
        inner = mean_M[1:-1]
        higher = (inner > mean_M[:-2]) & (inner >= mean_M[2:]) & (inner > mean_M.max() - 4)
        return [int(place) + 1 for place in np.flatnonzero(higher)]

    assert len(peaks(warped)) == 3
    assert peaks(warped) == pytest.approx(peaks(on_samples), abs=1)
    assert peaks(warped) != pytest.approx(peaks(unwarped), abs=1)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.84, 1.2), st.integers(0, 999))
def test_a_warp_keeps_frames_bins_and_what_is_flat(factor: float, seed: int) -> None:
    level_T1 = np.random.default_rng(seed).normal(0, 3, (40, 1)).astype(np.float32)
    flat_TM = np.tile(level_T1, (1, 80))
    assert mel_effects.warp(flat_TM, factor) == pytest.approx(flat_TM, abs=1e-4)


def test_a_tilt_is_nothing_at_one_kilohertz_and_as_steep_as_asked() -> None:
    tilted_TM = mel_effects.tilt(np.zeros((5, 80), np.float32), db_per_octave=3.0)
    gain_db = 10 * np.log10(np.exp(tilted_TM[0].astype(np.float64)))
    centre_hz = mel_effects.centres_hz(80)
    for hz, expected_db in ((500, -3), (1_000, 0), (2_000, 3), (4_000, 6)):
        assert np.interp(hz, centre_hz, gain_db) == pytest.approx(expected_db, abs=0.1)


def test_a_level_is_what_the_front_end_makes_of_quieter_samples(featurize: Callable[[Samples], Features]) -> None:
    speech_T = audio.decode(speech.entries()[0].audio)
    quiet_TM = mel_effects.level(featurize(speech_T), gain_db=-50.0)
    expected_TM = featurize(effects.gain(speech_T, gain_db=-50.0))
    assert quiet_TM.dtype == np.float32
    assert np.abs(quiet_TM - expected_TM).mean() < 0.05


def test_a_low_pass_leaves_what_is_below_and_next_to_nothing_above() -> None:
    rng = np.random.default_rng(1)
    clean_TM = rng.normal(2, 1, (50, 80)).astype(np.float32)
    passed_TM = mel_effects.low_pass(clean_TM, cutoff_hz=4_000, rng=rng)
    centre_hz = mel_effects.centres_hz(80)
    below, above = centre_hz < 4_000, centre_hz > 5_700
    assert np.abs(passed_TM - clean_TM)[:, below].max() < 0.1
    assert np.abs(passed_TM[:, above] - np.log(GUARD)).max() < 0.5
    assert passed_TM[:, above].std(axis=0).min() > 0, "a bin without spread could not be normalised"


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(0, 999))
def test_shaped_noise_has_the_size_asked_and_repeats(frames: int, seed: int) -> None:
    noise_TM = mel_effects.shaped_noise(frames, 80, np.random.default_rng(seed))
    assert noise_TM.shape == (frames, 80) and noise_TM.dtype == np.float32 and np.isfinite(noise_TM).all()
    assert np.array_equal(noise_TM, mel_effects.shaped_noise(frames, 80, np.random.default_rng(seed)))


def test_babble_holds_each_voice_equally_loud() -> None:
    quiet_TM, loud_TM = np.full((30, 8), -9, np.float32), np.full((50, 8), 3, np.float32)
    quiet_TM[:, 4:], loud_TM[:, :4] = -30, -30  # each has bins of its own
    both_TM = mel_effects.babble([quiet_TM, loud_TM], 70, np.random.default_rng(1))
    assert both_TM.shape == (70, 8)
    assert both_TM[:, :4].mean() == pytest.approx(both_TM[:, 4:].mean(), abs=1e-3)


def test_joined_utterances_stand_in_order_with_quiet_between() -> None:
    rng = np.random.default_rng(1)
    first_TM, second_TM = (rng.normal(level, 0.1, (60, 20)).astype(np.float32) for level in (2, 3))
    first_TM[:10] = rng.normal(-12, 0.1, (10, 20))
    second_TM[-10:] = rng.normal(-12, 0.1, (10, 20))
    joined_TM = mel_effects.join([first_TM, second_TM], pauses=[25], rng=rng)
    assert np.array_equal(joined_TM[:60], first_TM) and np.array_equal(joined_TM[85:], second_TM)
    assert joined_TM[60:85] == pytest.approx(np.full((25, 20), -12), abs=1)


def test_cut_ends_and_silence() -> None:
    rising_TM = np.tile(np.arange(30, dtype=np.float32)[:, None], (1, 4))
    cut_TM = mel_effects.cut_ends(rising_TM, first_frames=3, last_frames=0)
    assert cut_TM[0, 0] == 3 and len(cut_TM) == 27
    assert mel_effects.cut_ends(rising_TM, first_frames=0, last_frames=5)[-1, 0] == 24
    assert np.array_equal(mel_effects.silence(2, 3), np.full((2, 3), np.log(GUARD), np.float32))
