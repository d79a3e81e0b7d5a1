"""Activations whose results do not depend on the number of threads.

PyTorch shares the numbers of a tensor evenly among its threads. What is left over behind a thread's whole vectors is
computed one by one, in other bits than in vectors. Here the rows are split such that each thread has whole vectors.

Shapes: N rows, W width of the result.
"""

import math
from functools import cache

import torch
from torch.nn import functional

GRAIN = 32_768
"""Numbers below which PyTorch starts no further thread (`at::internal::GRAIN_SIZE`)."""
VECTOR = 64
"""A multiple of the numbers that any kernel computes at once."""


def silu(x_NW: torch.Tensor) -> torch.Tensor:
    """``x · sigmoid(x)``, maybe in place; any leading dimensions."""
    threads = torch.get_num_threads()
    if threads == 1 or _is_plain(x_NW):
        return functional.silu(x_NW)
    width = x_NW.shape[-1]
    parts = _parts(x_NW.numel() // width, width, threads)
    for part_NW in x_NW.view(-1, width).split(parts):
        functional.silu(part_NW, inplace=True)
    return x_NW


def glu(x_NX: torch.Tensor) -> torch.Tensor:
    """``a · sigmoid(b)`` of the halves a and b of each row; any leading dimensions."""
    threads = torch.get_num_threads()
    if threads == 1 or _is_plain(x_NX):
        return functional.glu(x_NX, dim=-1)
    width = x_NX.shape[-1] // 2
    parts = _parts(x_NX.numel() // (2 * width), width, threads)
    computed = [functional.glu(part_NX, dim=-1) for part_NX in x_NX.view(-1, 2 * width).split(parts)]
    out_NW = computed[0] if len(computed) == 1 else torch.cat(computed)
    return out_NW.view(*x_NX.shape[:-1], width)


def _is_plain(x: torch.Tensor) -> bool:
    """Whether PyTorch's own division will do: on a GPU there are no vectors, and a graph knows no threads."""
    return x.is_cuda or not x.is_contiguous() or torch.onnx.is_in_onnx_export()


@cache
def _parts(rows: int, width: int, threads: int) -> list[int]:
    """How many rows to compute after each other, so that PyTorch gives each thread whole rows and whole vectors."""
    step = VECTOR // math.gcd(VECTOR, width)
    parts = []
    while rows:
        parts.append(_part(rows, width, threads, step))
        rows -= parts[-1]
    return parts


def _part(rows: int, width: int, threads: int, step: int) -> int:
    """As many of the rows as some threads share evenly, in multiples of a step; else as many as one thread computes."""
    for sharing in range(_sharing(rows, width, threads), 0, -1):
        even = rows - rows % (sharing * step)
        if even and _sharing(even, width, threads) == sharing:
            return even
    alone = GRAIN // width
    return min(rows, max(step, alone - alone % step))


def _sharing(rows: int, width: int, threads: int) -> int:
    """How many threads PyTorch takes."""
    return min(threads, -(-rows * width // GRAIN))
