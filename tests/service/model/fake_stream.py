"""A live stream without a model: what it says follows from its samples alone, however they are cut."""

import asyncio
from dataclasses import dataclass, field

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import PLAIN, Options, Partial
from shoptalk.core.records import Samples, Word

WORD_S = 0.5
"""Each word is so long, with no pause between them."""
CONFIDENCE = 0.9


def words_of(samples: int) -> tuple[Word, ...]:
    """What is said in so many samples in all: a word for each half of a second, and one for a rest."""
    per_word = round(WORD_S * SAMPLE_RATE_HZ)
    count = -(-samples // per_word)
    ends_s = [min((place + 1) * per_word, samples) / SAMPLE_RATE_HZ for place in range(count)]
    return tuple(
        Word(word=f"word{place + 1}", start_s=place * WORD_S, end_s=end_s, confidence=CONFIDENCE)
        for place, end_s in enumerate(ends_s)
    )


@dataclass
class FakeStream:
    """Says a word for each half of a second: final once the next one has begun, tentative until then.

    A feed waits for `gate`, which is open at first, and raises `fault` if there is one.
    """

    options: Options = PLAIN
    caller: str = ""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    fault: Exception | None = None
    samples: int = 0
    told: int = 0
    feeds: list[tuple[int, bool]] = field(default_factory=list)
    """Of each feed: its samples, and whether it was the last one."""
    is_feeding: bool = False
    ended: bool = False
    closed: bool = False

    def __post_init__(self) -> None:
        self.gate.set()

    async def feed(self, samples_S: Samples, *, last: bool = False) -> Partial:
        assert not self.ended and not self.closed, "a stream that is over was fed"
        assert not self.is_feeding, "two feeds at a time"
        self.is_feeding = True
        try:
            await self.gate.wait()
        finally:
            self.is_feeding = False
        if self.fault:
            self.ended = True
            raise self.fault
        self.feeds.append((samples_S.size, last))
        self.samples += samples_S.size
        self.ended = last
        words = words_of(self.samples)
        until = len(words) if last else max(self.told, len(words) - 1)
        final, self.told = words[self.told : until], until
        return Partial(final, words[until:])

    def close(self) -> None:
        self.closed = True
