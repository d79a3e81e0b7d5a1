"""A language model behind any OpenAI-compatible endpoint: chat completions over HTTP, each answer paid for once."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shoptalk.core.errors import LlmAnswerError, LlmBudgetError, LlmError
from shoptalk.core.pace import Pace
from shoptalk.integrations.kept_answers import Answer, KeptAnswers, key_of
from shoptalk.integrations.openai_http import open_endpoint

if TYPE_CHECKING:
    from openai import APIStatusError

CHARACTERS_PER_TOKEN = 3.0
"""English has about four; so a request is rather counted too large before its answer tells what it took."""
_REASONING = re.compile(r"<(think|thinking|thought|reasoning|reflection)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_REASONING_END = re.compile(r"\A.*</(?:think|thinking|thought|reasoning|reflection)>", re.DOTALL | re.IGNORECASE)
_REASONING_LEFT = re.compile(r"<(?:think|thinking|thought|reasoning|reflection)>|<\|channel\|>", re.IGNORECASE)
_FINAL_CHANNEL = re.compile(r"\A.*<\|channel\|>\s*final\s*<\|message\|>", re.DOTALL)
_END_OF_CHANNEL = re.compile(r"<\|(?:end|return)\|>\s*\Z")


class OpenAiLlm:
    """An `Llm` that may be asked by several threads at once."""

    def __init__(  # noqa: PLR0913 - what a recipe says of an endpoint
        self,
        base_url: str,
        *,
        name: str,
        api_key: str = "",
        temperature: float = 0.8,
        reasoning_tokens: int = 0,
        timeout_s: float = 60.0,
        attempts: int = 5,
        pace: Pace | None = None,
        answers: KeptAnswers | None = None,
        token_budget: int = 0,
    ) -> None:
        """`base_url` as in ``http://127.0.0.1:8000/v1``; an answer that `answers` has is not asked for again.

        `reasoning_tokens` are allowed beyond `max_tokens`; `token_budget` holds for all of `answers`, 0 is none.
        """
        self.name = name
        self._parameters: dict[str, Any] = {"temperature": temperature}
        self._reasoning_tokens = reasoning_tokens
        self._limit = "max_tokens"
        self._left_out: frozenset[str] = frozenset()
        self._answers = answers or KeptAnswers()
        self._budget = token_budget
        self._endpoint = open_endpoint(
            base_url,
            api_key=api_key,
            timeout_s=timeout_s,
            attempts=attempts,
            section="transcripts.llm",
            error=LlmError,
            pace=pace,
        )

    def complete(self, messages: Sequence[Mapping[str, str]], *, seed: int, max_tokens: int) -> str:
        """The answer to the messages, whole; `LlmError` if the endpoint refuses or fails again and again.

        What a model writes about its reasoning is taken off. `LlmAnswerError`: it answers without text, with half of
        one (`max_tokens` are spent), or in another form. `LlmBudgetError`: the budget leaves no tokens for it.
        """
        most = max_tokens + self._reasoning_tokens
        parameters = {**self._parameters, "max_tokens": most}
        key = key_of(self.name, messages, seed=seed, parameters=parameters)
        answer = self._answers.get(key)
        if answer is None:
            answer = self._paid(messages, seed, most)
            self._answers.add(key, answer)
        return self._content(answer)

    def _paid(self, messages: Sequence[Mapping[str, str]], seed: int, most: int) -> Answer:
        """An answer that is asked for now."""
        asked = _tokens_of("".join(message["content"] for message in messages))
        if not self._answers.reserve(asked + most, budget=self._budget):
            raise LlmBudgetError(
                f"{self.name}: {self._answers.spent:,} tokens are spent on {self._answers.asked:,} answers, and the "
                f"next may take {asked + most:,}; `transcripts.llm.token_budget` is {self._budget:,}. Raise it and "
                "give the same command again: what was answered is kept"
            )
        try:
            with self._endpoint.named_errors():
                return self._endpoint.ask(lambda: self._send(messages, seed, most, asked))
        finally:
            self._answers.release(asked + most)

    def _send(self, messages: Sequence[Mapping[str, str]], seed: int, most: int, asked: int) -> Answer:
        """One request; a parameter that the server does not know is left out from then on."""
        import openai

        while True:
            started = self._endpoint.pace.wait(asked + most)
            parameters = {**self._parameters, "seed": seed % 2**31, self._limit: most}
            parameters = {name: value for name, value in parameters.items() if name not in self._left_out}
            try:
                response = self._endpoint.client.chat.completions.with_raw_response.create(
                    model=self.name,
                    messages=[dict(message) for message in messages],  # type: ignore[misc]
                    extra_headers=self._endpoint.headers,
                    **parameters,
                )
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if not self._adapt(error, parameters):
                    raise
                continue
            answer = self._read(response.http_response.text, asked)
            self._endpoint.pace.correct(started, answer.tokens)
            return answer

    def _adapt(self, error: "APIStatusError", parameters: Mapping[str, Any]) -> bool:
        """Whether the server's words name a parameter that can be sent otherwise, or not at all."""
        words = error.response.text
        if "max_completion_tokens" in words and "max_tokens" in parameters:
            self._limit = "max_completion_tokens"
            return True
        for name in ("temperature", "seed"):
            if name in words and name in parameters:
                self._left_out |= {name}
                return True
        return False

    def _read(self, body: str, asked: int) -> Answer:
        """The answer in a response's body; `LlmAnswerError` where there is none, and so nothing that was paid for."""
        try:
            completion = json.loads(body)
            choice = completion["choices"][0]
            content, finish = choice["message"]["content"], str(choice.get("finish_reason") or "")
            usage = completion.get("usage") or {}
            prompt_tokens = int(usage.get("prompt_tokens") or asked)
            answer_tokens = int(usage.get("completion_tokens") or _tokens_of(str(content or "")))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, OverflowError):
            raise LlmAnswerError(
                f"{self._endpoint.base_url} answered what is no chat completion: {body[:300]}",
                kind="no chat completion",
            ) from None
        text = content if isinstance(content, str) else None
        return Answer(text, finish, prompt_tokens, answer_tokens)

    def _content(self, answer: Answer) -> str:
        url = self._endpoint.base_url
        if answer.content is None:
            raise LlmAnswerError(f"{url} answered without text (a tool call, or all tokens reasoned)", kind="no text")
        content = without_reasoning(answer.content)
        is_reasoning = _REASONING_LEFT.search(content) is not None
        if answer.finish == "length":
            text = "" if is_reasoning else content
            raise LlmAnswerError(f"{url} answered what is cut off: {content[:300]}", kind="cut off", text=text)
        if answer.finish == "content_filter":
            raise LlmAnswerError(f"{url} answered what its filter cut: {answer.content[:300]}", kind="filtered")
        if is_reasoning:
            raise LlmAnswerError(f"{url} answered reasoning without an end: {content[:300]}", kind="reasoning")
        return content


def without_reasoning(content: str) -> str:
    """An answer without the block, or the channel, in which a model wrote how it came to it.

    >>> without_reasoning("<think>Two sentences.</think> He was well.")
    'He was well.'
    """
    for block in (_FINAL_CHANNEL, _END_OF_CHANNEL, _REASONING, _REASONING_END):
        content = block.sub("", content)
    return content.strip()


def _tokens_of(text: str) -> int:
    return round(len(text) / CHARACTERS_PER_TOKEN) + 1
