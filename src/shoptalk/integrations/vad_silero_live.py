"""Silero VAD behind the `LiveVad` protocol: its own graph in ONNX Runtime, which takes 0.1 ms a frame and no PyTorch.

T = samples of a frame with its context, S = samples, N = frames, B = 1, H = width of the LSTM.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.models import store
from shoptalk.core.protocols import LIVE_FRAME
from shoptalk.core.records import Samples
from shoptalk.integrations import onnx

CONTEXT = 64
"""Samples before each frame that it is read with."""
STATE = 128
"""Width of the LSTM."""


class LiveSilero:
    """The speech of one recording, frame by frame."""

    def __init__(self, session: Any) -> None:
        """`session` has the graph; any number of recordings share it."""
        self._session = session
        self._state_2BH = np.zeros((2, 1, STATE), np.float32)
        self._context_T = np.zeros(CONTEXT, np.float32)

    def probabilities(self, samples_S: Samples) -> npt.NDArray[np.float32]:
        """The probability of speech in each frame, (N,)."""
        speech_N = np.zeros(samples_S.size // LIVE_FRAME, np.float32)
        for number in range(speech_N.size):
            frame_T = np.concatenate([self._context_T, samples_S[number * LIVE_FRAME : (number + 1) * LIVE_FRAME]])
            inputs = {"input": frame_T[None], "state": self._state_2BH, "sr": np.array(SAMPLE_RATE_HZ, np.int64)}
            speech_11, self._state_2BH = self._session.run(None, inputs)
            speech_N[number] = speech_11[0, 0]
            self._context_T = frame_T[-CONTEXT:]
        return speech_N


def load() -> Callable[[], LiveSilero]:
    """What makes a detector for each recording, with the model from the store, fetched if absent."""
    return partial(LiveSilero, onnx.session(store.path("silero-vad"), threads=1))
