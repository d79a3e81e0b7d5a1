"""What goes wrong around a service: the whole of `shoptalk serve` with the tiny base, in processes of its own.

Workers are killed, model files go bad, memory and disk run out, and clients come in hundreds or never read. After each
fault the same recording has the same text as before.
"""

import base64
import concurrent.futures
import io
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from shoptalk.core import audio
from shoptalk.service.access import keys
from shoptalk.service.access.callers import Limits

pytestmark = pytest.mark.faults
ROOT = Path(__file__).parents[2]
BASE = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
RECORDING = ROOT / "assets/general/test/fotaq/1200B3PA.opus"
URL = "/v1/audio/transcriptions"
BUSY = ("server_busy", "queue_full", "not_ready")
"""Codes of errors that ask to come back."""
MIB = 2**20
HEADER_TIMEOUT_S = 3.0


class Service:
    """A server process; its model is a copy that may go bad."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = folder / "clinic.nemo"
        shutil.copy(BASE, self.model)
        self.disk = folder / "disk"
        self.disk.mkdir()
        mounting = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(self.disk)]
        self.has_small_disk = subprocess.run(mounting, capture_output=True).returncode == 0
        self.audit = self.disk / "audit.jsonl"
        now = datetime.now(UTC)
        keys_file = folder / "keys.jsonl"
        scopes = sorted(["transcribe", "vocabularies", "models", "admin"])
        self.key = keys.add(keys_file, "ward", scopes, Limits(), now=now)
        self.keeping_key = keys.add(keys_file, "study", ["transcribe"], Limits(), keep_audio=True, now=now)
        (folder / "secret").write_bytes(base64.b64encode(bytes(range(32))))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        settings = {
            "port": self.port,
            "keys_file": keys_file,
            "audit_file": self.audit,
            "vocabularies_dir": self.disk / "vocabularies",
            "keep_audio_dir": self.disk / "kept",
            "keep_audio_key": folder / "secret",
            "header_timeout_s": HEADER_TIMEOUT_S,
            "workers": 1,  # so that its death is the model's
        }
        command = [sys.executable, "-m", "shoptalk.cli", "serve", str(self.model)]
        for key, value in settings.items():
            command += ["--set", f"serve.{key}={value}"]
        self.out = folder / "out.log"
        with self.out.open("wb") as out:
            environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)
        headers = {"authorization": f"Bearer {self.key}"}
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=60)
        try:
            until(self.is_ready, 240)
        except BaseException:
            self.stop()
            raise
        self.content = RECORDING.read_bytes()
        self.text = self.ask().json()["text"]
        assert len(self.text) > 5

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.out.read_text()
        try:
            return self.client.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def ask(self, content: bytes | None = None, **fields: str) -> httpx.Response:
        return self.client.post(URL, files={"file": content or self.content}, data=fields)

    @property
    def is_whole(self) -> bool:
        answer = self.ask()
        return answer.status_code == 200 and answer.json()["text"] == self.text

    @property
    def worker(self) -> int:
        """Its process id."""
        for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                if b"worker_process" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
        raise AssertionError("there is no worker")

    def stop(self) -> None:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(40)
        finally:
            self.process.kill()
            if self.has_small_disk:
                subprocess.run(["umount", "--lazy", str(self.disk)], check=True)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("service"))
    try:
        yield running
    finally:
        running.stop()


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.05)


def silence(seconds: float) -> bytes:
    """Small as FLAC, large when it is decoded."""
    out = io.BytesIO()
    soundfile.write(out, np.zeros(round(16_000 * seconds), np.int16), 16_000, format="FLAC")
    return out.getvalue()


def error_of(answer: httpx.Response) -> dict[str, Any]:
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return dict(error)


# ---- workers


def test_a_worker_that_is_killed_under_load_loses_no_answer_and_is_replaced_in_time(service: Service) -> None:
    ends = threading.Event()
    seen: Counter[str] = Counter()

    def client() -> None:
        while not ends.is_set():
            answer = service.ask()
            if answer.status_code == 200:
                assert answer.json()["text"] == service.text
                seen["right"] += 1
            else:
                assert answer.status_code in (429, 503) and error_of(answer)["code"] in BUSY
                assert int(answer.headers["retry-after"]) > 0
                seen["told to come back"] += 1
                time.sleep(0.2)

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        calls = [pool.submit(client) for _ in range(12)]
        try:
            for _ in range(2):
                before = seen["right"]
                until(lambda before=before: seen["right"] > before + 12, 60)  # type: ignore[misc]
                died = service.worker
                os.kill(died, signal.SIGKILL)
                began = time.monotonic()
                before = seen["right"]
                until(lambda before=before: seen["right"] > before + 12, 60)  # type: ignore[misc]
                assert service.worker != died
                whole_s = time.monotonic() - began
        finally:
            ends.set()
        for call in calls:
            call.result()
    print(f"whole after {whole_s:.1f} s; {dict(seen)}")
    assert service.is_whole


def of_stream(answer: httpx.Response) -> tuple[str, str]:
    """What a stream's deltas are together, and its text; two empty texts where it ends with an error that says so."""
    lines = answer.text.splitlines()
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    if "event: error" in lines:
        assert events[-1]["error"]["code"] in BUSY and "data: [DONE]" not in lines
        return "", ""
    assert lines[-2:] == ["data: [DONE]", ""]
    assert events[-1]["type"] == "transcript.text.done"
    return "".join(event["delta"] for event in events[:-1]), events[-1]["text"]


def test_a_stream_has_the_text_of_the_plain_answer_in_any_company_also_when_its_worker_dies(service: Service) -> None:
    spoken_T = audio.decode(RECORDING)
    long = io.BytesIO()
    soundfile.write(long, np.resize(spoken_T, 16_000 * 80), 16_000, format="WAV", subtype="PCM_16")
    recordings = [service.content, long.getvalue()]
    plain = [service.ask(content).json()["text"] for content in recordings]
    assert len(plain[1]) > 3 * len(plain[0])

    def ask(number: int) -> int:
        content, text = recordings[number % 2], plain[number % 2]
        answer = service.ask(content, stream="true") if number % 3 else service.ask(content)
        if answer.status_code != 200:
            assert error_of(answer)["code"] in BUSY
            return 0
        deltas, done = of_stream(answer) if number % 3 else (answer.json()["text"],) * 2
        assert deltas == done and done in (text, "")
        return bool(done)

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        for kills in (False, True):
            answers = pool.map(ask, range(24))
            if kills:
                time.sleep(1.0)
                os.kill(service.worker, signal.SIGKILL)
            right = sum(answers)
            assert right == 24 or (kills and right >= 8), right
    until(service.is_ready, 60)
    assert service.is_whole


def test_a_model_file_that_is_bad_is_not_swapped_in(service: Service) -> None:
    torn, text = service.folder / "torn.nemo", service.folder / "text.nemo"
    torn.write_bytes(BASE.read_bytes()[: BASE.stat().st_size // 2])
    text.write_text("no model")
    for path in (torn, text, service.folder / "nowhere.nemo", service.folder):
        answer = service.client.post("/admin/models/clinic", json={"path": str(path)})
        assert answer.status_code == 422 and error_of(answer)["code"] == "ModelError", answer.text
        assert service.is_whole
    assert service.client.post("/admin/models/clinic", json={"path": str(BASE)}).status_code == 200
    assert service.client.post("/admin/models/clinic", json={"path": str(service.model)}).status_code == 200
    assert service.is_whole


def test_a_worker_that_dies_while_its_file_is_bad_comes_back_when_the_file_does(service: Service) -> None:
    whole = service.model.read_bytes()
    bad = service.folder / "bad"
    bad.write_bytes(whole[:100_000])
    bad.replace(service.model)
    os.kill(service.worker, signal.SIGKILL)
    until(lambda: not service.is_ready())
    answer = service.ask()
    assert answer.status_code == 503 and error_of(answer)["code"] == "not_ready"
    time.sleep(3.0)
    bad.write_bytes(whole)
    bad.replace(service.model)
    until(service.is_ready, 60)
    assert service.is_whole


# ---- memory and disk


def virtual_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


def test_a_recording_that_memory_does_not_hold_is_refused_and_the_service_goes_on(service: Service) -> None:
    content, pid = silence(3 * 3600), service.process.pid
    limits = resource.prlimit(service.process.pid, resource.RLIMIT_AS)
    resource.prlimit(
        service.process.pid, resource.RLIMIT_AS, (virtual_bytes(service.process.pid) + 150 * MIB, limits[1])
    )
    try:
        answer = service.ask(content)
        assert answer.status_code == 503 and error_of(answer)["code"] == "out_of_memory", answer.text
        assert service.is_whole
    finally:
        resource.prlimit(pid, resource.RLIMIT_AS, limits)
    assert service.is_whole


def test_a_worker_without_memory_says_so_and_the_service_goes_on(service: Service) -> None:
    noise = np.random.default_rng(7).normal(0, 0.1, 16_000 * 900)
    out = io.BytesIO()
    soundfile.write(out, noise, 16_000, format="WAV")
    worker = service.worker
    limits = resource.prlimit(worker, resource.RLIMIT_AS)
    resource.prlimit(worker, resource.RLIMIT_AS, (virtual_bytes(worker) + 20 * MIB, limits[1]))
    try:
        answer = service.ask(out.getvalue())
    finally:
        if Path(f"/proc/{worker}").exists():
            resource.prlimit(worker, resource.RLIMIT_AS, limits)
    is_told = answer.status_code == 413 and error_of(answer)["code"] == "out_of_memory"
    assert is_told or answer.status_code in (500, 503), answer.text
    assert error_of(answer)["message"]
    until(service.is_ready, 60)
    assert service.is_whole


def test_a_full_disk_stops_neither_answers_nor_what_is_written_later(service: Service) -> None:
    if not service.has_small_disk:
        pytest.skip("this account may not mount a small file system")
    vocabulary = {"phrases": ["Zoloft"]}
    assert service.client.put("/v1/vocabularies/cardio", json=vocabulary).status_code == 200
    filling = service.disk / "filling"
    with filling.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        assert service.is_whole
        keeping = {"authorization": f"Bearer {service.keeping_key}"}
        answer = service.client.post(URL, files={"file": service.content}, headers=keeping)
        assert answer.json()["text"] == service.text
        until(lambda: "a recording could not be kept: DiskFullError" in service.out.read_text())
        refused = service.client.put("/v1/vocabularies/neuro", json=vocabulary)
        assert (refused.status_code, error_of(refused)["code"]) == (503, "storage_full")
        assert service.client.get("/v1/vocabularies/neuro").status_code == 404
        assert service.client.get("/v1/vocabularies/cardio").json()["phrases"]
        number = 0
        while "shoptalk_audit_failing 1.0" not in service.client.get("/metrics").text:  # the file's last page has room
            number += 1
            assert number < 500 and service.client.get("/v1/models").status_code == 200
        request_id = service.ask().headers["x-request-id"]
    finally:
        filling.unlink()
    until(lambda: "shoptalk_audit_failing 0.0" in service.client.get("/metrics").text)
    until(lambda: request_id in service.audit.read_text())
    assert service.client.put("/v1/vocabularies/neuro", json=vocabulary).status_code == 200
    assert "shoptalk_audit_lost_lines 0.0" in service.client.get("/metrics").text
    assert service.is_whole


# ---- clients


def connection(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=120)


@pytest.mark.parametrize("when", ["while it stands still", "after it"])
def test_a_server_that_stood_still_blames_no_client(service: Service, when: str) -> None:
    request = service.client.build_request("POST", URL, files={"file": service.content})
    body = request.read()
    lines = [f"{name}: {value}" for name, value in request.headers.items()]
    whole = "\r\n".join([f"POST {URL} HTTP/1.1", *lines, "", ""]).encode() + body
    head = len(whole) - len(body)
    with ExitStack() as held:
        parts = [0, 0, 30, 30, head - 1, head + 100, head + len(body) // 2]
        clients = [held.enter_context(connection(service)) for _ in parts]
        for client, sent in zip(clients, parts, strict=True):
            client.sendall(whole[:sent])
        stopped = [service.process.pid, service.worker]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(1.5 * HEADER_TIMEOUT_S)
        if when == "while it stands still":
            for client, sent in zip(clients, parts, strict=True):
                client.sendall(whole[sent:])
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        if when == "after it":
            time.sleep(0.3)
            for client, sent in zip(clients, parts, strict=True):
                client.sendall(whole[sent:])
        for client in clients:
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert service.is_whole


def test_clients_that_send_and_read_nothing_hold_up_nobody(service: Service) -> None:
    head = f"POST {URL} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {service.key}\r\n".encode()
    form = head + b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 99999\r\n\r\n--b\r\n"
    page = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: here\r\n\r\n"
    with ExitStack() as held:
        for sent in [b"", head] * 75 + [form] * 40 + [page] * 20:
            held.enter_context(connection(service)).sendall(sent)
        for _ in range(5):
            assert service.is_whole
    until(lambda: "shoptalk_requests_in_progress 0.0" in service.client.get("/metrics").text)


def test_hundreds_at_once_are_all_answered(service: Service) -> None:
    many = httpx.Client(
        base_url=service.client.base_url,
        headers=service.client.headers,
        timeout=300,
        limits=httpx.Limits(max_connections=None),
    )

    def ask(number: int) -> int:
        answer = many.post(URL, files={"file": service.content})
        if answer.status_code == 200:
            assert answer.json()["text"] == service.text
        elif answer.status_code == 429:
            assert error_of(answer)["code"] in BUSY and int(answer.headers["retry-after"]) > 0
        else:  # on a machine that is too slow to send them all
            assert (answer.status_code, error_of(answer)["code"]) == (408, "upload_stalled")
        return answer.status_code

    with many, concurrent.futures.ThreadPoolExecutor(300) as pool:
        statuses = Counter(pool.map(ask, range(300)))
    assert statuses[200] >= 32, statuses
    assert service.is_whole
