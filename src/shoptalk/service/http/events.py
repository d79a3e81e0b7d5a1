"""The answer to ``stream=true``: server-sent events while the recording is transcribed.

An event is a line ``data: {…}`` and an empty line; the last one is ``data: [DONE]``. An error that comes after the
first event is ``event: error`` with an error object. Comments keep a connection alive on which nothing else is sent.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shoptalk.service import problems
from shoptalk.service.account import Account, account_of
from shoptalk.service.problems import Problem

HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
"""Neither a cache nor nginx holds events back."""
DONE = b"data: [DONE]\n\n"
ALIVE = b": alive\n\n"
CLIENT_GONE = "client_gone"
"""The code under which a stream counts that its client left."""
ALIVE_S = 15.0
"""So often something is sent; proxies give a silent connection up after 60 s."""


def event(content: Mapping[str, Any], name: str = "") -> bytes:
    """An event as it is sent."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(content, ensure_ascii=False)}\n\n".encode()


class EventStream(Response):
    """Sends events as they come; ends them as soon as the client is gone."""

    def __init__(self, events: AsyncIterator[bytes], held: AsyncExitStack, headers: Mapping[str, str]):
        """`held` is what the request holds, given back at the end."""
        super().__init__(status_code=200, headers={**HEADERS, **headers}, media_type="text/event-stream")
        del self.headers["content-length"]
        self._events = events
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            account = account_of(HTTPConnection(scope))
            sending = asyncio.create_task(self._send_all(send, account))
            gone = asyncio.create_task(until_gone(receive))
            try:
                await asyncio.wait([sending, gone], return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    sending.result()
                else:
                    account.code = CLIENT_GONE
            finally:
                for task in (sending, gone):
                    task.cancel()
                await asyncio.gather(sending, gone, return_exceptions=True)

    async def _send_all(self, send: Send, account: Account) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async for content in self._events:
                await send({"type": "http.response.body", "body": content, "more_body": True})
        except Problem as problem:
            account.code = problem.code
            content = event(problems.content(problem), "error")
            await send({"type": "http.response.body", "body": content, "more_body": True})
        else:
            await send({"type": "http.response.body", "body": DONE, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def until_gone(receive: Receive) -> None:
    """Returns when the client has hung up; the body of its request was read before."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_gone(receive: Receive, work: "asyncio.Future[Any]") -> Any:
    """The result of a task, or `ClientDisconnect` as soon as nobody waits for it any more; then it is cancelled."""
    gone = asyncio.create_task(until_gone(receive))
    try:
        await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect
        return work.result()
    finally:
        gone.cancel()
        work.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)
