"""Effects on log-mel features: as strong as asked, and what the effects on samples do."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tuning import speech

from shoptalk.core import audio, effects
from shoptalk.integrations import nemo
from shoptalk.tuning.mel_effects import GUARD, add_noise, room, telephone

MELS = 20


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
