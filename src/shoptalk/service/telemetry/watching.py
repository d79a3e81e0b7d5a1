"""Watches every request: its account, its span, its figures, its line in the audit log, and what is logged of errors.

An error that no route expects is answered as 500 here. Only its class and its place in the code are logged, because its
message may quote what was spoken. Nothing below this layer gets to see it, neither uvicorn nor asyncio.
"""

import asyncio
import logging
import re
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from shoptalk.service import problems
from shoptalk.service.account import METHODS, OTHER, Account
from shoptalk.service.problems import Problem
from shoptalk.service.telemetry import spans
from shoptalk.service.telemetry.metrics import Metrics, is_transcription
from shoptalk.service.telemetry.spans import Spans

REQUEST_ID = "x-request-id"
QUEUE = "queue"
SWITCHING = 101
"""The status of a WebSocket that is accepted."""
INTERNAL_ERROR = 1011
"""The code that a WebSocket is closed with where the server failed."""
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,128}")
_UNSEEN = ("/health/", "/metrics")
"""What asks how the service is doing is no request of a client."""

log = logging.getLogger(__name__)


class Telemetry:
    """Metrics and spans of one app."""

    def __init__(
        self,
        models: Iterable[str] = (),
        own_spans: Spans | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`models` are the names that may be labels; `clock` gives seconds and never goes back."""
        self.metrics = Metrics(tuple(models))
        self.spans = own_spans or Spans()
        self.clock = clock

    @contextmanager
    def stage(self, account: Account, name: str, **attributes: str | int | float) -> Iterator[None]:
        """A stage of a request: its time is counted, and it has a span of its own. A stage that comes again adds up."""
        started = self.clock()
        try:
            with self.spans.stage(name, attributes):
                yield
        finally:
            account.stages[name] = account.stages.get(name, 0.0) + self.clock() - started

    def queue(self, account: Account) -> Callable[[], None]:
        """The stage `queue`: it ends when what is returned is called for the first time, and is not told before."""
        started = self.clock()
        span = self.spans.begun(QUEUE)

        def end() -> None:
            if QUEUE not in account.stages:
                account.stages[QUEUE] = self.clock() - started
                span.end()

        return end


class Watching:
    """ASGI wrapper around the whole app."""

    def __init__(
        self,
        app: ASGIApp,
        telemetry: Telemetry,
        on_end: Callable[[Account], None] = lambda account: None,
        root_path: str = "",
    ) -> None:
        """`on_end` is called with the account of each request once it was answered: the audit log.

        `root_path` is a prefix of all paths that a proxy may have left on.
        """
        self._app = app
        self._telemetry = telemetry
        self._on_end = on_end
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "").removeprefix(self._root_path)
        if scope["type"] not in ("http", "websocket") or path.startswith(_UNSEEN):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        client = scope.get("client")
        method = scope.get("method", "GET")  # a WebSocket begins as GET
        account = Account(
            request_id=_request_id(headers),
            method=method if method in METHODS else OTHER,
            address=client[0] if client else "",
        )
        scope.setdefault("state", {})["account"] = account
        in_progress = self._telemetry.metrics.in_progress if is_transcription(path) else None
        if in_progress is not None:
            in_progress.inc()
        with self._telemetry.spans.request(headers) as span:
            account.trace_id = spans.trace_id(span)
            try:
                await self._answer(scope, receive, send, account)
            finally:
                if in_progress is not None:
                    in_progress.dec()
                spans.end_request(span, account.status, _attributes(account), f"{account.method} {account.route}")
                self._telemetry.metrics.ended(account)
                self._on_end(account)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, account: Account) -> None:
        clock = self._telemetry.clock
        started = clock()
        account.status = 500
        has_begun = False

        async def noting(message: Message) -> None:
            nonlocal has_begun
            if message["type"] in ("http.response.start", "websocket.http.response.start", "websocket.accept"):
                has_begun = True
                account.status = message.get("status", SWITCHING)
                message.setdefault("headers", [])
                MutableHeaders(scope=message)[REQUEST_ID] = account.request_id
            elif message["type"] == "http.response.body" and message.get("body") and account.first_byte_s is None:
                account.first_byte_s = clock() - started
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:  # noqa: BLE001 - whatever a route does not expect; the message is kept from all logs
            log.error("request %s failed: %s", account.request_id, place_of(error))
            account.code = "internal_error"
            problem = Problem(500, "the server failed; try again", code=account.code)
            if scope["type"] == "websocket":
                await _end_websocket(scope, receive, noting, None if has_begun else problem)
            elif not has_begun:
                await problems.answer(problem)(scope, receive, noting)
            # else the connection is closed by the server before the answer's end, which clients take as an error
        finally:
            account.route = _route(scope)
            if account.model:
                account.model = self._telemetry.metrics.model_label(account.model)
            account.seconds = clock() - started


async def _end_websocket(scope: Scope, receive: Receive, send: Send, problem: Problem | None) -> None:
    """Refuse a WebSocket that was not accepted with the problem, or close one that was; it may be gone already."""
    try:
        if problem is not None:
            await WebSocket(scope, receive, send).send_denial_response(problems.answer(problem))
        else:
            await send({"type": "websocket.close", "code": INTERNAL_ERROR, "reason": "internal_error"})
    except (OSError, RuntimeError):
        pass


def place_of(error: BaseException) -> str:
    """The class of an error and where it was raised, without its message."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else "an unknown place"
    return f"{type(error).__name__} at {where}"


def keep_messages_out(loop: asyncio.AbstractEventLoop) -> None:
    """Have the event loop log errors that nobody awaits by class and place alone, from now on."""

    def tell(loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        error = context.get("exception")
        what = place_of(error) if isinstance(error, BaseException) else "an error without an exception"
        log.error("in the background: %s", what)

    loop.set_exception_handler(tell)


def new_request_id() -> str:
    """An id that no other request has."""
    return f"req_{uuid.uuid4().hex}"


def _request_id(headers: Headers) -> str:
    """The client's own id where it is a plain word; a new one otherwise."""
    given = headers.get(REQUEST_ID, "")
    return given if _WELL_FORMED.fullmatch(given) else new_request_id()


def _route(scope: Scope) -> str:
    """The path as the app writes it, with its variable parts named; ``other`` where the app has no such path."""
    return getattr(scope.get("route"), "path", OTHER)


def _attributes(account: Account) -> dict[str, str | int | float]:
    attributes: dict[str, str | int | float] = {
        "http.request.method": account.method,
        "http.route": account.route,
        "shoptalk.request_id": account.request_id,
        "shoptalk.key": account.caller,
        "shoptalk.model": account.model,
        "shoptalk.audio_s": account.audio_s,
        "shoptalk.words": account.words,
    }
    if account.code:
        attributes["error.type"] = account.code
    return attributes
