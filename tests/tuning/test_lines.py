"""What is wrong in a manifest is told by its line before training, and no text trains on an unknown token."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tuning import speech

from shoptalk.core import audio, config
from shoptalk.core.errors import ManifestError
from shoptalk.core.examples import read_manifest
from shoptalk.core.recordings import load
from shoptalk.tuning.lines import Spelling, check
from shoptalk.tuning.tokenizer import train_tokenizer
from shoptalk.tuning.trainer import ASRTrainer, TrainingData

CASES = Path(__file__).parents[1] / "cases"
SHORTEST_S = 0.08
LENGTHS_S = {
    "pcm16": 1.8, "u0": 1.8, "u1": 0.3891875, "u2": 2.7243125, "u3": 0.6810625, "short12ms": 0.0125,
    "long": 8.3, "min": 60.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> sentencepiece.SentencePieceProcessor:
    """A tokenizer of all that is always a token, and of no more."""
    texts = [entry.text for entry in read_manifest(speech.GENERAL / "rehearsal.jsonl")]
    texts = [text for text in texts if text.isascii()]
    path = train_tokenizer(texts, tmp_path_factory.mktemp("tokenizer"), vocabulary=200)
    return sentencepiece.SentencePieceProcessor(model_file=str(path))


@pytest.fixture(scope="module")
def spelling(tokenizer: sentencepiece.SentencePieceProcessor) -> Spelling:
    return Spelling(tokenizer.encode, unknown=tokenizer.unk_id())


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A manifest of the cases beside recordings as long as it means, in which every sample tells its place."""
    folder = tmp_path_factory.mktemp("cases")
    for name, length_s in LENGTHS_S.items():
        (folder / "wav").mkdir(exist_ok=True)
        samples = round(length_s * audio.SAMPLE_RATE_HZ)
        audio.write_flac(folder / "wav" / f"{name}.wav", (np.arange(samples) / 1e6).astype(np.float32))

    def copied(name: str) -> Path:
        return Path(shutil.copyfile(CASES / name, folder / name))

    return copied


@pytest.mark.parametrize("name", ["m-offset.jsonl", "m-offlong.jsonl"])
def test_segments_are_what_their_lines_name(name: str, case: Callable[[str], Path], spelling: Spelling) -> None:
    path = case(name)
    check([path], shortest_s=SHORTEST_S, spelling=spelling, say=pytest.fail)
    for example in read_manifest(path):
        samples_T = load(example)
        assert samples_T.size == round(example.duration_s * audio.SAMPLE_RATE_HZ)
        assert samples_T[0] == pytest.approx((example.offset_s or 0) * audio.SAMPLE_RATE_HZ / 1e6, abs=1e-4)


@pytest.mark.parametrize("name", ["m-durnull.jsonl", "m-bom.jsonl"])
def test_a_null_duration_and_a_byte_order_mark_are_read(
    name: str, case: Callable[[str], Path], spelling: Spelling
) -> None:
    check([case(name)], shortest_s=SHORTEST_S, spelling=spelling, say=pytest.fail)
    [example] = read_manifest(case(name))
    assert example.duration_s == pytest.approx(1.8)


def test_a_clip_of_a_frame_is_refused_by_its_line(case: Callable[[str], Path], spelling: Spelling) -> None:
    with pytest.raises(ManifestError, match=r"3 faults.*\n  line 4: 0\.0125 s of audio; at least 0\.08 s") as told:
        check([case("m-nan1.jsonl")], shortest_s=SHORTEST_S, spelling=spelling, say=pytest.fail)
    assert [line.split(":")[0] for line in str(told.value).splitlines()[1:]] == ["  line 4", "  line 5", "  line 6"]


def test_equivalents_are_written_and_counted(case: Callable[[str], Path], spelling: Spelling) -> None:
    said: list[str] = []
    check([case("m-oov.jsonl")], shortest_s=SHORTEST_S, spelling=spelling, say=said.append)
    text = "5 mcg at 37 degrees Celsius of naive beta-blocker, 1/2 tablet - greater than or equal to 2"
    assert len(said) == 1 and "4 texts are written" in said[0] and text in said[0]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"text": "Plain, then 中文."}, r"line 3: the tokenizer cannot write '中' \(U\+4E2D\), '文'"),
        ({"duration": 9}, r"line 3: 9 s are named, but the recording has 1\.8 s"),
        ({"offset": 1.5, "duration": 1}, r"line 3: 1 s from 1\.5 s on are named, but the recording has 1\.8 s"),
        ({"offset": 1.79, "duration": 0.05}, r"line 3: 0\.01 s of audio"),
        ({"audio_filepath": "wav/none.wav"}, r"line 3: .*no such file"),
    ],
)
def test_a_wrong_line_is_told(
    row: dict[str, Any], told: str, case: Callable[[str], Path], spelling: Spelling, tmp_path: Path
) -> None:
    path = case("m-bom.jsonl")
    good = {"audio_filepath": "wav/u0.wav", "duration": 1.8, "text": "Hello."}
    path.write_text(json.dumps(good) + "\n\n" + json.dumps({**good, **row}) + "\n")
    with pytest.raises(ManifestError, match=told):
        check([path], shortest_s=SHORTEST_S, spelling=spelling, say=pytest.fail)


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=40))
def test_no_text_has_an_unknown_token(
    text: str, spelling: Spelling, tokenizer: sentencepiece.SentencePieceProcessor
) -> None:
    written, lacking = spelling.fold(text)
    if lacking:
        with pytest.raises(ManifestError, match="cannot write"):
            spelling.tokens(text)
        return
    assert tokenizer.unk_id() not in spelling.tokens(text)
    assert spelling.fold(written) == (written, "")


@settings(max_examples=100, deadline=None)
@given(text=st.text("abcXYZ 0129.,?!'-/%:;&+()", max_size=40))
def test_what_can_be_written_stays(
    text: str, spelling: Spelling, tokenizer: sentencepiece.SentencePieceProcessor
) -> None:
    assert spelling.fold(text) == (text, "") and spelling.tokens(text) == tokenizer.encode(text)


def test_a_training_checks_its_lines_before_its_features(tiny_nemo: Path, tmp_path: Path) -> None:
    good = speech.manifest(tmp_path)
    rows = [json.loads(line) for line in good.read_text().splitlines()]
    rows[2]["text"] = "中"
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = tmp_path / "run"
    recipe = config.changed(("name=tiny", "train.rehearsal=0"))
    trainer = ASRTrainer(recipe, TrainingData([wrong], [], [good]), folder, init=str(tiny_nemo), say=lambda _: None)
    with pytest.raises(ManifestError, match=r"wrong\.jsonl: 1 faults.*\n  line 3: the tokenizer cannot write '中'"):
        trainer.prepare()
    assert not list(folder.rglob("features-*"))
