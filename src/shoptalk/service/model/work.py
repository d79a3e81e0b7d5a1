"""What the service asks of a model: a recording or a stream, what is wanted of it, and whoever transcribes it.

Shapes: T samples of a recording, S samples of a feed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from shoptalk.core.protocols import PLAIN, Options, Partial
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


class LiveStream(Protocol):
    """A recording while it is made; every method is called on the event loop, by one task at a time."""

    async def feed(self, samples_S: Samples, *, last: bool = False) -> Partial:
        """Go on with any number of samples, mono at `audio.SAMPLE_RATE_HZ`; returns when the model has taken them.

        The words do not depend on how the samples were cut. After `last` all that remains is in `final`, and the
        stream is over. `Problem` if it cannot go on: then it is over too. Cancelling the task ends the stream.
        """

    def close(self) -> None:
        """Nobody waits for it any more: its place is free at once. It is harmless after the end."""


class Transcriber(Protocol):
    """Transcribes recordings and streams, many at a time; every method is called on the event loop."""

    name: str
    """The model's, as clients ask for it."""

    async def transcribe(self, work: Work) -> Recognition:
        """The recognition of one recording; `Problem` if there is none. Cancelling the task withdraws the work."""

    async def open_stream(self, options: Options = PLAIN, *, caller: str = "") -> LiveStream:
        """A stream that has no samples yet, which is to be closed in the end.

        `Problem` 400 for options that streams cannot give, 429 where there are too many streams, 503 while the model is
        not ready.
        """
