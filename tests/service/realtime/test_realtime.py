"""`/v1/realtime` on a real port: what clients send in whatever order, and what comes back."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets.exceptions
from tests.service.http.serving import MODEL, figures
from tests.service.http.serving import until as wait_until
from tests.service.realtime.live import (
    Client,
    Event,
    StreamingWorker,
    append,
    connect,
    kinds,
    no_turns,
    receive,
    run,
    send,
    served,
    silence,
    tone,
    until,
)

from shoptalk.service.problems import Problem, not_ready

ENDS = ("conversation.item.done", "error")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a service that the tests share which change nothing of it."""
    with served() as shared:
        yield shared


def deltas(events: list[Event]) -> str:
    return "".join(event["delta"] for event in events if event["type"].endswith(".delta"))


async def committed(client: Client, pcm: bytes, pieces: int = 1) -> list[Event]:
    """All events of one item that the client commits."""
    size = len(pcm) // pieces + 1
    for start in range(0, len(pcm), size):
        await append(client, pcm[start : start + size])
    await send(client, "input_audio_buffer.commit")
    return await until(client, *ENDS)


def test_turns_are_told_by_the_server(address: str) -> None:
    async def speak(client: Client) -> list[Event]:
        await append(client, silence(1) + tone(1.2) + silence(1))
        return await until(client, *ENDS)

    events = run(address, speak)
    assert kinds(events) == [
        "session.created",
        "speech_started",
        "speech_stopped",
        "committed",
        "conversation.item.added",
        *["delta"] * (len(events) - 7),
        "completed",
        "conversation.item.done",
    ]
    started, stopped = events[1], events[2]
    assert started["audio_start_ms"] == pytest.approx(1000 - 300, abs=40)
    assert stopped["audio_end_ms"] == pytest.approx(1000 + 1200 + 500, abs=40)
    assert deltas(events) == events[-2]["transcript"]
    assert len({event["item_id"] for event in events if "item_id" in event}) == 1
    assert len({event["event_id"] for event in events}) == len(events)
    assert events[-2]["usage"] == {"type": "duration", "seconds": 3}
    assert events[-1]["item"]["content"][0]["transcript"] == events[-2]["transcript"]


@pytest.mark.parametrize("pieces", [1, 7, 100])
def test_a_client_commits_and_gets_words_before(pieces: int, address: str) -> None:
    async def speak(client: Client) -> list[list[Event]]:
        await no_turns(client)
        await until(client, "session.updated")
        return [await committed(client, tone(2.2), pieces), await committed(client, tone(0.4))]

    first, second = run(address, speak)
    assert first[-2]["transcript"] == deltas(first) == "word1 word2 word3 word4 word5"
    assert second[-2]["transcript"] == "word1"
    assert [event["previous_item_id"] for event in (first[-1], second[-1])] == [None, first[-1]["item"]["id"]]


def test_a_client_need_not_wait_for_anything(address: str) -> None:
    """LiveKit sends its update before it reads a word; others commit at once."""

    async def speak(client: Client) -> list[Event]:
        await no_turns(client)
        await append(client, tone(1.0))
        await send(client, "input_audio_buffer.commit")
        return await until(client, *ENDS)

    assert run(address, speak, "/v1/realtime?intent=transcription")[-2]["transcript"] == "word1 word2"


@pytest.mark.parametrize(
    "path, told",
    [
        ("/v1/realtime", {}),
        (f"/v1/realtime?model={MODEL}", {"model": MODEL}),
        ("/v1/realtime?intent=transcription&model=whisper-1", {"model": "whisper-1"}),
        ("/v1/realtime?model=gpt-realtime", {}),
    ],
)
def test_the_model_may_be_named_or_not(path: str, told: Event, address: str) -> None:
    created = run(address, receive, path)
    assert created["type"] == "session.created"
    assert created["session"]["audio"]["input"]["transcription"] == told


def test_models_that_clients_commit_for_have_no_turn_detection(address: str) -> None:
    created = run(address, receive, "/v1/realtime?model=gpt-realtime-whisper")
    assert created["session"]["audio"]["input"]["turn_detection"] is None


def test_an_update_to_a_model_that_is_not_there_changes_nothing(address: str) -> None:
    async def update(client: Client) -> list[Event]:
        model = {"audio": {"input": {"transcription": {"model": "unheard-of"}}}}
        await send(client, "session.update", session=model, event_id="mine")
        await send(client, "session.update", session={})
        return await until(client, "session.updated")

    _, error, updated = run(address, update)
    assert error["error"]["code"] == "model_not_found" and error["error"]["event_id"] == "mine"
    assert error["error"]["param"] == "session.audio.input.transcription.model"
    assert updated["session"]["audio"]["input"]["transcription"] == {}


def test_a_buffer_that_is_too_short_is_told_as_openai_does(address: str) -> None:
    async def speak(client: Client) -> list[Event]:
        await no_turns(client)
        await append(client, tone(0.05))
        await send(client, "input_audio_buffer.commit", event_id="c1")
        events = await until(client, *ENDS)
        return events + await committed(client, tone(0.5))  # what was there stays

    events = run(address, speak)
    error = next(event for event in events if event["type"] == "error")["error"]
    assert error["code"] == "input_audio_buffer_commit_empty" and error["event_id"] == "c1"
    assert "50.00ms" in error["message"]
    assert events[-2]["usage"]["seconds"] == 1 and events[-2]["transcript"] == "word1 word2"


def test_what_is_cleared_is_forgotten() -> None:
    worker = StreamingWorker(MODEL, Path(MODEL))

    async def speak(client: Client) -> list[Event]:
        await no_turns(client)
        await append(client, tone(3.0))
        await until(client, "conversation.item.input_audio_transcription.delta")
        await send(client, "input_audio_buffer.clear")
        await until(client, "input_audio_buffer.cleared")
        return await committed(client, tone(0.4))

    with served(worker) as address:
        assert run(address, speak)[-2]["transcript"] == "word1"
        assert [stream.closed for stream in worker.streams] == [True, True]


def test_logprobs_and_keywords() -> None:
    worker = StreamingWorker(MODEL, Path(MODEL))

    async def speak(client: Client) -> list[Event]:
        transcription = {
            "model": "gpt-transcribe",
            "keywords": ["Zoloft"],
            "prompt": "Ventolin, Zyrtec",
            "language": "en",
        }
        include = ["item.input_audio_transcription.logprobs"]
        audio = {
            "input": {"transcription": transcription, "turn_detection": None, "noise_reduction": {"type": "near_field"}}
        }
        await send(client, "session.update", session={"type": "transcription", "audio": audio, "include": include})
        return await committed(client, tone(1.2))

    with served(worker) as address:
        events = run(address, speak)
    completed = events[-2]
    assert "".join(token["token"] for token in completed["logprobs"]) == completed["transcript"]
    assert all(token["logprob"] < 0 for token in completed["logprobs"])
    assert [phrase.text for phrase in worker.streams[0].options.phrases] == ["Zoloft", "Ventolin", "Zyrtec"]


def test_words_that_may_change_are_told_to_who_asks() -> None:
    worker = StreamingWorker(MODEL, Path(MODEL))

    async def speak(client: Client, *include: str) -> list[Event]:
        audio = {"input": {"turn_detection": None}}
        session = {"type": "transcription", "audio": audio, "include": list(include)}
        await send(client, "session.update", session=session)
        await append(client, tone(1.2))
        before = await until(client, "conversation.item.input_audio_transcription.delta")
        return [*before, *await committed(client, tone(0.4))]

    with served(worker) as address:
        asking = run(address, lambda client: speak(client, "item.input_audio_transcription.tentative"))
        others = run(address, speak)
    told = [event for event in asking if event["type"].endswith(".tentative")]
    assert told and all(event["item_id"] == asking[-2]["item_id"] and "text" in event for event in told)
    assert "logprobs" not in asking[-2] and asking[-2]["start"] == 0.0
    assert not [event for event in others if event["type"].endswith(".tentative")]


def test_older_clients_are_understood(address: str) -> None:
    """`transcription_session.update` and its names, which Azure and LocalAI still have."""

    async def speak(client: Client) -> list[Event]:
        session = {
            "input_audio_format": "g711_ulaw",
            "input_audio_transcription": {"model": "whisper-1"},
            "turn_detection": None,
        }
        await send(client, "transcription_session.update", session=session)
        await append(client, b"\x00" * 8000)
        await send(client, "input_audio_buffer.commit")
        return await until(client, *ENDS)

    events = run(address, speak)
    assert kinds(events)[:2] == ["session.created", "transcription_session.updated"]
    assert events[1]["session"]["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    assert "conversation.item.created" in kinds(events) and "conversation.item.added" not in kinds(events)
    assert events[-2]["transcript"] == "word1 word2"


@pytest.mark.parametrize(
    "message, code",
    [
        ("no json", "invalid_json"),
        ("[1, 2]", "invalid_json"),
        ("[" * 100_000, "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        ("{}", "missing_required_parameter"),
        ('{"type": "response.create"}', "invalid_value"),
        ('{"type": "input_audio_buffer.append"}', "missing_required_parameter"),
        ('{"type": "input_audio_buffer.append", "audio": "?"}', "invalid_value"),
        ('{"type": "input_audio_buffer.commit"}', "input_audio_buffer_commit_empty"),
        ('{"type": "session.update"}', "missing_required_parameter"),
        ('{"type": "session.update", "session": {"type": "realtime"}}', "invalid_value"),
        ('{"type": "session.update", "session": {"audio": {"input": {"format": {"rate": 1}}}}}', "invalid_value"),
    ],
)
def test_whatever_is_wrong_is_an_error_and_the_session_goes_on(message: str | bytes, code: str, address: str) -> None:
    async def speak(client: Client) -> list[Event]:
        await client.send(message)
        events = await until(client, "error")
        await no_turns(client)
        return events + await committed(client, tone(0.4))

    events = run(address, speak)
    assert events[1]["error"]["code"] == code and events[1]["error"]["type"] == "invalid_request_error"
    assert events[-2]["transcript"] == "word1"


@pytest.mark.parametrize(
    "fault", [not_ready("no worker"), Problem(500, "it died", code="x"), RuntimeError("SECRET-WORDS")]
)
def test_a_committed_item_always_gets_its_end(fault: Exception) -> None:
    """Also if its stream failed before the commit; the next one goes on."""
    worker = StreamingWorker(MODEL, Path(MODEL))
    worker.stream_faults = [fault]

    async def speak(client: Client) -> list[list[Event]]:
        await no_turns(client)
        return [await committed(client, tone(3.0), 4), await committed(client, tone(0.4))]

    with served(worker) as address:
        failed, fine = run(address, speak)
    assert kinds(failed)[-4:] == ["committed", "conversation.item.added", "failed", "conversation.item.done"]
    assert failed[-2]["item_id"] == failed[-1]["item"]["id"] and failed[-1]["item"]["status"] == "incomplete"
    assert failed[-2]["error"]["code"] and "SECRET" not in str(failed)
    assert fine[-2]["transcript"] == "word1"


def test_a_client_that_is_gone_frees_its_stream_at_once() -> None:
    worker = StreamingWorker(MODEL, Path(MODEL))
    worker.held = True

    async def leave(address: str) -> None:
        async with connect(address) as client:
            await no_turns(client)
            await append(client, tone(3.0))
            await send(client, "input_audio_buffer.commit")
            await until(client, "input_audio_buffer.committed")
            while not worker.streams:
                await asyncio.sleep(0.01)
            client.transport.abort()

    with served(worker) as address:
        asyncio.run(leave(address))
        wait_until(lambda: worker.streams[0].closed, 2)
        wait_until(lambda: figures(f"http://{address}")["shoptalk_live_sessions"] == 0, 2)
        assert figures(f"http://{address}")["shoptalk_live_items_total:499"] == 1


# ---- who is let in


def refused(address: str, path: str = "/v1/realtime", **options: Any) -> tuple[int, str]:
    """Status and code of a refusal."""
    with pytest.raises(websockets.exceptions.InvalidStatus) as error:
        run(address, receive, path, **options)
    response = error.value.response
    assert response.headers["x-request-id"]
    return response.status_code, json.loads(response.body)["error"]["code"]


def test_the_key_is_asked_for_in_a_header_or_in_the_subprotocol() -> None:
    async def chosen(client: Client) -> str | None:
        assert (await receive(client))["type"] == "session.created"
        return client.subprotocol

    with served(api_key="secret") as address:
        assert refused(address) == (401, "invalid_api_key")
        assert refused(address, additional_headers={"Authorization": "Bearer other"}) == (401, "invalid_api_key")
        assert run(address, chosen, additional_headers={"Authorization": "Bearer secret"}) is None
        key = "openai-insecure-api-key.secret"
        assert run(address, chosen, subprotocols=["realtime", key, "openai-beta.realtime-v1"]) == "realtime"
        assert run(address, chosen, subprotocols=[key]) == key
        assert refused(address, subprotocols=["realtime", key + "x"]) == (401, "invalid_api_key")


def test_a_model_or_a_parameter_that_is_not_there_is_refused(address: str) -> None:
    assert refused(address, "/v1/realtime?model=unheard-of") == (404, "model_not_found")
    assert refused(address, "/v1/stream?model=unheard-of") == (404, "model_not_found")
    assert refused(address, "/v1/stream?rate=1") == (400, "invalid_value")
    assert refused(address, "/v1/stream?volume=11") == (400, "unknown_field")
    assert figures(f"http://{address}")["shoptalk_errors_total"] >= 4


@pytest.mark.parametrize("path", ["/v1/realtime", "/v1/stream"])
def test_a_web_page_of_another_origin_cannot_use_a_service_without_keys(path: str) -> None:
    async def opened(client: Client) -> bool:
        return True

    with served(cors_origins=["https://notes.example.org"]) as address:
        assert refused(address, path, origin="https://evil.example.org") == (403, "origin_not_allowed")
        assert refused(address, path, origin="null") == (403, "origin_not_allowed")
        assert run(address, opened, path, origin="https://notes.example.org")
        assert run(address, opened, path, origin=f"http://{address}")
        # a page that gave its own name this address
        rebound = {"Host": "evil.example.org"}
        assert refused(address, path, origin="http://evil.example.org", additional_headers=rebound)[0] == 403
    with served(api_key="secret") as address:  # here the page must know the key
        key = "openai-insecure-api-key.secret"
        assert run(address, opened, path, origin="https://any.example.org", subprotocols=["realtime", key])


def test_large_messages_and_long_sessions_end() -> None:
    async def too_large(client: Client) -> int | None:
        with pytest.raises(websockets.exceptions.ConnectionClosed):
            await append(client, bytes(10**6))
            await until(client, "error")
        return client.close_code

    async def too_long(client: Client) -> tuple[list[Event], int | None]:
        await no_turns(client)
        await append(client, tone(1.0))
        events = await until(client, *ENDS)
        events += await until(client, *ENDS)
        with pytest.raises(websockets.exceptions.ConnectionClosed):
            await receive(client)
        return events, client.close_code

    with served(live_message_mb=0.5, live_max_s=0.5) as address:
        assert run(address, too_large) == 1009
        events, code = run(address, too_long)
    assert next(event for event in events if event["type"] == "error")["error"]["code"] == "session_expired"
    assert events[-2]["transcript"] == "word1 word2" and code == 1001
