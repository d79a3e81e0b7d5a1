"""Silero VAD (ONNX Runtime) behind the `Vad` protocol: where in an audio somebody speaks.

T = samples, N = VAD frames of 32 ms, B = lanes of frames that are read side by side, H = 128 of the LSTM's state.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.models import store
from shoptalk.core.records import Samples
from shoptalk.integrations import onnx

FRAME = 512
"""Samples of a frame at 16 kHz; the model takes no other number."""
CONTEXT = 64
"""Samples before each frame that it is read with."""
FRAME_S = FRAME / SAMPLE_RATE_HZ
STATE = 128
LANE_FRAMES = 300  # a lane below 10 s would be spent on warming up
MAX_LANES = 32
WARM_UP_FRAMES = 64
"""Frames before its own that bring a lane's state up to date: about two seconds."""

# The model's authors' defaults (snakers4/silero-vad, MIT).
STARTS = 0.5
"""Probability from which a frame opens a span of speech."""
ENDS = 0.35
"""Probability below which a frame may close it; between the two nothing changes."""
SILENCE_S = 0.1
"""So long must it stay closed: the pauses inside of words are shorter."""
SHORTEST_S = 0.25
"""Spans below this are clicks."""
PAD_S = 0.03
"""Each span is longer by this at both ends."""


class SileroVad:
    """A loaded model on one thread, as a `protocols.Vad`."""

    frame_s = FRAME_S

    def __init__(self, session: Any) -> None:
        self._session = session

    def speech(self, samples_T: Samples) -> list[tuple[float, float]]:
        """(start, end) of each span of speech in seconds, in order; two are at least `SILENCE_S` - 2 `PAD_S` apart."""
        length_s = samples_T.size / SAMPLE_RATE_HZ
        return [
            (round(max(0.0, first * FRAME_S - PAD_S), 3), round(min(length_s, last * FRAME_S + PAD_S), 3))
            for first, last in spans(self.probabilities(samples_T))
        ]

    def probabilities(self, samples_T: Samples) -> npt.NDArray[np.float32]:
        """The probability of speech in each frame, (N,); the last frame is filled up with silence.

        The model reads frame after frame. Long audio is cut into lanes that are read side by side, which takes a third
        of the time; each lane starts `WARM_UP_FRAMES` early, because the model remembers what it has read.
        """
        frames = -(-samples_T.size // FRAME)
        lanes = max(1, min(MAX_LANES, frames // LANE_FRAMES))
        each = -(-frames // lanes)
        found_BN = np.zeros((lanes, each), np.float32)
        state_2BH = np.zeros((2, lanes, STATE), np.float32)
        rate_hz = np.array(SAMPLE_RATE_HZ, np.int64)
        for step in range(-WARM_UP_FRAMES if lanes > 1 else 0, each):
            if step == 0:
                state_2BH[:, 0] = 0.0  # nothing comes before the first lane
            read_BT = np.stack([_frame(samples_T, lane * each + step) for lane in range(lanes)])
            found_B1, state_2BH = self._session.run(None, {"input": read_BT, "state": state_2BH, "sr": rate_hz})
            if step >= 0:
                found_BN[:, step] = found_B1[:, 0]
        return found_BN.reshape(-1)[:frames]

    def probabilities_of_each(self, audio: Sequence[Samples]) -> list[npt.NDArray[np.float32]]:
        """The probability of speech in each frame of each audio, (N,); up to `MAX_LANES` are read side by side."""
        by_length = sorted(range(len(audio)), key=lambda place: -audio[place].size)
        speech_of_each = [np.zeros(0, np.float32)] * len(audio)
        for first in range(0, len(by_length), MAX_LANES):
            places = by_length[first : first + MAX_LANES]
            speech = self._side_by_side([audio[place] for place in places])
            for place, speech_N in zip(places, speech, strict=True):
                speech_of_each[place] = speech_N
        return speech_of_each

    def _side_by_side(self, audio: Sequence[Samples]) -> list[npt.NDArray[np.float32]]:
        """The probabilities of audio that goes from long to short; what is through is read no further."""
        frames = [-(-samples_T.size // FRAME) for samples_T in audio]
        speech_BN = np.zeros((len(audio), max(frames)), np.float32)
        state_2BH = np.zeros((2, len(audio), STATE), np.float32)
        rate_hz = np.array(SAMPLE_RATE_HZ, np.int64)
        for step in range(max(frames)):
            lanes = sum(count > step for count in frames)
            read_BT = np.stack([_frame(samples_T, step) for samples_T in audio[:lanes]])
            inputs = {"input": read_BT, "state": state_2BH[:, :lanes], "sr": rate_hz}
            speech_B1, state_2BH = self._session.run(None, inputs)
            speech_BN[:lanes, step] = speech_B1[:, 0]
        return [speech_N[:count] for speech_N, count in zip(speech_BN, frames, strict=True)]


def load() -> SileroVad:
    """The VAD from the model store, fetched if absent."""
    return SileroVad(onnx.session(store.path("silero-vad"), threads=1))


def spans(probability_N: npt.NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """First frame and the one past the last of each span of speech: with hysteresis, so that it does not flutter."""
    silent, start, quiet_from = math.ceil(SILENCE_S / FRAME_S), -1, -1
    for frame, probability in enumerate(probability_N.tolist()):
        if probability >= STARTS:
            start, quiet_from = (frame if start < 0 else start), -1
        elif probability < ENDS and start >= 0:
            quiet_from = frame if quiet_from < 0 else quiet_from
            if frame - quiet_from >= silent:
                if (quiet_from - start) * FRAME_S >= SHORTEST_S:
                    yield start, quiet_from
                start = quiet_from = -1
    last = probability_N.size if quiet_from < 0 else quiet_from
    if start >= 0 and (last - start) * FRAME_S >= SHORTEST_S:
        yield start, last


def _frame(samples_T: Samples, number: int) -> Samples:
    """Frame `number` behind its context, silence where the audio has not begun or is over."""
    first, last = number * FRAME - CONTEXT, (number + 1) * FRAME
    inside_T = samples_T[max(0, first) : max(0, last)]
    if inside_T.size == last - first:
        return inside_T
    read_T = np.zeros(last - first, np.float32)
    begin = max(0, -first)
    read_T[begin : begin + inside_T.size] = inside_T
    return read_T
