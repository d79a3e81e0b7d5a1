"""Who is admitted to a model, for how long the others had better wait, and how long an answer may take."""

import asyncio
import math
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
