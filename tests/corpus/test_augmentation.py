"""Product 40 over hummed utterances and the shipped noise."""

import hashlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoptalk.core import files
from shoptalk.core.audio import decode, write_flac
from shoptalk.core.draws import CHANCES, draw, planned
from shoptalk.core.errors import AudioError, ChecksumError, ManifestError, RecipeError
from shoptalk.core.noise import Noise, NoiseSet, read_noise
from shoptalk.core.protocols import Workers
from shoptalk.core.recipe import AugmentSection
from shoptalk.core.records import Split, Utterance
from shoptalk.corpus.augmentation import CONDITIONS, augment, count
from shoptalk.stages.processes import Processes

NOISE_FOLDER = Path(__file__).parents[2] / "assets" / "noise"
EVERYTHING = AugmentSection(copies=2, noise=1, room=1, telephone=1, codec=1)
NEW = AugmentSection.model_validate(
    {
        "copies": 1,
        "tempo": (0.9, 1.1),
        "pitch_semitones": (-2, 2),
        "vocal_tract": (0.9, 1.1),
        "microphone": 1,
        "packet_loss": 1,
        "telephone": 1,
        "telephone_laws": ("a",),
        "codec": 1,
        "codecs": ("aac",),
        "noise": 1,
        "noise_classes": {"babble": 1},
        "wordless": 1,
    }
)
SPEECH = tuple(Path(f"speech-{number}.flac") for number in range(9))


def shipped() -> NoiseSet:
    return NoiseSet(tuple(files.read(NOISE_FOLDER / "manifest.jsonl", Noise)), NOISE_FOLDER)


def utterance(run: Path, name: str, split: Split) -> Utterance:
    t = np.arange(20_000) / 16_000
    write_flac(run / "30-speech" / f"{name}.flac", (0.4 * np.sin(900 * t) * np.sin(9 * t)).astype(np.float32))
    return Utterance(
        id=name,
        transcript_id=name,
        text="Hm.",
        term_ids=(),
        carrier="Hm.",
        split=split,
        audio=f"30-speech/{name}.flac",
        duration_s=1.25,
        voice="af_sky",
    )


HERE = Processes(1)


def make(
    run: Path,
    config: AugmentSection = EVERYTHING,
    done: frozenset[str] = frozenset(),
    workers: Workers = HERE,
) -> list[Utterance]:
    clean = [utterance(run, "a", "train"), utterance(run, "b", "dev"), utterance(run, "c", "test")]
    return list(
        augment(
            clean,
            config,
            noise=shipped(),
            source_folder=run,
            folder=run / "40-augment",
            seed=7,
            done=done,
            workers=workers,
        )
    )


class Elsewhere:
    """A pool that stands in for the local one: what crosses to it is pickled both ways, as to another machine."""

    def __init__(self) -> None:
        self.items = 0

    def map(self, work: Any, items: Any, *, start: Any, arguments: Any) -> Iterator[Any]:
        start(*pickle.loads(pickle.dumps(arguments)))
        for item in items:
            self.items += 1
            yield pickle.loads(pickle.dumps(work(pickle.loads(pickle.dumps(item)))))


def test_another_pool_makes_the_same(tmp_path: Path) -> None:
    pool = Elsewhere()
    assert make(tmp_path / "far", workers=pool) == make(tmp_path / "near")
    assert digests(tmp_path / "far") == digests(tmp_path / "near") and pool.items == 5


def digests(run: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (run / "40-augment").rglob("*.flac")}


def test_only_training_is_augmented_and_the_draw_is_on_the_record(tmp_path: Path) -> None:
    made = make(tmp_path)
    assert [one.id for one in made] == ["a", "a+1", "a+2", "b", "c"]
    for one in made:
        assert decode(tmp_path / one.audio).size / 16_000 == pytest.approx(one.duration_s, abs=1e-3)
    assert not made[0].effects and made[0].audio == "30-speech/a.flac"
    first, second = made[1].effects, made[2].effects
    assert set(first) >= {"speed", "room", "noise", "snr_db", "gain_db", "telephone", "codec", "bit_rate"}
    assert first != second
    assert 10 <= float(first["snr_db"]) <= 25


def test_same_bytes_again_and_after_a_kill(tmp_path: Path) -> None:
    whole, again = make(tmp_path / "x"), make(tmp_path / "y")
    assert whole == again and digests(tmp_path / "x") == digests(tmp_path / "y")
    rest = make(tmp_path / "x", done=frozenset({"a", "a+1"}))
    assert rest == whole[2:] and digests(tmp_path / "x") == digests(tmp_path / "y")


def test_noise_of_the_test_part_is_never_drawn(tmp_path: Path) -> None:
    test_ids = {one.id for one in shipped().recordings if one.split == "test"}
    usable = [one for one in shipped().recordings if one.split == "train"]
    drawn = [draw(f"u+{i}", EVERYTHING, usable, seed=1).effects for i in range(300)]
    assert test_ids and not test_ids & {str(value) for effects in drawn for value in effects.values()}
    assert any(str(effects["room"]).startswith("simulated") for effects in drawn)


def test_no_copies_is_no_work(tmp_path: Path) -> None:
    assert [one.id for one in make(tmp_path, AugmentSection(copies=0))] == ["a", "b", "c"]
    assert not (tmp_path / "40-augment").exists()


def test_changed_noise_is_refused(tmp_path: Path) -> None:
    wrong = tuple(one.model_copy(update={"sha256": "0" * 64}) for one in shipped().recordings)
    noise = NoiseSet(wrong, NOISE_FOLDER)
    work = augment(
        [utterance(tmp_path, "a", "train")],
        AugmentSection(noise=1, room=0),
        noise=noise,
        source_folder=tmp_path,
        folder=tmp_path / "40-augment",
        seed=7,
        done=frozenset(),
        workers=Processes(1),
    )
    with pytest.raises(ChecksumError, match="noise manifest"):
        list(work)


def test_shipped_noise_is_whole_and_permissive() -> None:
    recordings = shipped().recordings
    assert sum(one.kind == "noise" for one in recordings) >= 20
    for line, one in zip((NOISE_FOLDER / "manifest.jsonl").read_text().splitlines(), recordings, strict=True):
        assert hashlib.sha256((NOISE_FOLDER / one.audio).read_bytes()).hexdigest() == one.sha256
        assert any(f'"{licence}"' in line for licence in ("CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "Apache-2.0"))
    assert sum(path.stat().st_size for path in NOISE_FOLDER.iterdir()) < 900_000


def test_audio_and_noise_that_were_replaced_get_copies_of_another_name(tmp_path: Path) -> None:
    def names(noise: NoiseSet) -> list[str]:
        clean = [Utterance.model_validate({**one.model_dump(), "audio": "30-speech/a.flac"}) for one in spoken]
        copies = augment(
            clean, EVERYTHING, noise=noise, source_folder=tmp_path, folder=tmp_path / "40-augment", seed=1,
            done=frozenset({"a"}), workers=Counting(),
        )  # fmt: skip
        return [copy.audio for copy in copies]

    class Counting:
        """Makes nothing: the names are what counts."""

        def map(self, work: Any, tasks: Any, *, start: Any, arguments: Any) -> Iterator[Utterance]:
            for task in tasks:
                yield spoken[0].model_copy(update={"id": task.copy_id, "audio": task.target.name})

    spoken = [utterance(tmp_path, "a", "train")]
    before = names(shipped())
    assert before == names(shipped())
    pinned = [record.model_copy(update={"sha256": "0" * 64}) for record in shipped().recordings]
    assert not set(before) & set(names(NoiseSet(tuple(pinned), NOISE_FOLDER))), "every copy here has noise"
    write_flac(tmp_path / "30-speech" / "a.flac", np.full(20_000, 0.2, np.float32))
    assert not set(before) & set(names(shipped()))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_planned_condition_has_its_effects_and_no_others(condition: str) -> None:
    usable = [record for record in shipped().recordings if record.split == "train"]
    for number in range(20):
        section = planned(EVERYTHING, condition)
        drawn = draw(f"u+{number}", section, usable, seed=1, speech=SPEECH, own=SPEECH[0])
        names = {name.removesuffix("_low_hz") for name in drawn.effects}
        assert names & set(CHANCES) == CONDITIONS[condition]
        assert (drawn.effects.get("noise") == "babble") == (condition == "babble")


def test_a_planned_condition_is_obeyed_and_kept(tmp_path: Path) -> None:
    planned_for = utterance(tmp_path, "a", "train").model_copy(update={"condition": "telephone"})
    _, copy = augment(
        [planned_for],
        AugmentSection(),
        noise=shipped(),
        source_folder=tmp_path,
        folder=tmp_path / "40-augment",
        seed=7,
        done=frozenset(),
        workers=HERE,
    )
    assert copy.condition == "telephone" and set(copy.effects) == {"speed", "gain_db", "telephone"}


def test_an_unknown_condition_is_named() -> None:
    with pytest.raises(ManifestError, match="'submarine' is no condition"):
        planned(EVERYTHING, "submarine")


def usable() -> list[Noise]:
    return [record for record in shipped().recordings if record.split == "train"]


def test_a_new_effect_changes_nothing_else_that_is_drawn() -> None:
    """What the default recipe draws is the same with every other effect beside it."""
    more = NEW.model_copy(update={**AugmentSection().model_dump(include={*CHANCES[:2], "telephone", "codec"})})
    more = more.model_copy(update={"noise_classes": {}, "telephone_laws": ("mu",), "codecs": ("opus", "mp3")})
    for number in range(100):
        plain = draw(f"u+{number}", AugmentSection(), usable(), seed=3)
        beside = draw(f"u+{number}", more, usable(), seed=3)
        assert {key: beside.effects[key] for key in plain.effects} == dict(plain.effects)
        assert (plain.room, plain.noise_offset) == (beside.room, beside.noise_offset)
        assert {"tempo", "semitones", "vocal_tract", "microphone_low_hz", "packet_loss"} <= set(beside.effects)


def test_noise_is_drawn_by_the_weights_of_its_classes() -> None:
    classes = {record.id: record.sound for record in usable()}
    section = AugmentSection(noise=1, noise_classes={"ward": 3, "traffic": 1})
    drawn = [draw(f"u+{number}", section, usable(), seed=1) for number in range(2_000)]
    heard = [classes[str(copy.effects["noise"])] for copy in drawn]
    assert set(heard) == {"ward", "traffic"} and heard.count("ward") == pytest.approx(1_500, abs=100)


def test_babble_is_other_training_speech() -> None:
    section = AugmentSection(noise=1, noise_classes={"babble": 1})
    for number in range(200):
        drawn = draw(f"u+{number}", section, usable(), seed=1, speech=SPEECH, own=SPEECH[4])
        assert drawn.effects["noise"] == "babble"
        assert 3 <= len(set(drawn.voices)) == len(drawn.voices) <= 6 and SPEECH[4] not in drawn.voices


def test_babble_of_too_few_recordings_is_named() -> None:
    section = AugmentSection(noise=1, noise_classes={"babble": 1})
    with pytest.raises(RecipeError, match="babble needs 3 training recordings beside"):
        draw("u+1", section, usable(), seed=1, speech=SPEECH[:3], own=SPEECH[0])


def test_a_class_without_recordings_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"of class tram; it has hiss, machines, traffic, ward, weather"):
        make(tmp_path, AugmentSection(noise_classes={"tram": 1, "ward": 1}))


def many(run: Path) -> list[Utterance]:
    return [utterance(run, name, "train") for name in "abcde"] + [utterance(run, "f", "test")]


def augmented(run: Path, config: AugmentSection, workers: Workers = HERE) -> list[Utterance]:
    return list(
        augment(
            many(run),
            config,
            noise=shipped(),
            source_folder=run,
            folder=run / "40-augment",
            seed=7,
            done=frozenset(),
            workers=workers,
        )
    )


def test_all_effects_together_are_made_the_same_again_and_never_clip(tmp_path: Path) -> None:
    made, again = augmented(tmp_path / "x", NEW), augmented(tmp_path / "y", NEW, Processes(2))
    assert made == again and digests(tmp_path / "x") == digests(tmp_path / "y")
    assert len(made) == count(many(tmp_path), NEW) == 16
    for record in made:
        samples_T = decode(tmp_path / "x" / record.audio)
        assert samples_T.size / 16_000 == pytest.approx(record.duration_s, abs=1e-3)
        assert np.abs(samples_T).max(initial=0) < 1.0
    copies = [record for record in made if "+" in record.id]
    for copy in copies:
        factor = float(copy.effects["speed"]) * float(copy.effects["tempo"])
        assert copy.duration_s == pytest.approx(1.25 / factor, abs=0.01)


def test_recordings_without_words_are_a_kind_of_their_own(tmp_path: Path) -> None:
    made = augmented(tmp_path, AugmentSection(copies=0, wordless=1))
    wordless = [record for record in made if record.kind == "wordless"]
    assert [record.id for record in wordless] == [f"wordless-{number:05}" for number in range(1, 6)]
    test_ids = {record.id for record in shipped().recordings if record.split == "test"}
    for record in wordless:
        assert not record.text and not record.term_ids and record.split == "train"
        assert str(record.effects.get("noise")) not in test_ids
        samples_T = decode(tmp_path / record.audio).astype(np.float64)
        assert record.duration_s == pytest.approx(float(record.effects["seconds"]), abs=0.01)
        if "level_db" not in record.effects:
            assert not samples_T.any()
        else:
            level_db = 10 * np.log10(np.mean(samples_T**2))
            assert level_db == pytest.approx(float(record.effects["level_db"]), abs=0.5)


def test_words_of_a_copy_are_where_they_are_spoken(tmp_path: Path) -> None:
    spoken = utterance(tmp_path, "a", "train").model_copy(update={"words": (("hm", 0.5, 1.0),)})
    section = AugmentSection(speed=(1.25, 1.25), tempo=(0.8, 0.8), noise=0, room=0)
    _, copy = augment(
        [spoken],
        section,
        noise=shipped(),
        source_folder=tmp_path,
        folder=tmp_path / "40-augment",
        seed=7,
        done=frozenset(),
        workers=HERE,
    )
    assert copy.words == (("hm", 0.5, 1.0),)
    slower = augment(
        [spoken],
        AugmentSection(speed=(1.0, 1.0), tempo=(0.5, 0.5), noise=0, room=0),
        noise=shipped(),
        source_folder=tmp_path,
        folder=tmp_path / "40-augment",
        seed=7,
        done=frozenset(),
        workers=HERE,
    )
    assert list(slower)[1].words == (("hm", 1.0, 2.0),)


def test_a_planned_noise_without_a_recording_is_named(tmp_path: Path) -> None:
    planned_for = utterance(tmp_path, "a", "train").model_copy(update={"condition": "noise"})
    with pytest.raises(RecipeError, match="condition 'noise', but"):
        list(
            augment(
                [planned_for],
                AugmentSection(),
                noise=NoiseSet((), NOISE_FOLDER),
                source_folder=tmp_path,
                folder=tmp_path / "40-augment",
                seed=7,
                done=frozenset(),
                workers=HERE,
            )
        )


def test_a_silent_noise_is_named(tmp_path: Path) -> None:
    write_flac(tmp_path / "nothing.flac", np.zeros(16_000, np.float32))
    digest = hashlib.sha256((tmp_path / "nothing.flac").read_bytes()).hexdigest()
    record = Noise(id="nothing", audio="nothing.flac", kind="noise", split="train", sha256=digest)
    with pytest.raises(AudioError, match="recording 'nothing' is silent"):
        read_noise(record, tmp_path)
