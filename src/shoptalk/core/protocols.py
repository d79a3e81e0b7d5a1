"""What Shoptalk asks of third parties, in one to three methods each; integrations provide it, and fakes in tests."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from shoptalk.core.records import Heard, Samples, Word


class Llm(Protocol):
    """A language model that answers chat messages."""

    name: str
    """Written as the source of what it wrote, e.g. ``qwen2.5-coder-0.5b-instruct``."""

    def complete(self, messages: Sequence[Mapping[str, str]], *, seed: int, max_tokens: int) -> str:
        """The assistant's answer to ``[{"role": ..., "content": ...}, ...]``; the same seed gives the same answer."""


class Tts(Protocol):
    """A speech synthesiser."""

    def speak(self, spoken: str, *, voice: str, speed: float, pronunciations: Mapping[str, str]) -> Samples:
        """Samples at `audio.SAMPLE_RATE_HZ`.

        `voice` is a name or a blend ``a*0.4+b*0.6``; `pronunciations` maps words of `spoken` to IPA.
        """

    def speak_timed(
        self, spoken: str, *, voice: str, speed: float, pronunciations: Mapping[str, str]
    ) -> tuple[Samples, tuple[Word, ...]]:
        """The samples of `speak`, and where in them each word of `spoken` (as it stands between spaces) is said."""


class Recognizer(Protocol):
    """A speech recogniser; not required to be thread-safe: it has one owner."""

    def recognize(self, audio: Sequence[Samples]) -> list[Heard]:
        """One `Heard` for each audio, in order."""


class Vad(Protocol):
    """A detector of speech; not required to be thread-safe."""

    def speech(self, samples_T: Samples) -> list[tuple[float, float]]:
        """Where speech is, as (start, end) in seconds from the start of the samples: in order, none overlapping."""
