"""Speed, memory and start of the engine on a CPU beside NeMo, onnx-asr and sherpa-onnx in one run; writes JSON and SVG.

    python benchmarks/engine/cpu.py [results/engine-cpu.json] [--parts base parakeet length batch] [--quick]

Every recogniser lives in a process of its own with the same number of threads. One runs at a time, through all loads,
and after the last all of them hear the shortest load once more. Two models: the tiny base on real recordings, where
each must hear as well as the engine; and the shape of Parakeet TDT 0.6B V2 with random weights (`random_parakeet.py`),
whose tokens mean nothing. The peers open what `cpu_models.py` makes; `--prepare` only does that, which takes minutes
and 10 GB of disk and memory. What cannot be measured is left out and named. Times are medians over rounds; memory is
that of the whole process, the highest so far, loading included, and after the load.
Ten minutes come whole to the engine, which cuts them itself, and to NeMo, which gets local attention, as it advises;
the others cut nothing without a voice activity detector and get pieces of 30 s.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import cpu_models
import cpu_plot
import numpy as np
import peers
from cpu_figures import Load, Measured, agree, summary, told

from shoptalk.core import device, files
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.examples import read_manifest
from shoptalk.core.recordings import load

TEST = Path("assets/general/test.jsonl")
UTTERANCES = 60
PACKAGES = ("torch", "nemo_toolkit", "onnxruntime", "onnx-asr", "sherpa-onnx")


LONG = Load(20, 30.0, 16)
"""Ten minutes, in the pieces that recognisers get which cut nothing themselves."""
LOADS = {
    "base": (Load(1, 10, 1), Load(16, 10, 16), Load(1, 30, 1), Load(16, 30, 16), Load(1, 600, 1)),
    "parakeet": (Load(1, 10, 1), Load(16, 10, 16), Load(1, 30, 1), Load(4, 30, 4)),
}
LENGTHS_S = (10, 30, 60, 300, 600, 1_800, 3_600, 10_800)
BATCHES = (1, 2, 4, 8, 16, 32)


@dataclass
class Worker:
    """A recogniser's process."""

    variant: str
    process: "subprocess.Popen[str]"
    begun: float = field(default_factory=time.perf_counter)

    def ask(self, spoken: Path, batch: int, *, encode: bool = False) -> dict[str, Any]:
        """Hear what lies in a file; `OSError` where the process has ended."""
        if self.process.stdin is None or self.process.stdout is None:
            raise OSError("no pipes")
        self.process.stdin.write(json.dumps({"audio": str(spoken), "batch": batch, "encode": encode}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise BrokenPipeError(f"{self.variant} has ended")
        found: dict[str, Any] = json.loads(line)
        return found


@dataclass(frozen=True)
class Bench:
    """What all parts share."""

    folder: Path
    sound_S: np.ndarray[Any, Any]
    """The test recordings joined."""
    threads: int
    python: str
    quick: bool

    def clips(self, load: Load) -> Path:
        """The recordings of a load in a file, cut from the joined ones, over and over if they do not reach."""
        path = self.folder / f"{load.clips}-{load.seconds:g}.npz"
        if not path.is_file():
            size = round(load.seconds * SAMPLE_RATE_HZ)
            whole = np.resize(self.sound_S, load.clips * size)
            save(path, list(whole.reshape(load.clips, size)))
        return path

    @contextmanager
    def worker(self, variant: str, model: Path) -> Iterator[Worker]:
        ours = variant.startswith(("shoptalk", "NeMo"))
        command = [
            sys.executable if ours else self.python,
            "-P",
            peers.__file__,
            variant,
            str(model),
            str(self.threads),
        ]
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        errors = (self.folder / f"{variant}.log").open("w")
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            env=os.environ | dict.fromkeys(names, str(self.threads)),
        )  # fmt: skip
        try:
            yield Worker(variant, process)
        finally:
            process.kill()
            process.wait()
            errors.close()


def save(path: Path, spoken: Sequence[Any]) -> None:
    np.savez(path, **{f"{number:04}": one for number, one in enumerate(spoken)})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/engine-cpu.json"))
    parser.add_argument("--parts", nargs="+", default=["base", "parakeet", "length", "batch"])
    parser.add_argument("--variants", nargs="+", default=list(peers.VARIANTS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--python", default=sys.executable, help="interpreter that has onnx-asr and sherpa-onnx")
    parser.add_argument("--plot", type=Path, default=Path("docs/engine-cpu.svg"))
    parser.add_argument("--quick", action="store_true", help="one round, the shortest loads; for a try")
    parser.add_argument("--prepare", action="store_true", help="only make the models' files")
    arguments = parser.parse_args()
    for part in LOADS.keys() & set(arguments.parts):
        cpu_models.ready(part)
    if arguments.prepare:
        return
    result = measure(arguments)
    files.write_text(arguments.target, json.dumps(result, indent=1) + "\n")
    if LOADS.keys() & result.keys():
        files.write_text(arguments.plot, cpu_plot.draw(result))
    print(json.dumps(result, indent=1))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    rows = [row for row in read_manifest(TEST) if row.duration_s > 1.5]
    spoken = [load(row) for row in rows]
    result: dict[str, Any] = {
        "command": "python benchmarks/engine/cpu.py" + (" --quick" if arguments.quick else ""),
        "date": f"{date.today()}", "machine": device.machine(), "isa": device.isa(device.processor()),
        "threads": arguments.threads, "load_average": round(os.getloadavg()[0], 2),
        "versions": versions(arguments.python),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), np.concatenate(spoken), arguments.threads, arguments.python, arguments.quick)
        step = len(rows) // UTTERANCES
        save(bench.folder / "utterances.npz", spoken[::step])
        references = [row.text for row in rows[::step]]
        for part in arguments.parts:
            begin = time.perf_counter()
            if part in LOADS:
                result[part] = compare(bench, part, references, arguments.variants)
            else:
                result[part] = {"length": by_length, "batch": by_batch}[part](bench)
            result.setdefault("seconds", {})[part] = round(time.perf_counter() - begin)
    return result


def compare(bench: Bench, model: str, references: Sequence[str], variants: Sequence[str]) -> dict[str, Any]:
    """All recognisers in turn on all loads of a model."""
    found = {variant: Measured() for variant in variants}
    if "shoptalk bf16" in found and not device.multiplies_bfloat16(device.processor()):
        found["shoptalk bf16"].left_out = "this CPU has no bfloat16 products"
    loads = LOADS[model][: 1 if bench.quick else None]
    # one at a time: memory holds no more of the large ones, and the threads of the others would spin beside it
    for part in (loads,) if bench.quick else (loads, loads[:1]):
        for variant, one in found.items():
            visit(bench, model, variant, one, part)
    result = {variant: told(one) for variant, one in found.items()}
    if model == "base":
        agree({variant: one.texts for variant, one in found.items() if one.texts}, references, result)
    return result


def visit(bench: Bench, model: str, variant: str, one: Measured, loads: Sequence[Load]) -> None:
    """Start a recogniser, and let it hear some loads."""
    if one.left_out:
        return
    with bench.worker(variant, cpu_models.place(model, peers.VARIANTS[variant])) as worker:
        try:
            worker.ask(bench.clips(Load(1, 10, 1)), 1)
        except OSError:
            lines = (bench.folder / f"{variant}.log").read_text(errors="replace").strip().splitlines()
            one.left_out = lines[-1] if lines else "it ended"
            return
        one.start_s.append(round(time.perf_counter() - worker.begun, 2))
        if model == "base":
            one.texts = worker.ask(bench.folder / "utterances.npz", 16)["texts"]
        for load in loads:
            take_turns(bench, [worker], load, {variant: one}, budget_s=4.0)


def take_turns(
    bench: Bench, workers: Sequence[Worker], load: Load, found: Mapping[str, Measured], *, budget_s: float
) -> None:
    """Rounds over the workers until the time is up, one at least; short ones then also without decoding."""
    begin, rounds, most = time.perf_counter(), 0, 1 if bench.quick else 9
    while rounds < most and (rounds == 0 or (time.perf_counter() - begin) * (1 + 1 / rounds) < budget_s):
        for worker in workers:
            whole = load.clips > 1 or load.seconds <= 30 or worker.variant.startswith(("shoptalk", "NeMo"))
            given = load if whole else LONG
            found[worker.variant].loads[load].append(worker.ask(bench.clips(given), given.batch))
        rounds += 1
    for worker in workers:
        if load.seconds <= 10 and (rounds > 1 or load.clips == 1):
            found[worker.variant].encode[load] = worker.ask(bench.clips(load), load.batch, encode=True)
        print(load.name, worker.variant, summary(load, found[worker.variant]), flush=True)


def by_length(bench: Bench) -> dict[str, Any]:
    """One recording of 10 s to 3 h."""
    found = {"shoptalk fp32": Measured()}
    with bench.worker("shoptalk fp32", cpu_models.BASE) as worker:
        worker.ask(bench.clips(Load(1, 10, 1)), 1)
        for seconds in LENGTHS_S[: 4 if bench.quick else None]:
            take_turns(bench, [worker], Load(1, seconds, 1), found, budget_s=3)
    figures: dict[str, Any] = told(found["shoptalk fp32"])["loads"]
    return figures


def by_batch(bench: Bench) -> dict[str, Any]:
    """The same 32 clips of 10 s, so many at a time."""
    found = {"shoptalk fp32": Measured(), "shoptalk int8": Measured()}
    with ExitStack() as stack:
        workers = [stack.enter_context(bench.worker(variant, cpu_models.BASE)) for variant in found]
        for batch in BATCHES[: 3 if bench.quick else None]:
            take_turns(bench, workers, Load(32, 10, batch), found, budget_s=8)
    return {variant: {load.batch: summary(load, one) for load in one.loads} for variant, one in found.items()}


def versions(python: str) -> dict[str, str]:
    """Of what is measured, in the interpreter of the engine or in that of the peers."""
    found = {}
    for package in PACKAGES:
        asked = f"from importlib.metadata import version; print(version({package!r}))"
        for interpreter in (sys.executable, python):
            answer = subprocess.run([interpreter, "-c", asked], capture_output=True, text=True)
            if answer.returncode == 0:
                found[package] = answer.stdout.strip()
    return found


if __name__ == "__main__":
    main()
