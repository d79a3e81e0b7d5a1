"""One item on its way through a model: audio waits here until its stream takes it, and words come out."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import Partial
from shoptalk.core.records import Samples
from shoptalk.service.clock import Deadline
from shoptalk.service.model.work import LiveStream
from shoptalk.service.problems import TIMEOUT, Problem


class Item:
    """Audio on its way to one stream; every method is called on the event loop."""

    def __init__(
        self,
        opening: Callable[[], Awaitable[LiveStream]],
        on_partial: Callable[[Partial], None],
        *,
        most_s: float,
        within_s: float,
    ) -> None:
        """`most_s` is how much audio may wait; `within_s` how long the words may take once all audio is there."""
        self._opening = opening
        self._on_partial = on_partial
        self._most = most_s * SAMPLE_RATE_HZ
        self._within_s = within_s
        self._limit = asyncio.timeout(None)
        self._deadline: Deadline | None = None
        self._is_running = False
        self._is_over = False
        self._waiting_S: list[Samples] = []
        self._waiting = 0
        self._has_end = False
        self._news = asyncio.Event()
        self._space = asyncio.Event()
        self._space.set()

    def feed(self, samples_S: Samples) -> None:
        """The item goes on; `room` says when there is room for more."""
        if self._is_over:
            return
        self._waiting_S.append(samples_S)
        self._waiting += samples_S.size
        if self._waiting >= self._most:
            self._space.clear()
        self._news.set()

    def finish(self) -> None:
        """All its audio is there."""
        self._has_end = True
        self._news.set()
        if self._is_running and self._deadline is None:
            self._deadline = Deadline(self._within_s, self._give_up)

    async def room(self) -> None:
        """Returns when not too much audio waits, or the item is over."""
        await self._space.wait()

    async def run(self) -> None:
        """To the end of the item; `Problem` if its words cannot be had. Cancelling frees the stream at once."""
        try:
            async with self._limit:
                self._is_running = True
                if self._has_end:
                    self.finish()
                await self._run()
        except TimeoutError:
            message = f"no words within {self._within_s:.0f} s of the end of the audio; try again"
            raise Problem(504, message, code=TIMEOUT) from None
        finally:
            if self._deadline:
                self._deadline.cancel()
            self._is_running, self._is_over = False, True
            self._waiting_S.clear()
            self._space.set()

    def _give_up(self) -> None:
        self._limit.reschedule(asyncio.get_running_loop().time())

    async def _run(self) -> None:
        stream = await self._opening()
        try:
            is_last = False
            while not is_last:
                await self._news.wait()
                samples_S, is_last = self._take()
                self._on_partial(await stream.feed(samples_S, last=is_last))
        finally:
            stream.close()

    def _take(self) -> tuple[Samples, bool]:
        """All that waits, and whether it is the end."""
        self._news.clear()
        samples_S = np.concatenate(self._waiting_S) if self._waiting_S else np.zeros(0, np.float32)
        self._waiting_S, self._waiting = [], 0
        self._space.set()
        return samples_S, self._has_end
