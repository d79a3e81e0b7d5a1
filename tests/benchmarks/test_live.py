"""The generator of live streams and the reading of what came of them, against a server that answers as it is told."""

import asyncio
import json
import math
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks/service"))  # its files import each other by name
import live_load
import live_reading

Handler = Callable[[ServerConnection], Awaitable[None]]
SPOKEN = [{"word": "good", "start": 0.1, "end": 0.3}, {"word": "morning", "start": 0.3, "end": 0.7}]


def message(kind: str, words: list[dict[str, Any]]) -> str:
    return json.dumps({"type": kind, "text": " ".join(word["word"] for word in words), "words": words})


def streamed(*messages: tuple[float, str], seconds: float = 1.0, counts: bool = True) -> live_load.Streamed:
    return live_load.Streamed(0, True, seconds, counts, seconds, list(messages))


def run(handler: Handler, plan: live_load.Plan, seconds: float = 0.5) -> live_load.Outcome:
    """What the generator tells of a server that talks to each client by `handler`."""

    async def both() -> live_load.Outcome:
        async with serve(handler, "127.0.0.1", 0, compression=None) as server:
            port = server.sockets[0].getsockname()[1]
            pcm = [bytes(int(seconds * live_load.BYTES_PER_S))] * 3
            return await live_load.Run([f"ws://127.0.0.1:{port}/v1/stream"] * 3, pcm, plan).run()

    return asyncio.run(both())


@pytest.fixture
def no_ramp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_load, "RAMP_S", 0.01)


@pytest.mark.usefixtures("no_ramp")
def test_streams_are_as_many_as_planned_and_no_faster_than_speech() -> None:
    under_way: set[ServerConnection] = set()
    most = 0
    heard: list[int] = []

    async def answer(socket: ServerConnection) -> None:
        nonlocal most
        under_way.add(socket)
        most = max(most, len(under_way))
        size = 0
        async for piece in socket:
            if isinstance(piece, str):
                break
            size += len(piece)
        heard.append(size)
        await socket.send(message("final", SPOKEN))
        await socket.send(message("done", SPOKEN))
        under_way.discard(socket)

    outcome = run(answer, live_load.Plan(streams=4, seconds=1.6, seed=1))
    figures = live_reading.read(outcome, 4)
    assert most == 4
    whole = [stream for stream in outcome.streamed if stream.counts and stream.is_whole]
    assert whole
    assert all(stream.messages[0][0] >= stream.seconds == 0.5 for stream in whole), "no answer before the audio's end"
    assert max(heard) == 0.5 * live_load.BYTES_PER_S
    assert not figures.errors and not figures.taken_back and figures.holds
    assert 4 * 0.5 <= figures.audio_s <= 4 * figures.wall_s, "no place is fed faster than somebody speaks"


@pytest.mark.usefixtures("no_ramp")
def test_words_that_never_come_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_load, "PATIENCE_S", 0.3)

    async def silent(socket: ServerConnection) -> None:
        async for _ in socket:
            pass

    figures = live_reading.read(run(silent, live_load.Plan(2, 1.0, 1), seconds=0.2), 2)
    assert set(figures.errors) == {"no end of the words within 0.3 s"}
    assert not figures.holds


@pytest.mark.usefixtures("no_ramp")
def test_a_connection_that_is_refused_or_closed_is_an_error() -> None:
    async def closing(socket: ServerConnection) -> None:
        await socket.close(1011)

    figures = live_reading.read(run(closing, live_load.Plan(1, 1.0, 1), seconds=0.2), 1)
    assert figures.errors and not figures.holds


def test_delays_count_from_what_was_spoken() -> None:
    talk = live_reading.follow(
        streamed(
            (0.5, message("partial", SPOKEN[:1])),
            (0.9, message("final", SPOKEN[:1])),
            (0.9, message("partial", SPOKEN[1:])),
            (1.4, message("final", SPOKEN[1:])),
            (1.5, message("done", SPOKEN)),
        )
    )
    assert talk.text == "good morning"
    assert talk.finalisation_s == pytest.approx(0.5)
    assert talk.first_words_s == pytest.approx(0.2)
    assert talk.word_final_s == pytest.approx((0.6, 0.7))
    assert (talk.tentative, talk.tentative_right, talk.was_taken_back) == (2, 2, False)


def test_a_partial_word_is_right_at_its_own_place_alone() -> None:
    wrong = {"word": "warning", "start": 0.3, "end": 0.7}
    talk = live_reading.follow(
        streamed(
            (0.5, message("partial", [SPOKEN[0], wrong])),  # the second is wrong
            (0.6, message("final", SPOKEN[:1])),
            (0.7, message("partial", [SPOKEN[0]])),  # right, but one place too late
            (0.8, message("partial", [SPOKEN[1], wrong])),  # the second is no word of the text
            (1.4, message("final", SPOKEN[1:])),
            (1.5, message("done", SPOKEN)),
        )
    )
    assert (talk.tentative, talk.tentative_right) == (5, 2)


def test_final_words_that_the_end_does_not_have_were_taken_back() -> None:
    talk = live_reading.follow(streamed((0.9, message("final", SPOKEN)), (1.1, message("done", SPOKEN[:1]))))
    assert talk.was_taken_back
    moved = [{**SPOKEN[0], "end": 0.31}, SPOKEN[1]]
    assert live_reading.follow(streamed((0.9, message("final", SPOKEN)), (1.1, message("done", moved)))).was_taken_back


def test_errors_are_told_and_streams_that_were_cut_off_are_none() -> None:
    error = json.dumps({"type": "error", "error": {"code": "too_many_streams"}})
    assert live_reading.error_of(streamed((0.1, error))) == "error too_many_streams"
    assert live_reading.error_of(streamed((0.9, message("final", SPOKEN)))) == "ended without its words"
    assert not live_reading.error_of(streamed((0.9, message("final", SPOKEN)), counts=False))


def test_a_stream_without_words_has_no_first_word() -> None:
    talk = live_reading.follow(streamed((1.2, message("done", []))))
    assert talk.first_words_s is None and talk.word_final_s == ()


def test_a_run_in_which_nothing_ended_does_not_hold() -> None:
    figures = live_reading.read(live_load.Outcome([], 1.0, 0.0, []), 4)
    assert not figures.holds and math.isnan(figures.finalisation_s.p95) and figures.tentative_right is None


@settings(max_examples=50)
@given(st.integers(0, 400), st.integers(1, 64))
def test_the_search_for_streams_ends_just_below_the_bound(bound: int, start: int) -> None:
    tried: list[int] = []

    def holds(streams: int) -> bool:
        tried.append(streams)
        return streams <= bound

    assert live_reading.most_streams(holds, start, steps=20) == bound
    assert len(tried) == len(set(tried)), "nothing is measured twice"


def test_the_difference_of_error_rates_is_streamed_minus_offline() -> None:
    rng = np.random.default_rng(3)
    references = ["the doctor saw a patient with pain in her chest"] * 40
    speakers = [f"speaker {number // 4}" for number in range(40)]
    offline = list(references)
    streamed_texts = [text.replace(" patient", "") if rng.random() < 0.5 else text for text in references]
    told = live_reading.compare(speakers, references, offline, streamed_texts, 7)
    wrong = sum(text != references[0] for text in streamed_texts)
    assert told["offline"]["value"] == 0
    assert told["difference"]["value"] == told["streamed"]["value"] == pytest.approx(wrong / 400, abs=1e-4)
    assert told["difference"]["low"] < told["difference"]["value"] < told["difference"]["high"]
    assert told["speakers"] == 10 and told["words"] == 400
