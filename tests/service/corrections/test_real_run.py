"""The whole way with the tiny base in processes of its own: transcribe, correct, export, delete."""

import base64
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from shoptalk.core import audio
from shoptalk.core.examples import read_manifest
from shoptalk.service.access import keys
from shoptalk.service.access.callers import Limits

pytestmark = pytest.mark.faults
ROOT = Path(__file__).parents[3]
BASE = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
RECORDING = ROOT / "assets/general/test/fotaq/1200B3PA.opus"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src")}


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    (tmp_path / "key").write_text(base64.b64encode(bytes(range(32))).decode())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = tmp_path / "service.yaml"
    path.write_text(
        f"port: {port}\nworkers: 1\nstore_dir: {tmp_path / 'store'}\nstore_key: {tmp_path / 'key'}\n"
        f"keep_audio_dir: {tmp_path / 'kept'}\nkeep_audio_key: {tmp_path / 'key'}\nkeys_file: {tmp_path / 'keys'}\n"
        f"audit_file: {tmp_path / 'audit.jsonl'}\n"
    )
    return path


@pytest.fixture
def client(tmp_path: Path, settings: Path) -> Iterator[httpx.Client]:
    key = keys.add(tmp_path / "keys", "ward", ["transcribe"], Limits(), now=datetime.now(UTC), keep_audio=True)
    command = [sys.executable, "-m", "shoptalk.cli", "serve", str(BASE), "--settings", str(settings)]
    with (tmp_path / "out.log").open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=out, stderr=out)
    port = settings.read_text().partition("\n")[0].removeprefix("port: ")
    url, headers = f"http://127.0.0.1:{port}", {"authorization": f"Bearer {key}"}
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=60) as own:
            wait_until_ready(own, process)
            yield own
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def wait_until_ready(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 240
    while time.monotonic() < end:
        assert process.poll() is None
        try:
            if client.get("/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("it did not become ready")


def test_from_an_answer_to_a_deletion(client: httpx.Client, settings: Path, tmp_path: Path) -> None:
    content = RECORDING.read_bytes()
    answer = client.post("/v1/audio/transcriptions", files={"file": content})
    request_id, text = answer.headers["x-request-id"], answer.json()["text"]
    body = {"request_id": request_id, "text": f"{text} metoprolol", "consent": True}
    sent = client.post("/v1/corrections", json=body)
    assert sent.status_code == 201 and sent.json()["audio"] is True
    [listed] = client.get("/v1/corrections").json()["data"]
    assert listed["text"] == body["text"]

    folder = tmp_path / "out"
    command = [sys.executable, "-m", "shoptalk.cli", "corrections", "export", str(folder), "--settings", str(settings)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [example] = read_manifest(folder / "corrections.jsonl")
    assert example.id == sent.json()["id"] and example.text == body["text"]
    assert example.duration_s == pytest.approx(audio.decode(RECORDING).size / 16_000, abs=0.01)
    assert (folder / "terms.csv").read_text() == "text,category\nmetoprolol,corrected\n"

    told = client.delete(f"/v1/requests/{request_id}").json()
    assert told["deleted"] == {"recordings": 1, "corrections": 1, "requests": 1, "jobs": 0}
    assert [copy["folder"] for copy in told["exports"]] == ["out"] and told["corrections"] == [example.id]
    assert told["models"] == [] and told["not_searched"] == []
    assert not list((tmp_path / "kept").iterdir()) and client.get("/v1/corrections").json()["data"] == []
    again = client.delete(f"/v1/requests/{request_id}")
    assert again.status_code == 200 and not any(again.json()["deleted"].values())
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert (
        done.returncode == 0 and not list((folder / "audio").iterdir()) and not (folder / "corrections.jsonl").exists()
    )
