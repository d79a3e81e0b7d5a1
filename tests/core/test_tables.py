"""Tables as people save them: each case that failed once, and any Unicode in any encoding."""

import csv
import io
import lzma
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import tables
from shoptalk.core.errors import ImportFormatError, LexiconError, TextError
from shoptalk.corpus import lexicon
from shoptalk.testsets import sources

CASES = Path(__file__).parents[1] / "cases"


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("lex-cp1252.csv", ["naïvamab", "Sjögren syndrome"]),
        ("lex-semicolon-bom.csv", ["finerenone", "tafamidis"]),
        ("lex-trailing.csv", ["finerenone", "tafamidis"]),
        ("lex-blankrows.csv", ["finerenone"]),
        ("lex-caps.csv", ["finerenone"]),
    ],
)
def test_lexicons_are_read_as_they_were_saved(name: str, texts: list[str]) -> None:
    terms = lexicon.load([CASES / name])
    assert [term.text for term in terms] == texts
    if name == "lex-semicolon-bom.csv":
        assert [term.facts["dose"] for term in terms] == [("10 mg",), ("61 mg",)]


def test_between_tabs_a_quotation_mark_is_a_character() -> None:
    rows = list(sources.csv_rows(CASES / "cv-quote.tsv"))
    assert [where.rpartition(":")[2] for where, _ in rows] == ["2", "3", "4", "5"]
    assert [row["sentence"] for _, row in rows] == [
        '"This is a restricted area.',
        "Well the men",
        '"Who are you?" he asked',
        "You have come",
    ]


def test_a_ragged_row_is_named_with_its_cure() -> None:
    with pytest.raises(ImportFormatError) as told:
        list(sources.csv_rows(CASES / "t-ragged.csv"))
    [first, second] = str(told.value).splitlines()[1:]
    assert "t-ragged.csv:2: more cells" in first and "'world'" in first and "quotation marks" in first
    assert "t-ragged.csv:3: 1 cells where the header has 2 columns; fill in" in second


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_encodings_are_told_apart(encoding: str) -> None:
    text = "text,category\r\nSjögren’s syndrome,condition\r\n"
    assert tables.decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"text\nfine\n\x81\n", "line 3 is neither UTF-8 nor Windows-1252; save the file as UTF-8"),
        (b"\xff\xfea", "it starts as UTF-16, but line 1 is not; save the file as UTF-8"),
        (b"PK\x03\x04\0\0\x08\0\0\0\0\0", "no text"),
    ],
)
def test_what_is_no_text_is_told_with_the_cure(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "terms.csv"
    path.write_bytes(content)
    with pytest.raises(TextError, match=r"terms\.csv: .*" + told):
        tables.read_text(path)
    with pytest.raises(LexiconError, match=told):
        lexicon.load([path])


def test_a_text_may_be_compressed(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt.xz"
    path.write_bytes(lzma.compress("\N{GREEK SMALL LETTER MU}g\nthen\n".encode("utf-16")))
    assert tables.read_text(path) == "\N{GREEK SMALL LETTER MU}g\nthen\n"
    path.write_text("plain")
    with pytest.raises(TextError, match=r"texts\.txt\.xz: no file of xz .*; save it as plain text in UTF-8"):
        tables.read_text(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("text,category\na,b,c\n", ":2: more cells than"),
        ("text,,category\na,b,c\n", ":2: more cells than"),
        ("text,Text\na,b\n", ":1: columns occur twice: text"),
        ('text,category\n\nfine,drug\n"open,drug\nmore,drug\n', ":4: no row of a table"),
        ("\n\ntext,colour\n", ":3: unknown columns colour; known: text, category"),
    ],
)
def test_what_is_wrong_stands_with_file_and_line(content: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content, encoding="utf-8")
    problems: list[str] = []
    list(tables.read_table(path, problems, known=("text", "category")))
    assert len(problems) == 1 and problems[0].startswith(f"{path}{told}")


cells = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(cells, cells, cells), max_size=6),
    delimiter=st.sampled_from(",;"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
)
def test_what_a_spreadsheet_writes_is_read(rows: list[tuple[str, str, str]], delimiter: str, encoding: str) -> None:
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("A", "B", "C"), *rows])
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(written.getvalue().encode(encoding))
        read = [row for _, row in tables.read_table(path, problems)]
    stripped = [tuple(cell.strip() for cell in row) for row in rows]
    assert problems == []
    assert read == [dict(zip("abc", row, strict=True)) for row in stripped if any(row)]


@settings(deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=80),
        st.text(max_size=80).map(lambda text: text.encode("utf-8", "replace")),
        st.text('ab,;\t"\r\n\u2028é ', max_size=40).map(str.encode),
    ),
    name=st.sampled_from(["t.csv", "t.jsonl", "t.yaml"]),
)
def test_any_bytes_are_read_or_told_by_name(content: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            lexicon.load([path])
        except LexiconError as error:
            assert str(path) in str(error)
        try:
            list(sources.csv_rows(path))
        except ImportFormatError as error:
            assert str(path) in str(error)
