"""Stage 30 with screening: what is rejected is spoken anew, kept aside with its reason, and taken up after a stop."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.corpus.fake_tts import HummingTts

from shoptalk.core import config, files
from shoptalk.core.audio import decode
from shoptalk.core.errors import AudioError
from shoptalk.core.models import store
from shoptalk.core.protocols import Options
from shoptalk.core.records import Recognition, Samples, Transcript, Utterance
from shoptalk.corpus.screening import Rejected, Screening
from shoptalk.integrations import kokoro
from shoptalk.stages import execution, screening
from shoptalk.stages.run import Run

ROOT = Path(__file__).parents[2]
RECIPE = {
    "lexicon": {"files": ["lexicons/clinical.yaml"], "only": ["metformin", "lisinopril", "sarcoidosis"]},
    "transcripts": {"train_per_term": 3, "dev_per_term": 1, "test_per_term": 2, "several": 0, "contrast_per_pair": 0},
    "speech": {"workers": 1, "screen": {"enabled": True}},
}


class FadingTts(HummingTts):
    """Hums and fades, as speech does; silent where the text has the word `silent`."""

    silent = ""

    def speak(self, spoken: str, *, voice: str, speed: float, pronunciations: Mapping[str, str]) -> Samples:
        samples_T = super().speak(spoken, voice=voice, speed=speed, pronunciations=pronunciations)
        if self.silent and self.silent in spoken:
            return samples_T * 0
        fade = min(samples_T.size, 8_000)
        samples_T[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32) ** 2
        return samples_T


class Knowing:
    """A recogniser that knows the recordings of a run, and recognises what `said` makes of each utterance."""

    def __init__(self, folder: Path, said: Callable[[Utterance], str]) -> None:
        self._folder, self._said = folder, said

    def recognize(self, audio: Sequence[Samples], options: Sequence[Options] = ()) -> list[Recognition]:
        texts = {}
        for path in self._folder.glob("30-spoken-*.jsonl"):
            for utterance in files.read(path, Utterance):
                texts[decode(self._folder / utterance.audio).tobytes()] = self._said(utterance)
        return [Recognition(text=texts[samples_T.tobytes()]) for samples_T in audio]


@pytest.fixture(autouse=True)
def humming(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kokoro, "prepare", lambda: None)
    monkeypatch.setattr(kokoro, "load", FadingTts)


def opened(folder: Path, changes: tuple[str, ...] = ()) -> Run:
    folder.mkdir(exist_ok=True)
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(RECIPE))
    return Run(folder, config.load(recipe, changes), ROOT / "recipes")


def spoken(
    folder: Path, monkeypatch: pytest.MonkeyPatch, said: Callable[[Utterance], str], *changes: str
) -> dict[str, Utterance]:
    monkeypatch.setattr(screening, "open_recognizer", lambda other, batch: Knowing(folder, said))
    run = opened(folder, changes)
    for name in ("lexicon", "transcripts", "speech"):
        execution.make(run, name)
    return {utterance.id: utterance for utterance in files.read(folder / "30-speech.jsonl", Utterance)}


def as_written(utterance: Utterance) -> str:
    return utterance.text


def test_recordings_that_pass_are_those_without_screening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screened = spoken(tmp_path / "a", monkeypatch, as_written)
    plain = spoken(tmp_path / "b", monkeypatch, as_written, "speech.screen.enabled=false")
    assert list(screened.values()) == list(plain.values())
    assert (tmp_path / "a/30-rejected.jsonl").read_text() == ""
    assert not (tmp_path / "b/30-screening.json").exists()


def test_what_is_rejected_is_spoken_anew_and_a_term_that_is_lost_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = spoken(tmp_path / "plain", monkeypatch, as_written, "speech.screen.enabled=false")
    once = next(line for line in plain.values() if line.split == "train" and "lisinopril" in line.term_ids)

    def said(utterance: Utterance) -> str:
        if "metformin" in utterance.term_ids:
            return utterance.text.replace("metformin", "bicycle")
        first = utterance.id == once.id and utterance.voice == once.voice
        return "thank you" if first else utterance.text

    kept = spoken(tmp_path / "run", monkeypatch, said)
    lines = list(files.read(tmp_path / "run/30-rejected.jsonl", Rejected))
    assert {line.attempt for line in lines if line.transcript_id == once.id} == {1}
    assert kept[once.id].voice != once.voice
    lost = {utterance.id for utterance in plain.values() if "metformin" in utterance.term_ids}
    trained = {name for name in lost if plain[name].split == "train"}
    assert trained and not trained & set(kept)
    assert set(kept) == set(plain) - trained, "no sentence of dev and test is dropped"
    assert {line.reasons for line in lines if line.transcript_id in trained} == {("term",)}
    voices = {(line.transcript_id, line.voice) for line in lines if line.transcript_id in trained}
    assert len(voices) == 2 * len(trained)
    assert all((tmp_path / "run" / line.audio).is_file() for line in lines)
    summary = Screening.model_validate_json((tmp_path / "run/30-screening.json").read_text())
    assert list(summary.pronunciation_problems) == ["metformin"]
    assert set(summary.doubted) == lost - trained
    assert set(summary.given_up) == trained
    told = capsys.readouterr().err
    assert "more than half of their recordings lost metformin" in told
    assert "no training recording is left of metformin" in told


@pytest.mark.parametrize("stop_at", [1, 2])
def test_a_stopped_screening_is_taken_up_to_the_same_bytes(
    stop_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(utterance: Utterance) -> str:
        return "thank you" if utterance.id.endswith(("1", "3", "5")) else utterance.text

    calls: list[int] = []

    class Stopping(Knowing):
        def recognize(self, audio: Sequence[Samples], options: Sequence[Options] = ()) -> list[Recognition]:
            calls.append(len(audio))
            if len(calls) == stop_at:
                raise KeyboardInterrupt
            return super().recognize(audio, options)

    folder = tmp_path / "stopped"
    monkeypatch.setattr(screening, "open_recognizer", lambda other, batch: Stopping(folder, said))
    run = opened(folder)
    execution.make(run, "lexicon")
    execution.make(run, "transcripts")
    with pytest.raises(KeyboardInterrupt):
        execution.make(run, "speech")
    assert not (folder / "30-speech.jsonl").exists()
    spoken(folder, monkeypatch, said)
    spoken(tmp_path / "whole", monkeypatch, said)
    for name in ("30-speech.jsonl", "30-rejected.jsonl", "30-screening.json"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_threshold_is_changed_without_asking_the_recogniser_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken(tmp_path / "run", monkeypatch, lambda utterance: f"well {utterance.text}")

    def unasked(other: Any, batch: int) -> Any:
        raise AssertionError("the recordings are known")

    monkeypatch.setattr(screening, "open_recognizer", unasked)
    run = opened(tmp_path / "run", ("speech.screen.word_errors=0.9",))
    execution.make(run, "speech")
    assert run.is_current("speech")


def test_a_silent_recording_is_kept_aside_and_a_test_sentence_that_has_none_stops_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = spoken(tmp_path / "plain", monkeypatch, as_written)
    written = {line.id: line for line in files.read(tmp_path / "plain/20-transcripts.jsonl", Transcript)}
    by_split = {split: next(line for line in plain.values() if line.split == split) for split in ("train", "test")}
    monkeypatch.setattr(FadingTts, "silent", written[by_split["train"].id].spoken)
    kept = spoken(tmp_path / "train", monkeypatch, as_written)
    assert by_split["train"].id not in kept
    lines = list(files.read(tmp_path / "train/30-rejected.jsonl", Rejected))
    assert "silent" in lines[0].reasons
    assert (tmp_path / "train" / lines[0].audio).is_file()
    monkeypatch.setattr(FadingTts, "silent", written[by_split["test"].id].spoken)
    with pytest.raises(AudioError, match=f"1 sentences of dev and test .*{by_split['test'].id}"):
        spoken(tmp_path / "test", monkeypatch, as_written)


@pytest.mark.slow
def test_moonshine_rejects_the_hum_that_says_nothing(tmp_path: Path) -> None:
    if not store.is_cached("moonshine-tiny-en"):
        pytest.skip("Moonshine is not in the model store")
    run = opened(tmp_path / "run", ("lexicon.only=[metformin]", "transcripts.train_per_term=2"))
    for name in ("lexicon", "transcripts", "speech"):
        execution.make(run, name)
    summary = Screening.model_validate_json((tmp_path / "run/30-screening.json").read_text())
    assert summary.given_up and summary.doubted
    assert list(summary.pronunciation_problems) == ["metformin"]
