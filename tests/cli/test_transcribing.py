"""`shoptalk transcribe` with the real base."""

import io
import json
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor

from shoptalk.cli import main
from shoptalk.core import audio
from shoptalk.core.errors import TextError
from shoptalk.core.models import store
from shoptalk.core.protocols import Phrase
from shoptalk.engine.boosting import compile_phrases
from shoptalk.engine.recognizer import Engine
from shoptalk.stages.transcribing import pcm_blocks, read_phrases, writable

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


def test_a_folder_is_its_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ward" / "b").mkdir(parents=True)
    (tmp_path / "ward" / ".trash").mkdir()
    for name in ("ward/b/two.OPUS", "ward/one.opus", "ward/.trash/old.opus", "ward/notes.txt"):
        (tmp_path / name).write_bytes(Path(RECORDING).read_bytes())
    assert main(["transcribe", str(tmp_path / "ward"), "--model", BASE]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        str(tmp_path / "ward" / "b" / "two.OPUS"),
        str(tmp_path / "ward" / "one.opus"),
    ]
    assert len({line.partition(": ")[2] for line in lines}) == 1
    (tmp_path / "empty").mkdir()
    assert main(["transcribe", str(tmp_path / "empty"), "--model", BASE]) == 2
    assert "empty: a folder without recordings (.aac " in capsys.readouterr().err


@pytest.mark.parametrize("streamed", [[], ["--stream"]])
def test_what_of_a_recording_is_left_out_is_told(capsys: pytest.CaptureFixture[str], streamed: list[str]) -> None:
    cases = ROOT / "tests" / "cases"
    named = {"one-nan.wav": "the first is sample", "one-bad-packet-e.mp3": "where silence stands now"}
    for name, told in named.items():
        assert main(["transcribe", str(cases / name), "--model", BASE, *streamed]) == 0
        shown = capsys.readouterr()
        assert "⁇" not in shown.out
        assert shown.out.strip() or name == "one-nan.wav", "that one is a tone, which gives no words"
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


@cache
def tokenizer() -> SentencePieceProcessor:
    return Engine(Path(BASE)).tokenizer


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
    assert "RecognitionError: a stream has no alternatives" in capsys.readouterr().err
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
    ("content", "texts", "told"),
    [
        (b"metformin\tmuch\napixaban", {2: ("apixaban", 1.0)}, "line 1 is left out: the weight 'much' is no number"),
        (b"a\n\nmetformin\t9\n", {1: ("a", 1.0)}, "line 3 is left out: 'metformin' has weight 9"),
        (b"\t2\nmetformin\t2\r\n", {2: ("metformin", 2.0)}, "line 1 is left out: a phrase to boost is empty"),
        (b"metformin, 1.5", {1: ("metformin", 1.5)}, "line 1: taken as 'metformin' with weight 1.5; write a tab"),
        ("naïve\u2028one\r\ntwo".encode("utf-16"), {1: ("naïve\u2028one", 1.0), 2: ("two", 1.0)}, ""),
    ],
)
def test_lines_that_are_no_phrases_are_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, texts: dict[int, tuple[str, float]], told: str
) -> None:
    path = tmp_path / "phrases.txt"
    path.write_bytes(content)
    assert read_phrases(path) == {number: Phrase(*phrase) for number, phrase in texts.items()}
    shown = capsys.readouterr().err
    assert told in shown and len(shown.splitlines()) == bool(told)


@pytest.mark.parametrize(
    ("name", "kept", "told"),
    [
        ("latin1.txt", ["café"], ""),
        ("cjk.txt", ["unexplained"], "line 1 is left out: '日本': this model cannot write '日本'"),
        ("comma.txt", ["unexplained"], "line 1: taken as 'unexplained' with weight 2; write a tab before a weight"),
    ],
)
def test_lists_of_users_are_read(name: str, kept: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = ROOT / "tests/cases" / name
    phrases = writable(path, read_phrases(path), tokenizer())
    assert [phrase.text for phrase in phrases] == kept
    assert [phrase.weight for phrase in phrases] == [2.0 if name == "comma.txt" else 1.0]
    shown = capsys.readouterr().err
    assert told in shown and len(shown.splitlines()) == bool(told)
    assert compile_phrases(phrases, tokenizer()) is not None


def test_a_list_with_bad_lines_transcribes(capsys: pytest.CaptureFixture[str]) -> None:
    bad = ROOT / "tests/cases/cjk.txt"
    assert main(["transcribe", RECORDING, "--model", BASE, "--phrases", str(bad)]) == 0
    shown = capsys.readouterr()
    assert shown.out.strip() and "cjk.txt: line 1 is left out" in shown.err
    assert main(["transcribe", RECORDING, "--model", BASE, "--phrases", str(bad.with_name("none.txt"))]) == 2
    assert "no such file; write one phrase a line" in capsys.readouterr().err


def test_a_long_list_of_bad_lines_is_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "phrases.txt"
    path.write_text("a\tb\n" * 50, encoding="utf-8")
    assert read_phrases(path) == {}
    assert capsys.readouterr().err.splitlines()[-1].endswith("30 more lines")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(
        st.binary(max_size=60),
        st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace")),
        st.text("aé’½#▁,\t2.\n\r\u2028日 ", max_size=40).map(str.encode),
    )
)
def test_any_list_is_read_or_refused_as_no_text(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "phrases.txt"
    path.write_bytes(content)
    try:
        phrases = read_phrases(path)
    except TextError as error:
        assert str(error).startswith(f"{path}: ")
        return
    assert (compile_phrases(writable(path, phrases, tokenizer()), tokenizer()) is None) == (
        not writable(path, phrases, tokenizer())
    )


def test_an_audio_file_comes_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in ([], ["--stream"]):
        assert main(["transcribe", RECORDING, "--model", BASE, *options]) == 0
        by_name = capsys.readouterr().out
        from_stdin(monkeypatch, Path(RECORDING).read_bytes())
        assert main(["transcribe", "-", "--model", BASE, *options]) == 0
        assert capsys.readouterr().out == by_name
    from_stdin(monkeypatch, b"%PDF-1.7 " * 100)
    assert main(["transcribe", "-", "--model", BASE]) == 2
    assert "it is a PDF" in capsys.readouterr().err


def test_a_folder_is_written_whole_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in"
    (source / "ward").mkdir(parents=True)
    for name in ("one.opus", "ward/two.opus"):
        (source / name).write_bytes(Path(RECORDING).read_bytes())
    (source / "broken.wav").write_bytes(b"RIFF" + bytes(100))
    command = ["transcribe", str(source), "--model", BASE, "--to", str(tmp_path / "out"), "--format", "vtt"]
    assert main(command) == 2
    told = capsys.readouterr()
    assert "broken.wav cannot be decoded" in told.err and "transcribe: 3 of 3 (100 %)" in told.err
    assert "h of audio" in told.err and not told.out
    written = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.suffix == ".vtt")
    assert [str(path.relative_to(tmp_path / "out")) for path in written] == ["one.vtt", "ward/two.vtt"]
    content = written[0].read_bytes()
    assert content.startswith(b"WEBVTT\n\n00:00:0") and written[1].read_bytes() == content
    before = written[0].stat()
    written[1].unlink()
    assert main(command) == 2
    assert "1 transcripts are there already" in capsys.readouterr().err
    assert written[0].stat() == before and written[1].read_bytes() == content
    assert not list((tmp_path / "out").rglob("*.partial"))


def test_options_that_contradict_each_other_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    refused = {
        "--json --format srt": "contradict each other",
        "--stream --to x": "--stream prints text or JSON lines alone",
        "--review": "--review is told in JSON",
        "--channel-names A,B": "needs --channels each",
    }
    for options, told in refused.items():
        assert main(["transcribe", RECORDING, "--model", BASE, *options.split()]) == 2
        assert told in capsys.readouterr().err
    assert main(["transcribe", RECORDING, RECORDING, "--model", BASE, "--format", "srt"]) == 2
    assert "add --to FOLDER" in capsys.readouterr().err


def test_channels_are_told_apart_and_places_to_look_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mono_T = audio.decode(Path(RECORDING))
    both_TC = np.stack([mono_T, np.roll(mono_T, mono_T.size // 2)], axis=1)
    soundfile.write(tmp_path / "both.wav", both_TC, 16_000)
    both = ["transcribe", str(tmp_path / "both.wav"), "--model", BASE, "--channels", "each"]
    assert main([*both, "--channel-names", "Doctor,Patient"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(("Doctor: ", "Patient: ")) and "\nPatient: " in f"\n{shown}" and "Doctor: " in shown
    assert main([*both, "--format", "json", "--review"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert [own["speaker"] for own in line["channels"]] == ["A", "B"]
    places = [place for own in line["channels"] for place in own["review"]]
    assert places and all(place["confidence"] < 0.7 for place in places)
