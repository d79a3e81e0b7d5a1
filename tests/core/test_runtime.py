"""What a process is set to: threads, kept memory, kept kernels."""

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
MEASURE = """
import resource, torch
from shoptalk.core.runtime import keep_memory
kept = keep_memory() if {keep} else None
def step():
    torch.ones(48 * 2**18).sum()  # 48 MiB: beyond glibc's own largest threshold
counts = []
for _ in range(20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step()
    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(kept, min(counts))  # the best step: a system that reclaims idle pages adds faults of its own to some
"""
START = """
import os, sys
from shoptalk.core import runtime
started = runtime.start(threads=1, device="meta")
import torch
print(started.threads, torch.get_num_threads(), started.device, os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"])
print(runtime.start().threads == torch.get_num_threads() == 1)
runtime.give_back_memory()
"""


def run(program: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=SOURCE).stdout


@pytest.mark.skipif(sys.platform != "linux", reason="page faults are counted as on Linux")
def test_kept_memory_faults_no_more() -> None:
    faults = {}
    for keep in (False, True):
        kept, count = run(MEASURE.format(keep=keep)).split()
        if kept == "False":
            pytest.skip("not glibc")
        faults[keep] = int(count)
    assert faults[True] < faults[False] / 10


def test_a_process_is_set_up_once_and_tells_what_it_was_set_to() -> None:
    assert run(START).split() == ["1", "1", "meta", "8192", "True"]
