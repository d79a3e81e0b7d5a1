"""A model in several processes, each of which gets part of the recordings: one for each core, where there is no GPU.

A small model gains little from a second thread: searching the beam and listening to speech are one thread's work. A
process of one thread for each core transcribes about twice as much as one process with a thread for each.
"""

import asyncio
from collections.abc import Sequence

from shoptalk.core.records import Recognition
from shoptalk.service.model.served import Worker
from shoptalk.service.model.work import Work


class WorkerGroup:
    """A `Worker` over others of the same model; every method is called on the event loop."""

    def __init__(self, name: str, members: Sequence[Worker]) -> None:
        """`members` are not started yet; there is one at least."""
        self.name = name
        self._members = members
        self._samples = [0] * len(members)
        """Under way in each."""

    @property
    def ready(self) -> bool:
        """Whether one of them answers."""
        return any(member.ready for member in self._members)

    @property
    def restarts(self) -> int:
        """Of the processes of all of them."""
        return sum(member.restarts for member in self._members)

    async def start(self) -> None:
        """Start all of them together; the first error is raised once all have started or failed."""
        results = await asyncio.gather(*(member.start() for member in self._members), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def transcribe(self, work: Work) -> Recognition:
        """By the member with the least audio under way, of those that answer."""
        place = self._least_busy()
        self._samples[place] += work.samples_T.size
        try:
            return await self._members[place].transcribe(work)
        finally:
            self._samples[place] -= work.samples_T.size

    async def stop(self) -> None:
        """End all of them."""
        await asyncio.gather(*(member.stop() for member in self._members))

    def _least_busy(self) -> int:
        """The place of a member; one that starts anew counts only where all do."""
        places = [place for place, member in enumerate(self._members) if member.ready]
        return min(places or range(len(self._members)), key=self._samples.__getitem__)
