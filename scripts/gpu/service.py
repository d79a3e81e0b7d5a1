"""The step that serves: 64 clips at once over HTTP, to a worker process whose engine is on the device."""

import json
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from scripts.gpu.correctness import GENERAL, TINY
from scripts.gpu.kit import ROOT, choose_recordings
from scripts.gpu.record import Differs, Record, Setting

from shoptalk.core import audio
from shoptalk.core.recipe import ON_A_GPU, EngineSection, Recipe
from shoptalk.engine.recognizer import Engine
from shoptalk.service.access.access import Access
from shoptalk.service.app import create_app
from shoptalk.service.http.transcriptions import TRANSCRIPTIONS
from shoptalk.service.model.models import Models
from shoptalk.service.settings import Settings
from shoptalk.service.telemetry.watching import Telemetry
from shoptalk.stages import served_models

CLIENTS = 64
BATCH = 32
START_S = 60.0


def service(record: Record, setting: Setting) -> None:
    """First by plain PyTorch, then by graphs and device decoding, which the recipe refuses on a CPU."""
    lines = choose_recordings((GENERAL / "test.jsonl").read_text(encoding="utf-8").splitlines())[:CLIENTS]
    clips = [GENERAL / json.loads(line)["audio_filepath"] for line in lines]
    expected = [recognition.text for recognition in Engine(TINY).recognize([audio.decode(clip) for clip in clips])]
    record.part("plain", lambda: answered(setting, (), clips, expected))
    if not setting.rehearsed:
        chosen = ("cuda_graphs", "device_decoding")
        record.part("graphs_and_decoding", lambda: answered(setting, chosen, clips, expected))


def answered(setting: Setting, chosen: Collection[str], clips: list[Path], expected: list[str]) -> dict[str, Any]:
    """Seconds until an answer, after one round that warms it up; the answers are those of the engine on a CPU."""
    paths = {key: key in chosen for key in ON_A_GPU}
    with served(EngineSection(device=setting.device, beam=1, fill_holes=False, **paths)) as url:
        answers, whole_s = asked_together(url, clips, rounds=1 if setting.rehearsed else 2)
    different = [
        f"{text!r} for {wanted!r}" for (text, _), wanted in zip(answers, expected, strict=True) if text != wanted
    ]
    if different:
        raise Differs(f"{len(different)} of {len(expected)} answers differ: {'; '.join(different[:5])}")
    taken_s = sorted(seconds for _, seconds in answers)
    audio_s = sum(audio.decode(clip).size for clip in clips) / audio.SAMPLE_RATE_HZ
    return {
        "clients": len(clips),
        "p50_ms": round(1e3 * statistics.median(taken_s), 1),
        "p95_ms": round(1e3 * taken_s[round(0.95 * (len(taken_s) - 1))], 1),
        "audio_s": round(audio_s, 1),
        "audio_s_per_s": round(audio_s / whole_s, 1),
    }


def asked_together(url: str, clips: list[Path], *, rounds: int) -> tuple[list[tuple[str, float]], float]:
    """Text and seconds of each clip, all sent at once, and seconds until the last answer; of the last round.

    The clients are a process of their own: in the service's they would take its turns.
    """
    command = [sys.executable, "-m", "scripts.gpu.clients", url, str(rounds), *map(str, clips)]
    told = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False, timeout=START_S)
    if told.returncode:
        raise Differs(f"the clients ended with status {told.returncode}")
    result = json.loads(told.stdout.splitlines()[-1])
    return [(text, seconds) for text, seconds in result["answers"]], result["whole_s"]


@contextmanager
def served(engine: EngineSection) -> Iterator[str]:
    """The address of transcriptions, on a loopback port, while the service runs in a thread."""
    settings, telemetry = Settings(queue=CLIENTS, batch=BATCH), Telemetry(["check"])
    models = served_models.open_models(
        {"check": TINY}, Recipe(engine=engine), settings, observe=telemetry.metrics.batches_of
    )
    app = create_app(models, settings, access=Access(), telemetry=telemetry)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            wait_until_ready(base, models)
            yield base + TRANSCRIPTIONS
        finally:
            server.should_exit = True
            thread.join(10)


def wait_until_ready(base: str, models: Models) -> None:
    """Raises the model's own error where it could not be opened."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if models.error:
            raise models.error
        try:
            if httpx.get(f"{base}/health/ready", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise Differs(f"the service was not ready after {START_S:.0f} s")
