"""A language model behind any OpenAI-compatible endpoint: chat completions over HTTP, with retries and backoff."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shoptalk.core.errors import LlmError
from shoptalk.integrations.openai_http import Endpoint


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
        self.name = name
        self._temperature = temperature
        self._endpoint = Endpoint(
            base_url, "/chat/completions", api_key=api_key, timeout_s=timeout_s, attempts=attempts, sleep=sleep,
            section="transcripts.llm", error=LlmError,
        )  # fmt: skip

    def complete(self, messages: Sequence[Mapping[str, str]], *, seed: int, max_tokens: int) -> str:
        """The answer to the messages; `LlmError` if the endpoint refuses or fails again and again."""
        body = {
            "model": self.name,
            "messages": [dict(message) for message in messages],
            "seed": seed % 2**31,
            "max_tokens": max_tokens,
            "temperature": self._temperature,
        }
        return self._content(self._endpoint.post(json=body))

    def _content(self, response: Any) -> str:
        url = self._endpoint.url
        try:
            content = response.json()["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError):
            raise LlmError(f"{url} answered what is no chat completion: {response.text[:300]}") from None
        if not isinstance(content, str):
            raise LlmError(f"{url} answered without text (finish or tool call?): {response.text[:300]}")
        return content
