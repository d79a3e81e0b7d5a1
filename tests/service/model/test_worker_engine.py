"""The real engine in a worker process: the words of `Engine.recognize`, whatever else the process is at."""

import asyncio
import json
from pathlib import Path

import numpy as np
from tests.service.model.test_worker import text_or_code

from shoptalk.core import audio
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import Options, Phrase
from shoptalk.core.recipe import EngineSection
from shoptalk.core.records import Recognition, Word
from shoptalk.service.model.work import Work
from shoptalk.service.settings import Settings
from shoptalk.stages.recognizers import open_engine
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
