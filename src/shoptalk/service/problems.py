"""Errors as OpenAI writes them: ``{"error": {"message", "type", "param", "code"}}``, whatever went wrong."""

import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from shoptalk.core.errors import StoreError
from shoptalk.service.account import account_of

SHOWN = 100
"""Characters of a path, or of a field's name, that an error repeats."""
BUSY_S = 5
"""When a client had better come back that found no place, or nothing that answers."""

log = logging.getLogger(__name__)


class Problem(Exception):
    """An answer other than 200; the message is written for the client and repeats nothing that was spoken."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = dict(headers or {})


RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504})
"""What OpenAI's clients send again unless they are told not to."""


TIMEOUT = "timeout"
"""The code of a `Problem` for time that ran out, before a worker or in it."""
NO_MEMORY = Problem(
    503,
    "the server has no memory for this request; send a shorter recording, or try again later",
    code="out_of_memory",
    headers={"Retry-After": "30"},
)
NO_STORAGE = Problem(
    503,
    "the server cannot store it now; try again later",
    code="storage_failed",
    headers={"Retry-After": "30"},
)


def busy(reason: str) -> Problem:
    """429 for a request that finds no place; the reason is a clause."""
    headers = {"Retry-After": str(BUSY_S)}
    return Problem(429, f"the server is busy: {reason}; try again in {BUSY_S} s", code="server_busy", headers=headers)


def not_ready(message: str) -> Problem:
    """503 for a model, or a server, that answers nothing now."""
    return Problem(503, message, code="not_ready", headers={"Retry-After": str(BUSY_S)})


def content(problem: Problem) -> dict[str, object]:
    """The problem as OpenAI writes it."""
    told = {
        "message": problem.message,
        "type": _type(problem.status),
        "param": problem.param,
        "code": problem.code,
    }
    return {"error": told}


def answer(problem: Problem) -> JSONResponse:
    """The problem as a response, with the headers that OpenAI's clients obey: whether to try again, and when."""
    headers = {name.lower(): value for name, value in problem.headers.items()}
    if problem.status not in RETRIED:
        headers.setdefault("x-should-retry", "false")
    if headers.get("retry-after", "").isdigit():
        headers.setdefault("retry-after-ms", str(1000 * int(headers["retry-after"])))
    return JSONResponse(content(problem), status_code=problem.status, headers=headers)


def install(app: FastAPI) -> None:
    """Make the app answer every error in OpenAI's form: its own, unknown paths and methods, crashes."""

    async def on_problem(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, Problem):
            account_of(request).code = error.code
            return answer(error)
        return answer(Problem(500, "the server failed; try again", code="internal_error"))

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
        code = {404: "unknown_url", 405: "method_not_allowed"}.get(status, "http_error")
        message = f"{request.method} {request.url.path[:SHOWN]}: {getattr(error, 'detail', 'failed')}"
        account_of(request).code = code
        return answer(Problem(status, message, code=code, headers=headers))

    async def on_invalid(request: Request, error: Exception) -> JSONResponse:
        first = error.errors()[0] if isinstance(error, RequestValidationError) else {}
        where = str((first.get("loc") or ("request",))[-1])
        account_of(request).code = "invalid_value"
        return answer(Problem(400, f"{where}: {first.get('msg', 'invalid')}", code="invalid_value", param=where))

    async def on_memory(request: Request, error: Exception) -> JSONResponse:
        account_of(request).code = NO_MEMORY.code
        return answer(NO_MEMORY)

    async def on_store(request: Request, error: Exception) -> JSONResponse:
        account_of(request).code = NO_STORAGE.code
        log.error("request %s: %s", account_of(request).request_id, error)
        return answer(NO_STORAGE)

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(StoreError, on_store)
    app.add_exception_handler(MemoryError, on_memory)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Exception, on_problem)


def _type(status: int) -> str:
    if status == 401:
        return "authentication_error"
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"
