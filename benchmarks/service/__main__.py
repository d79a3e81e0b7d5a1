"""The service beside other servers of the same model on the same machine; writes results/service.json.

    python benchmarks/service [results/service.json] [--sizes tiny 0.6b] [--servers ours nemo litserve] [--short]

Three servers, one after the other: a FastAPI server with NeMo's `transcribe()` under a lock (`locked_nemo.py`),
LitServe with our engine (`litserve_engine.py`), and `shoptalk serve`. Each gets the same clips of 2 to 30 s
(`clips.py`) from the same generator (`load.py`), which runs on the same cores. For each server:

- `start`: seconds from the start of the process to readiness and to the first answer; of `shoptalk serve` also its
  parts, which follow on each other: the front process, the worker process, opening the model with its libraries,
  warm-up, the golden recording, and the first request;
- `saturated`: `clients` clients that each send the next clip when the last one is answered;
- `rate`: the highest rate of Poisson arrivals at which 95 % of the answers take at most 2 s and none fails, found by
  bisection with the same arrivals, only closer to each other; `trials` has every rate that was tried;
- `half`: the percentiles at half of that rate.

`offline` is the engine alone on all clips at once. Two sizes: the tiny base, where all answers must be those of the
engine alone, and the shape of Parakeet TDT 0.6B V2 with random weights that talk at the rate of speech
(`benchmarks/engine/random_parakeet.py`). All servers compute in float32 unless `--set` says otherwise; settings of the
engine are those of the recipe and count for LitServe, ours and `offline`. `--short` tries the benchmark itself.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import clips
import reading
import servers

from shoptalk.core import device, files

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SEED = 7
MODELS = {
    "tiny": ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo",
    "0.6b": ROOT / ".local/engine-cpu/parakeet.nemo",
}
ENGINE_BATCH = 16
SETTLING = 5
"""So many requests may fail while a server works off what it was left with."""


@dataclass(frozen=True)
class Plan:
    """How long is measured."""

    clips: int
    saturated_s: float
    trial_s: float
    half_s: float
    steps: int
    """Of the bisection."""
    rounds: int
    """Of the engine alone."""
    clients: int = 32
    """That send at the same time, for `saturated`."""
    own_settings: tuple[str, ...] = ()
    """Of the recipe, for `shoptalk serve`."""


PLANS = {
    "tiny": Plan(clips=200, saturated_s=10, trial_s=25, half_s=40, steps=4, rounds=3),
    "0.6b": Plan(
        clips=20,
        saturated_s=15,
        trial_s=25,
        half_s=25,
        steps=2,
        rounds=1,
        clients=16,
        own_settings=("serve.golden_check=false",),  # random weights cannot transcribe the golden recording
    ),
}
SHORT = Plan(clips=12, saturated_s=2, trial_s=2, half_s=2, steps=1, rounds=1, clients=8)


@dataclass(frozen=True)
class Bench:
    """What is measured with one model."""

    model: Path
    plan: Plan
    folder: Path
    seconds: tuple[float, ...]
    """Lengths of the clips."""
    settings: tuple[str, ...]
    """Of the recipe, for the servers that run our engine and for the engine alone."""
    own_settings: tuple[str, ...]
    """Of the recipe, for `shoptalk serve`."""

    @property
    def wavs(self) -> Path:
        return self.folder / "wavs"

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", default=ROOT / "results/service.json")
    parser.add_argument("--sizes", nargs="+", choices=list(MODELS), default=["tiny"])
    parser.add_argument("--servers", nargs="+", choices=list(servers.KINDS), default=list(servers.KINDS))
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="of the recipe, e.g. engine.beam=1"
    )
    parser.add_argument(
        "--set-ours", action="append", default=[], metavar="KEY=VALUE", help="for `shoptalk serve` alone"
    )
    parser.add_argument("--short", action="store_true", help="seconds for each server: a try of the benchmark")
    parser.add_argument("--logs", type=Path, help="a folder that keeps the servers' logs")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # the servers end with it
    about = head()
    with tempfile.TemporaryDirectory() as temporary:
        for size in arguments.sizes:
            folder = (arguments.logs or Path(temporary)) / size
            for so_far in measure(size, arguments, folder):
                merged = save({**about, size: so_far}, arguments.target)
    print(json.dumps({key: merged[key] for key in merged if key not in MODELS}, indent=1))


def save(measured: Mapping[str, Any], target: Path) -> dict[str, Any]:
    """Write the figures of this run over those of earlier ones, and return all."""
    known = json.loads(target.read_text()) if target.is_file() else {}
    merged = merge(known, measured)
    files.write_text(target, json.dumps(merged, indent=1) + "\n")
    return merged


def head() -> dict[str, Any]:
    return {
        "command": "python benchmarks/service " + " ".join(sys.argv[1:]),
        "date": f"{date.today()}",
        "commit": servers.commit(),
        "machine": device.machine(),
        "isa": device.isa(device.processor()),
        "load_average": round(os.getloadavg()[0], 2),
        "versions": versions(),
    }


def merge(known: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of this run over those of earlier ones, which stand for sizes and servers left out this time.

    Each size keeps the head of the run that measured it. At the top level stand the figures of the tiny base.
    """
    about = {key: value for key, value in measured.items() if key not in MODELS}
    sizes = {size: known[size] for size in MODELS if size in known}
    for size in MODELS:
        if size in measured:
            earlier = sizes.get(size, {}).get("servers", {})
            own = measured[size]
            sizes[size] = {**own, "run": about, "servers": {**earlier, **own["servers"]}}
    return {**summary(sizes.get("tiny", {})), **about, **sizes}


def summary(tiny: Mapping[str, Any]) -> dict[str, Any]:
    """What the goals are held against."""
    measured = tiny.get("servers", {})
    ours, nemo = measured.get("ours", {}), measured.get("nemo", {})
    if "half" not in ours:
        return {}
    offline = tiny["offline"]["audio_s_per_s"]
    ratio = ours["rate"] / nemo["rate"] if nemo.get("rate") else None
    return {
        "throughput_ratio_to_locked_nemo": round(ratio, 2) if ratio else None,
        "share_of_engine_throughput": round(ours["saturated"]["audio_s_per_s"] / offline, 3),
        "share_of_engine_throughput_at_rate": round(ours["at_rate"]["audio_s_per_s"] / offline, 3),
        "p95_ms": ours["half"]["p95_ms"],
        "first_answer_ms": round(1e3 * ours["start"]["first_answer_s"]),
        "memory_mib": ours["memory_mib"],
        "errors": ours["half"]["errors"] + ours["at_rate"]["errors"] + ours["saturated"]["errors"],
    }


def measure(size: str, arguments: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """One model: the engine alone, then every server; yields all figures again after each server."""
    plan = SHORT if arguments.short else PLANS[size]
    drawn = clips.draw_clips(plan.clips, SEED)
    own_settings = (*PLANS[size].own_settings, *arguments.set_ours)
    bench = Bench(MODELS[size], plan, folder, drawn.seconds, tuple(arguments.set), own_settings)
    clips.save_wavs(drawn.wavs, bench.wavs)
    texts, offline = engine_alone(bench)
    print(size, "offline", offline, flush=True)
    measured = {}
    for name in arguments.servers:
        kind = servers.KINDS[name]
        measured[name] = one_server(bench, kind, texts if kind.has_engine else ())
        yield {
            "model": str(bench.model.relative_to(ROOT)),
            "settings": list(bench.settings),
            "settings_of_ours": list(bench.own_settings),
            "clips": {"number": plan.clips, "mean_s": round(sum(drawn.seconds) / plan.clips, 2), "seed": SEED},
            "offline": offline,
            "servers": dict(measured),
        }


def engine_alone(bench: Bench) -> tuple[list[str], dict[str, Any]]:
    """The texts of the clips, and the throughput without a service."""
    command = [sys.executable, str(HERE / "offline.py"), str(bench.model), str(bench.wavs), str(ENGINE_BATCH)]
    done = subprocess.run(
        [*command, str(bench.plan.rounds), *bench.settings],
        cwd=ROOT,
        env=servers.environment(servers.OURS),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"the engine alone failed: {done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    audio_s, best_s = sum(bench.seconds), min(found["seconds"])
    rates = [round(audio_s / seconds, 1) for seconds in found["seconds"]]
    cores = round(min(found["cpu_s"]) / best_s, 2)
    return found["texts"], {"audio_s_per_s": round(audio_s / best_s, 2), "of_each_round": rates, "cores_busy": cores}


def one_server(bench: Bench, kind: servers.Kind, texts: Sequence[str]) -> dict[str, Any]:
    """Start a server, warm it up, and measure it."""
    settings = bench.settings if kind.has_engine else ()
    if kind is servers.OURS:
        settings += bench.own_settings
    plan = bench.plan
    with servers.started(kind, bench.model, settings, bench.log(kind.name.split()[0])) as running:
        first = run(bench, running, {"requests": 1, "clients": 1, "seed": SEED})
        start = start_of(running, first["answers"][0]["taken_s"], time.perf_counter() - running.begun)
        several = {"requests": plan.clients, "clients": plan.clients}
        run(bench, running, {**several, "seed": SEED + 1})
        probe = reading.read(
            run(bench, running, {**several, "requests": 2 * plan.clients, "seed": SEED + 2}), bench.seconds, texts
        )
        most = 2 * plan.clients / probe.wall_s
        before = running.cpu_s()
        requests = max(plan.clients, round(most * plan.saturated_s))
        filled = run(bench, running, {**several, "requests": requests, "seed": SEED})
        saturated = reading.read(filled, bench.seconds, texts)
        busy = servers.cores_busy(before, running.cpu_s(), saturated.wall_s)
        print(kind.name, start, "saturated", saturated, busy, flush=True)
        trials: dict[float, reading.Figures] = {}

        def holds(rate: float) -> bool:
            requests = max(10, round(rate * plan.trial_s))
            limits = {"late_s": reading.BOUND_S, "late_share": 1 - reading.SHARE}
            answers = run(bench, running, {"requests": requests, "rate": rate, "seed": SEED, **limits})
            trials[rate] = reading.read(answers, bench.seconds, texts)
            print(f"{kind.name} {rate:.3f}/s", trials[rate], flush=True)
            settle(bench, running)
            return trials[rate].holds

        capacity = len(filled["answers"]) / saturated.wall_s
        rate = reading.highest(holds, 0.6 * capacity, 1.05 * capacity, steps=plan.steps)
        half = None
        if rate:
            requests = max(10, round(rate / 2 * plan.half_s))
            answers = run(bench, running, {"requests": requests, "rate": rate / 2, "seed": SEED + 3})
            half = reading.read(answers, bench.seconds, texts)
            print(f"{kind.name} half", half, flush=True)
        memory_mib = running.peak_mib()
    return {
        "name": kind.name,
        "start": start,
        "first_answer_ms": round(1e3 * first["answers"][0]["taken_s"], 1),
        "rate": round(rate, 3),
        "at_rate": asdict(trials[rate]) if rate else None,
        "half": asdict(half) if half else None,
        "saturated": {**asdict(saturated), "clients": plan.clients, "cores_busy": busy},
        "trials": [{"rate": round(tried, 3), **asdict(trials[tried])} for tried in sorted(trials)],
        "memory_mib": sum(memory_mib.values()),
        "memory_mib_of_each": memory_mib,
    }


def start_of(running: servers.Running, first_answer_s: float, all_s: float) -> dict[str, Any]:
    """What the time from the start of the process to the first answer consists of, in seconds."""
    parts = running.load_parts_s()
    if parts:
        front_s = running.ready_s - sum(parts.values())
        parts = {"front process": front_s, **parts, "first request": first_answer_s}
    return {
        "ready_s": round(running.ready_s, 2),
        "first_answer_s": round(all_s, 2),
        "parts_s": {part: round(seconds, 2) for part, seconds in parts.items()},
    }


def settle(bench: Bench, running: servers.Running) -> None:
    """Wait until nothing of a run that was given up is left in the server's queue."""
    for _ in range(SETTLING):
        (answer,) = run(bench, running, {"requests": 1, "clients": 1, "seed": SEED})["answers"]
        if answer["status"] == 200:
            return
    raise RuntimeError(f"{running.kind.name} does not answer any more")


def run(bench: Bench, running: servers.Running, plan: Mapping[str, Any]) -> dict[str, Any]:
    """The answers of one run of the generator."""
    model = bench.model.stem
    done = subprocess.run(
        [sys.executable, str(HERE / "load.py"), running.url, str(bench.wavs)],
        input=json.dumps({"model": model, **plan}),
        capture_output=True,
        text=True,
        check=True,
    )
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


def versions() -> dict[str, str]:
    found = {}
    for package in ("torch", "nemo_toolkit", "fastapi", "uvicorn"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    listed = HERE / "litserve.txt"
    pinned = [line.split()[0] for line in listed.read_text().splitlines() if line.startswith("litserve==")]
    return found | {"litserve": pinned[0].partition("==")[2]}


if __name__ == "__main__":
    main()
