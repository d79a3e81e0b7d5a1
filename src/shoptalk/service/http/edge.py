"""What every request passes first: a path prefix, web pages, HEAD and OPTIONS, bodies that nobody read or too large."""

import asyncio
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from shoptalk.service import problems
from shoptalk.service.account import account_of
from shoptalk.service.problems import Problem

LINGER_S = 1.0
"""So long the rest of a refused upload is read and dropped: a client that is still sending then gets its answer."""
LINGER_BYTES = 8 * 2**20
"""Of that rest at most."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing; a browser keeps their answers from pages of other origins."""
SMALL_BYTES = 2**20
"""Of a body that is no recording."""


class Edge:
    """ASGI wrapper around the routes.

    - A path prefix is taken off, where the proxy did not do so.
    - A web page of another origin is refused, where the service asks for no key.
    - HEAD is answered as GET, without the body.
    - OPTIONS tells the methods of a path.
    - A connection is closed after an answer that came before all of the request was read: what still arrives of it
      cannot be told from another request.
    - While the server stops, each answer closes its connection.
    """

    def __init__(
        self,
        app: ASGIApp,
        root_path: str,
        is_upload: Callable[[str], bool],
        stopping: Callable[[], bool],
        check_page: Callable[[Headers], None] = lambda headers: None,
        check_reader: Callable[[str, Headers], None] = lambda path, headers: None,
    ):
        """`is_upload` tells by a path whether a form is bounded by the route; other bodies are bounded here.

        `check_page` raises `Problem` for the headers of a web page that may not use the service, and `check_reader` for
        one that may not read what is at a path.
        """
        self._check_page = check_page
        self._check_reader = check_reader
        self._app = app
        self._root_path = root_path
        self._is_upload = is_upload
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._open(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._stopping)
        method = "GET" if exchange.method == "HEAD" else exchange.method
        inner = {**scope, "method": method, "root_path": self._root_path}  # the server still needs its own
        is_form = Headers(scope=scope).get("content-type", "").lower().startswith("multipart/form-data")
        most = None if is_form and self._is_upload(scope["path"]) else SMALL_BYTES
        try:
            if exchange.method in SAFE:
                self._check_reader(scope["path"], Headers(scope=scope))
            else:
                self._check_page(Headers(scope=scope))
            await self._app(inner, exchange.bounded(most), exchange.send)
        except Problem as refusal:  # of the page; the app answers its own
            account_of(HTTPConnection(scope)).code = refusal.code
            await problems.answer(refusal)(scope, receive, exchange.send)
        except _TooLargeError:
            if not exchange.has_begun:
                message = f"the request has more than {SMALL_BYTES} bytes; send less"
                too_large = Problem(413, message, code="request_too_large")
                account_of(HTTPConnection(scope)).code = too_large.code
                await problems.answer(too_large)(scope, receive, exchange.send)
        finally:
            if "route" in inner:  # whoever watches the request tells it by its route
                scope["route"] = inner["route"]

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket."""
        inner = {**scope, "root_path": self._root_path}
        try:
            self._check_page(Headers(scope=scope))
        except Problem as problem:
            account_of(HTTPConnection(scope)).code = problem.code
            await WebSocket(scope, receive, send).send_denial_response(problems.answer(problem))
            return
        try:
            await self._app(inner, receive, send)
        finally:
            if "route" in inner:
                scope["route"] = inner["route"]


class _TooLargeError(Exception):
    pass


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, stopping: Callable[[], bool]):
        self.method: str = scope["method"]
        self.has_begun = False
        self._receive = receive
        self._send = send
        self._stopping = stopping
        self._has_no_body = self.method == "HEAD"
        headers = Headers(scope=scope)
        self._is_read = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers

    def bounded(self, most: int | None) -> Receive:
        """`receive`, which notes the end of the body and raises if it is longer than `most`."""
        total = 0

        async def receive() -> Message:
            nonlocal total
            message = await self._receive()
            total += len(message.get("body", b""))
            self._is_read = self._is_read or not message.get("more_body", False)
            if most is not None and total > most:
                raise _TooLargeError
            return message

        return receive

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            message = self._begun(message)
        elif self._has_no_body:
            message = {**message, "body": b""}
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if is_last and not self._is_read:
            await self._send({**message, "more_body": True})
            await self._drop_the_rest()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    def _begun(self, message: Message) -> Message:
        message = {**message, "headers": list(message.get("headers", []))}
        headers = MutableHeaders(scope=message)
        if self.method == "OPTIONS" and message["status"] == 405:
            methods = {name.strip() for name in headers.get("allow", "").split(",")} - {""}
            methods |= {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
            for name in ("content-length", "content-type", "x-should-retry"):
                del headers[name]
            headers["allow"] = ", ".join(sorted(methods))
            message["status"] = 204
            self._has_no_body = True
        if not self._is_read or self._stopping():
            headers["connection"] = "close"
        return message

    async def _drop_the_rest(self) -> None:
        dropped = 0
        try:
            async with asyncio.timeout(LINGER_S):
                while not self._is_read and dropped < LINGER_BYTES:
                    more = await self._receive()
                    dropped += len(more.get("body", b""))
                    self._is_read = not more.get("more_body", False)
        except (TimeoutError, ClientDisconnect):
            pass
