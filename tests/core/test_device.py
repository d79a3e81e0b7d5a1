"""What is asked of the processor, and memory that is kept."""

import subprocess
import sys
from pathlib import Path

import pytest

from shoptalk.core.device import multiplies_bfloat16


def test_bfloat16_is_asked_of_the_processor(tmp_path: Path) -> None:
    for flags, answer in (("avx2 fma", False), ("avx2 avx512_bf16", True), ("avx512f amx_bf16", True)):
        (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
        assert multiplies_bfloat16(tmp_path / "cpuinfo") is answer
    assert not multiplies_bfloat16(tmp_path / "none")


SOURCE = Path(__file__).parents[2] / "src"
MEASURE = """
import resource, torch
from shoptalk.core.device import keep_memory
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


@pytest.mark.skipif(sys.platform != "linux", reason="page faults are counted as on Linux")
def test_kept_memory_faults_no_more() -> None:
    faults = {}
    for keep in (False, True):
        command = [sys.executable, "-c", MEASURE.format(keep=keep)]
        kept, count = subprocess.run(command, capture_output=True, text=True, check=True, cwd=SOURCE).stdout.split()
        if kept == "False":
            pytest.skip("not glibc")
        faults[keep] = int(count)
    assert faults[True] < faults[False] / 10
