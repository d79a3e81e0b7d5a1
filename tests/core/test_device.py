"""What is found of processor and accelerator, what is chosen by it, and what narrowing reaches."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shoptalk.core import device
from shoptalk.core.device import CPU_ONLY, Accelerator, Processor
from shoptalk.core.errors import DeviceError

ROOT = Path(__file__).parents[2]
AVX2 = "sse4_2 avx avx2 fma f16c"
AVX512 = f"{AVX2} avx512f avx512bw avx512vl avx512dq"
XEON = f"{AVX512} avx512_vnni avx512_bf16 amx_tile amx_bf16 amx_int8 avx_vnni"
EPYC = f"{AVX512} avx512_vnni avx512_bf16 avx_vnni"
H100 = Accelerator("cuda", "H100", (9, 0), multiplies_bfloat16=True)
V100 = Accelerator("cuda", "V100", (7, 0))


def processor(flags: str, architecture: str = "x86_64") -> Processor:
    return Processor("some", architecture, frozenset(flags.split()), 2)


def test_the_processor_is_read_from_the_kernel(tmp_path: Path) -> None:
    described = f"processor : 0\nmodel name : Some CPU: fast\nflags : {AVX2}\n\nmodel name : other\nflags : sse\n"
    (tmp_path / "cpuinfo").write_text(described)
    read = device.read_processor(tmp_path / "cpuinfo")
    assert (read.model, read.flags) == ("Some CPU: fast", frozenset(AVX2.split())) and read.cores >= 1
    (tmp_path / "arm").write_text("Features : asimd asimddp bf16\n")
    assert device.read_processor(tmp_path / "arm").flags == {"asimd", "asimddp", "bf16"}
    unknown = device.read_processor(tmp_path / "none")
    assert unknown.model and not unknown.flags and unknown.cores >= 1


@pytest.mark.parametrize(
    ("flags", "isa", "bfloat16", "bits", "graph"),
    [
        (AVX2, "avx2", False, 7, "published"),
        (f"{AVX2} avx_vnni", "avx_vnni", False, 8, "split"),
        (AVX512, "avx512f", False, 7, "published"),
        (EPYC, "avx512_vnni", True, 8, "split"),
        (XEON, "amx_int8", True, 8, "split"),
    ],
)
def test_what_processors_can_do_and_what_is_chosen_by_it(
    flags: str, isa: str, bfloat16: bool, bits: int, graph: str
) -> None:
    cpu = processor(flags)
    assert device.isa(cpu) == isa
    assert device.multiplies_bfloat16(cpu) is bfloat16
    assert device.int8_activation_bits(cpu) == bits
    assert device.kokoro_graph(cpu) == graph
    assert device.training_precision("auto", cpu, CPU_ONLY) == ("bf16-mixed" if bfloat16 else "32-true")
    bare = device.narrowed(cpu, "avx2")
    assert bare.flags == set(AVX2.split()) and device.isa(bare) == "avx2"


def test_arm_multiplies_signed_bytes() -> None:
    assert device.kokoro_graph(processor("asimd", "aarch64")) == "rewritten"
    assert device.isa(processor("asimd", "aarch64")) == "asimd" and device.isa(processor("", "riscv64")) == "riscv64"


def test_the_recipes_precision_is_taken_on_every_machine() -> None:
    for cpu in (processor(AVX2), processor(XEON)):
        for accelerator in (CPU_ONLY, V100, H100):
            assert device.training_precision("32-true", cpu, accelerator) == "32-true"
            assert device.training_precision("bf16-mixed", cpu, accelerator) == "bf16-mixed"


def test_on_a_gpu_its_own_abilities_count() -> None:
    assert device.training_precision("auto", processor(AVX2), H100) == "bf16-mixed"
    assert device.training_precision("auto", processor(XEON), V100) == "32-true"
    assert device.quickens_training(CPU_ONLY) and not device.quickens_training(H100)
    assert device.forks_training(CPU_ONLY, 2)
    assert not device.forks_training(CPU_ONLY, 1) and not device.forks_training(H100, 2)


def test_machine_tells_what_is_published() -> None:
    facts = device.machine()
    assert facts["cpu"] and isinstance(facts["cores"], int) and facts["cores"] >= 1
    assert facts["instruction_set"][0] == device.processor().architecture  # type: ignore[index]
    json.dumps(facts)


def test_an_unknown_narrowing_is_an_error() -> None:
    with pytest.raises(DeviceError, match="write avx2"):
        device.narrowed(processor(XEON), "avx3")


def test_narrowing_too_late_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy  # noqa: F401

    monkeypatch.setenv(device.VARIABLE, "avx2")
    for name in device.NARROWED["avx2"]:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DeviceError, match="too late for numpy"):
        device.narrow()


NARROWED = """
import json, sys, warnings
warnings.simplefilter("error", ImportWarning)
from shoptalk.core import device
device.narrow()
device.narrow()  # a second call finds what the first did
import numpy
import numba
numba_cpu = numba.config.CPU_NAME
warnings.simplefilter("ignore")
import torch
extensions = numpy.show_config(mode="dicts")["SIMD Extensions"]
print(json.dumps({
    "flags": sorted(device.processor().flags),
    "torch": torch.backends.cpu.get_cpu_capability(),
    "bfloat16": torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    "numpy": extensions["found"],
    "numba": numba_cpu,
}))
"""
needs_avx2 = pytest.mark.skipif("avx2" not in device.processor().flags, reason="there is nothing to narrow to")


def narrowed_process() -> dict[str, str]:
    """The environment of a process that is asked to narrow and does not inherit a narrowing."""
    inherited = {*device.NARROWED["avx2"], device.NUMPY_VARIABLE}
    kept = {name: value for name, value in os.environ.items() if name not in inherited}
    return {**kept, device.VARIABLE: "avx2", "PYTHONPATH": str(ROOT / "src")}


@needs_avx2
def test_narrowed_libraries_find_avx2_alone() -> None:
    command = [sys.executable, "-c", NARROWED]
    done = subprocess.run(command, capture_output=True, text=True, env=narrowed_process(), check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert "avx2" in told["flags"] and not [flag for flag in told["flags"] if flag.startswith(("avx512", "amx"))]
    assert (told["torch"], told["bfloat16"], told["numba"]) == ("AVX2", False, "haswell")
    assert not [name for name in told["numpy"] if name.startswith("AVX512") or name == "X86_V4"]


@needs_avx2
def test_the_command_line_narrows_first() -> None:
    command = [sys.executable, "-m", "shoptalk.cli", "run", "--recipe", "none.yaml", "--run", "none"]
    asked = {**narrowed_process(), device.VARIABLE: "sse9"}
    done = subprocess.run(command, capture_output=True, text=True, env=asked, check=False)
    assert done.returncode == 2 and "DeviceError: SHOPTALK_CPU=sse9: write avx2" in done.stderr


def test_batches_are_made_ahead_where_shared_memory_holds_them() -> None:
    gpu = device.Accelerator("cuda", "Some GPU")
    assert not device.prepares_batches_ahead(device.CPU_ONLY, 1)
    assert device.prepares_batches_ahead(gpu, 1) == device.SHARED_MEMORY.is_dir()
    assert not device.prepares_batches_ahead(gpu, 10**15)


def test_kernels_need_a_card_with_bfloat16_and_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert device.runs_kernels(device.Accelerator("cuda", "Some GPU", (9, 0)))
    assert not device.runs_kernels(device.Accelerator("cuda", "Old GPU", (7, 5)))
    assert not device.runs_kernels(device.CPU_ONLY)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not device.runs_kernels(device.Accelerator("cuda", "Some GPU", (9, 0)))
