"""Lhotse's and Kaldi's folders with parts of recordings, several channels, and what is refused."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, Recording, RecordingSet, SupervisionSegment, SupervisionSet
from lhotse.audio import AudioSource
from lhotse.cut import MonoCut
from lhotse.supervision import AlignmentItem

from shoptalk.core.errors import ImportFormatError, MissingToolError
from shoptalk.integrations import lhotse

RATE_HZ = 16_000


@pytest.fixture
def stereo(tmp_path: Path) -> Path:
    """4 s at 8 kHz, 200 Hz left and 900 Hz right."""
    at_s = np.arange(4 * 8_000) / 8_000
    channels = [0.5 * np.sin(2 * np.pi * hz * at_s) for hz in (200.0, 900.0)]
    soundfile.write(tmp_path / "call.wav", np.stack(channels, axis=1), 8_000)
    return tmp_path / "call.wav"


@pytest.fixture
def mono(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "long.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 4 * RATE_HZ), RATE_HZ)
    return tmp_path / "long.wav"


def a_cut(path: Path) -> MonoCut:
    """Seconds 1 to 4 of a recording, a word said 1.5 to 1.75 s into the recording, by a scot."""
    segment = SupervisionSegment(
        id="s1", recording_id="long", start=0.25, duration=2.0, text="hello there", speaker="ann",
        custom={"accent": "scottish"}, alignment={"word": [AlignmentItem("hello", 0.5, 0.25)]},
    )  # fmt: skip
    recording = Recording.from_file(path, recording_id="long")
    return MonoCut("cut", start=1.0, duration=3.0, channel=0, supervisions=[segment], recording=recording)


def test_supervisions_of_cuts_are_placed_in_their_recording(mono: Path, tmp_path: Path) -> None:
    CutSet.from_cuts([a_cut(mono)]).to_file(tmp_path / "train_cuts.jsonl.gz")
    for source in (tmp_path, tmp_path / "train_cuts.jsonl.gz"):
        ((where, row),) = lhotse.rows(source)
        assert where == f"{source}: supervision s1"
        assert (row["id"], row["text"], row["speaker"], row["accent"]) == ("s1", "hello there", "ann", "scottish")
        assert (row["audio"], row["offset"], row["duration"]) == (str(mono), 1.25, 2.0)
        assert row["words"] == [("hello", 0.25, 0.5)] and row["recording"] == "long"


def test_the_channel_of_a_supervision_is_taken(stereo: Path, tmp_path: Path) -> None:
    recording = Recording.from_file(stereo, recording_id="call")
    RecordingSet.from_recordings([recording]).to_file(tmp_path / "recordings.jsonl")
    SupervisionSet.from_segments(
        SupervisionSegment(id=f"c{channel}", recording_id="call", start=1.0, duration=2.0, channel=channel, text="x")
        for channel in (0, 1)
    ).to_file(tmp_path / "supervisions.jsonl")
    for (_, row), hz in zip(lhotse.rows(tmp_path), (200.0, 900.0), strict=True):
        samples_T = row["audio"]()
        assert samples_T.shape == (2 * RATE_HZ,) and samples_T.dtype == np.float32
        assert np.abs(np.fft.rfft(samples_T)).argmax() / 2.0 == pytest.approx(hz, abs=1.0)


def test_commands_are_not_run(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    source = AudioSource("command", [0], f"touch {proof}")
    recording = Recording("r", [source], sampling_rate=RATE_HZ, num_samples=RATE_HZ, duration=1.0)
    RecordingSet.from_recordings([recording]).to_file(tmp_path / "recordings.jsonl")
    SupervisionSet.from_segments([SupervisionSegment("s", "r", 0.0, 1.0, text="x")]).to_file(
        tmp_path / "supervisions.jsonl"
    )
    with pytest.raises(ImportFormatError, match="recording r: is a command, which is not run"):
        list(lhotse.rows(tmp_path))
    (tmp_path / "kaldi").mkdir()
    (tmp_path / "kaldi" / "wav.scp").write_text(f"u1 touch {proof} |\n")
    with pytest.raises(ImportFormatError, match=r"wav\.scp:1: is a command"):
        list(lhotse.kaldi_rows(tmp_path / "kaldi"))
    assert not proof.exists()


def test_folders_without_manifests_or_with_too_many_are_told(mono: Path, tmp_path: Path) -> None:
    with pytest.raises(ImportFormatError, match="no lhotse cuts, nor recordings"):
        list(lhotse.rows(tmp_path))
    (tmp_path / "broken.jsonl").write_text("{}\n")
    with pytest.raises(ImportFormatError, match="lhotse cannot read it"):
        list(lhotse.rows(tmp_path / "broken.jsonl"))
    for name in ("a_cuts.jsonl", "b_cuts.jsonl"):
        CutSet.from_cuts([a_cut(mono)]).to_file(tmp_path / name)
    with pytest.raises(ImportFormatError, match="2 manifests of cuts"):
        list(lhotse.rows(tmp_path))
    mixed = CutSet.from_cuts([a_cut(mono).pad(duration=5.0)])
    mixed.to_file(tmp_path / "mixed.jsonl")
    with pytest.raises(ImportFormatError, match="has no single recording"):
        list(lhotse.rows(tmp_path / "mixed.jsonl"))


@pytest.fixture
def kaldi(mono: Path, tmp_path: Path) -> Path:
    """Three segments of one recording; the last to its end."""
    contents = {
        "wav.scp": f"long {mono}\n",
        "segments": "u1 long 0.5 1.5\nu2 long 1.5 2.25\nu3 long 2.5 -1\n",
        "text": "u1 one two\nu2\nu3 three\n",
        "utt2spk": "u1 ann\nu2 bob\nu3 ann\n",
        "ctm": "long 1 0.6 0.2 one\nlong 1 1.0 0.25 two\nlong 1 3.0 0.5 three\n",
    }
    (tmp_path / "data").mkdir()
    for name, content in contents.items():
        (tmp_path / "data" / name).write_text(content)
    return tmp_path / "data"


def test_kaldi_segments_and_ctm(kaldi: Path, mono: Path) -> None:
    rows = [row for _, row in lhotse.kaldi_rows(kaldi)]
    assert [(row["id"], row["offset"], row["duration"], row["text"], row["speaker"]) for row in rows] == [
        ("u1", 0.5, 1.0, "one two", "ann"), ("u2", 1.5, 0.75, "", "bob"), ("u3", 2.5, 1.5, "three", "ann"),
    ]  # fmt: skip
    assert all(row["audio"] == str(mono) and row["recording"] == "long" for row in rows)
    words = [[(word, round(start, 3), round(end, 3)) for word, start, end in row["words"]] for row in rows]
    assert words == [[("one", 0.1, 0.3), ("two", 0.5, 0.75)], [], [("three", 0.5, 1.0)]]


def test_broken_kaldi_files_are_named_by_line(kaldi: Path) -> None:
    (kaldi / "segments").write_text("u1 long 0.5 1.5\nu2 long\n")
    (kaldi / "utt2spk").write_text("u1\n")
    wav_scp = (kaldi / "wav.scp").read_text()
    (kaldi / "wav.scp").write_text(f"{wav_scp}gone gone.wav\n")
    with pytest.raises(
        ImportFormatError, match=r"wav\.scp:2: .* not there.*utt2spk:1: has 1 .*segments:2: has 2 fields of 4"
    ):
        list(lhotse.kaldi_rows(kaldi))
    (kaldi / "wav.scp").write_text(wav_scp)
    (kaldi / "utt2spk").write_text("u1 ann\n")
    (kaldi / "segments").write_text("u1 long 0.5 1.5\nu9 long 0 1\n")
    with pytest.raises(ImportFormatError, match="u9"):
        list(lhotse.kaldi_rows(kaldi))
    (kaldi / "segments").unlink()
    (kaldi / "utt2spk").write_text("broken ann\n")
    (kaldi / "text").write_text("broken said\n")
    (kaldi / "wav.scp").write_text(f"broken {kaldi / 'text'}\n")
    with pytest.raises(ImportFormatError, match="AudioLoadingError"):
        list(lhotse.kaldi_rows(kaldi))


def test_a_missing_package_is_told_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lhotse", None)  # as if it were not installed
    with pytest.raises(MissingToolError, match=r"shoptalk\[tuning\]"):
        list(lhotse.rows(tmp_path))
