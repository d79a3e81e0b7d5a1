"""Streams between front process and worker, whatever dies in between: every word once, and nothing kept for long.

Both sides are real and the recogniser is a fake. The process and its pipe are simulated, so that deaths come at any
place between two messages.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.service.model.fake_recognizer import KILLS, LACKS_MEMORY, RAISES, FakeStreamer, stream_words

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import PLAIN, Options, Phrase
from shoptalk.core.records import Samples, Word
from shoptalk.service.model import open_streams
from shoptalk.service.model.messages import FeedStream, OpenStream, Withdraw
from shoptalk.service.model.open_streams import OpenStreams
from shoptalk.service.model.streams import Streams
from shoptalk.service.problems import Problem

GONE = Problem(503, "the model is gone", code="not_ready")


class Killed(Exception):
    """What the fake does in place of ending this process."""


class Fake(FakeStreamer):
    def feed(self, feeds: Sequence[Any]) -> Any:
        if any(np.float32(KILLS) in feed.samples_S for feed in feeds):
            raise Killed
        return super().feed(feeds)


class Simulated:
    """A worker process without a process: `step` lets it take its messages or feed streams, `die` starts it anew."""

    def __init__(self, *, most_together: int = 16) -> None:
        self.streams = Streams(self.send, within_s=5.0, on_end=lambda: None)
        self.most_together = most_together
        self.calls: list[int] = []
        """Streams of each call."""
        self.fed = 0
        """Samples that the recogniser computed with."""
        self.saves = 0
        self.start()

    def start(self) -> None:
        self.inbox: deque[Any] = deque()
        self.outbox: deque[Any] = deque()
        self.open = OpenStreams(Fake(), self.outbox.append, most_together=self.most_together)

    def send(self, message: object) -> None:
        self.inbox.append(message)

    def die(self, at: Sequence[int] = ()) -> None:
        """With all that is in its pipes; the front process knows at which streams it was."""
        self.start()
        for id_ in at:
            if id_ in self.streams:
                self.streams.suspect(id_)
        self.streams.open_all_again()

    def step(self) -> bool:
        """One thing that the process does; whether there was any."""
        if self.outbox:
            self.streams.take(self.outbox.popleft())
        elif self.inbox:
            self._take(self.inbox.popleft())
        elif self.open.waiting:
            turn = self.open.next()
            self.calls.append(len(turn))
            self.fed += sum(feed.message.samples_S.size for feed in turn)
            try:
                self.open.feed(turn)
            except Killed:
                self.die([feed.id for feed in turn])
        else:
            return False
        return True

    def _take(self, message: object) -> None:
        if isinstance(message, OpenStream):
            self.open.open(message)
        elif isinstance(message, FeedStream):
            self.open.take(message)
        elif isinstance(message, Withdraw):
            self.open.forget(message.id)

    async def run(self, *tasks: Coroutine[Any, Any, Any], dies: Callable[[], bool] = lambda: False) -> list[Any]:
        """What the tasks return, or the problems that they raise."""
        gathered = asyncio.gather(*tasks, return_exceptions=True)
        while not gathered.done():
            for _ in range(3):  # tasks run on
                await asyncio.sleep(0)
            if dies():
                self.die()
            self.step()
        return await gathered


@pytest.fixture(autouse=True)
def tried_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process answers nothing."""
    tried = open_streams.tried

    def tried_unless_killed(call: Callable[..., Any], *arguments: Any) -> Any:
        result = tried(call, *arguments)
        if isinstance(result, Killed):
            raise result
        return result

    monkeypatch.setattr(open_streams, "tried", tried_unless_killed)


def speech(seconds: float, seed: int = 7) -> Samples:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.05, round(seconds * SAMPLE_RATE_HZ)).astype(np.float32)


def pieces_of(samples_S: Samples, cuts: Sequence[float]) -> list[Samples]:
    places = sorted(round(cut * samples_S.size) for cut in cuts)
    return [samples_S[start:end] for start, end in pairwise([0, *places, samples_S.size])]


async def said(process: Simulated, id_: int, pieces: Sequence[Samples], options: Options = PLAIN) -> list[Word]:
    """All final words of a stream."""
    stream = await process.streams.open(id_, options)
    words: list[Word] = []
    for number, piece_S in enumerate(pieces):
        partial = await stream.feed(piece_S, last=number == len(pieces) - 1)
        words += partial.final
    return words


cuts = st.lists(st.floats(0, 1), max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    recordings=st.lists(st.tuples(st.floats(0, 25), cuts), min_size=1, max_size=4),
    deaths=st.sets(st.integers(0, 120), max_size=6),
    most_together=st.integers(1, 3),
)
def test_every_word_is_told_once_however_audio_is_cut_and_wherever_processes_die(
    recordings: list[tuple[float, list[float]]], deaths: set[int], most_together: int
) -> None:
    spoken = [speech(seconds, seed) for seed, (seconds, _) in enumerate(recordings)]
    steps = iter(range(10**9))

    async def scenario() -> None:
        process = Simulated(most_together=most_together)
        tasks = [
            said(process, number, pieces_of(samples_S, cut))
            for number, (samples_S, (_, cut)) in enumerate(zip(spoken, recordings, strict=True))
        ]
        results = await process.run(*tasks, dies=lambda: next(steps) in deaths)
        assert results == [stream_words(samples_S) for samples_S in spoken]
        assert len(process.streams) == 0

    asyncio.run(scenario())


def test_a_stream_of_an_hour_keeps_no_more_than_some_seconds() -> None:
    async def scenario() -> None:
        process = Simulated()
        minute_S = speech(60.0)
        stream_of = process.streams.open(1, PLAIN)
        opening = asyncio.ensure_future(stream_of)
        await process.run(asyncio.wait_for(opening, 5))
        stream = opening.result()
        words: list[Word] = []

        async def feed(piece_S: Samples, *, last: bool = False) -> None:
            words.extend((await stream.feed(piece_S, last=last)).final)

        for number in range(60):
            await process.run(feed(minute_S))
            kept = [*stream._unsaved, *stream._gathered]
            assert sum(part_S.size for part_S in kept) < 10 * SAMPLE_RATE_HZ
            if number == 40:
                fed = process.fed
                process.die()
        await process.run(feed(minute_S[:0], last=True))
        assert words == stream_words(np.tile(minute_S, 60))
        assert process.fed - fed < (19 * 60 + 10) * SAMPLE_RATE_HZ, "what was saved is not computed anew"

    asyncio.run(scenario())


def test_short_feeds_wait_here_until_the_model_can_say_more() -> None:
    async def scenario() -> None:
        process = Simulated()
        samples_S = speech(4.0)
        [words] = await process.run(said(process, 1, np.split(samples_S, 400)))
        assert words == stream_words(samples_S)
        assert len(process.calls) == 8, "one for each word"

    asyncio.run(scenario())


def test_the_tentative_words_are_told_again_while_the_model_waits_for_more() -> None:
    async def scenario() -> None:
        process = Simulated()
        samples_S = speech(0.7)

        async def fed() -> list[int]:
            stream = await process.streams.open(1, PLAIN)
            partials = [await stream.feed(samples_S), await stream.feed(samples_S[:10]), await stream.feed(samples_S)]
            partials.append(await stream.feed(samples_S[:0], last=True))
            return [len(partial.tentative) for partial in partials]

        assert await process.run(fed()) == [[1, 1, 1, 0]]

    asyncio.run(scenario())


def test_streams_that_wait_are_fed_together_but_for_suspects() -> None:
    async def scenario() -> None:
        process = Simulated()
        spoken = [speech(0.5, seed) for seed in range(6)]
        results = await process.run(*(said(process, number, [own_S]) for number, own_S in enumerate(spoken)))
        assert results == [stream_words(own_S) for own_S in spoken]
        assert max(process.calls) == 6

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("does", "code"),
    [(KILLS, "stream_refused"), (RAISES, "recognition_failed"), (LACKS_MEMORY, "out_of_memory")],
)
def test_a_stream_that_kills_or_fails_takes_no_other_with_it(does: float, code: str) -> None:
    async def scenario() -> None:
        process = Simulated()
        spoken = [speech(12.0, seed) for seed in range(5)]
        spoken[2][6 * SAMPLE_RATE_HZ] = does
        results = await process.run(
            *(said(process, number, np.split(own_S, 24)) for number, own_S in enumerate(spoken))
        )
        problem = results.pop(2)
        assert isinstance(problem, Problem) and problem.code == code
        del spoken[2]
        assert results == [stream_words(own_S) for own_S in spoken]
        assert max(process.calls[-20:]) > 1, "who was suspected is fed with others again"
        assert len(process.streams) == 0

    asyncio.run(scenario())


def test_a_phrase_that_cannot_be_spelt_is_told_when_the_stream_is_opened() -> None:
    async def scenario() -> None:
        process = Simulated()
        options = Options(phrases=(Phrase("unspellable"),))
        [problem] = await process.run(process.streams.open(1, options))
        assert isinstance(problem, Problem) and (problem.status, problem.code) == (400, "invalid_phrase")
        assert len(process.streams) == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("ending", ["closed", "cancelled", "failed", "late"])
def test_a_stream_that_is_over_is_forgotten_on_both_sides(ending: str) -> None:
    async def scenario() -> None:
        process = Simulated()
        process.streams._within_s = 0.05 if ending == "late" else 5.0
        opening = asyncio.ensure_future(process.streams.open(1, PLAIN))
        await process.run(asyncio.wait_for(opening, 5))
        stream = opening.result()
        feeding = asyncio.ensure_future(stream.feed(speech(1.0)))
        await asyncio.sleep(0)
        process.step()
        assert process.open.waiting == 1
        if ending == "closed":
            stream.close()
            feeding.cancel()
        elif ending == "cancelled":
            feeding.cancel()
        elif ending == "failed":
            process.streams.fail_all(GONE)
        await asyncio.wait([feeding])
        assert len(process.streams) == 0 and stream._unsaved == [] and stream._saved is None
        while process.step():
            pass
        assert process.open.waiting == 0 and not process.open._open
        with pytest.raises(Problem) as caught:
            await stream.feed(speech(1.0))
        assert caught.value.code == ("not_ready" if ending == "failed" else "stream_over")
        if ending == "late":
            with pytest.raises(Problem, match="took nothing"):
                feeding.result()

    asyncio.run(scenario())
