"""Transcripts read from folders and tables, and the published scores of real consultations."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from shoptalk.core.errors import ShoptalkError
from shoptalk.stages import text_scores
from shoptalk.stages.text_scores import Asked

ROOT = Path(__file__).parents[2]
TEXTS = ROOT / "tests/scoring/golden/primock57"
TABLES = ROOT / "assets/primock57"
PUBLISHED_ERRORS = {"parakeet-v2": 135 + 145 + 294, "medasr": 897 + 580 + 911}
"""Word errors of the three consultations in Omi Health's results/metrics, of 1791 + 1113 + 1653 words."""
PUBLISHED_DRUGS = {"parakeet-v2": (5, 41), "medasr": (2 + 9 + 11, 41)}
"""Names of drugs missed there, of so many."""


@pytest.mark.parametrize("name", PUBLISHED_ERRORS)
def test_published_scores_are_reproduced(name: str) -> None:
    scores = text_scores.score(
        Asked(
            reference=TEXTS / "references",
            transcripts=(TEXTS / name,),
            lexicon=(TABLES / "terms.csv",),
            equal=(TABLES / "equal.csv",),
            equal_terms=(TABLES / "equal-terms.csv",),
        )
    )
    equal = scores.figures["wer_equal"].before
    assert equal.of == pytest.approx(1791 + 1113 + 1653, abs=5)
    assert equal.count == pytest.approx(PUBLISHED_ERRORS[name], rel=0.01)
    drugs = scores.figures["terms drugs"].before
    assert (drugs.count, drugs.of) == PUBLISHED_DRUGS[name]


def lines(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def table(path: Path, rows: list[dict[str, str]]) -> Path:
    cells = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    path.write_text("\n".join(cells) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("write", [lines, table])
def test_rows_and_folders_say_the_same(tmp_path: Path, write: Callable[[Path, list[dict[str, str]]], Path]) -> None:
    texts = {"a": "pain and\u2028fever", "b": "no cough"}
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    rows = [{"id": name, "text": text, "speaker": "s1"} for name, text in texts.items()]
    read = text_scores.read(write(tmp_path / ("t.jsonl" if write is lines else "t.csv"), rows))
    assert {name: entry.text for name, entry in read.items()} == texts
    assert {entry.cluster for entry in read.values()} == {"s1"}
    assert {name: entry.text for name, entry in text_scores.read(folder).items()} == texts


def test_stm_and_ctm_are_joined_by_recording_in_the_order_of_time(tmp_path: Path) -> None:
    stm, ctm = tmp_path / "a.stm", tmp_path / "a.ctm"
    stm.write_text(";; notes\nrec 1 bob 2.0 3.0 <o,f0> and fever\nrec 1 ann 0.0 1.5 pain\n")
    ctm.write_text("rec 1 2.1 0.2 and 0.9\nrec 1 2.5 0.3 fever\nrec 1 0.1 0.3 pain\n")
    scores = text_scores.score(Asked(reference=stm, transcripts=(ctm,)))
    assert (scores.figures["wer"].before.count, scores.words) == (0, 3)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"id": "a", "text": "x"}\n{"text": "y"}\n', "a.jsonl:2: has no id"),
        ("a.jsonl", '{"id": "a"}\n', "a.jsonl:1: has no text"),
        ("a.jsonl", '{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n', "a.jsonl:2: the id 'a' occurs twice"),
        ("a.csv", "id,text\na,x\na,y\n", "a.csv:3: the id 'a' occurs twice"),
        ("a.ctm", "rec 1 soon 0.2 word\n", "a.ctm:1: is no line of the form"),
        ("a.stm", "rec 1 ann 0.0\n", "a.stm:1: is no line of the form"),
        ("a.docx", "x", "a.docx: texts are read from"),
    ],
)
def test_files_that_cannot_be_read_are_named_with_the_line(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ShoptalkError, match=said):
        text_scores.read(tmp_path / name)


def test_ids_that_do_not_pair_are_listed_unless_common_ones_are_asked_for(tmp_path: Path) -> None:
    references = lines(tmp_path / "r.jsonl", [{"id": "a", "text": "pain"}, {"id": "b", "text": "fever"}])
    other = lines(tmp_path / "t.jsonl", [{"id": "a", "heard": "pain"}, {"id": "c", "heard": "rash"}])
    with pytest.raises(ShoptalkError, match="transcripts 1 lack b; transcripts 1 have c"):
        text_scores.score(Asked(references, (other,)))
    assert text_scores.score(Asked(references, (other,), common=True)).texts == 1
    with pytest.raises(ShoptalkError, match="no id stands on all sides"):
        text_scores.score(Asked(references, (other,), common=True, leave_out=("a",)))
