from hypothesis import given
from hypothesis import strategies as st

from shoptalk.core.models.store import model
from shoptalk.core.recipe import SpeechSection
from shoptalk.corpus.voices import ACCENT_VOICES, DEV_VOICES, TEST_VOICES, TRAIN_VOICES, VOICES, draw_voice, parts


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
