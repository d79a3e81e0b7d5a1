"""A connection as uvicorn has it, with bounds that it lacks.

How many there are, how long and large a request's head is, and how long a client may leave its answer unread.
"""

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shoptalk.service.problems import Problem, content
from shoptalk.service.settings import Settings

MAX_HEAD_BYTES = 64 * 1024
"""Of a request's line and headers."""


class Connection(HttpToolsProtocol):
    """Closes connections that are too many, whose head comes too late or is too large, or whose answer nobody reads."""

    def __init__(self, settings: Settings, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._settings = settings
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._is_websocket = False
        self._unread: asyncio.TimerHandle | None = None
        self._unread_bytes = 0

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
        self._forget_unread()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._await_reading()

    def resume_writing(self) -> None:
        self._forget_unread()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "this is no HTTP request", "invalid_request")

    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._settings.header_timeout_s, self._give_up)

    def _give_up(self) -> None:
        message = f"no request came within {self._settings.header_timeout_s:g} s"
        self._refuse(408, message, "request_stalled")

    def _forget_deadline(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _await_reading(self) -> None:
        self._unread_bytes = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(self._settings.answer_idle_s, self._look_whether_it_reads)

    def _look_whether_it_reads(self) -> None:
        """More may have been written meanwhile, but only after all before was taken."""
        if self.transport.get_write_buffer_size() < self._unread_bytes:
            self._await_reading()
        else:
            self.transport.abort()

    def _forget_unread(self) -> None:
        if self._unread:
            self._unread.cancel()
            self._unread = None

    def _refuse(self, status: int, message: str, code: str) -> None:
        self._forget_deadline()
        if self.transport.is_closing():
            return
        body = json.dumps(content(Problem(status, message, code=code))).encode()
        head = (
            f"HTTP/1.1 {status} refused\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
