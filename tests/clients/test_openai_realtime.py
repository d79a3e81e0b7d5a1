"""The official client's `realtime.connect`, its third generation and its second, sync and async, unmodified."""

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.realtime import (
    ConversationItemInputAudioTranscriptionCompletedEvent as Completed,
)
from openai.types.realtime import (
    ConversationItemInputAudioTranscriptionDeltaEvent as Delta,
)
from server import Server

PIECE_S = 0.1
AUDIO_INPUT = {"format": {"type": "audio/pcm", "rate": 24_000}, "turn_detection": None}
_ITEM = "conversation.item.input_audio_transcription"
LAST = (f"{_ITEM}.completed", f"{_ITEM}.failed", "error")


def pieces(pcm: bytes, rate_hz: int) -> Iterator[str]:
    """Base64 of pieces of `PIECE_S`."""
    size = round(PIECE_S * rate_hz) * 2
    for start in range(0, len(pcm), size):
        yield base64.b64encode(pcm[start : start + size]).decode()


def session(**input_: Any) -> Any:
    return {"type": "transcription", "audio": {"input": {**AUDIO_INPUT, **input_}}}


def by_sync(shoptalk: Server, set_to: Any, *, commit: bool = True, **options: Any) -> list[Any]:
    """All events of the recording's first item."""
    events: list[Any] = []
    with (
        openai.OpenAI(base_url=shoptalk.base_url, api_key=shoptalk.key) as client,
        client.realtime.connect(**options) as connection,
    ):
        connection.session.update(session=set_to)
        for piece in pieces(*shoptalk.live.pcm()):
            connection.input_audio_buffer.append(audio=piece)
        if commit:
            connection.input_audio_buffer.commit()
        for event in connection:
            events.append(event)
            if event.type in LAST:
                break
    return events


def by_async(shoptalk: Server, set_to: Any, *, commit: bool = True, **options: Any) -> list[Any]:
    async def ask() -> list[Any]:
        events: list[Any] = []
        async with (
            openai.AsyncOpenAI(base_url=shoptalk.base_url, api_key=shoptalk.key) as client,
            client.realtime.connect(**options) as connection,
        ):
            await connection.session.update(session=set_to)
            for piece in pieces(*shoptalk.live.pcm()):
                await connection.input_audio_buffer.append(audio=piece)
            if commit:
                await connection.input_audio_buffer.commit()
            async for event in connection:
                events.append(event)
                if event.type in LAST:
                    break
        return events

    return asyncio.run(ask())


@pytest.mark.parametrize("ask", [by_sync, by_async])
@pytest.mark.parametrize("options", [{}, {"model": "gpt-realtime"}, {"extra_query": {"intent": "transcription"}}])
def test_a_committed_recording_is_transcribed(shoptalk: Server, ask: Any, options: Any) -> None:
    if "model" not in options:
        options = {"model": shoptalk.model, **options}
    events = ask(shoptalk, session(transcription={"model": shoptalk.model}), **options)
    assert events[0].type == "session.created"
    completed = events[-1]
    assert isinstance(completed, Completed)
    assert completed.transcript == shoptalk.live.text
    deltas = [event for event in events if isinstance(event, Delta)]
    assert "".join(event.delta for event in deltas) == shoptalk.live.text
    assert {event.item_id for event in deltas} == {completed.item_id}
    assert completed.usage.type == "duration"
    assert completed.usage.seconds == pytest.approx(shoptalk.live.duration_s, abs=1)
    committed = next(event for event in events if event.type == "input_audio_buffer.committed")
    assert committed.item_id == completed.item_id


def test_every_event_is_of_openais_types(shoptalk: Server) -> None:
    """The client builds events without a check; here each is checked by its own type."""
    include = ["item.input_audio_transcription.logprobs"]
    transcription = {
        "model": "gpt-transcribe",
        "languages": ["en"],
        "keywords": ["theatre"],
        "prompt": "At the theatre.",
    }
    asked = {**session(transcription=transcription, noise_reduction={"type": "near_field"}), "include": include}
    events = by_sync(shoptalk, asked, model="gpt-transcribe")
    for event in events:
        type(event).model_validate(event.model_dump(), strict=False)
    assert "".join(token.token for token in events[-1].logprobs) == events[-1].transcript


@pytest.mark.parametrize("detection", [{"type": "server_vad", "silence_duration_ms": 200}, {"type": "semantic_vad"}])
def test_the_server_tells_turns(shoptalk: Server, detection: Any) -> None:
    asked = session(transcription={"model": shoptalk.model}, turn_detection=detection)
    events = by_sync(shoptalk, asked, model=shoptalk.model, commit=True)
    kinds = [event.type.removeprefix("input_audio_buffer.") for event in events]
    assert kinds.index("speech_started") < kinds.index("committed")
    assert events[-1].transcript


def test_an_error_names_its_event_and_the_session_goes_on(shoptalk: Server) -> None:
    with (
        openai.OpenAI(base_url=shoptalk.base_url, api_key=shoptalk.key) as client,
        client.realtime.connect(model=shoptalk.model) as connection,
    ):
        connection.recv()
        connection.session.update(session=session())
        connection.recv()
        connection.input_audio_buffer.commit(event_id="mine")
        refused = connection.recv()
        assert refused.type == "error"
        assert refused.error.code == "input_audio_buffer_commit_empty" and refused.error.event_id == "mine"
        connection.input_audio_buffer.clear()
        assert connection.recv().type == "input_audio_buffer.cleared"


def test_a_wrong_key_is_refused(shoptalk: Server) -> None:
    with (
        openai.OpenAI(base_url=shoptalk.base_url, api_key="wrong") as client,
        pytest.raises(Exception, match="401"),
        client.realtime.connect(model=shoptalk.model),
    ):
        pass
