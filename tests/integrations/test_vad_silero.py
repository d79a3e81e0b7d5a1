"""Silero VAD on real speech, on noise and on silence; and how probabilities become spans."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shoptalk.core import audio
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.records import Samples
from shoptalk.integrations import vad_silero
from shoptalk.integrations.vad_silero import FRAME_S, SILENCE_S, STARTS, SileroVad, spans

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


def test_side_by_side_it_hears_as_one_after_the_other(
    vad: SileroVad, spoken: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    pause_T = np.zeros(SAMPLE_RATE_HZ // 2, np.float32)
    joined_T = np.concatenate([part for samples_T in spoken for part in (samples_T, pause_T)])
    in_lanes = vad.probabilities(joined_T) >= STARTS
    monkeypatch.setattr(vad_silero, "MAX_LANES", 1)
    assert np.mean(in_lanes == (vad.probabilities(joined_T) >= STARTS)) > 0.985


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
