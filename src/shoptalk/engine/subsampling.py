"""FastConformer's subsampling by 8: three strided convolutions over mel features (arXiv 2305.05084).

The channels lie last in memory, where oneDNN convolves depthwise twice as fast.

Shapes: B recordings, T mel frames, M mel bins, C channels, D width of the encoder; each level halves T and M.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch.nn.functional import conv2d, pad
from torch.nn.functional import linear as linear_product

from shoptalk.engine.shape import Shape
from shoptalk.engine.weights import Weights, frozen, linear

Frames = TypeVar("Frames", int, torch.Tensor)

TILE = 64
"""Encoder frames at a time on a CPU: what lies between the convolutions stays in its cache, and memory is bounded."""
ROWS_AT_A_TIME = 4
"""A tile's products have a multiple of so many rows; MKL sums those left over in an order that depends on threads."""


def halved(frames: Frames) -> Frames:
    """Frames behind a convolution of 3 with stride 2 and padding 1."""
    return (frames - 1) // 2 + 1


class Subsampling(torch.nn.Module):
    """Mel features to frames of 80 ms."""

    def __init__(self, shape: Shape, weights: Weights):
        super().__init__()
        channels = shape.channels
        conv = weights.below("conv")

        def kernel(number: int, *shape: int) -> torch.nn.Parameter:
            weight = conv.take(f"{number}.weight", *shape)
            return frozen(weight.contiguous(memory_format=torch.channels_last))

        def bias(number: int) -> torch.nn.Parameter:
            return frozen(conv.take(f"{number}.bias", channels))

        # NeMo numbers convolutions and activations in one sequence.
        self.first_C133 = kernel(0, channels, 1, 3, 3)
        self.first_bias_C = bias(0)
        self.depthwise = torch.nn.ParameterList(kernel(number, channels, 1, 3, 3) for number in (2, 5))
        self.depthwise_bias = torch.nn.ParameterList(bias(number) for number in (2, 5))
        self.pointwise = torch.nn.ParameterList(kernel(number, channels, channels, 1, 1) for number in (3, 6))
        self.pointwise_bias = torch.nn.ParameterList(bias(number) for number in (3, 6))
        self.bins = halved(halved(halved(shape.mels)))
        middle_bins = halved(halved(shape.mels))
        self.whole_frames = (1, ROWS_AT_A_TIME // math.gcd(ROWS_AT_A_TIME, middle_bins), ROWS_AT_A_TIME)
        """A tile's frames of each level are filled up to a multiple of so many; the last level's are rows of `out`."""
        out = weights.linear("out", channels * self.bins, shape.d_model)
        by_bin_DX = out.weight.view(-1, channels, self.bins).transpose(1, 2).flatten(1)  # as the channels lie last
        self.out = linear(by_bin_DX, out.bias)

    @staticmethod
    def frames(mel_frames_B: torch.Tensor) -> torch.Tensor:
        """Encoder frames (B,) of so many mel frames."""
        for _ in range(3):
            mel_frames_B = halved(mel_frames_B)
        return mel_frames_B

    def forward(self, features_BTM: torch.Tensor, frames_B: torch.Tensor) -> torch.Tensor:
        """Padded frames (B, T / 8, D); between the convolutions nothing leaks from behind a recording's end."""
        level_BCTM = _image(features_BTM)
        lengths_B = frames_B
        for level in range(3):
            level_BCTM = self._spread(level, pad(_masked(level_BCTM, lengths_B), (0, 0, 1, 1)))
            if level:
                level_BCTM = conv2d(level_BCTM, self.pointwise[level - 1], self.pointwise_bias[level - 1])
            level_BCTM = level_BCTM.relu_()
            lengths_B = halved(lengths_B)
        return self._out(level_BCTM)

    def tiled(self, features_TM: torch.Tensor) -> torch.Tensor:
        """Frames (T / 8, D) of one recording, tile by tile."""
        lengths = [len(features_TM)]  # of each level
        for _ in range(3):
            lengths.append(halved(lengths[-1]))
        frames = lengths[-1]
        tiles = []
        for first in range(0, frames, TILE):
            tiles.append(self._tile(features_TM, lengths, first, min(first + TILE, frames)))
        return torch.cat(tiles)

    def _tile(self, features_TM: torch.Tensor, lengths: Sequence[int], first: int, last: int) -> torch.Tensor:
        """The encoder frames first … last - 1, from what they can see of each level."""
        edges: list[tuple[int, int]] = []  # frames before and behind those of a level that are there
        for length in reversed(lengths[:3]):
            low = 2 * first - 1  # a convolution sees one frame more than the two that it joins
            high = 2 * last
            first = max(low, 0)
            last = min(high, length)
            edges.append((first - low, high - last))
        level_1CTM = _image(features_TM[None, first:last])
        for level, (before, behind) in enumerate(reversed(edges)):
            frames = halved(level_1CTM.shape[2] + before + behind - 2)
            spare = -frames % self.whole_frames[level]
            padded_1CTM = pad(level_1CTM, (0, 0, before, behind + 2 * spare))
            level_1CTM = self._mixed(level, self._spread(level, padded_1CTM))
            if level < 2:  # behind the last frame the next level sees zeros
                level_1CTM = level_1CTM[:, :, :frames]
        return self._out(level_1CTM)[0, :frames]

    def _spread(self, level: int, padded_BCTM: torch.Tensor) -> torch.Tensor:
        """The convolution of one level that halves; the frames come padded, the bins are padded here."""
        if level == 0:
            return conv2d(padded_BCTM, self.first_C133, self.first_bias_C, stride=2, padding=(0, 1))
        weight, bias = self.depthwise[level - 1], self.depthwise_bias[level - 1]
        return conv2d(padded_BCTM, weight, bias, stride=2, padding=(0, 1), groups=len(weight))

    def _mixed(self, level: int, spread_1CTM: torch.Tensor) -> torch.Tensor:
        """The rest of a tile's level: the pointwise convolution as a product of matrices.

        oneDNN's pointwise convolution of float32 sums wide channels in an order that depends on the number of threads.
        """
        if level == 0:
            return spread_1CTM.relu_()
        weight_CC = self.pointwise[level - 1].flatten(1)
        mixed_1TMC = linear_product(spread_1CTM.permute(0, 2, 3, 1), weight_CC, self.pointwise_bias[level - 1])
        return mixed_1TMC.relu_().permute(0, 3, 1, 2)

    def _out(self, level_BCTM: torch.Tensor) -> torch.Tensor:
        batch, _, frames, _ = level_BCTM.shape
        out: torch.Tensor = self.out(level_BCTM.permute(0, 2, 3, 1).reshape(batch, frames, -1))
        return out


def _image(features_BTM: torch.Tensor) -> torch.Tensor:
    """(B, 1, T, M) in the strides by which oneDNN knows that the channels lie last."""
    if torch.onnx.is_in_onnx_export():  # which knows no strides
        return features_BTM[:, None]
    batch, frames, mels = features_BTM.shape
    strides = (frames * mels, 1, mels, 1)
    return features_BTM.contiguous().as_strided((batch, 1, frames, mels), strides)


def _masked(level_BCTM: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
    frame_T = torch.arange(level_BCTM.shape[2], device=level_BCTM.device)
    inside_BT = frame_T < lengths_B.to(level_BCTM.device)[:, None]
    return level_BCTM * inside_BT[:, None, :, None]
