"""Who is admitted to a model, for how long the others had better wait, and how long an answer may take."""

import asyncio
import math
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.service.model.fakes import FakeSource, until, work
from tests.service.model.test_served_models import refused, started

from shoptalk.service.model.admission import UNMEASURED, Admission, time_allowed_s
from shoptalk.service.problems import Problem
from shoptalk.service.settings import Settings


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def admission(clock: Clock, **limits: Any) -> Admission:
    return Admission(**{"requests": 4, "audio_s": 100.0, "clock": clock, **limits})


def problem_of(queue: Admission, audio_s: float) -> Problem:
    with pytest.raises(Problem) as caught:
        queue.require_room(audio_s)
    return caught.value


def test_the_speed_is_measured_over_the_time_of_work() -> None:
    clock = Clock()
    queue = admission(clock)
    assert queue.speed == UNMEASURED
    for _ in range(5):
        with queue.place(30.0):
            clock.now_s += 3.0
        clock.now_s += 1000.0  # nothing to do
    assert queue.speed == pytest.approx(10.0)
    with queue.place(30.0), queue.place(30.0):  # side by side, in the time of one
        clock.now_s += 3.0
    assert 10.0 < queue.speed < 20.0


def test_what_fails_at_once_does_not_count_for_the_speed() -> None:
    clock = Clock()
    queue = admission(clock)
    with queue.place(30.0):
        clock.now_s += 3.0
    for _ in range(20):
        with pytest.raises(ValueError), queue.place(30.0):
            raise ValueError
    assert queue.speed == pytest.approx(10.0) and (queue.requests, queue.audio_s) == (0, 0.0)


def test_who_is_turned_away_is_told_when_there_is_room() -> None:
    clock = Clock()
    queue = admission(clock)
    with queue.place(90.0):
        clock.now_s += 9.0
    assert queue.speed == pytest.approx(10.0)
    with queue.place(90.0):
        problem = problem_of(queue, 60.0)
        assert (problem.status, problem.code) == (429, "queue_full")
        assert problem.headers == {"Retry-After": "5", "retry-after-ms": "5000"}  # 50 s too much, at 10 s a second
        queue.require_room(10.0)
        with queue.place(2.0), queue.place(2.0), queue.place(2.0):
            problem = problem_of(queue, 0.0)
            assert problem.headers == {"Retry-After": "3", "retry-after-ms": "2400"}  # one of four, with 24 s each
            assert "4 recordings with 96 s of audio" in problem.message
    assert queue.refused == 2


def test_a_recording_longer_than_the_queue_is_taken_alone() -> None:
    queue = admission(Clock())
    with queue.place(5000.0):
        assert problem_of(queue, 1.0).status == 429
    with queue.place(1.0):
        assert problem_of(queue, 5000.0).status == 429


def measured(clock: Clock, speed: float) -> Admission:
    """A queue that knows its speed."""
    queue = admission(clock, requests=1000, audio_s=1e6)
    with queue.place(100.0 * speed):
        clock.now_s += 100.0
    assert queue.speed == pytest.approx(speed)
    return queue


def test_what_cannot_be_done_in_time_because_of_others_is_refused_at_once() -> None:
    clock = Clock()
    queue = measured(clock, 1.0)
    with ExitStack() as held:
        for _ in range(11):
            held.enter_context(queue.place(10.0, "ward", 125.0))
        with pytest.raises(Problem) as caught, queue.place(20.0, "ward", 125.0):
            pass
        assert (caught.value.status, caught.value.code) == (429, "queue_full")
        assert caught.value.headers == {"Retry-After": "5", "retry-after-ms": "5000"}  # 130 s, 125 are allowed
        with queue.place(20.0, "practice", 125.0):  # callers take turns: at most as much again for the others
            pass
        with queue.place(1.0, "ward", 125.0), queue.place(200.0, "ward", 150.0):  # by itself it takes too long, too
            pass


def test_a_clip_is_taken_beside_a_long_recording_and_before_anything_was_measured() -> None:
    queue = admission(Clock(), audio_s=1e6)
    with queue.place(10_800.0, "", 120.0), queue.place(10_800.0, "", 120.0), queue.place(10.0, "", 1.0):
        pass
    queue = measured(Clock(), 50.0)
    with queue.place(10_800.0, "", 5400.0), queue.place(10.0, "", 1.0):
        assert queue.needed_s(10.0) == pytest.approx(30 / 50)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.1, 100.0)), min_size=1, max_size=12))
def test_a_recording_takes_no_longer_than_is_thought(lengths: list[tuple[str, float]]) -> None:
    """Fair turns by very short pieces, as the scheduler gives them: callers first, then recordings of a caller."""
    queue = measured(Clock(), 1.0)
    *others, (caller, audio_s) = lengths
    with ExitStack() as held:
        for other, length_s in others:
            held.enter_context(queue.place(length_s, other))
        needed_s = queue.needed_s(audio_s, caller)
        assert audio_s - 1e-6 <= needed_s <= queue.audio_s + audio_s + 1e-6
    left = {number: [who, length_s] for number, (who, length_s) in enumerate(lengths)}
    mine, passed_s = len(lengths) - 1, 0.0
    while mine in left:
        callers = {who for who, _ in left.values()}
        shares = {n: 1 / len(callers) / sum(w == who for w, _ in left.values()) for n, (who, _) in left.items()}
        step_s = min(left[n][1] / shares[n] for n in left)
        passed_s += step_s
        left = {n: [who, s - step_s * shares[n]] for n, (who, s) in left.items() if s - step_s * shares[n] > 1e-9}
    assert passed_s <= needed_s + 1e-6


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["enter", "leave", "fail"]), st.floats(0.0, 80.0), st.floats(0.0, 9.0)), max_size=40
    )
)
def test_the_bounds_hold_and_all_is_given_back(steps: list[tuple[str, float, float]]) -> None:
    clock = Clock()
    queue = admission(clock)
    entered: list[tuple[Any, float]] = []
    for kind, audio_s, passes_s in steps:
        clock.now_s += passes_s
        if kind == "enter":
            place = queue.place(audio_s)
            try:
                place.__enter__()
            except Problem as problem:
                assert 1 <= int(problem.headers["Retry-After"]) <= 600
                assert math.ceil(int(problem.headers["retry-after-ms"]) / 1000) == int(problem.headers["Retry-After"])
            else:
                entered.append((place, audio_s))
        elif entered:
            place, _ = entered.pop(0)
            error = ValueError() if kind == "fail" else None
            assert not place.__exit__(type(error) if error else None, error, None)
        assert queue.requests == len(entered) <= 4
        assert queue.audio_s == pytest.approx(sum(audio for _, audio in entered), abs=1e-6)
        assert queue.audio_s <= 100.0 + 1e-6 or queue.requests == 1
        assert queue.speed > 0


def test_the_time_allowed_grows_with_the_audio() -> None:
    options = Settings(timeout_s=30, timeout_per_audio_s=0.5)
    assert time_allowed_s(options, 0.0) == 30.0
    assert time_allowed_s(options, 3 * 3600.0) == 30.0 + 1.5 * 3600


def test_time_that_runs_out_is_told_with_whether_to_try_again() -> None:
    async def scenario() -> None:
        source = FakeSource()
        async with started(source) as served:
            base = served.resolve("base")
            source.workers[0].gate.clear()
            alone = await refused(base.transcribe(work(10.0, within_s=0.05)))
            assert (alone.status, alone.code) == (504, "timeout")
            assert alone.headers == {"x-should-retry": "false"}  # the model had nothing else to do
            before = asyncio.create_task(base.transcribe(work(60.0)))
            await until(lambda: base.admission.requests == 1)
            behind = await refused(base.transcribe(work(10.0, within_s=0.05)))
            assert behind.headers["x-should-retry"] == "true" and int(behind.headers["Retry-After"]) == 60
            source.workers[0].gate.set()
            await before
            await asyncio.gather(*(base.transcribe(work(1.0)) for _ in range(3)))  # it was measured to be fast
            source.workers[0].gate.clear()
            others = [asyncio.create_task(base.transcribe(work(1.0))) for _ in range(3)]
            await until(lambda: base.admission.requests == 3)
            beside = await refused(base.transcribe(work(1.0, within_s=0.2)))
            assert (beside.status, beside.headers["x-should-retry"]) == (504, "true")
            source.workers[0].gate.set()
            await asyncio.gather(*others)
            assert (base.admission.requests, base.admission.audio_s) == (0, 0.0)

    asyncio.run(scenario())


def test_a_full_model_refuses_and_another_one_does_not() -> None:
    async def scenario() -> None:
        source = FakeSource()
        async with started(source, queue=1, batch=1) as served:
            base = served.resolve("base")
            source.workers[0].gate.clear()
            pending = [asyncio.create_task(base.transcribe(work())) for _ in range(2)]
            await until(lambda: base.admission.requests == 2)
            assert (await refused(base.transcribe(work()))).status == 429
            with pytest.raises(Problem, match="busy"):
                base.require_room()
            served.require_any_room()  # of the other model
            assert [report.refused for report in served.report()] == [2, 0]
            assert (await served.resolve("tuned").transcribe(work())).text
            pending[0].cancel()  # its client went away
            await asyncio.gather(pending[0], return_exceptions=True)
            base.require_room()
            source.workers[0].gate.set()
            await pending[1]

    asyncio.run(scenario())


def test_background_work_takes_no_place() -> None:
    async def scenario() -> None:
        source = FakeSource()
        async with started(source, queue=1, batch=1) as served:
            base = served.resolve("base")
            source.workers[0].gate.clear()
            background = [asyncio.create_task(base.transcribe(work(background=True))) for _ in range(5)]
            await until(lambda: len(source.workers[0].works) == 5)
            base.require_room()
            source.workers[0].gate.set()
            await asyncio.gather(*background)

    asyncio.run(scenario())
