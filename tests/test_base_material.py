"""What the base is trained on: no test speaker, sentence, term or noise of a test is in it, and parts mix all texts."""

import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def prepare() -> ModuleType:
    """`scripts/prepare_speech.py` as a module."""
    spec = importlib.util.spec_from_file_location("prepare_speech", ROOT / "scripts" / "prepare_speech.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def utterances(source: str, speakers: int, each: int) -> list[dict[str, Any]]:
    """Recordings of `speakers` speakers, all of different sentences of five words, and one "Yes." of each."""
    rows = []
    for speaker in range(speakers):
        texts = [f"Sentence {source} {speaker} number {number}." for number in range(each)] + ["Yes."]
        rows += [
            {"id": f"{source}-{speaker}-{place}", "speaker": f"{source}-{speaker}", "source": source, "text": text}
            for place, text in enumerate(texts)
        ]
    return rows


def test_dev_has_whole_speakers_of_every_source_of_several(prepare: ModuleType) -> None:
    sources = ("fotaq", "speechocean762", "librispeech")
    rows = [row for source in sources for row in utterances(source, 20, 15)] + utterances("ljspeech", 1, 50)
    train, dev = prepare._with_dev_speakers(rows)
    assert {row["source"] for row in dev} == set(sources)
    assert not {row["speaker"] for row in dev} & {row["speaker"] for row in train}
    assert len({row["speaker"] for row in dev if row["source"] == "librispeech"}) <= 2
    long_texts = {row["text"] for row in dev if len(row["text"].split()) > 3}
    assert long_texts and not long_texts & {row["text"] for row in train}
    assert len(train) + prepare.DEV_UTTERANCES * 3 >= len(rows) - 14 * 16
    assert (train, dev) == prepare._with_dev_speakers(rows)


def test_a_sentence_of_dev_that_another_speaker_reads_is_not_trained_on(prepare: ModuleType) -> None:
    rows = utterances("librispeech", 3, 10)
    _, dev = prepare._with_dev_speakers(rows)
    (speaker,) = {row["speaker"] for row in rows} - {row["speaker"] for row in dev}
    leaked = {**dev[0], "id": "again", "speaker": speaker, "text": "Sentence that both of them read."}
    dev_row = {**dev[0], "text": leaked["text"]}
    train, held_out = prepare._with_dev_speakers([row for row in rows if row["id"] != dev[0]["id"]] + [dev_row, leaked])
    assert leaked["text"] in {row["text"] for row in held_out} and leaked not in train


def test_cut_clauses_are_mended(prepare: ModuleType) -> None:
    assert prepare._tidy("He said ,\x02 however,.") == "He said, however."
    assert prepare._tidy("What,  do we know , monsieur?") == "What, do we know, monsieur?"


def test_texts_with_a_term_of_the_lexicon_are_found(prepare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    named = prepare._terms_of(Path("lexicons/clinical.yaml"))
    for text in ("She takes Metformin.", "a course of thoracentesis", "two hysterectomies, one hysterectomy"):
        assert named.search(prepare._key(text))
    assert not named.search(prepare._key("It was an old car."))


def test_noise_of_folds_that_test_is_left_out(prepare: ModuleType, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(ROOT)
    names = ("esc10_Rain_5-181766-A", "esc10_Rain_5-195710-A", "esc10_Rain_1-17367-A", "sc_running_tap")
    (tmp_path / "noise").mkdir()
    for name in names:
        (tmp_path / "noise" / f"{name}.opus").write_bytes(name.encode())
    lines = [json.dumps({"audio_filepath": f"{name}.opus", "kind": "noise"}) for name in names]
    (tmp_path / "noise" / "manifest.jsonl").write_text("\n".join(lines))
    rows = prepare._noise(tmp_path)
    assert {row["split"] for row in rows} == {"train"} and all(os.path.isabs(row["audio"]) for row in rows)
    added = [row["id"] for row in rows if str(tmp_path) in row["audio"]]
    assert added == ["esc10_Rain_1-17367-A"]
    shipped = [json.loads(line) for line in (ROOT / "assets" / "noise" / "manifest.jsonl").read_text().splitlines()]
    tested = {row["id"] for row in shipped if row["split"] == "test"}
    assert tested and not tested & {row["id"] for row in rows}


def test_parts_are_of_one_size_and_spoken_in_words(prepare: ModuleType, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    texts = prepare._with_numbers() + [
        {"id": f"g{number}", "text": f"Plain words about {'x' * (number % 97 + 1)} {'y' * (number % 89 + 1)}.",
         "source": "general"} for number in range(3_000)
    ]  # fmt: skip
    rows = prepare._unspoken(texts, {"plain words about x y"}, set(), prepare.PART_WORDS)
    prepare._write_parts(rows)
    parts = [path.read_text().splitlines() for path in sorted(Path(".local/base/parts").glob("*.jsonl"))]
    assert [len(part) for part in parts[:-1]] == [prepare.PART_SENTENCES] * (len(parts) - 1)
    every = [json.loads(line) for part in parts for line in part]
    assert len({row["id"] for row in every}) == len(every) == len(rows)
    assert not any(character.isdigit() for row in every for character in row["spoken"])
    assert "Plain words about x y." not in {row["text"] for row in every}
    first = [json.loads(line)["source"] for line in parts[0]]
    assert min(first.count(source) for source in ("numerals", "general")) > 300
