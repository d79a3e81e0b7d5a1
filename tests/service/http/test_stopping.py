"""A server process that is told to stop ends within seconds, whatever its clients and its model do."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from tests.service.http.serving import MODEL, FakeRecognizer, is_ready, recording, served, until

from shoptalk.service.http.transcriptions import TRANSCRIPTIONS

ROOT = Path(__file__).parents[3]
SERVER = """
import sys
from tests.service.http.serving import FakeRecognizer, app_of
from shoptalk.service.settings import Settings
from shoptalk.service.server import serve

class Stuck(FakeRecognizer):
    def recognize(self, audio, options=()):
        if self.batches:  # the warm-up is answered
            self.gate.clear()
            self.gate.wait(120)
        return super().recognize(audio, options)

port, drain_s = int(sys.argv[1]), int(sys.argv[2])
settings = Settings(port=port, drain_s=drain_s)
serve(app_of(Stuck(), settings), settings)
"""
BODY = (
    f'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n{MODEL}\r\n'
    '--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
).encode()
HEAD = (
    f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nHost: here\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    "Content-Length: {}\r\n\r\n"
)
SOON_S = 12.0
"""Far more than it takes, on a busy machine too, and far less than what the clients below would wait."""


@contextmanager
def server(drain_s: int) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server process with a model that does not come back, and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(port), str(drain_s)], cwd=ROOT)
    try:
        until(lambda: is_ready(port), 60)
        yield process, port
    finally:
        process.kill()
        process.wait()


def in_progress(port: int) -> bool:
    return "shoptalk_requests_in_progress 1.0" in httpx.get(f"http://127.0.0.1:{port}/metrics").text


def whole_answer(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(10_000), b""))


def seconds_to_end(process: "subprocess.Popen[bytes]") -> float:
    began = time.monotonic()
    process.wait(120)
    return time.monotonic() - began


def test_an_upload_that_stalls_is_refused_when_the_server_stops() -> None:
    with server(drain_s=60) as (process, port), socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(HEAD.format(10_000).encode() + BODY)
        until(lambda: in_progress(port))
        process.send_signal(signal.SIGTERM)
        assert seconds_to_end(process) < SOON_S
        answer = whole_answer(client)
        assert answer.startswith(b"HTTP/1.1 503 ") and b"send it again" in answer


def test_an_upload_that_trickles_ends_with_the_drain() -> None:
    with server(drain_s=1) as (process, port), socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(HEAD.format(10_000).encode() + BODY)
        until(lambda: in_progress(port))
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        while process.poll() is None and time.monotonic() - began < 60:
            with suppress(OSError):  # when the server has hung up
                client.send(b"x")
            time.sleep(0.05)
        assert time.monotonic() - began < SOON_S


def test_a_recognition_that_does_not_come_back_ends_with_the_drain() -> None:
    with server(drain_s=1) as (process, port), socket.create_connection(("127.0.0.1", port)) as client:
        body = BODY + recording(1.0) + b"\r\n--b--\r\n"
        client.sendall(HEAD.format(len(body)).encode() + body)
        until(lambda: in_progress(port))
        process.send_signal(signal.SIGTERM)
        assert seconds_to_end(process) < SOON_S


def test_an_upload_that_stalls_gives_its_place_back() -> None:
    with served(FakeRecognizer(), upload_idle_s=0.3) as url:
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
            client.sendall(HEAD.format(10_000).encode() + BODY)
            answer = whole_answer(client)
            assert answer.startswith(b"HTTP/1.1 408 ") and b"upload_stalled" in answer
            assert b"connection: close" in answer.lower()
        assert "shoptalk_requests_in_progress 0.0" in httpx.get(url + "/metrics").text


@pytest.mark.parametrize("pause_s", [0.2, 0.4])
def test_an_upload_that_comes_slowly_is_answered(pause_s: float) -> None:
    with served(FakeRecognizer(), upload_idle_s=2.0) as url:
        content = recording(1.0)

        def slowly() -> Iterator[bytes]:
            yield BODY
            for start in range(0, len(content), 8_000):
                time.sleep(pause_s)
                yield content[start : start + 8_000]
            yield b"\r\n--b--\r\n"

        headers = {"content-type": "multipart/form-data; boundary=b"}
        answer = httpx.post(url + TRANSCRIPTIONS, content=slowly(), headers=headers, timeout=30)
        assert answer.json()["text"] == "It lasts 10."
