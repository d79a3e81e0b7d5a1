"""Streams of a model in a process of its own: beside recordings, and when the process goes wrong."""

import asyncio
import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.service.model import fake_recognizer
from tests.service.model.fake_recognizer import HANGS, KILLS, clip, stream_words, words_of
from tests.service.model.test_streams import speech
from tests.service.model.test_worker import pid_of, text_or_code, until, worker

from shoptalk.core.protocols import Options, Phrase
from shoptalk.core.records import Samples, Word
from shoptalk.service.model.messages import BatchFigures, Batching, StreamFigures
from shoptalk.service.model.work import Work
from shoptalk.service.model.worker import Figures, WorkerModel
from shoptalk.service.problems import Problem


async def said(model: WorkerModel, pieces: Sequence[Samples], pause_s: float = 0.0) -> list[Word]:
    """All final words of a stream."""
    stream = await model.open_stream()
    words: list[Word] = []
    for number, piece_S in enumerate(pieces):
        words += (await stream.feed(piece_S, last=number == len(pieces) - 1)).final
        await asyncio.sleep(pause_s)
    return words


def test_streams_and_recordings_share_a_process_and_streams_share_calls() -> None:
    figures: list[Figures] = []

    async def run() -> None:
        async with worker(0.0005, observe=figures.append) as model:
            spoken = [speech(20.0, seed) for seed in range(12)]
            streams = [said(model, np.split(own_S, 40)) for own_S in spoken]
            recordings = [text_or_code(model, Work(clip(60.0 + number))) for number in range(8)]
            words, texts = await asyncio.gather(asyncio.gather(*streams), asyncio.gather(*recordings))
            assert words == [stream_words(own_S) for own_S in spoken]
            assert texts == [words_of(60.0 + number) for number in range(8)]
            assert model.statistics().streams == 0 and model.statistics().restarts == 0

    asyncio.run(run())
    fed = [own for own in figures if isinstance(own, StreamFigures)]
    assert sum(own.audio_s for own in fed) == pytest.approx(12 * 20.0)
    assert max(own.streams for own in fed) > 4
    assert all(len(own.delays_s) == own.streams and min(own.delays_s) >= own.seconds for own in fed)


def test_recordings_do_not_starve_beside_streams_that_always_wait_and_background_comes_last() -> None:
    """Streams of more than the process can compute: recordings still get a quarter of its time."""
    figures: list[Figures] = []
    batching = Batching(windows=4, aim_s=0.05)

    async def run() -> Sequence[Figures]:
        opening = partial(fake_recognizer.opening, 0.001, 0.02)
        model = WorkerModel("model", opening, batching=batching, observe=figures.append)
        await model.start()
        pieces = np.split(speech(1000.0), 1000)
        greedy = [asyncio.create_task(said(model, pieces)) for _ in range(6)]
        await until(lambda: len(figures) > 8)
        jobs = [asyncio.create_task(model.transcribe(Work(clip(20.0), background=True))) for _ in range(4)]
        begin = len(figures)
        recordings = [asyncio.create_task(text_or_code(model, Work(clip(300.0)))) for _ in range(2)]
        assert await asyncio.gather(*recordings) == [words_of(300.0)] * 2
        meanwhile = figures[begin:]
        assert not any(job.done() for job in jobs) and not any(task.done() for task in greedy)
        for task in greedy:
            task.cancel()
        assert [(await job).text for job in jobs] == [words_of(20.0)] * 4
        await model.stop()
        return meanwhile

    meanwhile = asyncio.run(run())
    streams_s = sum(own.seconds for own in meanwhile if isinstance(own, StreamFigures))
    recordings_s = sum(own.seconds for own in meanwhile if isinstance(own, BatchFigures))
    assert 0.15 < recordings_s / (recordings_s + streams_s) < 0.6


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGSEGV])
def test_streams_outlive_workers_that_die_under_them(signal_number: int) -> None:
    async def run() -> None:
        async with worker(0.001) as model:
            spoken = [speech(30.0, seed) for seed in range(6)]
            streams = asyncio.gather(*(said(model, np.split(own_S, 100), 0.02) for own_S in spoken))
            for _ in range(2):
                await until(lambda: model.ready)
                await asyncio.sleep(0.5)
                assert not streams.done()
                os.kill(pid_of(model), signal_number)
                await until(lambda: not model.ready)
            assert await streams == [stream_words(own_S) for own_S in spoken]
            assert model.statistics().restarts == 2 and model.statistics().streams == 0

    asyncio.run(run())


@pytest.mark.parametrize(("does", "patience_s"), [(KILLS, 60.0), (HANGS, 0.5)])
def test_a_stream_that_kills_or_hangs_workers_is_refused_and_takes_no_other_with_it(
    does: float, patience_s: float
) -> None:
    async def run() -> None:
        async with worker(patience_s=patience_s) as model:
            spoken = [speech(12.0, seed) for seed in range(5)]
            spoken[2][6 * 16_000] = does
            streams = [said(model, np.split(own_S, 24), 0.01) for own_S in spoken]
            recording = text_or_code(model, Work(clip(40.0)))
            results = await asyncio.gather(*streams, recording, return_exceptions=True)
            refused = results.pop(2)
            assert isinstance(refused, Problem) and refused.code == "stream_refused"
            del spoken[2]
            assert results == [*(stream_words(own_S) for own_S in spoken), words_of(40.0)]
            assert model.statistics().restarts == 2

    asyncio.run(run())


def test_a_stream_that_waits_for_a_process_too_long_is_told_so(tmp_path: Path) -> None:
    async def run() -> None:
        model = WorkerModel("model", partial(fake_recognizer.opening), stream_within_s=0.3)
        await model.start()
        stream = await model.open_stream()
        os.kill(pid_of(model), signal.SIGSTOP)
        with pytest.raises(Problem) as caught:
            await stream.feed(speech(1.0))
        assert (caught.value.status, caught.value.code) == (504, "timeout")
        assert model.statistics().streams == 0
        os.kill(pid_of(model), signal.SIGCONT)
        assert await said(model, [speech(1.0)]) == stream_words(speech(1.0))
        await model.stop()

    asyncio.run(run())


def test_a_drained_model_lets_streams_end_and_opens_no_more() -> None:
    async def run() -> None:
        async with worker() as model:
            stream = await model.open_stream()
            draining = asyncio.create_task(model.drain())
            await asyncio.sleep(0)
            with pytest.raises(Problem, match="stopping"):
                await model.open_stream()
            assert list((await stream.feed(speech(1.0))).final) == stream_words(speech(1.0))
            assert not draining.done()
            await stream.feed(speech(0.1), last=True)
            await asyncio.wait_for(draining, 5)

    asyncio.run(run())


def test_a_model_that_is_stopped_tells_streams_and_one_that_cannot_spell_a_phrase_too() -> None:
    async def run() -> None:
        async with worker() as model:
            with pytest.raises(Problem) as caught:
                await model.open_stream(Options(phrases=(Phrase("unspellable"),)))
            assert (caught.value.status, caught.value.code) == (400, "invalid_phrase")
            stream = await model.open_stream()
            await model.stop()
            with pytest.raises(Problem, match="stopping"):
                await stream.feed(speech(1.0))

    asyncio.run(run())
