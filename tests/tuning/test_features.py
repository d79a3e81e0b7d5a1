"""Cached features: made once, whole or absent, and equal to NeMo's own front end after `collate`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tests.tuning import speech

from shoptalk.core import audio
from shoptalk.core.records import Example, Samples
from shoptalk.integrations import nemo
from shoptalk.tuning.data import collate
from shoptalk.tuning.features import FeatureCache, FeatureCaches, make, opened

MELS = 5


class Counted:
    """A front end that counts its calls: one frame for each 160 samples."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, samples_T: Samples) -> npt.NDArray[np.float32]:
        self.calls += 1
        return np.linspace(0, 1, samples_T.size // 160 * MELS, dtype=np.float32).reshape(-1, MELS)


@pytest.fixture
def recordings(tmp_path: Path) -> list[Example]:
    made = []
    for number in range(3):
        path = tmp_path / f"{number}.flac"
        audio.write_flac(path, np.full(3_200 * (number + 1), 0.1, np.float32))
        made.append(Example(id=str(number), audio=path, duration_s=0.2 * (number + 1), text="text"))
    return made


def cached(
    folder: Path,
    entries: list[Example],
    speeds: Sequence[float],
    *,
    featurize: Callable[[Samples], Any],
    mels: int = MELS,
) -> FeatureCache:
    make(folder, entries, speeds, mels=mels, featurize=featurize, progress=lambda _: None)
    return opened(folder, entries, speeds, mels=mels)


def at_two_speeds(folder: Path, entries: list[Example], featurize: Callable[[Samples], Any]) -> FeatureCache:
    return cached(folder, entries, (0.9, 1.0), featurize=featurize)


def test_what_is_cached_is_not_made_again(recordings: list[Example], tmp_path: Path) -> None:
    made, again = Counted(), Counted()
    first = at_two_speeds(tmp_path / "cache", recordings, made)
    second = at_two_speeds(tmp_path / "cache", recordings, again)
    assert (made.calls, again.calls) == (6, 0)
    assert np.array_equal(first.places, second.places) and np.array_equal(first.stored_TM, second.stored_TM)
    assert [first.frames(entry, 1) for entry in range(3)] == [20, 40, 60]
    assert first.get(1, 1).shape == (40, MELS) and first.get(1, 1)[-1, -1] == 1.0


def test_killed_before_the_index_was_written_it_is_made_anew(recordings: list[Example], tmp_path: Path) -> None:
    whole = at_two_speeds(tmp_path / "cache", recordings, Counted())
    expected = np.array(whole.stored_TM)

    def killed(samples_T: Samples) -> npt.NDArray[np.float32]:
        if samples_T.size > 6_000:
            raise KeyboardInterrupt
        return Counted()(samples_T)

    with pytest.raises(KeyboardInterrupt):
        at_two_speeds(tmp_path / "torn", recordings, killed)
    again = Counted()
    assert np.array_equal(at_two_speeds(tmp_path / "torn", recordings, again).stored_TM, expected)
    assert again.calls == 6
    next((tmp_path / "torn").glob("*.npy")).unlink()  # killed between the two files
    assert np.array_equal(at_two_speeds(tmp_path / "torn", recordings, again).stored_TM, expected)


def test_other_recordings_get_a_file_of_their_own(recordings: list[Example], tmp_path: Path) -> None:
    at_two_speeds(tmp_path / "cache", recordings, Counted())
    at_two_speeds(tmp_path / "cache", recordings[:2], Counted())
    assert len(list((tmp_path / "cache").iterdir())) == 4


def test_several_caches_are_as_one(recordings: list[Example], tmp_path: Path) -> None:
    parts = [at_two_speeds(tmp_path / "cache", entries, Counted()) for entries in (recordings[:2], recordings[2:])]
    whole, together = at_two_speeds(tmp_path / "whole", recordings, Counted()), FeatureCaches(parts)
    assert together.entries == recordings and np.array_equal(together.lengths, whole.lengths)
    for entry in range(3):
        for speed in range(2):
            assert np.array_equal(together.get(entry, speed), whole.get(entry, speed))


def test_equal_to_nemos_preprocessor(tiny_nemo_model: Any, tmp_path: Path) -> None:
    entries = speech.entries()
    featurize = nemo.featurizer(tiny_nemo_model)
    cache = cached(tmp_path, entries, (1.0,), mels=80, featurize=featurize)
    batch = collate([cache.get(i).astype(np.float32) for i in range(4)], [[1]] * 4, [np.zeros(1, int)] * 4)
    for row, entry in enumerate(entries):
        samples_1T = torch.from_numpy(audio.decode(entry.audio))[None]
        with torch.inference_mode():
            expected_1MT, frames = tiny_nemo_model.preprocessor(
                input_signal=samples_1T, length=torch.tensor([samples_1T.shape[1]])
            )
        assert int(frames[0]) == int(batch.frames[row]) == pytest.approx(entry.duration_s * 100, abs=2)
        found_MT = batch.features[row, :, : int(frames[0])]
        assert (found_MT - expected_1MT[0, :, : int(frames[0])]).abs().max() < 1e-2  # half precision
        assert not batch.features[row, :, int(frames[0]) :].any()


def test_what_is_cached_is_not_normalised(tiny_nemo_model: Any) -> None:
    """Noise is added in the power domain, so the level must still be there: 20 dB are 4.6 in the log of the power."""
    featurize = nemo.featurizer(tiny_nemo_model)
    samples_T = np.random.default_rng(1).normal(0, 0.1, 16_000).astype(np.float32)
    loud_TM, quiet_TM = featurize(samples_T), featurize(samples_T * np.float32(0.1))
    assert np.median(loud_TM - quiet_TM) == pytest.approx(np.log(100), abs=0.01)
    assert tiny_nemo_model.preprocessor.featurizer.normalize == "per_feature", "the model itself is left as it is"


def test_a_speed_changes_the_length_and_the_pitch(tiny_nemo_model: Any, tmp_path: Path) -> None:
    times = np.arange(16_000) / 16_000
    audio.write_flac(tmp_path / "tone.flac", (0.3 * np.sin(2 * np.pi * 1_000 * times)).astype(np.float32))
    entries = [Example(id="tone", audio=tmp_path / "tone.flac", duration_s=1.0, text="")]
    cache = cached(tmp_path, entries, (0.8, 1.0, 1.25), mels=80, featurize=nemo.featurizer(tiny_nemo_model))
    assert [cache.frames(0, speed) for speed in range(3)] == [pytest.approx(n, abs=1) for n in (125, 100, 80)]
    peaks = [int(cache.get(0, speed).astype(np.float32).mean(axis=0).argmax()) for speed in range(3)]
    assert peaks == sorted(set(peaks)) and peaks[1] == pytest.approx(26, abs=1)


def test_features_that_are_ready_are_stretched(tmp_path: Path) -> None:
    rising_TM = np.tile(np.arange(100, dtype=np.float16)[:, None], (1, MELS))
    np.save(tmp_path / "ready.npy", rising_TM)
    entries = [Example(id="ready", audio=tmp_path / "ready.npy", duration_s=1.0, text="")]
    cache = cached(tmp_path, entries, (0.8, 1.0, 1.25), mels=MELS, featurize=pytest.fail)
    assert [cache.frames(0, speed) for speed in range(3)] == [124, 100, 80]
    assert np.array_equal(cache.get(0, 1), rising_TM)
    for speed, factor in ((0, 0.8), (2, 1.25)):
        assert cache.get(0, speed)[:, 0].astype(float) == pytest.approx(
            np.arange(cache.frames(0, speed)) * factor, abs=0.05
        )


def test_segments_of_one_recording_are_cached_apart(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    audio.write_flac(path, np.full(16_000, 0.1, np.float32))
    parts = [
        Example(id=str(offset_s), audio=path, duration_s=duration_s, offset_s=offset_s, text="")
        for offset_s, duration_s in ((0.0, 0.25), (0.25, 0.5), (0.75, 0.25))
    ]
    cache = at_two_speeds(tmp_path / "cache", parts, Counted())
    assert [cache.frames(entry, 1) for entry in range(3)] == [25, 50, 25]
    at_two_speeds(tmp_path / "cache", [parts[0].model_copy(update={"offset_s": 0.1})], Counted())
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2, "another segment is not taken for the same"


def test_a_segment_of_ready_features(tmp_path: Path) -> None:
    rising_TM = np.tile(np.arange(100, dtype=np.float16)[:, None], (1, MELS))
    np.save(tmp_path / "ready.npy", rising_TM)
    entry = Example(id="part", audio=tmp_path / "ready.npy", duration_s=0.2, offset_s=0.3, text="")
    cache = cached(tmp_path, [entry], (1.0,), mels=MELS, featurize=pytest.fail)
    assert np.array_equal(cache.get(0), rising_TM[30:50])
