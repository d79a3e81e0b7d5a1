"""Malformed and untimely events of a seeded chance, sent to the real WebSockets on a loopback socket.

    python -m tests.service.realtime.live_fuzz [10000]

sends so many by hand and counts what came of them; `test_live_fuzz.py` sends a few. 10,000 were sent once, on
2026-11-27, over 833 connections: 656 had their recording transcribed after all, 177 hung up, and none was stuck. Client
and service together, in one process, held 199 MiB at most.

Whatever comes, the session goes on: after all of it, a recording is transcribed on the same connection. Only a client
that hangs up, or whose bytes are no WebSocket, is left alone; its streams are closed.
"""

import asyncio
import base64
import collections
import json
import random
import resource
import sys
from pathlib import Path
from typing import Any

import websockets.exceptions
from tests.service.http.serving import MODEL, figures
from tests.service.http.serving import until as wait_until
from tests.service.realtime.live import Client, StreamingWorker, connect, receive, send, served, tone

from shoptalk.service.problems import not_ready

PATIENCE_S = 30.0
EVENTS = 25
"""Of one connection."""
AT_ONCE = 8
TYPES = [
    "session.update",
    "transcription_session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "response.create",
    "conversation.item.create",
    "end",
    "",
    "\u0000",
    None,
    7,
]
KEYS = ["type", "session", "audio", "input", "format", "turn_detection", "transcription", "include", "event_id", "rate"]
VALUES: list[Any] = [
    None,
    True,
    -1,
    1e308,
    float("nan"),
    "",
    "x" * 1000,
    "server_vad",
    "audio/pcm",
    "transcription",
    [],
    {},
    [{}] * 50,
    "\ud800",
]


def value(rng: random.Random, depth: int = 0) -> Any:
    """Any JSON, mostly of the words that a session knows."""
    if depth > 3 or rng.random() < 0.4:
        return rng.choice(VALUES)
    if rng.random() < 0.2:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(KEYS): value(rng, depth + 1) for _ in range(rng.randrange(4))}


def audio(rng: random.Random) -> str:
    """Base64, sometimes nearly."""
    size = rng.choice([0, 1, 2, 3, 333, 4_800, 48_000, 200_000])
    content = rng.choice([bytes(size), rng.randbytes(size), tone(size / 48_000)])
    text = base64.b64encode(content).decode()
    return rng.choice([text, text, text, text[:-1], text + "=", "é" + text])


def configuration(rng: random.Random) -> dict[str, Any]:
    """A session that may be in force, or not quite."""
    vads = [None, {"type": "server_vad"}, {"type": "server_vad", "silence_duration_ms": 100}, {"type": "semantic_vad"}]
    formats = [{"type": "audio/pcm"}, {"type": "audio/pcmu"}, {"type": "audio/pcm", "rate": 16_000}]
    input_ = {
        "turn_detection": rng.choice([*vads, value(rng)]),
        "format": rng.choice([*formats, value(rng)]),
        "transcription": rng.choice([{"model": MODEL, "keywords": ["a"]}, {"model": "unheard-of"}, value(rng)]),
    }
    chosen = {key: input_[key] for key in rng.sample(sorted(input_), rng.randrange(1, 4))}
    return {"type": "transcription", "audio": {"input": chosen}}


def message(rng: random.Random) -> str | bytes:
    """One message of a client that does as it pleases."""
    kind = rng.randrange(10)
    if kind < 3:
        return json.dumps({"type": "input_audio_buffer.append", "audio": audio(rng)})
    if kind < 5:
        return json.dumps({"type": rng.choice(TYPES[3:5]), "event_id": rng.choice(VALUES)})
    if kind < 7:
        return json.dumps({"type": "session.update", "session": configuration(rng), "event_id": "e"})
    if kind == 7:
        return json.dumps({"type": rng.choice(TYPES), **{rng.choice(KEYS[1:]): value(rng) for _ in range(3)}})
    whole = json.dumps({"type": rng.choice(TYPES), "session": configuration(rng)})
    cut = whole[: rng.randrange(len(whole))]
    return rng.choice([cut, cut.encode() + b"\xff", rng.randbytes(50), "[" * 5_000, json.dumps(value(rng)), ""])


async def talk(address: str, rng: random.Random, worker: StreamingWorker) -> str:
    """What came of one connection; `AssertionError` or a time-out for one that is stuck."""
    async with connect(address, rng.choice(["/v1/realtime", f"/v1/realtime?model={MODEL}"])) as client:
        reading = asyncio.create_task(drain(client))
        if rng.random() < 0.3:
            worker.stream_faults += [rng.choice([not_ready("it died"), RuntimeError("it broke")])]
        for _ in range(rng.randrange(EVENTS)):
            await client.send(message(rng))
        if rng.random() < 0.2:
            reading.cancel()
            client.transport.abort()
            return "left"
        mark = rng.random()
        plain = {"type": "audio/pcm", "rate": 24_000}
        noise = {"type": "near_field", "strength": mark}
        input_ = {"turn_detection": None, "format": plain, "noise_reduction": noise, "transcription": None}
        await send(client, "session.update", session={"audio": {"input": input_}})
        await send(client, "input_audio_buffer.clear")
        await send(client, "input_audio_buffer.append", audio=base64.b64encode(tone(0.4)).decode())
        await send(client, "input_audio_buffer.commit")
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        return await answered(client, mark)


async def drain(client: Client) -> None:
    while True:
        await receive(client)


async def answered(client: Client, mark: float) -> str:
    """Read until the recording behind the mark has its text."""
    async with asyncio.timeout(PATIENCE_S):
        is_marked, item_id = False, ""
        while True:
            event = await receive(client)
            if event["type"] == "session.updated":
                noise = event["session"]["audio"]["input"]["noise_reduction"]
                is_marked = is_marked or bool(noise and noise.get("strength") == mark)
            elif is_marked and event["type"] == "input_audio_buffer.cleared":
                item_id = "next"
            elif item_id == "next" and event["type"] == "input_audio_buffer.committed":
                item_id = event["item_id"]
            elif event.get("item_id") == item_id and event["type"].endswith((".completed", ".failed")):
                assert event.get("transcript", "word1") == "word1", event  # a fault may be meant for another connection
                return "answered"


async def stream(address: str, rng: random.Random) -> str:
    """The same for `/v1/stream`."""
    async with connect(address, "/v1/stream") as client, asyncio.timeout(PATIENCE_S):
        for _ in range(rng.randrange(EVENTS)):
            is_audio = rng.random() < 0.5
            await client.send(rng.randbytes(rng.choice([0, 1, 3_201])) if is_audio else "[" * rng.randrange(5_000))
        if rng.random() < 0.2:
            client.transport.abort()
            return "left"
        told = {"type": ""}
        try:
            await client.send('{"type": "end"}')
            while told["type"] != "done":
                told = await receive(client)
        except websockets.exceptions.ConnectionClosed:
            assert told["type"] == "error" and client.close_code == 1011, "a fault ends a plain stream"
        return "answered"


async def talk_all(address: str, seeds: list[int], worker: StreamingWorker) -> collections.Counter[str]:
    """Many connections, some of them at once."""
    outcomes: collections.Counter[str] = collections.Counter()
    places = asyncio.Semaphore(AT_ONCE)

    async def one_of(seed: int) -> None:
        rng = random.Random(seed)
        async with places:
            try:
                outcome = await (stream(address, rng) if seed % 10 == 0 else talk(address, rng, worker))
            except websockets.exceptions.ConnectionClosed as error:
                outcome = f"closed {error.rcvd.code if error.rcvd else None}"
            outcomes[outcome] += 1

    await asyncio.gather(*(one_of(seed) for seed in seeds))
    return outcomes


def run_all(count: int) -> collections.Counter[str]:
    """About so many events; at the end no session and no stream is left."""
    worker = StreamingWorker(MODEL, Path(MODEL))
    with served(worker) as address:
        outcomes = asyncio.run(talk_all(address, list(range(max(1, count // (EVENTS // 2)))), worker))
        wait_until(lambda: figures(f"http://{address}")["shoptalk_live_sessions"] == 0)
        wait_until(lambda: all(fed.closed or fed.ended for fed in worker.streams))
    return outcomes


if __name__ == "__main__":
    told = run_all(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
    print(dict(told), f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB at most")
