"""How fast a service may be asked: limits for any minute, waits that the service wants, back-off between attempts."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

MINUTE_S = 60.0
FIRST_WAIT_S = 0.5
MOST_BACKOFF_S = 30.0
MOST_WAIT_S = 300.0
"""A service that wants to be left alone for longer ends the stage, which resumes when the command is given again."""


class Pace:
    """Holds the threads that ask a service back, so that no minute has more requests or tokens than allowed."""

    def __init__(
        self,
        *,
        requests_per_minute: int = 0,
        tokens_per_minute: int = 0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """0 is no limit; `clock` and `sleep` in seconds."""
        self._requests = requests_per_minute
        self._tokens = tokens_per_minute
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._started: deque[list[float]] = deque()
        """Time and tokens of each request of the last minute, in order."""
        self._not_before = 0.0

    def wait(self, tokens: int = 0) -> list[float]:
        """Return when a request of about so many tokens may start; what it returns is for `correct`.

        A request that is larger than a minute's tokens starts once the minute before it is empty.
        """
        while True:
            with self._lock:
                now = self._clock()
                delay = self._delay(now, tokens)
                if delay <= 0:
                    request = [now, float(tokens)]
                    self._started.append(request)
                    return request
            self._sleep(delay)

    def correct(self, request: list[float], tokens: int) -> None:
        """Count what a request took, once its answer tells."""
        with self._lock:
            request[1] = float(tokens)

    def hold(self, seconds: float) -> None:
        """Start no request, of any thread, for so many seconds: the service asked for it."""
        with self._lock:
            self._not_before = max(self._not_before, self._clock() + seconds)

    def pause(self, seconds: float) -> None:
        """Hold back the thread that calls it, and no other."""
        self._sleep(seconds)

    def _delay(self, now: float, tokens: int) -> float:
        """Seconds until the request may start; 0 or less: now."""
        while self._started and self._started[0][0] <= now - MINUTE_S:
            self._started.popleft()
        delay = self._not_before - now
        if self._requests and len(self._started) >= self._requests:
            delay = max(delay, self._leaves(len(self._started) - self._requests, now))
        if self._tokens and self._started:
            room = self._tokens - tokens - sum(spent for _, spent in self._started)
            place = 0
            while room < 0 and place < len(self._started):
                room += self._started[place][1]
                delay = max(delay, self._leaves(place, now))
                place += 1
        return delay

    def _leaves(self, place: int, now: float) -> float:
        """Seconds until the request of this place is a minute old; never 0, so that a clock's rounding cannot spin."""
        return max(self._started[place][0] + MINUTE_S - now, 0.001)


def backoff_s(attempt: int) -> float:
    """The wait after a failed attempt, the first being 1: it doubles from half a second up to `MOST_BACKOFF_S`."""
    return float(min(FIRST_WAIT_S * 2.0 ** (attempt - 1), MOST_BACKOFF_S))


def retry_after_s(headers: Mapping[str, str], *, now_s: float) -> float | None:
    """What a server's ``retry-after`` asks for, in seconds; a date counts from `now_s` (Unix time); None: nothing."""
    for name, part in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * part
        except (KeyError, ValueError):
            continue
        return max(0.0, seconds) if seconds == seconds else None
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - now_s)
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
