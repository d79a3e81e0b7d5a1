"""Channels of a recording: mixed so that nothing cancels, or each for itself; and how much memory they take."""

import io
import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import audio
from shoptalk.core.errors import AudioError
from shoptalk.core.records import Samples

RATE_HZ = 16_000


def tone(hz: float, seconds: float = 1.0) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def file(*channels: npt.NDArray[np.float32], form: str = "WAV", subtype: str = "FLOAT") -> bytes:
    held = io.BytesIO()
    soundfile.write(held, np.stack(channels, axis=1), RATE_HZ, format=form, subtype=subtype)
    return held.getvalue()


@given(
    gain=st.floats(0.3, 1.0),
    noise=st.floats(0.0, 0.1),
    sign=st.sampled_from([1, -1]),
    seed=st.integers(0, 9),
)
@settings(max_examples=20, deadline=None)
def test_what_two_channels_share_is_kept_whatever_its_sign(gain: float, noise: float, sign: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    left = rng.normal(0, 0.1, RATE_HZ).astype(np.float32)
    right = (sign * gain * left + noise * rng.normal(0, 0.1, RATE_HZ)).astype(np.float32)
    mixed = audio.read(file(left, right)).samples_T
    assert np.corrcoef(mixed, left)[0, 1] > 0.95
    assert mixed.std() >= 0.5 * left.std()


def test_two_speakers_are_both_in_the_mix() -> None:
    doctor, patient = tone(300), tone(1100)
    mixed = audio.read(file(doctor, patient)).samples_T
    np.testing.assert_allclose(mixed, (doctor + patient) / 2, atol=1e-6)


@pytest.mark.parametrize("form", ["WAV", "FLAC"])
def test_each_channel_is_decoded_for_itself(form: str) -> None:
    doctor, patient = tone(300), tone(1100)
    subtype = {"WAV": "FLOAT", "FLAC": "PCM_24"}[form]
    decoded = audio.read(file(doctor, patient, form=form, subtype=subtype), separate=True)
    assert len(decoded.channels) == 2
    for channel, original in zip(decoded.channels, (doctor, patient), strict=True):
        assert np.corrcoef(channel[:RATE_HZ], original)[0, 1] > 0.99
    assert decoded.samples_T is decoded.channels[0]


def test_a_mono_recording_has_one_channel_and_too_many_are_refused() -> None:
    assert len(audio.read(file(tone(300)), separate=True).channels) == 1
    four = [tone(200.0 * number) for number in range(1, 5)]
    decoded = audio.read(file(*four), separate=True)
    for channel, original in zip(decoded.channels, four, strict=True):
        assert np.corrcoef(channel, original)[0, 1] > 0.99
    with pytest.raises(AudioError, match="has 9 channels; 8 at most"):
        audio.read(file(*[tone(300)] * 9), separate=True)


def test_long_recordings_are_held_once() -> None:
    content = file(*[np.tile(tone(300, 10.0), 60)] * 1, subtype="PCM_16")  # ten minutes
    tracemalloc.start()
    try:
        samples_T = audio.read(content).samples_T
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    most = samples_T.nbytes + audio.GROWTH_S * RATE_HZ * 4 + 4 * 2**20
    assert samples_T.size == 600 * RATE_HZ and peak <= most


def test_a_watch_is_told_what_is_held_and_can_end_decoding() -> None:
    told: list[int] = []
    audio.read(file(tone(300), tone(500)), separate=True, watch=told.append)
    assert told == sorted(told) and told[-1] == 2 * RATE_HZ

    class EnoughError(Exception):
        pass

    def refuse(samples: int) -> None:
        raise EnoughError

    with pytest.raises(EnoughError):
        audio.read(file(tone(300)), watch=refuse)
