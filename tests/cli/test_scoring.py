"""`shoptalk score` on the command line."""

import json
from pathlib import Path

import pytest
from tests.cli.working import shoptalk

TEXTS = Path(__file__).parents[1] / "scoring/golden/primock57"
REFERENCES, PARAKEET, MEDASR = TEXTS / "references", TEXTS / "parakeet-v2", TEXTS / "medasr"


def test_two_systems_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "scores.json"
    assert shoptalk("score", REFERENCES, MEDASR, PARAKEET, "--to", target) == 0
    assert "3 texts, 3 clusters" in capsys.readouterr().out
    wer = json.loads(target.read_text())["figures"]["wer"]
    assert wer["verdict"] == "better"
    assert wer["second"]["value"] - wer["first"]["value"] == pytest.approx(wer["difference"]["value"])


def test_terms_that_are_counted_as_one_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lexicon, target = tmp_path / "terms.csv", tmp_path / "scores.json"
    lexicon.write_text("text,category\nantibiotic,drug\nantibiotics,drug\nCO2,gas\n", encoding="utf-8")
    assert shoptalk("score", REFERENCES, PARAKEET, "--lexicon", lexicon, "--to", target) == 0
    assert "counted as one term: antibiotics as antibiotic" in capsys.readouterr().out
    assert json.loads(target.read_text())["counted_as"] == {"antibiotics": "antibiotic"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([REFERENCES], "TRANSCRIPTS"),
        ([REFERENCES, "nowhere"], "nowhere: no such file or folder"),
        ([REFERENCES, PARAKEET, "--rules", "loose"], "invalid choice"),
        ([REFERENCES, PARAKEET, "--equal", "nowhere.csv"], "nowhere.csv: no such file"),
        ([REFERENCES, PARAKEET, "--lexicon", "nowhere.csv"], "nowhere.csv: no such file"),
        ([REFERENCES, PARAKEET, "--leave-out", "day9"], "no reference has the id day9"),
        ([PARAKEET.parent, PARAKEET], "has no .txt files"),
    ],
)
def test_wrong_arguments_are_refused_by_name(
    arguments: list[object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shoptalk("score", *arguments) == 2
    assert said in capsys.readouterr().err
