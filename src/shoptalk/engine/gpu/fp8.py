"""The feed-forward layers of the encoder in 8-bit floats (e4m3), for GPUs that multiply in them (from sm_89 on).

Weights and inputs have one scale each for the whole tensor; that of the inputs comes from recordings encoded before.

Shapes: N frames, I inputs, O outputs.
"""

from collections.abc import Iterable

import torch

from shoptalk.core.errors import ModelError
from shoptalk.engine.encoder import Encoder, FeedForward

LARGEST = torch.finfo(torch.float8_e4m3fn).max
"""448; what lies above is held there, since e4m3 has no infinity and would make it no number."""
LEAST_CAPABILITY = (8, 9)
CPU_TYPE = torch.float32


def rounded(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """x / scale in e4m3, held within its range."""
    return (x / scale).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn)


class Float8Linear(torch.nn.Module):
    """A linear layer in e4m3; (…, I) → (…, O) in the type of its input, summed in float32."""

    weight_IO: torch.Tensor
    weight_scale: torch.Tensor
    input_scale: torch.Tensor
    bias_O: torch.Tensor | None

    def __init__(self, layer: torch.nn.Linear, largest_input: float):
        super().__init__()
        weight_scale = layer.weight.abs().amax().float().clamp(min=1e-12) / LARGEST
        # transposed in strides only: the product wants its second matrix column by column
        self.register_buffer("weight_IO", rounded(layer.weight.float(), weight_scale).t())
        self.register_buffer("weight_scale", weight_scale)
        self.register_buffer("input_scale", weight_scale.new_tensor(max(largest_input, 1e-12) / LARGEST))
        self.register_buffer("bias_O", layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out_NO = self.product(rounded(x.flatten(0, -2), self.input_scale), x.dtype)
        return out_NO.view(*x.shape[:-1], -1)

    def product(self, x_NI: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Inputs in e4m3, divided by their scale, to outputs of a type."""
        if not x_NI.is_cuda:  # the same numbers, for tests: a CPU has no such product
            out_NO = x_NI.to(CPU_TYPE) @ self.weight_IO.to(CPU_TYPE) * (self.input_scale * self.weight_scale)
            return (out_NO if self.bias_O is None else out_NO + self.bias_O).to(dtype)
        # the product adds no bias where it gives float32
        bias_O = None if dtype == torch.float32 else self.bias_O
        out_NO = torch._scaled_mm(
            x_NI, self.weight_IO, self.input_scale, self.weight_scale, bias_O, out_dtype=dtype, use_fast_accum=True
        )
        return out_NO + self.bias_O if self.bias_O is not None and bias_O is None else out_NO


def quantize(encoder: Encoder, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Swap the feed-forward layers of an encoder in place, after it encoded batches of features and their frames.

    To be done last: `to` with another type would change the scales. `ModelError` if there are no batches, or if the
    encoder lies on a GPU without such products.
    """
    device = next(encoder.parameters()).device
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < LEAST_CAPABILITY:
        raise ModelError(f"{torch.cuda.get_device_name(device)} has no 8-bit floats; leave the encoder in bfloat16")
    forwards = [module for module in encoder.modules() if isinstance(module, FeedForward)]
    largest: dict[torch.nn.Module, float] = {}

    def note(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        largest[layer] = max(largest.get(layer, 0.0), inputs[0].abs().amax().item())

    hooks = []
    for forward in forwards:
        for layer in (forward.up, forward.down):
            hooks.append(layer.register_forward_pre_hook(note))
    try:
        with torch.inference_mode():
            for features_BTM, frames_B in batches:
                encoder.padded(features_BTM, frames_B, encoder.subsampling.frames(frames_B))
    finally:
        for hook in hooks:
            hook.remove()
    if not largest:
        raise ModelError("no recordings to choose the scales by; give some batches of real speech")
    for forward in forwards:
        for name in ("up", "down"):
            layer = getattr(forward, name)
            setattr(forward, name, Float8Linear(layer, largest[layer]))
