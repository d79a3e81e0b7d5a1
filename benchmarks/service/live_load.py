"""The generator of live streams: so many at the same time over `/v1/stream`, each as fast as somebody speaks.

Audio is sent in pieces of `PIECE_S`, each when its last sample is spoken. A place takes the next recording when the
words of the last one are complete. Places begin at random within `RAMP_S`, each somewhere within its first recording:
so ends are spread over the run, and the pieces of the streams do not come in step. When the time is over, streams whose
audio has not ended are cut off and do not count.

All times of a stream count from when its first sample is spoken. Nothing waits for the server: a piece is due at its
time, and whatever is late because of the server or the generator counts as delay. Messages are parsed after the run:
the generator shares its cores with the server. WebSockets are not compressed.
"""

import asyncio
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from shoptalk.core.audio import SAMPLE_RATE_HZ

PIECE_S = 0.1
RAMP_S = 5.0
MOST_SKIPPED = 0.9
"""Of a place's first recording."""
PATIENCE_S = 10.0
"""Words that come later after the end of the audio count as an error."""
END = '{"type": "end"}'
BYTES_PER_S = 2 * SAMPLE_RATE_HZ


@dataclass(frozen=True)
class Plan:
    """What is streamed."""

    streams: int
    """At the same time."""
    seconds: float
    """That are measured, after the ramp."""
    seed: int


@dataclass
class Streamed:
    """What became of one stream."""

    recording: int
    is_whole: bool
    """Whether the recording was streamed from its beginning."""
    seconds: float
    """Of its audio."""
    counts: bool
    """Whether its audio ended in the measured part of the run."""
    sent_s: float = 0.0
    """Of its audio, what the server took."""
    messages: list[tuple[float, str]] = field(default_factory=list)
    """Seconds from the start of its audio, and what came."""
    error: str = ""


@dataclass
class Outcome:
    """Of a run."""

    streamed: list[Streamed]
    wall_s: float
    cpu_s: float
    """Of the generator."""
    lag_s: list[float]
    """How late each piece was sent because the generator was late."""


class Run:
    """One run of the generator."""

    def __init__(self, addresses: Sequence[str], pcm: Sequence[bytes], plan: Plan) -> None:
        """`addresses` and `pcm` (16 bits, 16 kHz) belong to the recordings."""
        self._addresses = addresses
        self._pcm = pcm
        self._plan = plan
        self._rng = np.random.default_rng(plan.seed)
        self._order = self._recordings()
        self._begin_s = 0.0
        self._end_s = 0.0
        self._streamed: list[Streamed] = []
        self._lag_s: list[float] = []

    async def run(self) -> Outcome:
        """Stream until the time is over, and wait for the words of what ended by then."""
        number = self._plan.streams
        starts_s = self._rng.uniform(0, RAMP_S, number)
        skipped = MOST_SKIPPED * self._rng.permutation(number) / number
        self._begin_s, cpu_begun_s = time.perf_counter(), time.process_time()
        self._end_s = self._begin_s + RAMP_S + self._plan.seconds
        async with asyncio.TaskGroup() as group:
            for start_s, part in zip(starts_s.tolist(), skipped.tolist(), strict=True):
                group.create_task(self._place(start_s, part))
        wall_s, cpu_s = time.perf_counter() - self._begin_s, time.process_time() - cpu_begun_s
        return Outcome(self._streamed, wall_s, cpu_s, self._lag_s)

    def _recordings(self) -> Iterator[int]:
        """All of them over and over, each time in another order."""
        orders = (self._rng.permutation(len(self._pcm)).tolist() for _ in repeat(None))
        return chain.from_iterable(orders)

    async def _place(self, start_s: float, skipped: float) -> None:
        await asyncio.sleep(start_s)
        recording = next(self._order)
        start = 2 * math.floor(skipped * len(self._pcm[recording]) / 2)
        await self._stream(recording, start)
        while time.perf_counter() < self._end_s:
            await self._stream(next(self._order), 0)

    async def _stream(self, recording: int, start: int) -> None:
        audio = memoryview(self._pcm[recording])[start:]
        seconds = len(audio) / BYTES_PER_S
        streamed = Streamed(recording, start == 0, seconds, counts=True)
        self._streamed.append(streamed)
        try:
            async with connect(self._addresses[recording], compression=None, open_timeout=PATIENCE_S) as socket:
                begun_s = time.perf_counter()
                ends_s = begun_s + seconds
                streamed.counts = self._begin_s + RAMP_S <= ends_s <= self._end_s
                stops_s = self._end_s if ends_s > self._end_s else ends_s + PATIENCE_S
                async with asyncio.timeout(stops_s - begun_s):
                    await self._converse(socket, audio, begun_s, streamed)
        except TimeoutError:
            streamed.error = f"no end of the words within {PATIENCE_S:g} s" if streamed.counts else ""
        except (OSError, WebSocketException) as error:
            streamed.error = f"{type(error).__name__}: {error}"

    async def _converse(self, socket: ClientConnection, audio: memoryview, begun_s: float, streamed: Streamed) -> None:
        sending = asyncio.create_task(self._send(socket, audio, begun_s, streamed))
        try:
            async for message in socket:
                streamed.messages.append((time.perf_counter() - begun_s, str(message)))
            await sending
        finally:
            sending.cancel()

    async def _send(self, socket: ClientConnection, audio: memoryview, begun_s: float, streamed: Streamed) -> None:
        size = round(PIECE_S * BYTES_PER_S)
        for start in range(0, len(audio), size):
            piece = audio[start : start + size]
            due_s = begun_s + (start + len(piece)) / BYTES_PER_S
            wait_s = due_s - time.perf_counter()
            if wait_s > 0:  # else the server did not take the last piece yet
                await asyncio.sleep(wait_s)
                self._lag_s.append(time.perf_counter() - due_s)
            await socket.send(bytes(piece))
            streamed.sent_s += len(piece) / BYTES_PER_S
        await socket.send(END)
