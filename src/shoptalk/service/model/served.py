"""One model that is served: its worker from start to end, swaps, its readiness, and who is admitted to it."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import ShoptalkError, WrongModelError
from shoptalk.core.protocols import PLAIN, Options
from shoptalk.core.records import Recognition
from shoptalk.core.review import NOTHING, Watch
from shoptalk.service import clock
from shoptalk.service.model import golden as golden_recording
from shoptalk.service.model.admission import Admission, retry_headers
from shoptalk.service.model.counted import CountedStream
from shoptalk.service.model.differences import Compare
from shoptalk.service.model.golden import Golden
from shoptalk.service.model.work import LiveStream, Work
from shoptalk.service.problems import BUSY_S, TIMEOUT, Problem, not_ready
from shoptalk.service.settings import Settings

log = logging.getLogger(__name__)


class Worker(Protocol):
    """What transcribes with one model: a process, in the service. Every method is called on the event loop."""

    name: str

    @property
    def ready(self) -> bool:
        """Whether it answers; False also while its process starts anew."""

    @property
    def restarts(self) -> int:
        """So many processes took the place of one that died."""

    @property
    def start_seconds(self) -> Mapping[str, float]:
        """What its start took, part by part; empty before it is ready."""

    async def start(self) -> None:
        """Load the model and warm up; returns when it is ready, or raises the named error that says why it cannot."""

    async def transcribe(self, work: Work) -> Recognition:
        """As a `Transcriber` does."""

    async def open_stream(self, options: Options = PLAIN, *, caller: str = "") -> LiveStream:
        """As a `Transcriber` does."""

    async def stop(self) -> None:
        """End it; what is still under way is not answered."""


@dataclass(frozen=True)
class About:
    """What belongs to a model beside its weights."""

    compare: Compare
    """Counts words, and mentions of the model's own lexicon."""
    golden: Golden | None = None
    """None: whether it is the right model is not asked."""
    created: int = 0
    """When the model was made, in Unix time; 0 where that is unknown."""
    watch: Watch = NOTHING
    """Its lexicon, whose high-risk terms are looked for where a review is asked for."""


class Source(Protocol):
    """Where models come from."""

    def about(self, path: Path) -> About:
        """What is known of a bundle or a `.nemo`; a `ShoptalkError` if it cannot be served. Called in a thread."""

    def worker(self, name: str, path: Path) -> Worker:
        """A worker for it, which was not started yet."""


class State(StrEnum):
    """Whether a model answers, and why not."""

    STARTING = "starting"
    READY = "ready"
    WRONG = "wrong model"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass
class _Live:
    """A worker that was started, and how many requests it still has."""

    path: Path
    worker: Worker
    about: About
    start_s: float
    start_parts_s: Mapping[str, float]
    distance: float | None
    """From the golden recording's text, in differing words per word; None where there is no such recording."""
    requests: int = 0
    """Recordings and streams."""

    @property
    def is_right(self) -> bool:
        return self.about.golden is None or self.distance is None or self.distance <= self.about.golden.max_wer

    @contextmanager
    def lease(self) -> Iterator[None]:
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1


@dataclass(frozen=True)
class ModelReport:
    """How a model is doing."""

    name: str
    state: State
    reason: str
    """Why it is not ready; empty otherwise."""
    swap_error: str
    """Why the last swap was refused; empty if it was not."""
    created: int
    """When its weights were made, in Unix time; 0 where that is unknown."""
    start_s: float | None
    """What its last start took, up to the golden recording; None before."""
    start_parts_s: Mapping[str, float]
    """The parts of it, and the golden recording; empty before."""
    golden_wer: float | None
    """Words in which its last golden transcript differs, as a part of the text's words."""
    requests: int
    """Under way now."""
    audio_s: float
    """Of the requests under way."""
    refused: int
    """Answered 429, since the start."""
    streams: int
    """Open now."""
    speed: float
    """Audio seconds per second."""
    swaps: int
    restarts: int
    """Of worker processes that died, since the start."""


class Served:
    """A `Transcriber` of one name, whatever weights are behind it; every method is called on the event loop."""

    def __init__(
        self,
        name: str,
        path: Path,
        source: Source,
        settings: Settings,
        *,
        clock: Callable[[], float],
    ):
        self.name = name
        self.admission = Admission(
            requests=settings.queue + settings.batch, audio_s=settings.queue_audio_s, clock=clock
        )
        self.error: ShoptalkError | None = None
        """What kept the model from its first start."""
        self.on_answer: Callable[[Work, Recognition, float, Compare], None] | None = None
        """Gets what was transcribed, and the seconds it took; returns at once and raises nothing."""
        self.on_swap: Callable[[], None] | None = None
        """Called when other weights answer; returns at once and raises nothing."""
        self._path = path
        self._source = source
        self._settings = settings
        self._clock = clock
        self._live: _Live | None = None
        self._stopped = False
        self._swapping = False
        self._swaps = 0
        self._streams = 0
        self._streams_refused = 0
        self._restarts_before = 0
        """Of workers that were swapped out."""
        self._reason = ""
        self._swap_error = ""
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def state(self) -> State:
        """Whether it answers now."""
        if self._stopped:
            return State.STOPPED
        if self._live is None:
            return State.FAILED if self.error else State.STARTING
        if not self._live.is_right:
            return State.WRONG
        return State.READY if self._live.worker.ready else State.RESTARTING

    @property
    def ready(self) -> bool:
        """Whether it answers now and is the right model."""
        return self.state is State.READY

    @property
    def path(self) -> Path:
        """Where the weights are from that answer now, or will."""
        return self._live.path if self._live else self._path

    async def start(self) -> None:
        """Bring the first worker up; what fails is in `error` and in the log, and the state tells it."""
        try:
            live = await self._bring_up(self._path)
        except ShoptalkError as error:
            self.error, self._reason = error, str(error)
            log.critical("model %s cannot be served: %s: %s", self.name, type(error).__name__, error)
            return
        self._live = live
        self._judge(live)

    async def transcribe(self, work: Work) -> Recognition:
        """The recognition of one recording.

        `Problem` 503 while the model is not ready, 429 if too much is under way, 504 if `work.within_s` runs out, and
        what the worker answers.
        """
        live = self._require_live()
        audio_s = work.samples_T.size / SAMPLE_RATE_HZ
        if work.background:  # it waits for all others anyway, and must not take their places
            with live.lease():
                return await self._within(live.worker, work, wait_s=0.0)
        wait_s = self.admission.wait_s
        with self.admission.place(audio_s, work.caller, work.within_s), live.lease():
            began_s = self._clock()
            recognition = await self._within(live.worker, work, wait_s=wait_s)
        if self.on_answer:
            self.on_answer(work, recognition, self._clock() - began_s, live.about.compare)
        return recognition

    async def open_stream(self, options: Options = PLAIN, *, caller: str = "") -> LiveStream:
        """A stream of the weights that answer now, which stay until it is over.

        `Problem` 503 while the model is not ready, 429 where `streams` are open, and what the worker answers.
        """
        live = self._require_live()
        most = self._settings.streams
        if self._streams >= most:
            self._streams_refused += 1
            headers = {"Retry-After": str(BUSY_S)}
            message = f"the model is busy: {most} streams are open, and no more may be; try again in {BUSY_S} s"
            raise Problem(429, message, code="too_many_streams", headers=headers)
        with ExitStack() as cleanup:
            cleanup.enter_context(live.lease())
            self._streams += 1
            cleanup.callback(self._leave)
            stream = await live.worker.open_stream(options, caller=caller)
            return CountedStream(stream, cleanup.pop_all().close)

    def _leave(self) -> None:
        self._streams -= 1

    @property
    def watch(self) -> Watch:
        """The lexicon of the model that answers now."""
        return self._live.about.watch if self._live else NOTHING

    @property
    def has_room(self) -> bool:
        """Whether it would take a recording now."""
        is_there = self._live is not None and self.state not in (State.STOPPED, State.WRONG)
        return is_there and self.admission.has_room()

    def require_room(self) -> None:
        """`Problem` 429 or 503 if nothing would be taken now: asked before a recording is decoded."""
        self._require_live()
        self.admission.require_room()

    def _require_live(self) -> _Live:
        if self._live is None or self.state in (State.STOPPED, State.WRONG):
            message = f"the model {self.name!r} is not ready ({self.state.value}); try again"
            raise not_ready(message)
        return self._live

    async def _within(self, worker: Worker, work: Work, *, wait_s: float) -> Recognition:
        """What the worker answers in time; `wait_s` is how long the queue before it was thought to take."""
        limit: asyncio.Timeout | None = None
        try:
            async with clock.timeout(work.within_s) as limit:
                return await worker.transcribe(work)
        except TimeoutError:
            if limit is None or not limit.expired():
                raise
        except Problem as problem:
            if problem.code != TIMEOUT:
                raise
        raise self._out_of_time(work, wait_s=wait_s)

    def _out_of_time(self, work: Work, *, wait_s: float) -> Problem:
        """Another try helps if others took the time: they were before it, or it would have been done without them."""
        audio_s = work.samples_T.size / SAMPLE_RATE_HZ
        message = f"no text of {audio_s:.0f} s of audio within {work.within_s:.0f} s"
        half_s = work.within_s / 2
        has_others = wait_s > 0 or self.admission.requests > 1
        if wait_s > half_s or (has_others and audio_s / self.admission.speed <= half_s):
            headers = {**retry_headers(wait_s), "x-should-retry": "true"}
            return Problem(504, f"{message}: the model is busy; try again", code=TIMEOUT, headers=headers)
        headers = {"x-should-retry": "false"}
        return Problem(504, f"{message}; send a shorter recording", code=TIMEOUT, headers=headers)

    async def swap(self, path: Path) -> None:
        """Serve other weights without a request that fails.

        The old ones answer until the new ones are warm and known to be right; their worker ends with its last request.
        A `ShoptalkError` says why the old model goes on instead; `Problem` 409 while another swap is under way.
        """
        is_loading = self._live is None and not self.error
        if self._swapping or is_loading:
            raise Problem(409, f"the model {self.name!r} is being loaded; try again", code="swap_under_way")
        self._swapping = True
        try:
            new = await self._bring_up(path)
            if not new.is_right:
                await new.worker.stop()
                raise WrongModelError(_wrong(path, new))
        except ShoptalkError as error:
            self._swap_error = f"{type(error).__name__}: {error}"
            log.error("model %s was not swapped: %s: %s", self.name, type(error).__name__, error)
            raise
        finally:
            self._swapping = False
        if self._stopped:
            await new.worker.stop()
            raise not_ready("the server stops; the model was not swapped")
        old, self._live = self._live, new
        self._swaps += 1
        self._restarts_before += old.worker.restarts if old else 0
        self._reason, self._swap_error, self.error = "", "", None
        if self.on_swap:
            self.on_swap()
        if old:
            retiring = asyncio.create_task(_retire(old))
            self._retiring.add(retiring)
            retiring.add_done_callback(self._retiring.discard)

    async def probe(self) -> None:
        """Transcribe the golden recording; the state says what came of it. A worker that is busy is asked next time."""
        live = self._live
        if live is None or live.about.golden is None:
            return
        try:
            live.distance = await golden_recording.distance(live.about.golden, live.worker, live.about.compare)
        except (Problem, TimeoutError) as error:
            log.warning("model %s did not transcribe its golden recording: %s", self.name, type(error).__name__)
            return
        if live is self._live:
            self._judge(live)

    async def stop(self) -> None:
        """End the workers, when the last requests are answered."""
        self._stopped = True
        retiring = tuple(self._retiring)
        if self._live:
            await _retire(self._live)
        await asyncio.gather(*retiring)

    def report(self) -> ModelReport:
        """How it is doing."""
        return ModelReport(
            name=self.name,
            state=self.state,
            reason=self._reason,
            swap_error=self._swap_error,
            created=self._live.about.created if self._live else 0,
            start_s=self._live.start_s if self._live else None,
            start_parts_s=self._live.start_parts_s if self._live else {},
            golden_wer=self._live.distance if self._live else None,
            requests=self.admission.requests,
            audio_s=self.admission.audio_s,
            refused=self.admission.refused + self._streams_refused,
            streams=self._streams,
            speed=self.admission.speed,
            swaps=self._swaps,
            restarts=self._restarts_before + (self._live.worker.restarts if self._live else 0),
        )

    async def _bring_up(self, path: Path) -> _Live:
        """A worker that is warm, with what it makes of its golden recording; the errors are named."""
        about = await asyncio.to_thread(self._source.about, path)
        worker = self._source.worker(self.name, path)
        distance = None
        began_s = self._clock()
        try:
            await worker.start()
            start_s = self._clock() - began_s
            parts_s = dict(worker.start_seconds)
            if about.golden:
                distance = await golden_recording.distance(about.golden, worker, about.compare)
                parts_s["golden recording"] = self._clock() - began_s - start_s
        except (Problem, TimeoutError) as error:
            await worker.stop()
            message = f"{path}: the model does not transcribe its golden recording ({error or 'out of time'})"
            raise WrongModelError(message) from None
        except BaseException:
            await worker.stop()
            raise
        return _Live(path, worker, about, start_s, parts_s, distance)

    def _judge(self, live: _Live) -> None:
        """Tell once when the model turns out to be wrong, and once when it is right again."""
        reason = "" if live.is_right else _wrong(live.path, live)
        if reason != self._reason:
            self._reason = reason
            log.log(logging.CRITICAL if reason else logging.WARNING, "model %s: %s", self.name, reason or "right again")


def _wrong(path: Path, live: _Live) -> str:
    limit = live.about.golden.max_wer if live.about.golden else 0.0
    return (
        f"{path}: differs from the text of its golden recording in {live.distance:.0%} of the words, {limit:.0%} are "
        "allowed; package the model again, or set serve.golden_recording and serve.golden_text to what it was made for"
    )


async def _retire(live: _Live) -> None:
    """Stop a worker that gets no further requests, when its last one is answered."""
    while live.requests:
        await asyncio.sleep(0.05)
    await live.worker.stop()
