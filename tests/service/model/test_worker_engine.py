"""The real engine in a worker process: the words of `Engine.recognize`, whatever else the process is at."""

import asyncio
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tests.service.model.test_worker import pid_of, text_or_code, until

from shoptalk.core import audio
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import Feed, Options, Phrase
from shoptalk.core.recipe import EngineSection
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.service.model.work import Work
from shoptalk.service.model.worker import WorkerModel
from shoptalk.service.settings import Settings
from shoptalk.stages.recognizers import open_both, open_engine
from shoptalk.stages.served_models import open_worker

ROOT = Path(__file__).parents[3]
GENERAL = ROOT / "assets/general"
BASE = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"


def test_recordings_of_any_length_have_the_words_of_the_engine_in_any_company() -> None:
    lines = [json.loads(line) for line in (GENERAL / "test.jsonl").read_text().splitlines()]
    spoken_T = np.concatenate([audio.decode(GENERAL / line["audio_filepath"]) for line in lines[:40]])
    long_T = np.resize(spoken_T, 150 * SAMPLE_RATE_HZ)
    cut = [
        long_T,
        long_T[: 7 * SAMPLE_RATE_HZ],
        long_T[: 45 * SAMPLE_RATE_HZ],
        long_T[SAMPLE_RATE_HZ:][: 20 * SAMPLE_RATE_HZ],
    ]
    options = [Options(), Options(), Options(alternatives=2), Options(phrases=(Phrase("restricted area"),))]
    told: list[list[Word]] = [[] for _ in cut]
    order: list[int] = []

    async def run() -> list[Recognition]:
        model = open_worker("base", BASE, EngineSection(), Settings(workers=1, batch=4))
        await model.start()

        async def transcribed(number: int) -> Recognition:
            work = Work(
                cut[number], options[number], caller=f"{number % 2}", within_s=600.0, on_words=told[number].extend
            )
            recognition = await model.transcribe(work)
            order.append(number)
            return recognition

        try:
            recognitions = await asyncio.gather(*map(transcribed, range(len(cut))))
            unspellable = Options(phrases=(Phrase("\u4e2d"),))
            assert await text_or_code(model, Work(cut[1], unspellable)) == "invalid_phrase"
            assert model.statistics().restarts == 0
            return recognitions
        finally:
            await model.stop()

    recognitions = asyncio.run(run())
    engine = open_engine(BASE, EngineSection(), batch=8)
    assert recognitions == engine.recognize(cut, options)
    assert order[-1] == 0, "none waits for the long one"
    for words, recognition in zip(told, recognitions, strict=True):
        assert words == list(recognition.words) and " ".join(word.word for word in words) == recognition.text


def test_streams_have_the_words_of_the_engine_though_the_process_dies_under_them() -> None:
    lines = [json.loads(line) for line in (GENERAL / "test.jsonl").read_text().splitlines()]
    spoken = [audio.decode(GENERAL / line["audio_filepath"]) for line in lines[:12]]
    cut = [np.concatenate(spoken[start : start + 4]) for start in (0, 4, 8)]

    async def said(model: WorkerModel, samples_S: Samples, feeds: int) -> list[Word]:
        stream = await model.open_stream()
        words: list[Word] = []
        for number, piece_S in enumerate(np.array_split(samples_S, feeds)):
            words += (await stream.feed(piece_S, last=number == feeds - 1)).final
            await asyncio.sleep(2.0 / feeds)
        return words

    async def run() -> Sequence[list[Word]]:
        model = open_worker("base", BASE, EngineSection(), Settings(workers=1, batch=4))
        assert isinstance(model, WorkerModel)
        await model.start()
        try:
            pending = [asyncio.create_task(said(model, own_S, 50 + n)) for n, own_S in enumerate(cut)]
            await asyncio.sleep(1.0)
            os.kill(pid_of(model), signal.SIGKILL)
            await until(lambda: not model.ready)
            assert not any(task.done() for task in pending)
            words = await asyncio.gather(*pending)
            assert model.statistics().restarts == 1
            return words
        finally:
            await model.stop()

    words = asyncio.run(run())
    _, streamer = open_both(BASE, EngineSection(), batch=4)
    for own_S, own_words in zip(cut, words, strict=True):
        [partial] = streamer.feed([Feed(streamer.open(), own_S, last=True)])
        assert own_words == list(partial.final) and len(own_words) > 5
