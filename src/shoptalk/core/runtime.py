"""How a process uses its processor: threads, memory and kernels, set once by whoever starts it and passed on."""

import ctypes
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from shoptalk.core import config
from shoptalk.core.records import Samples

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h of glibc
KERNELS_KEPT = 8192
"""Compiled kernels that oneDNN keeps: it has one for each shape of a batch."""


@dataclass(frozen=True)
class GpuUse:
    """The paths of a GPU that are asked for; any of them goes with any other. Without one: plain PyTorch."""

    attention_kernel: bool = False
    """Attention as one Triton kernel."""
    fused_kernels: bool = False
    """All of Triton's kernels: attention, subsampling, convolutions and norms, and the rounds of device decoding."""
    cuda_graphs: bool = False
    """The encoder as CUDA graphs, and with `device_decoding` the rounds too; a batch is then decoded while the next is
    encoded."""
    device_decoding: bool = False
    """Greedy decoding on the device. Beams, phrases and alternatives are decoded on the host all the same."""
    fp8_recordings: tuple[Samples, ...] = ()
    """Real speech that the scales of 8-bit floats in the feed-forward layers are chosen by; none: no 8-bit floats."""


@dataclass(frozen=True)
class Runtime:
    """What a process was set to."""

    threads: int
    """Threads of PyTorch in one product of matrices."""
    device: str = "cpu"
    """What the engine computes on, as PyTorch writes it."""
    gpu: GpuUse = GpuUse()
    """By which of its paths."""


def no_core_dumps() -> None:
    """Keep this process, and those it starts, from writing their memory to a file when they crash.

    A program that the system pipes core dumps to is told of the limit too; systemd's obeys it.
    """
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def start(*, threads: int = 0, device: str = "cpu", gpu: GpuUse | None = None) -> Runtime:
    """Set this process up for work on tensors; `threads` 0 leaves as many as PyTorch chose.

    To be called before PyTorch is imported, so that oneDNN keeps the kernels of all shapes.
    """
    config.preset({"ONEDNN_PRIMITIVE_CACHE_CAPACITY": str(KERNELS_KEPT)})
    keep_memory()
    if threads:
        set_threads(threads)
    return current(device=device, gpu=gpu)


def current(*, device: str = "cpu", gpu: GpuUse | None = None) -> Runtime:
    """The process as it stands; changes nothing."""
    import torch

    return Runtime(threads=torch.get_num_threads(), device=device, gpu=gpu or GpuUse())


def set_threads(threads: int) -> None:
    """How many threads PyTorch may use for what the calling thread asks of it."""
    import torch

    torch.set_num_threads(threads)


@contextmanager
def using_threads(threads: int) -> Iterator[None]:
    """Let PyTorch use so many threads within the block, and as many as before after it; 0 changes nothing."""
    import torch

    before = torch.get_num_threads()
    try:
        if threads:
            set_threads(threads)
        yield
    finally:
        set_threads(before)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed PyTorch's own generators, of the CPU and of every GPU; after the block they go on where they stood."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def keep_memory() -> bool:
    """Let glibc keep what tensors free instead of handing it back; False where there is no glibc.

    A step allocates and frees tensors of tens of megabytes, and each of their pages faults anew when it comes from the
    kernel: about a third of the time of a training step, more than half of an encoder's convolutions. The memory of the
    process stays at its peak.
    """
    if not _has_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = {M_MMAP_THRESHOLD: 2**30, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 2**28}
    accepted = [mallopt(ctypes.c_int(name), ctypes.c_int(value)) == 1 for name, value in settings.items()]
    return all(accepted)


def give_back_memory() -> None:
    """Hand what was freed so far back to the kernel, where there is glibc: what loading a model needed, say."""
    if _has_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def _has_glibc() -> bool:
    return sys.platform == "linux" and platform.libc_ver()[0] == "glibc"
