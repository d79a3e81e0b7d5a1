"""A transcript in the forms that OpenAI's endpoint knows: json, text, verbose_json, srt, vtt."""

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.responses import JSONResponse, PlainTextResponse, Response

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


def render(recognition: Recognition, *, form: str, duration_s: float, granularities: Sequence[str]) -> Response:
    """The response in one of `FORMS`; `granularities` (``word``, ``segment``) count for verbose_json only."""
    return FORMS[form](recognition, duration_s, granularities)


def segments(recognition: Recognition, duration_s: float) -> list[Segment]:
    """The words cut into sentences; all of the text as one segment where there are no times."""
    if not recognition.words:
        return [Segment(0.0, duration_s, recognition.text)] if recognition.text else []
    cut = []
    for words in _sentences(recognition.words):
        text = " ".join(word.word for word in words)
        cut.append(Segment(words[0].start_s, words[-1].end_s, text, _avg_logprob(words)))
    return cut


def _avg_logprob(words: Sequence[Word]) -> float:
    logprobs = [math.log(max(word.confidence, LEAST)) for word in words if word.confidence is not None]
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


def _json(recognition: Recognition, duration_s: float, granularities: Sequence[str]) -> Response:
    return JSONResponse({"text": recognition.text, "usage": _usage(duration_s)})


def _verbose(recognition: Recognition, duration_s: float, granularities: Sequence[str]) -> Response:
    content: dict[str, Any] = {
        "task": "transcribe",
        "language": "english",
        "duration": round(duration_s, 3),
        "text": recognition.text,
    }
    if "word" in granularities:
        content["words"] = [_word(word) for word in recognition.words]
    if "segment" in granularities:
        numbered = enumerate(segments(recognition, duration_s))
        content["segments"] = [_segment(number, segment) for number, segment in numbered]
    return JSONResponse({**content, "usage": _usage(duration_s)})


def _word(word: Word) -> dict[str, Any]:
    return {"word": word.word, "start": word.start_s, "end": word.end_s}


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    """OpenAI's fields, each of the type that its schema requires; official clients refuse null.

    What a model of this kind does not have stands at its neutral value: `tokens` is empty, `no_speech_prob` is 0.
    """
    return {
        "id": number,
        "seek": 0,
        "start": segment.start_s,
        "end": segment.end_s,
        "text": segment.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": _compression_ratio(segment.text),
        "no_speech_prob": 0.0,
    }


def _compression_ratio(text: str) -> float:
    """Bytes of the text to its bytes under zlib, as Whisper computes it: high where words repeat."""
    content = text.encode()
    return round(len(content) / len(zlib.compress(content)), 4)


def _usage(duration_s: float) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(duration_s)}


def _text(recognition: Recognition, duration_s: float, granularities: Sequence[str]) -> Response:
    return PlainTextResponse(recognition.text + "\n")


def _srt(recognition: Recognition, duration_s: float, granularities: Sequence[str]) -> Response:
    numbered = enumerate(segments(recognition, duration_s), start=1)
    cues = [f"{number}\n{_cue(segment, ',')}" for number, segment in numbered]
    return PlainTextResponse("".join(cues))


def _vtt(recognition: Recognition, duration_s: float, granularities: Sequence[str]) -> Response:
    cues = [_cue(segment, ".") for segment in segments(recognition, duration_s)]
    return PlainTextResponse("WEBVTT\n\n" + "".join(cues))


def _cue(segment: Segment, point: str) -> str:
    """Times and text of a subtitle, and the empty line behind it."""
    return f"{_clock(segment.start_s, point)} --> {_clock(segment.end_s, point)}\n{segment.text}\n\n"


def _clock(time_s: float, point: str) -> str:
    total_ms = round(time_s * 1000)
    hours, rest_ms = divmod(total_ms, 3_600_000)
    minutes, rest_ms = divmod(rest_ms, 60_000)
    seconds, milliseconds = divmod(rest_ms, 1000)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}"


FORMS: dict[str, Callable[[Recognition, float, Sequence[str]], Response]] = {
    "json": _json,
    "text": _text,
    "verbose_json": _verbose,
    "srt": _srt,
    "vtt": _vtt,
}
