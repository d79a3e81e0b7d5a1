"""Admission to a model: bounded in requests, in audio seconds and in time, and when who is turned away may come back.

A recording that cannot be done within its time is refused at once, rather than after the time is over. How long it
takes follows from the scheduler's fair turns: while a recording is under way, each other one of its caller gets as much
as it does, and each other caller as much as its own.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from shoptalk.service.problems import Problem
from shoptalk.service.settings import Settings

HALF_LIFE_S = 60.0
"""Of what counts for the measured speed, in seconds of work."""
UNMEASURED = 1.0
"""Audio seconds per second that are assumed before anything was measured."""
SLOWEST = 1e-3
"""Audio seconds per second at least: recordings of almost no length would give none."""
LONGEST_WAIT_S = 600.0
"""No client is told to wait longer."""


def time_allowed_s(settings: Settings, audio_s: float) -> float:
    """How long the transcription of so many seconds of audio may take, from the end of its upload."""
    return settings.timeout_s + settings.timeout_per_audio_s * audio_s


def retry_headers(wait_s: float) -> dict[str, str]:
    """When to come back: whole seconds for HTTP, and the milliseconds that OpenAI's clients prefer."""
    wait_s = min(max(wait_s, 0.1), LONGEST_WAIT_S)
    return {"Retry-After": str(math.ceil(wait_s)), "retry-after-ms": str(math.ceil(wait_s * 1000))}


class Speed:
    """Audio seconds per second of work, measured while work is under way; what is old counts less."""

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._since = 0.0
        self._audio_s = 0.0
        self._busy_s = 0.0

    @property
    def is_measured(self) -> bool:
        """Whether anything was done yet."""
        return bool(self._busy_s and self._audio_s)

    @property
    def measured(self) -> float:
        """Audio seconds per second; `UNMEASURED` at first."""
        if not self.is_measured:
            return UNMEASURED
        return max(SLOWEST, self._audio_s / self._busy_s)

    def begin(self) -> None:
        """Work begins where none was under way."""
        self._since = self._clock()

    def done(self, audio_s: float) -> None:
        """So much audio of the work under way is done."""
        passed_s = self._clock() - self._since
        self._since += passed_s
        kept = 0.5 ** (passed_s / HALF_LIFE_S)
        self._audio_s = self._audio_s * kept + audio_s
        self._busy_s = self._busy_s * kept + passed_s


class Admission:
    """The recordings that a model has been given and has not answered; every method is called on the event loop."""

    def __init__(self, *, requests: int, audio_s: float, clock: Callable[[], float]):
        """At most so many requests at a time, and so many seconds of audio in all."""
        self._most_requests = requests
        self._most_audio_s = audio_s
        self._speed = Speed(clock)
        self._under_way: dict[str, list[float]] = {}
        """Lengths of each caller's recordings."""
        self.requests = 0
        self.audio_s = 0.0
        self.refused = 0

    @property
    def speed(self) -> float:
        """Audio seconds that are transcribed in a second."""
        return self._speed.measured

    @property
    def wait_s(self) -> float:
        """How long all that is under way will take."""
        return self.audio_s / self.speed

    def needed_s(self, audio_s: float, caller: str = "") -> float:
        """How long a recording will take beside those under way, at most."""
        own = self._under_way.get(caller, ())
        of_caller_s = audio_s + sum(min(other_s, audio_s) for other_s in own)
        of_others_s = sum(min(sum(others), of_caller_s) for name, others in self._under_way.items() if name != caller)
        return (of_caller_s + of_others_s) / self.speed

    def require_time(self, audio_s: float, caller: str, within_s: float) -> None:
        """`Problem` 429 if a recording would not be done in time because of others; by itself it would."""
        if not self._speed.is_measured or audio_s / self.speed > within_s:
            return
        excess_s = self.needed_s(audio_s, caller) - within_s
        if excess_s > 0:
            self._refuse(excess_s)

    def require_room(self, audio_s: float = 0.0) -> None:
        """`Problem` 429 if a recording of this length would not be taken now.

        A single recording is taken whatever its length. Asked with 0 seconds it refuses early, before an upload is
        read, what would be refused after it.
        """
        excess_s = self._excess_s(audio_s)
        if excess_s is not None:
            self._refuse(excess_s / self.speed)

    def _refuse(self, wait_s: float) -> NoReturn:
        self.refused += 1
        headers = retry_headers(wait_s)
        under_way = f"{self.requests} recordings with {self.audio_s:.0f} s of audio are under way"
        message = f"the model is busy: {under_way}; try again in {headers['Retry-After']} s"
        raise Problem(429, message, code="queue_full", headers=headers)

    def has_room(self) -> bool:
        """Whether `require_room` would take a short recording; nothing is counted as refused."""
        return self._excess_s(0.0) is None

    def _excess_s(self, audio_s: float) -> float | None:
        """How much audio must be done before there is room for so much more; None where there is room."""
        if self.requests >= self._most_requests:
            return self.audio_s / self.requests  # one of them must end
        if self.requests and self.audio_s + audio_s > self._most_audio_s:
            return self.audio_s + audio_s - self._most_audio_s
        return None

    @contextmanager
    def place(self, audio_s: float, caller: str = "", within_s: float = math.inf) -> Iterator[None]:
        """Count a recording as under way; `require_room` and `require_time` name the errors."""
        self.require_room(audio_s)
        self.require_time(audio_s, caller, within_s)
        if not self.requests:
            self._speed.begin()
        self.requests += 1
        self.audio_s += audio_s
        self._under_way.setdefault(caller, []).append(audio_s)
        try:
            yield
            self._speed.done(audio_s)
        finally:
            self.requests -= 1
            self._under_way[caller].remove(audio_s)
            if not self._under_way[caller]:
                del self._under_way[caller]
            self.audio_s = max(0.0, self.audio_s - audio_s) if self.requests else 0.0
