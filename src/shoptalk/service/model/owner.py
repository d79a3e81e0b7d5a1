"""A model in this process, for tests and for whoever serves a recogniser that is loaded: a queue and a thread.

Recordings wait in a queue, are recognised in small batches, and get their own answer. `worker` does better: it batches
windows, so that no long recording holds up a short one, and outlives a crash.

A `Recognizer` need not be thread-safe: a single thread calls it, and nothing else does. The engine itself spreads a
batch over the cores.
"""

import asyncio
import logging
import time
from asyncio import FIRST_COMPLETED
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import RecognitionError
from shoptalk.core.protocols import PLAIN, Options, Recognizer
from shoptalk.core.records import Recognition, Samples
from shoptalk.service.model.differences import Difference
from shoptalk.service.model.models import Models
from shoptalk.service.model.served import About, Worker
from shoptalk.service.model.work import Work
from shoptalk.service.problems import Problem
from shoptalk.service.settings import Settings
from shoptalk.service.telemetry.metrics import Metrics

LOOK_S = 0.5
"""So often it is looked whether anybody still waits when the service stops."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Job:
    samples_T: Samples
    options: Options
    recognition: "asyncio.Future[Recognition]"


class Owner:
    """A `Worker` that owns the recogniser between `start` and `stop`; every method is called on the event loop."""

    def __init__(self, recognizer: Recognizer, config: Settings, metrics: Metrics, clock: Callable[[], float]):
        self.name = metrics.models[0]
        self._recognizer = recognizer
        self._config = config
        self._metrics = metrics
        self._clock = clock
        self._jobs: asyncio.Queue[_Job | None] = asyncio.Queue()  # bounded by `Admission`
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model-owner")
        self._task: asyncio.Task[None] | None = None
        self._is_warm = asyncio.Event()
        self._broken = False

    @property
    def restarts(self) -> int:
        """None: it is no process of its own."""
        return 0

    @property
    def ready(self) -> bool:
        """True once the model has answered, and as long as its owner lives."""
        return self._is_warm.is_set() and self._task is not None and not self._task.done()

    async def start(self) -> None:
        """Warm up; `RecognitionError` if the model does not answer."""
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._ended)
        warmed = asyncio.create_task(self._is_warm.wait())
        await asyncio.wait([self._task, warmed], return_when=FIRST_COMPLETED)
        warmed.cancel()
        if not self.ready:
            raise RecognitionError("the model does not answer")

    async def transcribe(self, work: Work) -> Recognition:
        """The recognition of one recording; cancelling the task withdraws it, if it is not being recognised yet."""
        return await self.submit(work.samples_T, work.options)

    async def stop(self) -> None:
        """End; a recognition that nobody waits for is left to itself."""
        self._is_warm.clear()
        await self._jobs.put(None)
        if self._task is not None:
            await asyncio.wait([self._task], timeout=LOOK_S)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def submit(self, samples_T: Samples, options: Options = PLAIN) -> "asyncio.Future[Recognition]":
        """Queue one recording; cancelling the future withdraws it, if it is not being recognised yet."""
        if not self.ready:
            raise Problem(503, "the model stopped; try again", code="not_ready", headers={"Retry-After": "5"})
        job = _Job(samples_T, options, asyncio.get_running_loop().create_future())
        self._jobs.put_nowait(job)
        self._metrics.queue_depth.labels(self.name).set(self._jobs.qsize())
        return job.recognition

    async def _run(self) -> None:
        self._broken = not await self._answers()
        if self._broken:
            return
        self._is_warm.set()
        more = True
        while more and not self._broken:
            batch, more = await self._gather()
            waiting = [job for job in batch if not job.recognition.done()]
            if waiting:
                await self._recognize(waiting)

    async def _gather(self) -> tuple[list[_Job], bool]:
        """The next batch, and whether more may come; waits `batch_wait_ms` for others after the first."""
        batch: list[_Job] = []
        deadline: float | None = None
        more = True
        while more and len(batch) < self._config.batch:
            try:
                async with asyncio.timeout_at(deadline):
                    job = await self._jobs.get()
            except TimeoutError:
                break
            if job is None:
                more = False
            else:
                batch.append(job)
            deadline = deadline or asyncio.get_running_loop().time() + self._config.batch_wait_ms / 1000
        self._metrics.queue_depth.labels(self.name).set(self._jobs.qsize())
        return batch, more

    async def _recognize(self, batch: list[_Job]) -> None:
        """Answer a batch; if it fails, its recordings are tried one by one, so that one cannot spoil the others."""
        started = self._clock()
        result = await self._call([job.samples_T for job in batch], [job.options for job in batch])
        self._metrics.batch_s.labels(self.name).observe(self._clock() - started)
        self._metrics.batch_size.labels(self.name).observe(len(batch))
        if isinstance(result, list) and len(result) == len(batch):
            for job, recognition in zip(batch, result, strict=True):
                if not job.recognition.done():
                    job.recognition.set_result(recognition)
        elif len(batch) > 1:
            for job in batch:
                if not job.recognition.done():
                    await self._recognize([job])
        else:
            if not batch[0].recognition.done():
                problem = Problem(500, "this recording could not be recognised", code="recognition_failed")
                batch[0].recognition.set_exception(problem)
            self._broken = not await self._answers()

    async def _answers(self) -> bool:
        """Whether the model still answers at all: a second of silence tells a broken model from a bad recording."""
        return isinstance(await self._call([np.zeros(SAMPLE_RATE_HZ, np.float32)], [PLAIN]), list)

    async def _call(self, audio: list[Samples], options: list[Options]) -> list[Recognition] | BaseException:
        """What the recogniser returns or raises, on the thread that owns it."""
        loop = asyncio.get_running_loop()
        call = loop.run_in_executor(self._thread, self._recognizer.recognize, audio, options)
        (result,) = await asyncio.gather(call, return_exceptions=True)
        if isinstance(result, BaseException):
            log.error("recognition failed: %s", type(result).__name__)  # a message might quote what was said
        return result

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """However the owner ended: nobody is left waiting, and the service says that it is not ready."""
        self._is_warm.clear()
        if self._broken:
            log.critical("the model does not answer; restart the service")
        while not self._jobs.empty():
            job = self._jobs.get_nowait()
            if job is not None and not job.recognition.done():
                job.recognition.set_exception(Problem(503, "the model stopped; try again", code="not_ready"))


class _Loaded:
    """A `Source` of one recogniser that is loaded already."""

    def __init__(self, worker: Owner, created: int):
        self._worker = worker
        self._created = created

    def about(self, path: Path) -> About:
        return About(lambda expected, text: Difference(0, 0), created=self._created)

    def worker(self, name: str, path: Path) -> Worker:
        return self._worker


def models_of(
    recognizer: Recognizer,
    settings: Settings,
    *,
    name: str,
    metrics: Metrics,
    created: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Models:
    """A recogniser that is loaded, as the only model of a service; `created` is the Unix time that is told of it."""
    source = _Loaded(Owner(recognizer, settings, metrics, clock), created)
    return Models({name: Path(name)}, source, settings, rng=np.random.default_rng(0), clock=clock)
