"""Opening a checkpoint for the engine: tensors only, in float32, each with the shape that the config promises."""

from dataclasses import dataclass
from pathlib import Path

import torch

from shoptalk.core import checkpoint
from shoptalk.core.errors import ModelError
from shoptalk.engine.shape import Shape


@dataclass
class Weights:
    """The tensors of a checkpoint by NeMo's names."""

    source: Path
    tensors: dict[str, torch.Tensor]
    prefix: str = ""

    def below(self, name: str) -> "Weights":
        """The tensors whose names begin with that of a module."""
        return Weights(self.source, self.tensors, f"{self.prefix}{name}.")

    def take(self, name: str, *shape: int) -> torch.Tensor:
        """A tensor in float32; `ModelError` if it is not there or has another shape."""
        tensor = self.take_if_there(name, *shape)
        if tensor is None:
            raise ModelError(f"{self.source}: has no tensor {self.prefix}{name}; its config is of another model")
        return tensor

    def take_if_there(self, name: str, *shape: int) -> torch.Tensor | None:
        """`take`, or None where there is none: biases that a checkpoint may lack."""
        full_name = self.prefix + name
        tensor = self.tensors.get(full_name)
        if tensor is None:
            return None
        if shape and tuple(tensor.shape) != shape:
            raise ModelError(f"{self.source}: {full_name} is {tuple(tensor.shape)}, its config asks for {shape}")
        return tensor.float()

    def linear(self, name: str, inputs: int, outputs: int) -> torch.nn.Linear:
        """A linear layer, or a convolution over one step as the matrix product that it is."""
        below = self.below(name)
        weight = below.take("weight")
        bias_O = below.take_if_there("bias", outputs)
        if weight.numel() != inputs * outputs:
            raise ModelError(f"{self.source}: {below.prefix}weight is {tuple(weight.shape)}, not {outputs} x {inputs}")
        return linear(weight.reshape(outputs, inputs), bias_O)

    def layer_norm(self, name: str, width: int) -> torch.nn.LayerNorm:
        below = self.below(name)
        norm = torch.nn.LayerNorm(width)
        norm.weight = frozen(below.take("weight", width))
        norm.bias = frozen(below.take("bias", width))
        return norm


def open_checkpoint(path: Path, *, sha256: str | None = None) -> tuple[Shape, Weights, bytes]:
    """Shape, tensors and SentencePiece model of a `.nemo`, checked before anything is read from it.

    `ModelError` if it is not there, broken, or no model that the engine runs; `ChecksumError`, `UnsafeCheckpointError`
    as `checkpoint.inspect` raises them.
    """
    info = checkpoint.inspect(path, sha256=sha256)
    shape = Shape.of(info)
    return shape, Weights(path, checkpoint.read_weights(info)), checkpoint.read_member(info, info.tokenizer)


def linear(weight_OI: torch.Tensor, bias_O: torch.Tensor | None) -> torch.nn.Linear:
    """A linear layer of given weights."""
    layer = torch.nn.Linear(weight_OI.shape[1], weight_OI.shape[0], bias=bias_O is not None, device="meta")
    layer.weight = frozen(weight_OI.contiguous())
    if bias_O is not None:
        layer.bias = frozen(bias_O)
    return layer


def frozen(tensor: torch.Tensor) -> torch.nn.Parameter:
    """A parameter that nothing trains."""
    return torch.nn.Parameter(tensor, requires_grad=False)
