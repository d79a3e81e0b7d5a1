"""The service with streams of this process, on a real port, and clients of its WebSockets."""

import asyncio
import base64
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import uvicorn
import websockets.asyncio.client as websockets
from tests.service.http.serving import MODEL, answering, models_of
from tests.service.http.serving import until as wait_until
from tests.service.model.fake_stream import FakeStream
from tests.service.model.fakes import FakeWorker

from shoptalk.core.protocols import LIVE_FRAME, PLAIN, Options, Partial
from shoptalk.core.records import Samples
from shoptalk.service.access.access import Access
from shoptalk.service.app import create_app
from shoptalk.service.server import configuration
from shoptalk.service.settings import Settings
from shoptalk.service.telemetry.watching import Telemetry

RATE_HZ = 24_000
Event = dict[str, Any]
Client = websockets.ClientConnection


class LoudVad:
    """What is loud is speech."""

    def probabilities(self, samples_S: Samples) -> npt.NDArray[np.float32]:
        frames_NT = samples_S.reshape(-1, LIVE_FRAME)
        return (np.abs(frames_NT).max(axis=1) > 0.1).astype(np.float32)


class StreamingWorker(FakeWorker):
    """A `FakeWorker` whose next streams meet with `stream_faults`, and wait while it is `held`."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.stream_faults: list[Exception] = []
        self.held = False

    async def open_stream(self, options: Options = PLAIN, *, caller: str = "") -> FakeStream:
        stream = HeldStream(options, caller)
        stream.worker = self
        stream.fault = self.stream_faults.pop(0) if self.stream_faults else None
        self.streams.append(stream)
        return stream


class HeldStream(FakeStream):
    """Waits while its worker is held."""

    worker: StreamingWorker

    async def feed(self, samples_S: Samples, *, last: bool = False) -> Partial:
        while self.worker.held:
            await asyncio.sleep(0.01)
        return await super().feed(samples_S, last=last)


@contextmanager
def served(worker: FakeWorker | None = None, *, api_key: str | None = None, **options: Any) -> Iterator[str]:
    """The address of a service without its scheme, such as ``127.0.0.1:1234``."""
    settings = Settings(**{"drain_s": 10, "golden_check": False, **options})
    models = models_of(worker or StreamingWorker(MODEL, Path(MODEL)), settings)
    access = Access(api_key, settings)
    app = create_app(models, settings, access=access, telemetry=Telemetry([MODEL]), new_vad=LoudVad)
    with answering(app, settings) as url:
        yield url.removeprefix("http://")


@contextmanager
def stoppable(worker: FakeWorker, **options: Any) -> Iterator[tuple[str, Callable[[], None]]]:
    """The address of a service, and what tells it to stop as SIGTERM does."""
    settings = Settings(**{"drain_s": 10, "golden_check": False, **options})
    telemetry = Telemetry([MODEL])
    models = models_of(worker, settings)
    app = create_app(models, settings, access=Access(None, settings), telemetry=telemetry, new_vad=LoudVad)
    server = uvicorn.Server(configuration(app, settings))
    app.state.stopping = lambda: server.should_exit
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        wait_until(lambda: server.started and httpx.get(f"http://{address}/health/ready").status_code == 200)
        yield address, lambda: setattr(server, "should_exit", True)
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def run(address: str, client: Callable[[Client], Awaitable[Any]], path: str = "/v1/realtime", **options: Any) -> Any:
    """What a client of a WebSocket returns."""

    async def connected() -> Any:
        async with connect(address, path, **options) as websocket, asyncio.timeout(60):
            return await client(websocket)

    return asyncio.run(connected())


@asynccontextmanager
async def connect(address: str, path: str = "/v1/realtime", **options: Any) -> AsyncIterator[Client]:
    async with websockets.connect(f"ws://{address}{path}", **options) as websocket:
        yield websocket


async def send(client: Client, kind: str, **told: Any) -> None:
    await client.send(json.dumps({"type": kind, **told}))


async def receive(client: Client) -> Event:
    event: Event = json.loads(await client.recv())
    return event


async def until(client: Client, *kinds: str) -> list[Event]:
    """All events up to the first of these kinds."""
    events = [await receive(client)]
    while events[-1]["type"] not in kinds:
        events.append(await receive(client))
    return events


async def append(client: Client, pcm: bytes) -> None:
    await send(client, "input_audio_buffer.append", audio=base64.b64encode(pcm).decode())


async def no_turns(client: Client) -> None:
    await send(
        client, "session.update", session={"type": "transcription", "audio": {"input": {"turn_detection": None}}}
    )


def tone(seconds: float, rate_hz: int = RATE_HZ) -> bytes:
    """Loud PCM."""
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    return (16_000 * np.sin(2 * np.pi * 440 * times)).astype("<i2").tobytes()


def silence(seconds: float, rate_hz: int = RATE_HZ) -> bytes:
    return bytes(2 * round(seconds * rate_hz))


def kinds(events: list[Event]) -> list[str]:
    """The types of events, without what they have in common."""
    return [
        event["type"].removeprefix("conversation.item.input_audio_transcription.").removeprefix("input_audio_buffer.")
        for event in events
    ]
