"""Laws of the batch plan: the budget, the lengths, the shares, and nothing drawn twice before all were drawn."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.tuning.batches import FRAME_STEP, Item, Pool, _draw, draw_rows, padded_frames, plan_round, with_rows

MAX_FRAMES = 1_400
BUDGET = 4_800

lengths = st.lists(st.integers(30, 2_000), min_size=1, max_size=40)


def pool(frames: list[int], share: float = 1.0, speeds: int = 3) -> Pool:
    """Each recording at speeds that make it up to a tenth longer or shorter."""
    factors = np.linspace(0.9, 1.1, speeds) if speeds > 1 else np.ones(1)
    return Pool((np.array(frames)[:, None] * factors).astype(np.int64), share)


def plan(pools: list[Pool], *, steps: int = 12, seed: int = 7, round_: int = 0) -> list[list[Item]]:
    return plan_round(pools, steps=steps, budget_frames=BUDGET, max_frames=MAX_FRAMES, seed=seed, round_=round_)


@given(st.integers(1, 10_000))
def test_padding_goes_to_the_next_step(frames: int) -> None:
    padded = padded_frames(frames)
    assert padded % FRAME_STEP == 0 and 0 <= padded - frames < FRAME_STEP


@settings(max_examples=50, deadline=None)
@given(lengths, lengths, st.integers(0, 2**31))
def test_batches_keep_to_the_budget_and_to_usable_lengths(one: list[int], other: list[int], seed: int) -> None:
    pools = [pool([*one, 100], 0.6), pool([*other, 100], 0.4)]
    batches = plan(pools, seed=seed)
    assert len(batches) == 12 and all(batches)
    for batch in batches:
        frames = [int(pools[p].frames[entry, speed]) for p, entry, speed in batch]
        assert padded_frames(max(frames)) * len(batch) <= BUDGET
        assert all(pools[p].frames[entry].max() <= MAX_FRAMES for p, entry, _ in batch)


@settings(max_examples=25, deadline=None)
@given(lengths, st.integers(0, 2**31), st.integers(0, 99))
def test_a_round_is_a_function_of_seed_and_number(frames: list[int], seed: int, round_: int) -> None:
    pools = [pool([*frames, 100])]
    assert plan(pools, seed=seed, round_=round_) == plan(pools, seed=seed, round_=round_)


def test_rounds_and_seeds_differ() -> None:
    pools = [pool(list(range(100, 1_000, 10)))]
    plans = [plan(pools, seed=seed, round_=round_) for seed in (1, 2) for round_ in (0, 1)]
    assert all(one != other for number, one in enumerate(plans) for other in plans[:number])


@pytest.mark.parametrize("share", [0.1, 0.45, 0.8])
def test_shares_are_honoured(share: float) -> None:
    rng = np.random.default_rng(3)
    pools = [pool(list(rng.integers(100, 1_200, 300)), 1 - share), pool(list(rng.integers(100, 600, 80)), share)]
    seconds: Counter[int] = Counter()
    for round_ in range(4):
        for batch in plan(pools, steps=100, round_=round_):
            for number, entry, speed in batch:
                seconds[number] += int(pools[number].frames[entry, speed])
    assert seconds[1] / seconds.total() == pytest.approx(share, abs=0.03)


def test_little_of_the_budget_is_padding_or_left_empty() -> None:
    pools = [pool(list(np.random.default_rng(3).integers(100, 1_200, 500)))]
    batches = plan(pools, steps=200)
    filled = sum(int(pools[p].frames[entry, speed]) for batch in batches for p, entry, speed in batch)
    assert filled / (len(batches) * BUDGET) > 0.8


@settings(max_examples=50, deadline=None)
@given(lengths, st.integers(1, 60_000), st.integers(0, 2**31))
def test_all_are_drawn_before_any_is_drawn_again(frames: list[int], wanted: int, seed: int) -> None:
    one = pool([*frames, 100])
    drawn = list(_draw(3, one, wanted, MAX_FRAMES, np.random.default_rng(seed)))
    usable = int((one.frames.max(axis=1) <= MAX_FRAMES).sum())
    entries = [entry for number, entry, _ in drawn if number == 3]
    assert len(entries) == len(drawn)
    for start in range(0, len(entries), usable):
        turn = entries[start : start + usable]
        assert len(set(turn)) == len(turn)
    total = sum(int(one.frames[entry, speed]) for _, entry, speed in drawn)
    last = int(one.frames[drawn[-1][1], drawn[-1][2]])
    assert total - last < wanted <= total


def test_a_pool_of_nothing_usable_gives_nothing() -> None:
    assert list(_draw(0, pool([5_000]), 100, MAX_FRAMES, np.random.default_rng(0))) == []
    batches = plan([pool([5_000], 0.5), pool([100, 200], 0.5)])
    assert {number for batch in batches for number, _, _ in batch} == {1}


def test_processes_get_batches_of_like_length_at_each_step() -> None:
    pools = [pool(list(range(100, 1_300)), speeds=1)]
    batches = plan_round(pools, steps=20, budget_frames=BUDGET, max_frames=MAX_FRAMES, seed=7, round_=0, processes=2)
    assert len(batches) == 40
    lengths = [
        [max(int(pools[0].frames[entry, 0]) for _, entry, _ in batch) for batch in batches[rank::2]] for rank in (0, 1)
    ]
    apart = [abs(one - other) for one, other in zip(*lengths, strict=True)]
    assert sorted(apart)[-2] < 400, "the longest may be paired with the shortest"
    items = Counter(item for batch in batches for item in batch)
    assert max(items.values()) == 1


@settings(max_examples=50, deadline=None)
@given(lengths, st.integers(0, 2**31))
def test_rows_are_two_to_four_recordings_and_never_too_long(frames: list[int], seed: int) -> None:
    singles = pool([*frames, 100])
    rng = np.random.default_rng(seed)
    rows = draw_rows(singles.frames, 30, max_frames=MAX_FRAMES, pauses=(10, 90), rng=rng)
    every = with_rows(singles, rows)
    assert len(rows) == 30 and len(every.frames) == len(singles.frames) + 30
    for row, row_frames in zip(rows, every.frames[len(singles.frames) :], strict=True):
        assert 2 <= len(row.entries) <= 4 and len(row.pauses) == len(row.entries) - 1
        assert row_frames.tolist() == (singles.frames[list(row.entries)].sum(axis=0) + sum(row.pauses)).tolist()
        assert row_frames.max() <= MAX_FRAMES


def test_recordings_that_are_too_long_for_two_give_no_rows() -> None:
    singles = pool([900, 1_000])
    rows = draw_rows(singles.frames, 5, max_frames=MAX_FRAMES, pauses=(10, 90), rng=np.random.default_rng(1))
    assert rows == [] and with_rows(singles, rows) is singles
