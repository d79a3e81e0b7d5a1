import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoptalk.core.errors import CoverageError
from shoptalk.core.models.store import model
from shoptalk.core.recipe import SpeechSection
from shoptalk.corpus.voices import (
    ACCENT_VOICES,
    DEV_VOICES,
    TEST_VOICES,
    TRAIN_VOICES,
    VOICES,
    draw_voice,
    group_of,
    groups,
    parts,
)


def test_the_voices_are_those_of_the_store() -> None:
    assert [f"{voice.name}.bin" for voice in VOICES] == sorted(model("kokoro-voices").files)
    groups = [TRAIN_VOICES, DEV_VOICES, TEST_VOICES, ACCENT_VOICES]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 54


@given(st.text(min_size=1), st.integers(0, 2**31), st.floats(0, 1), st.floats(0, 1))
def test_no_training_draw_holds_a_dev_or_test_voice(name: str, seed: int, blend: float, accents: float) -> None:
    config = SpeechSection(blend=blend, accents=accents)
    voice, speed = draw_voice(name, "train", config, seed=seed)
    assert not set(parts(voice)) & {*TEST_VOICES, *DEV_VOICES}
    assert config.speed[0] <= speed <= config.speed[1]
    assert (voice, speed) == draw_voice(name, "train", config, seed=seed)
    assert draw_voice(name, "test", config, seed=seed)[0] in TEST_VOICES
    assert draw_voice(name, "dev", config, seed=seed)[0] in DEV_VOICES


def test_parts_of_the_draw_are_as_configured() -> None:
    drawn = [draw_voice(f"t{i}", "train", SpeechSection(blend=0.5, accents=0.2), seed=1)[0] for i in range(2000)]
    assert 0.16 < sum(voice in ACCENT_VOICES for voice in drawn) / 2000 < 0.24
    assert 0.35 < sum("+" in voice for voice in drawn) / 2000 < 0.45
    for voice in drawn:
        weights = [float(part.partition("*")[2] or 1) for part in voice.split("+")]
        assert abs(sum(weights) - 1) < 1e-9


@given(st.text(min_size=1), st.integers(0, 2**31), st.floats(0, 1), st.sampled_from(groups(SpeechSection())))
def test_a_planned_group_is_obeyed(name: str, seed: int, blend: float, group: str) -> None:
    config = SpeechSection(blend=blend)
    voice, speed = draw_voice(name, "train", config, seed=seed, group=group)
    assert group_of(parts(voice)[0]) == group
    assert not set(parts(voice)) & {*TEST_VOICES, *DEV_VOICES}
    assert config.speed[0] <= speed <= config.speed[1]
    shares = [float(part.partition("*")[2] or 1) for part in voice.split("+")]
    assert shares[0] == max(shares)
    assert abs(sum(shares) - 1) < 1e-9
    for split in ("dev", "test"):
        assert draw_voice(name, split, config, seed=seed, group=group) == draw_voice(name, split, config, seed=seed)


def test_every_training_voice_is_of_one_group() -> None:
    members = {
        group: {name for name in TRAIN_VOICES + ACCENT_VOICES if group_of(name) == group}
        for group in groups(SpeechSection())
    }
    assert all(members.values())
    assert set().union(*members.values()) == {*TRAIN_VOICES, *ACCENT_VOICES}
    with pytest.raises(CoverageError, match="'martian' is no group of voices; there are en-us-female"):
        draw_voice("a", "train", SpeechSection(), seed=1, group="martian")


def test_groups_of_the_recipe_s_own_voices_are_their_languages() -> None:
    given = {"Joanna": "en-us", "Amy": "en-gb", "Brian": "en-gb"}
    config = SpeechSection.model_validate({"tts": "polly", "voices": {"train": given, "test": {"Emma": "en-gb"}}})
    assert groups(config) == ("en-gb", "en-us")
    drawn = {draw_voice(f"t{number}", "train", config, seed=1, group="en-gb")[0] for number in range(40)}
    assert drawn == {"polly:Amy", "polly:Brian"}
    assert draw_voice("t", "test", config, seed=1, group="en-us")[0] == "polly:Emma"
    with pytest.raises(CoverageError, match="'accent' is no group of voices; there are en-gb, en-us"):
        draw_voice("t", "train", config, seed=1, group="accent")
    only_tests = SpeechSection.model_validate({"tts": "polly", "voices": {"test": {"Emma": "en-gb"}}})
    assert groups(only_tests) == ()
