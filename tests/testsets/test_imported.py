"""Rows of others read and checked, imports written and taken up again, PriMock57, and the catalogue with its table."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoptalk.core.audio import SAMPLE_RATE_HZ, decode, write_flac
from shoptalk.core.errors import ImportFormatError
from shoptalk.core.files import read_lines
from shoptalk.core.records import Example, Samples
from shoptalk.testsets import imported, primock57, sources
from shoptalk.testsets.catalogue import OWN_SETS, evaluation_only, known_sets

ROOT = Path(__file__).parents[2]


def tone(seconds: float, *, hz: float = 300.0) -> Samples:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ)).astype(
        np.float32
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, seconds in (("a", 1.0), ("b", 4.0), ("short", 0.05)):
        write_flac(tmp_path / "in" / f"{name}.flac", tone(seconds))
    return tmp_path / "in"


def request(folder: Path, to: str = "to", signature: str = "s1") -> imported.Request:
    return imported.Request("one", folder.parent / to, "nemo", "CC0-1.0", "", False, False, signature)


def unseen(lines: Iterable[Example], done: int) -> Iterable[Example]:
    return lines


def rows(*columns: dict[str, Any]) -> list[sources.Row]:
    return [(f"set.jsonl:{number}", one) for number, one in enumerate(columns, start=1)]


def test_bad_rows_are_named_by_line_all_at_once(folder: Path) -> None:
    bad = rows(
        {"audio_filepath": "a.flac", "text": "good"},
        {"text": "no audio"},
        {"audio_filepath": "a.flac"},
        {"audio_filepath": "a.flac", "text": "again"},
        {"audio_filepath": "b.flac", "text": "x", "offset": "soon"},
        {"audio_filepath": "b.flac", "text": "x", "words": [["x", 1]]},
    )
    with pytest.raises(ImportFormatError) as told:
        sources.checked(bad, folder)
    lines = str(told.value).splitlines()
    assert lines[0] == "5 bad rows:" and [line.partition(": ")[0] for line in lines[1:]] == [
        f"set.jsonl:{number}" for number in range(2, 7)
    ]
    for line, cure in zip(
        lines[1:], ("fill one", "add one", "make ids unique", "give seconds", "correct"), strict=True
    ):
        assert cure in line


def test_a_thousand_bad_rows_are_not_all_shown(folder: Path) -> None:
    with pytest.raises(ImportFormatError, match="980 more") as told:
        sources.checked(rows(*[{"text": "no audio"}] * 1000), folder)
    assert len(str(told.value).splitlines()) == 1 + sources.SHOWN + 1


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_are_read_with_their_delimiter_and_line_numbers(delimiter: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    text = "one two" if delimiter == "\t" else '"one\ntwo"'
    rows_of = ["file_name,transcript,speaker_id,accents", f"a.flac,{text},7,scottish", "b.flac,three,0,"]
    path.write_text("\ufeff" + "\n".join(rows_of).replace(",", delimiter), encoding="utf-8")
    first, second = sources.checked(sources.csv_rows(path), tmp_path)
    assert (first.id, first.text, first.where) == ("a", text.strip('"'), f"{path}:2")
    assert first.more["speaker"] == "7" and first.more["accent"] == "scottish"
    assert second.more["speaker"] == "0" and second.audio == tmp_path / "b.flac"


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"path,text\n\x81,a\n")
    with pytest.raises(ImportFormatError, match="UTF-8"):
        list(sources.csv_rows(tmp_path / "t.csv"))


def test_parts_of_a_recording_are_cut_and_draw_together(folder: Path) -> None:
    found = sources.checked(
        rows(
            {"audio_filepath": "b.flac", "text": "x", "offset": 0.5, "duration": 1.25},
            {"audio_filepath": "b.flac", "text": "y", "offset": 3.0},
            {"audio_filepath": "b.flac", "text": "z", "duration": 1.0},
        ),
        folder,
    )
    imported.write(found, request(folder), progress=unseen)
    lines = read_lines(folder.parent / "to" / "one.jsonl")
    assert [(line["id"], line["duration"], line["cluster"]) for line in lines] == [
        ("b-0.5", 1.25, "b"), ("b-3", 1.0, "b"), ("b", 4.0, "b"),
    ]  # fmt: skip
    whole_T = decode(folder / "b.flac")
    cut_T = decode(folder.parent / "to" / lines[0]["audio_filepath"])
    np.testing.assert_array_equal(cut_T, whole_T[8_000:28_000])


def test_what_cannot_be_scored_is_skipped_and_named(folder: Path) -> None:
    (folder / "text.wav").write_text("not audio")
    found = sources.checked(
        rows(
            {"audio_filepath": "a.flac", "text": "good", "speaker": "s"},
            {"audio_filepath": "b.flac", "text": " "},
            {"audio_filepath": "absent.flac", "text": "x"},
            {"audio_filepath": "text.wav", "text": "x"},
            {"audio_filepath": "short.flac", "text": "x"},
            {"audio_filepath": "a.flac", "text": "x", "offset": 0.5, "duration": 2.0},
            {"audio_filepath": "b.flac", "text": "<ignore_time_segment_in_scoring>", "id": "ted"},
        ),
        folder,
    )
    about = imported.write(found, request(folder), progress=unseen)
    assert about["utterances"] == 1 and about["speakers"] == 1
    assert [(one["where"], one["id"]) for one in about["skipped"]] == [
        ("set.jsonl:2", "b"), ("set.jsonl:3", "absent"), ("set.jsonl:4", "text"), ("set.jsonl:5", "short"),
        ("set.jsonl:6", "a-0.5"), ("set.jsonl:7", "ted"),
    ]  # fmt: skip
    reasons = [one["reason"] for one in about["skipped"]]
    told = ("nothing is said", "no such file", "cannot be decoded", "shorter", "outside of its recording", "nothing")
    assert all(part in reason for part, reason in zip(told, reasons, strict=True))
    assert json.loads((folder.parent / "to" / "one.about.json").read_text(encoding="utf-8")) == about


def test_a_recording_that_is_not_whole_is_skipped_and_named(folder: Path) -> None:
    noise_T = np.random.default_rng(1).normal(0, 0.1, 4 * SAMPLE_RATE_HZ).astype(np.float32)
    write_flac(folder / "torn.flac", noise_T)
    content = (folder / "torn.flac").read_bytes()
    (folder / "torn.flac").write_bytes(content[: len(content) // 2])
    read = sources.checked(
        rows(
            {"audio_filepath": "a.flac", "text": "good", "duration": 1.0},
            {"audio_filepath": "b.flac", "text": "said whole", "duration": 9.0},
            {"audio_filepath": "torn.flac", "text": "said whole"},
            {"audio_filepath": "torn.flac", "text": "a part", "offset": 0.5, "duration": 0.5},
        ),
        folder,
    )
    about = imported.write(read, request(folder), progress=unseen)
    reasons = [skip["reason"] for skip in about["skipped"]]
    assert about["utterances"] == 1 and reasons[0] == "has 4.00 s of audio where its row says 9.00 s"
    assert all("s of its recording could not be decoded" in reason for reason in reasons[1:]) and len(reasons) == 3


def test_an_import_of_nothing_is_an_error_and_leaves_no_manifest(folder: Path) -> None:
    found = sources.checked(rows({"audio_filepath": "absent.flac", "text": "x"}), folder)
    with pytest.raises(ImportFormatError, match=r"none of 1 utterances can be scored; the first is set\.jsonl:1"):
        imported.write(found, request(folder), progress=unseen)
    with pytest.raises(ImportFormatError, match="none of 0"):
        imported.write([], request(folder), progress=unseen)
    assert not (folder.parent / "to" / "one.jsonl").exists()


def test_an_interrupted_import_is_taken_up_again_and_ends_the_same(folder: Path) -> None:
    found = sources.checked(
        rows(
            {"audio_filepath": "absent.flac", "text": "x"},
            *({"audio_filepath": "b.flac", "text": f"t {n}", "offset": n / 4, "duration": 0.5} for n in range(8)),
        ),
        folder,
    )

    def interrupted(lines: Iterable[Example], done: int) -> Iterator[Example]:
        yield from islice(lines, 5)
        raise KeyboardInterrupt

    resumed_at: list[int] = []

    def counted(lines: Iterable[Example], done: int) -> Iterable[Example]:
        resumed_at.append(done)
        return lines

    to = folder.parent / "to"
    with pytest.raises(KeyboardInterrupt):
        imported.write(found, request(folder), progress=interrupted)
    assert not (to / "one.jsonl").exists() and not (to / "one.about.json").exists()
    about = imported.write(found, request(folder), progress=counted)
    imported.write(found, request(folder, "again"), progress=counted)
    assert resumed_at == [5, 0] and len(about["skipped"]) == 1
    for name in ("one.jsonl", "one.about.json"):
        assert (to / name).read_bytes() == (folder.parent / "again" / name).read_bytes()
    imported.write(found[:3], request(folder, signature="s2"), progress=counted)
    assert resumed_at[-1] == 0


def test_an_id_twice_in_a_stream_is_refused(folder: Path) -> None:
    content = (folder / "a.flac").read_bytes()
    stream = (sources.read(row, folder) for row in rows(*[{"id": "x", "audio": content, "text": "t"}] * 2))
    with pytest.raises(ImportFormatError, match=r"set\.jsonl:2: the id 'x' is that of set\.jsonl:1 too"):
        imported.write(stream, request(folder), progress=unseen)


def test_ids_that_are_no_file_names_get_unique_ones(folder: Path) -> None:
    names = ["a/b", "a b", "a-b", "../up", "ä", "x" * 300]
    found = sources.checked(rows(*[{"id": name, "audio": "a.flac", "text": "t"} for name in names]), folder)
    imported.write(found, request(folder), progress=unseen)
    lines = read_lines(folder.parent / "to" / "one.jsonl")
    assert [line["id"] for line in lines] == names
    files = [folder.parent / "to" / line["audio_filepath"] for line in lines]
    assert len(set(files)) == len(names) and {path.parent for path in files} == {folder.parent / "to" / "one"}
    assert all(path.is_file() for path in files)


GRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 4
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "Doctor"
        xmin = 0
        xmax = 4
        intervals: size = {size}
"""


def textgrid(*texts: str) -> str:
    parts = [
        f"    intervals [{n + 1}]:\n        xmin = {n} \n        xmax = {n + 1} \n" + f'        text = "{text}" \n'
        for n, text in enumerate(texts)
    ]
    return GRID.format(size=len(texts)) + "".join(parts)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_primock57_is_cut_by_its_intervals(encoding: str, newline: str, tmp_path: Path) -> None:
    clone = tmp_path / "primock57"
    write_flac(clone / "audio" / "day1_consultation01_doctor.wav", tone(4.0))
    (clone / "transcripts").mkdir()
    grid = textgrid('Good <UNSURE>morning</UNSURE>, he said ""hi"".', "", "<UNIN/> you", "Café?")
    path = clone / "transcripts" / "day1_consultation01_doctor.TextGrid"
    path.write_bytes(grid.replace("\n", newline).encode(encoding))
    found = sources.checked(primock57.rows(clone), clone)
    about = imported.write(found, request(clone), progress=unseen)
    lines = read_lines(clone.parent / "to" / "one.jsonl")
    assert [(line["id"], line["duration"]) for line in lines] == [
        ("day1_consultation01_doctor-0001", 1.0), ("day1_consultation01_doctor-0004", 1.0),
    ]  # fmt: skip
    assert lines[0]["text"] == 'Good morning, he said "hi".' and lines[1]["text"] == "Café?"
    assert {(line["speaker"], line["context"]) for line in lines} == {("day1_consultation01_doctor", "doctor")}
    assert [one["reason"] for one in about["skipped"]] == ["holds what was not understood"]


def test_primock57_without_its_audio_says_what_to_fetch(tmp_path: Path) -> None:
    for name in ("audio", "transcripts"):
        (tmp_path / name).mkdir()
    (tmp_path / "transcripts" / "x_doctor.TextGrid").write_text(textgrid("a"), encoding="utf-8")
    (tmp_path / "audio" / "x_doctor.wav").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(ImportFormatError, match="git lfs pull"):
        list(primock57.rows(tmp_path))
    (tmp_path / "transcripts" / "x_doctor.TextGrid").write_text('"IntervalTier"\n0\n1\n"a"\n', encoding="utf-8")
    with pytest.raises(ImportFormatError, match="long text format"):
        primock57.intervals(tmp_path / "transcripts" / "x_doctor.TextGrid")


def test_the_catalogue_marks_what_may_only_be_scored() -> None:
    catalogue = known_sets()
    assert {"primock57", "ami", "earnings22", "gigaspeech", "spgispeech", "tedlium", "voxpopuli"} <= set(catalogue)
    assert not OWN_SETS & set(catalogue)
    for name, one in catalogue.items():
        assert one.page.startswith("https://") and one.licence and one.what, name
        assert one.use == "evaluation" or not evaluation_only(one.licence), name
    assert {name for name, one in catalogue.items() if one.use == "evaluation"} == {
        "gigaspeech", "spgispeech", "tedlium", "gigaspeech-cleaned",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("licence", "only"),
    [("CC-BY-4.0", False), ("CC-BY-NC-4.0", True), ("CC-BY-ND-4.0", True), ("CC0-1.0", False), ("Apache-2.0", False)],
)
def test_licences_that_forbid_commerce_or_derivatives(licence: str, only: bool) -> None:
    assert evaluation_only(licence) is only
