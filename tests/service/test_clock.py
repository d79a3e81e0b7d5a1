"""Time limits count seconds in which the process ran, whatever it was that stopped it."""

import asyncio
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoptalk.service import clock
from shoptalk.service.clock import MOST_S, TICK_S, Deadline, RunningClock


class FakeTime:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@given(st.lists(st.floats(0, 1000), max_size=30))
def test_between_two_ticks_no_more_than_a_second_counts(gaps_s: Sequence[float]) -> None:
    fake = FakeTime()
    running = RunningClock(fake)
    expected_s = 0.0
    for gap_s in gaps_s:
        before_s = running()
        fake.now_s += gap_s
        assert before_s <= running() <= before_s + gap_s + 1e-6
        assert running.stood_still is (gap_s > MOST_S + 1e-6) or gap_s == pytest.approx(MOST_S)
        running.tick()
        expected_s += min(gap_s, MOST_S)
        assert running() == pytest.approx(expected_s, abs=1e-6) and not running.stood_still


@given(st.lists(st.floats(0, MOST_S * 0.999), max_size=30))
def test_a_process_that_runs_has_the_time_of_the_wall(gaps_s: Sequence[float]) -> None:
    fake = FakeTime()
    running = RunningClock(fake)
    for gap_s in gaps_s:
        fake.now_s += gap_s
        running.tick()
    assert running() == pytest.approx(sum(gaps_s), abs=1e-6)


def test_a_deadline_leaves_out_what_the_loop_stood_still() -> None:
    async def scenario() -> tuple[bool, bool]:
        called: list[float] = []
        Deadline(MOST_S + 0.3, lambda: called.append(time.monotonic()))
        await asyncio.sleep(TICK_S)
        time.sleep(MOST_S + 0.5)
        await asyncio.sleep(0)
        before = bool(called)
        await asyncio.sleep(2 * MOST_S)
        return before, bool(called)

    assert asyncio.run(scenario()) == (False, True)


def test_a_timeout_ends_a_block_and_only_that() -> None:
    async def scenario() -> None:
        with pytest.raises(TimeoutError):
            async with clock.timeout(0.05):
                await asyncio.sleep(20)
        async with clock.timeout(0.05) as limit:
            pass
        await asyncio.sleep(0.1)
        assert not limit.expired()
        cancelled = Deadline(0.01, pytest.fail)
        cancelled.cancel()
        await asyncio.sleep(0.05)

    asyncio.run(scenario())
