"""Streams of a model that is served: who is let in, which weights answer, and what frees a place."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.service.model.fake_stream import words_of
from tests.service.model.fakes import FakeSource, until

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import Options, Phrase
from shoptalk.core.records import Samples
from shoptalk.service.model.served import Served
from shoptalk.service.problems import Problem
from shoptalk.service.settings import Settings

SECOND_S: Samples = np.zeros(SAMPLE_RATE_HZ, np.float32)


@asynccontextmanager
async def served(source: FakeSource, streams: int = 2) -> AsyncIterator[Served]:
    loop = asyncio.get_running_loop()
    model = Served("tuned", Path("v1"), source, Settings(streams=streams), clock=loop.time)
    await model.start()
    yield model
    await asyncio.wait_for(model.stop(), 5)


def test_a_stream_reaches_the_worker_and_its_words_come_back() -> None:
    async def scenario() -> None:
        source = FakeSource()
        async with served(source) as model:
            options = Options(phrases=(Phrase("metoprolol"),))
            stream = await model.open_stream(options, caller="clinic")
            said = [await stream.feed(SECOND_S), await stream.feed(SECOND_S, last=True)]
            assert [word for partial in said for word in partial.final] == list(words_of(2 * SAMPLE_RATE_HZ))
            [there] = source.workers[0].streams
            assert (there.options, there.caller) == (options, "clinic")

    asyncio.run(scenario())


def test_one_stream_too_many_is_refused_and_counted() -> None:
    async def scenario() -> None:
        async with served(FakeSource()) as model:
            streams = [await model.open_stream() for _ in range(2)]
            with pytest.raises(Problem) as raised:
                await model.open_stream()
            assert (raised.value.status, raised.value.code) == (429, "too_many_streams")
            assert raised.value.headers["Retry-After"]
            assert (model.report().streams, model.report().refused) == (2, 1)
            streams[0].close()
            streams.append(await model.open_stream())
            for stream in streams:
                stream.close()
            assert model.report().streams == 0

    asyncio.run(scenario())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["last", "fault", "close", "close twice", "cancel", "cannot be opened"]), max_size=8))
def test_whatever_ends_a_stream_its_place_is_free(endings: list[str]) -> None:
    async def scenario() -> None:
        source = FakeSource()
        async with served(source) as model:
            worker = source.workers[0]
            for ending in endings:
                if ending == "cannot be opened":
                    worker.fault = Problem(400, "no such phrase", code="invalid_phrase")
                    with pytest.raises(Problem, match="no such phrase"):
                        await model.open_stream()
                    worker.fault = None
                    continue
                stream = await model.open_stream()
                assert model.report().streams == 1
                if ending == "last":
                    await stream.feed(SECOND_S, last=True)
                elif ending == "fault":
                    worker.streams[-1].fault = Problem(503, "gone", code="server_error")
                    with pytest.raises(Problem, match="gone"):
                        await stream.feed(SECOND_S)
                elif ending == "cancel":
                    worker.streams[-1].gate.clear()
                    with pytest.raises(TimeoutError):
                        await asyncio.wait_for(stream.feed(SECOND_S), 0.001)
                    stream.close()
                else:
                    stream.close()
                    stream.close()
                assert model.report().streams == 0

    asyncio.run(scenario())


def test_a_swap_leaves_streams_to_the_old_weights_and_gives_new_ones_the_new() -> None:
    async def scenario() -> None:
        source = FakeSource()
        async with served(source) as model:
            old = await model.open_stream()
            await old.feed(SECOND_S)
            await model.swap(Path("v2"))
            new = await model.open_stream()
            await new.feed(SECOND_S, last=True)
            await old.feed(SECOND_S)
            assert not source.workers[0].stopped
            assert [len(worker.streams) for worker in source.workers] == [1, 1]
            await old.feed(SECOND_S, last=True)
            await until(lambda: source.workers[0].stopped)
            assert not source.workers[1].stopped

    asyncio.run(scenario())
