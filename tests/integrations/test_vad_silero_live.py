"""Silero VAD frame by frame: the probabilities of the whole recording, however it is cut."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import audio
from shoptalk.core.protocols import LIVE_FRAME as FRAME
from shoptalk.core.records import Samples
from shoptalk.integrations import vad_silero, vad_silero_live
from shoptalk.integrations.vad_silero_live import LiveSilero

ASSETS = Path(__file__).parents[2] / "assets"


@pytest.fixture(scope="module")
def live() -> Callable[[], LiveSilero]:
    return vad_silero_live.load()


@pytest.fixture(scope="module")
def spoken() -> Samples:
    line = json.loads((ASSETS / "general/test.jsonl").read_text().splitlines()[0])
    samples_T = audio.decode(ASSETS / "general" / line["audio_filepath"])
    return samples_T[: samples_T.size // FRAME * FRAME]


def test_probabilities_are_those_of_the_whole_recording(live: Callable[[], LiveSilero], spoken: Samples) -> None:
    whole_N = vad_silero.load().probabilities(spoken)
    live_N = live().probabilities(spoken)
    assert whole_N.max() > 0.9
    np.testing.assert_allclose(live_N, whole_N, atol=2e-3)


@given(cuts=st.sets(st.integers(1, 40), max_size=6))
@settings(max_examples=10, deadline=None)
def test_they_do_not_depend_on_how_it_is_cut(live: Callable[[], LiveSilero], spoken: Samples, cuts: set[int]) -> None:
    detector = live()
    pieces = np.split(spoken[: 40 * FRAME], [cut * FRAME for cut in sorted(cuts)])
    together_N = np.concatenate([detector.probabilities(piece_S) for piece_S in pieces])
    np.testing.assert_array_equal(together_N, live().probabilities(spoken[: 40 * FRAME]))
