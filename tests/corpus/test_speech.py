"""Product 30 with a humming synthesiser: order, resumption, the same bytes, and audio that cannot be right."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from shoptalk.core import files
from shoptalk.core.audio import decode
from shoptalk.core.errors import AudioError
from shoptalk.core.loudness import loudness_lufs
from shoptalk.core.protocols import Tts
from shoptalk.core.recipe import SpeechSection
from shoptalk.core.records import Transcript, Utterance
from shoptalk.corpus.speech import speak
from shoptalk.stages.processes import Processes

_spec = importlib.util.spec_from_file_location("fake_tts", Path(__file__).with_name("fake_tts.py"))
if _spec is None or _spec.loader is None:
    raise ImportError("tests/corpus/fake_tts.py")
fake_tts = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fake_tts)
INLINE = SpeechSection(workers=1)


def transcripts(count: int = 8) -> list[Transcript]:
    split = ("train", "dev", "test")
    return [
        Transcript(
            id=f"t/{i}",
            text=f"Take metformin {i} times.",
            spoken=f"Take metformin {'very ' * (i % 3)}often.",
            term_ids=("metformin",),
            carrier="Take {term}.",
            split=split[i % 3],  # type: ignore[arg-type]
            source="test",
        )
        for i in range(count)
    ]


def run(folder: Path, make: Callable[[], Tts], stop_after: int | None = None, ipa: str = "") -> dict[str, bytes]:
    def some(done: frozenset[str]) -> list[Utterance]:
        spoken = speak(
            transcripts(),
            make,
            INLINE,
            folder=folder / "30-speech",
            seed=7,
            done=done,
            pronunciations={"Metformin": ipa.split("|")} if ipa else {},
            workers=Processes(1),
        )
        return [next(spoken) for _ in range(stop_after)] if stop_after else list(spoken)

    files.write_records(folder / "30-speech.jsonl", some, signature="s")
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_order_paths_and_durations(tmp_path: Path) -> None:
    run(tmp_path, fake_tts.make())
    utterances = list(files.read(tmp_path / "30-speech.jsonl", Utterance))
    assert [one.id for one in utterances] == [one.id for one in transcripts()]
    for one in utterances:
        assert one.audio.startswith(f"30-speech/{one.split}/")
        assert decode(tmp_path / one.audio).size / 16_000 == pytest.approx(one.duration_s, abs=1e-3)


def test_what_is_not_trained_on_tells_where_its_words_are(tmp_path: Path) -> None:
    run(tmp_path, fake_tts.make())
    spoken = {one.id: one.spoken for one in transcripts()}
    for one in files.read(tmp_path / "30-speech.jsonl", Utterance):
        assert [word for word, *_ in one.words] == ([] if one.split == "train" else spoken[one.id].split())
        if one.words:
            assert one.words[0][1] == 0 and one.words[-1][2] == pytest.approx(one.duration_s, abs=1e-2)


def test_an_engine_that_cannot_tell_word_times_leaves_them_out(tmp_path: Path) -> None:
    whole = run(tmp_path, fake_tts.WordlessTts)
    assert all(utterance.words == () for utterance in files.read(tmp_path / "30-speech.jsonl", Utterance))
    (tmp_path / "30-speech.jsonl").unlink()
    assert run(tmp_path, fake_tts.make("silent")) == whole, "what is there is not spoken again"


def test_audio_without_its_words_is_spoken_again(tmp_path: Path) -> None:
    whole = run(tmp_path, fake_tts.make())
    (tmp_path / "30-speech.jsonl").unlink()
    for path in tmp_path.rglob("*.words.json"):
        path.unlink()
    assert run(tmp_path, fake_tts.make()) == whole


def test_killed_and_rerun_gives_the_same_bytes(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", fake_tts.make())
    killed = tmp_path / "killed"
    spoken = speak(
        transcripts(),
        fake_tts.make(),
        INLINE,
        folder=killed / "30-speech",
        seed=7,
        done=frozenset(),
        pronunciations={},
        workers=Processes(1),
    )
    first = [next(spoken) for _ in range(3)]
    (killed / "30-speech.jsonl.partial").write_text(first[0].model_dump_json() + "\n" + first[1].model_dump_json()[:9])
    (killed / "30-speech.jsonl.partial.signature").write_text("s")
    assert run(killed, fake_tts.make()) == whole


def test_audio_on_disk_is_not_spoken_again(tmp_path: Path) -> None:
    run(tmp_path, fake_tts.make())
    (tmp_path / "30-speech.jsonl").unlink()
    run(tmp_path, fake_tts.make("silent"))  # would raise if it spoke


def test_a_pronunciation_changes_file_and_sound(tmp_path: Path) -> None:
    plain, given = run(tmp_path / "a", fake_tts.make()), run(tmp_path / "b", fake_tts.make(), ipa="mɛtˈfɔːmɪn")
    assert not {name for name in plain if name.endswith(".flac")} & set(given)


def test_several_pronunciations_are_drawn_for_training_and_the_first_is_spoken_elsewhere(tmp_path: Path) -> None:
    first = run(tmp_path / "first", fake_tts.make(), ipa="mɛtˈfɔːmɪn")
    second = run(tmp_path / "second", fake_tts.make(), ipa="mətˈfɔːmɪn")
    both = run(tmp_path / "both", fake_tts.make(), ipa="mɛtˈfɔːmɪn|mətˈfɔːmɪn")
    for name in both:
        if name.endswith(".flac"):
            assert name in (first if "/train/" not in name else {**first, **second})
    training = {name for name in both if "/train/" in name}
    assert training & set(first) and training & set(second)


@pytest.mark.parametrize(("fault", "named"), [("silent", "silent"), ("clipped", "clipped"), ("long", "characters")])
def test_impossible_audio_names_the_transcript(tmp_path: Path, fault: str, named: str) -> None:
    with pytest.raises(AudioError, match=f"t/0.*{named}"):
        run(tmp_path, fake_tts.make(fault))
    assert not list(tmp_path.rglob("*.flac"))


def test_loudness_is_as_the_recipe_says_and_names_files(tmp_path: Path) -> None:
    def spoken(name: str, section: SpeechSection) -> list[Utterance]:
        return list(
            speak(
                transcripts(),
                fake_tts.make(),
                section,
                folder=tmp_path / name / "30-speech",
                seed=7,
                done=frozenset(),
                pronunciations={},
                workers=Processes(1),
            )
        )

    plain = spoken("plain", INLINE)
    equal = spoken("equal", SpeechSection(workers=1, loudness_lufs=-23.0))
    for before, after in zip(plain, equal, strict=True):
        assert loudness_lufs(decode(tmp_path / "equal" / after.audio)) == pytest.approx(-23.0, abs=0.1)
        assert before.audio != after.audio and before.words == after.words
