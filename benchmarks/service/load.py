"""The load generator, a process of its own: Poisson arrivals that never wait for answers, or a number of clients.

    python benchmarks/service/load.py URL CLIPS_FOLDER < plan.json > answers.json

A plan has `requests`, `seed`, and either `rate` (open loop: so many arrivals a second) or `clients` (closed loop: each
sends the next clip when its last one is answered). The order of the clips and the gaps, in units of the mean gap, are
those of the seed. So two rates differ in nothing but the rate.

The time of an answer counts from when the request was due, not from when it was sent: a generator that falls behind
hides nothing. `late_s` and `late_share` end a run that cannot hold its percentile any more. HTTP is spoken by hand over
connections that are kept open, and the bodies are made before the first request: the generator shares two cores with
the server it measures. It tells the processor time it took and how late it sent at most.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

BOUNDARY = "shoptalk-benchmark"
IDLE_S = 2.0
"""A connection that was idle for longer is closed: servers close theirs too (uvicorn after 5 s)."""
PATIENCE_S = 60.0
"""An answer that takes longer counts as an error."""


@dataclass(frozen=True)
class Answer:
    """What became of one request."""

    clip: int
    due_s: float
    """From the start of the run."""
    taken_s: float
    """From when it was due to the end of the answer."""
    status: int
    """0: no answer."""
    text: str


@dataclass
class Connections:
    """Connections that are open and idle; more are opened as needed."""

    host: str
    port: int
    idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)
    """Since when, and the two ends; the one that was used last is the last."""

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer; `OSError` or `EOFError` where there is none."""
        now_s = time.perf_counter()
        while self.idle and now_s - self.idle[0][0] > IDLE_S:
            self.idle.pop(0)[2].close()
        if self.idle:
            _, reader, writer = self.idle.pop()
        else:
            reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(request)
            await writer.drain()
            status, body, stays_open = await read_answer(reader)
        except BaseException:
            writer.close()
            raise
        if stays_open:
            self.idle.append((time.perf_counter(), reader, writer))
        else:
            writer.close()
        return status, body

    def close(self) -> None:
        for _, _, writer in self.idle:
            writer.close()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Status, body, and whether the connection may be used again."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = int(head.split(" ", 2)[1])
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    if headers.get("transfer-encoding") == "chunked":
        body = await read_chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return status, body, headers.get("connection") != "close"


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)


def make_request(url: str, wav: bytes, fields: Mapping[str, str]) -> bytes:
    """A whole HTTP/1.1 request with a form: the fields, then the file."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    file_head = 'Content-Disposition: form-data; name="file"; filename="clip.wav"\r\nContent-Type: audio/wav'
    parts += [f"--{BOUNDARY}\r\n{file_head}\r\n\r\n".encode(), wav, f"\r\n--{BOUNDARY}--\r\n".encode()]
    body = b"".join(parts)
    split = urlsplit(url)
    head = (
        f"POST {split.path} HTTP/1.1\r\nHost: {split.netloc}\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
    )
    return head.encode() + body


def text_of(status: int, body: bytes) -> str:
    """The transcript in an answer; empty where there is none."""
    if status != 200:
        return ""
    content = json.loads(body)
    return str(content.get("text", "")) if isinstance(content, dict) else ""


def arrivals(seed: int, requests: int, clips: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """When each request is due, in mean gaps, and which clip it sends. The last one is due at exactly `requests`."""
    rng = np.random.default_rng(seed)
    due = np.cumsum(rng.exponential(size=requests))
    return due * (requests / due[-1]), rng.integers(clips, size=requests)


class Run:
    """One run of the generator."""

    def __init__(self, url: str, requests: Sequence[bytes], plan: Mapping[str, Any]):
        split = urlsplit(url)
        self._connections = Connections(split.hostname or "127.0.0.1", split.port or 80)
        self._requests = requests
        self._plan = plan
        self._begin = 0.0
        self._lag_s = 0.0
        self.answers: list[Answer] = []

    async def run(self) -> dict[str, Any]:
        """Send everything, wait for the answers, and tell them."""
        due, clips = arrivals(self._plan["seed"], self._plan["requests"], len(self._requests))
        self._begin = time.perf_counter()
        if "rate" in self._plan:
            await self._open_loop(due / self._plan["rate"], clips)
        else:
            await self._closed_loop(clips)
        wall_s = time.perf_counter() - self._begin
        self._connections.close()
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "answers": [asdict(answer) for answer in self.answers],
            "planned": self._plan["requests"],
            "wall_s": wall_s,
            "generator_cpu_s": used.ru_utime + used.ru_stime,
            "generator_lag_s": self._lag_s,
        }

    async def _open_loop(self, due_s: np.ndarray[Any, Any], clips: np.ndarray[Any, Any]) -> None:
        under_way: set[asyncio.Task[None]] = set()
        for when_s, clip in zip(due_s.tolist(), clips.tolist(), strict=True):
            wait_s = self._begin + when_s - time.perf_counter()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            if self._is_lost():
                break
            self._lag_s = max(self._lag_s, time.perf_counter() - self._begin - when_s)
            task = asyncio.create_task(self._ask(clip, when_s))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        for task in under_way if self._is_lost() else ():
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _closed_loop(self, clips: np.ndarray[Any, Any]) -> None:
        waiting = iter(clips.tolist())

        async def client() -> None:
            for clip in waiting:
                await self._ask(clip, time.perf_counter() - self._begin)

        await asyncio.gather(*(client() for _ in range(self._plan["clients"])))

    async def _ask(self, clip: int, due_s: float) -> None:
        status, text = 0, ""
        try:
            async with asyncio.timeout(PATIENCE_S):
                status, body = await self._connections.ask(self._requests[clip])
            text = text_of(status, body)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            status = 0
        taken_s = time.perf_counter() - self._begin - due_s
        self.answers.append(Answer(clip, due_s, taken_s, status, text))

    def _is_lost(self) -> bool:
        """Whether so many answers were late, or failed, that the rest cannot mend the percentile."""
        late_s, late_share = self._plan.get("late_s"), self._plan.get("late_share", 0.0)
        if late_s is None:
            return False
        late = sum(answer.taken_s > late_s or answer.status != 200 for answer in self.answers)
        return late > late_share * self._plan["requests"] + 1


def main() -> None:
    url, folder = sys.argv[1], Path(sys.argv[2])
    plan = json.load(sys.stdin)
    wavs = [path.read_bytes() for path in sorted(folder.glob("*.wav"))]
    requests = [make_request(url, wav, {"model": plan["model"], "response_format": "json"}) for wav in wavs]
    json.dump(asyncio.run(Run(url, requests, plan).run()), sys.stdout)


if __name__ == "__main__":
    main()
