"""Silero VAD behind the `Vad` protocol: where in an audio somebody speaks.

The weights are those of its ONNX graph; the network is computed in PyTorch. The graph reads one frame after the other,
with four small convolutions in each. Only the LSTM behind them needs that order. Here the convolutions of many frames
are computed at once, in a fourth of the time.

T = samples, N = VAD frames of 32 ms, B = audio read side by side, F = B x N frames, W = 256 samples of a Fourier
window, of which a frame has four, C = channels, H = 128 of the LSTM's state.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.models import store
from shoptalk.core.protocols import IsEnough
from shoptalk.core.records import Samples
from shoptalk.integrations import onnx

FRAME = 512
"""Samples of a frame at 16 kHz; the model takes no other number."""
CONTEXT = 64
"""Samples before each frame that it is read with."""
FRAME_S = FRAME / SAMPLE_RATE_HZ
STATE = 128
"""Width of the LSTM."""
FOURIER = 256
"""Samples of a Fourier window."""
FOURIER_HOP = 128
PREFIX = "If_0_then_branch__Inline_0__"
"""What the graph names the weights for 16 kHz with."""
FRAMES_AT_ONCE = {16: 16, 4: 64, 1: 256}
"""So many audio are read side by side, and of each so many frames at once.

PyTorch prepares its convolutions and LSTMs for each shape that they meet, which takes longer than reading it. So there
are few shapes.
"""
FRAMES_UNTIL_ASKED = {16: 8, 8: 8, 4: 8, 2: 16, 1: 32}
"""The same where the caller is asked for each audio whether its frames are enough."""

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


@dataclass
class _Reading:
    """An audio, and how far it is read."""

    place: int
    frames_NT: npt.NDArray[np.float32]
    speech_N: npt.NDArray[np.float32]
    state_2H: npt.NDArray[np.float32]
    """Of the LSTM: hidden and cell."""
    read: int = 0
    """So many frames are read."""

    @classmethod
    def of(cls, place: int, samples_T: Samples) -> "_Reading":
        frames_NT = framed(samples_T)
        return cls(place, frames_NT, np.zeros(len(frames_NT), np.float32), np.zeros((2, STATE), np.float32))

    @property
    def frames(self) -> int:
        return len(self.frames_NT)


class SileroVad:
    """A loaded model as a `protocols.Vad`; it computes with the threads that PyTorch is set to."""

    frame_s = FRAME_S

    def __init__(self, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
        self._network = _Network(weights)

    def speech(self, samples_T: Samples) -> list[tuple[float, float]]:
        """(start, end) of each span of speech in seconds, in order; two are at least `SILENCE_S` - 2 `PAD_S` apart."""
        length_s = samples_T.size / SAMPLE_RATE_HZ
        return [
            (round(max(0.0, first * FRAME_S - PAD_S), 3), round(min(length_s, last * FRAME_S + PAD_S), 3))
            for first, last in spans(self.probabilities(samples_T))
        ]

    def probabilities(self, samples_T: Samples) -> npt.NDArray[np.float32]:
        """The probability of speech in each frame, (N,); the last frame is filled up with silence."""
        return self.probabilities_of_each([samples_T])[0]

    def probabilities_of_each(
        self, audio: Sequence[Samples], is_enough: IsEnough | None = None
    ) -> list[npt.NDArray[np.float32]]:
        """The probability of speech in each frame of each audio, (N,); they are read side by side.

        `is_enough` is asked now and then with the place of an audio and its probabilities so far; once it says yes,
        that audio is read no further, and these are its result.
        """
        widths = FRAMES_UNTIL_ASKED if is_enough else FRAMES_AT_ONCE
        readings = [_Reading.of(place, samples_T) for place, samples_T in enumerate(audio)]
        waiting = sorted((reading for reading in readings if reading.frames), key=lambda reading: reading.frames)
        lanes: list[_Reading] = []
        while waiting or lanes:
            wanted = len(lanes) + len(waiting)
            width = min((width for width in widths if width >= wanted), default=max(widths))
            while waiting and len(lanes) < width:
                lanes.append(waiting.pop())  # the longest first, so that none of them is left alone at the end
            self._read_on(lanes, width, widths[width])
            lanes = [lane for lane in lanes if not _is_read(lane, is_enough)]
        return [reading.speech_N[: reading.read] for reading in readings]

    def _read_on(self, lanes: Sequence[_Reading], width: int, frames: int) -> None:
        """Read so many frames of each lane; `width` lanes are computed, though there may be fewer."""
        frames_BNT = np.zeros((width, frames, CONTEXT + FRAME), np.float32)
        state_2BH = np.zeros((2, width, STATE), np.float32)
        for row, lane in enumerate(lanes):
            own_NT = lane.frames_NT[lane.read : lane.read + frames]
            frames_BNT[row, : len(own_NT)] = own_NT
            state_2BH[:, row] = lane.state_2H
        speech_BN, state_2BH = self._network(frames_BNT, state_2BH)
        for row, lane in enumerate(lanes):
            count = min(frames, lane.frames - lane.read)
            lane.speech_N[lane.read : lane.read + count] = speech_BN[row, :count]
            lane.state_2H = state_2BH[:, row]
            lane.read += count


class _Network:
    """Spectrum, four convolutions, an LSTM, and one output."""

    def __init__(self, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
        def weight(name: str) -> Tensor:
            return torch.from_numpy(weights[PREFIX + name].copy())

        # The Fourier transform is in the graph as a convolution; its first row, of 0 Hz, is the window.
        self._window_W = weight("stft.forward_basis_buffer")[0, 0]
        self._convolutions = []
        for layer, stride in enumerate((1, 2, 2, 1)):
            kernel = weight(f"encoder.{layer}.reparam_conv.weight")[..., None]
            bias = weight(f"encoder.{layer}.reparam_conv.bias")
            self._convolutions.append((kernel.contiguous(memory_format=torch.channels_last), bias, stride))
        self._lstm = [weight(f"decoder.rnn.{name}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        self._output_H = weight("decoder.decoder.2.weight")[0, :, 0]
        self._output_bias = weight("decoder.decoder.2.bias")

    @torch.inference_mode()
    def __call__(
        self, frames_BNT: npt.NDArray[np.float32], state_2BH: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The probability of speech of each frame, (B, N), and the LSTM's state behind them."""
        batch, frames, _ = frames_BNT.shape
        features_BNC = self._features(torch.from_numpy(frames_BNT).flatten(0, 1)).view(batch, frames, -1)
        state = [torch.from_numpy(part_BH)[None] for part_BH in state_2BH]
        hidden_BNH, *state = torch.lstm(features_BNC, state, self._lstm, True, 1, 0.0, False, False, True)
        speech_BN = torch.sigmoid(hidden_BNH.relu() @ self._output_H + self._output_bias)
        return speech_BN.numpy(), torch.cat(state).numpy()

    def _features(self, frames_FT: Tensor) -> Tensor:
        """What the LSTM reads of each frame, (F, C).

        A frame has four spectra. Convolutions of width 3 over these four are computed as those over an image, four high
        and F wide.
        """
        reflected_FT = frames_FT[:, -FOURIER_HOP // 2 - 1 : -1].flip(1)
        padded_FT = torch.cat([frames_FT, reflected_FT], dim=1)
        windows_4FW = torch.stack([padded_FT[:, start : start + FOURIER] for start in range(0, 512, FOURIER_HOP)])
        fourier_4FC = torch.fft.rfft(windows_4FW * self._window_W)
        spectra_4FC = (fourier_4FC * fourier_4FC.conj()).real.sqrt()  # three times as fast as `abs`

        image_1C4F = spectra_4FC.permute(2, 0, 1)[None]
        for kernel, bias, stride in self._convolutions:
            image_1C4F = conv2d(image_1C4F, kernel, bias, stride=(stride, 1), padding=(1, 0)).relu_()
        return image_1C4F[0, :, 0].t()  # four high became one


def load() -> SileroVad:
    """The VAD from the model store, fetched if absent."""
    return SileroVad(onnx.float_constants(store.path("silero-vad")))


def _is_read(reading: _Reading, is_enough: IsEnough | None) -> bool:
    """Whether an audio is read to its end, or far enough."""
    if reading.read == reading.frames:
        return True
    return is_enough is not None and is_enough(reading.place, reading.speech_N[: reading.read])


def framed(samples_T: Samples) -> npt.NDArray[np.float32]:
    """The frames of an audio, each behind its context, (N, 576); silence where it has not begun or is over."""
    frames = -(-samples_T.size // FRAME)
    padded_T = np.zeros(CONTEXT + frames * FRAME, np.float32)
    padded_T[CONTEXT : CONTEXT + samples_T.size] = samples_T
    return np.lib.stride_tricks.as_strided(
        padded_T, (frames, CONTEXT + FRAME), (FRAME * padded_T.itemsize, padded_T.itemsize)
    )


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
