"""The servers that are compared: how each is started, when it is ready, what it costs, and how it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TRANSCRIPTIONS = "/v1/audio/transcriptions"
LITSERVE = ROOT / ".local/bench-service/litserve"
"""Where LitServe lies, and what it needs beyond what `.venv` has (`litserve.txt`)."""
START_S = 300.0
"""A server that is not ready by then has failed."""
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Kind:
    """A server that can be started."""

    name: str
    command: tuple[str, ...]
    """`{model}`, `{port}` and `{settings}` are filled in."""
    path: tuple[Path, ...] = ()
    """More folders to import from."""
    has_engine: bool = True
    """Whether our engine answers, whose texts are known."""


NEMO = Kind("FastAPI, NeMo under a lock", (str(HERE / "locked_nemo.py"), "{model}", "{port}"), has_engine=False)
LIT = Kind("LitServe, our engine", (str(HERE / "litserve_engine.py"), "{model}", "{port}", "{settings}"), (LITSERVE,))
OURS = Kind(
    "shoptalk serve",
    ("-m", "shoptalk.cli", "serve", "{model}", "--set", "serve.port={port}", "--set={settings}"),
)
KINDS = {"nemo": NEMO, "litserve": LIT, "ours": OURS}


@dataclass
class Running:
    """A server process and all that it started."""

    kind: Kind
    process: subprocess.Popen[bytes]
    port: int
    begun: float
    ready_s: float = 0.0
    """From the start of the process until it said that it is ready."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{TRANSCRIPTIONS}"

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body; 0 while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def cpu_s(self) -> dict[int, tuple[str, float]]:
        """Name and processor seconds so far of each process of the server, by process id."""
        used = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
                fields = rest.split()
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if int(fields[2]) == self.process.pid:  # the process group
                used[int(folder.name)] = (line[-60:] or name, (int(fields[11]) + int(fields[12])) / TICKS)
        return used

    def peak_mib(self) -> dict[str, int]:
        """The most memory that each process held until now, by its place among the server's and its name."""
        peaks = {}
        for place, (pid, (line, _)) in enumerate(sorted(self.cpu_s().items())):
            status = Path(f"/proc/{pid}/status").read_text()
            peak = re.search(r"VmHWM:\s+(\d+) kB", status)
            name = "worker" if "worker_process" in line else "process"
            if peak:
                peaks[f"{name} {place}"] = round(int(peak[1]) / 2**10)
        return peaks

    def load_parts_s(self) -> dict[str, float]:
        """What the start of the model took, part by part; empty where the server does not tell it."""
        status, figures = self.get("/metrics")
        found = re.findall(r'^shoptalk_model_load_part_seconds\{.*part="([^"]*)".*\} (\S+)$', figures.decode(), re.M)
        return {part: float(seconds) for part, seconds in found} if status == 200 else {}


def command_line(kind: Kind, model: Path, port: int, settings: Sequence[str]) -> list[str]:
    """What starts a server. A part with `{settings}` is repeated for each of them."""
    command = [sys.executable]
    for part in kind.command:
        if "{settings}" in part:
            command += [part.replace("{settings}", setting) for setting in settings]
        else:
            command.append(part.replace("{model}", str(model)).replace("{port}", str(port)))
    return command


def end_servers_with_sigterm() -> None:
    """Have SIGTERM leave the blocks that end servers, as Ctrl-C does: a server is not left behind."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


@contextmanager
def started(kind: Kind, model: Path, settings: Sequence[str], log: Path) -> Iterator[Running]:
    """A server that is ready; it and all that it started end with the block."""
    port = free_port()
    with log.open("wb") as output:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command_line(kind, model, port, settings),
            cwd=ROOT,
            env=environment(kind),
            stdout=output,
            stderr=output,
            process_group=0,
        )
        running = Running(kind, process, port, begun)
        try:
            wait_until_ready(running, log)
            running.ready_s = time.perf_counter() - begun
            yield running
        finally:
            stop(running)


def wait_until_ready(running: Running, log: Path) -> None:
    """`RuntimeError` with the end of the log where the server ends or is not ready in time."""
    until = running.begun + START_S
    while running.get("/health/ready")[0] != 200:
        if running.process.poll() is not None or time.perf_counter() > until:
            raise RuntimeError(f"{running.kind.name} did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)


def stop(running: Running) -> None:
    """As an operator would; what is left after ten seconds is killed."""
    running.process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        running.process.wait(10)
    for pid in running.cpu_s():
        os.kill(pid, signal.SIGKILL)
    running.process.wait()


def cores_busy(
    before: Mapping[int, tuple[str, float]], after: Mapping[int, tuple[str, float]], wall_s: float
) -> list[dict[str, Any]]:
    """How many cores each process of a server kept busy."""
    busy = []
    for pid, (name, used_s) in sorted(after.items()):
        share = (used_s - before.get(pid, (name, 0.0))[1]) / wall_s
        if share >= 0.005:
            busy.append({"process": name.strip().replace(str(ROOT), "."), "cores": round(share, 3)})
    return busy


def cores_by_role(
    running: Running, before: Mapping[int, tuple[str, float]], after: Mapping[int, tuple[str, float]], wall_s: float
) -> dict[str, float]:
    """How many cores the front process and all other processes kept busy."""
    cores = {"front": 0.0, "workers": 0.0}
    for pid, (_, used_s) in after.items():
        earlier_s = before[pid][1] if pid in before else 0.0
        cores["front" if pid == running.process.pid else "workers"] += (used_s - earlier_s) / wall_s
    return {role: round(share, 3) for role, share in cores.items()}


def commit() -> str:
    """The short name of the commit that is measured."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def environment(kind: Kind) -> Mapping[str, str]:
    path = [str(ROOT / "src"), *map(str, kind.path)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path), "PYTHONWARNINGS": "ignore"}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
