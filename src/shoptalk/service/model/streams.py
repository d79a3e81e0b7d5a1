"""The live streams of a worker process, as the front process holds them: what they are fed, and what outlives a death.

**Feeding.** A stream tells how many samples it needs until it can say anything further. Until then they gather here, so
a client may send pieces of any size. Then they go to the process in one message, and the feed waits for its answer.
There is one such message at a time for each stream, of at most `PIECE_S`.

**A process that dies.** Every few seconds the process sends a stream's state along. Here it is kept with the samples
that came since. The next process goes on from there: it gets the state and these samples. Words that were told are
counted and left out, so none is told twice. What is kept does not grow with the stream.

**Suspects.** If a process dies while it feeds streams, each of them is fed alone in the next one. A stream with whose
samples a second process dies is refused.

Shapes: S samples of a feed.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import Options, Partial
from shoptalk.core.records import Samples, Word
from shoptalk.service.clock import timeout
from shoptalk.service.model.messages import (
    Failed,
    FeedStream,
    OpenStream,
    Reason,
    StreamLost,
    StreamOpened,
    StreamWords,
    Withdraw,
)
from shoptalk.service.problems import TIMEOUT, Problem

PIECE_S = 4.0
"""Most audio of one message."""
MOST_DEATHS = 2
"""A stream with whose samples so many processes died is refused."""

ToWorker = OpenStream | FeedStream | Withdraw
FromWorker = StreamOpened | StreamWords | StreamLost | Failed


class WorkerStream:
    """A `LiveStream` over a process that may die and be replaced."""

    def __init__(self, id_: int, options: Options, *, within_s: float, streams: "Streams"):
        """Made by `Streams.open`; `within_s` is how long the process may take for a piece."""
        self.id = id_
        self.options = options
        self.alone = False
        self.deaths = 0
        self._within_s = within_s
        self._streams = streams
        self._problem: Problem | None = None
        self._is_over = False
        self._answer: asyncio.Future[Partial] | None = None
        """What the task that opens or feeds the stream waits for."""
        self._gathered: list[Samples] = []
        """Samples that did not go to the process yet."""
        self._wanted = 1
        self._tentative: Sequence[Word] = ()
        # what the next process would need
        self._saved: bytes | None = None
        self._unsaved: list[Samples] = []
        """Parts of the samples that went to the process since the stream was saved."""
        self._has_ended = False
        """Whether the last of them are the end."""
        self._told = 0
        """Words that were told since then."""
        # of the process that has the stream now
        self._come = 0
        """Words that came since the stream was saved."""
        self._answered_parts = 0
        """Of `_unsaved`."""
        self._unanswered: deque[int] = deque()
        """How many further parts each message has that was not answered yet."""
        self._new: list[Word] = []
        """Words for whoever waits for the last of these answers."""

    @property
    def awaits(self) -> bool:
        """Whether the process owes an answer."""
        return self._answer is not None

    async def feed(self, samples_S: Samples, *, last: bool = False) -> Partial:
        """Go on with any number of samples; returns when the model has taken them. Cancelling it ends the stream."""
        self._require_open()
        if self.awaits:
            raise RuntimeError("a stream is fed by one task at a time")
        self._gathered.append(np.array(samples_S, np.float32))  # a copy: the caller may reuse its buffer
        final: list[Word] = []
        gathered = sum(part_S.size for part_S in self._gathered)
        while last or gathered >= self._wanted:
            joined_S = np.concatenate(self._gathered)
            piece_S, rest_S = np.split(joined_S, [round(PIECE_S * SAMPLE_RATE_HZ)])
            self._gathered, gathered = [rest_S], rest_S.size
            is_end = last and not rest_S.size
            partial = await self._fed(piece_S, last=is_end)
            final += partial.final
            self._tentative = partial.tentative
            if is_end:
                self.close()
                break
        return Partial(tuple(final), tuple(self._tentative))

    def close(self) -> None:
        """Free its place; harmless after the end."""
        if not self._is_over:
            self._is_over = True
            self._streams.closed(self)
        self._gathered = self._unsaved = []
        self._saved = None

    def fail(self, problem: Problem) -> None:
        """End it; whoever feeds it now or next gets the problem."""
        self._problem = problem
        self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(problem)

    async def opened(self) -> None:
        """Returns once a process has opened it."""
        await self._answered(self._streams.open_again)

    def messages(self) -> list[ToWorker]:
        """What a process that does not know it needs to get it to where it is."""
        self._come = self._answered_parts = 0
        self._unanswered.clear()
        messages: list[ToWorker] = [OpenStream(self.id, self.options, self._saved)]
        if self._unsaved:
            samples_S = np.concatenate(self._unsaved)
            messages.append(FeedStream(self.id, samples_S, self._has_ended, alone=self.alone))
            self._unanswered.append(len(self._unsaved))
        return messages

    def take(self, message: "StreamOpened | StreamWords") -> None:
        """The process answers."""
        self._wanted = message.wanted
        if isinstance(message, StreamOpened):
            if not self._unsaved:
                self._give(Partial((), ()))
            return
        self.alone, self.deaths = False, 0
        words = message.partial.final
        self._new += words[max(0, self._told - self._come) :]
        self._come += len(words)
        self._told = max(self._told, self._come)
        self._answered_parts += self._unanswered.popleft()
        if message.saved is not None:
            self._saved = message.saved
            del self._unsaved[: self._answered_parts]
            self._told = self._come = self._answered_parts = 0
        if not self._unanswered:
            new, self._new = tuple(self._new), []
            self._give(Partial(new, message.partial.tentative))

    async def _fed(self, samples_S: Samples, *, last: bool) -> Partial:
        self._unsaved.append(samples_S)
        self._unanswered.append(1)
        self._has_ended = last
        message = FeedStream(self.id, samples_S, last, alone=self.alone)
        return await self._answered(lambda _: self._streams.send(message))

    async def _answered(self, ask: Callable[["WorkerStream"], None]) -> Partial:
        """The answer to what `ask` sends."""
        self._answer = asyncio.get_running_loop().create_future()
        ask(self)
        try:
            async with timeout(self._within_s):
                return await self._answer
        except TimeoutError:
            self.close()
            message = f"the model took nothing of this stream within {self._within_s:g} s; try again"
            raise Problem(504, message, code=TIMEOUT) from None
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._answer = None

    def _give(self, partial: Partial) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(partial)

    def _require_open(self) -> None:
        if self._problem:
            raise self._problem
        if self._is_over:
            raise Problem(409, "the stream is over; open another one", code="stream_over")


class Streams:
    """All streams of a worker; every method is called on the event loop."""

    def __init__(self, send: Callable[[ToWorker], None], *, within_s: float, on_end: Callable[[], None]):
        """`send` passes a message to the process, and drops it where no process is ready.

        `on_end` is called when a stream is over.
        """
        self.send = send
        self._on_end = on_end
        self._within_s = within_s
        self._open: dict[int, WorkerStream] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, id_: object) -> bool:
        return id_ in self._open

    @property
    def awaited(self) -> int:
        """How many of them the process owes an answer."""
        return sum(stream.awaits for stream in self._open.values())

    async def open(self, id_: int, options: Options) -> WorkerStream:
        """A new stream; `Problem` if the process cannot open it."""
        stream = WorkerStream(id_, options, within_s=self._within_s, streams=self)
        self._open[id_] = stream
        await stream.opened()
        return stream

    def open_again(self, stream: WorkerStream) -> None:
        """Send all that makes a process know the stream."""
        for message in stream.messages():
            self.send(message)

    def open_all_again(self) -> None:
        """A new process is ready."""
        for stream in list(self._open.values()):
            self.open_again(stream)

    def closed(self, stream: WorkerStream) -> None:
        """Nobody waits for a stream any more."""
        if self._open.pop(stream.id, None) is not None:
            self.send(Withdraw(stream.id))
            self._on_end()

    def take(self, message: FromWorker) -> None:
        """A message of the process."""
        stream = self._open.get(message.id)
        if stream is None:
            return
        match message:
            case StreamOpened() | StreamWords():
                stream.take(message)
            case StreamLost():
                stream.alone = True
                self.open_again(stream)
            case Failed(_, reason):
                stream.fail(_problem(reason))

    def suspect(self, id_: int) -> None:
        """A process died while it was at a stream."""
        stream = self._open[id_]
        stream.alone = True
        stream.deaths += 1
        if stream.deaths >= MOST_DEATHS:
            message = "the model failed twice on this stream; it is not tried again"
            stream.fail(Problem(500, message, code="stream_refused", headers={"x-should-retry": "false"}))

    def fail_all(self, problem: Problem) -> None:
        """End all of them."""
        for stream in list(self._open.values()):
            stream.fail(problem)


def _problem(reason: Reason) -> Problem:
    """What a client is told."""
    if reason == "memory":
        message = "the model's memory does not suffice for this stream; try again later"
        return Problem(503, message, code="out_of_memory", headers={"Retry-After": "30"})
    if reason == "phrases":
        message = "a phrase cannot be boosted: this model cannot write it, or there are too many; leave it out"
        return Problem(400, message, code="invalid_phrase", param="prompt")
    if reason == "options":
        return Problem(400, "this model cannot give what was asked of a stream", code="invalid_value")
    return Problem(500, "this stream could not be recognised", code="recognition_failed")
