"""Many clients for a long time, some of them ill-behaved: no answer is lost or wrong, and no process grows.

    python benchmarks/service/soak.py [results/soak.json] [--minutes 60] [--clients 64] [--kill]

`shoptalk serve` with the tiny base, in processes of its own. Each client sends the next clip of 2 to 30 s when its last
one was answered. A text must be the one that the clip had alone, before the others came. Of a hundred requests, five
hang up while they upload, five while they wait, five bring no audio, and ten ask for events. `--kill` kills a worker
process with SIGKILL every ten seconds: then an answer may also be 503 that asks to try again, which the client does.

The time has six parts. After each of them all clients wait until everything is answered. Then the memory of each
process that is its own (`RssAnon`), its descriptors, its threads and the audio in shared memory are looked at. The most
after the first three parts and after the last three are held against each other. `mib_per_hour` is the slope of the
straight line that fits the memory after the parts best. `most` is what was seen under load. A stream's deltas must give
its text. Ends with 1 if anything was lost, wrong or grew.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clips
import load
import numpy as np
import servers

from shoptalk.core import device, files

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
SEED = 7
CLIPS = 60
SETTINGS = ("serve.queue=128", "serve.uploads=128")
"""The clients are more than the defaults let wait."""
PARTS = 6
LOOK_S = 1.0
"""So often the processes are looked at under load."""
REST_S = 2.0
"""So long after the last answer they are looked at."""
KILL_EVERY_S = 10.0
PATIENCE_S = 600.0
"""More than the server allows itself: what fails is its answer, not the client's."""
TRIES = 30
MORE_MIB, MORE_SHARE = 24.0, 0.05
"""A group of processes has grown if its memory rose by more than both."""
MORE_OF_OTHERS = 8
"""Descriptors or threads."""
KINDS = ("plain", "hangs up early", "hangs up late", "no audio", "events")
SHARES = (0.75, 0.05, 0.05, 0.05, 0.10)


@dataclass
class Tally:
    """What became of the requests."""

    right: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    """Answers that should have been others, by what they were."""
    tried_again: int = 0
    left: int = 0
    """Requests whose client hung up."""
    refused: int = 0
    """Recordings without audio that were answered 400."""
    audio_s: float = 0.0
    taken_s: list[float] = field(default_factory=list)


class Crowd:
    """The clients."""

    def __init__(self, url: str, audio: clips.Clips, *, may_fail: bool):
        """`may_fail`: workers are killed, and what they had under way may be answered 503."""
        split = urlsplit(url)
        self._host, self._port = split.hostname or "127.0.0.1", split.port or 80
        self._audio = audio
        self._may_fail = may_fail
        model = {"model": MODEL.stem}
        self._plain = [load.make_request(url, wav, model) for wav in audio.wavs]
        self._events = [load.make_request(url, wav, {**model, "stream": "true"}) for wav in audio.wavs]
        self._bad = load.make_request(url, b"RIFF" + bytes(4_000), model)
        self._connections = load.Connections(self._host, self._port)
        self._texts: list[str] = []
        self.tally = Tally()

    async def learn(self) -> None:
        """What each clip gives alone."""
        for request in self._plain:
            status, body = await self._connections.ask(request)
            if status != 200:
                raise SystemExit(f"soak: a clip alone was answered {status}: {body[:300]!r}")
            self._texts.append(load.text_of(status, body))

    async def run(self, clients: int, part: int, seconds: float) -> None:
        """Until the time is over and all answers are here."""
        end_s = time.monotonic() + seconds
        seeds = [[SEED, part, number] for number in range(clients)]
        await asyncio.gather(*(self._client(seed, end_s) for seed in seeds))
        self._connections.close()
        self._connections.idle.clear()

    async def _client(self, seed: Sequence[int], end_s: float) -> None:
        rng = np.random.default_rng(seed)
        while time.monotonic() < end_s:
            clip = int(rng.integers(len(self._texts)))
            kind = str(rng.choice(KINDS, p=SHARES))
            if kind == "hangs up early":
                await self._hang_up(self._plain[clip][: int(rng.integers(1, len(self._plain[clip])))], 0.0)
            elif kind == "hangs up late":
                await self._hang_up(self._plain[clip], float(rng.uniform(0.0, 0.5)))
            elif kind == "no audio":
                status, _ = await self._answer(self._bad)
                self._count(status == 400, f"no audio: {status}")
                self.tally.refused += status == 400
            else:
                await self._transcribe(clip, is_stream=kind == "events")

    async def _transcribe(self, clip: int, *, is_stream: bool) -> None:
        request = self._events[clip] if is_stream else self._plain[clip]
        began = time.monotonic()
        status, body = await self._answer(request)
        is_begun_stream = is_stream and status == 200
        text, error = _read_events(body) if is_begun_stream else (load.text_of(status, body), "")
        is_right = status == 200 and not error and text == self._texts[clip]
        why = error or ("another text" if status == 200 else body[:200].decode(errors="replace"))
        self._count(is_right, f"{'events' if is_stream else 'plain'}: {status} {why}")
        if is_right:
            self.tally.audio_s += self._audio.seconds[clip]
            self.tally.taken_s.append(time.monotonic() - began)

    async def _answer(self, request: bytes) -> tuple[int, bytes]:
        """Of the first try that is not 503, where workers are killed; status 0 where none comes."""
        for _ in range(TRIES):
            try:
                async with asyncio.timeout(PATIENCE_S):
                    status, body = await self._connections.ask(request)
            except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
                return 0, type(error).__name__.encode()
            if status != 503 or not self._may_fail:
                break
            self.tally.tried_again += 1
            await asyncio.sleep(0.5)
        return status, body

    async def _hang_up(self, request: bytes, wait_s: float) -> None:
        _, writer = await asyncio.open_connection(self._host, self._port)
        writer.write(request)
        await asyncio.sleep(wait_s)
        writer.transport.abort()
        self.tally.left += 1

    def _count(self, is_right: bool, what: str) -> None:
        self.tally.right += is_right
        if not is_right:
            self.tally.wrong[what] += 1


@dataclass(frozen=True)
class Look:
    """The processes of a server at one moment."""

    front_mib: float
    workers_mib: float
    audio_mib: float
    """In shared memory, mapped or open."""
    descriptors: int
    threads: int
    processes: int


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, nargs="?")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--kill", action="store_true", help="kill a worker process every ten seconds")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    servers.end_servers_with_sigterm()
    settings = [*SETTINGS, *arguments.settings]
    with tempfile.TemporaryDirectory() as temporary:
        log = Path(temporary) / "server.log"
        with servers.started(servers.OURS, MODEL, settings, log) as running:
            figures = asyncio.run(soak(running, arguments))
        lines = log.read_text(errors="replace").splitlines()
        print(f"soak: the server wrote {len(lines)} lines", *lines[-10:], sep="\n", file=sys.stderr)
    content = {
        "command": f"python benchmarks/service/soak.py --minutes {arguments.minutes:g} --clients {arguments.clients}"
        + " --kill" * arguments.kill,
        "date": str(date.today()),
        "machine": device.machine(),
        "load_average": round(os.getloadavg()[0], 2),
        "settings": settings,
        **figures,
    }
    print(json.dumps(content, indent=1))
    if arguments.results:
        files.write_text(arguments.results, json.dumps(content, indent=1) + "\n")
    if content["faults"]:
        sys.exit(1)


async def soak(running: servers.Running, arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures of a run, with its faults by name."""
    crowd = Crowd(running.url, clips.draw_clips(CLIPS, SEED), may_fail=arguments.kill)
    await crowd.learn()
    began = time.monotonic()
    rests, looks = [look(running)], [look(running)]
    watching = asyncio.create_task(watch(running, looks))
    killing = asyncio.create_task(kill(running)) if arguments.kill else None
    for part in range(PARTS):
        await crowd.run(arguments.clients, part, 60.0 * arguments.minutes / PARTS)
        await asyncio.sleep(REST_S)
        rests.append(look(running))
        print(f"soak: part {part + 1} of {PARTS}: {rests[-1]}, {crowd.tally.right} right", file=sys.stderr, flush=True)
    for task in (watching, killing):
        if task:
            task.cancel()
    wall_s = time.monotonic() - began
    tally = crowd.tally
    faults = [f"{count} times {what}" for what, count in tally.wrong.items()]
    faults += grown(rests[1 : PARTS // 2 + 1], rests[PARTS // 2 + 1 :])
    if running.process.poll() is not None:
        faults.append("the server ended")
    return {
        "wall_s": round(wall_s, 1),
        "requests": tally.right + tally.wrong.total() + tally.left,
        "right": tally.right,
        "wrong": dict(tally.wrong),
        "hung_up": tally.left,
        "without_audio_refused": tally.refused,
        "tried_again": tally.tried_again,
        "audio_s_per_s": round(tally.audio_s / wall_s, 1),
        "p50_s": round(statistics.median(tally.taken_s), 2) if tally.taken_s else None,
        "p95_s": round(float(np.quantile(tally.taken_s, 0.95)), 2) if tally.taken_s else None,
        "mib_per_hour": {name: slope(rests[1:], name, wall_s / PARTS) for name in ("front_mib", "workers_mib")},
        "after_each_part": [vars(rest) for rest in rests],
        "most": {name: max(vars(seen)[name] for seen in looks) for name in vars(looks[0])},
        "faults": faults,
    }


async def watch(running: servers.Running, looks: list[Look]) -> None:
    while True:
        looks.append(await asyncio.to_thread(look, running))
        await asyncio.sleep(LOOK_S)


async def kill(running: servers.Running) -> None:
    while True:
        await asyncio.sleep(KILL_EVERY_S)
        workers = [pid for pid, (line, _) in running.cpu_s().items() if is_worker(running, pid, line)]
        if workers:
            os.kill(workers[0], signal.SIGKILL)


def look(running: servers.Running) -> Look:
    """The processes now; one that ends meanwhile is left out."""
    front = workers = audio = 0.0
    descriptors = threads = processes = 0
    for pid in running.cpu_s():
        folder = Path(f"/proc/{pid}")
        try:
            status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
            own_mib = int(status["RssAnon"].split()[0]) / 1024
            shared_mib = audio_mib(folder)
            number = len(list((folder / "fd").iterdir()))
        except (OSError, KeyError):
            continue
        front += own_mib if pid == running.process.pid else 0.0
        workers += own_mib if pid != running.process.pid else 0.0
        audio += shared_mib
        descriptors += number
        threads += int(status["Threads"])
        processes += 1
    return Look(round(front, 1), round(workers, 1), round(audio, 1), descriptors, threads, processes)


def audio_mib(process: Path) -> float:
    """Of audio in shared memory that a process has mapped."""
    total = 0
    for line in (process / "maps").read_text().splitlines():
        if "shoptalk-audio" in line:
            start, _, end = line.split(" ", 1)[0].partition("-")
            total += int(end, 16) - int(start, 16)
    return total / 2**20


def is_worker(running: servers.Running, pid: int, line: str) -> bool:
    return pid != running.process.pid and "worker_process" in line


def slope(rests: Sequence[Look], name: str, part_s: float) -> float:
    """Of a figure after each part, in an hour."""
    hours = np.arange(len(rests)) * part_s / 3600
    return round(float(np.polyfit(hours, [vars(rest)[name] for rest in rests], 1)[0]), 1)


def grown(early: Sequence[Look], late: Sequence[Look]) -> list[str]:
    """What has grown between times at which nothing was under way, by name."""
    faults = []
    for name in ("front_mib", "workers_mib", "descriptors", "threads"):
        before, after = (max(vars(seen)[name] for seen in looks) for looks in (early, late))
        allowed = max(MORE_MIB, MORE_SHARE * before) if name.endswith("_mib") else MORE_OF_OTHERS
        if after - before > allowed:
            faults.append(f"{name} grew from {before} to {after}")
    if held := late[-1].audio_mib:
        faults.append(f"{held} MiB of audio are held when all is answered")
    return faults


def _read_events(body: bytes) -> tuple[str, str]:
    """The text of a stream, and how it failed if it did: after its first event, an error has no status of its own."""
    name, text, deltas = "", "", ""
    for line in body.decode(errors="replace").splitlines():
        kind, _, value = line.partition(": ")
        if kind == "event":
            name = value
        elif kind == "data" and value == "[DONE]":
            return text, "" if deltas == text else "deltas that are not its text"
        elif kind == "data":
            content = json.loads(value)
            if name == "error":
                return "", f"then the error {content['error']['code']}"
            deltas += content.get("delta", "")
            text = content.get("text", text)
    return "", "then no end"


if __name__ == "__main__":
    main()
