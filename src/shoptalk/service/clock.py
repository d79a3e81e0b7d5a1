"""Seconds in which a process ran: no time limit counts time in which the process itself stood still.

A machine without memory, a paused container or a stopped process keeps nobody's time. When it goes on, every deadline
would be over at once, though what was waited for may long be there, unread. So between two ticks of a clock, which the
event loop makes, no more than `MOST_S` counts.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

TICK_S = 0.25
"""So often a clock ticks."""
MOST_S = 1.0
"""So much counts between two ticks, at most: a loop that is late by less is only busy."""


class RunningClock:
    """Never goes back, and never faster than the clock it is made of; safe between threads if one of them ticks."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds and never goes back."""
        self._clock = clock
        self._last = 0.0, clock()
        """What was counted at the last tick, and when that was."""

    def __call__(self) -> float:
        """Seconds in which the process ran since the clock was made."""
        counted_s, at_s = self._last
        return counted_s + min(self._clock() - at_s, MOST_S)

    def tick(self) -> None:
        """To be called every `TICK_S`, by whoever would be late if the process stood still."""
        self._last = self(), self._clock()

    @property
    def stood_still(self) -> bool:
        """Whether it did since the last tick: what came meanwhile was not looked at yet."""
        return self._clock() - self._last[1] > MOST_S


_of_loops: "WeakKeyDictionary[asyncio.AbstractEventLoop, RunningClock]" = WeakKeyDictionary()


def of_loop() -> RunningClock:
    """The clock of the event loop that runs now, which ticks from the first call on."""
    loop = asyncio.get_running_loop()
    clock = _of_loops.get(loop)
    if clock is None:
        clock = _of_loops[loop] = RunningClock()
        _keep_ticking(loop, clock)
    return clock


def now_s() -> float:
    """Seconds in which the running event loop ran; of two calls the difference counts."""
    return of_loop()()


def _keep_ticking(loop: asyncio.AbstractEventLoop, clock: RunningClock) -> None:
    clock.tick()
    loop.call_later(TICK_S, _keep_ticking, loop, clock)


class Deadline:
    """Calls back once the event loop ran for so long, unless it is cancelled before."""

    def __init__(self, seconds: float, call_back: Callable[[], object]) -> None:
        self._clock = of_loop()
        self._loop = asyncio.get_running_loop()
        self._end_s = self._clock() + seconds
        self._call_back = call_back
        self._timer = self._loop.call_later(seconds, self._look)

    def cancel(self) -> None:
        """Nothing is called any more; harmless where it was."""
        self._timer.cancel()

    def _look(self) -> None:
        left_s = self._end_s - self._clock()
        if self._clock.stood_still:  # what came meanwhile is read first
            left_s = max(left_s, TICK_S)
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._look)
        else:
            self._call_back()


@asynccontextmanager
async def timeout(seconds: float) -> AsyncIterator[asyncio.Timeout]:
    """As `asyncio.timeout`: `TimeoutError` if the block takes longer, in seconds in which the event loop ran."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        deadline = Deadline(seconds, lambda: limit.reschedule(loop.time()))
        try:
            yield limit
        finally:
            deadline.cancel()
