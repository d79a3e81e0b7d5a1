"""What the integrations to OpenAI-compatible endpoints share: one path of a server, asked with retries and backoff."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from shoptalk.core.errors import MissingToolError, ShoptalkError

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Statuses that may pass; any other refusal is final."""

Response = Any  # httpx.Response, whose package is imported inside functions


class Endpoint:
    """May be asked by several threads at once."""

    def __init__(
        self,
        base_url: str,
        path: str,
        *,
        api_key: str,
        timeout_s: float,
        attempts: int,
        sleep: Callable[[float], None] = time.sleep,
        section: str,
        error: type[ShoptalkError],
    ) -> None:
        """`base_url` as in ``http://127.0.0.1:8000/v1``; `sleep` waits the seconds between attempts.

        `section` of the recipe and the class of `error` are for what the user is told.
        """
        try:
            import httpx
        except ImportError:
            raise MissingToolError("httpx is not installed; the extras `corpus` and `compare` bring it") from None
        if not base_url.startswith(("http://", "https://")):
            raise error(f"{base_url!r} is no endpoint; set `{section}.base_url`, e.g. http://127.0.0.1:8000/v1")
        self.url = base_url.rstrip("/") + path
        self._attempts = attempts
        self._sleep = sleep
        self._section = section
        self._error = error
        self._transport_error = httpx.TransportError
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.Client(headers=headers, timeout=timeout_s)

    def post(self, *, returned: frozenset[int] = frozenset(), **content: Any) -> Response:
        """The response to `content` as httpx takes it (``json=``, ``data=``, ``files=``): a success, or a status in
        `returned`; the endpoint's error if it refuses otherwise or fails again and again."""
        trouble = ""
        for attempt in range(self._attempts):
            try:
                response = self._client.post(self.url, **content)
            except self._transport_error as error:
                trouble, wait_s = f"{type(error).__name__} {error}", 0.0
            else:
                if response.is_success or response.status_code in returned:
                    return response
                trouble = f"HTTP {response.status_code}: {response.text[:300]}"
                wait_s = _retry_after_s(response.headers)
                if response.status_code not in RETRIED:
                    raise self._error(f"{self.url} refused: {trouble}; check `{self._section}` and OPENAI_API_KEY")
            if attempt + 1 < self._attempts:
                self._sleep(max(wait_s, min(0.5 * 2**attempt, 30.0)))
        raise self._error(f"{self.url} failed {self._attempts} times, last with {trouble}; is the endpoint up?")


def _retry_after_s(headers: Mapping[str, str]) -> float:
    """What the server asks to wait, at most a minute."""
    written = headers.get("retry-after", "")
    return min(float(written), 60.0) if written.replace(".", "", 1).isdigit() else 0.0
