"""The matrix products of the encoder in 8 bits on a CPU, with a scale for each output channel and each input row.

A row is a frame of a recording. It is scaled by its own peak, so its result does not depend on the recordings beside
it, and a loud frame takes no precision from a quiet one. Products are summed in integers, so they are exact.

The kernels are PyTorch's: FBGEMM, or on a processor without it the plain integer product. docs/LOG.md compares them.
Where two products are summed in 16 bits (AVX2 without VNNI) activations are held to 7 bits, so that the sum cannot
overflow.

Shapes: N rows, I inputs, O outputs.
"""

import warnings
from typing import Literal

import torch

from shoptalk.core import device

LEVELS = 127
"""Of a weight to each side of zero."""
SMALLEST = 1e-8
"""A row or channel whose peak is smaller is zero."""

Kernel = Literal["fbgemm", "plain"]


class Int8Linear(torch.nn.Module):
    """A linear layer whose weights are int8; (…, inputs) → (…, outputs) in float32."""

    def __init__(self, layer: torch.nn.Linear, *, kernel: Kernel | None = None):
        super().__init__()
        weight_OI = layer.weight.detach()
        self.inputs_levels = 2 ** (device.int8_activation_bits(device.processor()) - 1) - 1
        self.bias_O = layer.bias
        self.kernel = kernel or available_kernel()
        self.scale_O = weight_OI.abs().amax(dim=1).clamp(min=SMALLEST) / LEVELS
        self.weight_OI = (weight_OI / self.scale_O[:, None]).round().to(torch.int8)
        if self.kernel == "fbgemm":
            zero_O = torch.zeros(len(self.scale_O), dtype=torch.long)
            with warnings.catch_warnings():  # PyTorch will remove such tensors in a later version; the pin keeps them
                warnings.filterwarnings("ignore", message=".*are deprecated", category=UserWarning)
                quantized_OI = torch._make_per_channel_quantized_tensor(self.weight_OI, self.scale_O, zero_O, 0)
            self.packed = torch.ops.quantized.linear_prepack(quantized_OI, None)
            del self.weight_OI  # it is in what was packed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x_NI = x.flatten(0, -2)
        peak_N1 = x_NI.abs().amax(dim=1, keepdim=True).clamp_(min=SMALLEST)
        out_NO = self._product(x_NI / peak_N1)
        out_NO = out_NO.mul_(peak_N1) if self.bias_O is None else torch.addcmul(self.bias_O, out_NO, peak_N1)
        return out_NO.view(*x.shape[:-1], len(self.scale_O))

    def _product(self, x_NI: torch.Tensor) -> torch.Tensor:
        """The product (N, O), without bias, of inputs within -1..1."""
        if self.kernel == "fbgemm":
            zero = self.inputs_levels + 1
            multiply = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32
            out_NO: torch.Tensor = multiply(x_NI, 1 / self.inputs_levels, zero, self.packed)
            return out_NO
        sums_NO = torch._int_mm((x_NI * self.inputs_levels).round_().to(torch.int8), self.weight_OI.t())
        return sums_NO * (self.scale_O / self.inputs_levels)


def available_kernel() -> Kernel:
    """FBGEMM, the fastest here, where PyTorch was built with it: on x86.

    The plain product must not be taken on an x86 without VNNI: there it shifts its inputs to 8 bits, and sums overflow.
    """
    return "fbgemm" if "fbgemm" in torch.backends.quantized.supported_engines else "plain"


def quantize(model: torch.nn.Module) -> None:
    """Swap the linear layers of a model, in place; positions are projected once and stay as they are."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, torch.nn.Linear) and name != "position":
                setattr(parent, name, Int8Linear(layer))
