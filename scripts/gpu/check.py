"""All that a GPU can settle, most valuable first: `scripts/gpu_check.sh [--rehearse] [--out FOLDER] [--steps NAME …]`.

Each step is a process of its own with its own time limit. What is known is in FOLDER/gpu_check.json at once, also of a
step that crashed or was ended; FOLDER/log.txt has what the steps printed. A GPU run takes `LONGEST_S` at most.
`--rehearse` runs every step on a CPU with tiny shapes, the kernels in Triton's interpreter.
"""

import argparse
import contextlib
import importlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from scripts.gpu.record import Record, Setting, write_json

Process = subprocess.Popen[bytes]
ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "gpu-results"
RESULT, LOG = "gpu_check.json", "log.txt"
LONGEST_S = 480.0
"""For a whole run on a GPU."""
NO_TIME = "there was no time left for it"
"""The error of a step that was not begun."""
SPARE_S = 15.0
"""Of it, for unpacking and for starting processes."""
AHEAD = 3
"""Steps on a GPU whose processes are started before their turn: they import what they need, and wait."""
GO = "go\n"
"""What a step's process reads when its turn has come."""
LEAST_S = 5.0
"""With less time left a step is not started."""
REHEARSED_TIMES = 4
"""A rehearsal may take so many times a step's limit: it shows that the steps work, on any machine."""
LOG_BYTES = 4 * 2**20
"""Most that one step may print."""
LOOK_S = 0.5
MEASURED = ("src", "scripts", "benchmarks", "tests")
CHANGED = "+changes"
"""Behind a commit: other files than its own were measured."""


@dataclass(frozen=True)
class Step:
    """A function of a module in this folder, and how long it may take."""

    name: str
    module: str
    limit_s: float
    what: str


STEPS = (
    Step("equal", "correctness", 35, "the engine on CUDA gives a CPU's words and times on real recordings"),
    Step("settings", "correctness", 45, "each path behind its setting gives the words of plain PyTorch"),
    Step("memory", "correctness", 15, "out of memory is a named error, and the engine lives on"),
    Step("kernels", "correctness", 75, "the tests of the kernels"),
    Step("training", "training", 45, "twenty bf16 steps with clipping and EMA, a checkpoint, and going on from it"),
    Step("one_rank", "training", 30, "the same with one process of NCCL (gloo in a rehearsal)"),
    Step("training_speed", "training", 50, "hours of audio an hour and peak memory, beside transformers' step"),
    Step("speed", "speed", 90, "each path on clips of 10 s: throughput, latency, share of the card's peak"),
    Step("long_speed", "speed", 40, "clips of 5 minutes"),
    Step("service", "service", 40, "64 clips at once over HTTP"),
)
"""Most valuable first."""


def main(words: Sequence[str] | None = None) -> int:
    arguments = parsed(words)
    if arguments.report is not None:
        from scripts.gpu import report

        return report.write(arguments.report or [OUT], commits=arguments.commits)
    setting = Setting(rehearsed=arguments.rehearse)
    if arguments.run_step:
        return run_step(arguments.run_step, setting, arguments.out)
    device = device_name(setting)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / LOG).write_text("")
    chosen = [step for step in STEPS if step.name in arguments.steps]
    return run_all(chosen, setting, arguments.out, device=device, longest_s=arguments.longest_s)


def parsed(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rehearse", action="store_true", help="on a CPU, with tiny shapes")
    parser.add_argument("--out", type=Path, default=OUT, help="where the results go (default: gpu-results)")
    names = [step.name for step in STEPS]
    parser.add_argument("--steps", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument(
        "--longest-s", type=float, default=LONGEST_S, help=f"seconds for all of it on a GPU (default: {LONGEST_S:g})"
    )
    parser.add_argument(
        "--report", nargs="*", type=Path, metavar="FOLDER", help="write what runs found, the newest folder last"
    )
    parser.add_argument(
        "--commits", nargs="*", default=[], help="with --report: of the code of each folder, where no git told it there"
    )
    parser.add_argument("--run-step", choices=names, help=argparse.SUPPRESS)
    return parser.parse_args(words)


def device_name(setting: Setting) -> str | None:
    """The GPU's name, None in a rehearsal; ends the program where there is no GPU."""
    if setting.rehearsed:
        return None
    program = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    if not found.stdout.strip():
        raise SystemExit(
            "gpu_check: NoCudaDevice: PyTorch sees no CUDA device here. Run it where there is one, with a CUDA build "
            f"of PyTorch, or try it with --rehearse. {found.stderr[-500:]}"
        )
    return found.stdout.strip()


def run_all(
    steps: Sequence[Step],
    setting: Setting,
    out: Path,
    *,
    device: str | None,
    longest_s: float = LONGEST_S,
    clock: Callable[[], float] = time.monotonic,
    command: Callable[[Step, Path], list[str]] | None = None,
) -> int:
    """All steps in turn; status 1 if any failed. `command` gives the process of a step."""
    until = clock() + longest_s - SPARE_S
    result = about(setting, device)
    own_command = command or (lambda step, part: step_command(step, setting, part))
    ahead = 0 if setting.rehearsed else AHEAD
    waiting: dict[str, Process] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            for place, step in enumerate(steps):
                for coming in steps[place : place + 1 + ahead]:
                    if coming.name not in waiting:
                        waiting[coming.name] = started(coming, own_command, Path(folder))
                limit_s = REHEARSED_TIMES * step.limit_s if setting.rehearsed else min(step.limit_s, until - clock())
                print(f"{step.name}: {step.what}", flush=True)
                told = run_one(step, waiting[step.name], Path(folder), out, limit_s, clock, result)
                print(f"{step.name}: {'passed' if told['passed'] else 'FAILED'}, {told['seconds']} s", flush=True)
                if told["error"]:
                    print(f"  {told['error']}", flush=True)
        finally:
            for process in waiting.values():
                end(process)
    failed = [name for name, told in result["steps"].items() if not told["passed"]]
    print(f"{len(result['steps']) - len(failed)} passed, {len(failed)} failed")
    return int(bool(failed))


def about(setting: Setting, device: str | None) -> dict[str, Any]:
    return {
        "command": f"scripts/gpu_check.sh{' --rehearse' if setting.rehearsed else ''}",
        "date": date.today().isoformat(),
        "commit": commit(),
        "rehearsed": setting.rehearsed,
        "device": device,
        "python": platform.python_version(),
        "steps": {},
    }


def commit() -> str:
    """The commit that is checked out, and whether what is measured differs from it; unknown where there is no git, or
    no repository. A copied folder may have a repository that lags behind its files."""
    if not shutil.which("git"):
        return "unknown"
    head, changed = (
        subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--", *MEASURED))
    )
    if head.returncode or changed.returncode:
        return "unknown"
    return head.stdout.strip() + (CHANGED if changed.stdout.strip() else "")


def step_command(step: Step, setting: Setting, part: Path) -> list[str]:
    options = ["--rehearse"] if setting.rehearsed else []
    return [sys.executable, "-m", "scripts.gpu.check", "--run-step", step.name, "--out", str(part), *options]


def started(step: Step, command: Callable[[Step, Path], list[str]], folder: Path) -> Process:
    """The process of a step, which waits for its turn."""
    with printed_by(step, folder).open("wb") as target:
        return subprocess.Popen(
            command(step, part_of(step, folder)),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=target,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def part_of(step: Step, folder: Path) -> Path:
    """Where a step writes what it finds."""
    return folder / f"{step.name}.json"


def printed_by(step: Step, folder: Path) -> Path:
    return folder / f"{step.name}.txt"


def end(process: Process) -> None:
    """End a process and all that it started, if it still runs."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run_one(
    step: Step,
    process: Process,
    folder: Path,
    out: Path,
    limit_s: float,
    clock: Callable[[], float],
    result: dict[str, Any],
) -> dict[str, Any]:
    """Let a step run to its end or its limit, writing what is known of it all the while."""
    part, printed = part_of(step, folder), printed_by(step, folder)
    began = clock()

    def note(passed: bool, error: str) -> dict[str, Any]:
        parts = json.loads(part.read_text(encoding="utf-8")) if part.is_file() else {}
        told = {"passed": passed, "seconds": round(clock() - began, 1), "error": error, "parts": parts}
        result["steps"][step.name] = told
        write_json(out / RESULT, result)
        return told

    if limit_s < min(LEAST_S, step.limit_s):
        end(process)
        return note(False, NO_TIME)
    note(False, "it did not end")
    let_go(process)
    error = waited(process, limit_s, clock, lambda: note(False, "it did not end"))
    if error:
        error = f"{error}; last it printed: {last_line(printed)}"
    append_log(out / LOG, step.name, printed)
    parts = json.loads(part.read_text(encoding="utf-8")) if part.is_file() else {}
    bad = [name for name, told in parts.items() if not told["passed"]]
    if not error and bad:
        error = f"failed: {', '.join(bad)}"
    if not error and not parts:
        error = "it told nothing"
    return note(not error, error)


def let_go(process: Process) -> None:
    """Tell a process that its turn has come; one that is gone already is told by its status."""
    if process.stdin:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(GO.encode())
            process.stdin.close()


def waited(process: Process, limit_s: float, clock: Callable[[], float], look: Callable[[], object]) -> str:
    """Why a process did not end well; empty if it did. Its whole group is ended at the limit."""
    until = clock() + limit_s
    while True:
        try:
            status = process.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            look()
            if clock() < until:
                continue
            end(process)
            return f"it was ended after {limit_s:.0f} s"
        return f"its process ended with status {status}" if status else ""


def last_line(printed: Path) -> str:
    lines = printed.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else "nothing"


def append_log(log: Path, name: str, printed: Path) -> None:
    content = printed.read_bytes()[-LOG_BYTES:]
    with log.open("ab") as target:
        target.write(f"=== {name}\n".encode() + content + b"\n")
    printed.unlink()


def run_step(name: str, setting: Setting, part: Path) -> int:
    """What a step's own process does."""
    if setting.rehearsed:
        os.environ["OMP_NUM_THREADS"] = "1"  # two that spin on a busy machine take many times as long
        os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is made
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    step = next(step for step in STEPS if step.name == name)
    module = importlib.import_module(f"scripts.gpu.{step.module}")
    if hasattr(module, "prepare"):
        module.prepare()
    if sys.stdin.readline() != GO:
        return 1  # who would have said it is gone
    getattr(module, name)(Record(part), setting)
    return 0


if __name__ == "__main__":
    sys.exit(main())
