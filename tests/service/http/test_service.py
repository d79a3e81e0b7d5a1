"""The official OpenAI client talks to the service over a real socket, in every format and into every error."""

import concurrent.futures
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from tests.service.http.serving import (
    CODECS,
    MODEL,
    FakeRecognizer,
    app_of,
    client,
    figures,
    recording,
    served,
    until,
)

from shoptalk.core.errors import ApiKeyError, BindingError
from shoptalk.core.recipe import Recipe
from shoptalk.integrations.asr_openai import OpenAiRecognizer
from shoptalk.service.http.recognising import WARNING
from shoptalk.service.http.transcriptions import TRANSCRIPTIONS
from shoptalk.service.server import check_binding
from shoptalk.service.settings import Settings
from shoptalk.stages import serving

KEY = "correct-horse-battery"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(FakeRecognizer(), max_upload_mb=1.0, max_audio_s=20.0, timeout_s=10.0) as address:
        yield address


def transcribe(url: str, content: bytes, name: str = "speech.wav", **options: Any) -> Any:
    return client(url).audio.transcriptions.create(**{"model": MODEL, "file": (name, content), **options})


@pytest.mark.parametrize("form", CODECS)
@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_every_format_is_understood(url: str, form: str, rate_hz: int) -> None:
    answer = transcribe(url, recording(2.0, form, rate_hz), f"speech.{form}")
    assert answer.text in ("It lasts 20.", "It lasts 21.")  # mp3 pads


def test_json_text_and_subtitles(url: str) -> None:
    content = recording(1.5)
    assert transcribe(url, content).usage.seconds == 2
    assert transcribe(url, content, response_format="text") == "It lasts 15.\n"
    srt = transcribe(url, content, response_format="srt")
    assert srt == "1\n00:00:00,000 --> 00:00:01,000\nIt lasts 15. Yes\n\n"
    vtt = transcribe(url, content, response_format="vtt")
    assert vtt == "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nIt lasts 15. Yes\n\n"


def test_verbose_json_with_words_and_segments(url: str) -> None:
    asked = ["word", "segment"]
    found = transcribe(url, recording(1.5), response_format="verbose_json", timestamp_granularities=asked)
    assert (found.task, found.language, found.duration, found.text) == ("transcribe", "english", 1.5, "It lasts 15.")
    assert [(w.word, w.start, w.end) for w in found.words][0] == ("It", 0.0, 0.1)
    assert [(s.id, s.start, s.end, s.text) for s in found.segments] == [
        (0, 0, 0.4, "It lasts 15."),
        (1, 0.5, 0.6, "Yes"),
    ]
    only_words = transcribe(
        url, recording(1.5), response_format="verbose_json", timestamp_granularities=["word"], language="en",
        prompt="metformin", temperature=0.2,
    )  # fmt: skip
    assert only_words.segments is None
    assert only_words.words is not None
    assert transcribe(url, recording(1.5), response_format="verbose_json").words is None


def test_every_field_of_verbose_json_has_the_type_of_openais_schema(url: str) -> None:
    options = {"response_format": "verbose_json", "timestamp_granularities": ["word", "segment"]}
    raw = client(url).audio.transcriptions.with_raw_response.create(
        model=MODEL, file=("a.wav", recording(1.5)), **options
    )
    content = json.loads(raw.http_response.text)
    openai.types.audio.TranscriptionVerbose.model_validate(content, strict=True)
    assert content["usage"] == {"type": "duration", "seconds": 2}
    first = content["segments"][0]
    assert first["compression_ratio"] == round(12 / len(zlib.compress(b"It lasts 15.")), 4)
    assert first["avg_logprob"] == 0.0  # the recogniser of these tests tells no confidences


CASES = Path(__file__).parents[2] / "cases"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("one-nan.wav", "1 samples are infinite or no number, the first is sample"),
        ("one-bad-packet-e.mp3", "s could not be decoded; the timestamps have gaps of 0.036 s"),
        ("mp3-tail-garbage.mp3", "s could not be decoded and are left out"),
    ],
)
def test_what_of_a_recording_is_left_out_is_told_in_a_header(url: str, name: str, told: str) -> None:
    content = (CASES / name).read_bytes()
    raw = client(url).audio.transcriptions.with_raw_response.create(model=MODEL, file=(name, content))
    assert told in raw.headers[WARNING] and raw.parse().text.startswith("It lasts ")
    sound = client(url).audio.transcriptions.with_raw_response.create(model=MODEL, file=("a.wav", recording(1.0)))
    assert WARNING not in sound.headers


def test_models(url: str) -> None:
    assert [model.id for model in client(url).models.list()] == [MODEL]
    assert client(url).models.retrieve(MODEL).created == 1_700_000_000
    with pytest.raises(openai.NotFoundError) as error:
        client(url).models.retrieve("no-such-model")
    assert error.value.code == "model_not_found"


PLAYLIST = b"ffconcat version 1.0\nfile /etc/hostname\n"
WRONG: dict[str, tuple[dict[str, Any], type[openai.APIStatusError], str, str | None]] = {
    "empty": ({"file": ("a.wav", b"")}, openai.BadRequestError, "empty_file", "file"),
    "text": ({"file": ("a.wav", b"Dear Sir, " * 300)}, openai.BadRequestError, "invalid_audio", "file"),
    "playlist": ({"file": ("a.wav", PLAYLIST)}, openai.BadRequestError, "invalid_audio", "file"),
    "hls": ({"file": ("a.wav", b"#EXTM3U\nhttp://127.0.0.1:1/a\n")}, openai.BadRequestError, "invalid_audio", "file"),
    "header only": ({"file": ("a.wav", recording(1)[:44])}, openai.BadRequestError, "invalid_audio", "file"),
    "too long": ({"file": ("a.ogg", recording(21, "ogg"))}, openai.BadRequestError, "audio_too_long", "file"),
    "too large": ({"file": ("a.wav", bytes(1_200_000))}, openai.APIStatusError, "file_too_large", "file"),
    "model": ({"model": "no-such-model"}, openai.NotFoundError, "model_not_found", "model"),
    "format": ({"response_format": "xml"}, openai.BadRequestError, "invalid_value", "response_format"),
    "words in json": (
        {"timestamp_granularities": ["word"]}, openai.BadRequestError, "invalid_value", "timestamp_granularities",
    ),
    "language": ({"language": "de"}, openai.BadRequestError, "unsupported_language", "language"),
    "temperature": ({"temperature": 7}, openai.BadRequestError, "invalid_value", "temperature"),
    "speakers": ({"response_format": "diarized_json"}, openai.BadRequestError, "unsupported_value", "response_format"),
    "known speakers": (
        {"known_speaker_names": ["a"]}, openai.BadRequestError, "unsupported_value", "known_speaker_names",
    ),
    "subtitles as events": (
        {"stream": True, "response_format": "srt"}, openai.BadRequestError, "unsupported_value", "stream",
    ),
    "stream": ({"extra_body": {"stream": "perhaps"}}, openai.BadRequestError, "invalid_value", "stream"),
    "languages": ({"languages": ["de", "fr"]}, openai.BadRequestError, "unsupported_language", "languages"),
    "include": ({"include": ["speakers"]}, openai.BadRequestError, "invalid_value", "include"),
    "logprobs of subtitles": (
        {"include": ["logprobs"], "response_format": "srt"}, openai.BadRequestError, "invalid_value", "include",
    ),
    "chunking": (
        {"chunking_strategy": {"type": "server_vad", "threshold": 7}},
        openai.BadRequestError, "invalid_value", "chunking_strategy",
    ),
    "channels": ({"extra_body": {"channels": "left"}}, openai.BadRequestError, "invalid_value", "channels"),
    "alternatives": ({"extra_body": {"alternatives": 17}}, openai.BadRequestError, "invalid_value", "alternatives"),
    "review": ({"extra_body": {"review": "some"}}, openai.BadRequestError, "invalid_value", "review"),
    "review of text": (
        {"extra_body": {"review": True}, "response_format": "text"}, openai.BadRequestError, "invalid_value", "review",
    ),
    "vocabulary": (
        {"extra_body": {"vocabulary": "none"}}, openai.NotFoundError, "vocabulary_not_found", "vocabulary",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("options", "kind", "code", "param"), WRONG.values(), ids=WRONG.keys())
def test_every_mistake_is_named(
    url: str, options: dict[str, Any], kind: type[openai.APIStatusError], code: str, param: str | None
) -> None:
    with pytest.raises(kind) as error:
        transcribe(url, recording(0.5), **options) if "file" not in options else transcribe(url, b"", **options)
    assert 400 <= error.value.status_code < 500
    assert (error.value.code, error.value.param, error.value.type) == (code, param, "invalid_request_error")


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/v2/nothing", {}, 404),
        ("GET", TRANSCRIPTIONS, {}, 405),
        ("POST", TRANSCRIPTIONS, {"json": {"model": MODEL}}, 400),
        ("POST", TRANSCRIPTIONS, {"files": {"other": b"x"}, "data": {"model": MODEL}}, 400),
        ("POST", TRANSCRIPTIONS, {"data": {"file": "no file"}, "files": {"model": (None, MODEL)}}, 400),
        ("POST", TRANSCRIPTIONS, {"content": b"--", "headers": {"content-type": "multipart/form-data"}}, 400),
        (
            "POST",
            TRANSCRIPTIONS,
            {"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=b"}},
            400,
        ),
        ("POST", TRANSCRIPTIONS, {"files": [("file", b"x"), ("file", b"y")]}, 400),
    ],
)
def test_every_other_error_has_openais_form(
    url: str, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    answer = httpx.request(method, url + path, **options)
    assert answer.status_code == status
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    assert answer.json()["error"]["message"]


def test_an_upload_without_a_length_is_cut_off(url: str) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        while sent < 500 * 2**20:
            sent += 2**16
            yield bytes(2**16)

    headers = {"content-type": "multipart/form-data; boundary=b"}
    try:
        answer = httpx.post(url + TRANSCRIPTIONS, content=endless(), headers=headers)
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "file_too_large"
    except httpx.TransportError:
        pass  # the server hung up while the client was still sending
    assert sent < 50 * 2**20


def test_a_full_queue_says_when_to_come_back() -> None:
    fake = FakeRecognizer()
    with served(fake, batch=1, queue=2, batch_wait_ms=0) as url, concurrent.futures.ThreadPoolExecutor(3) as pool:
        fake.gate.clear()
        calls = [pool.submit(transcribe, url, recording(1)) for _ in range(3)]
        until(lambda: figures(url)["shoptalk_requests_in_progress"] == 3)
        with pytest.raises(openai.RateLimitError) as error:
            transcribe(url, recording(1))
        assert int(error.value.response.headers["retry-after"]) >= 1
        assert error.value.code == "queue_full"
        fake.gate.set()
        assert [call.result().text for call in calls] == ["It lasts 10."] * 3
        assert transcribe(url, recording(1)).text == "It lasts 10."


def test_a_late_answer_is_a_timeout_and_is_withdrawn() -> None:
    fake = FakeRecognizer()
    with served(fake, batch=1, timeout_s=0.5) as url:
        fake.gate.clear()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for call in [pool.submit(transcribe, url, recording(1)) for _ in range(2)]:
                with pytest.raises(openai.InternalServerError) as error:
                    call.result()
                assert (error.value.status_code, error.value.code) == (504, "timeout")
        fake.gate.set()
        assert transcribe(url, recording(1)).text == "It lasts 10."
    assert sum(fake.batches) == 3  # warm-up, the one that was being recognised, the last; the waiting one was not


def test_work_for_a_client_that_left_is_skipped() -> None:
    fake = FakeRecognizer()
    with served(fake, batch=1) as url, concurrent.futures.ThreadPoolExecutor(1) as pool:
        fake.gate.clear()
        first = pool.submit(transcribe, url, recording(1))
        until(lambda: figures(url)["shoptalk_requests_in_progress"] == 1)
        with pytest.raises(httpx.ReadTimeout):
            files = {"file": ("a.wav", recording(2))}
            httpx.post(url + TRANSCRIPTIONS, files=files, data={"model": MODEL}, timeout=0.5)
        until(lambda: figures(url).get("shoptalk_requests_total:499") == 1)
        fake.gate.set()
        assert first.result().text == "It lasts 10."
        until(lambda: figures(url)["shoptalk_requests_in_progress"] == 0)
    assert sum(fake.batches) == 2


def test_not_ready_before_the_model_is_warm_nor_after_it_broke() -> None:
    fake = FakeRecognizer()
    fake.gate.clear()
    with served(fake, wait=False) as url:
        assert httpx.get(url + "/health/live").status_code == 200
        assert httpx.get(url + "/health/ready").status_code == 503
        with pytest.raises(openai.InternalServerError) as error:
            transcribe(url, recording(1))
        assert (error.value.status_code, error.value.code) == (503, "not_ready")
        fake.gate.set()
        until(lambda: httpx.get(url + "/health/ready").status_code == 200)
        fake.broken = True
        with pytest.raises(openai.InternalServerError):
            transcribe(url, recording(1))
        until(lambda: httpx.get(url + "/health/ready").status_code == 503)
        assert httpx.get(url + "/health/live").status_code == 200
        assert figures(url)["shoptalk_model_ready"] == 0
        with pytest.raises(openai.InternalServerError) as error:
            transcribe(url, recording(1))
        assert error.value.status_code == 503


def test_stopping_answers_what_was_accepted() -> None:
    fake = FakeRecognizer()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        with served(fake, batch=1, queue=8) as url:
            fake.gate.clear()
            calls = [pool.submit(transcribe, url, recording(1)) for _ in range(3)]
            until(lambda: figures(url)["shoptalk_requests_in_progress"] == 3)
        assert [call.result().text for call in calls] == ["It lasts 10."] * 3


def test_the_key_is_asked_for_below_v1_only() -> None:
    with served(FakeRecognizer(), api_key=KEY) as url:
        for wrong in ("none", KEY[:-1], KEY + "x", "no key"):
            with pytest.raises(openai.AuthenticationError) as error:
                client(url, wrong).audio.transcriptions.create(model=MODEL, file=("a.wav", recording(1)))
            assert error.value.code == "invalid_api_key"
        with pytest.raises(openai.AuthenticationError):
            client(url, "none").models.list()
        assert httpx.get(url + "/v1/models", headers={"Authorization": f"Basic {KEY}"}).status_code == 401
        assert client(url, KEY).audio.transcriptions.create(model=MODEL, file=("a.wav", recording(1))).text
        assert {httpx.get(url + path).status_code for path in ("/metrics", "/health/live", "/health/ready")} == {200}


@pytest.mark.parametrize("key", ["Schlüssel", "пароль", "two words", "newline\n", "tab\t", "\x7f", "ключ-1"])
def test_a_key_that_no_header_can_carry_is_refused_at_the_start(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ApiKeyError) as error:
        app_of(FakeRecognizer(), Settings(), api_key=key)
    assert key.strip() not in str(error.value)
    monkeypatch.setenv("SHOPTALK_API_KEY", key)
    with pytest.raises(ApiKeyError, match="SHOPTALK_API_KEY: character"):
        serving.serve(Path("no-such-bundle"), Recipe())
    with pytest.raises(ApiKeyError, match="evaluate.others"):
        OpenAiRecognizer("http://127.0.0.1:1/v1", name="whisper-1", api_key=key)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1))
@settings(max_examples=15, deadline=None)
def test_any_key_that_is_accepted_matches(key: str) -> None:
    app = app_of(FakeRecognizer(), Settings(), api_key=key)
    with TestClient(app) as asking:
        assert asking.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code == 200
        assert asking.get("/v1/models", headers={"Authorization": f"Bearer {key}x"}).status_code == 401


def test_the_api_description_lists_the_form(url: str) -> None:
    described = httpx.get(url + "/openapi.json").json()["paths"][TRANSCRIPTIONS]["post"]["requestBody"]
    assert "response_format" in json.dumps(described)


@pytest.mark.parametrize(("host", "safe"), [
    ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
    ("0.0.0.0", False), ("::", False), ("192.168.1.4", False), ("example.org", False), ("", False),
])  # fmt: skip
def test_without_a_key_only_loopback_is_served(host: str, safe: bool) -> None:
    check_binding(host, asks_for_key=True)
    if safe:
        check_binding(host, asks_for_key=False)
    else:
        with pytest.raises(BindingError, match="SHOPTALK_API_KEY"):
            check_binding(host, asks_for_key=False)
