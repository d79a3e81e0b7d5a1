"""Transcripts read from folders and tables, and the published scores of real consultations."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core.errors import ShoptalkError
from shoptalk.stages import text_scores, timed_texts
from shoptalk.stages.text_scores import Asked
from shoptalk.stages.timed_texts import Piece

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


@pytest.mark.parametrize("name", PUBLISHED_DRUGS)
def test_without_a_table_the_lexicon_alone_gives_the_published_drugs(name: str) -> None:
    """The list has singulars and plurals as terms of their own; each mention counts once."""
    asked = Asked(reference=TEXTS / "references", transcripts=(TEXTS / name,), lexicon=(TABLES / "terms.csv",))
    scores = text_scores.score(asked)
    drugs = scores.figures["terms drugs"].before
    assert (drugs.count, drugs.of) == PUBLISHED_DRUGS[name]
    assert ("antibiotics", "antibiotic") in scores.folded


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


def test_texts_are_read_in_the_encodings_of_tables_and_their_endings_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("naïve".encode("cp1252"))
    (tmp_path / "b.TXT").write_bytes("naïve".encode("utf-16"))
    assert {name: entry.text for name, entry in text_scores.read(tmp_path).items()} == {"a": "naïve", "b": "naïve"}
    (tmp_path / "b.txt").write_text("twice")
    with pytest.raises(ShoptalkError, match="3 .txt files for 2 ids"):
        text_scores.read(tmp_path)


def test_without_segments_ctm_is_joined_by_recording_in_the_order_of_time(tmp_path: Path) -> None:
    folder, ctm = tmp_path / "texts", tmp_path / "a.ctm"
    folder.mkdir()
    (folder / "rec-1.txt").write_text("pain and fever")
    ctm.write_text(";; notes\nrec 1 2.1 0.2 and 0.9\nrec 1 2.5 0.3 fever\nrec 1 0.1 0.3 pain\n")
    scores = text_scores.score(Asked(reference=folder, transcripts=(ctm,)))
    assert (scores.figures["wer"].before.count, scores.words) == (0, 3)


SEGMENTS = """\
;; two speakers in turn, a pause from 4 to 5 s, and a part that nobody scores
rec 1 ann 0.0 2.0 <o,f0> pain and fever
rec 1 bob 2.0 4.0 <o,m> no cough
rec 1 ann 5.0 6.0 <o,f0>
rec 1 - 6.0 8.0 <o> IGNORE_TIME_SEGMENT_IN_SCORING
two 1 bob 0.0 1.0 rash
"""
WORDS = """\
rec 1 0.1 0.4 pain
rec 1 0.9 0.3 and
rec 1 1.9 0.4 fever
rec 1 2.5 0.3 no
rec 1 3.0 0.3 cough
rec 1 4.2 0.4 hum
rec 1 5.2 0.3 oh
rec 1 6.5 0.2 music
rec 1 7.0 0.2 music
two 1 0.2 0.4 rash
"""


@pytest.fixture
def segments(tmp_path: Path) -> Path:
    (tmp_path / "a.stm").write_text(SEGMENTS)
    (tmp_path / "a.ctm").write_text(WORDS)
    return tmp_path


def test_words_are_scored_in_the_segment_where_their_middle_lies(segments: Path) -> None:
    """By hand: "fever" (1.9 to 2.3 s) is in bob's segment, so ann lacks it (1) and bob has it too many (1); "oh" is
    said where ann says nothing (1). "hum" lies in no segment, the music in the one to be ignored."""
    scores = text_scores.score(Asked(segments / "a.stm", (segments / "a.ctm",)))
    wer = scores.figures["wer"].before
    assert (wer.count, wer.of, scores.texts, scores.clusters) == (3, 6, 4, 2)
    assert scores.figures["mean_of_files"].before.value == pytest.approx((3 / 5 + 0 / 1) / 2)
    assert scores.left_out == (
        "transcripts 1: 1 words lie in no segment",
        "segments to be ignored: 1, with 2 words in them",
    )


def test_two_systems_are_compared_in_the_same_segments(segments: Path) -> None:
    (segments / "b.ctm").write_text(WORDS.replace("1.9 0.4 fever", "1.5 0.4 fever"))
    scores = text_scores.score(Asked(segments / "a.stm", (segments / "a.ctm", segments / "b.ctm")))
    assert (scores.figures["wer"].before.count, scores.figures["wer"].after.count) == (3, 1)
    assert scores.left_out[-1] == "segments to be ignored: 1, with 2 and 2 words in them"


def test_a_recording_a_segment_or_what_one_side_lacks_is_left_out_and_told(segments: Path) -> None:
    def counted(**more: Any) -> tuple[int, int | None]:
        wer = text_scores.score(Asked(segments / "a.stm", (segments / "a.ctm",), **more)).figures["wer"].before
        return wer.count, wer.of

    assert counted(leave_out=("two-1",)) == (3, 5)
    assert counted(leave_out=("rec-1-2",)) == (2, 4)
    with pytest.raises(ShoptalkError, match="no reference has the id rec-1-9"):
        counted(leave_out=("rec-1-9",))
    (segments / "a.ctm").write_text(WORDS.replace("two 1 0.2 0.4 rash\n", ""))
    with pytest.raises(ShoptalkError, match="transcripts 1 lack two-1"):
        counted()
    assert counted(common=True) == (3, 5)


def test_stm_of_the_same_segments_is_scored_by_segment_and_of_others_as_a_whole(segments: Path) -> None:
    same = SEGMENTS.replace("no cough", "no coughs").replace("IGNORE_TIME_SEGMENT_IN_SCORING", "music")
    (segments / "b.stm").write_text(same)
    scores = text_scores.score(Asked(segments / "a.stm", (segments / "b.stm",)))
    assert (scores.figures["wer"].before.count, scores.clusters) == (1, 2)
    (segments / "c.stm").write_text("rec 1 x 0 9 pain and fever no cough\ntwo 1 x 0 1 rash\n")
    with pytest.raises(ShoptalkError, match="ignore_time_segment_in_scoring needs words with times"):
        text_scores.score(Asked(segments / "a.stm", (segments / "c.stm",)))
    (segments / "a.stm").write_text(SEGMENTS.replace("IGNORE_TIME_SEGMENT_IN_SCORING", ""))
    scores = text_scores.score(Asked(segments / "a.stm", (segments / "c.stm",)))
    assert (scores.figures["wer"].before.count, scores.texts) == (0, 2)


times = st.integers(0, 40).map(lambda tenths: tenths / 4)
spans = st.tuples(times, times).map(sorted)


@settings(max_examples=100)
@given(st.lists(spans, max_size=5), st.lists(spans, max_size=8))
def test_each_word_goes_to_the_first_segment_around_its_middle(
    segment_spans: list[list[float]], word_spans: list[list[float]]
) -> None:
    reference = [Piece("r", start_s, end_s, "x", "ann") for start_s, end_s in segment_spans]
    words = [Piece("r", start_s, end_s, f"w{n}", "") for n, (start_s, end_s) in enumerate(word_spans)]
    in_order = sorted(reference, key=lambda piece: piece.start_s)
    expected: list[set[str]] = [set() for _ in in_order]
    outside = 0
    for word in words:
        around = [n for n, one in enumerate(in_order) if one.start_s <= word.middle_s <= one.end_s]
        if around:
            expected[around[0]].add(word.text)
        outside += not around
    segmented = timed_texts.by_segment(reference, [words], recordings=["r"], leave_out=())
    assert [set(text.recognised[0].split()) for text in segmented.texts] == expected
    assert segmented.left_out == (
        [f"transcripts 1: {outside} words lie in no segment"] if outside and reference else []
    )


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"id": "a", "text": "x"}\n{"text": "y"}\n', "a.jsonl:2: has no id"),
        ("a.jsonl", '{"id": "a"}\n', "a.jsonl:1: has no text"),
        ("a.jsonl", '{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n', "a.jsonl:2: the id 'a' occurs twice"),
        ("a.csv", "id,text\na,x\na,y\n", "a.csv:3: the id 'a' occurs twice"),
        ("a.ctm", "rec 1 soon 0.2 word\n", "a.ctm:1: is no line of the form"),
        ("a.ctm", "rec 1 nan 0.2 word\n", "a.ctm:1: is no line of the form"),
        ("a.ctm", "rec 1 1.0 -0.2 word\n", "a.ctm:1: is no line of the form"),
        ("a.ctm", "rec 1 * * <ALT_BEGIN>\n", "a.ctm:1: is no line of the form"),
        ("a.stm", "rec 1 ann 0.0\n", "a.stm:1: is no line of the form"),
        ("a.stm", "rec 1 ann 0.0 1.0 a { b / c }\n", "a.stm:1: alternatives in braces are not scored"),
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
    with pytest.raises(ShoptalkError, match="transcripts 1 lack b; transcripts 1 have c beyond the references"):
        text_scores.score(Asked(references, (other,)))
    scores = text_scores.score(Asked(references, (other,), common=True))
    told = "transcripts 1 lack b", "transcripts 1 have c beyond the references"
    assert scores.texts == 1 and scores.left_out == tuple(f"--common: {one}, which are left out" for one in told)
    with pytest.raises(ShoptalkError, match="no id stands on all sides"):
        text_scores.score(Asked(references, (other,), common=True, leave_out=("a",)))
