"""Whisper and Moonshine on this machine: what they hear in short, silent and long recordings."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import jiwer
import numpy as np
import pytest

from shoptalk.core import audio, text
from shoptalk.core.errors import MissingToolError, RecognitionError
from shoptalk.core.models import store
from shoptalk.core.protocols import Recognizer
from shoptalk.integrations.asr_moonshine import MoonshineRecognizer
from shoptalk.integrations.asr_whisper import WhisperRecognizer

GENERAL = Path(__file__).parents[2] / "assets/general"


def whisper() -> Recognizer:
    return WhisperRecognizer(store.path("whisper-base-ct2"), threads=2)


def moonshine() -> Recognizer:
    return MoonshineRecognizer(store.path("moonshine-tiny-en"), threads=2)


@pytest.mark.slow
@pytest.mark.parametrize("opened", [whisper, moonshine])
def test_it_hears_recordings_of_any_length_in_order(opened: Callable[[], Recognizer]) -> None:
    lines = map(json.loads, (GENERAL / "test.jsonl").read_text().splitlines())
    chosen = [line for line in lines if line["source"] == "synthetic"][:16]
    spoken = [audio.decode(GENERAL / line["audio_filepath"]) for line in chosen]
    minute_T = np.concatenate([*spoken, *spoken])[: 60 * 16_000]
    silence_T = np.zeros(32_000, np.float32)
    recognizer = opened()
    *found, minute, short, instant, silent, empty = recognizer.recognize(
        [*spoken[:4], minute_T, spoken[0][8_000:12_800], spoken[0][:160], silence_T, silence_T[:0]]
    )
    said, heard = ([" ".join(text.words(one)) for one in texts] for texts in zip(
        *((line["text"], one.text) for line, one in zip(chosen, found, strict=False)), strict=True
    ))  # fmt: skip
    assert jiwer.wer(said, heard) < 0.25
    whole = " ".join(text.words(" ".join(line["text"] for line in chosen)))
    assert jiwer.wer(whole, " ".join(text.words(minute.text)[: len(whole.split())])) < 0.3
    assert len(text.words(short.text)) <= 3
    assert len(text.words(silent.text)) <= 3
    assert empty.text == ""
    for one in (*found, minute, short, instant, silent):
        assert all(0 <= word.start_s <= word.end_s <= 61 and word.word for word in one.words)


@pytest.mark.slow
def test_whisper_tells_words_in_time_and_how_sure_it_is() -> None:
    line = json.loads((GENERAL / "test.jsonl").read_text().splitlines()[2])
    [found] = whisper().recognize([audio.decode(GENERAL / line["audio_filepath"])])
    assert " ".join(word.word for word in found.words) == found.text
    assert all(word.confidence is not None for word in found.words)
    assert 1.5 < found.words[-1].end_s <= line["duration"] + 0.1


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for package, opened in (("faster_whisper", WhisperRecognizer), ("moonshine_voice", MoonshineRecognizer)):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingToolError, match=r"shoptalk\[compare\]"):
            opened(tmp_path, threads=1)


def test_moonshine_without_its_files_is_told(tmp_path: Path) -> None:
    pytest.importorskip("moonshine_voice")
    with pytest.raises(RecognitionError, match="models verify moonshine-tiny-en"):
        MoonshineRecognizer(tmp_path, threads=1).recognize([np.zeros(16_000, np.float32)])
