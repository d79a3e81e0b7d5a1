"""What the service asks of a model: a recording and what is wanted of it, and whoever transcribes it.

Shapes: T samples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from shoptalk.core.protocols import PLAIN, Options
from shoptalk.core.records import Recognition, Samples, Word


@dataclass(frozen=True)
class Work:
    """One recording to transcribe."""

    samples_T: Samples
    """Mono, at `audio.SAMPLE_RATE_HZ`."""
    options: Options = PLAIN
    caller: str = ""
    """Id of the API key; callers share the model fairly."""
    within_s: float = 120.0
    """The time allowed, counted from now; work that is older is dropped."""
    background: bool = False
    """Shadow traffic and jobs: it only runs when nothing else waits."""
    on_words: Callable[[Sequence[Word]], None] | None = None
    """Called on the event loop with further words, which never change, while a long recording is under way.

    All of these words, joined by spaces, are the text of the final `Recognition`.
    """
    on_begun: Callable[[], None] | None = None
    """Called once on the event loop when the model begins with it: its wait is over."""


class Transcriber(Protocol):
    """Transcribes recordings, many at a time; every method is called on the event loop."""

    name: str
    """The model's, as clients ask for it."""

    async def transcribe(self, work: Work) -> Recognition:
        """The recognition of one recording; `Problem` if there is none. Cancelling the task withdraws the work."""
