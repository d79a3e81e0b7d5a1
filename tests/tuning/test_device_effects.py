"""Effects on whole batches are those of `mel_effects`, utterance by utterance."""

import numpy as np
import pytest
import torch

from shoptalk.core.recipe import TrainSection
from shoptalk.tuning import device_effects, mel_effects
from shoptalk.tuning.data import FLOOR

MELS = 80
LENGTHS = (40, 57, 23)


@pytest.fixture
def clean():
    rng = np.random.default_rng(3)
    return [np.clip(rng.normal(-8.0, 3.0, (frames, MELS)), -15.0, 5.0).astype(np.float32) for frames in LENGTHS]


@pytest.fixture
def tables():
    return device_effects.Tables(MELS, (0.84, 1.2), torch.device("cpu"))


def padded(features):
    out = np.zeros((len(features), max(map(len, features)), MELS), np.float32)
    for row, features_TM in zip(out, features, strict=True):
        row[: len(features_TM)] = features_TM
    return torch.from_numpy(out)


def test_a_vocal_tract_is_that_of_the_effect_on_one_utterance(clean, tables):
    warps = [0, 31, device_effects.WARPS]
    out = device_effects.warped(padded(clean), torch.tensor(warps), tables).numpy()
    factors = [*np.linspace(0.84, 1.2, device_effects.WARPS), 1.0]
    for row, features_TM, warp in zip(out, clean, warps, strict=True):
        wanted_TM = mel_effects.warp(features_TM, factors[warp])
        np.testing.assert_allclose(row[: len(features_TM)], wanted_TM, atol=1e-4)


def test_a_room_is_that_of_the_effect_on_one_utterance(clean):
    reverberation_s, direct_db = np.array([0.2, 0.5, 0.8]), np.array([3.0, 0.0, 12.0])
    echo_B = 10 ** (-6 * mel_effects.HOP_S / reverberation_s)
    gain_B = (1 - echo_B) * 10 ** (-direct_db / 10)
    power = device_effects.echoed(padded(clean).exp(), torch.tensor(echo_B), torch.tensor(gain_B))
    for row, features_TM, fall_s, direct in zip(power, clean, reverberation_s, direct_db, strict=True):
        wanted_TM = mel_effects.room(features_TM, reverberation_s=fall_s, direct_db=direct)
        np.testing.assert_allclose(row[: len(features_TM)].log(), wanted_TM, atol=1e-3)


def test_noise_has_the_snr_of_the_effect_on_one_utterance(clean):
    frames_B = torch.tensor(LENGTHS)
    material = np.random.default_rng(4).normal(-9.0, 2.0, (500, MELS)).astype(np.float32)
    places = torch.tensor([[100, 30, 7], [0, 300, 250], [200, 11, 0]])
    noise = device_effects.looped(torch.from_numpy(material), places, max(LENGTHS))
    snr_db = torch.tensor([0.0, 12.0, device_effects.NEVER_DB])
    power = device_effects.noisy(padded(clean).exp(), noise, snr_db, frames_B)
    for row, features_TM, (first, length, start), wanted_db in zip(
        power, clean, places.tolist(), snr_db.tolist(), strict=True
    ):
        at = first + (start + np.arange(len(features_TM))) % length

        class Start:
            def integers(self, _: int) -> int:
                return 0

        wanted_TM = mel_effects.add_noise(features_TM, material[at], snr_db=wanted_db, rng=Start())
        np.testing.assert_allclose(row[: len(features_TM)].log(), wanted_TM, atol=2e-3)


def test_what_nothing_happens_to_stays_as_it_is(clean, tables):
    config = TrainSection(feature_warp=0.0, time_masks=0, frequency_masks=0)
    frames_B = np.array(LENGTHS)
    material = torch.full((200, MELS), -9.0)
    drawn = device_effects.draw(
        frames_B,
        is_spoken_B=np.zeros(3, bool),
        is_lossy_B=np.zeros(3, bool),
        sources=device_effects.Sources(np.array([[0, 100]]), np.array([[100, 50]])),
        mels=MELS,
        config=config,
        snr_db=(0, 10),
        rng=np.random.default_rng(5),
    )
    moved = device_effects.Effects(*device_effects.moved(list(vars(drawn).values()), torch.device("cpu")))
    out = device_effects.apply(padded(clean), torch.tensor(LENGTHS), moved, material, tables)
    normal = device_effects.normalised(out, torch.tensor(LENGTHS), moved)
    for row, features_TM in zip(normal, clean, strict=True):
        wanted_TM = (features_TM - features_TM.mean(0)) / (features_TM.std(0, ddof=1) + FLOOR)
        np.testing.assert_allclose(row[:, : len(features_TM)].T, wanted_TM, atol=0.05)  # jitter of 0.01
        assert not row[:, len(features_TM) :].any()


def test_everything_at_once_gives_numbers_and_masks(clean, tables):
    config = TrainSection(
        feature_warp=1.0,
        feature_tilt=1.0,
        feature_room=1.0,
        feature_level=1.0,
        feature_noise=1.0,
        feature_shaped_noise=1.0,
        feature_babble=1.0,
        feature_low_pass=1.0,
        feature_telephone=1.0,
        wordless=0.5,
        time_masks=2,
        time_mask_part=0.5,
        frequency_masks=2,
        frequency_mask_bins=30,
    )
    material = torch.from_numpy(np.random.default_rng(4).normal(-9.0, 2.0, (500, MELS)).astype(np.float16))
    rng = np.random.default_rng(6)
    kinds = set()
    for _ in range(8):
        drawn = device_effects.draw(
            np.array(LENGTHS),
            is_spoken_B=np.ones(3, bool),
            is_lossy_B=np.ones(3, bool),
            sources=device_effects.Sources(np.array([[0, 100]]), np.array([[100, 50], [150, 60]])),
            mels=MELS,
            config=config,
            snr_db=(0, 10),
            rng=rng,
        )
        kinds.update(drawn.wordless_B.tolist())
        moved = device_effects.Effects(*device_effects.moved(list(vars(drawn).values()), torch.device("cpu")))
        out = device_effects.apply(padded(clean), torch.tensor(LENGTHS), moved, material, tables)
        normal = device_effects.normalised(out, torch.tensor(LENGTHS), moved)
        assert torch.isfinite(normal).all()
        first, width = drawn.bands_BW2[0, 0]
        assert not normal[0, first : first + width].any()
    assert kinds == {0, 1, 2, 3}
