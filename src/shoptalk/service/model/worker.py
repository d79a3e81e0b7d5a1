"""A model in a process of its own: `WorkerModel` starts the process, feeds it, and starts another one if it dies.

Of a process that died, the recordings in the batch that it was at are suspects. They are sent once more, each to be
transcribed alone; a recording with which a process dies a second time is refused. All others are sent again as they
were. So one recording cannot take others with it. `streams` says how live streams outlive a process.
"""

import asyncio
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from socket import socketpair
from typing import Any

from shoptalk.core import config, errors
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import ModelError, ShoptalkError
from shoptalk.core.protocols import PLAIN, Options
from shoptalk.core.records import Recognition, Word
from shoptalk.service.clock import now_s, timeout
from shoptalk.service.model.memory import SharedSamples
from shoptalk.service.model.messages import (
    BatchFigures,
    Batching,
    Began,
    Done,
    Ended,
    Failed,
    FurtherWords,
    Opening,
    Ready,
    Reason,
    Refused,
    Start,
    StreamFigures,
    Transcribe,
    Withdraw,
)
from shoptalk.service.model.streams import FromWorker, Streams, ToWorker
from shoptalk.service.model.work import LiveStream, Work
from shoptalk.service.problems import TIMEOUT, Problem, not_ready

Figures = BatchFigures | StreamFigures
"""What is told of each computation."""

PATIENCE_S = 60.0
"""A process that has work and says nothing for so long, and for as long as its batch would play, hangs."""
LOOK_S = 0.5
"""So often it is looked whether it does."""
STEADY_S = 60.0
"""After so long the deaths before count no more."""
MOST_BACK_OFF_S = 30.0
"""Between the starts of processes that die again and again."""
WAITED_FOR = 2
"""So many deaths in a row are waited out; with more, work is refused until a process is ready."""
STREAM_WITHIN_S = 120.0
"""So long a process may take for a piece of a stream, whatever happens to the process meanwhile."""
MOST_DEATHS = 2
"""A recording with which so many processes died is refused."""
PROGRAM = "import sys; sys.path[:] = {path!r}; from shoptalk.service.model.worker_process import main; main({0}, {1})"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Statistics:
    """Of a model since it was started."""

    under_way: int
    """Recordings that are not answered yet."""
    streams: int
    """Open now."""
    waiting: int
    """Windows that waited after the last batch."""
    batches: int
    windows: int
    audio_s: float
    busy_s: float
    restarts: int

    @property
    def real_time_factor(self) -> float | None:
        """Seconds that a second of audio takes; None before the first."""
        return self.busy_s / self.audio_s if self.audio_s else None


@dataclass
class _UnderWay:
    work: Work
    samples: SharedSamples
    deadline_s: float
    recognition: "asyncio.Future[Recognition]"
    has_begun: bool = False
    deaths: int = 0
    told: int = 0
    """Words that were handed out."""
    come: int = 0
    """Words that came from the process that is at it now."""


@dataclass
class _Process:
    """A process, and what it is at."""

    process: "subprocess.Popen[bytes]"
    requests: Connection
    began: float
    """When it was started."""
    is_ready: bool = False
    at: Sequence[int] = ()
    """The recordings that it is computing with."""
    allowed_s: float = 0.0
    """How long that may take."""
    sign_s: float = 0.0
    """When it was last heard of."""


@dataclass
class _Counts:
    waiting: int = 0
    batches: int = 0
    windows: int = 0
    audio_s: float = 0.0
    busy_s: float = 0.0
    restarts: int = 0


@dataclass
class _Startup:
    """The first start, for which `start` waits."""

    over: "asyncio.Future[None]"
    seconds: Mapping[str, float] = field(default_factory=dict)


class WorkerModel:
    """A `Transcriber` over a process; every method is called on the event loop."""

    def __init__(
        self,
        name: str,
        opening: Opening,
        *,
        batching: Batching = Batching(),  # noqa: B008 - frozen
        observe: Callable[[Figures], None] | None = None,
        patience_s: float = PATIENCE_S,
        stream_within_s: float = STREAM_WITHIN_S,
        threads: int = 0,
        clock: Callable[[], float] = now_s,
    ) -> None:
        """`opening` loads the model in the process. `observe` is called with the figures of each batch, and of streams.

        `threads` is how many the process may compute with; 0 leaves as many as there are cores.
        """
        self.name = name
        self._opening = opening
        self._batching = batching
        self._observe = observe
        self._patience_s = patience_s
        self._threads = threads
        self._clock = clock
        self._under_way: dict[int, _UnderWay] = {}
        self._streams = Streams(self._send, within_s=stream_within_s, on_end=self._note_end)
        self._ids = 0
        self._counts = _Counts()
        self._deaths = 0
        self._is_stopping = False
        self._current: _Process | None = None
        self._first: _Startup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._sender = ThreadPoolExecutor(1, thread_name_prefix=f"to-{name}")
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def ready(self) -> bool:
        """True while a process is there that has warmed up."""
        return self._current is not None and self._current.is_ready and not self._is_stopping

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return self._current.process.pid if self._current else None

    @property
    def start_seconds(self) -> Mapping[str, float]:
        """What the last start took, part by part."""
        return self._first.seconds if self._first else {}

    @property
    def restarts(self) -> int:
        """So many processes took the place of one that died."""
        return self._counts.restarts

    def statistics(self) -> Statistics:
        """What happened until now."""
        counts = self._counts
        return Statistics(
            len(self._under_way),
            len(self._streams),
            counts.waiting,
            counts.batches,
            counts.windows,
            counts.audio_s,
            counts.busy_s,
            counts.restarts,
        )

    async def start(self) -> None:
        """Start the process; returns once it is ready. The error of an opening that fails is raised as it was there."""
        loop = asyncio.get_running_loop()
        self._first = _Startup(loop.create_future())
        self._keep(self._watch())
        await self._spawn(loop)
        await self._first.over

    async def transcribe(self, work: Work) -> Recognition:
        """The recognition of one recording; `Problem` if there is none. Cancelling the task withdraws the work."""
        self._require_open()
        self._ids += 1
        id_ = self._ids
        deadline_s = self._clock() + work.within_s
        try:
            samples = await asyncio.to_thread(SharedSamples, work.samples_T)
        except (OSError, MemoryError):
            message = "the server has no memory for this recording; try again later"
            raise Problem(503, message, code="out_of_memory", headers={"Retry-After": "30"}) from None
        self._require_open()
        future: asyncio.Future[Recognition] = asyncio.get_running_loop().create_future()
        self._under_way[id_] = _UnderWay(work, samples, deadline_s, future)
        self._idle.clear()
        self._send_recording(id_)
        try:
            async with timeout(deadline_s - self._clock()):
                return await future
        except TimeoutError:
            raise _expired(work) from None
        finally:
            if self._under_way.pop(id_, None) is not None:
                self._send(Withdraw(id_))
            self._note_end()
            del future, samples  # an error's traceback holds this frame, and the future the error: audio would stay

    async def open_stream(self, options: Options = PLAIN, *, caller: str = "") -> LiveStream:
        """A stream; `Problem` if there is none. Streams of all callers are fed together, so the caller is not asked."""
        self._require_open()
        self._ids += 1
        self._idle.clear()
        return await self._streams.open(self._ids, options)

    async def drain(self) -> None:
        """Take no further work; returns when all recordings that were taken are answered, and all streams are over."""
        self._is_stopping = True
        await self._idle.wait()

    async def stop(self) -> None:
        """End the process; work that is under way gets a `Problem`."""
        self._is_stopping = True
        for task in self._tasks:
            task.cancel()
        self._fail_all(_stopped())
        current, self._current = self._current, None
        if current:
            await asyncio.to_thread(self._end, current)
        self._sender.shutdown(wait=False)

    # ---- what is sent

    @property
    def _awaited(self) -> int:
        """So many answers the process owes."""
        return len(self._under_way) + self._streams.awaited

    def _note_end(self) -> None:
        """A recording was answered, or a stream is over."""
        if not self._under_way and not self._streams:
            self._idle.set()

    def _require_open(self) -> None:
        """`Problem` where work cannot be taken."""
        if self._is_stopping:
            raise _stopped()
        is_starting = self._first is None or not self._first.over.done()
        if not self.ready and (is_starting or self._deaths > WAITED_FOR):
            raise not_ready("the model is not ready; try again")

    def _send_recording(self, id_: int, *, to: _Process | None = None) -> None:
        """Send a recording to the process if it is ready; otherwise it is sent as soon as one is."""
        process = to or self._current
        if process is None or not process.is_ready:
            return
        own = self._under_way[id_]
        work = own.work
        message = Transcribe(
            id_,
            own.samples.size,
            work.options,
            work.caller,
            own.deadline_s - self._clock(),
            work.background,
            alone=own.deaths > 0,
            wants_words=work.on_words is not None,
        )
        self._note_asked(process)
        self._sender.submit(_send, process.requests, message, own.samples)

    def _note_asked(self, process: _Process) -> None:
        """A process that had nothing to do, and so nothing to say, is asked for something."""
        if self._awaited == 1 and not process.at:
            process.sign_s = self._clock()

    def _send(self, message: ToWorker) -> None:
        """Send a message that is not needed, or sent again, where no process is ready."""
        process = self._current
        if process is None or not process.is_ready:
            return
        if not isinstance(message, Withdraw):
            self._note_asked(process)
        self._sender.submit(_send, process.requests, message)

    # ---- what comes back

    def _take(self, process: _Process, message: Any) -> None:
        """A message of a process."""
        if process is not self._current:
            return
        process.sign_s = self._clock()
        if isinstance(message, FromWorker) and message.id in self._streams:
            self._streams.take(message)
            return
        match message:
            case Began(ids, audio_s):
                process.at, process.allowed_s = ids, audio_s
                self._tell_begun(ids)
            case Ended(figures):
                process.at, process.allowed_s = (), 0.0
                self._count(figures)
            case FurtherWords(id_, words):
                self._hand_out(id_, words)
            case Done(id_, recognition):
                self._answer(id_, recognition)
            case Failed(id_, reason):
                self._answer(id_, reason)
            case Ready(seconds):
                self._became_ready(process, seconds)
            case Refused(error, text):
                self._was_refused(error, text)

    def _answer(self, id_: int, result: "Recognition | Reason | Problem") -> None:
        own = self._under_way.pop(id_, None)
        if own is None or own.recognition.done():
            return
        if isinstance(result, Recognition):
            own.recognition.set_result(result)
        elif isinstance(result, Problem):
            own.recognition.set_exception(result)
        else:
            own.recognition.set_exception(_problem(result, own.work))

    def _tell_begun(self, ids: Sequence[int]) -> None:
        for id_ in ids:
            own = self._under_way.get(id_)
            if own is None or own.has_begun:
                continue
            own.has_begun = True
            if own.work.on_begun is not None:
                own.work.on_begun()

    def _hand_out(self, id_: int, words: Sequence[Word]) -> None:
        own = self._under_way.get(id_)
        if own is None or own.work.on_words is None:
            return
        new = words[max(0, own.told - own.come) :]
        own.come += len(words)
        own.told = max(own.told, own.come)
        if new:
            own.work.on_words(new)

    def _count(self, figures: Figures | None) -> None:
        if figures is None:
            return
        counts = self._counts
        if isinstance(figures, BatchFigures):
            counts.waiting = figures.waiting
            counts.batches += 1
            counts.windows += figures.windows
        counts.audio_s += figures.audio_s
        counts.busy_s += figures.seconds
        if self._observe:
            self._observe(figures)

    def _became_ready(self, process: _Process, seconds: Mapping[str, float]) -> None:
        process.is_ready = True
        if self._first:
            whole_s = self._clock() - process.began
            self._first.seconds = {"worker process": whole_s - sum(seconds.values()), **seconds}
            if not self._first.over.done():
                self._first.over.set_result(None)
        for id_ in list(self._under_way):
            self._send_recording(id_, to=process)
        self._streams.open_all_again()

    def _was_refused(self, error: str, text: str) -> None:
        """The first start tells its error to whoever waits for it; later ones are tried again."""
        if self._first and not self._first.over.done():
            kind = getattr(errors, error, None)
            is_named = isinstance(kind, type) and issubclass(kind, ShoptalkError)
            self._is_stopping = True
            self._first.over.set_exception(kind(text) if is_named and kind else ModelError(f"{error}: {text}"))
        else:
            log.error("the model %s could not be opened again: %s", self.name, error)

    # ---- the process

    async def _spawn(self, loop: asyncio.AbstractEventLoop) -> None:
        process, results = await asyncio.to_thread(_started, self._clock(), self._threads)
        process.sign_s = self._clock()
        self._current = process
        self._sender.submit(_send, process.requests, Start(self._opening, self._batching))
        reading = threading.Thread(target=self._read, args=(process, results, loop), daemon=True)
        reading.start()

    def _read(self, process: _Process, results: Connection, loop: asyncio.AbstractEventLoop) -> None:
        """Pass messages on until the process is gone."""
        try:
            while True:
                try:
                    message = results.recv()
                except (EOFError, OSError):
                    break
                loop.call_soon_threadsafe(self._take, process, message)
            results.close()
            status = process.process.wait()
            loop.call_soon_threadsafe(self._ended, process, status)
        except RuntimeError:  # the event loop is closed
            process.process.kill()
            process.process.wait()

    def _ended(self, process: _Process, status: int) -> None:
        """A process is gone: tell suspects from others, and start another process."""
        self._sender.submit(process.requests.close)
        if process is not self._current:
            return
        self._current = None
        if self._first and not self._first.over.done():
            self._is_stopping = True
            self._first.over.set_exception(ModelError(f"the worker of {self.name} died while it started ({status})"))
        if self._is_stopping:
            self._fail_all(_stopped())
            return
        log.error("the worker of %s died (%d); another one is started", self.name, status)
        for id_ in process.at:
            self._suspect(id_)
        for own in self._under_way.values():
            own.come = 0
        is_steady = process.is_ready and self._clock() - process.began > STEADY_S
        self._deaths = 1 if is_steady else self._deaths + 1
        if self._deaths > WAITED_FOR:
            self._fail_all(Problem(503, "the model keeps failing; try again", code="not_ready"))
        self._keep(self._restart())

    def _suspect(self, id_: int) -> None:
        if id_ in self._streams:
            self._streams.suspect(id_)
            return
        own = self._under_way.get(id_)
        if own is None:
            return
        own.deaths += 1
        if own.deaths >= MOST_DEATHS:
            message = "the model failed twice on this recording; it is not tried again"
            self._answer(id_, Problem(500, message, code="recording_refused", headers={"x-should-retry": "false"}))

    async def _restart(self) -> None:
        back_off_s = 0.0 if self._deaths < WAITED_FOR else min(MOST_BACK_OFF_S, 2.0 ** (self._deaths - WAITED_FOR))
        await asyncio.sleep(back_off_s)
        self._counts.restarts += 1
        await self._spawn(asyncio.get_running_loop())

    async def _watch(self) -> None:
        """Kill a process that has work and gives no sign of life."""
        while True:
            await asyncio.sleep(min(LOOK_S, self._patience_s / 4))
            process = self._current
            if process is None or not process.is_ready or not (self._awaited or process.at):
                continue
            if self._clock() - process.sign_s > self._patience_s + process.allowed_s:
                log.error("the worker of %s hangs; it is killed", self.name)
                process.process.kill()

    def _end(self, process: _Process) -> None:
        """Let a process end by itself, for a second; one that hangs may keep the sender waiting until it is killed."""
        self._sender.submit(process.requests.close)
        try:
            process.process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            process.process.kill()
            process.process.wait()

    def _fail_all(self, problem: Problem) -> None:
        for id_ in list(self._under_way):
            self._answer(id_, problem)
        self._streams.fail_all(problem)

    def _keep(self, work: Any) -> None:
        """Run a coroutine as a task of the model's own."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _started(now_s: float, threads: int) -> tuple[_Process, Connection]:
    """A new process, and what its results are read from."""
    requests, its_requests = socketpair()
    results, its_results = socketpair()
    with its_requests, its_results:
        descriptors = its_requests.fileno(), its_results.fileno()
        program = PROGRAM.format(*descriptors, path=[os.path.abspath(folder) for folder in sys.path])
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            env=config.with_threads(threads),
        )
    return _Process(process, Connection(requests.detach()), now_s), Connection(results.detach(), writable=False)


def _send(requests: Connection, message: object, samples: SharedSamples | None = None) -> None:
    """Send a message, and the descriptor of samples behind it; a process that is gone is noticed by its results."""
    try:
        requests.send(message)
        if samples:
            send_handle(requests, samples.descriptor, None)
    except (OSError, ValueError) as error:
        log.info("a message could not be sent: %s", type(error).__name__)


def _stopped() -> Problem:
    return not_ready("the server is stopping; try again")


def _expired(work: Work) -> Problem:
    return Problem(504, f"no answer within {work.within_s:g} s; try again", code=TIMEOUT)


def _problem(reason: Reason, work: Work) -> Problem:
    """What a client is told."""
    if reason == "expired":
        return _expired(work)
    if reason == "memory":
        seconds = work.samples_T.size / SAMPLE_RATE_HZ
        message = f"the model's memory does not suffice for this recording of {seconds:.0f} s; send a shorter one"
        return Problem(413, message, code="out_of_memory")
    if reason == "phrases":
        message = "a phrase cannot be boosted: this model cannot write it, or there are too many; leave it out"
        return Problem(400, message, code="invalid_phrase", param="prompt")
    if reason == "options":
        return Problem(400, "this model cannot give what was asked for", code="invalid_value")
    return Problem(500, "this recording could not be recognised", code="recognition_failed")
