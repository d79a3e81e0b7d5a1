"""Steps that measure recognition: `benchmarks/engine/gpu.py` on clips of 10 s and of 5 minutes.

Each path adds to the one before it: plain PyTorch, decoding on the device, graphs, the attention kernel, all kernels,
8-bit floats; then transformers. What could not run is told, and is a failure where it is ours.
"""

import argparse
import time
from typing import Any

import torch
from benchmarks.engine import gpu
from scripts.gpu.record import Differs, Record, Setting

PATHS = ("fused", "fused_fp8", "plain", "triton", "graphs", "looping", "fp8", "transformers")
"""Those first whose figures matter most: the time may not suffice for all."""
KERNELS = ("fused", "fused_fp8", "triton")
"""Paths that a CPU cannot time: their kernels run in an interpreter there."""
LONG_PATHS = ("fused", "plain", "transformers")
PROFILED = ("fused",)


def speed(record: Record, setting: Setting) -> None:
    if setting.rehearsed:
        words = ["--batches", "1", "2", "--clips", "4", "--clip-s", "1", "--latencies", "2", "--run-s", "0.05"]
    else:
        words = ["--batches", "1", "8", "32", "64", "128", "256", "--run-s", "0.3", "--latencies", "30"]
    measure(record, setting, PATHS, [*words, "--profile", *PROFILED])


def long_speed(record: Record, setting: Setting) -> None:
    if setting.rehearsed:
        words = ["--batches", "1", "--clips", "1", "--clip-s", "20", "--latencies", "1", "--run-s", "0.05"]
    else:
        words = ["--batches", "1", "4", "--clips", "16", "--clip-s", "300", "--latencies", "5", "--run-s", "0.3"]
    measure(record, setting, LONG_PATHS, words)


def measure(record: Record, setting: Setting, paths: tuple[str, ...], words: list[str]) -> None:
    """One part with the figures of all paths, and one for each path that says whether it ran."""
    arguments = gpu.parsed(["--device", setting.device, "--size", setting.size, "--paths", *paths, *words])
    if setting.rehearsed:
        arguments.profile = [path for path in arguments.profile if path not in KERNELS]
    result: dict[str, Any] = {}

    def save(now: dict[str, Any]) -> None:
        result.update(now)
        record.note("figures", {"passed": True, "figures": {**about(arguments, setting), **now}})

    wait = torch.cuda.synchronize if setting.device == "cuda" else lambda: None
    gpu.compare(arguments, time.perf_counter, wait, save)
    save(result)
    for path in paths:
        record.part(path, lambda path=path: told(path, result, setting))  # type: ignore[misc]


def about(arguments: argparse.Namespace, setting: Setting) -> dict[str, Any]:
    return {
        **gpu.about(arguments),
        "command": f"scripts/gpu_check.sh{' --rehearse' if setting.rehearsed else ''}",
        "run_s": arguments.run_s,
    }


def told(path: str, result: dict[str, Any], setting: Setting) -> dict[str, Any] | None:
    """`Differs` where a path did not run; kernels have no speed in a rehearsal."""
    if path in result["paths"]:
        return {"latency_ms": result["paths"][path]["latency_ms"]}
    if setting.rehearsed and path in KERNELS:
        return {"not_timed": result["absent"][path]}
    raise Differs(result["absent"].get(path, "it was not tried"))
