"""Keys, vocabularies, kept recordings, audit log and figures as the whole app has them."""

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from tests.service.http.serving import MODEL, FakeRecognizer, InProcess, models_of, recording, until

from shoptalk.core.errors import BindingError
from shoptalk.core.protocols import Options, Phrase
from shoptalk.core.records import Recognition, Samples
from shoptalk.service.access import keys
from shoptalk.service.access.access import Access
from shoptalk.service.access.callers import Limits
from shoptalk.service.access.kept import read_kept
from shoptalk.service.app import create_app
from shoptalk.service.settings import Settings
from shoptalk.service.telemetry.watching import Telemetry

URL = "/v1/audio/transcriptions"
NOW = datetime(2026, 11, 27, tzinfo=UTC)
SECRET = bytes(range(32))


class Listening:
    """A recogniser that notes the options that reach it."""

    def __init__(self) -> None:
        self.fake = FakeRecognizer()
        self.options: list[Options] = []

    def recognize(self, audio: Sequence[Samples], options: Sequence[Options] = ()) -> list[Recognition]:
        self.options += options
        return self.fake.recognize(audio, options)


@contextmanager
def app(recognizer: Listening, settings: Settings) -> Iterator[TestClient]:
    """The app, ready, in this process."""
    telemetry = Telemetry([MODEL])
    models = models_of(InProcess(recognizer), settings)
    access = Access(settings=settings)
    with TestClient(create_app(models, settings, access=access, telemetry=telemetry)) as client:
        until(lambda: models.ready)
        yield client


def key(file: Path, *scopes: str, **more: Any) -> dict[str, str]:
    """The header of a new key."""
    made = keys.add(file, "", scopes or ["transcribe", "vocabularies"], more.pop("limits", Limits()), now=NOW, **more)
    return {"Authorization": f"Bearer {made}"}


def send(client: TestClient, headers: dict[str, str], **fields: Any) -> httpx.Response:
    file = ("speech.wav", recording(0.5))
    return client.post(URL, headers=headers, data={"model": MODEL, **fields}, files={"file": file})


def test_a_vocabulary_of_the_key_reaches_the_recogniser(tmp_path: Path) -> None:
    file, recognizer = tmp_path / "keys.jsonl", Listening()
    mine, other = key(file), key(file)
    with app(recognizer, Settings(keys_file=file)) as client:
        phrases = {"phrases": [{"text": "Zoloft", "weight": 2}]}
        assert client.put("/v1/vocabularies/cardio", headers=mine, json=phrases).status_code == 200
        assert send(client, mine, vocabulary="cardio").status_code == 200
        refused = send(client, other, vocabulary="cardio")
    assert Phrase("Zoloft", 2.0) in recognizer.options[-1].phrases
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "vocabulary_not_found")


def test_recordings_are_kept_of_keys_that_agreed(tmp_path: Path) -> None:
    file, secret = tmp_path / "keys.jsonl", tmp_path / "secret"
    secret.write_text(base64.b64encode(SECRET).decode())
    agreed, silent = key(file, keep_audio=True), key(file)
    settings = Settings(keys_file=file, keep_audio_dir=tmp_path / "kept", keep_audio_key=secret)
    with app(Listening(), settings) as client:
        answer = send(client, agreed)
        send(client, silent)
    (kept,) = read_kept(tmp_path / "kept", SECRET)
    assert kept.recognition.text == answer.json()["text"]
    assert (kept.model, kept.request_id) == (MODEL, answer.headers["x-request-id"])


def test_limits_of_a_key_hold_and_the_audit_log_has_all_of_it(tmp_path: Path) -> None:
    file, log = tmp_path / "keys.jsonl", tmp_path / "audit.jsonl"
    limited = key(file, limits=Limits(audio_s_per_minute=0.4))
    with app(Listening(), Settings(keys_file=file, audit_file=log)) as client:
        assert send(client, limited).status_code == 200
        late = send(client, limited)
        assert send(client, {}).status_code == 401
        assert send(client, key(file, "models")).status_code == 401  # the file is read again a second later
    assert late.status_code == 429
    assert 1 <= int(late.headers["retry-after"]) <= 15
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["status"], line["code"], line["audio_s"]) for line in lines] == [
        (200, "", 0.5),
        (429, "rate_limit_exceeded", 0.0),
        (401, "invalid_api_key", 0.0),
        (401, "invalid_api_key", 0.0),
    ]
    assert [line["key"] for line in lines] == [lines[0]["key"]] * 2 + ["", ""]
    assert lines[0]["model"] == MODEL
    assert {line["route"] for line in lines} == {URL}


def test_a_required_audit_log_that_fails_takes_readiness_away(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    settings = Settings(audit_file=folder / "audit.jsonl", audit_required=True)
    with app(Listening(), settings) as client:
        assert client.get("/health/ready").status_code == 200
        (folder / "audit.jsonl").unlink()
        folder.rmdir()
        folder.touch()
        assert send(client, {}).status_code == 200
        until(lambda: client.get("/health/ready").status_code == 503)
        assert "shoptalk_audit_failing 1.0" in client.get("/metrics").text
        folder.unlink()
        folder.mkdir()
        until(lambda: client.get("/health/ready").status_code == 200)
    assert len((folder / "audit.jsonl").read_text().splitlines()) == 1


def test_figures_may_ask_for_a_key(tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    may, may_not = key(file, "metrics"), key(file)
    with app(Listening(), Settings(keys_file=file, metrics_key=True)) as client:
        assert client.get("/metrics", headers=may).status_code == 200
        assert client.get("/metrics", headers=may_not).status_code == 403
        assert client.get("/metrics").status_code == 401


def test_figures_may_have_a_port_of_their_own(unused_tcp_port: int) -> None:
    with app(Listening(), Settings(metrics_port=unused_tcp_port)) as client:
        assert client.get("/metrics").status_code == 404
        assert "shoptalk_requests" in httpx.get(f"http://127.0.0.1:{unused_tcp_port}/metrics").text
        with (
            pytest.raises(BindingError, match="metrics_port"),
            app(Listening(), Settings(metrics_port=unused_tcp_port)),
        ):
            pass
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{unused_tcp_port}/metrics")


@pytest.fixture
def unused_tcp_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
