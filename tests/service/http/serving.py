"""A recogniser without a model, the app on a real loopback port, and recordings in many formats.

What clients meet needs no worker process; `test_with_a_worker` has one.
"""

import asyncio
import io
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import openai
import uvicorn
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from shoptalk.core.protocols import PLAIN, ObjectStore, Options, Recognizer
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.service.access.access import Access
from shoptalk.service.app import create_app
from shoptalk.service.model.differences import Difference
from shoptalk.service.model.models import Models
from shoptalk.service.model.served import About, Worker
from shoptalk.service.model.work import Work
from shoptalk.service.problems import Problem
from shoptalk.service.server import configuration
from shoptalk.service.settings import Settings
from shoptalk.service.store import open_store
from shoptalk.service.telemetry.watching import Telemetry

MODEL = "tiny-tuned"
RECEIVE_BYTES = 256 * 1024
"""What the system holds of a connection that the service does not read; its own choice may be 32 MiB."""
SILENCE_T: Samples = np.zeros(16_000, np.float32)
CODECS = {"wav": "pcm_s16le", "flac": "flac", "mp3": "libmp3lame", "ogg": "libopus"}


class FakeRecognizer:
    """Hears the length of a recording in tenths of a second; `gate` holds it up, `bad` lengths and `broken` fail."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.bad: frozenset[int] = frozenset()
        self.broken = False

    def recognize(self, audio: Sequence[Samples], options: Sequence[Options] = ()) -> list[Recognition]:
        self.gate.wait(20)
        self.batches.append(len(audio))
        tenths = [round(samples.size / 1600) for samples in audio]
        if self.broken or self.bad & set(tenths):
            raise RuntimeError("the patient said SECRET-WORDS")
        return [heard(t) for t in tenths]


def heard(tenths: int) -> Recognition:
    words = (Word(word="It", start_s=0.0, end_s=0.1), Word(word=f"lasts {tenths}.", start_s=0.2, end_s=0.4))
    return Recognition(text=f"It lasts {tenths}.", words=(*words, Word(word="Yes", start_s=0.5, end_s=0.6)))


def recording(seconds: float, form: str = "wav", rate_hz: int = 16_000, channels: int = 1) -> bytes:
    """A tone in the given container."""
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    tone = (8000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16)[None].repeat(channels, axis=1)
    layout = "stereo" if channels == 2 else "mono"
    out = io.BytesIO()
    with av.open(out, "w", format=form) as container:
        stream: Any = container.add_stream(CODECS[form], rate=rate_hz, layout=layout)
        frame = av.AudioFrame.from_ndarray(tone, format="s16", layout=layout)
        frame.sample_rate = rate_hz
        resampler = av.AudioResampler(stream.format, stream.layout, rate_hz, stream.codec_context.frame_size or None)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return out.getvalue()


class InProcess:
    """A `Worker` around a recogniser of this process: one recording after the other, on a thread.

    A recording whose task is cancelled before its turn is not recognised.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        self.name = MODEL
        self.restarts = 0
        self.start_seconds: dict[str, float] = {}
        self.ready = False
        self._recognizer = recognizer
        self._turns = ThreadPoolExecutor(1)

    async def start(self) -> None:
        await self._recognized(SILENCE_T, PLAIN)
        self.ready = True

    async def transcribe(self, work: Work) -> Recognition:
        if not self.ready:
            raise Problem(503, "the model stopped; try again", code="not_ready")
        try:
            return await self._recognized(work.samples_T, work.options)
        except RuntimeError:
            await self._look_whether_it_is_broken()
            raise Problem(500, "this recording could not be recognised", code="recognition_failed") from None

    async def stop(self) -> None:
        self.ready = False
        self._turns.shutdown(wait=False, cancel_futures=True)

    async def _recognized(self, samples_T: Samples, options: Options) -> Recognition:
        loop = asyncio.get_running_loop()
        [recognition] = await loop.run_in_executor(self._turns, self._recognizer.recognize, [samples_T], [options])
        return recognition

    async def _look_whether_it_is_broken(self) -> None:
        try:
            await self._recognized(SILENCE_T, PLAIN)
        except RuntimeError:
            self.ready = False


class _OneModel:
    """A `Source` of one worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def about(self, path: Path) -> About:
        return About(lambda expected, text: Difference(0, 0), created=1_700_000_000)

    def worker(self, name: str, path: Path) -> Worker:
        return self._worker


def models_of(worker: Worker, settings: Settings) -> Models:
    """A worker as the only model of a service."""
    return Models({MODEL: Path(MODEL)}, _OneModel(worker), settings, rng=np.random.default_rng(0))


def app_of(
    recognizer: Recognizer,
    settings: Settings,
    *,
    api_key: str | None = None,
    objects: ObjectStore | None = None,
) -> FastAPI:
    """The app around a recogniser in this process, with a store where the settings name one."""
    models = models_of(InProcess(recognizer), settings)
    access, telemetry, store = Access(api_key, settings), Telemetry([MODEL]), open_store(settings)
    return create_app(models, settings, access=access, telemetry=telemetry, store=store, objects=objects)


@contextmanager
def served(
    recognizer: FakeRecognizer,
    *,
    api_key: str | None = None,
    wait: bool = True,
    objects: ObjectStore | None = None,
    **options: Any,
) -> Iterator[str]:
    """The base URL of the app around a recogniser in this process, on an ephemeral loopback port."""
    settings = Settings(**{"drain_s": 10, **options})
    with answering(app_of(recognizer, settings, api_key=api_key, objects=objects), settings, wait=wait) as url:
        try:
            yield url
        finally:
            recognizer.gate.set()


@contextmanager
def answering(app: FastAPI, settings: Settings, *, wait: bool = True) -> Iterator[str]:
    """The base URL of an app on an ephemeral loopback port, once it is ready or without waiting for that."""
    server = uvicorn.Server(configuration(app, settings))
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            until(lambda: server.started)
            if wait:
                until(lambda: httpx.get(url + "/health/ready").status_code == 200)
            yield url
        finally:
            server.should_exit = True
            thread.join(20)


def figures(url: str) -> dict[str, float]:
    """Values of the figures by name; those of requests also by status, as ``NAME:STATUS``."""
    families = text_string_to_metric_families(httpx.get(url + "/metrics").text)
    values: dict[str, float] = {}
    for family in families:
        for sample in family.samples:
            status = sample.labels.get("status")
            name = f"{sample.name}:{status}" if status else sample.name
            values[name] = values.get(name, 0.0) + sample.value
    return values


def until(condition: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it did not come true in time")
        time.sleep(0.01)


def is_ready(port: int) -> bool:
    """Whether a server process on this port has its model ready."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def client(url: str, api_key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=url + "/v1", api_key=api_key, max_retries=0, timeout=30)
