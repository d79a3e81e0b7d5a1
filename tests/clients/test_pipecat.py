"""Pipecat's `OpenAISTTService`, unmodified, in a pipeline that gets frames of audio and the turns of a speaker."""

import asyncio
from typing import Any

import pytest
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.services.openai.stt import OpenAISTTService
from pipecat.tests.utils import SleepFrame, run_test
from server import Server

FRAME_S = 0.02


def spoken(shoptalk: Server, **options: Any) -> list[Frame]:
    """The frames that leave the service when somebody says the short recording."""
    settings = OpenAISTTService.Settings(**{"model": shoptalk.model} | options.pop("settings", {}))
    key = options.pop("api_key", shoptalk.key)
    service = OpenAISTTService(api_key=key, base_url=shoptalk.base_url, settings=settings, **options)
    pcm, rate_hz = shoptalk.short.pcm()
    size = round(FRAME_S * rate_hz) * 2
    sound = [
        InputAudioRawFrame(audio=pcm[start : start + size], sample_rate=rate_hz, num_channels=1)
        for start in range(0, len(pcm), size)
    ]
    sent = [VADUserStartedSpeakingFrame(), *sound, VADUserStoppedSpeakingFrame(), SleepFrame(sleep=2.0)]
    down, up = asyncio.run(run_test(service, frames_to_send=sent, pipeline_params=params(rate_hz)))
    return [*down, *up]


def params(rate_hz: int) -> Any:
    from pipecat.pipeline.task import PipelineParams

    return PipelineParams(audio_in_sample_rate=rate_hz)


@pytest.mark.parametrize("model", [None, "gpt-transcribe", "whisper-1"])
def test_a_turn_is_transcribed(shoptalk: Server, model: str | None) -> None:
    frames = spoken(shoptalk, settings={"model": model or shoptalk.model})
    assert [frame.text for frame in frames if isinstance(frame, TranscriptionFrame)] == [shoptalk.short.text]


def test_keywords_and_probabilities(shoptalk: Server) -> None:
    frames = spoken(shoptalk, settings={"keywords": ["theatre"]}, include_prob_metrics=True)
    (transcription,) = (frame for frame in frames if isinstance(frame, TranscriptionFrame))
    assert transcription.text and transcription.result.logprobs


def test_a_wrong_key_is_an_error_frame(shoptalk: Server) -> None:
    frames = spoken(shoptalk, api_key="wrong")
    (error,) = (frame for frame in frames if isinstance(frame, ErrorFrame))
    assert "API key" in error.error
