"""What stands between a client and a model: memory, places and time are bounded, and any proxy and browser fits."""

import asyncio
import base64
import io
import json
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from starlette.testclient import TestClient
from tests.service.http.serving import MODEL, FakeRecognizer, app_of, client, figures, recording, served, until
from tests.service.model.fakes import FakeSource, FakeWorker

from shoptalk.core.errors import BindingError
from shoptalk.core.records import Recognition
from shoptalk.service import bodies
from shoptalk.service.access.access import Access
from shoptalk.service.app import create_app
from shoptalk.service.http.edge import SMALL_BYTES
from shoptalk.service.http.intake import Budget, Intake
from shoptalk.service.http.recognising import WARNING
from shoptalk.service.http.transcriptions import TRANSCRIPTIONS, TRANSLATIONS
from shoptalk.service.model.models import Models
from shoptalk.service.model.served import Worker
from shoptalk.service.model.work import Work
from shoptalk.service.problems import Problem
from shoptalk.service.server import configuration
from shoptalk.service.settings import Settings

FORM = {"content-type": "multipart/form-data; boundary=b"}
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    options: dict[str, Any] = {"root_path": "/speech", "cors_origins": ["https://notes.example.org"]}
    with served(FakeRecognizer(), header_timeout_s=0.5, max_connections=20, **options) as address:
        yield address


def ask(url: str, content: bytes | None = None, **data: Any) -> httpx.Response:
    files = {"file": ("a.bin", recording(1.0) if content is None else content)}
    return httpx.post(url + TRANSCRIPTIONS, files=files, data=data, timeout=60)


# ---- addresses, methods, headers


@pytest.mark.parametrize("prefix", ["", "/speech"])
def test_a_prefix_may_be_cut_off_by_the_proxy_or_not(url: str, prefix: str) -> None:
    assert ask(url + prefix).json()["text"] == "It lasts 10."
    assert [model.id for model in client(url + prefix).models.list()] == [MODEL]
    described = httpx.get(f"{url}{prefix}/openapi.json").json()
    assert described["servers"] == [{"url": "/speech"}]


def test_the_page_of_the_description_needs_no_other_host(url: str) -> None:
    page = httpx.get(f"{url}/speech/docs")
    assert page.status_code == 200
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert addresses and not any("//" in address for address in addresses)
    for address in addresses:
        assert httpx.get(f"{url}/speech/{address}").status_code == 200
    assert "https://cdn" not in page.text


@pytest.mark.parametrize("path", ["/v1/models", "/health/ready", "/docs", "/openapi.json", "/metrics"])
def test_head_is_get_without_its_body(url: str, path: str) -> None:
    head, got = httpx.head(url + path), httpx.get(url + path)
    assert head.status_code == got.status_code == 200 and head.content == b""
    assert head.headers["content-type"] == got.headers["content-type"]


def test_options_tells_the_methods(url: str) -> None:
    answer = httpx.options(url + TRANSCRIPTIONS)
    assert (answer.status_code, answer.content, answer.headers["allow"]) == (204, b"", "OPTIONS, POST")
    assert httpx.options(url + "/v1/models").headers["allow"] == "GET, HEAD, OPTIONS"
    assert httpx.options(url + "/nowhere").status_code == 404


def test_scripts_of_named_pages_may_ask(url: str) -> None:
    asked = {"origin": "https://notes.example.org", "access-control-request-method": "POST"}
    preflight = httpx.options(url + TRANSCRIPTIONS, headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://notes.example.org"
    answer = httpx.get(url + "/v1/models", headers={"origin": "https://notes.example.org"})
    assert "x-request-id" in answer.headers["access-control-expose-headers"].lower()
    assert "access-control-allow-origin" not in httpx.get(url + "/v1/models", headers={"origin": "https://a.b"}).headers


@pytest.mark.parametrize(("given", "is_kept"), [("trace-1.a_b", True), ("x" * 129, False), ("a b", False), ("", False)])
def test_every_answer_has_a_request_id(url: str, given: str, is_kept: bool) -> None:
    for path in ("/v1/models", "/nowhere", TRANSLATIONS):
        told = httpx.get(url + path, headers={"x-request-id": given}).headers["x-request-id"]
        assert (told == given) is is_kept and re.fullmatch(r"[A-Za-z0-9._-]{1,128}", told)


def test_translations_are_refused_by_name(url: str) -> None:
    with pytest.raises(openai.NotFoundError) as error:
        client(url).audio.translations.create(model=MODEL, file=("a.wav", recording(0.1)))
    assert error.value.code == "unsupported_endpoint"


def test_who_cannot_be_helped_is_told_not_to_try_again(url: str) -> None:
    assert ask(url, b"no audio").headers["x-should-retry"] == "false"
    assert httpx.get(url + "/nowhere").headers["x-should-retry"] == "false"
    answer = httpx.post(url + TRANSCRIPTIONS + "?language=de", files={"file": b"x"})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "language"


# ---- fields


def test_the_default_model_and_openais_names_are_understood(url: str) -> None:
    for model in ({}, {"model": ""}, {"model": "whisper-1"}, {"model": MODEL}):
        assert ask(url, **model).json()["text"] == "It lasts 10."


def test_an_unknown_field_is_told_in_a_header(url: str) -> None:
    assert "'user' is unknown" in ask(url, user="someone").headers[WARNING]
    assert WARNING not in ask(url, language="auto", temperature="0").headers


def test_each_channel_is_answered_for_itself(url: str) -> None:
    stereo = recording(1.0, channels=2)
    told = ask(url, stereo, channels="each", **{"channel_names[]": ["Doctor", "Patient"]}).json()
    assert told["text"].splitlines()[0].startswith("Doctor: It") and "Patient: It" in told["text"]
    assert ask(url, stereo).json()["text"] == "It lasts 10."
    assert {segment["speaker"] for segment in told["segments"]} == {"Doctor", "Patient"}


# ---- stream=true


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_a_stream_has_deltas_the_end_and_usage(url: str) -> None:
    answer = ask(url, stream="true", **{"include[]": "logprobs"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    *deltas, done = events_of(answer)
    assert "".join(event["delta"] for event in deltas) == done["text"] == "It lasts 10."
    assert done["usage"]["seconds"] == 1 and "logprobs" in done


def test_the_official_client_reads_the_stream(url: str) -> None:
    stream = client(url).audio.transcriptions.create(model=MODEL, file=("a.wav", recording(1.0)), stream=True)
    assert [event.type for event in stream] == ["transcript.text.delta", "transcript.text.done"]


def test_what_fails_before_the_first_word_is_no_stream() -> None:
    fake = FakeRecognizer()
    fake.bad = frozenset({20})
    with served(fake) as url:
        answer = ask(url, recording(2.0), stream="true")
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "recognition_failed")


def test_an_error_on_the_way_is_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shoptalk.service.http.transcriptions.EARLY_S", 0.05)
    fake = FakeRecognizer()
    fake.bad = frozenset({20})
    content = recording(2.0)
    with served(fake) as url:
        fake.gate.clear()
        stream = client(url).audio.transcriptions.create(model=MODEL, file=("a.wav", content), stream=True)
        fake.gate.set()
        with pytest.raises(openai.APIError, match="could not be recognised"):
            list(stream)
        fake.gate.clear()
        form: dict[str, Any] = {"files": {"file": ("a.bin", content)}, "data": {"stream": "true"}}
        with httpx.stream("POST", url + TRANSCRIPTIONS, timeout=30, **form) as answer:
            assert answer.status_code == 200
            fake.gate.set()
            told = answer.read().decode()
        assert "event: error\ndata: " in told and "[DONE]" not in told


# ---- bounds


class SlowFile(io.BytesIO):
    """Tells whether somebody reads it now."""

    is_being_read = False

    def read(self, size: int | None = -1) -> bytes:
        self.is_being_read = True
        time.sleep(0.02)
        content = super().read(size)
        self.is_being_read = False
        return content


def test_whoever_stops_waiting_for_a_recording_may_close_its_file() -> None:
    async def scenario() -> None:
        intake = Intake(Settings())
        file = SlowFile(recording(120.0))
        with intake.audio.share() as share:
            decoding = asyncio.create_task(intake.decode(file, share, separate=False))
            while not file.is_being_read:
                await asyncio.sleep(0.01)
            decoding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await decoding
        place = file.tell()
        await asyncio.sleep(0.2)
        assert not file.is_being_read and 0 < file.tell() == place < len(file.getvalue())
        intake.stop()

    asyncio.run(scenario())


def test_uploads_are_bounded_together_and_give_everything_back() -> None:
    with served(FakeRecognizer(), uploads=1, upload_idle_s=5.0) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nHost: h\r\n".encode())
            slow.sendall(b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 10000\r\n\r\n" + HEAD)
            until(lambda: "shoptalk_requests_in_progress 1.0" in httpx.get(url + "/metrics").text)
            until(lambda: ask(url).status_code == 429)
            refused = ask(url)
            assert refused.json()["error"]["code"] == "server_busy" and refused.headers["retry-after-ms"] == "5000"
        until(lambda: ask(url).status_code == 200)


def test_an_upload_that_is_too_slow_is_ended() -> None:
    with served(FakeRecognizer(), upload_idle_s=0.3, upload_min_kb_s=100.0) as url:

        def slowly() -> Iterator[bytes]:
            yield HEAD
            while True:
                time.sleep(0.05)
                yield b"x"

        answer = httpx.post(url + TRANSCRIPTIONS, content=slowly(), headers=FORM, timeout=20)
        assert answer.status_code == 408 and answer.json()["error"]["code"] == "upload_stalled"


def test_a_head_that_does_not_come_is_not_waited_for(url: str) -> None:
    port = int(url.rpartition(":")[2])
    for sent in (b"", b"GET /v1/models HTTP/1.1\r\nHost: "):
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(sent)
            slow.settimeout(10)
            answer = b"".join(iter(lambda: slow.recv(4096), b""))
            assert answer.startswith(b"HTTP/1.1 408 ") and b"request_stalled" in answer


def test_who_does_not_read_an_answer_is_cut_off_and_who_reads_slowly_is_not() -> None:
    asked = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: h\r\n\r\n" * 8
    with served(FakeRecognizer(), answer_idle_s=0.5) as url:
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        metrics = url + "/metrics"
        with socket.socket() as deaf, socket.socket() as slow:
            for connection in (deaf, slow):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.connect(address)
                connection.sendall(asked)
            for _ in range(20):
                time.sleep(0.1)
                assert slow.recv(65536)
            deaf.settimeout(10)
            received = sum(map(len, iter(lambda: deaf.recv(65536), b"")))
            assert received < 8 * len(httpx.get(url + "/docs/swagger-ui-bundle.js").content)
            assert slow.recv(65536)
        until(lambda: "shoptalk_requests_in_progress 0.0" in httpx.get(metrics).text)


def test_a_head_that_is_too_large_and_what_is_no_http_are_refused(url: str) -> None:
    port = int(url.rpartition(":")[2])
    for sent, status in (
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000, b"431"),
        (b"\x16\x03\x01nonsense\r\n\r\n", b"400"),
    ):
        with socket.create_connection(("127.0.0.1", port)) as odd:
            odd.sendall(sent)
            odd.settimeout(10)
            head, _, body = odd.recv(4096).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 " + status)
            assert b"\r\nx-request-id: req_" in head and b"\r\nx-should-retry: false" in head
            assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("garbage", [b"garbage\r\n\r\n", bytes(5000), b"\r\nnonsense\r\n\r\n" * 1000])
@pytest.mark.parametrize("requests", [1, 2])
def test_what_stands_behind_whole_requests_takes_no_answer_away(url: str, requests: int, garbage: bytes) -> None:
    built = httpx.Request("POST", url + TRANSCRIPTIONS, files={"file": recording(1.0)})
    lines = [f"POST {TRANSCRIPTIONS} HTTP/1.1", *(f"{name}: {value}" for name, value in built.headers.items()), "", ""]
    whole = "\r\n".join(lines).encode() + built.read()
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=20) as odd:
        odd.sendall(requests * whole + garbage)
        answer = b"".join(iter(lambda: odd.recv(65536), b""))
    assert answer.count(b"HTTP/1.1 200 ") == answer.count(b'"text":"It lasts 10."') // 2 == requests
    assert b"HTTP/1.1 400" not in answer


def test_requests_in_a_row_in_chunks_and_by_an_old_version_are_answered(url: str) -> None:
    built = httpx.Request("POST", url + TRANSCRIPTIONS, files={"file": recording(1.0)})
    body = built.read()
    pieces = [body[start : start + 1000] for start in range(0, len(body), 1000)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nX-Trailer: 1\r\n\r\n"
    form = f"Host: h\r\nContent-Type: {built.headers['content-type']}\r\n"
    whole = f"{form}Content-Length: {len(body)}\r\n\r\n".encode() + body
    in_chunks = f"POST {TRANSCRIPTIONS} HTTP/1.1\r\n{form}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks
    waiting = f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nExpect: 100-continue\r\n".encode() + whole
    old = f"POST {TRANSCRIPTIONS} HTTP/1.0\r\n".encode() + whole
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=20) as odd:
        odd.sendall(in_chunks + waiting + old)
        answer = b"".join(iter(lambda: odd.recv(65536), b""))
    assert answer.count(b"HTTP/1.1 200 ") == 3 and answer.count(b"HTTP/1.1 100 Continue") == 1


def test_connections_are_bounded(url: str) -> None:
    port = int(url.rpartition(":")[2])
    opened = [socket.create_connection(("127.0.0.1", port)) for _ in range(25)]
    try:
        opened[-1].settimeout(10)
        assert b"connections are open already" in opened[-1].recv(4096)
    finally:
        for connection in opened:
            connection.close()
    until(lambda: httpx.get(url + "/health/ready").status_code == 200)


def test_a_large_body_elsewhere_is_refused(url: str) -> None:
    before = figures(url).get("shoptalk_errors_total", 0.0)
    answer = httpx.put(url + "/v1/vocabularies/mine", content=b"x" * (SMALL_BYTES + 1))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    assert figures(url)["shoptalk_errors_total"] == before + 1


def test_no_body_is_read_before_the_key_is_checked_and_none_without_a_time_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of every route that takes one, by the service's own description; those of jobs and corrections need a store."""
    monkeypatch.setattr(bodies, "BODY_S", 0.2)
    (tmp_path / "key").write_bytes(base64.b64encode(bytes(32)))
    store = {"store_dir": tmp_path / "store", "store_key": tmp_path / "key"}
    with served(FakeRecognizer(), api_key="right", upload_idle_s=0.2, **store) as url:
        asked: list[tuple[str, str, str]] = []
        for path, operations in httpx.get(url + "/openapi.json").json()["paths"].items():
            for method, operation in operations.items():
                for kind in operation.get("requestBody", {}).get("content", {}):
                    asked.append((method.upper(), re.sub(r"\{[^}]*\}", MODEL, path), kind))
        assert {path for _, path, _ in asked} >= {TRANSCRIPTIONS, f"/admin/models/{MODEL}", f"/v1/vocabularies/{MODEL}"}
        for method, path, kind in asked:
            head = f"{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}; boundary=b\r\nContent-Length: 50\r\n"
            for key, status in [("wrong", 401), ("right", 408)]:
                with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10) as slow:
                    slow.sendall(f"{head}Authorization: Bearer {key}\r\n\r\n".encode())
                    assert slow.recv(4096).startswith(f"HTTP/1.1 {status} ".encode()), (method, path, key)


def test_uploads_never_touch_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **named: Any) -> None:
        raise AssertionError("a file was opened")

    with served(FakeRecognizer()) as url:
        monkeypatch.setattr("tempfile._io.open", refuse)
        monkeypatch.setattr("tempfile.TemporaryFile", refuse)
        assert ask(url, recording(90.0)).json()["text"] == "It lasts 900."


def test_a_budget_is_shared_and_one_request_always_fits() -> None:
    budget = Budget(10, "others fill the memory")
    with budget.share() as first, budget.share() as second:
        first.hold(25)
        with pytest.raises(Problem, match="others fill the memory"):
            second.hold(1)
        first.hold(6)
        second.hold(4)
        assert budget.taken == 10
        with pytest.raises(Problem):
            second.hold(5)
    assert budget.taken == 0


def test_a_recording_of_24_minutes_is_taken() -> None:
    with served(FakeRecognizer()) as url:
        assert ask(url, recording(1440.0, rate_hz=8_000)).json()["duration"] == 1440.0


# ---- TLS and proxies


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    made = folder / "both.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost".split()
    )
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, cwd=folder)
    made.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return made


def test_https_with_a_lowest_version_and_clients_that_have_a_certificate(certificate: Path) -> None:
    options = {"tls_certificate": certificate, "tls_client_ca": certificate, "tls_minimum": "1.3"}
    with served(FakeRecognizer(), wait=False, **options) as url:
        url = url.replace("http:", "https:")
        trusting = ssl.create_default_context(cafile=str(certificate))
        with pytest.raises(httpx.TransportError):
            httpx.get(url + "/health/live", verify=trusting)
        trusting.load_cert_chain(certificate)
        assert httpx.get(url + "/health/live", verify=trusting).status_code == 200
        trusting.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(httpx.TransportError):
            httpx.get(url + "/health/live", verify=trusting)


def test_a_certificate_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no certificate")
    for path in (tmp_path / "no.pem", tmp_path / "missing.pem"):
        with pytest.raises(BindingError, match="serve.tls_certificate"):
            configuration(app_of(FakeRecognizer(), Settings()), Settings(tls_certificate=path))


@pytest.mark.parametrize(("trusted", "expected"), [(["127.0.0.1"], "203.0.113.9"), ([], "127.0.0.1")])
def test_forwarded_addresses_are_believed_of_trusted_proxies_alone(
    trusted: list[str], expected: str, tmp_path: Path
) -> None:
    audit = tmp_path / "audit.jsonl"
    with served(FakeRecognizer(), trusted_proxies=trusted, audit_file=audit, audit_address=True) as url:
        httpx.get(url + "/v1/models", headers={"x-forwarded-for": "203.0.113.9"})
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [line["address"] for line in lines if line["route"] == "/v1/models"] == [expected]


# ---- the description


def test_the_description_names_every_field_and_the_form_of_errors() -> None:
    with TestClient(app_of(FakeRecognizer(), Settings())) as asking:
        described = asking.get("/openapi.json").json()
    operation = described["paths"][TRANSCRIPTIONS]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["file"] and {"keywords[]", "stream", "channels", "review"} <= form["properties"].keys()
    assert "422" not in operation["responses"] and "default" in operation["responses"]
    assert "HTTPValidationError" not in json.dumps(described)


def test_cancelling_ends_decoding() -> None:
    from shoptalk.service.http.intake import Intake

    class Slow:
        """A file whose reading never ends by itself."""

        reads = 0

        def __init__(self, content: bytes) -> None:
            self.content = content

        def tell(self) -> int:
            return 0

        def seek(self, place: int, whence: int = 0) -> int:
            return 0

        def read(self, size: int = -1) -> bytes:
            Slow.reads += 1
            time.sleep(0.01)
            return self.content[:size]

    async def cancelled() -> None:
        intake = Intake(Settings())
        with intake.audio.share() as share:
            decoding = asyncio.ensure_future(intake.decode(Slow(recording(5.0)), share, separate=False))  # type: ignore[arg-type]
            await asyncio.sleep(0.2)
            decoding.cancel()
            await asyncio.gather(decoding, return_exceptions=True)
        await asyncio.sleep(0.3)
        reads = Slow.reads
        await asyncio.sleep(0.3)
        assert Slow.reads <= reads + 1
        intake.stop()

    asyncio.run(cancelled())


def test_a_phrase_that_the_model_cannot_write_is_refused_or_left_out_of_a_prompt() -> None:
    class Picky(FakeWorker):
        async def transcribe(self, work: Work) -> Recognition:
            if any("☃" in phrase.text for phrase in work.options.phrases):
                raise Problem(400, "a phrase cannot be boosted", code="invalid_phrase", param="prompt")
            return Recognition(text=" ".join(phrase.text for phrase in work.options.phrases))

    class Source(FakeSource):
        def worker(self, name: str, path: Path) -> Worker:
            return Picky(name, path)

    own = Settings(golden_every_s=0)
    models = Models({"base": Path("base")}, Source(), own, rng=np.random.default_rng(7))
    with TestClient(create_app(models, own, access=Access(None, own))) as asking:
        until(lambda: asking.get("/health/ready").status_code == 200)

        def answer(**data: str) -> httpx.Response:
            return asking.post(TRANSCRIPTIONS, files={"file": recording(0.5)}, data=data)

        told = answer(prompt="snow ☃, ramipril", keywords="apixaban")
        assert told.json()["text"] == "apixaban" and "prompt" in told.headers[WARNING]
        refused = answer(keywords="☃")
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "keywords")


def test_fields_are_bounded_together(url: str) -> None:
    fields = {f"keywords[{number}]": "word " * 10_000 for number in range(50)}
    answer = httpx.post(url + TRANSCRIPTIONS, files={"file": recording(1.0)}, data=fields)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "fields_too_large")
