"""Any bytes given as a manifest are read, or are an error that names file, line and cure, on every entrance."""

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shoptalk.core.audio import write_flac
from shoptalk.core.errors import ShoptalkError
from shoptalk.core.examples import content_digests, read_manifest
from shoptalk.core.records import Example
from shoptalk.stages import text_scores
from shoptalk.testsets import clips, sources
from shoptalk.testsets.imported import Request, write
from shoptalk.tuning import lines

NAMES = [
    "audio_filepath", "text", "duration", "offset", "id", "words", "term_ids", "speaker", "speed", "patient", "set",
    "accent", "audio", "label", "lang", "",
]  # fmt: skip
EXAMPLES = 25
"""Of each test in CI. All were passed with 10,000 once."""
CURES = re.compile(
    r"correct|save|write|needs|fill|add|give|make|remove|name|spell|replace|is there|at least|no such file|has no|"
    r"lies outside|starts at|cannot be|must be|are named|close"
)
odd_text = st.text(max_size=12) | st.sampled_from(["one.flac", "../one.flac", "none.wav", "/", ".", "a\0b", "x" * 5000])
numbers = st.floats() | st.integers() | st.sampled_from([1, 0.5, 0, -1, 1e308, 10**400, "1.0", "0,5", "1e9999", "nan"])
scalars = st.none() | st.booleans() | numbers | odd_text
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_text, inner, max_size=2))
good = {"audio_filepath": "one.flac", "text": "hello", "duration": 0.5}
rows = st.dictionaries(st.sampled_from(NAMES), values, max_size=6) | st.dictionaries(
    st.sampled_from(NAMES[1:8]), values, max_size=2
).map(lambda changed: {**good, **changed})


def dumped(row: Any) -> str:
    return json.dumps(row, ensure_ascii=len(str(row)) % 2 == 0)


def with_key_twice(row: dict[str, Any]) -> str:
    return dumped(row)[:-1] + (', "text": "again"}' if row else "}")


line = rows.map(dumped) | rows.map(with_key_twice) | values.map(dumped) | st.text(max_size=20) | st.just("")
encoded = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])


@st.composite
def manifests(draw: st.DrawFn) -> bytes:
    """Lines of any kind; now and then in another encoding, cut, or with other ends of lines."""
    end = draw(st.sampled_from(["\n", "\r\n", "\n\n", "\u2028"]))
    text = end.join(draw(st.lists(line, max_size=4)))
    content = text.encode(draw(encoded), errors="replace")
    return content[: draw(st.integers(0, len(content)))] if draw(st.integers(0, 5)) == 0 else content


@pytest.fixture(scope="module")
def folder() -> Any:
    with tempfile.TemporaryDirectory() as name:
        write_flac(Path(name) / "one.flac", np.full(8_000, 0.1, np.float32))
        yield Path(name)


def train(path: Path) -> object:
    spelling = lines.Spelling(lambda text: [int(not text.isascii())] * len(text), unknown=1)
    return lines.check([path], shortest_s=0.08, spelling=spelling, say=lambda told: None)


def as_test_set(path: Path) -> object:
    return clips.read(path, "set", lambda voice: "")


def bring(path: Path) -> object:
    request = Request("set", path.parent / "to", "nemo", "CC0-1.0", "", False, False, str(path.stat().st_mtime_ns))
    for left in (path.parent / "to").glob("*.*"):
        left.unlink()
    return write(sources.checked(sources.nemo_rows(path), path.parent), request, progress=lambda made, done: made)


ENTRANCES: dict[str, Callable[[Path], object]] = {
    "read": read_manifest,
    "train": train,
    "test set": as_test_set,
    "import": bring,
    "score": text_scores.read,
    "content": content_digests,
}


@pytest.mark.parametrize("entrance", ENTRANCES)
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(content=manifests())
@example(content=b'{"audio_filepath": "one.flac", "text": "x", "offset": 1e999}')
@example(content=b'{"audio_filepath": "one.flac", "text": "x", "duration": ' + b"9" * 5000 + b"}")
@example(content=b'{"audio_filepath": "a\\u0000b", "text": "x"}')
@example(content=b'{"audio_filepath": ".", "text": "x"}')
@example(content=b'{"id": "a", "text": "x", "speaker": []}')
@example(content=b"[" * 100_000)
def test_any_manifest_is_read_or_refused_by_name(entrance: str, content: bytes, folder: Path) -> None:
    path = folder / "list.jsonl"
    path.write_bytes(content)
    try:
        made = ENTRANCES[entrance](path)
    except ShoptalkError as error:
        told = str(error)
        assert "list.jsonl" in told or "set: none of" in told, told
        assert re.search(r"list\.jsonl:\d+: |line \d+: |none of 0 utterances", told), told
        assert CURES.search(told), told
        return
    if entrance == "read":
        assert isinstance(made, list)
        for parsed in made:
            assert isinstance(parsed, Example) and np.isfinite(parsed.duration_s) and parsed.duration_s > 0
            assert parsed.offset_s is None or (np.isfinite(parsed.offset_s) and parsed.offset_s >= 0)
