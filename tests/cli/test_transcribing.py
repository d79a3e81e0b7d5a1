"""`shoptalk transcribe` with the real base."""

import json
from pathlib import Path

import pytest

from shoptalk.cli import main

ROOT = Path(__file__).parents[2]
BASE = str(ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo")
RECORDING = str(ROOT / "assets/general/test/fotaq/240001P1.opus")


def test_text_alone_and_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", RECORDING, "--model", BASE]) == 0
    alone = capsys.readouterr().out
    assert main(["transcribe", RECORDING, "missing.wav", "--model", BASE]) == 2
    shown = capsys.readouterr()
    assert shown.out == f"{RECORDING}: {alone}" and alone.strip()
    assert shown.err == "shoptalk: AudioError: missing.wav: no such file\n"


def test_json_has_words_and_alternatives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "phrases.txt").write_text("restricted area\t2\n\nmetformin\n", encoding="utf-8")
    phrases = ["--phrases", str(tmp_path / "phrases.txt")]
    assert main(["transcribe", RECORDING, "--model", BASE, "--json", "--alternatives", "2", *phrases]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["audio"] == RECORDING and 1 <= len(line["alternatives"]) <= 2
    assert all(one["text"] and 0 <= one["probability"] <= 1 for one in line["alternatives"])
    assert " ".join(word["word"] for word in line["words"]) == line["text"]
    assert all(0 <= word["confidence"] <= 1 for word in line["words"])


@pytest.mark.parametrize(
    ("content", "told"),
    [("metformin\tmuch\n", "line 1: could not convert"), ("a\n\nmetformin\t9\n", "line 3: 'metformin' has weight 9")],
)
def test_wrong_phrases_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, told: str) -> None:
    path = tmp_path / "phrases.txt"
    path.write_text(content, encoding="utf-8")
    assert main(["transcribe", RECORDING, "--model", BASE, "--phrases", str(path)]) == 2
    assert told in capsys.readouterr().err
    path.unlink()
    assert main(["transcribe", RECORDING, "--model", BASE, "--phrases", str(path)]) == 2
    assert "no such file; write one phrase a line" in capsys.readouterr().err
