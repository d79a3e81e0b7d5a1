"""What makes a training step on a CPU fast: cheap dropout masks, convolutions in the layout and type that oneDNN is
fast in, bfloat16 for matrix products only.

Shapes: B utterances, T mel frames, M mel bins, C channels.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from shoptalk.integrations import nemo

LEVELS = 256


class QuickDropout(torch.nn.Module):
    """Dropout whose mask is made of random bytes: `torch.bernoulli_` costs some 20 ns for each element on a CPU.

    The rate is rounded to 1/256.
    """

    def __init__(self, rate: float, seed: int | Sequence[int]):
        super().__init__()
        self.p = rate
        self.reseed(seed)

    def reseed(self, seed: int | Sequence[int]) -> None:
        """Start the masks anew."""
        self._rng = np.random.Generator(np.random.SFC64(seed))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dropped = round(self.p * LEVELS)
        if not self.training or not dropped:
            return x
        draws = np.frombuffer(self._rng.bytes(x.numel()), np.uint8).reshape(x.shape)
        scale = np.float32(LEVELS / (LEVELS - dropped))  # keeps the mean
        mask = torch.from_numpy((draws >= dropped).astype(np.float32) * scale)
        return x * mask.to(x.dtype)


def quicken(model: torch.nn.Module) -> None:
    """Swap the dropouts of a model on CPU, keep its convolutions and LSTMs in float32 under autocast, and subsample
    with the channels last, in place.

    oneDNN's backward pass of small bfloat16 convolutions takes three times as long as that in float32, and its
    backward pass of strided depthwise convolutions four times as long with the channels first as with them last.
    For a CPU with AVX2 alone oneDNN has no LSTM in bfloat16, and on others one of 640 units is slower than in float32.
    """
    layers = list(model.named_modules())
    for number, (name, layer) in enumerate(layers):
        if isinstance(layer, torch.nn.Dropout):
            _replace(model, name, QuickDropout(layer.p, number).train(layer.training))
        elif isinstance(layer, torch.nn.LSTM):
            _compute(layer, _in_float32)
        elif isinstance(layer, torch.nn.Conv1d | torch.nn.Conv2d):
            _compute(layer, _pointwise if _is_pointwise(layer) else _in_float32)
        elif nemo.is_masked_subsampling(layer):
            _compute(layer.to(memory_format=torch.channels_last), subsample)


def _replace(model: torch.nn.Module, name: str, layer: torch.nn.Module) -> None:
    """Put a layer in the place of the one with this name, e.g. ``encoder.layers.0.dropout``."""
    parent, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(parent), attribute, layer)


def _compute(layer: Any, function: Any) -> None:
    """Let a layer compute by a function of the layer and its inputs; its weights stay where they are."""
    layer.forward = partial(function, layer)


def subsample(layers: Any, features_BTM: torch.Tensor, frames_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """NeMo's masked subsampling with the channels last, and masks only where padding would reach a neighbour.

    Returns (B, C, T / 8, M / 8) and the lengths (B,), as `MaskedConvSequential.forward` does.
    """
    utterances, frames, mels = features_BTM.shape
    # With one channel both layouts are the same; oneDNN goes by the strides, which `to` would leave as they are.
    out = features_BTM.contiguous().as_strided((utterances, 1, frames, mels), (frames * mels, 1, mels, 1))
    lengths_B = frames_B
    for layer in layers:
        if isinstance(layer, torch.nn.Conv2d) and layer.kernel_size != (1, 1):
            out = layer(_masked(out, lengths_B))
            lengths_B = (lengths_B + 2 * int(layer.padding[0]) - layer.kernel_size[0]) // layer.stride[0] + 1
        else:
            out = layer(out)
    return _masked(out, lengths_B), lengths_B


def _masked(out_BCTM: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
    frames = out_BCTM.shape[2]
    if int(lengths_B.min()) >= frames:
        return out_BCTM
    kept_BT = torch.arange(frames, device=lengths_B.device) < lengths_B[:, None]
    return out_BCTM * kept_BT[:, None, :, None]


def reseed(model: torch.nn.Module, step: int) -> None:
    """Start the masks of all quick dropouts anew from the number of the step, each layer with its own."""
    layers = [layer for layer in model.modules() if isinstance(layer, QuickDropout)]
    for number, layer in enumerate(layers):
        layer.reseed([step, number])


def _is_pointwise(layer: torch.nn.Conv1d | torch.nn.Conv2d) -> bool:
    return set((*layer.kernel_size, *layer.stride, layer.groups)) == {1} and not any(layer.padding)


def _pointwise(layer: torch.nn.Conv1d | torch.nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """A convolution over one step as the matrix product that it is; on one thread torch would copy x for it first."""
    weight_OC = layer.weight.flatten(1)
    return torch.nn.functional.linear(x.movedim(1, -1), weight_OC, layer.bias).movedim(-1, 1)


def _in_float32(layer: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    with torch.autocast("cpu", enabled=False):
        out: torch.Tensor = type(layer).forward(layer, x.float(), *args, **kwargs)
    return out
