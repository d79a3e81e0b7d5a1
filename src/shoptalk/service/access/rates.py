"""How much each key may use: token buckets for requests and for seconds of audio, and recordings at the same time."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from shoptalk.service.access.callers import Caller, Limits
from shoptalk.service.problems import Problem

MINUTE_S = 60.0


@dataclass
class Bucket:
    """Holds up to a minute's allowance and fills evenly; what is overdrawn must fill up again first."""

    per_minute: float
    level: float
    at_s: float

    def wait_s(self, least: float, now_s: float) -> float:
        """Seconds until it holds `least`; 0 if it does now."""
        self._fill(now_s)
        return max(0.0, least - self.level) * MINUTE_S / self.per_minute

    def take(self, amount: float, now_s: float) -> None:
        """Take an amount out, also one that is not there."""
        self._fill(now_s)
        self.level -= amount

    def _fill(self, now_s: float) -> None:
        gained = max(0.0, now_s - self.at_s) * self.per_minute / MINUTE_S
        self.level = min(self.per_minute, self.level + gained)
        self.at_s = max(self.at_s, now_s)


@dataclass
class _Use:
    """What one key uses of its limits."""

    limits: Limits = Limits()
    requests: Bucket | None = None
    audio: Bucket | None = None
    under_way: int = 0


class Rates:
    """What each key has left."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds and never goes back."""
        self._clock = clock
        self._uses: dict[str, _Use] = {}

    def count_request(self, caller: Caller) -> None:
        """Take one request of the caller's allowance; `Problem` 429 if none is left, which takes nothing."""
        bucket = self._use(caller).requests
        if bucket is None:
            return
        now_s = self._clock()
        least = min(1.0, bucket.per_minute)
        wait_s = bucket.wait_s(least, now_s)
        if wait_s > 0:
            raise _too_much(f"this API key has {bucket.per_minute:g} requests a minute", wait_s)
        bucket.take(1.0, now_s)

    @contextmanager
    def recording(self, caller: Caller) -> Iterator[None]:
        """A recording of the caller is under way; `Problem` 429 if too many are, or no seconds of audio are left."""
        use = self._use(caller)
        limit = use.limits.concurrent
        if limit is not None and use.under_way >= limit:
            raise _too_much(f"this API key has {limit} recordings at the same time", 1.0)
        wait_s = self.audio_wait_s(caller)
        if use.audio is not None and wait_s > 0:
            raise _too_much(f"this API key has {use.audio.per_minute:g} seconds of audio a minute", wait_s)
        use.under_way += 1
        try:
            yield
        finally:
            use.under_way -= 1

    def audio_wait_s(self, caller: Caller) -> float:
        """Seconds until what the caller overdrew is made up; 0 if it has audio left, or no limit."""
        bucket = self._use(caller).audio
        return 0.0 if bucket is None else bucket.wait_s(0.0, self._clock())

    def count_audio(self, caller: Caller, audio_s: float) -> None:
        """Take a recording's seconds of the caller's allowance.

        How long a recording is, is known only once it is there. So none is refused for its own length: it may overdraw
        the allowance, and the next one waits until that is made up.
        """
        bucket = self._use(caller).audio
        if bucket is not None:
            bucket.take(audio_s, self._clock())

    def _use(self, caller: Caller) -> _Use:
        """What the caller uses; its allowance starts anew if the file of keys gives it other limits."""
        use = self._uses.get(caller.id)
        if use is None or use.limits != caller.limits:
            use = use or _Use()
            use.limits = caller.limits
            use.requests = self._full(caller.limits.requests_per_minute)
            use.audio = self._full(caller.limits.audio_s_per_minute)
        self._uses[caller.id] = use
        return use

    def _full(self, per_minute: float | None) -> Bucket | None:
        return None if per_minute is None else Bucket(per_minute, per_minute, self._clock())


def _too_much(what: str, wait_s: float) -> Problem:
    headers = {"Retry-After": str(max(1, math.ceil(wait_s)))}
    return Problem(429, f"{what}; try again later", code="rate_limit_exceeded", headers=headers)
