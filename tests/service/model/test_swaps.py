"""Swaps between real worker processes, under load."""

import asyncio
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


class Processes:
    """A `Source` of workers in processes of their own; a path that is called bad is none."""

    def __init__(self) -> None:
        self.workers: list[WorkerModel] = []

    def about(self, path: Path) -> About:
        return About(compare, Golden(clip(2.0), words_of(2.0), 0.0))

    def worker(self, name: str, path: Path) -> Worker:
        opens = refusing if path.name == "bad" else partial(opening, 0.001)
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
