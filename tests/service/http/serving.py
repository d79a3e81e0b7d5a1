"""A recogniser without a model, the app on a real loopback port, and recordings in many formats."""

import io
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import av
import httpx
import numpy as np
import openai
import uvicorn
from fastapi import FastAPI

from shoptalk.core.protocols import Options, Recognizer
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.service.access.access import open_access
from shoptalk.service.http.app import create_app
from shoptalk.service.model.owner import models_of
from shoptalk.service.server import configuration
from shoptalk.service.settings import Settings
from shoptalk.service.telemetry.watching import Telemetry

MODEL = "tiny-tuned"
CODECS = {"wav": "pcm_s16le", "flac": "flac", "mp3": "libmp3lame", "ogg": "libopus"}


class FakeRecognizer:
    """Hears the length of a recording in tenths of a second; `gate` holds it up, `bad` lengths and `broken` fail."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.threads: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.bad: frozenset[int] = frozenset()
        self.broken = False

    def recognize(self, audio: Sequence[Samples], options: Sequence[Options] = ()) -> list[Recognition]:
        self.gate.wait(20)
        self.threads.add(threading.get_ident())
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


def app_of(recognizer: Recognizer, settings: Settings, *, api_key: str | None = None) -> FastAPI:
    """The app around a recogniser in this process."""
    telemetry = Telemetry([MODEL])
    models = models_of(recognizer, settings, name=MODEL, metrics=telemetry.metrics, created=1_700_000_000)
    return create_app(models, settings, access=open_access(settings, api_key), telemetry=telemetry)


@contextmanager
def served(
    recognizer: FakeRecognizer, *, api_key: str | None = None, wait: bool = True, **options: Any
) -> Iterator[str]:
    """The base URL of the app on an ephemeral loopback port."""
    settings = Settings(**{"drain_s": 10, **options})
    app = app_of(recognizer, settings, api_key=api_key)
    server = uvicorn.Server(configuration(app, settings))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        until(lambda: server.started)
        if wait:
            until(lambda: httpx.get(url + "/health/ready").status_code == 200)
        try:
            yield url
        finally:
            recognizer.gate.set()
            server.should_exit = True
            thread.join(20)


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
