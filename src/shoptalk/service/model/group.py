"""A model in several processes, each of which gets part of the work: one for each core, where there is no GPU.

A small model gains little from a second thread: searching the beam and listening to speech are one thread's work. A
process of one thread for each core transcribes about twice as much as one process with a thread for each.

A recording goes to the process with the least audio under way, where a stream counts `STREAM_S`. A stream stays with
the process that had the fewest streams when it was opened.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import PLAIN, Options
from shoptalk.core.records import Recognition
from shoptalk.service.model.counted import CountedStream
from shoptalk.service.model.served import Worker
from shoptalk.service.model.work import LiveStream, Work

STREAM_S = 10.0
"""A stream computes about as much as recordings of so many seconds that follow on each other."""


class WorkerGroup:
    """A `Worker` over others of the same model; every method is called on the event loop."""

    def __init__(self, name: str, members: Sequence[Worker]) -> None:
        """`members` are not started yet; there is one at least."""
        self.name = name
        self._members = members
        self._samples = [0] * len(members)
        """Of the recordings under way in each."""
        self._streams = [0] * len(members)
        """Open in each."""

    @property
    def ready(self) -> bool:
        """Whether one of them answers."""
        return any(member.ready for member in self._members)

    @property
    def restarts(self) -> int:
        """Of the processes of all of them."""
        return sum(member.restarts for member in self._members)

    @property
    def start_seconds(self) -> Mapping[str, float]:
        """Those of the slowest of them: they start together."""
        return max((member.start_seconds for member in self._members), key=lambda parts: sum(parts.values()))

    async def start(self) -> None:
        """Start all of them together; the first error is raised once all have started or failed."""
        results = await asyncio.gather(*(member.start() for member in self._members), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def transcribe(self, work: Work) -> Recognition:
        """By the member with the least audio under way, of those that answer."""
        place = min(self._answering(), key=self._load_s)
        self._samples[place] += work.samples_T.size
        try:
            return await self._members[place].transcribe(work)
        finally:
            self._samples[place] -= work.samples_T.size

    async def open_stream(self, options: Options = PLAIN, *, caller: str = "") -> LiveStream:
        """In the member with the fewest streams, and of those in the one with the least audio under way."""
        place = min(self._answering(), key=lambda place: (self._streams[place], self._samples[place]))
        with ExitStack() as cleanup:
            self._streams[place] += 1
            cleanup.callback(self._leave, place)
            stream = await self._members[place].open_stream(options, caller=caller)
            return CountedStream(stream, cleanup.pop_all().close)

    async def stop(self) -> None:
        """End all of them."""
        await asyncio.gather(*(member.stop() for member in self._members))

    def _answering(self) -> Sequence[int]:
        """The places of members; one that starts anew counts only where all do."""
        return [place for place, member in enumerate(self._members) if member.ready] or range(len(self._members))

    def _load_s(self, place: int) -> float:
        return self._samples[place] / SAMPLE_RATE_HZ + STREAM_S * self._streams[place]

    def _leave(self, place: int) -> None:
        self._streams[place] -= 1
