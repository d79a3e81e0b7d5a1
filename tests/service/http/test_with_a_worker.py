"""The app with a model in a real worker process: requests share batches, and each gets its own answer."""

import concurrent.futures
import io
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import openai
import pytest
import soundfile
from tests.service.http.serving import MODEL, answering, client, figures, models_of, recording, until
from tests.service.model import fake_recognizer
from tests.service.model.fake_recognizer import CANNOT_GO_ON, RAISES, SAID, clip

from shoptalk.service.access.access import Access
from shoptalk.service.app import create_app
from shoptalk.service.model.messages import BatchFigures, Batching
from shoptalk.service.model.worker import WorkerModel
from shoptalk.service.settings import Settings
from shoptalk.service.telemetry.watching import Telemetry


@contextmanager
def served(batches: list[BatchFigures], **options: Any) -> Iterator[tuple[str, WorkerModel]]:
    """The base URL of the app, and its only model, whose recogniser tells the number of samples."""
    settings, telemetry = Settings(batch=8, queue=32, **options), Telemetry([MODEL])
    count = telemetry.metrics.batches_of(MODEL)

    def observe(figures: BatchFigures) -> None:
        batches.append(figures)
        count(figures)

    worker = WorkerModel(MODEL, fake_recognizer.opening, batching=Batching(settings.batch), observe=observe)
    app = create_app(models_of(worker, settings), settings, access=Access(), telemetry=telemetry)
    with answering(app, settings) as url:
        yield url, worker


def wav(does: float) -> bytes:
    """A recording with which the recogniser does something."""
    held = io.BytesIO()
    soundfile.write(held, clip(0.7, does), 16_000, format="WAV")
    return held.getvalue()


def transcribe_together(url: str, worker: WorkerModel, contents: list[bytes]) -> list[str]:
    """The text or the error's code of each; the worker gets to see them when all are there."""

    def answer(content: bytes) -> str:
        try:
            return client(url).audio.transcriptions.create(model=MODEL, file=("a.wav", content)).text
        except openai.InternalServerError as error:
            return f"{error.code}"

    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(len(contents)) as pool:
        calls = [pool.submit(answer, content) for content in contents]
        try:
            until(lambda: worker.statistics().under_way == len(contents))
        finally:
            os.kill(worker.pid, signal.SIGCONT)
        return [call.result() for call in calls]


def test_parallel_requests_get_their_own_answers_in_batches() -> None:
    batches: list[BatchFigures] = []
    with served(batches) as (url, worker):
        tenths = range(5, 25)
        answers = transcribe_together(url, worker, [recording(n / 10) for n in tenths])
        assert answers == [f"{1600 * n}" for n in tenths]
        until(lambda: figures(url)["shoptalk_batch_size_sum"] == 20)
        counted = figures(url)
    assert sum(batch.windows for batch in batches) == 20
    assert max(batch.windows for batch in batches) <= 8
    assert len(batches) <= 8
    assert counted["shoptalk_requests_total:200"] == 20
    assert counted["shoptalk_audio_seconds_total"] == pytest.approx(sum(tenths) / 10)
    assert counted["shoptalk_request_seconds_count"] == 20
    assert counted["shoptalk_model_ready"] == 1
    assert counted["shoptalk_queue_depth"] == 0


def test_one_bad_recording_does_not_spoil_its_batch(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG", logger="shoptalk")
    batches: list[BatchFigures] = []
    with served(batches) as (url, worker):
        contents = [recording(0.6), wav(RAISES), recording(0.8), wav(CANNOT_GO_ON), recording(0.9)]
        answers = transcribe_together(url, worker, contents)
        assert answers == ["9600", "recognition_failed", "12800", "recognition_failed", "14400"]
        assert httpx.get(url + "/health/ready").status_code == 200
    assert max(batch.windows for batch in batches) > 1, "it shared a batch"
    told = capfd.readouterr()
    assert "windows failed: RuntimeError" in told.err
    assert SAID not in told.out + told.err + caplog.text
