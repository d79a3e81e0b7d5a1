"""Batches from cached features: noise as strong as asked, rounds that repeat, tokens that belong to their audio."""

from pathlib import Path

import numpy as np
import pytest
import torch

from shoptalk.core.errors import TrainingError
from shoptalk.core.recipe import TrainSection
from shoptalk.core.records import Example
from shoptalk.tuning.alignment import UNKNOWN
from shoptalk.tuning.data import Recordings, Rounds, ahead_of_time, collate
from shoptalk.tuning.features import FeatureCache

MELS = 20


def test_a_process_ahead_makes_the_same_batches() -> None:
    here, ahead = rounds(), rounds()
    for number in range(2):
        here.round = ahead.round = number
        pairs = list(zip(here, ahead_of_time(ahead.made, pinned=False), strict=True))
        assert len(pairs) == len(here)
        for own, other in pairs:
            assert all(torch.equal(*parts) for parts in zip(own[:5], other[:5], strict=True)) and own[5:] == other[5:]


def test_the_memory_of_batches_ahead_is_known() -> None:
    largest = max(batch.features.numel() for batch in rounds())
    assert 4 * 4 * largest <= rounds().bytes_ahead <= 4 * 4 * 2 * largest


def test_lengths_are_on_the_host_too() -> None:
    for batch in rounds():
        assert batch.host_frames == tuple(batch.frames.tolist()) and batch.host_lengths == tuple(batch.lengths.tolist())
        unknown = batch._replace(host_frames=(), host_lengths=())
        assert (*unknown.frames_on_host(),) == batch.host_frames
        assert (*unknown.lengths_on_host(),) == batch.host_lengths


def test_collate_normalises_and_pads() -> None:
    rng = np.random.default_rng(1)
    features = [rng.normal(3, 2, (frames, MELS)).astype(np.float32) for frames in (70, 130)]
    batch = collate(features, [[4, 5], [6] * 9], [np.array([7, 8]), np.array([9])])
    assert batch.features.shape == (2, MELS, 192) and batch.tokens.shape == (2, 16)
    assert batch.frames.tolist() == [70, 130] and batch.lengths.tolist() == [2, 9]
    for row, frames in enumerate((70, 130)):
        valid = batch.features[row, :, :frames]
        assert valid.mean(dim=1).abs().max() < 1e-5 and (valid.std(dim=1) - 1).abs().max() < 1e-4
        assert not batch.features[row, :, frames:].any()
    assert batch.alignment.tolist() == [[7, 8], [9, UNKNOWN]]
    assert batch.tokens[0, :2].tolist() == [4, 5] and not batch.tokens[0, 2:].any()


def cache(levels: list[float], frames: int = 50) -> FeatureCache:
    """Features that can be told apart: entry i rises by `levels[i]` from frame to frame."""
    rng = np.random.default_rng(5)
    rows = [rng.normal(0, 0.01, (frames, MELS)) + level * np.arange(frames)[:, None] for level in levels]
    places = np.array([[[number * frames, frames]] for number in range(len(levels))])
    entries = [Example(id=str(number), audio=Path(), duration_s=frames / 100, text="") for number in range(len(levels))]
    return FeatureCache(entries, (1.0,), places, np.concatenate(rows).astype(np.float16))


CONFIG = TrainSection(batch_s=4, eval_every_steps=6, max_utterance_s=5, rehearsal=0.5)


def rounds(config: TrainSection = CONFIG, *, noise: FeatureCache | None = None, seed: int = 3) -> Rounds:
    timed = Recordings(cache([0.1] * 8), [[1, 1]] * 8, [np.array([0, 0, 1, 1, 2, 2])] * 8, 0.5)
    pools = [timed, Recordings(cache([-0.1] * 5), [[2]] * 5, [None] * 5, 0.5)]
    return Rounds(pools, config, noise=noise, snr_db=(0, 5), seed=seed)


def test_tokens_belong_to_their_audio() -> None:
    seen = set()
    for batch in rounds():
        for features_MT, frames, tokens, length, alignment in zip(*batch[:5], strict=True):
            rising = bool(features_MT[0, int(frames) - 1] > features_MT[0, 0])
            assert tokens[: int(length)].tolist() == ([1, 1] if rising else [2])
            assert alignment.tolist() == ([0, 0, 0, 1, 1, 2, 2] if rising else [UNKNOWN] * 7)
            seen.add(rising)
    assert seen == {True, False}


def test_a_round_can_be_had_again_and_the_next_differs() -> None:
    config = CONFIG.model_copy(update={"feature_noise": 0.5})
    one, other = rounds(config, noise=cache([0.0])), rounds(config, noise=cache([0.0]))
    first = list(one)
    assert len(first) == len(one) == 6
    other.round = 4
    list(other)  # whatever came before
    other.round = 0
    assert all(torch.equal(a.features, b.features) for a, b in zip(first, other, strict=True))
    one.round = 1
    assert any(
        a.features.shape != b.features.shape or not torch.equal(a.features, b.features)
        for a, b in zip(first, one, strict=True)
    )


def test_noise_reaches_its_part_of_the_utterances() -> None:
    def changed(part: float) -> float:
        config = CONFIG.model_copy(update={"feature_noise": part, "eval_every_steps": 40})
        clean, noisy = rounds(config), rounds(config, noise=cache([0.0]))
        rows = [
            not torch.equal(a[row], b[row])
            for (a, *_), (b, *_) in zip(clean, noisy, strict=True)
            for row in range(len(a))
        ]
        return sum(rows) / len(rows)

    assert changed(0.0) == 0 and changed(1.0) == 1
    assert changed(0.3) == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize(
    "effect",
    ["feature_room", "feature_telephone", "feature_shaped_noise", "feature_babble", "feature_warp", "feature_level",
     "feature_low_pass"],
)  # fmt: skip
def test_rooms_and_telephones_reach_their_part_of_the_utterances(effect: str) -> None:
    def features(part: float) -> list[torch.Tensor]:
        taken = rounds(CONFIG.model_copy(update={effect: part, "eval_every_steps": 40}))
        return [row for batch in taken for row in batch.features]

    changed = [not torch.equal(a, b) for a, b in zip(features(0.0), features(0.4), strict=True)]
    assert np.mean(changed) == pytest.approx(0.4, abs=0.08)


def test_a_tempo_changes_the_length_and_ends_come_and_go() -> None:
    plain = {int(frames) for batch in rounds() for frames in batch.frames}
    paced = rounds(CONFIG.model_copy(update={"feature_tempo": (0.8, 1.25)}))
    ends = rounds(CONFIG.model_copy(update={"feature_ends": 1.0}))
    assert plain == {50}
    lengths = [int(frames) for batch in paced for frames in batch.frames]
    assert min(lengths) >= 39 and max(lengths) <= 63 and len(set(lengths)) > 10
    lengths = [int(frames) for batch in ends for frames in batch.frames]
    assert min(lengths) < 50 < max(lengths)


def test_joined_recordings_have_the_tokens_of_all_in_their_order() -> None:
    taken = rounds(CONFIG.model_copy(update={"joined": 0.6, "eval_every_steps": 40}))
    joined = 0
    for batch in taken:
        for frames, tokens, length, alignment in zip(*batch[1:5], strict=True):
            written = tokens[: int(length)].tolist()
            count = len(written) // 2 if 1 in written else len(written)
            assert written in ([1, 1] * count, [2] * count) and (count == 1) == (int(frames) == 50)
            assert int(frames) <= 500 and (count == 1 or (alignment == UNKNOWN).all())
            joined += count > 1
    assert joined > 20


def test_wordless_utterances_have_nothing_to_write() -> None:
    taken = rounds(CONFIG.model_copy(update={"wordless": 0.3, "eval_every_steps": 40}), noise=cache([0.0]))
    lengths = [int(length) for batch in taken for length in batch.lengths]
    assert np.mean([length == 0 for length in lengths]) == pytest.approx(0.3, abs=0.08)
    every = next(iter(rounds(CONFIG.model_copy(update={"wordless": 0.999}))))
    assert not every.lengths.any() and every.tokens.shape[1] > 0 and torch.isfinite(every.features).all()


def test_while_frames_lead_nothing_is_joined_clipped_or_wordless() -> None:
    update = {"aligned_rounds": 1, "joined": 0.5, "wordless": 0.5, "feature_ends": 1.0}
    for batch in rounds(CONFIG.model_copy(update=update)):
        assert (batch.frames == 50).all() and (batch.alignment != UNKNOWN).all() and (batch.lengths == 2).all()


OLD_SUMS = (5074.129, 5068.849, 5102.752, 5076.055, 5152.087, 5088.316)
"""Of the batches of a round as they were before there were other effects than noise, rooms and telephones."""


def test_new_keys_change_no_draw_of_old_recipes() -> None:
    config = CONFIG.model_copy(update={"feature_noise": 0.5, "feature_room": 0.3, "feature_telephone": 0.3})
    sums = [float(batch.features.abs().sum()) for batch in rounds(config, noise=cache([0.0]))]
    assert sums == pytest.approx(OLD_SUMS, rel=1e-5)


def test_nothing_short_enough_is_named() -> None:
    with pytest.raises(TrainingError, match=r"raise train\.max_utterance_s"):
        rounds(CONFIG.model_copy(update={"max_utterance_s": 0.2}))


def test_aligned_rounds_take_only_what_has_word_times() -> None:
    taken = rounds(CONFIG.model_copy(update={"aligned_rounds": 1}))
    assert all((batch.alignment != UNKNOWN).all() for batch in taken)
    taken.round = 1
    assert any((batch.alignment == UNKNOWN).any() for batch in taken)


def test_aligned_rounds_without_word_times_are_refused() -> None:
    pools = [Recordings(cache([0.1]), [[1]], [None], 1.0)]
    with pytest.raises(TrainingError, match=r"align_speech\.py.*aligned_rounds=0"):
        Rounds(pools, CONFIG.model_copy(update={"aligned_rounds": 1}), noise=None, snr_db=(0, 5), seed=1)


def test_processes_share_the_steps() -> None:
    parts = []
    for rank in (0, 1):
        part = rounds()
        part.rank, part.processes = rank, 2
        parts.append(list(part))
    assert [len(part) for part in parts] == [6, 6]
    assert any(
        a.features.shape != b.features.shape or not torch.equal(a.features, b.features)
        for a, b in zip(*parts, strict=True)
    )


def test_a_part_of_the_draws_is_recorded_anew() -> None:
    asked: list[float] = []

    def rerecord(entry: Example, speed: float, rng: np.random.Generator) -> np.ndarray | None:
        asked.append(speed)
        return None if entry.id == "0" else np.full((50, MELS), 7.0, np.float32) + rng.normal(size=(50, MELS))

    def made(part: float) -> int:
        config = CONFIG.model_copy(update={"rerecorded": part, "eval_every_steps": 30})
        pools = [Recordings(cache([0.1] * 8), [[1, 1]] * 8, [None] * 8, 1.0)]
        batches = Rounds(pools, config, noise=None, snr_db=(0, 5), seed=3, rerecord=rerecord)
        asked.clear()
        return sum(len(batch.tokens) for batch in batches)

    assert made(0.0) and not asked
    drawn = made(0.5)
    assert set(asked) == {1.0} and len(asked) == pytest.approx(drawn / 2, rel=0.2)
