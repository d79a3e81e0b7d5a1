"""What an engine computes on a GPU, by the paths that `runtime.GpuUse` names; without any of them plain PyTorch.

On a CPU the same code runs without capture and streams, the kernels in Triton's interpreter: for tests and rehearsals.

Shapes: B rows, T mel frames or frames of 80 ms, M mel bins, D width of the encoder.
"""

import copy
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch

from shoptalk.core.errors import ModelError
from shoptalk.core.runtime import GpuUse
from shoptalk.engine.encoder import Encoder
from shoptalk.engine.gpu.fp8 import quantize
from shoptalk.engine.gpu.graphs import GraphedEncoder, Padded, Pipeline
from shoptalk.engine.gpu.looping import Looping
from shoptalk.engine.greedy import Decoded
from shoptalk.engine.transducer import Transducer

if TYPE_CHECKING:  # it needs Triton
    from shoptalk.engine.gpu.rounds import FusedLooping

Batch = tuple[torch.Tensor, torch.Tensor]
"""Features (B, T, M) on the device, and how many of their frames count (B,), on the host."""


class GpuPaths:
    """An encoder and a transducer on one device, by the paths that `use` names."""

    def __init__(
        self,
        encoder: Encoder,
        transducer: Transducer,
        use: GpuUse,
        *,
        calibration: Iterable[Batch] = (),
    ):
        """The encoder lies on its device in its type, and is changed in place; the transducer is copied.

        `calibration` are the batches of `GpuUse.fp8_recordings`. `ModelError` for paths that cannot go together,
        and where `fp8.quantize` has one; `MissingToolError` where Triton is asked for and not there.
        """
        device = next(encoder.parameters()).device
        has_kernel = use.attention_kernel or use.fused_kernels
        if has_kernel:
            _check_kernels(device)
        elif encoder.reach is not None and (use.cuda_graphs or use.fp8_recordings):
            raise ModelError(
                "graphs and 8-bit floats pad their batches, and only the attention kernel pads where attention is "
                "local; add engine.attention_kernel, or leave them out"
            )
        self._encoder = encoder
        self._has_kernel = has_kernel
        self._padded: Padded = encoder.padded
        if has_kernel:
            from shoptalk.engine.gpu.attention import fuse

            fuse(encoder)
        if use.fp8_recordings:
            quantize(encoder, calibration)
        if use.fused_kernels:
            from shoptalk.engine.gpu.layers import FusedEncoder

            self._padded = FusedEncoder(encoder)
        self._graphs = GraphedEncoder(encoder, padded=self._padded) if use.cuda_graphs else None
        self._looping: Looping | FusedLooping | None = None
        self._pipeline: Pipeline | None = None
        if use.device_decoding:
            self._looping = _looping(copy.deepcopy(transducer).to(device), is_fused=use.fused_kernels)
        if self._looping and use.cuda_graphs:
            self._pipeline = Pipeline(encoder, self._looping, padded=self._padded)

    @property
    def decodes(self) -> bool:
        """Whether `decode` can be called."""
        return self._looping is not None

    def encode(self, features_BTM: torch.Tensor, frames_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`Encoder.forward`."""
        lengths_B = self._encoder.subsampling.frames(frames_B)
        if self._graphs:
            return self._graphs.frames(features_BTM, frames_B), lengths_B
        if not self._has_kernel:
            return self._encoder(features_BTM, frames_B)
        on_device = features_BTM.device
        return self._padded(features_BTM, frames_B.to(on_device), lengths_B.to(on_device)), lengths_B

    @torch.inference_mode()
    def decode(self, batches: Iterable[Batch]) -> Iterator[list[Decoded]]:
        """The greedy tokens of each batch in turn; with graphs the next batch is taken before one is given."""
        if self._pipeline:
            yield from self._pipeline.decode(batches)
            return
        if not self._looping:
            raise ModelError("nothing decodes on the device; ask for `GpuUse.device_decoding`")
        for features_BTM, frames_B in batches:
            encoded_BTD, lengths_B = self.encode(features_BTM, frames_B)
            yield self._looping.decode(encoded_BTD.float(), lengths_B)

    def forget(self) -> None:
        """Give back the memory of all graphs; they are captured again when they are needed."""
        for holder in (self._graphs, self._pipeline):
            if holder:
                holder.forget()


def _looping(transducer: Transducer, *, is_fused: bool) -> "Looping | FusedLooping":
    if not is_fused:
        return Looping(transducer)
    from shoptalk.engine.gpu.rounds import FusedLooping

    return FusedLooping(transducer)


def _check_kernels(device: torch.device) -> None:
    from shoptalk.engine.gpu.attention import is_interpreted

    if device.type == "cpu" and not is_interpreted():
        raise ModelError(
            "the kernels are for a GPU; leave engine.attention_kernel and engine.fused_kernels out on a CPU "
            "(TRITON_INTERPRET=1 runs them there for tests, very slowly)"
        )
