"""One reader and one writer of dataset manifests, ours and others'; segments are what offset and duration name."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoptalk.core.audio import write_flac
from shoptalk.core.errors import AudioError, ManifestError
from shoptalk.core.examples import read_manifest, write_manifest, write_resumed
from shoptalk.core.recordings import load
from shoptalk.core.records import Example

RATE_HZ = 16_000
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
seconds = st.floats(0.01, 1e4)
examples = st.fixed_dictionaries(
    {
        "id": texts.filter(bool),
        "audio": st.just(Path("recording.flac")),
        "duration_s": seconds,
        "text": texts,
        "offset_s": st.none() | st.floats(0, 1e4),
        "term_ids": st.lists(texts, max_size=2).map(tuple),
        "cluster": texts.filter(bool),
        "voice": texts.filter(bool),
        "speaker": texts,
        "speed": st.none() | st.floats(0.5, 2),
        "accent": texts,
        "context": texts,
        "source": texts,
        "set": texts,
        "words": st.lists(st.tuples(texts, seconds, seconds), max_size=2).map(tuple),
        "patient": st.booleans(),
    }
).map(lambda fields: Example(**fields))


@given(st.lists(examples, max_size=4))
def test_what_is_written_is_read(written: list[Example]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.jsonl"
        placed = [example.model_copy(update={"audio": path.parent / example.audio}) for example in written]
        write_manifest(path, placed)
        assert read_manifest(path) == placed
        names = [json.loads(line)["audio_filepath"] for line in path.read_bytes().splitlines()]
        assert names == ["recording.flac"] * len(written)


def manifest(folder: Path, *rows: dict[str, Any], prefix: str = "") -> Path:
    path = folder / "list.jsonl"
    path.write_text(prefix + "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def ramp(tmp_path: Path) -> np.ndarray[Any, Any]:
    """Two seconds in which every sample tells its place, in ``long.flac``."""
    samples_T = (np.arange(2 * RATE_HZ) / (4 * RATE_HZ)).astype(np.float32)
    write_flac(tmp_path / "long.flac", samples_T)
    return samples_T


def test_a_manifest_of_others_is_read_with_defaults(tmp_path: Path, ramp: object) -> None:
    """As NeMo writes it: no id, a byte-order mark, null for what is not known, numbers for names, keys of its own."""
    plain = {"audio_filepath": "long.flac", "text": "one\u2028line", "duration": None, "lang": "en", "accent": None}
    part = {"audio_filepath": "long.flac", "text": "", "offset": 1.5, "speaker": 17}
    whole, segment = read_manifest(manifest(tmp_path, plain, part, prefix="\ufeff"))
    audio = tmp_path / "long.flac"
    assert whole == Example(id="long.flac", audio=audio, duration_s=2.0, text="one\u2028line")
    assert segment == Example(
        id="long.flac@1.5", audio=audio, duration_s=0.5, text="", offset_s=1.5, speaker="17", voice="17", cluster="17"
    )


def test_a_segment_is_what_offset_and_duration_name(tmp_path: Path, ramp: np.ndarray[Any, Any]) -> None:
    line = {"audio_filepath": "long.flac", "text": "x"}
    rows = [line | {"offset": 0.0, "duration": 0.5}, line | {"offset": 0.5, "duration": 1.25}, line | {"duration": 0.5}]
    first, second, whole = read_manifest(manifest(tmp_path, *rows))
    close = {"atol": 1e-4, "rtol": 0}
    np.testing.assert_allclose(load(first), ramp[: RATE_HZ // 2], **close)
    np.testing.assert_allclose(load(second), ramp[RATE_HZ // 2 : RATE_HZ * 7 // 4], **close)
    np.testing.assert_allclose(load(whole), ramp, **close)  # without an offset the duration says how long it is
    load(second)[:] = 0
    np.testing.assert_allclose(load(second), ramp[RATE_HZ // 2 : RATE_HZ * 7 // 4], **close)


@pytest.mark.parametrize(("offset", "duration"), [(1.5, 1.0), (2.5, 0.1)])
def test_a_segment_outside_of_its_recording_is_named(
    tmp_path: Path, ramp: object, offset: float, duration: float
) -> None:
    row = {"audio_filepath": "long.flac", "text": "x", "offset": offset, "duration": duration, "id": "seven"}
    (example,) = read_manifest(manifest(tmp_path, row))
    with pytest.raises(AudioError, match=r"seven: lies outside of its recording, which has 2.00 s; correct its offset"):
        load(example)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "x"}, "lacks audio_filepath; each line needs audio_filepath, text"),
        ({"audio_filepath": "a.wav", "text": None}, "lacks text"),
        ({"audio_filepath": "a.wav", "text": "x", "duration": "soon"}, "duration .*valid number.*; correct this line"),
        ({"audio_filepath": "a.wav", "text": "x", "duration": 0}, "duration .*greater than 0"),
        ({"audio_filepath": "a.wav", "text": "x", "duration": float("nan")}, "duration .*finite"),
        ({"audio_filepath": "a.wav", "text": "x", "duration": 1, "offset": -1}, "offset .*greater than"),
        ({"audio_filepath": "a.wav", "text": "x", "duration": 1, "words": [["x", 1]]}, r"words\.0\.2"),
        ({"audio_filepath": "a.wav", "text": "x"}, "has no duration, and it cannot be read from the audio: .*no such"),
        ({"audio_filepath": "long.flac", "text": "x", "offset": 9}, "starts at 9 s of a recording of 2.00 s"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path: Path, ramp: object, row: dict[str, Any], said: str) -> None:
    good = {"audio_filepath": "long.flac", "text": "x", "duration": 2}
    with pytest.raises(ManifestError, match=rf"list\.jsonl:2: {said}"):
        read_manifest(manifest(tmp_path, good, row))


def test_an_absent_or_empty_manifest(tmp_path: Path) -> None:
    assert read_manifest(manifest(tmp_path)) == []
    with pytest.raises(ManifestError, match="none.jsonl: no such file"):
        read_manifest(tmp_path / "none.jsonl")


def test_features_tell_their_duration(tmp_path: Path) -> None:
    np.save(tmp_path / "ready.npy", np.zeros((150, 80), np.float16))
    (example,) = read_manifest(manifest(tmp_path, {"audio_filepath": "ready.npy", "text": "x"}))
    assert example.duration_s == 1.5


def test_an_interrupted_manifest_goes_on(tmp_path: Path) -> None:
    def made(done: frozenset[str]) -> Iterator[Example]:
        for number in range(3):
            if str(number) not in done:
                yield Example(id=str(number), audio=tmp_path / "a.flac", duration_s=1.0, text="x")

    def killed(done: frozenset[str]) -> Iterator[Example]:
        yield next(made(done))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_resumed(tmp_path / "list.jsonl", killed, signature="s")
    assert write_resumed(tmp_path / "list.jsonl", made, signature="s") == 3
    assert [example.id for example in read_manifest(tmp_path / "list.jsonl")] == ["0", "1", "2"]
