"""What makes a training step on a CPU fast: cheap dropout masks, bfloat16 for matrix products only, kept memory."""

import ctypes
import platform
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

LEVELS = 256

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h of glibc


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
            setattr(parent, name.rpartition(".")[2], QuickDropout(layer.p, number).train(layer.training))
        elif isinstance(layer, torch.nn.Conv1d | torch.nn.Conv2d) and not hasattr(layer, "_plain_forward"):
            layer._plain_forward = layer.forward  # type: ignore[assignment]
            layer.forward = _in_float32(layer._plain_forward)  # type: ignore[method-assign]


def reseed(model: torch.nn.Module, step: int) -> None:
    """Start the masks of all quick dropouts anew from the number of the step, each layer with its own."""
    layers = [layer for layer in model.modules() if isinstance(layer, QuickDropout)]
    for number, layer in enumerate(layers):
        layer.reseed([step, number])


def keep_memory() -> bool:
    """Let glibc keep what tensors free instead of handing it back; False where there is no glibc.

    Each step allocates and frees tensors of tens of megabytes, and each of their pages faults anew when it comes
    from the kernel: about a third of the time of a step. The memory of the process stays at its peak.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = {M_MMAP_THRESHOLD: 2**30, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 2**28}
    return all([mallopt(ctypes.c_int(name), ctypes.c_int(value)) == 1 for name, value in settings.items()])


def _in_float32(forward: Any) -> Any:
    def plain(x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        with torch.autocast("cpu", enabled=False):
            return forward(x.float(), *args, **kwargs)

    return plain
