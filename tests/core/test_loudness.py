"""Loudness against FFmpeg's meter and the norm's own signal."""

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import AudioError
from shoptalk.core.loudness import at_loudness, loudness_lufs
from shoptalk.core.records import Samples


def tone(size: int) -> Samples:
    return np.sin(2 * np.pi * 997 * np.arange(size) / SAMPLE_RATE_HZ).astype(np.float32)


def bursts(seconds: float, seed: int) -> Samples:
    """Noise that comes and goes, as words do."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    is_loud = np.sin(2 * np.pi * rng.uniform(0.3, 2) * t) > rng.uniform(-0.5, 0.5)
    return (0.1 * rng.normal(size=t.size) * np.where(is_loud, 1.0, 1e-3)).astype(np.float32)


def measured_by_ffmpeg(samples_T: Samples) -> float:
    graph = av.filter.Graph()
    tick = Fraction(1, SAMPLE_RATE_HZ)
    source = graph.add_abuffer(sample_rate=SAMPLE_RATE_HZ, format="flt", layout="mono", time_base=tick)
    meter, sink = graph.add("ebur128", "metadata=1"), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(samples_T[None], "flt", "mono")
    frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, 0
    graph.push(frame)
    graph.push(None)
    lufs = -np.inf
    while True:
        try:
            lufs = float(graph.pull().metadata.get("lavfi.r128.I", lufs))
        except av.EOFError:
            return lufs


@pytest.mark.parametrize("size", [400, 1_601, 6_399, 6_400, 48_001])
def test_a_full_tone_has_the_loudness_of_the_norm(size: int) -> None:
    """997 Hz at full scale are -3.01 LUFS (ITU-R BS.1770), however short the recording is."""
    assert loudness_lufs(tone(size)) == pytest.approx(-3.01, abs=0.1)


@given(seconds=st.floats(2, 6), seed=st.integers(0, 50))
@settings(max_examples=10, deadline=None)
def test_loudness_is_that_of_another_meter(seconds: float, seed: int) -> None:
    samples_T = bursts(seconds, seed)
    assert loudness_lufs(samples_T) == pytest.approx(measured_by_ffmpeg(samples_T), abs=0.5)


@given(lufs=st.floats(-40, -16), seconds=st.floats(0.05, 3), level_db=st.floats(-30, 10))
@settings(max_examples=20, deadline=None)
def test_speech_is_as_loud_as_asked(lufs: float, seconds: float, level_db: float) -> None:
    samples_T = 10 ** np.float32(level_db / 20) * 0.1 * tone(round(seconds * SAMPLE_RATE_HZ))
    level_T = at_loudness(samples_T, lufs=lufs, peak=0.95)
    assert level_T.dtype == np.float32 and level_T.shape == samples_T.shape
    assert loudness_lufs(level_T) == pytest.approx(lufs, abs=0.05)


def test_what_would_clip_is_quieter() -> None:
    click_T = bursts(2, 1)
    click_T[5_000] = 0.9
    level_T = at_loudness(click_T, lufs=-10, peak=0.95)
    assert np.abs(level_T).max() == pytest.approx(0.95) and loudness_lufs(level_T) < -10


@pytest.mark.parametrize("samples_T", [np.zeros(0, np.float32), np.zeros(16_000, np.float32), 1e-6 * tone(16_000)])
def test_silence_has_no_loudness(samples_T: Samples) -> None:
    with pytest.raises(AudioError, match="silent"):
        loudness_lufs(samples_T)
