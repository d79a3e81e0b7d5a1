"""Silero VAD on real speech, on noise and on silence; and how probabilities become spans."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shoptalk.core import audio
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.models import store
from shoptalk.core.records import Samples
from shoptalk.integrations import onnx, vad_silero
from shoptalk.integrations.vad_silero import CONTEXT, FRAME, FRAME_S, SILENCE_S, STARTS, STATE, SileroVad, spans

ASSETS = Path(__file__).parents[2] / "assets"


@pytest.fixture(scope="module")
def vad() -> SileroVad:
    return vad_silero.load()


@pytest.fixture(scope="module")
def spoken() -> list[Samples]:
    lines = map(json.loads, (ASSETS / "general/test.jsonl").read_text().splitlines())
    chosen = [line for line in lines if line["source"] == "synthetic"][:20]
    return [audio.decode(ASSETS / "general" / line["audio_filepath"]) for line in chosen]


def test_speech_is_found_where_it_is(vad: SileroVad, spoken: list[Samples]) -> None:
    silence_T = np.zeros(2 * SAMPLE_RATE_HZ, np.float32)
    for samples_T in spoken:
        found = vad.speech(np.concatenate([silence_T, samples_T, silence_T]))
        end_s = 2 + samples_T.size / SAMPLE_RATE_HZ
        assert found and found[0][0] > 1.9 and found[-1][1] < end_s + 0.2
        assert sum(end - start for start, end in found) > 0.6 * samples_T.size / SAMPLE_RATE_HZ


def test_neither_noise_nor_silence_is_speech(vad: SileroVad) -> None:
    lines = map(json.loads, (ASSETS / "noise/manifest.jsonl").read_text().splitlines())
    noises = [line["audio"] for line in lines if line["kind"] == "noise"]
    assert len(noises) > 20
    assert not {name: found for name in noises if (found := vad.speech(audio.decode(ASSETS / "noise" / name)))}
    assert vad.speech(np.zeros(10 * SAMPLE_RATE_HZ, np.float32)) == []


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513])
def test_the_shortest_audio_is_no_speech(vad: SileroVad, size: int) -> None:
    assert vad.speech(np.ones(size, np.float32)) == [] and vad.probabilities(np.ones(size)).size == -(-size // 512)


@given(sizes=st.lists(st.integers(0, 40_000), max_size=20), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_side_by_side_it_listens_as_alone(vad: SileroVad, spoken: list[Samples], sizes: list[int], seed: int) -> None:
    """However many and long they are, and whether or not they are read to the end."""
    rng = np.random.default_rng(seed)
    whole_T = np.concatenate(spoken)
    audio = []
    for size in sizes:
        start = int(rng.integers(whole_T.size - size))
        audio.append(whole_T[start : start + size] * np.float32(10 ** rng.uniform(-3, 0)))
    together = vad.probabilities_of_each(audio)
    in_part = vad.probabilities_of_each(audio, lambda _, speech_N: bool(speech_N.max() > STARTS))
    for samples_T, speech_N, first_N in zip(audio, together, in_part, strict=True):
        alone_N = vad.probabilities(samples_T)
        assert speech_N.shape == alone_N.shape and np.allclose(speech_N, alone_N, atol=1e-5)
        assert np.allclose(first_N, alone_N[: first_N.size], atol=1e-5)
        assert first_N.size == alone_N.size or first_N.max() > STARTS


def test_probabilities_are_those_of_the_graph(vad: SileroVad, spoken: list[Samples]) -> None:
    session = onnx.session(store.path("silero-vad"), threads=1)
    noise_T = 0.1 * np.random.default_rng(7).standard_normal(SAMPLE_RATE_HZ).astype(np.float32)
    for samples_T in [*spoken[:2], noise_T, np.zeros(5000, np.float32), np.ones(512, np.float32)]:
        padded_T = np.pad(samples_T, (CONTEXT, -samples_T.size % FRAME))
        state_2BH = np.zeros((2, 1, STATE), np.float32)
        expected = []
        for start in range(0, padded_T.size - CONTEXT, FRAME):
            read_BT = padded_T[None, start : start + CONTEXT + FRAME]
            inputs = {"input": read_BT, "state": state_2BH, "sr": np.array(SAMPLE_RATE_HZ, np.int64)}
            speech_B1, state_2BH = session.run(None, inputs)
            expected.append(speech_B1[0, 0])
        assert np.allclose(vad.probabilities(samples_T), expected, atol=1e-5)


def test_spans_open_high_and_close_low() -> None:
    def of(*runs: tuple[float, int]) -> list[tuple[int, int]]:
        return list(spans(np.array([level for level, count in runs for _ in range(count)], np.float32)))

    assert of((0.1, 5), (0.9, 10), (0.1, 5)) == [(5, 15)]
    assert of((0.4, 5), (0.9, 10), (0.4, 30), (0.1, 5)) == [(5, 45)], "between the thresholds nothing changes"
    assert of((0.9, 10), (0.1, 3), (0.9, 10)) == [(0, 23)], "less than 100 ms is no pause"
    assert of((0.9, 10), (0.1, 5), (0.9, 10)) == [(0, 10), (15, 25)]
    assert of((0.9, 7), (0.1, 9)) == of((0.1, 9), (0.9, 7)) == [], "a click"
    assert of() == []


@given(arrays.arrays(np.float32, st.integers(0, 200), elements=st.sampled_from([0.1, 0.3, 0.4, 0.6, 0.9])))
def test_spans_lie_in_order_with_pauses_between(probability_N: np.ndarray) -> None:
    found = list(spans(probability_N))
    assert all(0 <= first < last <= probability_N.size and probability_N[first] >= STARTS for first, last in found)
    assert all((after[0] - before[1]) * FRAME_S >= SILENCE_S for before, after in pairwise(found))
