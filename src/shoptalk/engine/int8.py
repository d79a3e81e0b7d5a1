"""The matrix products of the encoder in 8 bits on a CPU: weights by output channel, activations as they come.

PyTorch's own kernels (oneDNN, FBGEMM), about twice as fast as float32 (docs/LOG.md). Where two products are summed
in 16 bits (AVX2 without VNNI) activations are held to 7 bits, so that the sum cannot overflow.
"""

import torch

from shoptalk.core import device


class Int8Linear(torch.nn.Module):
    """A linear layer whose weights are int8; (…, inputs) → (…, outputs) in float32."""

    def __init__(self, layer: torch.nn.Linear):
        super().__init__()
        weight_OI = layer.weight.detach()
        scale_O = weight_OI.abs().amax(dim=1).clamp(min=1e-8) / 127
        zero_O = torch.zeros(len(scale_O), dtype=torch.long)
        quantized_OI = torch.quantize_per_channel(weight_OI, scale_O, zero_O, 0, torch.qint8)
        self.packed = torch.ops.quantized.linear_prepack(quantized_OI, layer.bias)
        self.outputs = len(scale_O)
        self.reduce_range = device.int8_activation_bits(device.processor()) < 8

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out_NO = torch.ops.quantized.linear_dynamic(x.flatten(0, -2), self.packed, self.reduce_range)
        return out_NO.view(*x.shape[:-1], self.outputs)


def quantize(model: torch.nn.Module) -> None:
    """Swap the linear layers of a model, in place; positions are projected once and stay as they are."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, torch.nn.Linear) and name != "position":
                setattr(parent, name, Int8Linear(layer))
