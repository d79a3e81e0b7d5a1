"""Nothing spoken reaches a log, a figure, a span, the audit log, an error or the disk.

A whole service in a process of its own, with a worker process, real uploads and every log at DEBUG, gets good and bad
requests that speak of a canary in every place. Then all that it left behind is searched.
"""

import base64
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile
from tests.service.canary import CANARY, CANNOT_GO_ON, FINE, IS_SLOW, KILLS, MODEL, RAISES
from tests.service.telemetry.test_spans import Receiver, receiver
from websockets.sync.client import connect

from shoptalk.service.access import keys
from shoptalk.service.access.callers import Limits

__all__ = ["receiver"]
ROOT = Path(__file__).parents[2]
URL = "/v1/audio/transcriptions"
CORRECTIONS = "/v1/corrections"
JOBS = "/v1/jobs"
STAGES = ("upload", "decode", "queue", "recognise", "answer")
FORMS = ("json", "text", "verbose_json", "srt", "vtt")


def clip(does: float, seconds: float = 1.0) -> bytes:
    """A recording with which the recogniser does something."""
    out = io.BytesIO()
    soundfile.write(out, np.full(round(16_000 * seconds), does, np.float32), 16_000, format="WAV")
    return out.getvalue()


@dataclass
class Sinks:
    """What a service left behind."""

    errors: list[str] = field(default_factory=list)
    """Bodies and headers of answers with a status from 400 on."""
    texts: list[str] = field(default_factory=list)
    """Bodies of answers with a text."""
    figures: str = ""
    statuses: list[int] = field(default_factory=list)


class Service:
    """A service as a process; its standard output, its temporary folder and its working folder are its own."""

    def __init__(self, folder: Path, otlp: str, **options: Any) -> None:
        self.folder = folder
        self.out = folder / "out.log"
        self.temporary = folder / "tmp"
        self.audit = folder / "audit.jsonl"
        keys_file = folder / "keys.jsonl"
        now = datetime.now(UTC)
        scopes = sorted(["transcribe", "vocabularies", "models", "jobs"])
        self.key = keys.add(keys_file, "ward", scopes, Limits(), now=now, keep_audio=True)
        store_key = folder / "store.key"
        store_key.write_text(base64.b64encode(bytes(range(32))).decode())
        self.temporary.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        port = int(self.url.rpartition(":")[2])
        settings = {
            "port": port,
            "keys_file": str(keys_file),
            "audit_file": str(self.audit),
            "audit_address": True,
            "max_upload_mb": 1.0,
            "store_dir": str(folder / "store"),
            "store_key": str(store_key),
            "keep_audio_dir": str(folder / "kept"),
            "keep_audio_key": str(store_key),
            **options,
        }
        environment = {
            **os.environ,
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
            "PYTHONASYNCIODEBUG": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": otlp,
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        }
        command = [sys.executable, "-m", "tests.service.canary", json.dumps(settings)]
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT)
        try:
            until(self.is_ready, 120)  # a machine may be busy
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.out.read_text()
        try:
            return httpx.get(self.url + "/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) in (0, -signal.SIGTERM)  # uvicorn ends by the signal it got


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.05)


def load(service: Service) -> Sinks:
    """Good and bad requests of every kind, all speaking of the canary; what was answered."""
    sinks = Sinks()
    headers = {
        "authorization": f"Bearer {service.key}",
        "user-agent": CANARY,
        "tracestate": f"vendor={CANARY}",
        "baggage": f"said={CANARY}",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    with httpx.Client(base_url=service.url, headers=headers, timeout=30) as client:
        send_good(client, sinks)
        send_bad(client, sinks)
        send_corrections(client, sinks)
        send_jobs(client, sinks)
        send_live(service, sinks)
        leave_early(service, headers)
        send_failing(client, sinks)
        until(service.is_ready)
        note(sinks, client.post(URL, **upload(FINE)))
        sinks.figures = client.get("/metrics").text
    return sinks


def note(sinks: Sinks, answer: httpx.Response) -> None:
    sinks.statuses.append(answer.status_code)
    if answer.status_code >= 400:
        sinks.errors.append(f"{answer.text} {dict(answer.headers)}")
    else:
        sinks.texts.append(answer.text)


def upload(does: float, content: bytes | None = None, **more: Any) -> dict[str, Any]:
    """A recording whose name, prompt and keywords speak of the canary."""
    spoken = {"prompt": f"about {CANARY} and {CANARY.upper()}2", "keywords[]": [f"{CANARY} keyword", CANARY]}
    file = (f"{CANARY} file.wav", clip(does) if content is None else content)
    return {"data": {"model": MODEL, **spoken, **more}, "files": {"file": file}}


def send_good(client: httpx.Client, sinks: Sinks) -> None:
    stored = client.put("/v1/vocabularies/ward", json={"phrases": [f"{CANARY} term", {"text": CANARY, "weight": 2}]})
    assert stored.status_code == 200
    for form in FORMS:
        note(sinks, client.post(URL, **upload(FINE, response_format=form, vocabulary="ward")))
    note(sinks, client.post(URL, **upload(FINE, stream="true")))
    note(sinks, client.post(URL, **upload(FINE, **{"include[]": "logprobs", "alternatives": "2", "review": "true"})))
    assert set(sinks.statuses) == {200}
    assert all(CANARY in text for text in sinks.texts)


def send_bad(client: httpx.Client, sinks: Sinks) -> None:
    garbage = CANARY.encode() * 1000
    for content in (garbage, b"RIFF" + garbage, clip(FINE)[:44], clip(FINE)[:60] + garbage, b"", b"fLaC" + garbage):
        note(sinks, client.post(URL, **upload(FINE, content)))
    note(sinks, client.post(URL, **upload(FINE, CANARY.encode() * 2**18)))
    note(sinks, client.post(URL, **upload(FINE, **{"keywords[]": [CANARY * 100] * 3})))
    note(sinks, client.post(URL, **upload(FINE, **{"keywords[]": [f"{CANARY} unspellable"]})))
    note(sinks, client.post(URL, **upload(FINE, vocabulary=CANARY.lower())))
    note(sinks, client.post(URL, **upload(FINE, temperature="9")))
    note(sinks, client.post(URL, data={"model": MODEL, "prompt": CANARY}))
    note(sinks, client.post(URL, content=garbage, headers={"content-type": "multipart/form-data; boundary=x"}))
    note(sinks, client.post(URL, content=torn_form(), headers={"content-type": "multipart/form-data; boundary=x"}))
    note(sinks, client.post(URL, content=garbage, headers={"content-type": "application/json"}))
    note(sinks, client.put("/v1/vocabularies/ward", json={"phrases": [CANARY, {"text": CANARY, "weight": 99}]}))
    note(sinks, client.put("/v1/vocabularies/ward", content=garbage))
    note(sinks, client.get(f"/v1/vocabularies/{CANARY.lower()}"))
    note(sinks, client.post(URL, **upload(FINE), headers={"authorization": f"Bearer {CANARY}"}))
    for path in (f"/v1/models/{CANARY}", f"/{CANARY}", f"/v1/vocabularies/{CANARY}", f"{URL}?prompt={CANARY}"):
        client.get(path)  # the client's own path may stand in its answer


def send_corrections(client: httpx.Client, sinks: Sinks) -> None:
    """Corrections that are taken, replaced, listed, deleted and refused."""
    headers = {"x-request-id": "visit-17"}
    assert client.post(URL, **upload(FINE), headers=headers).status_code == 200
    good = {"request_id": "visit-17", "text": f"{CANARY} {CANARY}s", "consent": True, "original": f"the {CANARY}"}
    part = {"start_s": 0.0, "end_s": 0.5}
    for body in (good | part, good, good):
        assert client.post(CORRECTIONS, json=body).status_code == 201
    listed = [client.get(CORRECTIONS), client.get(f"{CORRECTIONS}?format=jsonl")]
    assert all(CANARY in answer.text for answer in listed)
    for wrong in (
        good | part,
        good | {"request_id": CANARY},
        good | {"request_id": f"{CANARY} 17"},
        good | {"text": [CANARY]},
        good | {"consent": CANARY},
        good | {"start_s": CANARY, "end_s": CANARY},
        good | {"speaker": CANARY},
        good | {"text": CANARY + "\ud800"},
    ):
        content = json.dumps(wrong).encode()
        note(sinks, client.post(CORRECTIONS, content=content, headers={"content-type": "application/json"}))
    note(sinks, client.get(f"{CORRECTIONS}?after={CANARY}"))
    note(sinks, client.delete(f"/v1/requests/{CANARY}"))
    assert client.delete("/v1/requests/visit-17").json()["deleted"]["corrections"] == 1
    kept = {"x-request-id": "visit-18"}
    assert client.post(URL, **upload(FINE), headers=kept).status_code == 200
    assert client.post(CORRECTIONS, json=good | {"request_id": "visit-18"}).status_code == 201


def send_jobs(client: httpx.Client, sinks: Sinks) -> None:
    """Jobs that succeed, fail, are cancelled, deleted and refused."""
    spoken = {"prompt": CANARY, "keywords[]": [f"{CANARY} keyword"], "vocabulary": "ward"}
    contents = (clip(FINE), clip(RAISES), CANARY.encode() * 1000)
    files = [("file", (f"{CANARY} {number}.wav", content)) for number, content in enumerate(contents)]
    key = {"idempotency-key": CANARY}
    job_id = client.post(JOBS, data=spoken, files=files, headers=key).json()["id"]
    assert client.post(JOBS, data=spoken, files=files, headers=key).json()["id"] == job_id
    until(lambda: client.get(f"{JOBS}/{job_id}").json()["ended_at"] is not None, 60)
    job = client.get(f"{JOBS}/{job_id}").json()
    assert [file["status"] for file in job["files"]["data"]] == ["succeeded", "failed", "failed"]
    assert CANARY in client.get(f"{JOBS}/{job_id}/results").text
    note(sinks, client.get(f"{JOBS}/{job_id}/files/{job['files']['data'][1]['id']}/result"))
    note(sinks, client.get(f"{JOBS}/{CANARY}"))
    for _ in range(2):
        slow = client.post(JOBS, data=spoken, files=[("file", (f"{CANARY}.wav", clip(IS_SLOW)))] * 9).json()["id"]
        client.post(f"{JOBS}/{slow}/cancel")
    client.delete(f"{JOBS}/{slow}")
    note(sinks, client.post(JOBS, data=spoken | {"webhook_url": f"https://{CANARY}.example.org"}, files=files))
    note(sinks, client.post(JOBS, data=spoken | {"output": f"s3://{CANARY}/"}, files=files))
    note(sinks, client.post(JOBS, data=spoken, files=files, headers={"idempotency-key": CANARY * 100}))
    note(sinks, client.post(JOBS, data=spoken | {"review": "true"}, files=files, headers=key))
    note(sinks, client.post(JOBS, files=[("file", (CANARY, b""))]))
    note(sinks, client.post(JOBS, content=torn_form(), headers={"content-type": "multipart/form-data; boundary=x"}))
    for content in ({"input": [f"{CANARY}/"]}, {"input": [f"s3://clinic/{CANARY}"]}, {"input": {CANARY: 1}}, [CANARY]):
        note(sinks, client.post(JOBS, json=content))


def send_live(service: Service, sinks: Sinks) -> None:
    """Live audio with phrases, and messages that are wrong."""
    headers = {"Authorization": f"Bearer {service.key}"}
    address = service.url.replace("http", "ws")
    asked = {"model": MODEL, "prompt": f"{CANARY}, {CANARY}", "keywords": [CANARY]}
    input_ = {"turn_detection": None, "transcription": asked}
    audio = base64.b64encode(bytes(48_000)).decode()
    messages = [
        json.dumps({"type": "session.update", "session": {"audio": {"input": input_}}}),
        f"no JSON: {CANARY}",
        json.dumps({"type": "input_audio_buffer.append", "audio": f"{CANARY}é"}),
        json.dumps(
            {"type": "session.update", "session": {"audio": {"input": {"transcription": {"prompt": [CANARY]}}}}}
        ),
        json.dumps({"type": "input_audio_buffer.append", "audio": audio}),
        json.dumps({"type": "input_audio_buffer.commit"}),
    ]
    with connect(f"{address}/v1/realtime", additional_headers=headers) as socket:
        for message in messages:
            socket.send(message)
        for event in map(json.loads, socket):
            sinks.errors += [str(event)] if event["type"] == "error" else []
            if event["type"] == "conversation.item.done":
                break
    with connect(f"{address}/v1/stream?keywords={CANARY}&prompt={CANARY}", additional_headers=headers) as socket:
        for message in (CANARY, bytes(32_000), json.dumps({"type": "end"})):
            socket.send(message)
        told = [json.loads(message) for message in socket]
    assert [event["type"] for event in told][-1] == "done"
    sinks.errors += [str(event) for event in told if event["type"] == "error"]


def torn_form() -> bytes:
    """A form that ends within the head of a part."""
    return f'--x\r\ncontent-disposition: form-data; name="file"; filename="{CANARY}'.encode()


def send_failing(client: httpx.Client, sinks: Sinks) -> None:
    for does in (RAISES, CANNOT_GO_ON):
        note(sinks, client.post(URL, **upload(does)))
        note(sinks, client.post(URL, **upload(does, stream="true")))
    note(sinks, client.post(URL, **upload(KILLS)))


def leave_early(service: Service, headers: dict[str, str]) -> None:
    """Clients that hang up while their recording is uploaded, waits, or is transcribed."""
    request = httpx.Request("POST", service.url + URL, headers=headers, **upload(IS_SLOW))
    content = request.read()
    head = f"POST {URL} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    whole = head.encode() + b"\r\n" + content
    for part, wait_s in ((whole[: len(whole) // 2], 0.1), (whole, 0.1), (whole, 0.4)):
        with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2]))) as connection:
            connection.sendall(part)
            time.sleep(wait_s)


def files_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file below a folder."""
    for path in sorted(folder.rglob("*")):
        yield str(path.relative_to(folder)), path.read_bytes() if path.is_file() else b""


def shared_memory() -> set[str]:
    return set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()


def has_canary(content: bytes | str) -> bool:
    text = content.encode() if isinstance(content, str) else content
    return any(CANARY.lower().encode(coding) in text.lower() for coding in ("utf-8", "utf-16-le"))


def test_no_sink_has_the_canary(tmp_path: Path, receiver: Receiver) -> None:
    before = shared_memory()
    service = Service(tmp_path, receiver.url)
    try:
        sinks = load(service)
        limits = Path(f"/proc/{service.process.pid}/limits").read_text()
    finally:
        service.stop()
    assert {200, 400, 401, 404, 413, 500} <= set(sinks.statuses)
    assert not [body for body in sinks.errors if has_canary(body)]
    assert not has_canary(sinks.figures)
    assert not [name for name, content in files_of(tmp_path) if has_canary(name) or has_canary(content)]
    assert re.search(rf'shoptalk_worker_restarts_total{{model="{MODEL}"}} 2', sinks.figures)
    spans = b"".join(body for path, body in receiver.bodies)
    assert all(stage.encode() in spans for stage in STAGES)
    assert not has_canary(spans)
    assert shared_memory() <= before
    assert list(service.temporary.iterdir()) == []
    assert re.search(r"Max core file size\s+0\s+0", limits)
    audited = [json.loads(line) for line in service.audit.read_text().splitlines()]
    assert len(audited) >= len(sinks.statuses)
    assert {entry["status"] for entry in audited} >= {200, 400, 401, 404, 413, 499, 500}
    log = service.out.read_text()
    assert "DEBUG" in log
    assert "died" in log
