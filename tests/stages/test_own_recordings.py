"""Own recordings of every form enter product 50; replaced audio makes it stale; nobody's recordings are refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli import imported
from tests.corpus import fake_tts
from tests.stages.test_wiring import general

from shoptalk.core import audio, config
from shoptalk.core.errors import ImportFormatError, LeakError
from shoptalk.core.examples import read_manifest
from shoptalk.core.files import read_lines
from shoptalk.integrations import kokoro
from shoptalk.stages import execution
from shoptalk.stages.run import Run
from shoptalk.testsets import clips

ROOT = Path(__file__).parents[2]
FORMS = ["nemo", "table", "kaldi", "lhotse"]


def of_four_speakers(count: int = 4) -> list[dict[str, Any]]:
    """A long line of each of so many speakers of the general set, the first with word times."""
    by_speaker: dict[str, dict[str, Any]] = {}
    for line in read_lines(imported.ASSETS / "test.jsonl"):
        if line["duration"] > 1.5:
            by_speaker.setdefault(line["speaker"], line)
    lines = list(by_speaker.values())[:count]
    moved = [line | {"audio_filepath": str(imported.ASSETS / line["audio_filepath"])} for line in lines]
    return [moved[0] | {"words": imported.WORDS}, *moved[1:]]


@pytest.fixture(autouse=True)
def humming(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imported, "utterances", of_four_speakers)
    monkeypatch.setattr(kokoro, "prepare", lambda: None)
    monkeypatch.setattr(kokoro, "load", fake_tts.make())


def opened(folder: Path, *sets: dict[str, Any]) -> Run:
    """A run of one term, its general set another one than that of the recordings."""
    small = folder / "general"
    if not small.exists():
        general(folder)
        (small / "test.jsonl").write_text((small / "rehearsal.jsonl").read_text().splitlines()[0] + "\n")
        rest = (small / "rehearsal.jsonl").read_text().splitlines()[6:]
        (small / "rehearsal.jsonl").write_text("\n".join(rest) + "\n")
    recipe = {
        "lexicon": {"files": ["lexicons/clinical.yaml"], "only": ["metformin"]},
        "transcripts": {"train_per_term": 1, "dev_per_term": 1, "test_per_term": 1},
        "speech": {"workers": 1},
        "augment": {"copies": 0},
        "dataset": {"general": str(small), "general_dev_utterances": 2, "recordings": sets},
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    (folder / "run").mkdir(exist_ok=True)
    return Run(folder / "run", config.load(folder / "recipe.yaml"), folder)


def make(run: Run) -> None:
    for name in ("lexicon", "transcripts", "speech", "augment", "dataset"):
        execution.make(run, name)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_gives_the_same_recordings(form: str, tmp_path: Path) -> None:
    name, write = imported.MAKE[form]
    run = opened(tmp_path, {"name": "calls", "format": name, "source": str(write(tmp_path)), "dev": 0, "test": 0.3})
    make(run)
    dataset = run.product("dataset")
    own = [line for line in read_manifest(dataset / "train.jsonl") if line.set == "calls"]
    tested = read_manifest(dataset / "test-calls.jsonl")
    wanted = {f"calls/{line['id']}": line for line in imported.utterances()}
    assert {line.id for line in (*own, *tested)} == set(wanted)
    assert own and tested and not {line.speaker for line in own} & {line.speaker for line in tested}
    for line in (*own, *tested):
        original = wanted[line.id]
        assert (line.text, line.speaker, line.voice, line.cluster) == (original["text"], *[original["speaker"]] * 3)
        samples_T = audio.decode(Path(original["audio_filepath"]))
        assert line.duration_s == round(samples_T.size / audio.SAMPLE_RATE_HZ, 4)
    listed = clips.listed(dataset, lambda voice: "")
    assert {clip.asked.id for clip in listed if clip.asked.set == "calls"} == {line.id for line in tested}
    assert run.is_current("dataset")


def test_segments_terms_and_patients_come_through_and_replaced_audio_is_read_again(tmp_path: Path) -> None:
    lines = imported.utterances(3)
    source = tmp_path / "calls.jsonl"
    audio.write_flac(tmp_path / "visit.flac", audio.decode(Path(lines[0]["audio_filepath"])))
    rows = [
        {"id": "v1", "audio_filepath": "visit.flac", "offset": 0.5, "duration": 0.75, "text": "Metformin, twice daily.",
         "speaker": "ann", "patient": True},
        {"id": "v2", "audio_filepath": "visit.flac", "offset": 0.0, "duration": 0.5, "text": "Good morning.",
         "speaker": "bob"},
    ]  # fmt: skip
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = opened(tmp_path, {"name": "calls", "source": "calls.jsonl", "dev": 0})
    make(run)
    own = {line.id: line for line in read_manifest(run.product("dataset") / "train.jsonl") if line.set == "calls"}
    assert own["calls/v1"].term_ids == ("metformin",)
    assert (own["calls/v1"].patient, own["calls/v2"].patient) == (True, False)
    assert own["calls/v1"].duration_s == 0.75
    before = own["calls/v1"].audio.read_bytes()
    audio.write_flac(tmp_path / "visit.flac", audio.decode(Path(lines[1]["audio_filepath"])))
    assert not run.is_current("dataset")
    make(run)
    assert own["calls/v1"].audio.read_bytes() != before


def test_replaced_audio_of_a_kaldi_folder_is_seen(tmp_path: Path) -> None:
    source = imported.kaldi(tmp_path)
    audio.write_flac(tmp_path / "own.flac", audio.decode(Path(imported.utterances()[0]["audio_filepath"])))
    rows = (source / "wav.scp").read_text().splitlines()
    (source / "wav.scp").write_text("\n".join([f"{rows[0].split()[0]} {tmp_path / 'own.flac'}", *rows[1:]]) + "\n")
    run = opened(tmp_path, {"name": "calls", "format": "kaldi", "source": str(source), "dev": 0})
    before = run.signature("dataset")
    audio.write_flac(tmp_path / "own.flac", audio.decode(Path(imported.utterances()[1]["audio_filepath"])))
    assert run.signature("dataset") != before


def test_recordings_of_nobody_are_refused_or_said_to_be_of_one_speaker(tmp_path: Path) -> None:
    rows = [{**row, "speaker": ""} for row in imported.utterances()]
    (tmp_path / "calls.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ImportFormatError, match="4 recordings name no speaker; add the column"):
        make(opened(tmp_path, {"name": "calls", "source": "calls.jsonl"}))
    run = opened(tmp_path, {"name": "calls", "source": "calls.jsonl", "speaker": "Dr Ann", "dev": 0})
    make(run)
    own = [line for line in read_manifest(run.product("dataset") / "train.jsonl") if line.set == "calls"]
    assert {line.speaker for line in own} == {"Dr Ann"}


def test_what_may_only_be_scored_is_not_trained_on(tmp_path: Path) -> None:
    source = imported.nemo(tmp_path)
    own = {"name": "calls", "source": str(source), "licence": "CC-BY-NC-4.0", "dev": 0}
    with pytest.raises(LeakError, match="never trained on"):
        make(opened(tmp_path, own))
