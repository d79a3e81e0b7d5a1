"""Champion and challenger: part of the champion's recordings are transcribed by the challenger too, and compared.

Only counts and times are kept, never a text. The champion's answers neither wait for it nor fail by it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import quantiles

import numpy as np

from shoptalk.core.records import Recognition
from shoptalk.service import clock
from shoptalk.service.model.differences import Compare, Difference
from shoptalk.service.model.work import Transcriber, Work
from shoptalk.service.problems import Problem

PENDING = 4
"""Recordings that may wait for the challenger; their samples lie in memory."""
LATENCIES = 1000
"""So many of the last latencies are kept."""
BUSY = (429, 503, 504)
"""What a challenger answers that is full, not there yet, or out of time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Latency:
    """Seconds from a recording to its text, of the last `LATENCIES` compared ones."""

    p50_s: float
    p95_s: float


@dataclass(frozen=True)
class ShadowReport:
    """What the two models made of the same recordings since the start, or since one of them was swapped."""

    champion: str
    challenger: str
    compared: int
    """Recordings that both transcribed."""
    same: int
    """Of these, with the same words."""
    pending: int
    """Recordings that the challenger has and has not transcribed."""
    dropped: int
    """Left out because other requests waited."""
    failed: int
    """Recordings that the challenger did not transcribe."""
    words: int
    """Words of the champion's texts."""
    words_differing: int
    """Substitutions, deletions and insertions between the two."""
    wer: float | None
    """Differing words per word of the champion's; None before there is any."""
    terms: int
    """Mentions of the champion's lexicon in its texts."""
    terms_differing: int
    """Mentions that only one of the two has."""
    champion_latency: Latency | None
    challenger_latency: Latency | None
    """With its wait: it works only when nothing else waits."""


class Shadow:
    """Sends part of the champion's recordings to the challenger; every method is called on the event loop."""

    def __init__(
        self,
        champion: str,
        challenger: Transcriber,
        *,
        share: float,
        rng: np.random.Generator,
        is_busy: Callable[[], bool],
        clock: Callable[[], float],
    ):
        """`share` of the recordings are sent, drawn by `rng`; none while `is_busy` says that others wait."""
        self._champion = champion
        self._challenger = challenger
        self._share = share
        self._rng = rng
        self._is_busy = is_busy
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self.forget()

    def forget(self) -> None:
        """Begin to count anew: one of the two is another model now."""
        self._compared = self._same = self._dropped = self._failed = 0
        self._total = Difference(0, 0)
        self._champion_s: deque[float] = deque(maxlen=LATENCIES)
        self._challenger_s: deque[float] = deque(maxlen=LATENCIES)
        self._round = object()

    def offer(self, work: Work, recognition: Recognition, latency_s: float, compare: Compare) -> None:
        """A recording that the champion has transcribed; returns at once."""
        if work.background or self._rng.random() >= self._share:
            return
        if len(self._tasks) >= PENDING or self._is_busy():
            self._dropped += 1
            return
        shadow = replace(work, background=True, on_words=None, on_begun=None)
        task = asyncio.create_task(self._compare(shadow, recognition.text, latency_s, compare))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Withdraw what the challenger still has."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _compare(self, work: Work, text: str, latency_s: float, compare: Compare) -> None:
        round_then = self._round
        began_s = self._clock()
        # whatever goes wrong is counted, because nobody waits for the result
        (result,) = await asyncio.gather(self._difference(work, text, compare), return_exceptions=True)
        if round_then is not self._round:
            return  # one of the two is another model by now
        if isinstance(result, Difference):
            self._count(result, latency_s, self._clock() - began_s)
        else:
            self._count_failure(result)

    async def _difference(self, work: Work, text: str, compare: Compare) -> Difference:
        async with clock.timeout(work.within_s):
            recognition = await self._challenger.transcribe(work)
        return await asyncio.to_thread(compare, text, recognition.text)

    def _count_failure(self, error: BaseException) -> None:
        is_busy = isinstance(error, TimeoutError) or (isinstance(error, Problem) and error.status in BUSY)
        if is_busy:
            self._dropped += 1
        else:
            self._failed += 1
            log.error("the challenger failed: %s", type(error).__name__)  # a message might quote what was said

    def _count(self, difference: Difference, champion_s: float, challenger_s: float) -> None:
        total = self._total
        self._total = Difference(
            words=total.words + difference.words,
            differing=total.differing + difference.differing,
            terms=total.terms + difference.terms,
            terms_differing=total.terms_differing + difference.terms_differing,
        )
        self._compared += 1
        self._same += not difference.differing
        self._champion_s.append(champion_s)
        self._challenger_s.append(challenger_s)

    def report(self) -> ShadowReport:
        """What was found so far."""
        return ShadowReport(
            champion=self._champion,
            challenger=self._challenger.name,
            compared=self._compared,
            same=self._same,
            pending=len(self._tasks),
            dropped=self._dropped,
            failed=self._failed,
            words=self._total.words,
            words_differing=self._total.differing,
            wer=self._total.rate if self._total.words else None,
            terms=self._total.terms,
            terms_differing=self._total.terms_differing,
            champion_latency=_latency(self._champion_s),
            challenger_latency=_latency(self._challenger_s),
        )


def _latency(latencies_s: deque[float]) -> Latency | None:
    if not latencies_s:
        return None
    if len(latencies_s) == 1:
        return Latency(latencies_s[0], latencies_s[0])
    hundredths = quantiles(latencies_s, n=100, method="inclusive")
    return Latency(round(hundredths[49], 4), round(hundredths[94], 4))
