"""LiveKit's OpenAI plugin, unmodified: `openai.STT` over the realtime API, given the audio frames of a room."""

import asyncio
from typing import Any

import aiohttp
import pytest
from livekit import rtc
from livekit.agents import APIConnectOptions
from livekit.agents.stt import SpeechEvent, SpeechEventType
from livekit.agents.utils import http_context
from livekit.plugins import openai
from server import Server

FRAME_S = 0.01
SILENCE_S = 1.5


def spoken(shoptalk: Server, **options: Any) -> list[SpeechEvent]:
    """What the plugin makes of the recording and some silence after it, up to the first final transcript."""
    pcm, rate_hz = shoptalk.live.pcm()
    pcm += bytes(2 * round(SILENCE_S * rate_hz))
    size = round(FRAME_S * rate_hz) * 2
    given = {"base_url": shoptalk.base_url, "api_key": shoptalk.key, "use_realtime": True} | options

    async def ask() -> list[SpeechEvent]:
        async with http_context.open():
            stt = openai.STT(**given)
            stream = stt.stream(conn_options=APIConnectOptions(max_retry=0))
            events: list[SpeechEvent] = []

            async def speak() -> None:
                for start in range(0, len(pcm), size):
                    piece = pcm[start : start + size]
                    stream.push_frame(rtc.AudioFrame(piece, rate_hz, 1, len(piece) // 2))
                    await asyncio.sleep(FRAME_S)  # the plugin's own VAD keeps no faster pace

            speaking = asyncio.create_task(speak())
            async with asyncio.timeout(30):
                async for event in stream:
                    events.append(event)
                    if event.type == SpeechEventType.FINAL_TRANSCRIPT:
                        break
            speaking.cancel()
            await stream.aclose()
            await stt.aclose()
            return events

    return asyncio.run(ask())


@pytest.mark.parametrize("model", [None, "gpt-4o-mini-transcribe"])
def test_the_server_tells_turns(shoptalk: Server, model: str | None) -> None:
    events = spoken(shoptalk, model=model or shoptalk.model)
    kinds = [event.type for event in events]
    assert SpeechEventType.START_OF_SPEECH in kinds
    assert kinds.index(SpeechEventType.END_OF_SPEECH) < kinds.index(SpeechEventType.FINAL_TRANSCRIPT)
    assert events[-1].alternatives[0].text


def test_the_client_tells_turns_by_its_own_vad(shoptalk: Server) -> None:
    """`gpt-live-transcribe` is served only over the realtime API: the plugin leaves turn detection out, and commits."""
    events = spoken(shoptalk, model="gpt-live-transcribe", keywords=["theatre"], language=["en", "de"])
    assert events[-1].alternatives[0].text
    assert SpeechEventType.START_OF_SPEECH in [event.type for event in events]


def test_a_wrong_key_is_an_error(shoptalk: Server) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        spoken(shoptalk, model=shoptalk.model, api_key="wrong")
    assert refused.value.status == 401
