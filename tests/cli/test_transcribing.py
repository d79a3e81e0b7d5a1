"""`shoptalk transcribe` with the real base."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoptalk.cli import main
from shoptalk.core import audio
from shoptalk.core.models import store
from shoptalk.stages.transcribing import pcm_blocks

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


@pytest.mark.parametrize("streamed", [[], ["--stream"]])
def test_what_of_a_recording_is_left_out_is_told(capsys: pytest.CaptureFixture[str], streamed: list[str]) -> None:
    cases = ROOT / "tests" / "cases"
    named = {"one-nan.wav": "the first is sample", "one-bad-packet-e.mp3": "could not be decoded and are left out"}
    for name, told in named.items():
        assert main(["transcribe", str(cases / name), "--model", BASE, *streamed]) == 0
        shown = capsys.readouterr()
        assert shown.out.strip() and "⁇" not in shown.out
        assert f"shoptalk: warning: {cases / name}: " in shown.err and told in shown.err


def test_json_has_words_and_alternatives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "phrases.txt").write_text("restricted area\t2\n\nmetformin\n", encoding="utf-8")
    phrases = ["--phrases", str(tmp_path / "phrases.txt")]
    assert main(["transcribe", RECORDING, "--model", BASE, "--json", "--alternatives", "2", *phrases]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["audio"] == RECORDING and 1 <= len(line["alternatives"]) <= 2
    assert all(one["text"] and 0 <= one["probability"] <= 1 for one in line["alternatives"])
    assert " ".join(word["word"] for word in line["words"]) == line["text"]
    assert all(0 <= word["confidence"] <= 1 for word in line["words"])


def pcm() -> bytes:
    """The recording as raw PCM."""
    return (audio.decode(Path(RECORDING)) * 32767).astype("<i2").tobytes()


def from_stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))


def test_streamed_words_are_those_of_the_json_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lasting = str(tmp_path / "lasting.flac")
    audio.write_flac(Path(lasting), np.concatenate([audio.decode(Path(RECORDING))] * 4))
    assert main(["transcribe", lasting, "--model", BASE, "--stream"]) == 0
    shown = capsys.readouterr().out
    assert shown.endswith("\n") and len(shown.split()) > 4
    assert main(["transcribe", lasting, "--model", BASE, "--stream", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) > 2 and {line["audio"] for line in lines} == {lasting}
    final = [word["word"] for line in lines for word in line["final"]]
    assert final == shown.split()
    assert any(line["tentative"] for line in lines) and not lines[-1]["tentative"]


def test_raw_pcm_comes_from_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", RECORDING, "--model", BASE, "--stream"]) == 0
    by_name = capsys.readouterr().out
    from_stdin(monkeypatch, pcm())
    assert main(["transcribe", "-", "--model", BASE, "--stream"]) == 0
    assert capsys.readouterr().out == by_name
    assert main(["transcribe", RECORDING, "--model", BASE]) == 0
    whole = capsys.readouterr().out
    from_stdin(monkeypatch, pcm())
    assert main(["transcribe", "-", "--model", BASE]) == 0
    assert capsys.readouterr().out == whole


def test_what_a_stream_cannot_do_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", RECORDING, "--model", BASE, "--stream", "--alternatives", "2"]) == 2
    assert "RecognitionError: a stream has neither phrases nor alternatives" in capsys.readouterr().err
    from_stdin(monkeypatch, pcm()[:-1])
    assert main(["transcribe", "-", "--model", BASE, "--stream"]) == 2
    assert "ends in the middle of a sample; send raw PCM" in capsys.readouterr().err


@given(content=st.binary(max_size=40_000), sizes=st.lists(st.integers(1, 9_000), min_size=1))
def test_pcm_is_the_same_however_it_comes(content: bytes, sizes: list[int]) -> None:
    class Pipe(io.BytesIO):
        """Gives what there is, not what is asked for."""

        def read1(self, size: int | None = -1) -> bytes:
            return self.read(min(size or 0, sizes[self.tell() % len(sizes)]))

    content = content[: len(content) // 2 * 2]
    samples_T = np.concatenate([np.zeros(0, np.float32), *pcm_blocks(Pipe(content))])
    assert np.array_equal(samples_T, np.frombuffer(content, "<i2").astype(np.float32) / np.float32(32768))


def test_a_fetch_does_not_mix_with_results(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cached = store.path("silero-vad")
    monkeypatch.setenv("SHOPTALK_CACHE", str(tmp_path))
    monkeypatch.setenv("SHOPTALK_MODELS", str(cached.parent))
    assert main(["transcribe", RECORDING, "--model", BASE, "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["audio"] == RECORDING
    assert "silero-vad: silero_vad.onnx" in shown.err


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
