"""The official `openai` client, its third generation and its second: sync, async and streaming, unmodified."""

import asyncio
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai.types.audio import Transcription, TranscriptionVerbose
from server import Server

CUE = re.compile(r"\d\d:\d\d:\d\d[,.]\d{3} --> \d\d:\d\d:\d\d[,.]\d{3}")
Create = Callable[..., Any]


@pytest.fixture
def client(shoptalk: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=shoptalk.base_url, api_key=shoptalk.key, max_retries=0) as opened:
        yield opened


@pytest.fixture(params=["sync", "async"])
def create(request: pytest.FixtureRequest, shoptalk: Server) -> Create:
    """`audio.transcriptions.create` of the short recording, by the one client or the other."""
    options: dict[str, Any] = {"base_url": shoptalk.base_url, "api_key": shoptalk.key, "max_retries": 0}

    def by_sync(**fields: Any) -> Any:
        with openai.OpenAI(**options) as opened:
            return opened.audio.transcriptions.create(**{"file": shoptalk.short.path, "model": shoptalk.model} | fields)

    def by_async(**fields: Any) -> Any:
        async def ask() -> Any:
            async with openai.AsyncOpenAI(**options) as opened:
                given = {"file": shoptalk.short.path, "model": shoptalk.model} | fields
                return await opened.audio.transcriptions.create(**given)

        return asyncio.run(ask())

    return by_sync if request.param == "sync" else by_async


def test_json_has_the_text_and_the_usage(create: Create, shoptalk: Server) -> None:
    answer = create()
    assert isinstance(answer, Transcription)
    assert answer.text == shoptalk.short.text
    assert answer.usage is not None and answer.usage.type == "duration"
    assert answer.usage.seconds == pytest.approx(shoptalk.short.duration_s, abs=1)
    assert answer._request_id


def test_verbose_json_has_every_field_of_openais_types(create: Create, shoptalk: Server) -> None:
    answer = create(response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert isinstance(answer, TranscriptionVerbose)
    TranscriptionVerbose.model_validate(answer.model_dump(), strict=False)  # a client builds it without a check
    assert answer.text == shoptalk.short.text
    assert answer.language == "english"
    assert float(answer.duration) == pytest.approx(shoptalk.short.duration_s, abs=0.01)
    assert " ".join(word.word for word in answer.words) == shoptalk.short.text
    ends = [time for word in answer.words for time in (word.start, word.end)]
    assert ends == sorted(ends) and ends[0] >= 0 and ends[-1] <= shoptalk.short.duration_s
    assert " ".join(segment.text.strip() for segment in answer.segments) == shoptalk.short.text
    assert all(segment.avg_logprob <= 0 for segment in answer.segments)


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
def test_text_and_subtitles_are_strings(create: Create, shoptalk: Server, form: str) -> None:
    answer = create(response_format=form)
    assert isinstance(answer, str)
    lines = [line for line in answer.splitlines() if line and line != "WEBVTT" and not line.isdigit()]
    cues = [line for line in lines if CUE.fullmatch(line)]
    assert bool(cues) == (form != "text")
    assert answer.startswith("WEBVTT") == (form == "vtt")
    assert " ".join(line for line in lines if line not in cues) == shoptalk.short.text


def test_logprobs_are_those_of_the_text(create: Create, shoptalk: Server) -> None:
    answer = create(include=["logprobs"])
    assert answer.logprobs
    assert "".join(token.token for token in answer.logprobs).strip() == shoptalk.short.text
    assert all(token.logprob <= 0 for token in answer.logprobs)
    assert all(bytes(map(int, token.bytes)).decode() == token.token for token in answer.logprobs)


def test_keywords_prompt_languages_and_chunking_are_accepted(create: Create, shoptalk: Server) -> None:
    answer = create(
        keywords=["shoptalk"],
        prompt="At the theatre.",
        languages=["en", "de"],
        temperature=0,
        chunking_strategy={"type": "server_vad", "threshold": 0.4},
    )
    assert answer.text
    assert create(language="en", chunking_strategy="auto").text == shoptalk.short.text


def test_keywords_reach_the_decoder(client: openai.OpenAI, shoptalk: Server) -> None:
    """One that was said stays; one that cannot be a phrase is told by its place, and the others count."""
    keyword = max(shoptalk.short.text.split(), key=len).strip(".,?!")
    raw = client.audio.transcriptions.with_raw_response
    answer = raw.create(file=shoptalk.short.path, model=shoptalk.model, keywords=["x" * 5000, keyword])
    assert keyword.lower() in answer.parse().text.lower()
    assert "keyword 1" in answer.headers["x-shoptalk-warning"]


def test_a_file_is_known_by_its_content(client: openai.OpenAI, shoptalk: Server) -> None:
    upload = ("recording.webm", io.BytesIO(shoptalk.opus.path.read_bytes()), "video/webm")
    answer = client.audio.transcriptions.create(file=upload, model=shoptalk.model)
    assert answer.text == shoptalk.opus.text


@pytest.mark.parametrize("name", ["whisper-1", "gpt-4o-transcribe", "gpt-transcribe"])
def test_openais_model_names_mean_the_default_model(client: openai.OpenAI, shoptalk: Server, name: str) -> None:
    assert client.audio.transcriptions.create(file=shoptalk.short.path, model=name).text == shoptalk.short.text


def test_models_are_listed(client: openai.OpenAI, shoptalk: Server) -> None:
    assert shoptalk.model in [model.id for model in client.models.list()]
    assert client.models.retrieve(shoptalk.model).object == "model"


# ---- streaming


def test_events_come_while_the_recording_is_transcribed(client: openai.OpenAI, shoptalk: Server) -> None:
    fields: dict[str, Any] = {"file": shoptalk.long.path, "model": shoptalk.model, "stream": True}
    events = list(client.audio.transcriptions.create(**fields))
    check_events(events, shoptalk.long.text)
    assert len(events) > 2, "more than one delta of a recording of several windows"


def test_events_come_to_the_async_client(shoptalk: Server) -> None:
    async def ask() -> list[Any]:
        async with openai.AsyncOpenAI(base_url=shoptalk.base_url, api_key=shoptalk.key) as opened:
            stream = await opened.audio.transcriptions.create(
                file=shoptalk.short.path, model=shoptalk.model, stream=True, include=["logprobs"]
            )
            return [event async for event in stream]

    events = asyncio.run(ask())
    check_events(events, shoptalk.short.text)
    assert events[-1].logprobs


def check_events(events: list[Any], text: str) -> None:
    """Deltas that make up the text, then the whole text with its usage."""
    *deltas, done = events
    assert {event.type for event in deltas} == {"transcript.text.delta"}
    assert done.type == "transcript.text.done"
    assert "".join(event.delta for event in deltas) == done.text == text
    assert done.usage.type == "tokens" and done.usage.total_tokens > 0


def test_an_answer_can_be_streamed_raw(client: openai.OpenAI, shoptalk: Server) -> None:
    streaming = client.audio.transcriptions.with_streaming_response
    with streaming.create(file=shoptalk.short.path, model=shoptalk.model, response_format="json") as answer:
        content = b"".join(answer.iter_bytes())
        assert answer.request_id
    assert json.loads(content)["text"] == shoptalk.short.text


# ---- errors and retries


def test_a_wrong_key_is_an_authentication_error(shoptalk: Server) -> None:
    with (
        openai.OpenAI(base_url=shoptalk.base_url, api_key="wrong") as opened,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        opened.audio.transcriptions.create(file=shoptalk.short.path, model=shoptalk.model)
    assert refused.value.code == "invalid_api_key"
    assert refused.value.request_id


@pytest.mark.parametrize(
    "fields, param",
    [
        ({"response_format": "diarized_json"}, "response_format"),
        ({"language": "de"}, "language"),
        ({"temperature": 7}, "temperature"),
        ({"known_speaker_names": ["doctor"]}, "known_speaker_names"),
        ({"timestamp_granularities": ["phoneme"], "response_format": "verbose_json"}, "timestamp_granularities"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(create: Create, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        create(**fields)
    error = refused.value
    assert error.param == param and error.type == "invalid_request_error" and error.code
    assert error.response.headers["x-request-id"] == error.request_id


def test_an_unknown_model_is_not_found(create: Create) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        create(model="unheard-of")
    assert refused.value.code == "model_not_found"


def test_a_file_without_sound_is_a_bad_request(create: Create) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        create(file=("notes.txt", b"no sound at all"))
    assert refused.value.param == "file"


def test_translations_are_refused_and_never_tried_again(shoptalk: Server) -> None:
    requests: list[Any] = []
    with counting(shoptalk.base_url, shoptalk.key, requests) as opened, pytest.raises(openai.APIStatusError) as refused:
        opened.audio.translations.create(file=shoptalk.short.path, model="whisper-1")
    assert "/audio/transcriptions" in str(refused.value)
    assert len(requests) == 1


def test_the_client_tries_again_until_its_turn_comes(shoptalk: Server) -> None:
    """A key that may have one recording under way gets 429 with Retry-After for the next; the client obeys it."""

    async def ask_together(max_retries: int) -> list[Any]:
        async with openai.AsyncOpenAI(
            base_url=shoptalk.base_url, api_key=shoptalk.narrow_key, max_retries=max_retries
        ) as opened:
            fields: dict[str, Any] = {"file": shoptalk.long.path, "model": shoptalk.model}
            asked = (opened.audio.transcriptions.create(**fields) for _ in range(2))
            return await asyncio.gather(*asked, return_exceptions=True)

    refused = [answer for answer in asyncio.run(ask_together(0)) if isinstance(answer, openai.RateLimitError)]
    assert len(refused) == 1
    assert int(refused[0].response.headers["retry-after"]) >= 1
    assert [answer.text for answer in asyncio.run(ask_together(10))] == [shoptalk.long.text] * 2


def counting(base_url: str, key: str, requests: list[Any]) -> openai.OpenAI:
    """A client with its own number of retries, whose requests are noted."""
    hooks = {"request": [requests.append]}
    return openai.OpenAI(base_url=base_url, api_key=key, http_client=openai.DefaultHttpxClient(event_hooks=hooks))
