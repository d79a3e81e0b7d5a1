"""What makes a training step on a CPU fast: cheap dropout masks, and bfloat16 for matrix products only."""

from typing import Any

import numpy as np
import torch

LEVELS = 256


class QuickDropout(torch.nn.Module):
    """Dropout whose mask is made of random bytes: `torch.bernoulli_` costs some 20 ns for each element on a CPU.

    The rate is rounded to 1/256.
    """

    def __init__(self, rate: float, seed: int):
        super().__init__()
        self.p = rate
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Start the masks anew."""
        self._rng = np.random.Generator(np.random.SFC64(seed))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dropped = round(self.p * LEVELS)
        if not self.training or not dropped:
            return x
        bytes_ = np.frombuffer(self._rng.bytes(x.numel()), np.uint8).reshape(x.shape)
        kept = torch.from_numpy((bytes_ >= dropped).astype(np.float32) * np.float32(LEVELS / (LEVELS - dropped)))
        return x * kept.to(x.dtype)


def quicken(model: torch.nn.Module) -> None:
    """Swap the dropouts of a model on CPU and keep its convolutions in float32 under autocast, in place.

    oneDNN's backward pass of small bfloat16 convolutions takes three times as long as that in float32.
    """
    for number, (name, layer) in enumerate(list(model.named_modules())):
        if isinstance(layer, torch.nn.Dropout):
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], QuickDropout(layer.p, number))
        elif isinstance(layer, torch.nn.Conv1d | torch.nn.Conv2d) and not hasattr(layer, "_plain_forward"):
            layer._plain_forward = layer.forward  # type: ignore[assignment]
            layer.forward = _in_float32(layer._plain_forward)  # type: ignore[method-assign,assignment]


def _in_float32(forward: Any) -> Any:
    def plain(x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        with torch.autocast("cpu", enabled=False):
            return forward(x.float(), *args, **kwargs)

    return plain
