"""The decoder from Kokoro's hidden states to features: places in time, what it learns, what it draws, what is cut."""

import numpy as np
import pytest

from shoptalk.tuning.mel_decoder import EDGE_FRAMES, Array, MelDecoder, Pair, fit, loud_part, seen

CHANNELS, TIMBRE, MELS = 6, 4, 5


def test_kokoro_frames_are_brought_to_mel_frames() -> None:
    at_ms = (np.arange(80) + 0.5) * 12.5  # a hidden state that says when it is
    rows = seen(np.tile(at_ms, (2, 1)).astype(np.float32), np.where(np.arange(80) < 40, 0.0, 200.0).astype(np.float32))
    assert rows.shape == (4, 101)
    assert rows[0, 1:-1] == pytest.approx(np.arange(1, 100) * 10.0, abs=0.01)
    assert rows[2, 10] == 0 and rows[2, 90] == pytest.approx(np.log1p(200.0) / 5)
    assert (rows[3, 10], rows[3, 90]) == (0, 1)


def pairs(count: int) -> list[Pair]:
    """Recordings whose features follow from what is seen, from the voice's timbre, and from noise of 0.3."""
    rng = np.random.default_rng(1)
    mix_MC = rng.normal(size=(MELS, CHANNELS))
    made = []
    for _ in range(count):
        seen_CT = rng.normal(size=(CHANNELS, int(rng.integers(60, 220)))).astype(np.float32)
        timbre_S = rng.normal(size=TIMBRE).astype(np.float32)
        features_TM = (mix_MC @ seen_CT).T - 6 + timbre_S[0] + 0.3 * rng.normal(size=(seen_CT.shape[1], MELS))
        made.append(Pair(seen_CT, timbre_S, features_TM.astype(np.float32)))
    return made


def test_it_learns_means_and_spreads_and_draws_with_them() -> None:
    known, new = pairs(60)[:50], pairs(60)[50:]
    losses: list[float] = []
    decoder = fit(known, steps=150, seed=3, progress=losses.append)
    assert np.mean(losses[-20:]) < 0.3 * np.mean(losses[:20])
    errors = np.concatenate([draws(decoder, one) - one.features_TM for one in new])
    wanted = np.concatenate([one.features_TM for one in new])
    assert errors.var() < 0.25 * wanted.var(), "two draws with a spread of 0.3, and what it could not learn"
    again, other = draws(decoder, new[0]), draws(decoder, new[0], seed=9)
    assert np.array_equal(again, draws(decoder, new[0])) and not np.array_equal(again, other)
    assert 0.15 < np.std(again - other) / np.sqrt(2) < 0.6
    same = MelDecoder.restore(decoder.state_dict())
    assert np.array_equal(draws(same, new[0]), again)


def draws(decoder: MelDecoder, pair: Pair, seed: int = 5) -> Array:
    return decoder.speak(pair.seen_CT, pair.timbre_S, np.random.default_rng(seed))


def test_silence_at_both_ends_is_cut_to_its_edges() -> None:
    features_TM = np.full((100, MELS), -16.0, np.float32)
    features_TM[30:60] = -3.0
    features_TM[45] = -15.9  # a pause inside stays
    kept = loud_part(features_TM)
    assert (kept.start, kept.stop) == (30 - EDGE_FRAMES, 60 + EDGE_FRAMES)
    features_TM[:5] = -3.0
    assert loud_part(features_TM).start == 0
