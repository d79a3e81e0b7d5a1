"""Workers without a model: what they make of a recording follows from its length and the path of their weights."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tests.service.model.fake_stream import FakeStream

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import ModelError
from shoptalk.core.protocols import PLAIN, Options
from shoptalk.core.records import Recognition
from shoptalk.service.model.differences import Difference
from shoptalk.service.model.golden import Golden
from shoptalk.service.model.served import About, Worker
from shoptalk.service.model.work import Work


def text_of(path: Path, seconds: float) -> str:
    return f"{path.name} hears {seconds:g} seconds"


def compare(expected: str, text: str) -> Difference:
    """Words by their places, as simple as it can be."""
    words, others = expected.split(), text.split()
    differing = sum(word != other for word, other in zip(words, others, strict=False))
    return Difference(len(words), differing + abs(len(words) - len(others)))


@dataclass
class FakeWorker:
    """Answers when `gate` is open, after `seconds_each`; `stopped` workers answer nothing, as a process would not."""

    name: str
    path: Path
    load_s: float = 0.0
    seconds_each: float = 0.0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    ready: bool = False
    restarts: int = 0
    start_seconds: Mapping[str, float] = field(default_factory=dict)
    stopped: bool = False
    fault: Exception | None = None
    answer: Callable[[Path, float], str] = text_of
    works: list[Work] = field(default_factory=list)
    streams: list[FakeStream] = field(default_factory=list)

    async def start(self) -> None:
        await asyncio.sleep(self.load_s)
        if "missing" in self.path.name:
            raise ModelError(f"{self.path}: no such bundle or .nemo; make one with `shoptalk package`")
        self.ready = True
        self.gate.set()

    async def transcribe(self, work: Work) -> Recognition:
        assert self.ready and not self.stopped
        self.works.append(work)
        await self.gate.wait()
        await asyncio.sleep(self.seconds_each)
        assert not self.stopped, "a request was left with a worker that ended"
        if self.fault:
            raise self.fault
        return Recognition(text=self.answer(self.path, work.samples_T.size / SAMPLE_RATE_HZ))

    async def open_stream(self, options: Options = PLAIN, *, caller: str = "") -> FakeStream:
        assert self.ready and not self.stopped
        if self.fault:
            raise self.fault
        self.streams.append(FakeStream(options, caller))
        return self.streams[-1]

    async def stop(self) -> None:
        self.ready, self.stopped = False, True


class FakeSource:
    """Makes a `FakeWorker` for each path; `golden` by the path's name."""

    def __init__(self, golden: Mapping[str, Golden] | None = None) -> None:
        self.golden = dict(golden or {})
        self.workers: list[FakeWorker] = []
        self.next: dict[str, object] = {}
        """Fields of workers to come."""

    def about(self, path: Path) -> About:
        return About(compare, self.golden.get(path.name), created=1_700_000_000)

    def worker(self, name: str, path: Path) -> Worker:
        self.workers.append(FakeWorker(name, path, **self.next))  # type: ignore[arg-type]
        return self.workers[-1]


def work(seconds: float = 1.0, *, within_s: float = 20.0, background: bool = False) -> Work:
    samples_T = np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32)
    return Work(samples_T, caller="someone", within_s=within_s, background=background)


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
