"""`/v1/stream` on a real port; the example of docs/live.md runs in tests/test_documents.py."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import websockets.exceptions
from tests.service.http.serving import MODEL
from tests.service.realtime.live import Client, Event, StreamingWorker, run, served, tone

from shoptalk.service.problems import Problem


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served() as shared:
        yield shared


def transcribed(address: str, audio: bytes, query: str = "", pieces: int = 5) -> tuple[list[Event], int | None]:
    """All answers to a recording, and the close code."""

    async def speak(client: Client) -> tuple[list[Event], int | None]:
        size = len(audio) // pieces + 1
        with suppress(websockets.exceptions.ConnectionClosed):
            for start in range(0, len(audio), size):
                await client.send(audio[start : start + size])
                await asyncio.sleep(0.01)
            await client.send(json.dumps({"type": "end"}))
        answers = []
        try:
            while True:
                answers.append(json.loads(await client.recv()))
        except websockets.exceptions.ConnectionClosed:
            return answers, client.close_code

    result: Any = run(address, speak, f"/v1/stream{query}")
    return result


@pytest.mark.parametrize("pieces", [1, 3, 50])
def test_words_come_with_times_and_confidences(address: str, pieces: int) -> None:
    answers, code = transcribed(address, tone(2.2, 16_000), pieces=pieces)
    *before, done = answers
    final = [word for answer in before if answer["type"] == "final" for word in answer["words"]]
    assert done["type"] == "done" and code == 1000
    assert final == done["words"] and done["text"] == " ".join(word["word"] for word in final)
    assert done["text"] == "word1 word2 word3 word4 word5"
    assert done["words"][1] == {"word": "word2", "start": 0.5, "end": 1.0, "confidence": 0.9}
    assert done["duration"] == 2.2 and done["usage"] == {"type": "duration", "seconds": 3}


def test_partial_words_can_be_left_out(address: str) -> None:
    answers, _ = transcribed(address, tone(2.2, 16_000))
    assert "partial" in {answer["type"] for answer in answers}
    answers, _ = transcribed(address, tone(2.2, 16_000), "?partials=false")
    assert {answer["type"] for answer in answers} == {"final", "done"}


OTHER = [("?rate=48000", 96_000), ("?format=pcmu", 8_000), ("?format=pcma&rate=16000", 16_000)]


@pytest.mark.parametrize("query, size", OTHER)
def test_other_rates_and_formats(address: str, query: str, size: int) -> None:
    answers, _ = transcribed(address, bytes(size), query)
    assert answers[-1]["duration"] == pytest.approx(1.0, abs=0.001)


def test_phrases_and_the_model_reach_the_stream() -> None:
    worker = StreamingWorker(MODEL, Path(MODEL))
    with served(worker) as address:
        transcribed(address, tone(0.5, 16_000), "?model=whisper-1&keywords=Zoloft,Xanax&keywords=Advil&language=en-US")
    assert [phrase.text for phrase in worker.streams[0].options.phrases] == ["Zoloft", "Xanax", "Advil"]


def test_nothing_at_all_is_an_empty_text(address: str) -> None:
    answers, code = transcribed(address, b"")
    assert [answer["text"] for answer in answers] == [""] and code == 1000


@pytest.mark.parametrize("fault", [Problem(503, "it died", code="not_ready"), RuntimeError("SECRET-WORDS")])
def test_a_stream_that_fails_says_so(fault: Exception) -> None:
    worker = StreamingWorker(MODEL, Path(MODEL))
    worker.stream_faults = [fault]
    with served(worker) as address:
        answers, code = transcribed(address, tone(1.0, 16_000))
        assert answers[-1]["type"] == "error" and code == 1011
        assert answers[-1]["error"]["code"] and "SECRET" not in str(answers)
        assert transcribed(address, tone(1.0, 16_000))[0][-1]["type"] == "done"


def test_other_text_is_an_error_and_the_stream_goes_on(address: str) -> None:
    async def speak(client: Client) -> list[Event]:
        for message in ("no json", "[" * 50_000, '{"type": "other"}'):
            await client.send(message)
        await client.send(tone(0.5, 16_000))
        await client.send('{"type": "end"}')
        answers = []
        while not answers or answers[-1]["type"] != "done":
            answers.append(json.loads(await client.recv()))
        return answers

    answers = run(address, speak, "/v1/stream")
    assert [answer["type"] for answer in answers][:3] == ["error"] * 3 and answers[-1]["text"] == "word1"
