"""Encoders of any shape with random weights, without NeMo; those of one shape have the same weights."""

import math
from functools import cache
from pathlib import Path

import torch

from shoptalk.engine.encoder import Encoder
from shoptalk.engine.int8 import quantize
from shoptalk.engine.recognizer import Precision
from shoptalk.engine.shape import Shape
from shoptalk.engine.weights import Weights


def shape(*, d_model: int, heads: int, channels: int, mels: int, layers: int) -> Shape:
    """Parakeet's shape but for these numbers."""
    return Shape(
        mels=mels,
        n_fft=512,
        hop=160,
        preemphasis=0.97,
        log_guard=2.0**-24,
        layers=layers,
        d_model=d_model,
        heads=heads,
        kernel=9,
        channels=channels,
        scaled_input=False,
        reach=None,
        predictor=640,
        predictor_layers=2,
        joint=640,
        activation="relu",
        vocabulary=1024,
        durations=(0, 1, 2, 3, 4),
        max_symbols=10,
    )


@torch.inference_mode()
def build(of: Shape, precision: Precision) -> Encoder:
    tensors = {name: tensor.clone() for name, tensor in _tensors(of).items()}  # the encoder folds some in place
    encoder = Encoder(of, Weights(Path("random"), tensors))
    if precision == "int8":
        quantize(encoder)
    return encoder.to(torch.bfloat16 if precision == "bf16" else torch.float32)


class _Draw:
    """Random tensors, so small that frames keep their size."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(3)

    def matrix(self, *sizes: int) -> torch.Tensor:
        inputs = torch.Size(sizes[1:]).numel()
        return torch.randn(*sizes, generator=self.generator) / math.sqrt(inputs)

    def vector(self, size: int, around: float = 0.0) -> torch.Tensor:
        return around + torch.randn(size, generator=self.generator) / 10


@cache
def _tensors(of: Shape) -> dict[str, torch.Tensor]:
    """By NeMo's names."""
    draw = _Draw()
    tensors = _subsampling(draw, of)
    for layer in range(of.layers):
        named = _layer(draw, of)
        tensors |= {f"layers.{layer}.{name}": tensor for name, tensor in named.items()}
    return tensors


def _subsampling(draw: _Draw, of: Shape) -> dict[str, torch.Tensor]:
    channels = of.channels
    tensors = {f"conv.{number}.weight": draw.matrix(channels, 1, 3, 3) for number in (0, 2, 5)}
    tensors |= {f"conv.{number}.weight": draw.matrix(channels, channels, 1, 1) for number in (3, 6)}
    tensors |= {f"conv.{number}.bias": draw.vector(channels) for number in (0, 2, 3, 5, 6)}
    tensors["out.weight"] = draw.matrix(of.d_model, channels * of.mels // 8)
    tensors["out.bias"] = draw.vector(of.d_model)
    return {f"pre_encode.{name}": tensor for name, tensor in tensors.items()}


def _layer(draw: _Draw, of: Shape) -> dict[str, torch.Tensor]:
    width = of.d_model
    tensors = {}
    for norm in ("norm_feed_forward1", "norm_feed_forward2", "norm_self_att", "norm_conv", "norm_out"):
        tensors[f"{norm}.weight"] = draw.vector(width, around=1.0)
        tensors[f"{norm}.bias"] = draw.vector(width)
    for forward in ("feed_forward1", "feed_forward2"):
        tensors[f"{forward}.linear1.weight"] = draw.matrix(4 * width, width)
        tensors[f"{forward}.linear2.weight"] = draw.matrix(width, 4 * width)
    for name in ("q", "k", "v", "pos", "out"):
        tensors[f"self_attn.linear_{name}.weight"] = draw.matrix(width, width)
    for name in ("u", "v"):
        tensors[f"self_attn.pos_bias_{name}"] = draw.vector(width).view(of.heads, -1)
    tensors["conv.pointwise_conv1.weight"] = draw.matrix(2 * width, width, 1)
    tensors["conv.depthwise_conv.weight"] = draw.matrix(width, 1, of.kernel)
    tensors["conv.pointwise_conv2.weight"] = draw.matrix(width, width, 1)
    for name, around in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
        tensors[f"conv.batch_norm.{name}"] = draw.vector(width, around=around)
    return tensors
