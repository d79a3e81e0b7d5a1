"""Transcripts of many recordings: shared batches, forms, and a folder that is whole and goes on."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from shoptalk.core import review
from shoptalk.core.errors import RecipeError
from shoptalk.core.protocols import PLAIN, Options
from shoptalk.core.recipe import EngineSection
from shoptalk.core.records import Recognition, Samples, Term, Word
from shoptalk.stages import transcripts
from shoptalk.stages.transcribing import Recording, is_encoded, recordings
from shoptalk.stages.transcripts import JOURNAL, Done, Folder, Tally, Wish, made_by, recognise, rendered


class Tenths:
    """Tells the length of each audio; and how many it got at a time."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def recognize(self, audio: Sequence[Samples], options: Sequence[Options] = ()) -> list[Recognition]:
        assert len(options) == len(audio)
        self.batches.append(len(audio))
        return [told(f"{samples_T.size / 1600:.0f} tenths.") for samples_T in audio]


def told(text: str) -> Recognition:
    words = [
        Word(word=word, start_s=number / 2, end_s=number / 2 + 0.4, confidence=0.5)
        for number, word in enumerate(text.split())
    ]
    return Recognition(text=text, words=tuple(words))


def record(path: Path, *tenths: int) -> Recording:
    """A recording of so many tenths of a second in each channel; the shorter ones end in silence."""
    samples_TC = np.zeros((1600 * max(tenths), len(tenths)), np.float32)
    samples_TC[:, 0] = 0.1
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples_TC, 16_000)
    return Recording(str(path), Path(path.name))


def test_files_share_batches_and_an_unreadable_one_is_told_in_its_place(tmp_path: Path) -> None:
    files = [record(tmp_path / f"{number:03}.wav", number % 7 + 1) for number in range(150)]
    files.insert(70, Recording(str(tmp_path / "none.wav"), Path("none.wav")))
    recognizer = Tenths()
    done = list(recognise(files, recognizer, Wish()))
    assert [each.recording for each in done] == files
    assert [str(each.error) for each in done if each.error] == [f"{tmp_path / 'none.wav'}: no such file"]
    texts = [each.recognitions[0].text for each in done if not each.error]
    assert texts == [f"{number % 7 + 1} tenths." for number in range(150)]
    assert recognizer.batches == [64, 63, 23]


def test_what_is_in_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcripts, "GROUP_S", 2.0)
    files = [record(tmp_path / f"{number}.wav", tenths) for number, tenths in enumerate((9, 9, 9, 50, 3, 3))]
    recognizer = Tenths()
    assert len(list(recognise(files, recognizer, Wish()))) == 6
    assert recognizer.batches == [2, 1, 1, 2]


STEREO = Done(Recording("visit.wav", Path("visit.wav")), (told("Any pain?"), told("No.")), 3.0)
NAMED = {"each_channel": True, "channel_names": ("Doctor", "Patient")}


def test_channels_are_told_apart(tmp_path: Path) -> None:
    stereo = record(tmp_path / "stereo.wav", 10, 10)
    [done] = recognise([stereo], Tenths(), Wish(each_channel=True))
    assert len(done.recognitions) == 2 and done.duration_s == 1.0
    [mixed] = recognise([stereo], Tenths(), Wish())
    assert len(mixed.recognitions) == 1
    assert rendered(STEREO, Wish("text", **NAMED), review.NOTHING) == "Doctor: Any pain?\nPatient: No.\n"
    assert "<v Patient>No." in rendered(STEREO, Wish("vtt", **NAMED), review.NOTHING)
    assert "Patient: No." in rendered(STEREO, Wish("srt", **NAMED), review.NOTHING)
    line = json.loads(rendered(STEREO, Wish("json", **NAMED), review.NOTHING))
    assert [(own["channel"], own["speaker"], own["text"]) for own in line["channels"]] == [
        (0, "Doctor", "Any pain?"),
        (1, "Patient", "No."),
    ]


def test_a_review_is_told_in_json() -> None:
    done = Done(Recording("a.wav", Path("a.wav")), (told("Give apixaban"),), 2.0)
    watch = review.Watch.of([Term(id="a", text="apixaban", category="drug", risk="high")])
    line = json.loads(rendered(done, Wish("json", review=True, review_below=0.4), watch))
    assert [(place["text"], place["reasons"]) for place in line["review"]] == [("apixaban", ["high_risk_term"])]
    assert "review" not in json.loads(rendered(done, Wish("json"), watch))


def test_work_goes_on_where_it_stopped(tmp_path: Path) -> None:
    one, two = record(tmp_path / "in/one.wav", 3), record(tmp_path / "in/two.wav", 4)
    folder = Folder(tmp_path / "out", [one, two], "text", made_by="a")
    assert not folder.is_made(one)
    folder.write(one, "Three.\n")
    folder.write(two, "Four.\n")
    assert (tmp_path / "out/one.txt").read_text() == "Three.\n"
    with (tmp_path / "out" / JOURNAL).open("a") as journal:
        journal.write('{"transcript": "two.t')  # as a process that was killed leaves it

    again = Folder(tmp_path / "out", [one, two], "text", made_by="a")
    assert again.is_made(one) and again.is_made(two)
    assert not Folder(tmp_path / "out", [one], "text", made_by="b").is_made(one), "other options"
    assert not Folder(tmp_path / "out", [one], "srt", made_by="a").is_made(one), "another form"
    record(tmp_path / "in/one.wav", 5)
    assert not again.is_made(one), "another recording"
    (tmp_path / "out/two.txt").write_text("edited")
    assert not again.is_made(two), "another transcript"
    again.write(two, "Four.\n")
    assert Folder(tmp_path / "out", [two], "text", made_by="a").is_made(two)


def test_recordings_of_one_name_have_transcripts_of_their_own(tmp_path: Path) -> None:
    for name in ("a.wav", "a.flac", "sub/a.wav", "b.ogg"):
        record(tmp_path / "in" / name.replace(".ogg", ".wav"), 1)
    found = recordings(str(tmp_path / "in"))
    folder = Folder(tmp_path / "out", found, "srt", made_by="")
    places = [str(folder.path(recording).relative_to(tmp_path / "out")) for recording in found]
    assert places == ["a.flac.srt", "a.wav.srt", "b.srt", "sub/a.srt"]
    clash = [Recording("x/a.wav", Path("a.wav")), Recording("y/a.wav", Path("a.wav"))]
    with pytest.raises(RecipeError, match=r"x/a.wav would both be written to a\.wav\.txt"):
        Folder(tmp_path / "out", clash, "text", made_by="")


def test_what_can_change_a_transcript_changes_its_digest(tmp_path: Path) -> None:
    model = tmp_path / "a.nemo"
    model.write_bytes(b"weights")
    first = made_by(model, EngineSection(), Wish())
    assert made_by(model, EngineSection(), Wish(options=PLAIN)) == first
    assert made_by(model, EngineSection(beam=1), Wish()) != first
    assert made_by(model, EngineSection(), Wish(options=Options(alternatives=2))) != first
    model.write_bytes(b"other weights")
    assert made_by(model, EngineSection(), Wish()) != first


def test_the_tally_tells_hours_and_speed() -> None:
    times = iter((0.0, 10.0))
    tally = Tally(clock=lambda: next(times))
    tally.add(3600.0)
    tally.add(900.0)
    assert tally.note() == "1.25 h of audio, 450x real time"


@pytest.mark.parametrize("name", ["one-bad-packet-e.mp3", "mp3-tail-garbage.mp3", "one-nan.wav", "silence-60s.flac"])
def test_audio_files_are_told_from_pcm(name: str) -> None:
    assert is_encoded((Path(__file__).parents[1] / "cases" / name).read_bytes()[:4096])


def test_pcm_is_told_from_audio_files() -> None:
    rng = np.random.default_rng(7)
    for amplitude in (3, 300, 30_000):
        for _ in range(2_000):
            pcm = (amplitude * rng.normal(size=2048)).clip(-32768, 32767).astype("<i2")
            pcm[0] = rng.choice([-1025, -1281, -3841, -3585, -1])  # as frames of MP3 and AAC begin
            assert not is_encoded(pcm.tobytes())
    assert not is_encoded(b"") and not is_encoded(bytes(4096)) and not is_encoded(b"\xff" * 4096)
