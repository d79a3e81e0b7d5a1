"""CUDA graphs on a CPU, for tests of what captures and replays."""

from contextlib import nullcontext
from itertools import count
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from shoptalk.engine.gpu import graphs


class Recorded(TorchDispatchMode):
    """A CUDA graph on a CPU: the operations of the capture, taken again on the same tensors, whatever lies in them."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        self.calls.append((function, args, kwargs or {}, made))
        return made

    def replay(self) -> None:
        for function, args, kwargs, made in self.calls:
            for held, new in zip(tree_leaves(made), tree_leaves(function(*args, **kwargs)), strict=True):
                assert isinstance(held, torch.Tensor), f"{function} tells the host something"
                held.copy_(new)


def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Let all that captures record; gives the pool and the stream of each capture, as they come."""
    captures: list[tuple[str, int]] = []
    pools = (f"pool {number}" for number in count())
    lanes: list[graphs.Lane] = []  # kept, so that no two streams have the same id

    def capture(graph: Recorded, pool: str, stream: object) -> Recorded:
        captures.append((pool, id(stream)))
        return graph

    def lane_on(device: torch.device, *, priority: int = 0) -> graphs.Lane:
        lanes.append(graphs.Lane(MagicMock(), next(pools)))
        return lanes[-1]

    monkeypatch.setattr(graphs, "lane_on", lane_on)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: None)
    for name, replacement in {
        "CUDAGraph": Recorded,
        "graph_pool_handle": lambda: next(pools),
        "graph": capture,
        "stream": lambda stream: nullcontext(),
        "current_stream": MagicMock,
    }.items():
        monkeypatch.setattr(torch.cuda, name, replacement)
    return captures
