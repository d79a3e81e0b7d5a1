"""Connections and WebSockets as uvicorn has them, with bounds that they lack.

How many there are, how long and large a request's head is, and how long a client may leave its answer unread. Time in
which the server stood still does not count.
"""

import asyncio
import logging
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from shoptalk.service.clock import Deadline
from shoptalk.service.problems import Problem, answer
from shoptalk.service.settings import Settings
from shoptalk.service.telemetry.watching import REQUEST_ID, new_request_id

log = logging.getLogger(__name__)
log.setLevel(logging.ERROR)

MAX_HEAD_BYTES = 64 * 1024
"""Of a request's line and headers."""
GOING_AWAY = 1001
"""The code that a WebSocket is closed with when the server stops."""


class Connection(HttpToolsProtocol):
    """Closes connections that are too many, whose head comes too late or is too large, or whose answer nobody reads."""

    def __init__(self, settings: Settings, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._settings = settings
        self._deadline: Deadline | None = None
        self._head_bytes = 0
        self._is_websocket = False
        self._is_over = False
        """Nothing more is read: it is no request."""
        self._unread = _Unread(settings.answer_idle_s)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        # `pause_writing` tells of nearly every byte that has to wait; asyncio's TLS never resumes at a limit of 0
        self.transport.set_write_buffer_limits(high=1)
        if len(self.connections) > self._settings.max_connections:
            self._refuse(
                503, f"{self._settings.max_connections} connections are open already; try again", "server_busy"
            )
        else:
            self._await_head()

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        before = self.cycle
        super().data_received(data)
        if self.transport.is_closing() or self._is_websocket:
            self._forget_deadline()
        elif self.cycle is not before or not self._is_between_requests():
            self._head_bytes = 0
            self._forget_deadline()
        else:
            self._head_bytes += len(data)
            self._await_head()
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431, f"the head of the request has more than {MAX_HEAD_BYTES} bytes", "head_too_large")

    def handle_websocket_upgrade(self) -> None:
        self._is_websocket = True
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        self._unread.forget()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread.watch(self.transport)

    def resume_writing(self) -> None:
        self._unread.forget()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """What stands behind a whole request, and is none, does not take its answer away."""
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            self._refuse(400, "this is no HTTP request", "invalid_request")
        else:
            self._is_over = True
            self.cycle.keep_alive = False

    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        if self._deadline is None:
            self._deadline = Deadline(self._settings.header_timeout_s, self._give_up)

    def _give_up(self) -> None:
        message = f"no request came within {self._settings.header_timeout_s:g} s"
        self._refuse(408, message, "request_stalled")

    def _forget_deadline(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: int, message: str, code: str) -> None:
        self._forget_deadline()
        if self.transport.is_closing():
            return
        response = answer(Problem(status, message, code=code))
        response.headers.update({REQUEST_ID: new_request_id(), "connection": "close"})
        lines = [f"HTTP/1.1 {status} refused", *(f"{name}: {value}" for name, value in response.headers.items())]
        head = "\r\n".join([*lines, "", ""])
        self.transport.write(head.encode() + bytes(response.body))
        self.transport.close()


class LiveConnection(WebSocketsSansIOProtocol):
    """A WebSocket whose client is cut off if it reads nothing, and which is not closed at once when the server stops.

    uvicorn reads no further while messages wait for the app. Whoever sends too fast is slowed down by that.
    """

    def __init__(self, settings: Settings, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._unread = _Unread(settings.answer_idle_s)
        self.logger = log  # uvicorn's tells addresses, with their keywords
        self.conn.debug = False  # it would log what is sent, whatever the level of our log

    def connection_lost(self, exc: Exception | None) -> None:
        self._unread.forget()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread.watch(self.transport)

    def resume_writing(self) -> None:
        self._unread.forget()
        super().resume_writing()

    async def send(self, message: Any) -> None:
        """A refusal, too, completes the handshake; uvicorn would log it as an error of the app."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def shutdown(self) -> None:
        """Tell the app that the server stops; it sends what it still has, and closes."""
        if self.close_sent or not self.handshake_complete:
            super().shutdown()
        else:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": GOING_AWAY})

    def send_keepalive_ping(self) -> None:
        """Its answer is waited for by the time in which the server ran."""
        super().send_keepalive_ping()
        if self.pong_timer is not None and self.ping_timeout is not None:
            self.pong_timer.cancel()
            self.pong_timer = Deadline(self.ping_timeout, self.keepalive_timeout)  # type: ignore[assignment]

    def keepalive_timeout(self) -> None:
        """The client did not answer a ping. While nothing is read its answer cannot come."""
        self.pong_timer = None
        if self.read_paused:
            self.pending_ping_payload = None
            self.schedule_ping()
        else:
            self.transport.abort()


class _Unread:
    """Looks whether a client reads what was written for it, and cuts off one that does not."""

    def __init__(self, most_s: float) -> None:
        """`most_s` is how long a client may take nothing."""
        self._most_s = most_s
        self._timer: Deadline | None = None

    def watch(self, transport: Any) -> None:
        """Something waits to be read."""
        if self._timer is None:
            self._wait(transport)

    def forget(self) -> None:
        """All was read, or the client is gone."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _wait(self, transport: Any) -> None:
        unread_bytes = transport.get_write_buffer_size()
        self._timer = Deadline(self._most_s, partial(self._look, transport, unread_bytes))

    def _look(self, transport: Any, unread_bytes: int) -> None:
        """More may have been written meanwhile, but only after all before was taken."""
        if transport.get_write_buffer_size() < unread_bytes:
            self._wait(transport)
        else:
            transport.abort()
