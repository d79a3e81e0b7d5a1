"""The streams of a worker process: which are open, what they were fed and wait for, and whose turn it is.

Feeds that wait are taken together, those first that wait longest, one of each stream. If feeding several streams fails,
nobody knows which is to blame, nor how far the others went. So the front process opens all of them again, from their
saved states, and feeds each alone.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import Feed, Partial, StreamingRecognizer
from shoptalk.core.records import Samples
from shoptalk.service.model.attempts import reason_of, tried
from shoptalk.service.model.messages import (
    Failed,
    FeedStream,
    OpenStream,
    StreamFigures,
    StreamLost,
    StreamOpened,
    StreamWords,
)

SAVE_EVERY_S = 5.0
"""So much audio comes until a stream is saved again: what the next process would have to compute anew."""

log = logging.getLogger(__name__)


class Waiting(NamedTuple):
    """A feed, and since when it waits."""

    message: FeedStream
    since_s: float

    @property
    def id(self) -> int:
        """Of the stream."""
        return self.message.id


@dataclass
class _Own:
    """A stream under way."""

    stream: Any
    unsaved: int = 0
    """Samples that came since it was saved."""


class OpenStreams:
    """All streams of the process; one thread calls it."""

    def __init__(
        self,
        recognizer: StreamingRecognizer[Any],
        send: Callable[[object], None],
        *,
        most_together: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`send` passes messages to the front process. At most `most_together` streams are fed in one call."""
        self._recognizer = recognizer
        self._send = send
        self._most_together = most_together
        self._clock = clock
        self._open: dict[int, _Own] = {}
        self._waiting: list[Waiting] = []
        """In the order in which they came."""

    @property
    def waiting(self) -> int:
        """So many feeds wait."""
        return len(self._waiting)

    def warm_up(self, samples_S: Samples) -> None:
        """Compute with the shapes of streams; the model's errors are raised."""
        for count in sorted({1, min(4, self._most_together)}):
            streams = [self._recognizer.open() for _ in range(count)]
            self._recognizer.feed([Feed(stream, samples_S) for stream in streams])
            self._recognizer.feed([Feed(stream, samples_S, last=True) for stream in streams])

    def open(self, message: OpenStream) -> None:
        """Open a stream, or go on with one that was saved; the answer is sent."""
        if message.saved is None:
            stream = tried(self._recognizer.open, message.options)
        else:
            stream = tried(self._recognizer.restore, message.saved)
        if isinstance(stream, Exception):
            log.error("a stream could not be opened: %s", type(stream).__name__)
            self._send(Failed(message.id, reason_of(stream)))
            return
        self._open[message.id] = _Own(stream)
        self._send(StreamOpened(message.id, self._recognizer.wanted(stream)))

    def take(self, message: FeedStream) -> None:
        """Let a feed wait for its turn; one of a stream that is gone is dropped."""
        if message.id in self._open:
            self._waiting.append(Waiting(message, self._clock()))

    def forget(self, id_: int) -> None:
        """Nobody waits for a stream any more; others' numbers are harmless."""
        if self._open.pop(id_, None) is not None:
            self._waiting = [feed for feed in self._waiting if feed.id != id_]

    def next(self) -> list[Waiting]:
        """The feeds whose turn it is: they no longer wait."""
        turn: list[Waiting] = []
        later: list[Waiting] = []
        ids: set[int] = set()
        for feed in self._waiting:
            has_room = len(turn) < self._most_together and not (turn and turn[0].message.alone)
            is_fit = not turn or not feed.message.alone
            if has_room and is_fit and feed.id not in ids:
                turn.append(feed)
            else:
                later.append(feed)
            ids.add(feed.id)  # also where it waits on: the feeds of a stream keep their order
        self._waiting = later
        return turn

    @staticmethod
    def audio_s(turn: Sequence[Waiting]) -> float:
        """All that they bring."""
        return sum(feed.message.samples_S.size for feed in turn) / SAMPLE_RATE_HZ

    def feed(self, turn: Sequence[Waiting]) -> StreamFigures:
        """Feed streams together, and send the answer of each."""
        started_s = self._clock()
        feeds = [
            Feed(self._open[waiting.id].stream, waiting.message.samples_S, waiting.message.last) for waiting in turn
        ]
        partials = tried(self._recognizer.feed, feeds)
        if isinstance(partials, Exception):
            self._lose(turn, partials)
        else:
            for (message, _), partial in zip(turn, partials, strict=True):
                self._answer(message, partial)
        ended_s = self._clock()
        delays_s = [ended_s - waiting.since_s for waiting in turn]
        return StreamFigures(len(turn), self.audio_s(turn), ended_s - started_s, delays_s)

    def _answer(self, message: FeedStream, partial: Partial) -> None:
        own = self._open[message.id]
        if message.last:
            self.forget(message.id)
            self._send(StreamWords(message.id, partial, wanted=1))
            return
        own.unsaved += message.samples_S.size
        saved = None
        if own.unsaved >= SAVE_EVERY_S * SAMPLE_RATE_HZ:
            saved = self._recognizer.save(own.stream)
            own.unsaved = 0
        self._send(StreamWords(message.id, partial, self._recognizer.wanted(own.stream), saved))

    def _lose(self, turn: Sequence[Waiting], error: Exception) -> None:
        log.error("%d streams could not go on: %s", len(turn), type(error).__name__)
        for waiting in turn:
            self.forget(waiting.id)
            is_to_blame = len(turn) == 1
            self._send(Failed(waiting.id, reason_of(error)) if is_to_blame else StreamLost(waiting.id))
