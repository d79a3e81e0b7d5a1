"""A language model behind any OpenAI-compatible endpoint: chat completions over HTTP, with retries and backoff."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shoptalk.errors import LlmError, MissingToolError

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Statuses that may pass; any other refusal is final."""


class OpenAiLlm:
    """An `Llm` that may be asked by several threads at once."""

    def __init__(
        self,
        base_url: str,
        *,
        name: str,
        api_key: str = "",
        temperature: float = 0.8,
        timeout_s: float = 60.0,
        attempts: int = 5,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`base_url` as in ``http://127.0.0.1:8000/v1``; `sleep` waits the seconds between attempts."""
        try:
            import httpx
        except ImportError:
            raise MissingToolError("httpx is not installed; run `pip install 'shoptalk[corpus]'`") from None
        if not base_url.startswith(("http://", "https://")):
            raise LlmError(
                f"{base_url!r} is no endpoint; set `transcripts.llm.base_url`, e.g. http://127.0.0.1:8000/v1"
            )
        self.name = name
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._temperature = temperature
        self._attempts = attempts
        self._sleep = sleep
        self._transport_error = httpx.TransportError
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.Client(headers=headers, timeout=timeout_s)

    def complete(self, messages: Sequence[Mapping[str, str]], *, seed: int, max_tokens: int) -> str:
        """The answer to the messages; `LlmError` if the endpoint refuses or fails again and again."""
        body = {
            "model": self.name,
            "messages": [dict(message) for message in messages],
            "seed": seed % 2**31,
            "max_tokens": max_tokens,
            "temperature": self._temperature,
        }
        trouble = ""
        for attempt in range(self._attempts):
            try:
                response = self._client.post(self._url, json=body)
            except self._transport_error as error:
                trouble, wait_s = f"{type(error).__name__} {error}", 0.0
            else:
                if response.is_success:
                    return self._content(response)
                trouble, wait_s = (
                    f"HTTP {response.status_code}: {response.text[:300]}",
                    _retry_after_s(response.headers),
                )
                if response.status_code not in RETRIED:
                    raise LlmError(f"{self._url} refused: {trouble}; check `transcripts.llm` and OPENAI_API_KEY")
            if attempt + 1 < self._attempts:
                self._sleep(max(wait_s, min(0.5 * 2**attempt, 30.0)))
        raise LlmError(f"{self._url} failed {self._attempts} times, last with {trouble}; is the endpoint up?")

    def _content(self, response: Any) -> str:
        try:
            content = response.json()["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError):
            raise LlmError(f"{self._url} answered what is no chat completion: {response.text[:300]}") from None
        if not isinstance(content, str):
            raise LlmError(f"{self._url} answered without text (finish or tool call?): {response.text[:300]}")
        return content


def _retry_after_s(headers: Mapping[str, str]) -> float:
    """What the server asks to wait, at most a minute."""
    written = headers.get("retry-after", "")
    return min(float(written), 60.0) if written.replace(".", "", 1).isdigit() else 0.0
