"""LiveKit's OpenAI plugin, unmodified: `openai.STT` by REST, given the audio frames of a room."""

import asyncio
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import APIStatusError
from livekit.agents.stt import SpeechEvent, SpeechEventType
from livekit.plugins import openai
from server import Server

FRAME_S = 0.01


def recognize(shoptalk: Server, **options: Any) -> SpeechEvent:
    """What the plugin makes of the short recording, which comes in frames of 10 ms."""
    pcm, rate_hz = shoptalk.short.pcm()
    size = round(FRAME_S * rate_hz) * 2
    frames = [
        rtc.AudioFrame(pcm[start : start + size], rate_hz, 1, len(pcm[start : start + size]) // 2)
        for start in range(0, len(pcm), size)
    ]
    given = {"model": shoptalk.model, "base_url": shoptalk.base_url, "api_key": shoptalk.key} | options

    async def ask() -> SpeechEvent:
        return await openai.STT(**given).recognize(frames)

    return asyncio.run(ask())


@pytest.mark.parametrize("model", [None, "gpt-4o-mini-transcribe", "whisper-1"])
def test_a_turn_is_transcribed(shoptalk: Server, model: str | None) -> None:
    event = recognize(shoptalk, model=model or shoptalk.model)
    assert event.type == SpeechEventType.FINAL_TRANSCRIPT
    assert event.alternatives[0].text == shoptalk.short.text


def test_keywords_and_several_languages(shoptalk: Server) -> None:
    event = recognize(shoptalk, model="gpt-transcribe", keywords=["theatre"], language=["en", "de"])
    assert event.alternatives[0].text


def test_a_wrong_key_is_a_status_error(shoptalk: Server) -> None:
    with pytest.raises(APIStatusError) as refused:
        recognize(shoptalk, api_key="wrong")
    assert refused.value.status_code == 401
