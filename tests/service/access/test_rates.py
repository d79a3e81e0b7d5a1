"""Token buckets against a fake clock, and recordings at the same time."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.service.access.callers import SCOPES, Caller, Limits
from shoptalk.service.access.rates import Rates
from shoptalk.service.problems import Problem


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def caller(name: str = "a", **limits: float | int | None) -> Caller:
    return Caller(name, SCOPES, Limits(**limits))  # type: ignore[arg-type]


def wait_s(call: Callable[[], None]) -> int:
    """Seconds that a refusal asks to wait; 0 if the call is let through."""
    try:
        call()
    except Problem as problem:
        assert problem.status == 429
        return int(problem.headers["Retry-After"])
    return 0


@given(
    per_minute=st.floats(0.1, 1000),
    gaps_s=st.lists(st.floats(0, 100), max_size=60),
)
@settings(max_examples=100, deadline=None)
def test_no_window_has_more_requests_than_a_burst_and_its_share(per_minute: float, gaps_s: list[float]) -> None:
    clock = Clock()
    rates, limited = Rates(clock), caller(requests_per_minute=per_minute)
    passed_s: list[float] = []
    for gap_s in gaps_s:
        clock.now_s += gap_s
        if wait_s(lambda: rates.count_request(limited)) == 0:
            passed_s.append(clock.now_s)
    for first in range(len(passed_s)):
        for last in range(first, len(passed_s)):
            window_s = passed_s[last] - passed_s[first]
            assert last - first + 1 <= max(per_minute, 1) + per_minute * window_s / 60 + 1e-6


@given(per_minute=st.floats(0.1, 1000), sent=st.integers(1, 50))
@settings(max_examples=100, deadline=None)
def test_who_waits_as_long_as_told_is_let_through(per_minute: float, sent: int) -> None:
    clock = Clock()
    rates, limited = Rates(clock), caller(requests_per_minute=per_minute)
    for _ in range(sent):
        clock.now_s += wait_s(lambda: rates.count_request(limited)) + 1e-6
    rates_after = wait_s(lambda: rates.count_request(limited))
    clock.now_s += rates_after
    assert rates_after == 0 or wait_s(lambda: rates.count_request(limited)) == 0


def test_a_long_recording_overdraws_and_the_next_one_waits() -> None:
    clock = Clock()
    rates, limited = Rates(clock), caller(audio_s_per_minute=60)
    with rates.recording(limited):
        rates.count_audio(limited, 600)
    assert wait_s(lambda: enter(rates, limited)) == 540
    clock.now_s += 540
    assert wait_s(lambda: enter(rates, limited)) == 0


def enter(rates: Rates, limited: Caller) -> None:
    with rates.recording(limited):
        pass


def test_recordings_at_the_same_time_are_counted_for_each_key() -> None:
    rates, limited = Rates(Clock()), caller(concurrent=2)
    with rates.recording(limited), rates.recording(limited):
        assert wait_s(lambda: enter(rates, limited)) == 1
        enter(rates, caller("b", concurrent=2))
        with pytest.raises(ZeroDivisionError), rates.recording(caller("b", concurrent=1)):
            raise ZeroDivisionError
        enter(rates, caller("b", concurrent=1))
    enter(rates, limited)


def test_other_limits_are_in_force_at_once_and_recordings_under_way_still_count() -> None:
    rates = Rates(Clock())
    with rates.recording(caller(concurrent=1)):
        assert wait_s(lambda: enter(rates, caller(concurrent=1, requests_per_minute=5))) == 1
    enter(rates, caller(concurrent=1, requests_per_minute=5))
    with rates.recording(caller()):
        pass


def test_a_clock_that_goes_back_gives_nothing() -> None:
    clock = Clock()
    clock.now_s = 100.0
    rates, limited = Rates(clock), caller(requests_per_minute=1)
    rates.count_request(limited)
    clock.now_s = 0.0
    assert wait_s(lambda: rates.count_request(limited)) == 60
