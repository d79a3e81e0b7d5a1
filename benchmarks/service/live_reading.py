"""From what came of live streams to figures: delays, partial words, errors, and the search for the most streams."""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import reading
from live_load import Outcome, Streamed

from shoptalk.core import text
from shoptalk.scoring import bootstrap, wer

BOUND_S = 2.0
"""What 95 of 100 finalisations take at most at a number of streams that a server holds."""
DRAWS, CONFIDENCE = 2_000, 0.95


class Said(NamedTuple):
    """A word as a message has it."""

    word: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Talk:
    """One stream to its end, as its client saw it. Seconds count from the start of its audio."""

    text: str
    finalisation_s: float
    """From the last sample to the complete words."""
    first_words_s: float | None
    """From the end of the first word to the first message that has any word; None without words."""
    word_final_s: tuple[float, ...]
    """From the end of each word until it was final."""
    tentative: int
    """Words of all partial messages."""
    tentative_right: int
    """Of these, those that the complete text has at the same place."""
    was_taken_back: bool
    """Whether the final words, joined, are not the complete ones."""


@dataclass(frozen=True)
class Spread:
    """Percentiles in seconds; NaN of nothing."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Figures:
    """Of one run; only streams whose audio ended in its measured part count."""

    streams: int
    """At the same time."""
    ended: int
    """Streams that count, without errors."""
    errors: Mapping[str, int]
    """Of all streams of the run, by what happened."""
    taken_back: int
    """Streams whose final words were not the complete ones in the end."""
    finalisation_s: Spread
    first_words_s: Spread
    word_final_s: Spread
    tentative_words: int
    tentative_right: float | None
    """The share of them that the complete text has at the same place."""
    audio_s: float
    """That was sent, of all streams."""
    wall_s: float
    generator_cpu_share: float
    """Of one core."""
    generator_lag_ms: Spread
    """How late pieces were sent because the generator was late, in milliseconds."""

    @property
    def holds(self) -> bool:
        """Whether streams ended, none failed, and 95 % of the finalisations took at most `BOUND_S`."""
        return self.ended > 0 and not self.errors and not self.taken_back and self.finalisation_s.p95 <= BOUND_S


def read(outcome: Outcome, streams: int) -> Figures:
    """The figures of a run."""
    errors = Counter(error for error in map(error_of, outcome.streamed) if error)
    counted = [streamed for streamed in outcome.streamed if streamed.counts and not error_of(streamed)]
    talks = [follow(streamed) for streamed in counted]
    tentative = sum(talk.tentative for talk in talks)
    right = sum(talk.tentative_right for talk in talks)
    return Figures(
        streams=streams,
        ended=len(talks),
        errors=dict(errors),
        taken_back=sum(talk.was_taken_back for talk in talks),
        finalisation_s=spread([talk.finalisation_s for talk in talks]),
        first_words_s=spread([talk.first_words_s for talk in talks if talk.first_words_s is not None]),
        word_final_s=spread([seconds for talk in talks for seconds in talk.word_final_s]),
        tentative_words=tentative,
        tentative_right=round(right / tentative, 4) if tentative else None,
        audio_s=round(sum(streamed.sent_s for streamed in outcome.streamed), 1),
        wall_s=round(outcome.wall_s, 2),
        generator_cpu_share=round(outcome.cpu_s / outcome.wall_s, 3),
        generator_lag_ms=spread([1e3 * seconds for seconds in outcome.lag_s]),
    )


def error_of(streamed: Streamed) -> str:
    """What went wrong with a stream; empty if nothing did, or if it was cut off when the time was over."""
    if streamed.error:
        return streamed.error
    told = [json.loads(message) for _, message in streamed.messages]
    for content in told:
        if content["type"] == "error":
            return f"error {content['error'].get('code')}"
    is_done = bool(told) and told[-1]["type"] == "done"
    return "" if is_done or not streamed.counts else "ended without its words"


def follow(streamed: Streamed) -> Talk:
    """A stream that came to its end without an error."""
    final: list[Said] = []
    final_at_s: list[float] = []
    tentative: list[tuple[int, list[Said]]] = []
    first_at_s = math.inf
    done: list[Said] = []
    done_at_s = math.nan
    for at_s, message in streamed.messages:
        content = json.loads(message)
        words = [Said(word["word"], word["start"], word["end"]) for word in content["words"]]
        if words:
            first_at_s = min(first_at_s, at_s)
        match content["type"]:
            case "final":
                final += words
                final_at_s += [at_s] * len(words)
            case "partial":
                tentative.append((len(final), words))
            case "done":
                done, done_at_s = words, at_s
    return Talk(
        text=" ".join(word.word for word in done),
        finalisation_s=done_at_s - streamed.seconds,
        first_words_s=first_at_s - done[0].end_s if done else None,
        word_final_s=tuple(at_s - word.end_s for word, at_s in zip(final, final_at_s, strict=True)),
        tentative=sum(len(words) for _, words in tentative),
        tentative_right=sum(right_words(place, words, done) for place, words in tentative),
        was_taken_back=final != done,
    )


def right_words(place: int, words: Sequence[Said], done: Sequence[Said]) -> int:
    """How many of the words are those that the complete text has from that place on."""
    return sum(shown.word == told.word for shown, told in zip(words, done[place:], strict=False))


def spread(values: Sequence[float]) -> Spread:
    """Percentiles by nearest rank; of seconds in seconds, of milliseconds in milliseconds."""
    ordered = sorted(values)
    p50, p95, p99 = (round(reading.percentile_ms(ordered, share) / 1e3, 3) for share in (0.50, 0.95, 0.99))
    return Spread(p50, p95, p99)


def compare(
    speakers: Sequence[str], references: Sequence[str], offline: Sequence[str], streamed: Sequence[str], seed: int
) -> dict[str, Any]:
    """Word error rates of the same recordings, offline and streamed, and their difference, drawn by speakers."""
    said = [text.words(reference) for reference in references]
    counts = [wer.count_all(zip(said, map(text.words, texts), strict=True)) for texts in (offline, streamed)]
    draws = bootstrap.draw(speakers, draws=DRAWS, confidence=CONFIDENCE, seed=seed)
    before, after = ((of_side_N4[:, :3].sum(axis=1), of_side_N4[:, 3]) for of_side_N4 in counts)
    offline_rate, streamed_rate, difference = bootstrap.paired(before, after, draws)
    return {
        "recordings": len(said),
        "speakers": len(set(speakers)),
        "words": sum(map(len, said)),
        "offline": _rounded(offline_rate),
        "streamed": _rounded(streamed_rate),
        "difference": _rounded(difference),
    }


def most_streams(holds: Callable[[int], bool], start: int, *, steps: int) -> int:
    """The most streams found at which `holds`: doubled from `start` until it does not, then bisected; 0 for none."""
    low, high = 0, start
    while holds(high):
        low, high = high, 2 * high
    for _ in range(steps):
        middle = (low + high) // 2
        if middle == low:
            break
        if holds(middle):
            low = middle
        else:
            high = middle
    return low


def _rounded(interval: bootstrap.Interval) -> dict[str, float | None]:
    return {name: None if bound is None else round(bound, 4) for name, bound in asdict(interval).items()}
