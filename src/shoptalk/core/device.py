"""What the processor and the accelerator can do, and every choice that depends on it; nothing else asks them.

``SHOPTALK_CPU=avx2`` narrows what is found to AVX2, so that a newer machine runs an older one's paths. `narrow` tells
the libraries the same, and must be called before they are loaded. ONNX Runtime, llama.cpp, soxr, FFmpeg and
sentencepiece cannot be told: they go on using what the processor has.
"""

import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from shoptalk.core import config
from shoptalk.core.errors import DeviceError

CPU_INFO = Path("/proc/cpuinfo")
SHARED_MEMORY = Path("/dev/shm")
VARIABLE = "SHOPTALK_CPU"
"""The environment variable that narrows the processor."""
NARROWED = {
    "avx2": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "FBGEMM_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",  # the first processor with AVX2, and with nothing newer
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "",
        "CT2_FORCE_CPU_ISA": "AVX2",
    }
}
"""For each value of the variable, what tells oneDNN, PyTorch, MKL, FBGEMM, OpenBLAS, numba and CTranslate2 the same."""
NUMPY_VARIABLE = "NPY_DISABLE_CPU_FEATURES"
BEYOND_AVX2 = ("avx512", "avx10", "avx_vnni", "avx_ifma", "avx_ne", "amx")
"""How the flags of instruction sets begin that a processor with AVX2 alone does not have."""
TELLING = (
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "amx_int8",
    "neon",
    "asimd",
    "asimddp",
    "bf16",
    "i8mm",
    "sve",
)
"""CPU flags that decide how fast matrices are multiplied; published with figures."""

TrainingPrecision = Literal["bf16-mixed", "32-true"]


@dataclass(frozen=True)
class Processor:
    """A CPU: its model, architecture, instruction sets by Linux's names, and the cores that this process may use."""

    model: str
    architecture: str
    flags: frozenset[str]
    cores: int


@dataclass(frozen=True)
class Accelerator:
    """What PyTorch computes on: ``cuda`` with its compute capability, or ``cpu`` where there is no GPU."""

    kind: Literal["cuda", "cpu"]
    name: str = ""
    capability: tuple[int, int] = (0, 0)
    multiplies_bfloat16: bool = False


CPU_ONLY = Accelerator("cpu")


# What is there.


@cache
def processor() -> Processor:
    """The processor of this machine, narrowed if the environment says so."""
    return narrowed(read_processor(CPU_INFO), config.environment(VARIABLE))


def read_processor(cpu_info: Path) -> Processor:
    """The processor that the kernel describes; without flags where there is no such file, as on macOS."""
    facts: dict[str, str] = {}
    lines = cpu_info.read_text(encoding="utf-8", errors="replace").splitlines() if cpu_info.is_file() else []
    for line in lines:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())  # of the first core
    flags = facts.get("flags") or facts.get("Features") or ""
    model = facts.get("model name") or platform.processor() or platform.machine()
    return Processor(model, platform.machine(), frozenset(flags.split()), cores())


def narrowed(processor: Processor, to: str) -> Processor:
    """A processor without the instruction sets beyond `to`; the same processor for an empty `to`."""
    if not to:
        return processor
    _check_known(to)
    kept = frozenset(flag for flag in processor.flags if not flag.startswith(BEYOND_AVX2))
    return replace(processor, flags=kept)


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def accelerator() -> Accelerator:
    """The first GPU, or the CPU where there is none."""
    import torch

    if not torch.cuda.is_available():
        return CPU_ONLY
    return Accelerator(
        "cuda", torch.cuda.get_device_name(), torch.cuda.get_device_capability(), torch.cuda.is_bf16_supported()
    )


def machine() -> dict[str, object]:
    """CPU model, cores and instruction sets, to be published with figures."""
    here = processor()
    return {
        "cpu": here.model,
        "cores": here.cores,
        "instruction_set": [here.architecture, *(flag for flag in TELLING if flag in here.flags)],
    }


# What it can do.


def multiplies_bfloat16(processor: Processor) -> bool:
    """Whether the CPU has instructions for bfloat16 products; without them bfloat16 is slower than float32."""
    return not processor.flags.isdisjoint(("avx512_bf16", "amx_bf16"))


def sums_int8_exactly(processor: Processor) -> bool:
    """Whether int8 products are summed in 32 bits; AVX2 alone sums two in 16 bits, which may overflow."""
    return not processor.flags.isdisjoint(("avx512_vnni", "avx_vnni", "amx_int8"))


def multiplies_signed_bytes(processor: Processor) -> bool:
    """Whether products of signed by unsigned bytes do not saturate: with VNNI, or ARM's dot product."""
    is_arm = processor.architecture.lower() in ("arm64", "aarch64")
    return is_arm or not processor.flags.isdisjoint(("avx512_vnni", "avx_vnni"))


def isa(processor: Processor) -> str:
    """The widest instruction set for matrix products, e.g. ``amx_int8``, ``avx512_vnni`` or ``avx2``."""
    for name in ("amx_int8", "avx512_vnni", "avx512f", "avx_vnni", "avx2", "asimd"):
        if name in processor.flags:
            return name
    return processor.architecture


# What is chosen by it.


def training_precision(
    wanted: Literal["auto"] | TrainingPrecision, processor: Processor, accelerator: Accelerator
) -> TrainingPrecision:
    """What a training computes in: the recipe's ``train.precision``, or for ``auto`` what this machine is fast in."""
    if wanted != "auto":
        return wanted
    is_cuda = accelerator.kind == "cuda"
    has_bfloat16 = accelerator.multiplies_bfloat16 if is_cuda else multiplies_bfloat16(processor)
    return "bf16-mixed" if has_bfloat16 else "32-true"


def quickens_training(accelerator: Accelerator) -> bool:
    """Whether the layers of `tuning.cpu_speed` replace the model's: they are made for a CPU."""
    return accelerator.kind == "cpu"


def runs_kernels(accelerator: Accelerator) -> bool:
    """Whether the engine's Triton kernels run: they need bfloat16 products, and Triton, which CUDA's PyTorch brings."""
    return accelerator.capability >= (8, 0) and importlib.util.find_spec("triton") is not None


def prepares_batches_ahead(accelerator: Accelerator, needed_bytes: int) -> bool:
    """Whether a process of its own makes a training's batches; on a CPU it would take the cores of the training.

    They come through shared memory, of which containers often have 64 MB: a process that needs more is killed.
    """
    if accelerator.kind != "cuda" or not SHARED_MEMORY.is_dir():
        return False
    return needed_bytes < shutil.disk_usage(SHARED_MEMORY).free


def dev_batch(kind: str) -> int:
    """Recordings that a training recognises together to score itself: a GPU takes hardly longer for many."""
    return 128 if kind == "cuda" else 16


def forks_training(accelerator: Accelerator, processes: int) -> bool:
    """Whether the processes of a training are forked, which shares the first one's memory; CUDA does not allow it."""
    return accelerator.kind == "cpu" and processes > 1


def int8_activation_bits(processor: Processor) -> Literal[7, 8]:
    """Bits of the activations in the engine's int8 products: 7 where a sum of two products could overflow."""
    return 8 if sums_int8_exactly(processor) else 7


def kokoro_graph(processor: Processor) -> Literal["split", "rewritten", "published"]:
    """Which of Kokoro's graphs is fastest: `integrations.kokoro_graph` says how each multiplies.

    Split, its vocoder runs on oneDNN's 8-bit products, which are exact and fast with VNNI alone.
    """
    if not multiplies_signed_bytes(processor):
        return "published"
    return "split" if sums_int8_exactly(processor) else "rewritten"


# Narrowing.


def narrow() -> None:
    """Let the libraries find what `VARIABLE` says, and nothing more; child processes inherit it.

    To be called before NumPy and PyTorch are loaded, which look at the processor once; `DeviceError` if it is too late.
    """
    to = config.environment(VARIABLE)
    if not to:
        return
    _check_known(to)
    if all(config.environment(name) == value for name, value in NARROWED[to].items()):
        return  # by the parent of this process
    late = [name for name in ("numpy", "torch", "numba") if name in sys.modules]
    if late:
        raise DeviceError(f"{VARIABLE}={to} comes too late for {' and '.join(late)}; narrow before importing them")
    config.preset({**NARROWED[to], NUMPY_VARIABLE: " ".join(_numpy_beyond_avx2())})


def _numpy_beyond_avx2() -> list[str]:
    """The features beyond AVX2 that this NumPy would use here; NumPy refuses any other name."""
    program = "import json, numpy; print(json.dumps(numpy.show_config(mode='dicts')['SIMD Extensions']))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    extensions: dict[str, Any] = json.loads(answer.stdout)
    return [name for name in extensions.get("found", ()) if name.startswith("AVX512") or name == "X86_V4"]


def _check_known(to: str) -> None:
    if to not in NARROWED:
        raise DeviceError(f"{VARIABLE}={to}: write {' or '.join(NARROWED)}, or leave it away")
