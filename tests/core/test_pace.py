"""No minute has more requests or tokens than allowed, by a clock that the test turns."""

from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core.pace import MINUTE_S, MOST_BACKOFF_S, Pace, backoff_s, retry_after_s


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def paced(**limits: int) -> tuple[Pace, Clock]:
    clock = Clock()
    return Pace(clock=clock, sleep=clock.sleep, **limits), clock


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 400), st.floats(0, 30)), min_size=1, max_size=40),
    st.integers(0, 5),
    st.integers(0, 500),
)
def test_no_minute_has_more_than_allowed(asked: list[tuple[int, float]], requests: int, tokens: int) -> None:
    pace, clock = paced(requests_per_minute=requests, tokens_per_minute=tokens)
    starts: list[tuple[float, int]] = []
    for size, pause_s in asked:
        clock.now += pause_s
        pace.wait(size)
        starts.append((clock.now, size))
    for place, (start, size) in enumerate(starts):
        # a request leaves the window at the instant it is a minute old, up to the rounding of the clock
        minute = [other for when, other in starts[:place] if when > start - MINUTE_S + 0.01]
        assert not requests or len(minute) < requests
        assert not tokens or not minute or sum(minute) + size <= tokens


def test_without_limits_nobody_waits() -> None:
    pace, clock = paced()
    for _ in range(100):
        pace.wait(10_000)
    assert clock.now == 1_000.0


def test_what_a_request_took_counts_once_it_is_known() -> None:
    pace, clock = paced(tokens_per_minute=100)
    request = pace.wait(90)
    pace.correct(request, 10)
    pace.wait(90)
    assert clock.now == 1_000.0
    pace.wait(90)
    assert clock.now >= 1_060.0


def test_all_are_held_back_while_the_server_asks_for_it() -> None:
    pace, clock = paced()
    pace.hold(7.0)
    pace.hold(3.0)
    pace.wait()
    assert clock.now == 1_007.0


def test_back_off_doubles_up_to_its_most() -> None:
    assert [backoff_s(attempt) for attempt in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, 4.0]
    assert backoff_s(50) == MOST_BACKOFF_S


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": formatdate(1_000_020, usegmt=True)}, 20.0),
        ({"retry-after": formatdate(999_000, usegmt=True)}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_what_retry_after_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, now_s=1_000_000.0) == seconds
