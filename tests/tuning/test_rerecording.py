"""Recordings that are augmented anew each time they are drawn."""

from pathlib import Path

import numpy as np
import pytest

from shoptalk.core import files
from shoptalk.core.audio import decode, write_flac
from shoptalk.core.draws import apply, draw
from shoptalk.core.errors import RecipeError
from shoptalk.core.noise import Noise, NoiseSet, read_noise
from shoptalk.core.recipe import AugmentSection
from shoptalk.core.records import Example, Samples
from shoptalk.tuning.rerecording import Features, Rerecord, rerecorder

FOLDER = Path(__file__).parents[2] / "assets" / "noise"
SHIPPED = NoiseSet(tuple(files.read(FOLDER / "manifest.jsonl", Noise)), FOLDER)
EVERYTHING = AugmentSection(noise=1, room=1, telephone=1, codec=1, microphone=1, packet_loss=1)


def framed(samples_T: Samples) -> Features:
    """The samples themselves, 160 in a frame."""
    return samples_T[: samples_T.size // 160 * 160].reshape(-1, 160)


def recorder(config: AugmentSection, speech: tuple[Example, ...] = ()) -> Rerecord:
    return rerecorder(config, SHIPPED, framed, speech, seed=7)


@pytest.fixture
def spoken(tmp_path: Path) -> tuple[Example, ...]:
    lines = []
    for number in range(5):
        t = np.arange(20_000) / 16_000
        samples_T = (0.4 * np.sin((700 + 90 * number) * t) * np.sin(9 * t)).astype(np.float32)
        write_flac(tmp_path / f"{number}.flac", samples_T)
        lines.append(Example(id=str(number), audio=tmp_path / f"{number}.flac", duration_s=1.25, text="Hm."))
    return tuple(lines)


def drawn(record: Rerecord, entry: Example, speed: float = 1.0, seed: int = 0) -> Features:
    features_TM = record(entry, speed, np.random.default_rng(seed))
    assert features_TM is not None
    return features_TM


def test_each_draw_is_another_and_the_same_again_by_its_chance(spoken: tuple[Example, ...]) -> None:
    record = recorder(EVERYTHING)
    first, second = drawn(record, spoken[0], seed=1), drawn(record, spoken[0], seed=2)
    assert first.shape == second.shape == (125, 160) and not np.allclose(first, second, atol=1e-3)
    np.testing.assert_array_equal(first, drawn(recorder(EVERYTHING), spoken[0], seed=1))


def test_it_is_what_stage_40_would_write(spoken: tuple[Example, ...]) -> None:
    usable = [record for record in SHIPPED.recordings if record.split == "train"]
    by_id = {record.id: record for record in usable}
    chance = np.random.default_rng(3)
    section = EVERYTHING.model_copy(update={"speed": (1.0, 1.0)})
    copy = draw(f"{spoken[0].id}#{int(chance.integers(2**62))}", section, usable, seed=7)
    written_T = apply(decode(spoken[0].audio), copy, lambda name: read_noise(by_id[name], FOLDER))
    np.testing.assert_array_equal(drawn(recorder(EVERYTHING), spoken[0], seed=3), framed(written_T))


@pytest.mark.parametrize("speed", [0.9, 1.0, 1.1])
def test_it_is_as_long_as_was_planned(speed: float, spoken: tuple[Example, ...]) -> None:
    hasty = EVERYTHING.model_copy(update={"speed": (0.5, 0.6), "tempo": (1.5, 2.0)})
    assert len(drawn(recorder(hasty), spoken[0], speed)) == pytest.approx(125 / speed, abs=1)


def test_babble_is_the_other_speech(spoken: tuple[Example, ...]) -> None:
    babble = AugmentSection(noise=1, room=0, telephone=0, codec=0, noise_classes={"babble": 1})
    assert drawn(recorder(babble, spoken), spoken[0]).any()
    with pytest.raises(RecipeError, match="babble needs 3 training recordings"):
        drawn(recorder(babble, spoken[:2]), spoken[0])


def test_silence_and_ready_features_are_left_as_they_are(tmp_path: Path) -> None:
    write_flac(tmp_path / "nothing.flac", np.zeros(16_000, np.float32))
    nothing = Example(id="a", audio=tmp_path / "nothing.flac", duration_s=1.0, text="", wordless=True)
    assert not drawn(recorder(EVERYTHING), nothing).any()
    ready = Example(id="b", audio=tmp_path / "ready.npy", duration_s=1.0, text="Hm.")
    assert recorder(EVERYTHING)(ready, 1.0, np.random.default_rng(0)) is None


def test_a_class_that_is_not_there_is_named_before_training() -> None:
    with pytest.raises(RecipeError, match="of class tram"):
        recorder(AugmentSection(noise_classes={"tram": 1}))
