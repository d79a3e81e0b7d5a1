"""A WebSocket with bounds: who sends too fast is read no further, and who reads too slowly is sent no more.

A client that is gone is noticed at once, whatever is done for it then, and everything done for it is cancelled.
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from shoptalk.service.clock import Deadline

MOST_BYTES = 4 * 2**20
"""Of messages that were read and wait; one alone may be larger."""
MOST_EVENTS = 256
"""Events that may wait for the client to read them before no more is done for it."""


class Channel:
    """What is read from a client and sent to it."""

    def __init__(self, websocket: WebSocket, stopping: Callable[[], bool]) -> None:
        """`stopping` says whether the server was told to stop: then `receive` ends, and the client is still there."""
        self._websocket = websocket
        self._stopping = stopping
        self._inbox: deque[str | bytes] = deque()
        self._inbox_bytes = 0
        self._is_ended = False
        self.is_expired = False
        """Whether the time of the session is over."""
        self._came = asyncio.Event()
        self._taken = asyncio.Event()
        self._outbox: deque[str] = deque()
        self._to_send = asyncio.Event()
        self._sent = asyncio.Event()
        self._unsent = 0

    @property
    def was_ended(self) -> bool:
        """Whether not the client, but the server ended the session."""
        return self._is_ended

    async def receive(self) -> str | bytes | None:
        """The next message; None when no more is to be taken: the server stops, or the session's time is over."""
        while not self._inbox:
            if self._is_ended:
                return None
            self._came.clear()
            await self._came.wait()
        message = self._inbox.popleft()
        self._inbox_bytes -= len(message)
        self._taken.set()
        return message

    def _end(self) -> None:
        """Take no more than what was read."""
        self._is_ended = True
        self._came.set()

    def _expire(self) -> None:
        self.is_expired = True
        self._end()

    def send(self, event: dict[str, Any]) -> None:
        """Send an event when its turn comes; events keep their order."""
        self._outbox.append(
            json.dumps(event)
        )  # in ASCII: what a client sent, and gets back, may be half a surrogate pair
        self._unsent += 1
        self._to_send.set()

    async def room(self) -> None:
        """Returns when the client has read enough."""
        await self._until_unsent(MOST_EVENTS)

    async def flush(self) -> None:
        """Returns when all events were sent."""
        await self._until_unsent(0)

    async def _until_unsent(self, most: int) -> None:
        while self._unsent > most:
            self._sent.clear()
            await self._sent.wait()

    async def serve(self, work: Callable[["Channel"], Awaitable[int]], *, within_s: float) -> None:
        """Run `work` until it returns the close code, or the client is gone; after `within_s` `receive` ends."""
        expiry = Deadline(within_s, self._expire)
        working = asyncio.create_task(self._work(work))
        tasks = [working, asyncio.create_task(self._read()), asyncio.create_task(self._write())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await self._websocket.close(working.result())
            for task in tasks:
                if task.done():
                    task.result()
        except WebSocketDisconnect:
            pass
        finally:
            expiry.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, work: Callable[["Channel"], Awaitable[int]]) -> int:
        code = await work(self)
        await self.flush()
        return code

    async def _read(self) -> None:
        """Returns when the client is gone."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                if not self._stopping():
                    return
                self._end()
                await asyncio.Event().wait()
            content = message.get("text")
            content = message.get("bytes") or b"" if content is None else content
            while self._inbox and self._inbox_bytes + len(content) > MOST_BYTES:
                self._taken.clear()
                await self._taken.wait()
            self._inbox.append(content)
            self._inbox_bytes += len(content)
            self._came.set()

    async def _write(self) -> None:
        """Returns when the client is gone."""
        try:
            while True:
                while not self._outbox:
                    self._to_send.clear()
                    await self._to_send.wait()
                await self._websocket.send_text(self._outbox.popleft())
                self._unsent -= 1
                self._sent.set()
        except WebSocketDisconnect:
            pass
