"""What the integrations of OpenAI-compatible endpoints share: the official client, and its errors under our names.

The client (2.x or 3.x) keeps the connections. A request is sent again where that may help: no connection, a time-out,
HTTP 408, 409, 429 and 500 or above. Between attempts lies what the server's ``retry-after`` asks, else a back-off.
"""

import ipaddress
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from shoptalk.core.config import check_api_key
from shoptalk.core.errors import MissingToolError, ShoptalkError
from shoptalk.core.pace import MOST_WAIT_S, Pace, backoff_s, retry_after_s

if TYPE_CHECKING:
    from openai import APIStatusError, Omit, OpenAI

MAY_PASS = frozenset({408, 409, 429})
"""Refusals after which a request is sent again, beside those of 500 and above; any other refusal is final."""

T = TypeVar("T")


@dataclass(frozen=True)
class Endpoint:
    """A server that several threads may ask at once."""

    client: "OpenAI"
    base_url: str
    headers: Mapping[str, "str | Omit"]
    """For each request's `extra_headers`; they take the key away where there is none."""
    section: str
    """The section of the recipe that names the server; the user is told it."""
    error: type[ShoptalkError]
    """What a failure is raised as."""
    attempts: int
    """Of a request."""
    pace: Pace = field(default_factory=Pace)

    def ask(self, send: Callable[[], T]) -> T:
        """What `send` gives, which sends one request; it is called again while the client's error may pass."""
        import openai

        for attempt in range(1, self.attempts):
            try:
                return send()
            except openai.APIStatusError as error:
                if not _may_pass(error):
                    raise
                self._obey(error, attempt)
            except openai.APIConnectionError:
                self.pace.pause(backoff_s(attempt))
        return send()

    def _obey(self, error: "APIStatusError", attempt: int) -> None:
        """Wait before the next attempt; all threads do where the server names the time."""
        asked_s = retry_after_s(error.response.headers, now_s=time.time())
        if asked_s is None:
            self.pace.pause(backoff_s(attempt))
        elif asked_s > MOST_WAIT_S:
            raise self.error(
                f"{self.base_url} asks to be left alone for {asked_s:.0f} s (HTTP {error.status_code}); give the same "
                "command again then: it goes on where it stopped"
            )
        else:
            self.pace.hold(asked_s)
            self.pace.pause(asked_s)

    @contextmanager
    def named_errors(self) -> Iterator[None]:
        """Raise the client's errors as `error`, with the server's answer and what to check."""
        import openai

        try:
            yield
        except openai.APIStatusError as error:
            raise self.error(self._refusal(error)) from None
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            trouble = f"{type(cause).__name__} {cause}"
            raise self.error(self._failure(trouble)) from None

    def _refusal(self, error: "APIStatusError") -> str:
        status = error.status_code
        trouble = f"HTTP {status}: {error.response.text[:300]}"
        if _may_pass(error):
            return self._failure(trouble)
        return f"{self.base_url} refused: {trouble}; check `{self.section}` and OPENAI_API_KEY"

    def _failure(self, trouble: str) -> str:
        return f"{self.base_url} failed {self.attempts} times, last with {trouble}; is the endpoint up?"


def open_endpoint(
    base_url: str,
    *,
    api_key: str,
    timeout_s: float,
    attempts: int,
    section: str,
    error: type[ShoptalkError],
    pace: Pace | None = None,
) -> Endpoint:
    """The endpoint at `base_url`, as in ``http://127.0.0.1:8000/v1``; without `api_key` no key is sent.

    `timeout_s` holds for one attempt. Raises `error` if `base_url` is no address, `ApiKeyError` if no header can carry
    the key, `MissingToolError` without `openai`.
    """
    check_api_key(api_key, f"`{section}`: the API key")
    try:
        from openai import DefaultHttpxClient, Omit, OpenAI
    except ImportError:
        raise MissingToolError("openai is not installed; the extras `corpus` and `compare` bring it") from None
    if not base_url.startswith(("http://", "https://")):
        raise error(f"{base_url!r} is no endpoint; set `{section}.base_url`, e.g. http://127.0.0.1:8000/v1")
    # A proxy of the environment cannot reach this machine's loopback address.
    transport = DefaultHttpxClient(trust_env=not _is_loopback(base_url))
    client = OpenAI(
        base_url=base_url,
        api_key=api_key or "none",  # 3.x wants one even where none is sent
        timeout=timeout_s,
        max_retries=0,  # `Endpoint.ask` sends again
        http_client=transport,
    )
    headers = {} if api_key else {"Authorization": Omit()}
    return Endpoint(client, base_url.rstrip("/"), headers, section, error, attempts, pace or Pace())


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _may_pass(error: "APIStatusError") -> bool:
    """Whether the same request may be answered later; a server may say that it will not be (an empty account)."""
    if error.response.headers.get("x-should-retry") == "false":
        return False
    return error.status_code in MAY_PASS or error.status_code >= 500
