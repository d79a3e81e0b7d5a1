"""What a request meets at the entrance: which model answers, how long it may take, and what a slow upload holds."""

import concurrent.futures
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from starlette.testclient import TestClient
from tests.service.http.serving import FakeRecognizer, client, recording, served, until
from tests.service.model.fakes import FakeSource

from shoptalk.service.access.access import Access
from shoptalk.service.app import create_app
from shoptalk.service.http.transcriptions import TRANSCRIPTIONS
from shoptalk.service.model.models import Models
from shoptalk.service.settings import Settings

FORM = {"content-type": "multipart/form-data; boundary=b"}
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'


@contextmanager
def two_models(source: FakeSource, **options: Any) -> Iterator[TestClient]:
    settings = Settings(golden_every_s=0, **options)
    paths = {"base": Path("base-v1"), "tuned": Path("tuned-v1")}
    models = Models(paths, source, settings, rng=np.random.default_rng(7))
    with TestClient(create_app(models, settings, access=Access(None))) as asking:
        until(lambda: asking.get("/health/ready").status_code == 200)
        yield asking


def text(asking: TestClient, **fields: str) -> str:
    answer = asking.post(TRANSCRIPTIONS, files={"file": ("a.wav", recording(2.0))}, data=fields)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["text"])


def test_the_model_that_is_asked_for_answers() -> None:
    source = FakeSource()
    with two_models(source, aliases={"clinic": "tuned"}, default_model="tuned") as asking:
        assert text(asking, model="base") == "base-v1 hears 2 seconds"
        for fields in ({"model": "tuned"}, {"model": "clinic"}, {"model": "gpt-4o-transcribe"}, {"model": ""}, {}):
            assert text(asking, **fields) == "tuned-v1 hears 2 seconds"
        asking.post("/admin/models/tuned", json={"path": "tuned-v2"})
        assert text(asking) == "tuned-v2 hears 2 seconds"
        refused = asking.post(TRANSCRIPTIONS, files={"file": ("a.wav", recording(1.0))}, data={"model": "whisper-9"})
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")


def test_a_strict_server_wants_its_own_names() -> None:
    with two_models(FakeSource(), strict_models=True) as asking:
        assert text(asking, model="tuned") == "tuned-v1 hears 2 seconds"
        for fields, status in (({"model": "whisper-1"}, 404), ({}, 400)):
            answer = asking.post(TRANSCRIPTIONS, files={"file": ("a.wav", recording(1.0))}, data=fields)
            assert answer.status_code == status and "'base', 'tuned'" in answer.json()["error"]["message"]


def test_a_slow_upload_holds_no_model_and_its_time_does_not_count() -> None:
    with served(FakeRecognizer(), batch=1, queue=1, timeout_s=0.6, timeout_per_audio_s=0) as url:
        began = threading.Event()

        def slowly() -> Iterator[bytes]:
            content = HEAD + recording(1.0) + b"\r\n--b--\r\n"
            for start in range(0, len(content), 4_000):
                yield content[start : start + 4_000]
                began.set()
                time.sleep(0.2)

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            slow = pool.submit(httpx.post, url + TRANSCRIPTIONS, content=slowly(), headers=FORM, timeout=30)
            assert began.wait(10)
            for _ in range(3):  # two at a time are all that the model takes
                pair = [pool.submit(transcribed, url, 0.5) for _ in range(2)]
                assert [call.result() for call in pair] == ["It lasts 5."] * 2
            assert not slow.done()
            assert slow.result().json()["text"] == "It lasts 10."


def transcribed(url: str, seconds: float) -> str:
    asked = client(url).audio.transcriptions.create(model="whisper-1", file=("a.wav", recording(seconds)))
    return asked.text


def test_the_time_allowed_grows_with_the_recording() -> None:
    fake = FakeRecognizer()
    with served(fake, timeout_s=0.3, timeout_per_audio_s=2.0) as url:
        fake.gate.clear()
        opening = threading.Timer(1.5, fake.gate.set)
        opening.start()
        assert transcribed(url, 10.0) == "It lasts 100."
        fake.gate.clear()
        with pytest.raises(openai.InternalServerError) as error:
            transcribed(url, 0.1)
        assert (error.value.status_code, error.value.code) == (504, "timeout")
        assert error.value.response.headers["x-should-retry"] == "false"
        fake.gate.set()


def test_who_is_refused_is_told_when_to_come_back_and_whose_time_ran_out_that_it_may() -> None:
    fake = FakeRecognizer()
    with served(fake, batch=1, queue=1, timeout_s=1.0) as url, concurrent.futures.ThreadPoolExecutor(2) as pool:
        fake.gate.clear()
        calls = [pool.submit(transcribed, url, 3.0) for _ in range(2)]
        metrics = url + "/metrics"
        until(lambda: 'shoptalk_model_requests{model="tiny-tuned"} 2.0' in httpx.get(metrics).text)
        with pytest.raises(openai.RateLimitError) as error:
            transcribed(url, 1.0)
        headers = error.value.response.headers
        assert (headers["retry-after"], headers["retry-after-ms"]) == (
            "3",
            "3000",
        )  # 6 s in two, at an assumed 1 s a second
        retries = set()
        for call in calls:
            with pytest.raises(openai.InternalServerError) as late:
                call.result()
            assert late.value.code == "timeout"
            retries.add(late.value.response.headers["x-should-retry"])
        assert retries == {"false", "true"}  # the second one waited behind the first
        fake.gate.set()
