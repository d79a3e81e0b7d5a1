"""A language model behind any OpenAI-compatible endpoint: chat completions over HTTP, with retries and backoff."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shoptalk.core.errors import LlmAnswerError, LlmError
from shoptalk.integrations.openai_http import open_endpoint


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
    ) -> None:
        """`base_url` as in ``http://127.0.0.1:8000/v1``."""
        self.name = name
        self._temperature = temperature
        self._endpoint = open_endpoint(
            base_url,
            api_key=api_key,
            timeout_s=timeout_s,
            attempts=attempts,
            section="transcripts.llm",
            error=LlmError,
        )

    def complete(self, messages: Sequence[Mapping[str, str]], *, seed: int, max_tokens: int) -> str:
        """The answer to the messages, whole; `LlmError` if the endpoint refuses or fails again and again.

        `LlmAnswerError`: it answers without text, with half of one (`max_tokens` are spent), or in another form.
        """
        completions = self._endpoint.client.chat.completions
        conversation: list[Any] = [dict(message) for message in messages]
        with self._endpoint.named_errors():
            response = completions.with_raw_response.create(
                model=self.name,
                messages=conversation,
                seed=seed % 2**31,
                max_tokens=max_tokens,
                temperature=self._temperature,
                extra_headers=self._endpoint.headers,
            )
        return self._content(response.http_response.text)

    def _content(self, answer: str) -> str:
        url = self._endpoint.base_url
        try:
            choice = json.loads(answer)["choices"][0]
            content, finish = choice["message"]["content"], choice.get("finish_reason")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
            raise LlmAnswerError(
                f"{url} answered what is no chat completion: {answer[:300]}", kind="no chat completion"
            ) from None
        if not isinstance(content, str):
            raise LlmAnswerError(f"{url} answered without text (tool call?): {answer[:300]}", kind="no text")
        if finish == "length":
            raise LlmAnswerError(f"{url} answered what is cut off: {answer[:300]}", kind="cut off")
        return content
