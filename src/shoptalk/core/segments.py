"""A recognition cut into sentences, and recognitions of several channels merged in the order of time."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from shoptalk.core.records import Recognition, Word

PAUSE_S = 1.0
"""Silence that ends a segment; so does a sentence's end, and so do `SEGMENT_S` seconds."""
SEGMENT_S = 12.0
LEAST = 1e-4
"""Confidences have four decimals; one of 0 stands for at most this, whose logarithm JSON can hold."""


@dataclass(frozen=True)
class Segment:
    """A stretch of speech, in seconds from the start."""

    start_s: float
    end_s: float
    text: str
    avg_logprob: float = 0.0
    """Mean log probability of its words, natural; 0 where the recogniser tells none."""
    channel: int = 0
    """Of the recording, from 0, where each was recognised for itself."""


def of_recognition(recognition: Recognition, duration_s: float) -> list[Segment]:
    """The words cut into sentences; all of the text as one segment where there are no times."""
    if not recognition.words:
        return [Segment(0.0, duration_s, recognition.text)] if recognition.text else []
    cut = []
    for words in _sentences(recognition.words):
        text = " ".join(word.word for word in words)
        cut.append(Segment(words[0].start_s, words[-1].end_s, text, _avg_logprob(words)))
    return cut


def of_channels(recognitions: Sequence[Recognition], duration_s: float) -> list[Segment]:
    """The segments of every channel, by their start."""
    together: list[Segment] = []
    for channel, recognition in enumerate(recognitions):
        together += [replace(segment, channel=channel) for segment in of_recognition(recognition, duration_s)]
    return sorted(together, key=lambda segment: (segment.start_s, segment.channel))


def turns(segments: Iterable[Segment]) -> list[Segment]:
    """Segments that follow each other in one channel as one; how likely its words are is not told of a turn."""
    joined: list[Segment] = []
    for segment in segments:
        if joined and joined[-1].channel == segment.channel:
            before = joined.pop()
            end_s = max(before.end_s, segment.end_s)
            segment = Segment(before.start_s, end_s, f"{before.text} {segment.text}", channel=before.channel)
        joined.append(segment)
    return joined


def words_of_channels(recognitions: Sequence[Recognition]) -> list[tuple[int, Word]]:
    """The words of every channel with its number, by their start."""
    together = [(channel, word) for channel, recognition in enumerate(recognitions) for word in recognition.words]
    return sorted(together, key=lambda pair: (pair[1].start_s, pair[0]))


def text_of(recognitions: Sequence[Recognition], names: Sequence[str], duration_s: float) -> str:
    """The text of a recording; of several channels a line for each turn, which starts with a name and a colon."""
    if len(recognitions) == 1:
        return recognitions[0].text
    told = turns(of_channels(recognitions, duration_s))
    return "\n".join(f"{names[turn.channel]}: {turn.text}" for turn in told)


def names_of(channels: int, given: Sequence[str]) -> tuple[str, ...]:
    """A name for each channel: those given, then A, B, C … by its number, as OpenAI labels speakers."""
    return tuple(given[number] if number < len(given) else _letter(number) for number in range(channels))


def _letter(number: int) -> str:
    """A to Z, then A1, B1 …"""
    rounds, place = divmod(number, 26)
    return chr(ord("A") + place) + (str(rounds) if rounds else "")


def logprob(confidence: float) -> float:
    """The natural logarithm of a confidence, never that of 0."""
    return math.log(max(confidence, LEAST))


def _avg_logprob(words: Sequence[Word]) -> float:
    logprobs = [logprob(word.confidence) for word in words if word.confidence is not None]
    return round(sum(logprobs) / len(logprobs), 4) if logprobs else 0.0


def _sentences(words: Iterable[Word]) -> Iterator[list[Word]]:
    current: list[Word] = []
    for word in words:
        if current and _ends_before(current, word):
            yield current
            current = []
        current.append(word)
    if current:
        yield current


def _ends_before(current: Sequence[Word], word: Word) -> bool:
    """Whether a segment ends before the next word: by a pause, its length, or the end of a sentence."""
    is_pause = word.start_s - current[-1].end_s >= PAUSE_S
    is_too_long = word.end_s - current[0].start_s > SEGMENT_S
    return is_pause or is_too_long or current[-1].word.endswith((".", "?", "!"))
