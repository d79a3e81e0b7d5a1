"""A product is whole or absent, and a killed one goes on byte for byte."""

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoptalk.core import files
from shoptalk.core.errors import DiskFullError, ManifestError
from shoptalk.core.records import Term

TERMS = tuple(
    Term(id=f"t{number}", text=text, category="drug") for number, text in enumerate("aß b c\u2028d e".split(" "))
)
LINES = b"".join(term.model_dump_json().encode() + b"\n" for term in TERMS)


def unwritten(done: frozenset[str]) -> Iterator[Term]:
    return (term for term in TERMS if term.id not in done)


@given(st.integers(0, len(LINES)))
def test_cut_at_any_byte_and_resumed_it_is_the_same_file(kept: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "10-lexicon.jsonl"
        path.with_name("10-lexicon.jsonl.partial").write_bytes(LINES[:kept])
        path.with_name("10-lexicon.jsonl.partial.signature").write_text("s")
        made = []

        def make(done: frozenset[str]) -> Iterator[Term]:
            for term in unwritten(done):
                made.append(term.id)
                yield term

        assert files.write_records(path, make, signature="s") == len(TERMS)
        assert path.read_bytes() == LINES
        assert len(made) == len(TERMS) - LINES[:kept].count(b"\n")  # no whole line is made twice
        assert [file.name for file in Path(folder).iterdir()] == [path.name]


def test_work_of_another_signature_is_not_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "terms.jsonl"

    def killed(done: frozenset[str]) -> Iterator[Term]:
        yield TERMS[2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_records(path, killed, signature="old")
    assert not path.exists() and path.with_name("terms.jsonl.partial").exists()
    files.write_records(path, unwritten, signature="new")
    assert path.read_bytes() == LINES


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "below" / "terms.jsonl"
    files.write_records(path, unwritten, signature="s")
    assert tuple(files.read(path, Term)) == TERMS


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "terms.jsonl:2: not a Term"),
        (json.dumps({"id": "b", "text": "b"}), "category"),
        (json.dumps({"id": "b", "text": "b", "category": "c", "doses": 1}), "doses"),
        (json.dumps({"id": "", "text": "b", "category": "c"}), "id"),
        (json.dumps({"id": "b", "text": "b", "category": "c", "weight": "Infinity"}), "weight"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "terms.jsonl"
    path.write_text(f"{TERMS[0].model_dump_json()}\n{line}\n")
    with pytest.raises(ManifestError, match=said):
        list(files.read(path, Term))


def test_an_absent_file_is_named_with_its_cure(tmp_path: Path) -> None:
    path = tmp_path / "terms.jsonl"
    with pytest.raises(ManifestError, match="no such file; run the stage"):
        list(files.read(path, Term))


def test_text_is_written_whole(tmp_path: Path) -> None:
    files.write_text(tmp_path / "a" / "note.txt", "ä")
    assert (tmp_path / "a" / "note.txt").read_bytes() == "ä".encode()
    assert len(list((tmp_path / "a").iterdir())) == 1


def test_a_file_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    files.write_text(path, "old")
    with pytest.raises(KeyboardInterrupt), files.write_file(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "below" / "bundle"
    with files.write_folder(folder) as partial:
        (partial / "old").write_text("old")
    with pytest.raises(ValueError, match="no"), files.write_folder(folder) as partial:
        (partial / "half").write_text("half")
        raise ValueError("no")
    assert [file.name for file in folder.iterdir()] == ["old"]
    files.partial_path(folder).mkdir()
    (files.partial_path(folder) / "left over by a kill").write_text("")
    with files.write_folder(folder) as partial:
        (partial / "sub").mkdir()
        (partial / "sub" / "new").write_text("new")
    assert [str(file.relative_to(folder)) for file in sorted(folder.rglob("*"))] == ["sub", "sub/new"]
    assert list(folder.parent.iterdir()) == [folder]


@contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
@pytest.mark.parametrize("left_by_library", [0o600, 0o644, 0o666])
def test_permissions_are_as_the_umask_says(tmp_path: Path, mask: int, expected: int, left_by_library: int) -> None:
    with umask(mask):
        with files.write_file(tmp_path / "weights") as partial:
            partial.write_text("w")
            partial.chmod(left_by_library)
        with files.write_folder(tmp_path / "bundle") as folder:
            (folder / "below").mkdir()
            for path in (folder / "weights", folder / "below" / "weights"):
                path.write_text("w")
                path.chmod(left_by_library)
        files.write_text(tmp_path / "note", "n")
        files.write_records(tmp_path / "terms.jsonl", unwritten, signature="s")
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 5  # and nothing is left of how the permissions were found
    assert {permissions(path) for path in written} == {expected}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{}\n[]\n", ":2: not a JSON object; write one"),
        (b"{}\n{\n", ":2: not JSON (.*); write one"),
        (b'{}\n{"a": "\\ud800"}\n', ":2: not JSON (.*); write one"),
        (b"{}\n" + b"[" * 100_000, ":2: not JSON (.*); write one"),
        (b'{}\n\n{"a": "\xe4"}\n', ":3: not UTF-8 (.*); save the file as UTF-8"),
    ],
)
def test_a_line_of_others_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "lines.jsonl").write_bytes(content)
    with pytest.raises(ManifestError, match=said):
        files.read_lines(tmp_path / "lines.jsonl")


def test_lines_end_at_line_feeds_alone(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes('\ufeff{"a": "one\u2028line"}\r\n\n{"a": 2}'.encode())
    assert list(files.read_objects(path)) == [(1, {"a": "one\u2028line"}), (3, {"a": 2})]


@given(st.lists(st.dictionaries(st.text(max_size=8), st.text(max_size=20), min_size=1), max_size=5), st.booleans())
def test_json_lines_of_any_unicode_are_read_as_written(rows: list[dict[str, str]], escaped: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines.jsonl"
        files.write_text(path, "".join(json.dumps(row, ensure_ascii=escaped) + "\n" for row in rows))
        assert files.read_lines(path) == rows


@given(st.one_of(st.binary(max_size=60), st.text('{}[]":,\\ud89a\n\u2028 1eNI', max_size=60).map(str.encode)))
def test_any_bytes_are_json_lines_or_told_by_line(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines.jsonl"
        path.write_bytes(content)
        try:
            rows = files.read_lines(path)
        except ManifestError as error:
            assert str(error).startswith(f"{path}:")
        else:
            json.dumps(rows, ensure_ascii=False).encode()


def test_a_digest_follows_the_content(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    first = files.file_digest(path)
    assert first == files.file_sha256(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"other")
    assert files.file_digest(path) == files.file_sha256(path) == hashlib.sha256(b"other").hexdigest()


def test_a_key_that_occurs_twice_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"id": "a"}\n{"id": "b", "words": {"x": 1, "x": 2}}\n')
    with pytest.raises(ManifestError, match=r"lines\.jsonl:2: not JSON \(the key 'x' occurs twice\)"):
        list(files.read_objects(path))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_told_by_whatever_writes(tmp_path: Path) -> None:
    full = tmp_path / "full.jsonl"
    files.partial_path(full).symlink_to("/dev/full")
    with pytest.raises(DiskFullError, match=r"full\.jsonl: no space is left"):
        files.write_text(full, "x")
