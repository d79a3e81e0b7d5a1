"""Work on a GPU that is recorded once for each shape of its inputs and then repeated, so that the host launches one
graph instead of thousands of kernels.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

Outputs = Mapping[str, torch.Tensor]
Work = Callable[..., Outputs]

WARM_UPS = 2
"""Runs before a recording: libraries choose and allocate, and kernels are compiled."""


@dataclass(frozen=True)
class Recorded:
    """A recording, the memory that it reads, and the memory that it writes."""

    graph: Any
    inputs: Sequence[torch.Tensor]
    outputs: Outputs


class Graphs:
    """`work` as one graph for each shape of its inputs; all of them share one pool of memory.

    What a call gives is overwritten by the next one. The work must not make the host wait, and what it changes besides
    its outputs (gradients, weights, statistics) must keep its place in memory. It is called on the current stream,
    which must not be the device's first one. On a CPU the work is done each time, on the same memory.
    """

    def __init__(self, work: Work, device: torch.device):
        self._work = work
        self._device = device
        self._recorded: dict[tuple[torch.Size, ...], Recorded] = {}
        self._pool: Any = None

    def __call__(self, *inputs: torch.Tensor) -> Outputs:
        shapes = tuple(part.shape for part in inputs)
        if shapes not in self._recorded:
            self._recorded[shapes] = self._record(inputs)
        recorded = self._recorded[shapes]
        for own, given in zip(recorded.inputs, inputs, strict=True):
            own.copy_(given)
        if self._device.type == "cpu":
            return self._work(*recorded.inputs)
        recorded.graph.replay()
        return recorded.outputs

    def __len__(self) -> int:
        return len(self._recorded)

    def _record(self, inputs: Sequence[torch.Tensor]) -> Recorded:
        own = [part.clone() for part in inputs]
        if self._device.type == "cpu":
            return Recorded(None, own, {})
        stream = torch.cuda.current_stream(self._device)
        for _ in range(WARM_UPS):
            self._work(*own)
        torch.cuda.synchronize(self._device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"):
            outputs = self._work(*own)
        self._pool = self._pool or graph.pool()
        return Recorded(graph, own, outputs)


def own_stream(device: torch.device) -> AbstractContextManager[Any]:
    """A stream of its own, on which work may be recorded; nothing on a CPU."""
    if device.type != "cuda":
        return nullcontext()
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    return torch.cuda.stream(stream)
