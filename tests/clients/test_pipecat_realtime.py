"""Pipecat's `OpenAIRealtimeSTTService`, unmodified: it names no model in the address, waits, and commits by itself."""

import asyncio
from typing import Any

import pytest
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    ProposedUserStartedSpeakingFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.task import PipelineParams
from pipecat.services.openai.stt import OpenAIRealtimeSTTService
from pipecat.tests.utils import SleepFrame, run_test
from server import Server

FRAME_S = 0.02


def spoken(shoptalk: Server, *, wait_s: float = 3.0, silence_s: float = 0.0, **options: Any) -> list[Frame]:
    """The frames that leave the service when somebody says the recording."""
    settings = OpenAIRealtimeSTTService.Settings(**{"model": shoptalk.model} | options.pop("settings", {}))
    given = {"api_key": shoptalk.key, "base_url": shoptalk.base_url.replace("http", "ws") + "/realtime"} | options
    service = OpenAIRealtimeSTTService(settings=settings, **given)
    pcm, rate_hz = shoptalk.live.pcm()
    pcm += bytes(2 * round(silence_s * rate_hz))
    size = round(FRAME_S * rate_hz) * 2
    sound = [
        InputAudioRawFrame(audio=pcm[start : start + size], sample_rate=rate_hz, num_channels=1)
        for start in range(0, len(pcm), size)
    ]
    turn = [VADUserStartedSpeakingFrame(), *sound, VADUserStoppedSpeakingFrame()]
    sent = [SleepFrame(sleep=1.0), *turn, SleepFrame(sleep=wait_s)]
    params = PipelineParams(audio_in_sample_rate=rate_hz)
    down, up = asyncio.run(run_test(service, frames_to_send=sent, pipeline_params=params))
    return [*down, *up]


@pytest.mark.parametrize("model", [None, "gpt-realtime-whisper", "gpt-transcribe"])
def test_a_turn_is_transcribed(shoptalk: Server, model: str | None) -> None:
    frames = spoken(shoptalk, settings={"model": model or shoptalk.model})
    assert [frame.text for frame in frames if isinstance(frame, TranscriptionFrame)] == [shoptalk.live.text]
    words = [frame.text for frame in frames if isinstance(frame, InterimTranscriptionFrame)]
    assert "".join(words) == shoptalk.live.text


def test_the_server_tells_turns(shoptalk: Server) -> None:
    detection = {"type": "server_vad", "silence_duration_ms": 300}
    frames = spoken(shoptalk, silence_s=1.0, turn_detection=detection)
    assert any(isinstance(frame, ProposedUserStartedSpeakingFrame) for frame in frames)
    assert any(isinstance(frame, TranscriptionFrame) for frame in frames)


def test_a_wrong_key_is_an_error_frame(shoptalk: Server) -> None:
    frames = spoken(shoptalk, api_key="wrong", wait_s=0.5)
    assert any("401" in frame.error for frame in frames if isinstance(frame, ErrorFrame))
