"""Packed features come back with a small error, whatever their length, and packs with what they hold."""

import numpy as np
import pytest

from shoptalk.tuning import mel_decoder, packing


def speech(frames, seed=1):
    rng = np.random.default_rng(seed)
    loudness_T1 = np.clip(np.cumsum(rng.normal(0, 0.5, (frames, 1)), axis=0), -5.0, 5.0)
    return (loudness_T1 - 8.0 + rng.normal(0.0, 0.6, (frames, 80))).astype(np.float32)


@pytest.mark.parametrize(("step", "error"), [(0.3, 0.11), (1.0, 0.33), (3.0, 1.0)])
def test_features_come_back_with_an_error_of_about_a_third_of_the_step(tmp_path, step, error):
    features = [speech(frames, frames) for frames in (1, 15, 16, 17, 250)]
    rows = [(f"text {number}", "librispeech") for number in range(len(features))]
    packing.pack(features, rows, step=step, grain="lost").write(tmp_path / "a.pack")
    pack = packing.Pack.read(tmp_path / "a.pack")
    assert [(row.text, row.source, row.frames) for row in pack.recordings] == [
        (text, source, len(features_TM)) for (text, source), features_TM in zip(rows, features, strict=True)
    ]
    assert (pack.step, pack.grain, pack.mels) == (step, "lost", 80)
    back = pack.features()
    assert np.sqrt(np.square(back - np.concatenate(features)).mean()) < error


def test_loud_and_silent_recordings_do_not_overflow(tmp_path):
    features = [np.full((32, 80), value, np.float32) for value in (-16.6, 12.0)]
    back = packing.pack(features, [("", "")] * 2, step=0.3, grain="").features()
    np.testing.assert_allclose(back, np.concatenate(features), atol=0.05)


def test_grain_that_was_drawn_is_taken_away_again():
    mean_TM = speech(200)
    draws = np.random.default_rng(9).standard_normal((230, 80), np.float32)
    spread_TM = np.linspace(0.4, 1.2, 80, dtype=np.float32)
    heard_TM = mean_TM + spread_TM * draws[30:]
    clean_TM = mel_decoder.without_grain(heard_TM, np.random.default_rng(9))
    assert np.square(clean_TM - mean_TM).mean() < 0.25 * np.square(heard_TM - mean_TM).mean()
