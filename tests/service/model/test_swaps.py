"""Swaps between real worker processes, under load."""

import asyncio
import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.service.model.fake_recognizer import clip, opening, refusing, words_of
from tests.service.model.fakes import compare, until

from shoptalk.core.errors import ModelError
from shoptalk.service.model.golden import Golden
from shoptalk.service.model.models import Models
from shoptalk.service.model.served import About, Worker
from shoptalk.service.model.work import Work
from shoptalk.service.model.worker import WorkerModel
from shoptalk.service.settings import Settings

SLOW_S = 0.5
"""What the model at `slow` takes for a second: one has time to kill it."""


class Processes:
    """A `Source` of workers in processes of their own; a path that is called bad is none."""

    def __init__(self) -> None:
        self.workers: list[WorkerModel] = []

    def about(self, path: Path) -> About:
        return About(compare, Golden(clip(2.0), words_of(2.0), 0.0))

    def worker(self, name: str, path: Path) -> Worker:
        opens = refusing if path.name == "bad" else partial(opening, SLOW_S if path.name == "slow" else 0.001)
        self.workers.append(WorkerModel(name, opens))
        return self.workers[-1]


def test_processes_are_swapped_under_load_and_every_request_is_answered() -> None:
    async def scenario() -> None:
        source = Processes()
        rng = np.random.default_rng(7)
        models = Models({"tuned": Path("v1")}, source, Settings(golden_every_s=0.2, batch=4), rng=rng)
        models.start()
        await until(lambda: models.ready, 60)
        answered: list[int] = []
        ends = asyncio.Event()

        async def client(seconds: float) -> None:
            while not ends.is_set():
                recognition = await models.resolve(None).transcribe(Work(clip(seconds), caller=f"{seconds}"))
                assert recognition.text == words_of(seconds)
                answered.append(len(source.workers))

        clients = [asyncio.create_task(client(seconds)) for seconds in (0.5, 2.0, 7.0, 45.0)]
        await until(lambda: len(answered) > 10, 60)
        with pytest.raises(ModelError, match="no such bundle"):
            await models.swap("tuned", Path("bad"))
        for path in ("v2", "v3"):
            await models.swap("tuned", Path(path))
        since = len(answered)
        await until(lambda: len(answered) > since + 10, 60)
        await until(lambda: [worker.ready for worker in source.workers] == [False, False, False, True], 60)
        ends.set()
        await asyncio.gather(*clients)
        [report] = models.report()
        assert (report.swaps, report.state.value, report.golden_wer) == (2, "ready", 0.0)
        assert answered.count(1) and answered.count(4) and report.speed > 1.0
        await models.stop()
        assert not any(worker.ready for worker in source.workers)

    asyncio.run(scenario())


def test_a_new_worker_that_is_killed_fails_no_request_and_the_swap_ends_well_or_is_refused_by_name() -> None:
    async def scenario() -> None:
        source = Processes()
        models = Models({"tuned": Path("v1")}, source, Settings(golden_every_s=0), rng=np.random.default_rng(7))
        models.start()
        await until(lambda: models.ready, 60)
        ends = asyncio.Event()
        answered = 0

        async def client() -> None:
            nonlocal answered
            while not ends.is_set():
                recognition = await models.resolve(None).transcribe(Work(clip(2.0)))
                assert recognition.text == words_of(2.0)
                answered += 1

        clients = [asyncio.create_task(client()) for _ in range(3)]
        swapping = asyncio.create_task(models.swap("tuned", Path("slow")))
        await until(lambda: len(source.workers) == 2 and source.workers[1].pid is not None, 60)
        _kill(source.workers[1])  # while it opens its model
        with pytest.raises(ModelError, match="died while it started"):
            await swapping
        [report] = models.report()
        assert (report.swaps, report.state.value) == (0, "ready") and "died while it started" in report.swap_error

        swapping = asyncio.create_task(models.swap("tuned", Path("slow")))
        await until(lambda: len(source.workers) == 3 and source.workers[2].statistics().under_way == 1, 60)
        _kill(source.workers[2])  # while it transcribes its golden recording
        await swapping
        since = answered
        await until(lambda: answered > since + 3, 60)
        ends.set()
        await asyncio.gather(*clients)
        [report] = models.report()
        assert (report.swaps, report.restarts, report.golden_wer, report.swap_error) == (1, 1, 0.0, "")
        assert [worker.ready for worker in source.workers] == [False, False, True]
        await models.stop()

    asyncio.run(scenario())


def _kill(worker: WorkerModel) -> None:
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
