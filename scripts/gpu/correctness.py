"""Steps that compare: the engine on CUDA with a CPU's, its settings with plain PyTorch, and what a lack of memory does.

In a rehearsal both engines are on a CPU.
"""

import contextlib
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from scripts.gpu.kit import MIB, RECORDINGS, ROOT, choose_recordings
from scripts.gpu.record import Differs, Record, Setting

from shoptalk.core import audio
from shoptalk.core.errors import GpuMemoryError
from shoptalk.core.records import Recognition, Samples
from shoptalk.core.runtime import GpuUse, current
from shoptalk.engine.recognizer import Engine

GENERAL = ROOT / "assets/general"
TINY = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
NEAR = 0.95
"""Part of the words that bfloat16 and 8-bit floats must keep."""
KERNEL_TESTS = (
    "tests/engine/gpu",
    "tests/tuning/test_tdt_on_device.py",
    "tests/tuning/test_tdt_walk.py",
    "--ignore=tests/engine/gpu/test_benchmark.py",
    "--deselect=tests/engine/gpu/test_attention.py::test_it_compiles_for_an_a100_and_an_h100",
)
"""What a GPU decides; the rest needs none, and takes half a minute."""
PROCESSES = 10
"""That share the tests, where pytest-xdist is there: each compiles its own kernels."""
REHEARSED_TESTS = (
    "tests/engine/gpu/test_fp8.py::test_a_layer_is_near_the_one_it_replaces",
    "tests/engine/gpu/test_attention.py::test_it_gives_what_attention_over_all_frames_gives",
)
"""`make test` runs all of them on a CPU; a rehearsal shows that the step works."""
GPU_S, REHEARSED_S = 60.0, 6.0
"""Length of the recording that memory shall not suffice for."""


def recordings(count: int) -> list[Samples]:
    """Real recordings of the general set, evenly spaced."""
    lines = (GENERAL / "test.jsonl").read_text(encoding="utf-8").splitlines()
    chosen = choose_recordings(lines)[:: RECORDINGS // count]
    return [audio.decode(GENERAL / json.loads(line)["audio_filepath"]) for line in chosen]


def shortest_with_words(engine: Engine) -> list[Samples]:
    """One recording: the kernels' interpreter is slow."""
    lines = [json.loads(line) for line in (GENERAL / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    for line in sorted(lines, key=lambda line: float(line["duration"])):
        samples_S = audio.decode(GENERAL / line["audio_filepath"])
        if engine.recognize([samples_S])[0].words:
            return [samples_S]
    raise Differs("no recording has a word")


def equal(record: Record, setting: Setting) -> None:
    """The engine's words, times and tokens on the device and on the CPU."""
    speech = recordings(10 if setting.rehearsed else RECORDINGS)
    reference = Engine(TINY)
    expected = reference.recognize(speech)
    record.part("float32", lambda: same(opened(setting, GpuUse()).recognize(speech), expected))
    record.part("bfloat16", lambda: near(opened(setting, GpuUse(), precision="bf16").recognize(speech), expected))
    some = speech[:2]
    local = Engine(TINY, reach=32).recognize(some)
    record.part(
        "local_attention", lambda: same(opened(setting, GpuUse(), reach=32).recognize(some), local, texts_only=True)
    )


def settings(record: Record, setting: Setting) -> None:
    """Each setting of the engine, then all of them, and graphs after the weights were swapped."""
    speech = recordings(5 if setting.rehearsed else RECORDINGS)
    plain = opened(setting, GpuUse())
    quick = shortest_with_words(plain) if setting.rehearsed else speech
    expected, expected_quick = plain.recognize(speech), plain.recognize(quick)

    def path(name: str, use: GpuUse, audio_of: list[Samples], wanted: list[Recognition]) -> None:
        record.part(name, lambda: same(opened(setting, use, beam=1).recognize(audio_of), wanted))

    path("device_decoding", GpuUse(device_decoding=True), speech, expected)
    path("cuda_graphs", GpuUse(cuda_graphs=True), speech, expected)
    path("graphs_and_decoding", GpuUse(cuda_graphs=True, device_decoding=True), speech, expected)
    record.part("swapped_weights", lambda: swapped(setting, speech))
    path("attention_kernel", GpuUse(attention_kernel=True), quick, expected_quick)
    path("fused_kernels", GpuUse(fused_kernels=True), quick, expected_quick)
    everything = GpuUse(fused_kernels=True, cuda_graphs=True, device_decoding=True)
    path("all_kernels", everything, quick, expected_quick)
    eight_bits = GpuUse(fp8_recordings=tuple(speech[::2]), cuda_graphs=True, device_decoding=True)
    limit = 0.5 if setting.rehearsed else NEAR  # a dozen words
    record.part("fp8", lambda: near(opened(setting, eight_bits).recognize(speech), expected, limit=limit))


def opened(setting: Setting, use: GpuUse, **keys: Any) -> Engine:
    """An engine on the setting's device by some of its paths."""
    return Engine(TINY, runtime=current(device=setting.device, gpu=use), **keys)


def same(
    recognitions: Sequence[Recognition], references: Sequence[Recognition], *, texts_only: bool = False
) -> dict[str, Any]:
    """`Differs` unless texts and words' times are equal."""
    different = []
    furthest = 0.0
    for recognition, reference in zip(recognitions, references, strict=True):
        if recognition.text != reference.text or (not texts_only and timed(recognition) != timed(reference)):
            different.append(f"{recognition.text!r} for {reference.text!r}")
            continue
        for word, wanted in zip(recognition.words, reference.words, strict=True):
            furthest = max(furthest, abs((word.confidence or 0.0) - (wanted.confidence or 0.0)))
    words = sum(len(reference.words) for reference in references)
    if not words:
        raise Differs("no recording has a word")
    if different:
        raise Differs(f"{len(different)} of {len(references)} recordings differ: {'; '.join(different[:5])}")
    return {"recordings": len(references), "words": words, "furthest_confidence": round(furthest, 4)}


def timed(recognition: Recognition) -> list[tuple[str, float, float]]:
    return [(word.word, word.start_s, word.end_s) for word in recognition.words]


def near(
    recognitions: Sequence[Recognition], references: Sequence[Recognition], *, limit: float = NEAR
) -> dict[str, Any]:
    """`Differs` unless most words are kept in their order."""
    from difflib import SequenceMatcher

    kept = total = 0
    for recognition, reference in zip(recognitions, references, strict=True):
        words, wanted = recognition.text.split(), reference.text.split()
        kept += sum(block.size for block in SequenceMatcher(None, words, wanted).get_matching_blocks())
        total += len(wanted)
    if not total or kept < limit * total:
        raise Differs(f"{kept} of {total} words are kept; {limit:.0%} should be")
    return {"recordings": len(references), "words": total, "kept": round(kept / total, 4)}


def swapped(setting: Setting, speech: list[Samples]) -> dict[str, Any]:
    """Graphs are captured anew: after `Engine.swap` the words are those of the new weights."""
    from tests.engine.gpu.test_use import changed_weights

    with tempfile.TemporaryDirectory() as folder:
        other = changed_weights(Path(folder) / "other.nemo")
        engine = opened(setting, GpuUse(cuda_graphs=True, device_decoding=True))
        engine.recognize(speech)
        engine.swap(other)
        wanted = Engine(other, runtime=current(device=setting.device)).recognize(speech)
        return same(engine.recognize(speech), wanted)


def memory(record: Record, setting: Setting) -> None:
    """A recording that memory does not suffice for, and then one that it suffices for."""
    record.part("named_and_lives_on", lambda: short_of_memory(setting))


def short_of_memory(setting: Setting) -> dict[str, Any]:
    speech = recordings(10)
    engine = opened(setting, GpuUse())
    expected = engine.recognize(speech)
    long_S = np.resize(np.concatenate(speech), round(16_000 * (REHEARSED_S if setting.rehearsed else GPU_S)))
    message = ""
    try:
        with scarce(engine, setting):
            engine.recognize([long_S])
    except GpuMemoryError as error:
        message = str(error)
    if not message:
        raise Differs("a lack of memory was no GpuMemoryError")
    return {**same(engine.recognize(speech), expected), "error": message}


def scarce(engine: Engine, setting: Setting) -> Any:
    """Hardly any memory beyond what is taken; a rehearsal raises what CUDA would."""
    if setting.rehearsed:
        return mock.patch.object(engine._paths, "encode", side_effect=torch.OutOfMemoryError("CUDA out of memory"))
    return LittleMemory()


class LittleMemory:
    """A context in which this process may have no more of the GPU's memory than it holds, and holds that in full."""

    def __init__(self) -> None:
        self._filling: list[torch.Tensor] = []

    def __enter__(self) -> None:
        torch.cuda.empty_cache()
        whole = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(torch.cuda.memory_reserved() / whole)
        with contextlib.suppress(torch.OutOfMemoryError):  # blocks that are reserved have room left
            while True:
                self._filling.append(torch.empty(MIB, dtype=torch.uint8, device="cuda"))

    def __exit__(self, *reason: object) -> None:
        self._filling.clear()
        torch.cuda.set_per_process_memory_fraction(1.0)


def kernels(record: Record, setting: Setting) -> None:
    """The kernels' own tests, by pytest."""
    if setting.rehearsed:
        record.part("triton", triton_version)
    record.part("pytest", lambda: run_tests(REHEARSED_TESTS if setting.rehearsed else KERNEL_TESTS))


def triton_version() -> dict[str, str]:
    """`Differs` where Triton is missing: without it no kernel can be rehearsed."""
    try:
        import triton
    except ModuleNotFoundError:
        raise Differs("TritonMissing: install the `dev` extra, or `pip install triton` on Linux") from None
    return {"triton": str(triton.__version__)}


def run_tests(arguments: Sequence[str]) -> dict[str, Any]:
    """What they print is told at once, so that a log has it even where they do not end."""
    command = [sys.executable, "-m", "pytest", "-v", "--maxfail=20", *arguments]
    command += ["-p", "no:cacheprovider", "-rs", "--durations=10"]
    if len(arguments) > len(REHEARSED_TESTS) and importlib.util.find_spec("xdist"):
        command += ["-n", str(PROCESSES), "--dist", "worksteal"]
    printed = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            printed.append(line.strip())
    last = next((line.strip("= ") for line in reversed(printed) if line), "nothing was printed")
    if process.returncode:
        failed = [line for line in printed if line.startswith(("FAILED", "ERROR"))]
        raise Differs(f"{last} {'; '.join(failed[:10])}")
    return {"pytest": last}
