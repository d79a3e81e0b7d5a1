"""Laws of the test sets that are made here, on drawn signals and on the noise that ships."""

from collections import Counter
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import files
from shoptalk.core.audio import SAMPLE_RATE_HZ, write_flac
from shoptalk.core.effects import active_power
from shoptalk.core.errors import AudioError, ChecksumError, ManifestError, RecipeError
from shoptalk.core.noise import Noise, read_noise
from shoptalk.core.recipe import EvaluateSection
from shoptalk.core.records import Samples
from shoptalk.testsets import conditions

SHIPPED = Path(__file__).parents[2] / "assets" / "noise" / "manifest.jsonl"


def white(seconds: float, *, level_db: float = -25.0, seed: int = 0) -> Samples:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(round(seconds * SAMPLE_RATE_HZ)) * 10 ** (level_db / 20)).astype(np.float32)


def speechlike(seconds: float, seed: int = 0) -> Samples:
    """Bursts with pauses between them, as words have."""
    samples_T = white(seconds, level_db=-20, seed=seed)
    pauses = np.arange(samples_T.size) // round(0.2 * SAMPLE_RATE_HZ) % 3 == 2
    return np.where(pauses, 0.0, samples_T).astype(np.float32)


def power_db(samples_T: Samples) -> float:
    return 10 * float(np.log10(np.mean(np.square(samples_T, dtype=np.float64))))


NOISE = [("rain-1", white(5.0, seed=1)), ("tap-1", white(2.0, level_db=-50, seed=2))]


def test_the_noise_that_ships_is_read_and_no_training_hears_it() -> None:
    found = conditions.noise_recordings(SHIPPED)
    assert [name for name, _ in found] == [
        "rain-5-181766-A", "baby_cry-5-151085-A", "helicopter-5-220955-A", "running-tap-20s", "berlin-35ef0bf2",
    ]  # fmt: skip
    assert all(samples_T.size > 4.9 * SAMPLE_RATE_HZ and samples_T.any() for _, samples_T in found)


def test_noise_of_other_bytes_is_refused(tmp_path: Path) -> None:
    write_flac(tmp_path / "a.flac", white(1.0))
    line = '{"id": "a", "audio": "a.flac", "kind": "noise", "split": "SPLIT", "sha256": "00"}\n'
    path = tmp_path / "noise.jsonl"
    path.write_text(line.replace("SPLIT", "test"))
    with pytest.raises(ChecksumError, match=r"a\.flac"):
        conditions.noise_recordings(path)
    path.write_text(line.replace("SPLIT", "train"))
    with pytest.raises(ManifestError, match="split `test`"):
        conditions.noise_recordings(path)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([20.0, 10.0, 5.0, 0.0]), st.integers(0, 50), st.floats(0.5, 6.0))
def test_the_snr_on_active_speech_is_met(snr_db: float, number: int, seconds: float) -> None:
    speech_T = speechlike(seconds, seed=number)
    noisy_T = conditions.under_noise(f"u{number}", speech_T, NOISE, snr_db, 7)
    assert noisy_T.shape == speech_T.shape and noisy_T.dtype == np.float32
    noise_power = float(np.mean(np.square(noisy_T.astype(np.float64) - speech_T)))
    assert 10 * np.log10(active_power(speech_T) / noise_power) == pytest.approx(snr_db, abs=0.5)


def test_noise_is_drawn_by_seed_and_id_and_alike_at_every_snr() -> None:
    speech_T = speechlike(1.0)
    at = {db: conditions.under_noise("u", speech_T, NOISE, db, 7) - speech_T for db in (20.0, 0.0)}
    np.testing.assert_allclose(at[20.0] * 10, at[0.0], atol=1e-5)
    again_T, other_T, seeded_T = (
        conditions.under_noise(name, speech_T, NOISE, 0.0, seed) for name, seed in (("u", 7), ("v", 7), ("u", 8))
    )
    np.testing.assert_array_equal(again_T, at[0.0] + speech_T)
    assert not np.array_equal(again_T, other_T) and not np.array_equal(again_T, seeded_T)


@pytest.mark.parametrize("seconds", [30.0, 400.0])
def test_silence_is_as_long_and_as_loud_as_it_says(seconds: float) -> None:
    made = list(conditions.silence([*NOISE, ("babble-1", white(3.0))], seconds, 7))
    total_s = sum(samples_T.size for _, samples_T in made) / SAMPLE_RATE_HZ
    assert seconds <= total_s <= seconds + conditions.SILENT_S[1]
    assert len({name for name, _ in made}) == len(made) and not [name for name, _ in made if "babble" in name]
    assert made[0][0] == "silence/digital" and not made[0][1].any()
    for name, samples_T in made:
        assert 3.0 <= samples_T.size / SAMPLE_RATE_HZ <= 12.0
        if "digital" not in name:
            level_db = next(float(part[:-2]) for part in name.split("/") if part.endswith("dB"))
            assert power_db(samples_T) == pytest.approx(level_db, abs=0.2), name
    assert ("silence/rain-1/-35dB/2" in dict(made)) == (seconds == 400.0)


def test_silence_is_the_same_by_seed_and_id() -> None:
    long, short, other = (dict(conditions.silence(NOISE, *how)) for how in ((200.0, 7), (60.0, 7), (60.0, 8)))
    assert all(np.array_equal(long[name], samples_T) for name, samples_T in short.items())
    assert not np.array_equal(short["silence/white/-60dB"], other["silence/white/-60dB"])


def test_the_loudest_silence_of_what_ships_does_not_clip() -> None:
    for name, samples_T in conditions.silence(conditions.noise_recordings(SHIPPED), 250.0, 7):
        assert np.abs(samples_T).max() < 1.0, name


lines_of = st.lists(st.floats(0.3, 20.0), min_size=0, max_size=60).map(
    lambda seconds: [{"id": f"u{n}", "text": f"text {n}", "duration": round(s, 3)} for n, s in enumerate(seconds)]
)


@settings(max_examples=60, deadline=None)
@given(lines_of, st.sampled_from([30.0, 120.0, 1440.0]), st.randoms(use_true_random=False))
def test_long_forms_lose_no_utterance_and_have_none_twice(lines: list[dict], seconds: float, shuffler) -> None:  # type: ignore[no-untyped-def,type-arg]
    made = list(conditions.long_forms(lines, seconds, 7))
    assert Counter(name for one in made for name in one.ids) == Counter(line["id"] for line in lines)
    by_id = {line["id"]: line for line in lines}
    for one in made:
        assert one.text == " ".join(by_id[name]["text"] for name in one.ids)
        gaps_s = np.diff([0.0, *one.offsets_s, one.duration_s]) - [0.0, *(by_id[name]["duration"] for name in one.ids)]
        assert np.all(gaps_s >= 0.299) and np.all(gaps_s <= 1.501)
    shuffled = list(lines)
    shuffler.shuffle(shuffled)
    assert list(conditions.long_forms(shuffled, seconds, 7)) == made


def test_long_forms_are_about_as_long_as_asked() -> None:
    lines = [{"id": f"u{n}", "text": "", "duration": 1.0 + n % 7} for n in range(2000)]
    made = list(conditions.long_forms(lines, 1440.0, 7))
    assert len(made) == 7
    assert all(abs(one.duration_s - 1440.0) < 0.1 * 1440.0 for one in made)
    assert made != list(conditions.long_forms(lines, 1440.0, 8))


def test_an_id_twice_is_refused() -> None:
    with pytest.raises(ManifestError, match="'a' occurs twice"):
        list(conditions.long_forms([{"id": "a", "text": "", "duration": 1.0}] * 2, 10.0, 7))


def test_joined_utterances_lie_at_their_offsets_and_are_loaded_one_by_one() -> None:
    spoken = {f"u{n}": speechlike(1.0 + n / 3, seed=n) for n in range(5)}
    lines = [
        {"id": name, "text": name, "duration": round(samples_T.size / SAMPLE_RATE_HZ, 3)}
        for name, samples_T in spoken.items()
    ]
    (one,) = conditions.long_forms(lines, 600.0, 7)
    asked: list[str] = []

    def load(name: str) -> Samples:
        asked.append(name)
        return spoken[name]

    joined_T = conditions.join(one, load, 7)
    assert asked == list(one.ids)
    assert joined_T.size == round(one.duration_s * SAMPLE_RATE_HZ)
    rest_T = joined_T.copy()
    for name, offset_s in zip(one.ids, one.offsets_s, strict=True):
        start = round(offset_s * SAMPLE_RATE_HZ)
        rest_T[start : start + spoken[name].size] -= spoken[name]
    assert power_db(rest_T) == pytest.approx(conditions.FLOOR_DB, abs=0.2)
    np.testing.assert_array_equal(joined_T, conditions.join(one, spoken.__getitem__, 7))


def test_audio_that_is_not_as_long_as_its_manifest_says_is_refused() -> None:
    (one,) = conditions.long_forms([{"id": "a", "text": "", "duration": 1.0}], 10.0, 7)
    with pytest.raises(AudioError, match=r"a: 2\.00 s of audio where the manifest says 1\.00 s"):
        conditions.join(one, lambda _: white(2.0), 7)


@pytest.mark.parametrize("condition", get_args(get_args(EvaluateSection.model_fields["conditions"].annotation)[0]))
def test_speech_under_a_condition_is_made_as_stage_40_would(condition: str) -> None:
    records = [record for record in files.read(SHIPPED, Noise) if record.split == "test"]
    by_id = {record.id: record for record in records}
    asked: list[str] = []

    def load(name: str) -> Samples:
        asked.append(name)
        return read_noise(by_id[name], SHIPPED.parent)

    speech_T = speechlike(1.5)
    made_T = conditions.under_condition("u", speech_T, condition, records, load, 7)
    assert made_T.shape == speech_T.shape and made_T.dtype == np.float32 and np.abs(made_T).max() < 1.0
    assert not np.allclose(made_T, speech_T, atol=1e-3)
    np.testing.assert_array_equal(made_T, conditions.under_condition("u", speech_T, condition, records, load, 7))
    kinds = {by_id[name].kind for name in asked}
    assert ("noise" in kinds) == ("nois" in condition) and kinds <= {"noise", "rir"}


def test_a_condition_without_its_noise_is_named() -> None:
    with pytest.raises(RecipeError, match="condition 'noise'"):
        conditions.under_condition("u", speechlike(1.0), "noise", [], lambda _: white(1.0), 7)
