"""What the integrations of OpenAI-compatible endpoints share: the official client, and its errors under our names.

The client (2.x or 3.x) keeps the connections, sends each request again where that may help (no connection, a time-out,
HTTP 408, 409, 429 and 500 or above), and waits as long as the server's ``retry-after`` asks.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shoptalk.core.config import check_api_key
from shoptalk.core.errors import MissingToolError, ShoptalkError

if TYPE_CHECKING:
    from openai import APIStatusError, Omit, OpenAI

MAY_PASS = frozenset({408, 409, 429})
"""Refusals that the client tries again, beside those of 500 and above; any other refusal is final."""


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
            attempts = _attempts(error.request.headers)
            raise self.error(self._failure(attempts, trouble)) from None

    def _refusal(self, error: "APIStatusError") -> str:
        status = error.status_code
        trouble = f"HTTP {status}: {error.response.text[:300]}"
        if status in MAY_PASS or status >= 500:
            return self._failure(_attempts(error.request.headers), trouble)
        return f"{self.base_url} refused: {trouble}; check `{self.section}` and OPENAI_API_KEY"

    def _failure(self, attempts: int, trouble: str) -> str:
        return f"{self.base_url} failed {attempts} times, last with {trouble}; is the endpoint up?"


def open_endpoint(
    base_url: str,
    *,
    api_key: str,
    timeout_s: float,
    attempts: int,
    section: str,
    error: type[ShoptalkError],
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
        max_retries=attempts - 1,
        http_client=transport,
    )
    headers = {} if api_key else {"Authorization": Omit()}
    return Endpoint(client, base_url.rstrip("/"), headers, section, error)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _attempts(headers: Mapping[str, str]) -> int:
    """How often the request was sent, which the client counts in its headers."""
    return int(headers.get("x-stainless-retry-count", "0")) + 1
