"""Kokoro's vocoder: its convolutions as oneDNN's 8-bit products, and what lies between them as compiled loops.

The published graph quantises the input of each convolution as a whole and multiplies bytes; so does this, and the sums
are exact in both. Between two convolutions the graph passes over the same numbers some fifteen times; here a loop
normalises and bends them, and another one makes bytes of them. `kokoro_graph.split` writes the weights.

Shapes: K frames of 12.5 ms, N rows in time (10 for each frame, then 60 for each and one more), C channels, T samples.
Rows behind the last are zeros to the convolutions, so they change no sum: with few lengths oneDNN compiles few kernels.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from shoptalk.core import runtime
from shoptalk.core.records import Samples

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Weights = Mapping[str, npt.NDArray[Any]]

FRAMES_STEP = 16
"""Lengths are rounded up to a multiple of so many frames."""
LEVELS = 255
MIDDLE = 128
"""Any zero point but 0: what is packed for one goes with all others."""
NORM_EPSILON = 1e-5
FIRST_SLOPE, LAST_SLOPE = 0.1, 0.01
"""Of the leaky ReLU before the two upsamplings, and before the last convolution."""
RATES = (10, 6)
"""Rows that each upsampling makes of one."""
WINDOW, HOP = 20, 5
"""Samples of a frame of the short-time Fourier transform, and from one to the next."""
BINS = WINDOW // 2 + 1
SUMMED_ROWS = 64
"""So many squares are summed in float32, their sums in float64."""


class Scaled(NamedTuple):
    """Bytes (N, C) that stand for (byte - zero) * scale."""

    bytes_NC: Bytes
    scale: float
    zero: int


class Vocoder:
    """The vocoder on one thread; `sound` gives the same samples in every process of a machine."""

    def __init__(self, weights: Path) -> None:
        from safetensors.numpy import load_file

        tensors = load_file(weights)
        self._of_source = [_Convolution(tensors, f"noise_convs.{place}") for place in (0, 1)]
        self._source_blocks = [_Block(tensors, f"noise_res.{place}") for place in (0, 1)]
        self._blocks = [_Block(tensors, f"resblocks.{place}") for place in range(6)]
        self._up = [_two_dimensional(tensors, f"ups.{place}") for place in (0, 1)]
        self._last = _two_dimensional(tensors, "conv_post")
        self._window = tensors["window"]
        self._unvoiced = tensors["unvoiced"]
        self._inverse = torch.from_numpy(tensors["inverse_basis"])
        self._edge = torch.from_numpy(tensors["edge"])
        self._gain = tensors["gain"].item()

    def sound(self, hidden_CK: Floats, source_T: Floats, timbre: Floats) -> Samples:
        """Samples at 24 kHz, 300 for each frame; `source_T` is padded by half a window on both sides."""
        with torch.inference_mode(), runtime.using_threads(1):
            return self._sound(hidden_CK, source_T, timbre)

    def _sound(self, hidden_CK: Floats, source_T: Floats, timbre: Floats) -> Samples:
        frames = hidden_CK.shape[1]
        padded = math.ceil(frames / FRAMES_STEP) * FRAMES_STEP
        spectrum_NC = _spectrum(source_T, self._window, self._unvoiced)
        source = _scaled(spectrum_NC, rows=padded * math.prod(RATES) + 1)
        x_NC = torch.from_numpy(np.ascontiguousarray(hidden_CK.T))
        for place, rate in enumerate(RATES):
            is_last = place == len(RATES) - 1
            frames, padded = frames * rate, padded * rate
            rows, all_rows = frames + is_last, padded + is_last
            up_NC = _upsampled(functional.leaky_relu(x_NC, FIRST_SLOPE), self._up[place], rate)
            if is_last:
                up_NC = torch.cat([up_NC[1:2], up_NC])  # reflected by one row
            channels = up_NC.shape[1]
            room = _Room(np.empty((all_rows, channels), np.float32), np.empty((all_rows, channels), np.uint8))
            source_NC = self._source_blocks[place].run(self._of_source[place].run(source), rows, timbre, room)
            start_NC = np.empty((all_rows, channels), np.float32)
            _add(up_NC.contiguous().numpy(), source_NC, rows, start_NC)
            total_NC = self._blocks[3 * place].run(start_NC, rows, timbre, room)
            for block in self._blocks[3 * place + 1 : 3 * place + 3]:
                _add(total_NC, block.run(start_NC, rows, timbre, room), rows, total_NC)
            x_NC = torch.from_numpy(total_NC[:rows]).mul_(1 / 3)
        return self._samples(functional.leaky_relu(x_NC, LAST_SLOPE))

    def _samples(self, x_NC: torch.Tensor) -> Samples:
        """The inverse short-time Fourier transform of what the last convolution makes of its input."""
        weight, bias = self._last
        out_CN = functional.conv2d(_image(x_NC), weight, bias, padding=(0, weight.shape[3] // 2))[0, :, 0]
        magnitude_CN, phase_CN = torch.exp(out_CN[:BINS]), torch.sin(out_CN[BINS:])
        spectrum_CN = torch.cat([magnitude_CN * torch.cos(phase_CN), magnitude_CN * torch.sin(phase_CN)])
        overlaps = WINDOW // HOP
        pieces = (spectrum_CN.t() @ self._inverse).view(-1, overlaps, HOP)
        summed = torch.zeros(len(pieces) + overlaps - 1, HOP)
        for place in range(overlaps):
            summed[place : place + len(pieces)] += pieces[:, place]
        samples_T = summed.view(-1)
        samples_T[:WINDOW] /= self._edge  # the published graph does so at the start only
        return samples_T[WINDOW // 2 : -WINDOW // 2].mul_(self._gain).numpy()


class _Room(NamedTuple):
    """Memory that one convolution after the other uses, (N, C) both."""

    floats_NC: Floats
    bytes_NC: Bytes


class _Convolution:
    """A convolution over time of bytes (N, C), whose result is float32 (N, C)."""

    def __init__(self, tensors: Weights, name: str) -> None:
        weight_OCK = torch.from_numpy(tensors[f"{name}.weight"])
        outputs, inputs, _ = weight_OCK.shape
        stride, padding, dilation = (int(number) for number in tensors[f"{name}.steps"])
        self._bias = torch.from_numpy(tensors[f"{name}.bias"])
        self._scales = torch.full((outputs,), tensors[f"{name}.scale"].item())
        self._zeros = torch.zeros(outputs, dtype=torch.int32)
        self._steps = ([1, stride], [0, padding], [1, dilation])
        weight_OC1K = weight_OCK[:, :, None]
        some_shape = [1, inputs, 1, SUMMED_ROWS]
        self._packed = torch.ops.onednn.qconv_prepack(
            weight_OC1K, self._scales, 1.0, MIDDLE, *self._steps, 1, some_shape
        )

    def run(self, x: Scaled) -> Floats:
        out = torch.ops.onednn.qconv2d_pointwise(
            _image(torch.from_numpy(x.bytes_NC)),
            *(x.scale, x.zero),
            *(self._packed, self._scales, self._zeros, self._bias),
            *self._steps,
            *(1, 1.0, 0, torch.float32),  # groups; scale and zero of the result, which stays float32
            *("none", [], ""),
        )
        result: Floats = out.permute(0, 2, 3, 1)[0, 0].contiguous().numpy()
        return result


class _Layer(NamedTuple):
    """A convolution and what comes before it: the norm, whose scale and shift the voice gives, and Snake."""

    style_weight: Floats
    style_bias: Floats
    alpha_C: Floats
    convolution: _Convolution


class _Block:
    """Three times two layers with what came in added: (N, C) → (N, C)."""

    def __init__(self, tensors: Weights, name: str) -> None:
        self._pairs = [(_layer(tensors, name, 1, number), _layer(tensors, name, 2, number)) for number in range(3)]

    def run(self, x_NC: Floats, rows: int, timbre: Floats, room: _Room) -> Floats:
        for first, second in self._pairs:
            middle_NC = first.convolution.run(_activated(x_NC, rows, timbre, first, room))
            out_NC = second.convolution.run(_activated(middle_NC, rows, timbre, second, room))
            _add(x_NC, out_NC, rows, out_NC)
            x_NC = out_NC
        return x_NC


def _layer(tensors: Weights, name: str, which: int, number: int) -> _Layer:
    norm = f"{name}.adain{which}.{number}"
    return _Layer(
        tensors[f"{norm}.weight"],
        tensors[f"{norm}.bias"],
        tensors[f"{name}.alpha{which}.{number}"],
        _Convolution(tensors, f"{name}.convs{which}.{number}"),
    )


def _activated(x_NC: Floats, rows: int, timbre: Floats, layer: _Layer, room: _Room) -> Scaled:
    """Instance norm with the voice's scale and shift, then Snake (arXiv 2006.08195): y + sin²(αy)/α, as bytes.

    sin² is (1 - cos)/2, so with z = 2αy the result is (z - cos z + 1) / 2α, and z is linear in the input.
    """
    style = timbre @ layer.style_weight + layer.style_bias
    scale_C, shift_C = np.split(style, 2)
    mean_C, variance_C = _moments(x_NC, rows)
    slope_C = (1.0 + scale_C) / np.sqrt(variance_C + NORM_EPSILON)
    offset_C = shift_C - slope_C * mean_C
    double_C = 2.0 * layer.alpha_C
    low, high = _snake(
        x_NC,
        rows,
        (double_C * slope_C).astype(np.float32),
        (double_C * offset_C).astype(np.float32),
        (1.0 / double_C).astype(np.float32),
        room.floats_NC,
    )
    return _to_bytes(room.floats_NC, rows, low, high, room.bytes_NC)


def _scaled(x_NC: Floats, *, rows: int) -> Scaled:
    """As bytes, with so many rows."""
    low, high = float(x_NC.min(initial=0.0)), float(x_NC.max(initial=0.0))
    return _to_bytes(x_NC, len(x_NC), low, high, np.empty((rows, x_NC.shape[1]), np.uint8))


def _to_bytes(x_NC: Floats, rows: int, low: float, high: float, out_NC: Bytes) -> Scaled:
    """As ONNX's DynamicQuantizeLinear: 0 is a level, and the range has all of them."""
    scale = (float(high) - float(low)) / LEVELS or 1.0
    zero = min(LEVELS, max(0, round(-float(low) / scale)))
    _quantise(x_NC, rows, np.float32(1.0 / scale), np.float32(zero), out_NC)
    return Scaled(out_NC, scale, zero)


def _spectrum(source_T: Floats, window: Floats, unvoiced: Floats) -> Floats:
    """Magnitudes and phases (N, 2 * BINS) of the source's frames.

    Where a bin holds nothing but rounding errors its phase hangs on them, and the vocoder reads it. So a frame that is
    constant (nothing voiced) is `unvoiced`, which the published graph makes of it. The outer bins have no imaginary
    part; their negative values get the phase that they mostly have in that graph: π in the first, -π in the last.
    """
    frames_NW = np.lib.stride_tricks.sliding_window_view(source_T, WINDOW)[::HOP]
    angles_WB = 2 * np.pi * np.outer(np.arange(WINDOW), np.arange(BINS)) / WINDOW
    real_NB = frames_NW @ (window[:, None] * np.cos(angles_WB)).astype(np.float32)
    imaginary_NB = frames_NW @ (-window[:, None] * np.sin(angles_WB)).astype(np.float32)
    phase_NB = np.arctan2(imaginary_NB, real_NB)
    phase_NB[:, 0] = np.where(real_NB[:, 0] < 0, np.pi, 0.0)
    phase_NB[:, -1] = np.where(real_NB[:, -1] < 0, -np.pi, 0.0)
    spectrum_NC = np.concatenate([np.hypot(real_NB, imaginary_NB), phase_NB], axis=1)
    spectrum_NC[(frames_NW == frames_NW[:, :1]).all(axis=1)] = unvoiced
    return spectrum_NC


def _two_dimensional(tensors: Weights, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a convolution in float32, its weight with a height of 1."""
    weight = torch.from_numpy(tensors[f"{name}.weight"])[:, :, None].to(memory_format=torch.channels_last)
    return weight, torch.from_numpy(tensors[f"{name}.bias"])


def _upsampled(x_NC: torch.Tensor, layer: tuple[torch.Tensor, torch.Tensor], rate: int) -> torch.Tensor:
    weight, bias = layer
    out = functional.conv_transpose2d(_image(x_NC), weight, bias, stride=(1, rate), padding=(0, rate // 2))
    return out.permute(0, 2, 3, 1)[0, 0]


def _image(x_NC: torch.Tensor) -> torch.Tensor:
    """Rows as an image (1, C, 1, N) without a copy: oneDNN is fastest where channels lie side by side."""
    return x_NC[None, None].permute(0, 3, 1, 2)


# ---- loops; `fastmath` lets sums be ordered for vectors, alike on all machines of one instruction set


def _sine_terms() -> tuple[np.float32, ...]:
    """Odd terms of a polynomial for sin(2πt) up to a quarter of a turn; off by 1e-8 at most."""
    turns = np.linspace(-0.25, 0.25, 4001)
    powers = np.stack([turns ** (2 * power + 1) for power in range(5)], axis=1)
    terms = np.linalg.lstsq(powers, np.sin(2 * np.pi * turns), rcond=None)[0]
    return tuple(np.float32(term) for term in terms)


S1, S3, S5, S7, S9 = _sine_terms()
TURNS = np.float32(1 / (2 * np.pi))
QUARTER, HALF, ONE, TOP = np.float32(0.25), np.float32(0.5), np.float32(1.0), np.float32(LEVELS)


@numba.njit(fastmath=True, cache=True)
def _moments(x_NC, rows):  # type: ignore[no-untyped-def]
    """Mean and variance of each channel over the first rows."""
    channels = x_NC.shape[1]
    total_C, total_squares_C = np.zeros(channels), np.zeros(channels)
    sum_C, squares_C = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    for start in range(0, rows, SUMMED_ROWS):
        sum_C[:] = 0
        squares_C[:] = 0
        for n in range(start, min(rows, start + SUMMED_ROWS)):
            for c in range(channels):
                value = x_NC[n, c]
                sum_C[c] += value
                squares_C[c] += value * value
        for c in range(channels):
            total_C[c] += sum_C[c]
            total_squares_C[c] += squares_C[c]
    mean_C = total_C / rows
    return mean_C, np.maximum(total_squares_C / rows - mean_C * mean_C, 0.0)


@numba.njit(fastmath=True, inline="always")
def _cosine(angle):  # type: ignore[no-untyped-def]
    turns = angle * TURNS
    turns = QUARTER - abs(turns - np.rint(turns))
    square = turns * turns
    return turns * (S1 + square * (S3 + square * (S5 + square * (S7 + square * S9))))


@numba.njit(fastmath=True, cache=True)
def _snake(x_NC, rows, slope_C, offset_C, gain_C, out_NC):  # type: ignore[no-untyped-def]
    """(z - cos z + 1) * gain with z = x * slope + offset; returns the range of the result, 0 being in it."""
    channels = x_NC.shape[1]
    low_C, high_C = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    for n in range(rows):
        for c in range(channels):
            z = x_NC[n, c] * slope_C[c] + offset_C[c]
            value = gain_C[c] * (z - _cosine(z) + ONE)
            out_NC[n, c] = value
            low_C[c] = min(low_C[c], value)
            high_C[c] = max(high_C[c], value)
    return low_C.min(), high_C.max()


@numba.njit(fastmath=True, cache=True)
def _quantise(x_NC, rows, per_unit, zero, out_NC):  # type: ignore[no-untyped-def]
    """Bytes of the first rows; all others stand for 0."""
    offset = zero + HALF
    for n in range(rows):
        for c in range(x_NC.shape[1]):
            out_NC[n, c] = np.uint8(np.int32(min(x_NC[n, c] * per_unit + offset, TOP + HALF)))
    out_NC[rows:] = np.uint8(zero)


@numba.njit(cache=True)
def _add(a_NC, b_NC, rows, out_NC):  # type: ignore[no-untyped-def]
    for n in range(rows):
        for c in range(a_NC.shape[1]):
            out_NC[n, c] = a_NC[n, c] + b_NC[n, c]
