"""Turn what runs found into results/ and the tables of docs/: `scripts/gpu_check.sh --report [FOLDER …]`.

A rehearsal gives results/gpu_check.json alone: it measures nothing. A run on a GPU also gives results/engine_gpu.json
and results/training_gpu.json where those steps ran, and the tables made from them (`scripts/paste_docs.py`). Of several
runs, the oldest named first, each step counts as it last ran. Speeds of a path that the last run has not measured are
kept as those of an earlier one, if the card is of the same kind.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.gpu.check import NO_TIME, RESULT
from scripts.gpu.kit import ROOT
from scripts.gpu.record import write_json

CHECK, ENGINE, TRAINING = "results/gpu_check.json", "results/engine_gpu.json", "results/training_gpu.json"


SPEEDS = ("speed", "long_speed")
"""Steps whose figures are kept path by path."""
HEAD = ("command", "date", "commit", "device")


@dataclass(frozen=True)
class Candidate:
    """What decides whether a setting of the engine may be on where the recipe does not say."""

    setting: str
    parts: tuple[str, ...]
    """Of the step `settings`: all must have passed."""
    path: str
    """Of the step `speed`: its best rate must be above that of `without`."""
    without: str


CANDIDATES = (
    Candidate("device_decoding", ("device_decoding",), "looping", "plain"),
    Candidate("cuda_graphs", ("cuda_graphs", "graphs_and_decoding", "swapped_weights"), "graphs", "looping"),
    Candidate("attention_kernel", ("attention_kernel",), "triton", "graphs"),
    Candidate("fused_kernels", ("fused_kernels", "all_kernels"), "fused", "graphs"),
)
"""Not 8-bit floats: they change words, and need recordings that nobody but the user has."""


def write(folders: Sequence[Path], root: Path = ROOT, *, commits: Sequence[str] = ()) -> int:
    """Write the results below `root`; status 1, with the cure, where a folder holds no run.

    `commits` are those of the runs' code, where the runs themselves do not tell them or tell others.
    """
    if commits and len(commits) != len(folders):
        print(f"gpu_check: error: {len(commits)} commits for {len(folders)} folders; give one for each")
        return 1
    sources = [folder / RESULT for folder in folders]
    for source in sources:
        if not source.is_file():
            print(f"gpu_check: error: no {source}; run scripts/gpu_check.sh first, or name the folder of its results")
            return 1
    runs = [json.loads(source.read_text(encoding="utf-8")) for source in sources]
    run = merged([of_commit(*pair) for pair in zip(runs, commits, strict=True)] if commits else runs)
    (root / CHECK).parent.mkdir(parents=True, exist_ok=True)
    write_json(root / CHECK, summary(run, read(root / CHECK)))
    written = [CHECK]
    if run["device"] is not None:
        for target, content in ((ENGINE, engine_figures(run, read(root / ENGINE))), (TRAINING, training_figures(run))):
            if content:
                write_json(root / target, content)
                written.append(target)
    print(f"written: {', '.join(written)}")
    print("\n".join(advice(run)))
    if root == ROOT:
        subprocess.run([sys.executable, "scripts/paste_docs.py"], cwd=ROOT, check=True)
    return 0


def of_commit(run: dict[str, Any], commit: str) -> dict[str, Any]:
    """A run with another commit, in the figures of its steps too."""
    steps = json.loads(json.dumps(run["steps"]))
    for step in steps.values():
        for part in step.get("parts", {}).values():
            if "commit" in (part.get("figures") or {}):
                part["figures"]["commit"] = commit
    return {**run, "commit": commit, "steps": steps}


def merged(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The last run, with the steps that only earlier ones began, and the paths that only they measured.

    Runs on another kind of card than the last one's say nothing beside it, and are left out.
    """
    last = runs[-1]
    alike = [run for run in runs if run["device"] == last["device"]]
    whole: dict[str, Any] = {**last, "steps": {}}
    for run in alike:
        for name, step in run["steps"].items():
            before = whole["steps"].get(name)
            if before and step.get("error") == NO_TIME:
                continue
            whole["steps"][name] = with_earlier_paths(step, before) if name in SPEEDS and before else step
    if len(alike) > 1:
        whole["runs"] = [{key: run[key] for key in HEAD} | {"steps": [*run["steps"]]} for run in alike]
    return whole


def with_earlier_paths(step: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """A step that measures speed, with the figures of the same step of an earlier run."""
    now, then = ((one.get("parts", {}).get("figures") or {}).get("figures") or {} for one in (step, before))
    if not then.get("paths"):
        return step
    if not now.get("paths"):
        return {**step, "parts": {**step.get("parts", {}), "figures": before["parts"]["figures"]}}
    figures = {"passed": True, "figures": with_earlier_run(now, then)}
    return {**step, "parts": {**step["parts"], "figures": figures}}


def with_earlier_run(now: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
    """Figures, with the paths and profiles that only earlier figures of the same kind of card have."""
    if not now.get("paths") or now.get("device") != then.get("device"):
        return now
    told: dict[str, Any] = {}
    for key in ("paths", "profiles"):
        known = dict(then.get("earlier_run", {}).get(key, {}))
        known |= then.get(key, {})
        known |= now.get("earlier_run", {}).get(key, {})
        told[key] = {path: figures for path, figures in known.items() if path not in now.get(key, {})}
    for path, figures in told["paths"].items():
        if path in then.get("paths", {}):
            told["paths"][path] = {"commit": then["commit"], **figures}
    return {**now, "earlier_run": told} if any(told.values()) else now


def read(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content


def summary(run: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """What is published of a run: `rehearsed` says whether a rehearsal passed as a whole; a GPU's steps outlast later
    rehearsals, which say nothing about a GPU."""
    steps = {name: {"passed": step["passed"], "seconds": step["seconds"]} for name, step in run["steps"].items()}
    head = {key: run[key] for key in ("command", "date", "commit", "runs") if key in run}
    if not run["rehearsed"]:
        return {"rehearsed": old.get("rehearsed", False), "device": run["device"], **head, "steps": steps}
    is_whole = all(step["passed"] for step in steps.values())
    if old.get("device") is not None:
        return {**old, "rehearsed": is_whole}
    return {"rehearsed": is_whole, "device": None, **head, "steps": steps}


def figures_of(run: dict[str, Any], step: str, part: str) -> dict[str, Any]:
    """The figures of a part; empty where it did not run or failed."""
    told = run["steps"].get(step, {}).get("parts", {}).get(part, {})
    return dict(told.get("figures") or {}) if told.get("passed") else {}


def engine_figures(run: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """Recognition: clips of 10 s, of 5 minutes, and the service; with what only the old results have."""
    figures = figures_of(run, "speed", "figures")
    if not figures.get("paths"):
        return {}
    services = {name: figures_of(run, "service", name) for name in run["steps"].get("service", {}).get("parts", {})}
    long = with_earlier_run(figures_of(run, "long_speed", "figures"), old.get("long", {}))
    return {**with_earlier_run(figures, old), "long": long, "service": services}


def training_figures(run: dict[str, Any]) -> dict[str, Any]:
    """Training steps of the 0.6B shape, ours and transformers'."""
    parts = run["steps"].get("training_speed", {}).get("parts", {})
    measured = {name: figures_of(run, "training_speed", name) for name in parts}
    if not any(measured.values()):
        return {}
    head = {key: run[key] for key in ("command", "date", "commit", "device")}
    absent = {name: told["error"] for name, told in parts.items() if not told["passed"]}
    return {**head, "steps": {name: told for name, told in measured.items() if told}, "absent": absent}


def advice(run: dict[str, Any]) -> list[str]:
    """Which settings may be on by default now, and what keeps the others from it."""
    if run["device"] is None:
        return ["It was a rehearsal on a CPU: it allows no path to be on by default."]
    lines = [f"On {run['device']}:"]
    for candidate in CANDIDATES:
        reason = why_not(candidate, run)
        what = f"stays off: {reason}" if reason else "may be on by default (`ON_A_GPU` in src/shoptalk/core/recipe.py)"
        lines.append(f"- engine.{candidate.setting} {what}")
    return [*lines, "- engine.fp8_manifest stays off: it changes words, and needs recordings of one's own"]


def why_not(candidate: Candidate, run: dict[str, Any]) -> str:
    """What keeps a setting from being on by default; empty for nothing."""
    parts = run["steps"].get("settings", {}).get("parts", {})
    for name in candidate.parts:
        if not parts.get(name, {}).get("passed"):
            return f"`{name}` did not pass"
    failed = [part["error"] for part in run["steps"].get("kernels", {}).get("parts", {}).values() if not part["passed"]]
    if any(error != "it did not end" for error in failed):  # what has not ended has found nothing either
        return "tests of the kernels failed"
    fast, slow = (best_rate(run, path) for path in (candidate.path, candidate.without))
    if not fast or not slow:
        return f"`{candidate.path}` or `{candidate.without}` was not measured"
    return "" if fast > slow else f"`{candidate.path}` is no faster than `{candidate.without}`"


def best_rate(run: dict[str, Any], path: str) -> float:
    """Times real time at the best batch; 0 where it was not measured."""
    figures = figures_of(run, "speed", "figures")
    measured = {**figures.get("earlier_run", {}).get("paths", {}), **figures.get("paths", {})}.get(path, {})
    return max((rate for rate in measured.get("inner", {}).values() if rate), default=0.0)
