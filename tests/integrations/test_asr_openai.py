"""The recogniser behind an OpenAI-compatible endpoint: against our own service, and against a scripted server."""

import io
import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import soundfile
from tests.service.http.serving import MODEL, FakeRecognizer, heard, served

from shoptalk.core.errors import RecognitionError
from shoptalk.core.protocols import Options
from shoptalk.core.records import Samples, Word
from shoptalk.core.tokens import placed
from shoptalk.integrations.asr_openai import OpenAiRecognizer

RETRY_AFTER = "0.3"
"""Seconds that the scripted server asks for, shorter than the client would wait by itself."""
VERBOSE = {"text": " Take metformin. ", "words": [{"word": " Take", "start": 0.1, "end": 0.4, "probability": 0.9}]}


class Server(ThreadingHTTPServer):
    """Answers the statuses and bodies of `script`, then `VERBOSE`; never `verbose_json` if it is `plain`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[tuple[int, str]] = []
        self.plain = False
        self.forms: list[dict[str, bytes]] = []
        self.keys: list[str | None] = []
        self.times_s: list[float] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        boundary = b"--" + self.headers["Content-Type"].partition("boundary=")[2].encode()
        parts = (part.partition(b"\r\n\r\n") for part in body.split(boundary)[1:-1])
        form = {re.findall(rb'name="(.+?)"', head)[0].decode(): content[:-2] for head, _, content in parts}
        with self.server.lock:
            self.server.times_s.append(time.monotonic())
            self.server.forms.append(form)
            self.server.keys.append(self.headers.get("Authorization"))
            status, answer = self.server.script.pop(0) if self.server.script else (200, json.dumps(VERBOSE))
        if self.server.plain:
            verbose = form["response_format"] == b"verbose_json"
            status, answer = (400, "no verbose_json here") if verbose else (200, '{"text": "Take metformin."}')
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer.encode())))
        self.send_header("Retry-After", RETRY_AFTER)
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def tone(tenths: int) -> Samples:
    return (0.3 * np.sin(np.arange(tenths * 1600) / 8)).astype(np.float32)


def test_our_own_service_answers_in_order_with_words_in_time() -> None:
    lengths = [7, 3, 12, 1, 9, 30, 2]
    with served(FakeRecognizer(), api_key="secret") as url:
        recognizer = OpenAiRecognizer(url + "/v1/", name=MODEL, api_key="secret")
        expected = []
        for tenths in lengths:
            inside = placed(heard(tenths).words, until_s=tenths / 10)  # the service's fake has words behind the end
            expected.append(heard(tenths).model_copy(update={"words": inside}))
        assert recognizer.recognize([tone(tenths) for tenths in lengths]) == expected
        assert recognizer.recognize([]) == []


def test_what_our_own_service_refuses_is_told() -> None:
    with served(FakeRecognizer(), api_key="secret") as url:
        with pytest.raises(RecognitionError, match="HTTP 401.*evaluate.others.*OPENAI_API_KEY"):
            OpenAiRecognizer(url + "/v1", name=MODEL, api_key="wrong").recognize([tone(3)] * 3)
        with pytest.raises(RecognitionError, match="HTTP 404.*does not exist here"):
            OpenAiRecognizer(url + "/v1", name="other", api_key="secret").recognize([tone(3)])


def test_it_sends_flac_and_asks_for_words(server: Server) -> None:
    [found] = OpenAiRecognizer(server.url, name="big", api_key="secret").recognize([tone(5)])
    assert found.text == "Take metformin."
    assert found.words == (Word(word="Take", start_s=0.1, end_s=0.4, confidence=0.9),)
    [form], [key] = server.forms, server.keys
    assert key == "Bearer secret"
    sent_T, rate_hz = soundfile.read(io.BytesIO(form.pop("file")), dtype="float32")
    assert rate_hz == 16_000
    np.testing.assert_allclose(sent_T, tone(5), atol=1e-4)
    wanted = {"model": b"big", "language": b"en", "response_format": b"verbose_json"}
    assert form == wanted | {"timestamp_granularities[]": b"word"}


def test_without_timestamps_it_asks_for_no_words(server: Server) -> None:
    recognizer = OpenAiRecognizer(server.url, name="big", at_once=1)
    recognizer.recognize([tone(5)], [Options(timestamps=False)])
    recognizer.recognize([tone(5)])
    assert [form["response_format"] for form in server.forms] == [b"json", b"verbose_json"]
    with pytest.raises(RecognitionError, match="neither phrases nor alternatives"):
        recognizer.recognize([tone(5)], [Options(alternatives=1)])


def test_nothing_is_shorter_than_a_server_takes(server: Server) -> None:
    OpenAiRecognizer(server.url, name="big").recognize([tone(1)[:5], np.zeros(0, np.float32)])
    assert [soundfile.info(io.BytesIO(form["file"])).frames for form in server.forms] == [1600, 1600]


def test_where_verbose_json_is_refused_it_asks_once_and_then_for_json(server: Server) -> None:
    server.plain = True
    found = OpenAiRecognizer(server.url, name="gpt-4o-transcribe", at_once=1).recognize([tone(2)] * 3)
    assert [(one.text, one.words) for one in found] == [("Take metformin.", ())] * 3
    assert [form["response_format"] for form in server.forms] == [b"verbose_json", b"json", b"json", b"json"]
    assert "timestamp_granularities[]" not in server.forms[1]


def test_a_bad_recording_does_not_cost_the_words_of_the_rest(server: Server) -> None:
    recognizer = OpenAiRecognizer(server.url, name="big", at_once=1)
    server.script = [(400, "bad audio"), (400, "bad audio")]
    with pytest.raises(RecognitionError, match="refused: HTTP 400: bad audio"):
        recognizer.recognize([tone(2)])
    assert recognizer.recognize([tone(2)])[0].words


def test_it_tries_again_and_waits_as_asked(server: Server) -> None:
    server.script = [(429, "slow down"), (503, "busy")]
    assert OpenAiRecognizer(server.url, name="big").recognize([tone(2)])[0].text
    waits_s = np.diff(server.times_s)
    assert len(waits_s) == 2
    assert np.all((waits_s >= 0.3) & (waits_s < 0.37)), "by itself the client waits at least 0.375 s, then 0.75 s"


def test_what_it_cannot_mend_is_a_recognition_error(server: Server) -> None:
    recognizer = OpenAiRecognizer(server.url, name="big", at_once=1, attempts=2)
    for script, words in (
        ([(500, "oops"), (500, "oops")], "failed 2 times, last with HTTP 500: oops; is the endpoint up"),
        ([(200, "<html>")], "no transcription: <html>"),
        ([(200, '{"text": null}')], "no transcription"),
        ([(200, '{"text": "a", "words": [{"word": "a"}]}')], "no transcription"),
    ):
        server.script = list(script)
        with pytest.raises(RecognitionError, match=words):
            recognizer.recognize([tone(2)])
    with pytest.raises(RecognitionError, match=r"set `evaluate.others.base_url`"):
        OpenAiRecognizer("", name="big")
    with pytest.raises(RecognitionError, match="failed 1 times, last with ConnectError"):
        OpenAiRecognizer("http://127.0.0.1:9/v1", name="big", attempts=1).recognize([tone(2)])


def test_a_server_on_this_machine_is_not_asked_through_a_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert OpenAiRecognizer(server.url, name="big", attempts=1).recognize([tone(2)])[0].text
    with pytest.raises(RecognitionError, match="failed 1 times, last with"):
        OpenAiRecognizer("http://192.0.2.1/v1", name="big", attempts=1).recognize([tone(2)])


def test_without_a_key_none_is_sent(server: Server) -> None:
    OpenAiRecognizer(server.url, name="big").recognize([tone(2)])
    assert server.keys == [None]
