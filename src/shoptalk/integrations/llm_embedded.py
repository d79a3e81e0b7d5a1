"""The embedded language model: llama.cpp in this process through `xllamacpp`, on the CPU, without a network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shoptalk.core.errors import LlmAnswerError, LlmError, MissingToolError, ModelError

CONTEXT_TOKENS = 2_048


class EmbeddedLlm:
    """An `Llm` from a GGUF file; one answer at a time."""

    def __init__(self, path: Path, *, name: str, temperature: float = 0.8, threads: int = 1) -> None:
        if not path.is_file():
            raise ModelError(f"{path}: no such GGUF file; fetch it with `shoptalk models fetch {name}`")
        self.name = name
        self._temperature = temperature
        self._server = _server(path, threads)

    def complete(self, messages: Sequence[Mapping[str, str]], *, seed: int, max_tokens: int) -> str:
        """The answer to the messages; depends on them and the seed only, never on what was asked before."""
        request = {
            "messages": [dict(message) for message in messages],
            "seed": seed % 2**32,
            "max_tokens": max_tokens,
            "temperature": self._temperature,
            "top_p": 0.95,
            "top_k": 40,
            # A reused prompt is evaluated in other batches, whose rounding differs: the text would depend on history.
            "cache_prompt": False,
        }
        try:
            answer: dict[str, Any] = self._server.handle_chat_completions(request)
        except RuntimeError as error:
            raise LlmError(f"{self.name}: {error}; is the GGUF file whole (`shoptalk models verify`)?") from None
        if "choices" not in answer:
            raise LlmAnswerError(f"{self.name}: no answer: {answer.get('error', answer)}", kind="no text")
        return str(answer["choices"][0]["message"]["content"] or "")


def _server(path: Path, threads: int) -> Any:
    try:
        import xllamacpp
    except ImportError:
        raise MissingToolError("xllamacpp is not installed; run `pip install 'shoptalk[corpus]'`") from None
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.verbosity = 0
    params.warmup = False
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise ModelError(f"{path}: llama.cpp cannot load it ({error}); see `shoptalk models verify`") from None
