"""A model in several processes: who gets a recording, and what is seen from outside."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from tests.service.model.fakes import FakeWorker

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import ModelError
from shoptalk.core.recipe import EngineSection
from shoptalk.service.model.group import WorkerGroup
from shoptalk.service.model.work import Work
from shoptalk.stages import served_models


def work(seconds: float) -> Work:
    return Work(np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32))


def members(count: int, path: str = "a.nemo") -> list[FakeWorker]:
    return [FakeWorker("a", Path(path)) for _ in range(count)]


def test_recordings_go_to_the_member_with_the_least_audio_under_way() -> None:
    async def run() -> list[list[float]]:
        own = members(2)
        group = WorkerGroup("a", own)
        await group.start()
        for member in own:
            member.gate.clear()
        tasks = []
        for seconds in (10.0, 2.0, 3.0, 4.0, 2.0):
            tasks.append(asyncio.create_task(group.transcribe(work(seconds))))
            await asyncio.sleep(0)
        for member in own:
            member.gate.set()
        await asyncio.gather(*tasks)
        tasks = [asyncio.create_task(group.transcribe(work(1.0))) for _ in range(2)]
        await asyncio.gather(*tasks)
        await group.stop()
        assert all(member.stopped for member in own)
        return [[one.samples_T.size / SAMPLE_RATE_HZ for one in member.works] for member in own]

    # 10 | 2+3+4 | then 2 to the second (9 < 10); afterwards nothing is under way, and each gets one
    assert asyncio.run(run()) == [[10.0, 1.0], [2.0, 3.0, 4.0, 2.0, 1.0]]


def test_streams_are_spread_over_members_and_count_as_audio_under_way() -> None:
    async def run() -> None:
        own = members(2)
        group = WorkerGroup("a", own)
        await group.start()
        streams = [await group.open_stream() for _ in range(5)]
        assert [len(member.streams) for member in own] == [3, 2]
        await group.transcribe(work(1.0))
        assert [len(member.works) for member in own] == [0, 1]
        for stream in streams:
            stream.close()
        own[0].fault = RuntimeError("broken")
        with pytest.raises(RuntimeError):
            await group.open_stream()
        own[0].fault = None
        await (await group.open_stream()).feed(np.zeros(1600, np.float32), last=True)
        await group.open_stream()
        assert [len(member.streams) for member in own] == [5, 2], "each time all places were free"
        own[0].ready = False
        await group.open_stream()
        assert len(own[1].streams) == 3

    asyncio.run(run())


def test_a_member_that_starts_anew_gets_nothing_while_another_answers() -> None:
    async def run() -> None:
        own = members(2)
        group = WorkerGroup("a", own)
        assert not group.ready
        await group.start()
        own[0].ready = False
        assert group.ready
        await group.transcribe(work(1.0))
        await group.transcribe(work(1.0))
        assert [len(member.works) for member in own] == [0, 2]
        own[1].ready = False
        assert not group.ready

    asyncio.run(run())


def test_what_failed_or_was_withdrawn_is_under_way_no_more() -> None:
    async def run() -> None:
        own = members(2)
        group = WorkerGroup("a", own)
        await group.start()
        own[0].fault = RuntimeError("broken")
        with pytest.raises(RuntimeError):
            await group.transcribe(work(30.0))
        own[0].fault = None
        own[0].gate.clear()
        waiting = asyncio.create_task(group.transcribe(work(30.0)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        own[0].gate.set()
        await group.transcribe(work(1.0))
        assert len(own[0].works) == 3

    asyncio.run(run())


def test_the_error_of_a_member_that_cannot_be_opened_is_raised() -> None:
    with pytest.raises(ModelError, match="no such bundle"):
        asyncio.run(WorkerGroup("a", [*members(1), *members(1, "missing.nemo")]).start())


def test_small_models_get_a_process_for_each_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_models, "cores", lambda: 6)
    cpu, gpu = EngineSection(), EngineSection(device="cuda")
    small, large = tmp_path / "small.nemo", tmp_path / "bundle"
    small.write_bytes(b"weights")
    large.mkdir()
    with (large / "model.nemo").open("wb") as file:
        file.truncate(served_models.SMALL_BYTES + 1)  # takes no space on the disk
    assert served_models.processes(0, cpu, small) == 6
    assert served_models.processes(0, cpu, large) == 1
    assert served_models.processes(3, cpu, large) == 3
    assert served_models.processes(0, gpu, small) == served_models.processes(3, gpu, small) == 1
