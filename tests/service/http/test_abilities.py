"""What the engine can do reaches the user through the official client, and is what the command line gives."""

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import openai
import pytest
import soundfile
from tests.service.http.serving import MODEL, client, served

from shoptalk.cli import main
from shoptalk.core import audio
from shoptalk.core.recipe import EngineSection
from shoptalk.stages.recognizers import open_engine

ROOT = Path(__file__).parents[3]
BASE = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
RECORDING = ROOT / "assets/general/test/fotaq/240001P1.opus"
OTHER = ROOT / "assets/general/test/fotaq/060023P2.opus"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    engine = open_engine(BASE, EngineSection(), batch=4)
    recognizer: Any = SimpleNamespace(recognize=engine.recognize, gate=threading.Event())
    with served(recognizer) as address:
        yield address


def transcribe(url: str, content: bytes, **options: Any) -> Any:
    return client(url).audio.transcriptions.create(**{"model": MODEL, "file": ("a.flac", content), **options})


def flac(samples: "np.ndarray[Any, np.dtype[np.float32]]") -> bytes:
    held = io.BytesIO()
    soundfile.write(held, samples, 16_000, format="FLAC")
    return held.getvalue()


def two_speakers() -> "np.ndarray[Any, np.dtype[np.float32]]":
    """One recording on the left, another behind it on the right, (T, 2)."""
    first_T, second_T = (audio.decode(path) for path in (RECORDING, OTHER))
    both_TC = np.zeros((first_T.size + second_T.size, 2), np.float32)
    both_TC[: first_T.size, 0] = first_T
    both_TC[first_T.size :, 1] = second_T
    return both_TC


def test_channels_are_speakers(url: str) -> None:
    both_TC = two_speakers()
    alone = [transcribe(url, flac(both_TC[:, channel])).text for channel in (0, 1)]
    body = {"channels": "each", "channel_names": ["Doctor", "Patient"]}
    content = flac(both_TC)
    told = transcribe(url, content, extra_body=body)
    assert told.text.startswith("Doctor: ") and "\nPatient: " in told.text
    assert {segment["speaker"] for segment in told.segments} == {"Doctor", "Patient"}
    diarized = transcribe(url, content, response_format="diarized_json", extra_body=body)
    assert isinstance(diarized, openai.types.audio.TranscriptionDiarized)
    for name, text in zip(("Doctor", "Patient"), alone, strict=True):
        own = [segment.text for segment in diarized.segments if segment.speaker == name]
        assert " ".join(own) == text, "each channel is transcribed for itself"
    vtt = transcribe(url, content, response_format="vtt", extra_body=body)
    assert "<v Doctor>" in vtt and "<v Patient>" in vtt


def test_confidences_alternatives_logprobs_and_a_review(url: str) -> None:
    asked: dict[str, Any] = {"extra_body": {"alternatives": 2, "review": True}}
    told = transcribe(
        url, RECORDING.read_bytes(), response_format="verbose_json", timestamp_granularities=["word"], **asked
    )
    assert all(0 <= word.confidence <= 1 for word in told.words)
    assert 1 <= len(told.alternatives) <= 2 and all(other["text"] != told.text for other in told.alternatives)
    low = [word.word for word in told.words if word.confidence < 0.7]
    assert [place["text"] for place in told.review if "low_confidence" in place["reasons"]] == low
    plain = transcribe(url, RECORDING.read_bytes(), include=["logprobs"], **asked)
    assert "".join(entry.token for entry in plain.logprobs) == plain.text == told.text
    assert plain.review == told.review


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
def test_a_long_recording_has_the_text_of_the_command_line(
    url: str, form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = [audio.decode(RECORDING), np.zeros(8_000, np.float32), audio.decode(OTHER)] * 4
    (tmp_path / "long.flac").write_bytes(flac(np.concatenate(parts)))
    assert main(["transcribe", str(tmp_path / "long.flac"), "--model", str(BASE), "--format", form]) == 0
    answer = transcribe(url, (tmp_path / "long.flac").read_bytes(), response_format=form)
    assert answer == capsys.readouterr().out and len(answer.split()) > 20


def test_a_review_of_the_command_line_is_that_of_the_service(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", str(RECORDING), "--model", str(BASE), "--format", "json", "--review"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["review"] == transcribe(url, RECORDING.read_bytes(), extra_body={"review": True}).review
