"""The process that owns a model: its main thread transcribes, another one takes messages.

It ends when the front process closes the pipe or dies, and by no signal that can be ignored: those are for the front
process, which lets it finish what is under way.
"""

import faulthandler
import gc
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from typing import Any, NoReturn

import numpy as np

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import ShoptalkError
from shoptalk.core.protocols import Options, PendingWindow, Step, WindowedRecognizer
from shoptalk.core.records import Recognition, Samples
from shoptalk.service.clock import TICK_S, RunningClock
from shoptalk.service.model.attempts import reason_of, tried
from shoptalk.service.model.memory import mapped
from shoptalk.service.model.messages import (
    BatchFigures,
    Batching,
    Began,
    Done,
    Ended,
    Failed,
    FeedStream,
    FurtherWords,
    Opened,
    OpenStream,
    Ready,
    Reason,
    Refused,
    Start,
    StreamFigures,
    Transcribe,
    Withdraw,
)
from shoptalk.service.model.open_streams import OpenStreams
from shoptalk.service.model.scheduler import Claim, Limits, Scheduler, Taken

WARM_UP = ((1, 1.0), (1, 8.0), (4, 8.0), (1, 29.0), (16, 8.0), (16, 29.0))
"""Windows and their seconds, in this order: each shape has kernels of its own, and the speed is learned."""
WARM_UP_AIMS = 2.0
"""A shape that would take so many times longer than a batch should is left out: no batch will have it."""
WARM_STREAM_S = 4.0
"""What streams are warmed up with."""
SHARE = 1 / 3
"""Streams go before recordings. While both wait all the time, recordings compute for this part of the streams' time."""
ADAPTS = 0.2
"""How far one batch moves the speed that is expected of the next."""
LOST, BROKEN = 1, 3
"""Exit statuses: it could not start; the model answers no more."""

log = logging.getLogger(__name__)


def main(requests_descriptor: int, results_descriptor: int) -> None:
    """Serve over two pipes until the first is closed."""
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, signal.SIG_IGN)
    faulthandler.enable()
    for descriptor in (requests_descriptor, results_descriptor):
        os.set_inheritable(descriptor, False)
    requests = Connection(requests_descriptor)
    results = Connection(results_descriptor, readable=False)
    started = time.monotonic()
    start: Start = requests.recv()
    try:
        model = start.opening()
    except ShoptalkError as error:
        results.send(Refused(type(error).__name__, str(error)))
        sys.exit(LOST)
    opened = time.monotonic()
    clock = RunningClock()
    threading.Thread(target=_keep_ticking, args=(clock,), daemon=True).start()
    worker = Worker(model, start.batching, results, clock)
    worker.warm_up()
    gc.collect()
    gc.freeze()  # what was loaded stays: later collections need not look at it
    results.send(Ready({"opening": opened - started, "warm-up": time.monotonic() - opened}))
    inbox: queue.SimpleQueue[_Message] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests, inbox), daemon=True).start()
    worker.run(inbox)


_Message = tuple[Transcribe, Samples | None] | Withdraw | OpenStream | FeedStream
"""A recording without samples is one for which there is no memory."""


def _keep_ticking(clock: RunningClock) -> NoReturn:
    while True:
        time.sleep(TICK_S)
        clock.tick()


def _receive(requests: Connection, inbox: "queue.SimpleQueue[_Message]") -> NoReturn:
    """Put all messages into the inbox; end the process with the pipe."""
    try:
        while True:
            message = requests.recv()
            if isinstance(message, Transcribe):
                inbox.put((message, _mapped(recv_handle(requests), message.size)))
            else:
                inbox.put(message)
    except (EOFError, OSError):
        os._exit(0)  # the main thread may be deep in a batch that nobody waits for
    except Exception as error:  # noqa: BLE001 - a process that takes nothing more would only seem to hang
        log.critical("no further messages can be taken: %s", type(error).__name__)
        os._exit(BROKEN)


def _mapped(descriptor: int, size: int) -> Samples | None:
    """The samples; None where the system has no memory to show them in, which is no reason for the process to end."""
    try:
        return mapped(descriptor, size)
    except (OSError, MemoryError) as error:
        log.error("a recording of %d samples could not be mapped: %s", size, type(error).__name__)
        return None


@dataclass
class _Own:
    """A recording under way."""

    wanted: Transcribe
    samples_T: Samples
    deadline_s: float
    recording: Any = None
    windows: dict[int, PendingWindow] = field(default_factory=dict)
    """Those that wait for their turn, by number."""
    asked: int = 0
    told: int = 0
    """So many of its words were sent."""
    come: int = 0
    """So many came since it was begun, or begun again."""


class Worker:
    """Owns the model, and all recordings and streams under way."""

    def __init__(
        self,
        model: Opened,
        batching: Batching,
        results: Connection,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` gives the seconds that count for deadlines."""
        self._recognizer: WindowedRecognizer[Any] = model.windows
        self._batching = batching
        self._results = results
        self._clock = clock
        self._scheduler = Scheduler()
        self._streams = OpenStreams(model.streams, results.send, most_together=batching.windows)
        self._owed_s = 0.0
        """Computing that streams took while recordings waited, times `SHARE` of these."""
        self._under_way: dict[int, _Own] = {}
        self._speed = 0.0
        """Padded audio seconds in a second."""

    def warm_up(self) -> None:
        """Transcribe noise in the shapes of batches; the model's errors are raised."""
        rng = np.random.default_rng(0)
        for windows, audio_s in WARM_UP:
            count = min(windows, self._batching.windows)
            if self._speed and count * audio_s > WARM_UP_AIMS * self._batching.aim_s * self._speed:
                continue
            samples_T = rng.normal(0, 0.05, round(audio_s * SAMPLE_RATE_HZ)).astype(np.float32)
            started = time.monotonic()
            self._recognizer.recognize([samples_T] * count)
            self._speed = count * audio_s / (time.monotonic() - started)
        self._recognizer.recognize([samples_T[:SAMPLE_RATE_HZ]], [Options(alternatives=1)])
        self._streams.warm_up(samples_T[: round(WARM_STREAM_S * SAMPLE_RATE_HZ)])

    def run(self, inbox: "queue.SimpleQueue[_Message]") -> NoReturn:
        """Take messages; feed streams and transcribe batches by turns."""
        while True:
            self._receive(inbox)
            for recording in self._scheduler.expire(self._clock()):
                self._fail(recording, "expired")
            if self._streams.waiting and not self._is_recordings_turn:
                self._feed_streams()
            else:
                self._transcribe_next()

    @property
    def _is_recordings_turn(self) -> bool:
        """Whether recordings get the model though streams wait; background never does."""
        return self._scheduler.has_foreground and self._owed_s > self._batching.aim_s

    def _feed_streams(self) -> None:
        """Feed those that wait longest, all together."""
        turn = self._streams.next()
        with self._telling([feed.id for feed in turn], self._streams.audio_s(turn)) as tell:
            figures = self._streams.feed(turn)
            tell(figures)
        self._owed_s = self._owed_s + SHARE * figures.seconds if self._scheduler.has_foreground else 0.0

    def _transcribe_next(self) -> None:
        """Transcribe the batch whose turn it is, if any window waits."""
        budget_s = self._speed * self._batching.aim_s
        batch = self._scheduler.take(self._clock(), Limits(self._batching.windows, budget_s))
        if not batch:
            return
        started = time.monotonic()
        self._transcribe(batch)
        self._owed_s = max(0.0, self._owed_s - (time.monotonic() - started))

    def _receive(self, inbox: "queue.SimpleQueue[_Message]") -> None:
        """Take all messages that are there; wait for one where nothing else waits, and then `wait_s` for windows."""
        if self._scheduler.waiting == 0 and not self._streams.waiting:
            deadline_s = self._scheduler.next_deadline_s
            try:
                self._take_message(inbox.get(timeout=None if deadline_s is None else self._left_s(deadline_s)))
            except queue.Empty:
                return
            until_s = self._clock() + self._batching.wait_s
            while self._scheduler.waiting < self._batching.windows and not self._streams.waiting:
                try:
                    self._take_message(inbox.get(timeout=self._left_s(until_s)))
                except queue.Empty:
                    break
        while not inbox.empty():
            self._take_message(inbox.get())

    def _left_s(self, until_s: float) -> float:
        return max(0.0, until_s - self._clock())

    def _take_message(self, message: _Message) -> None:
        if isinstance(message, Withdraw):
            self._forget(message.id)
            return
        if isinstance(message, OpenStream):
            with self._telling([message.id], 0.0):
                self._streams.open(message)
            return
        if isinstance(message, FeedStream):
            self._streams.take(message)
            return
        wanted, samples_T = message
        if samples_T is None:
            self._results.send(Failed(wanted.id, "memory"))
            return
        if wanted.within_s <= 0:
            self._results.send(Failed(wanted.id, "expired"))
            return
        own = _Own(wanted, samples_T, self._clock() + wanted.within_s)
        with self._telling([wanted.id], samples_T.size / SAMPLE_RATE_HZ):
            self._begin(own, alone=wanted.alone)

    def _begin(self, own: _Own, *, alone: bool) -> None:
        wanted = own.wanted
        begun = tried(self._recognizer.begin, own.samples_T, wanted.options)
        if isinstance(begun, Exception):
            self._results.send(Failed(wanted.id, reason_of(begun)))
            return
        own.recording, windows = begun
        came_s = own.deadline_s - wanted.within_s
        self._scheduler.add(wanted.id, Claim(wanted.caller, came_s, own.deadline_s, wanted.background, alone))
        self._under_way[wanted.id] = own
        if windows:
            self._ask(wanted.id, windows)
        else:
            self._go_on({wanted.id: {}})

    def _begin_again(self, own: _Own) -> None:
        """Forget what is known of a recording, and let it share no batch."""
        self._forget(own.wanted.id)
        self._begin(_Own(own.wanted, own.samples_T, own.deadline_s, told=own.told), alone=True)

    def _ask(self, id_: int, windows: Sequence[PendingWindow]) -> None:
        """Let further windows of a recording wait for their turn."""
        own = self._under_way[id_]
        numbered = dict(enumerate(windows, start=own.asked))
        own.asked += len(windows)
        own.windows |= numbered
        lengths_s = [(number, window.samples_T.size / SAMPLE_RATE_HZ) for number, window in numbered.items()]
        self._scheduler.more(id_, lengths_s, self._clock())

    def _transcribe(self, batch: Sequence[Taken]) -> None:
        """Transcribe a batch, and go on with its recordings."""
        started = time.monotonic()
        figures = None
        audio_s = sum(taken.audio_s for taken in batch)
        with self._telling(sorted({taken.recording for taken in batch}), audio_s) as tell:
            windows = [self._under_way[taken.recording].windows.pop(taken.number) for taken in batch]
            recognitions = self._recognized(windows)
            seconds = time.monotonic() - started
            news: dict[int, dict[int, Recognition]] = {}
            failed: dict[int, Reason] = {}
            for taken, result in zip(batch, recognitions, strict=True):
                if isinstance(result, Recognition):
                    news.setdefault(taken.recording, {})[taken.number] = result
                else:
                    failed[taken.recording] = result
            for id_, reason in failed.items():
                news.pop(id_, None)
                self._fail(id_, reason)
            self._go_on(news)
            padded_s = len(batch) * max(taken.audio_s for taken in batch)
            self._learn(padded_s, seconds)
            waited_s = [taken.waited_s for taken in batch]
            figures = BatchFigures(
                len(batch), audio_s, padded_s, time.monotonic() - started, waited_s, self._scheduler.waiting
            )
            tell(figures)

    def _recognized(self, windows: Sequence[PendingWindow]) -> list[Recognition | Reason]:
        """The recognition of each window; if a batch fails, its windows are tried one by one.

        If one fails alone, a second of silence tells whether the model or the recording is broken.
        """
        recognitions = tried(self._recognizer.recognize_windows, windows)
        if not isinstance(recognitions, Exception):
            return list(recognitions)
        log.error("a batch of %d windows failed: %s", len(windows), type(recognitions).__name__)
        self._require_answers()
        if len(windows) == 1:
            return [reason_of(recognitions)]
        results: list[Recognition | Reason] = []
        for window in windows:
            results += self._recognized([window])
        return results

    def _require_answers(self) -> None:
        """End the process where the model answers no more: the front process starts another one."""
        silence = PendingWindow(np.zeros(SAMPLE_RATE_HZ, np.float32))
        answer = tried(self._recognizer.recognize_windows, [silence])
        if isinstance(answer, Exception):
            log.critical("the model does not answer: %s", type(answer).__name__)
            os._exit(BROKEN)

    def _go_on(self, news: Mapping[int, Mapping[int, Recognition]]) -> None:
        """Hand recognitions to their recordings, and on what comes of it.

        If recordings cannot go on together, nobody knows which of them is to blame, and how far they went. So each is
        begun again, alone.
        """
        ids = [id_ for id_ in news if id_ in self._under_way]
        steps = tried(self._recognizer.go_on, [(self._under_way[id_].recording, news[id_]) for id_ in ids])
        if isinstance(steps, Exception):
            log.error("%d recordings could not go on: %s", len(ids), type(steps).__name__)
            if len(ids) == 1:
                self._fail(ids[0], reason_of(steps))
            else:
                for id_ in ids:
                    self._begin_again(self._under_way[id_])
            return
        for id_, step in zip(ids, steps, strict=True):
            self._hand_on(id_, step)

    def _hand_on(self, id_: int, step: Step) -> None:
        """Tell the front process of a step, and let further windows wait."""
        own = self._under_way[id_]
        words = step.words[max(0, own.told - own.come) :]
        own.come += len(step.words)
        own.told = max(own.told, own.come)
        if words and own.wanted.wants_words:
            self._results.send(FurtherWords(id_, words))
        if step.recognition is not None:
            self._forget(id_)
            self._results.send(Done(id_, step.recognition))
        elif step.windows:
            self._ask(id_, step.windows)

    def _learn(self, padded_s: float, seconds: float) -> None:
        """Adapt the speed, which the next batch's length follows."""
        self._speed += ADAPTS * (padded_s / max(seconds, 1e-6) - self._speed)

    def _fail(self, id_: int, reason: Reason) -> None:
        self._forget(id_)
        self._results.send(Failed(id_, reason))

    def _forget(self, id_: int) -> None:
        self._scheduler.remove(id_)
        self._under_way.pop(id_, None)
        self._streams.forget(id_)

    @contextmanager
    def _telling(self, ids: Sequence[int], audio_s: float) -> Iterator[Callable[[BatchFigures | StreamFigures], None]]:
        """Tell the front process what begins, and when it is over."""
        figures: list[BatchFigures | StreamFigures] = []
        self._results.send(Began(ids, audio_s))
        yield figures.append
        self._results.send(Ended(figures[0] if figures else None))
