"""What this CPU can do, and how its memory is best kept between tensors."""

import ctypes
import platform
import sys
from pathlib import Path

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h of glibc


def keep_memory() -> bool:
    """Let glibc keep what tensors free instead of handing it back; False where there is no glibc.

    A step allocates and frees tensors of tens of megabytes, and each of their pages faults anew when it comes from the
    kernel: about a third of the time of a training step, more than half of an encoder's convolutions. The memory of the
    process stays at its peak.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = {M_MMAP_THRESHOLD: 2**30, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 2**28}
    return all([mallopt(ctypes.c_int(name), ctypes.c_int(value)) == 1 for name, value in settings.items()])


def give_back_memory() -> None:
    """Hand what was freed so far back to the kernel, where there is glibc: what loading a model needed, say."""
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def flags(cpu_info: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The instruction sets of the first core, by Linux's names; empty where they cannot be read."""
    lines = cpu_info.read_text().splitlines() if cpu_info.is_file() else []
    return frozenset(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), ()))


def multiplies_bfloat16(cpu_info: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU has instructions for bfloat16 products; without them bfloat16 is slower than float32."""
    return not flags(cpu_info).isdisjoint(("avx512_bf16", "amx_bf16"))


def sums_int8_exactly() -> bool:
    """Whether int8 products are summed in 32 bits; AVX2 alone sums two in 16 bits, which may overflow."""
    return not flags().isdisjoint(("avx512_vnni", "avx_vnni", "amx_int8"))


def isa() -> str:
    """The widest instruction set for matrix products, e.g. ``amx``, ``avx512_vnni`` or ``avx2``."""
    order = ("amx_int8", "avx512_vnni", "avx512f", "avx_vnni", "avx2", "asimd")
    return next((name for name in order if name in flags()), platform.machine())
