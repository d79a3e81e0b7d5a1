"""Bounds of live connections, what is noted of them, and how they end when the service stops."""

import asyncio
import base64
import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

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
    no_turns,
    receive,
    run,
    send,
    served,
    stoppable,
    tone,
    until,
)

from shoptalk.service.access import keys
from shoptalk.service.access.callers import Limits
from shoptalk.service.access.kept import Keeper

DONE = "conversation.item.done"


def keyed(folder: Path, **limits: float) -> tuple[Path, dict[str, str]]:
    """A file of one key, and the headers that carry it."""
    file = folder / "keys.jsonl"
    text = keys.add(file, "ward 7", ["transcribe"], Limits(**limits), now=datetime.now(UTC))  # type: ignore[arg-type]
    return file, {"Authorization": f"Bearer {text}"}


def test_who_sends_too_fast_is_slowed_down_and_loses_nothing() -> None:
    """A model that takes nothing for a while: the service stops reading, and five minutes of audio wait outside."""
    worker = StreamingWorker(MODEL, Path(MODEL))
    worker.held = True

    async def speak(client: Client) -> tuple[bool, Event]:
        await no_turns(client)
        await until(client, "session.updated")
        sending = asyncio.create_task(send_all(client))
        await asyncio.sleep(1.0)
        was_held = not sending.done()
        worker.held = False
        await sending
        return was_held, (await until(client, DONE))[-2]

    async def send_all(client: Client) -> None:
        piece = tone(1.0)
        for _ in range(300):
            await append(client, piece)
        await send(client, "input_audio_buffer.commit")

    with served(worker, live_backlog_s=5.0) as address:
        was_held, completed = run(address, speak)
    assert was_held
    assert completed["usage"]["seconds"] == 300 and completed["transcript"].endswith("word600")


def test_words_are_sent_before_the_close_when_the_service_stops() -> None:
    async def speak(address: str, stop: Callable[[], None]) -> tuple[list[Event], int | None]:
        async with connect(address) as client, asyncio.timeout(20):
            await no_turns(client)
            await append(client, tone(1.2))
            events = await until(client, "conversation.item.input_audio_transcription.delta")
            stop()
            events += await until(client, DONE)
            with pytest.raises(websockets.exceptions.ConnectionClosed):
                await receive(client)
            return events, client.close_code

    async def plain(address: str, stop: Callable[[], None]) -> tuple[list[Event], int | None]:
        async with connect(address, "/v1/stream") as client, asyncio.timeout(20):
            await client.send(tone(1.2, 16_000))
            answers = [await receive(client)]
            stop()
            while answers[-1]["type"] != "done":
                answers.append(await receive(client))
            with pytest.raises(websockets.exceptions.ConnectionClosed):
                await receive(client)
            return answers, client.close_code

    with stoppable(StreamingWorker(MODEL, Path(MODEL))) as (address, stop):
        events, code = asyncio.run(speak(address, stop))
    assert events[-2]["transcript"] == "word1 word2 word3" and code == 1001
    with stoppable(StreamingWorker(MODEL, Path(MODEL))) as (address, stop):
        answers, code = asyncio.run(plain(address, stop))
    assert answers[-1]["text"] == "word1 word2 word3" and code == 1001


def test_a_client_that_answers_no_ping_or_reads_nothing_is_cut_off() -> None:
    worker = StreamingWorker(MODEL, Path(MODEL))
    with served(worker, live_ping_s=0.3) as address:
        host, port = address.split(":")
        with socket.create_connection((host, int(port))) as silent:
            silent.sendall(
                f"GET /v1/realtime HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            silent.settimeout(10)
            came = b"".join(iter(lambda: silent.recv(10_000), b""))
    assert b"101" in came and b"session.created" in came


def test_a_key_has_so_many_sessions_and_so_much_audio(tmp_path: Path) -> None:
    file, headers = keyed(tmp_path, concurrent=1, audio_s_per_minute=60.0)
    worker = StreamingWorker(MODEL, Path(MODEL))

    async def speak(address: str) -> tuple[int, float]:
        async with connect(address, additional_headers=headers) as client, asyncio.timeout(20):
            await no_turns(client)
            with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
                async with connect(address, additional_headers=headers):
                    pass
            loop = asyncio.get_running_loop()
            await append(client, tone(61.5))  # overdraws the minute's allowance
            await append(client, tone(1.0))
            await send(client, "input_audio_buffer.commit")
            await until(client, "conversation.item.input_audio_transcription.delta")
            began_s = loop.time()
            await until(client, DONE)
            return refused.value.response.status_code, loop.time() - began_s

    with served(worker, keys_file=file) as address:
        status, waited_s = asyncio.run(speak(address))
    assert status == 429
    assert waited_s > 1.0, "1.5 s were overdrawn, and are made up at a second each second"


def test_sessions_and_items_are_counted_and_audited(tmp_path: Path) -> None:
    async def speak(client: Client) -> list[Event]:
        await no_turns(client)
        await append(client, tone(2.0))
        await send(client, "input_audio_buffer.commit")
        return await until(client, DONE)

    audit = tmp_path / "audit.jsonl"
    with served(audit_file=audit) as address:
        events = run(address, speak)
        values = figures(f"http://{address}")
        wait_until(lambda: audit.is_file() and len(audit.read_text().splitlines()) == 2)
    item, session = map(json.loads, audit.read_text().splitlines())
    assert item["request_id"] == events[-1]["item"]["id"] and item["route"] == "/v1/realtime"
    assert (item["status"], item["audio_s"], item["model"]) == (200, 2.0, MODEL)
    assert (session["status"], session["audio_s"], session["route"]) == (101, 0.0, "/v1/realtime")
    assert values["shoptalk_live_items_total:200"] == 1 and values["shoptalk_audio_seconds_total"] == 2.0
    assert values["shoptalk_words_total"] == 4 and values["shoptalk_live_final_seconds_count"] == 1


def test_items_of_keys_that_agreed_are_kept_under_their_ids(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text(base64.b64encode(bytes(32)).decode())
    file = tmp_path / "keys.jsonl"
    text = keys.add(file, "ward 7", ["transcribe"], Limits(), now=datetime.now(UTC), keep_audio=True)

    async def speak(client: Client) -> list[Event]:
        await no_turns(client)
        await append(client, tone(2.0))
        await send(client, "input_audio_buffer.commit")
        return await until(client, DONE)

    kept = tmp_path / "kept"
    with served(keys_file=file, keep_audio_dir=kept, keep_audio_key=secret) as address:
        events = run(address, speak, additional_headers={"Authorization": f"Bearer {text}"})
        keeper = Keeper(kept, bytes(32), 1.0, lambda: datetime.now(UTC))
        wait_until(lambda: any(kept.iterdir()))
    [file] = kept.iterdir()
    recording = keeper.read(file.name)
    assert recording is not None
    assert recording.request_id == events[-1]["item"]["id"]
    assert recording.recognition.text == "word1 word2 word3 word4"
