"""A transcript in the forms that OpenAI's endpoint knows: json, text, verbose_json, srt, vtt."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.responses import JSONResponse, PlainTextResponse, Response

from shoptalk.core.records import Recognition, Word

PAUSE_S = 1.0
"""Silence that ends a segment; so does a sentence's end, and so do `SEGMENT_S` seconds."""
SEGMENT_S = 12.0


@dataclass(frozen=True)
class Segment:
    """A stretch of speech, in seconds from the start."""

    start_s: float
    end_s: float
    text: str


def render(heard: Recognition, *, form: str, duration_s: float, granularities: Sequence[str]) -> Response:
    """The response in one of `FORMS`; `granularities` (``word``, ``segment``) count for verbose_json only."""
    return FORMS[form](heard, duration_s, granularities)


def segments(heard: Recognition, duration_s: float) -> list[Segment]:
    """The words cut into sentences; all of the text as one segment where there are no times."""
    if not heard.words:
        return [Segment(0.0, duration_s, heard.text)] if heard.text else []
    return [Segment(w[0].start_s, w[-1].end_s, " ".join(word.word for word in w)) for w in _cut(heard.words)]


def _cut(words: Iterable[Word]) -> Iterator[list[Word]]:
    current: list[Word] = []
    for word in words:
        if current and (
            word.start_s - current[-1].end_s >= PAUSE_S
            or word.end_s - current[0].start_s > SEGMENT_S
            or current[-1].word.endswith((".", "?", "!"))
        ):
            yield current
            current = []
        current.append(word)
    if current:
        yield current


def _json(heard: Recognition, duration_s: float, granularities: Sequence[str]) -> Response:
    return JSONResponse({"text": heard.text, "usage": _usage(duration_s)})


def _verbose(heard: Recognition, duration_s: float, granularities: Sequence[str]) -> Response:
    content: dict[str, Any] = {
        "task": "transcribe",
        "language": "english",
        "duration": round(duration_s, 3),
        "text": heard.text,
    }
    if "word" in granularities:
        content["words"] = [{"word": w.word, "start": w.start_s, "end": w.end_s} for w in heard.words]
    if "segment" in granularities:
        content["segments"] = [_segment(number, one) for number, one in enumerate(segments(heard, duration_s))]
    return JSONResponse({**content, "usage": _usage(duration_s)})


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    """OpenAI's fields; what this model does not know is null, not made up."""
    return {
        "id": number,
        "seek": 0,
        "start": segment.start_s,
        "end": segment.end_s,
        "text": segment.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": None,
        "compression_ratio": None,
        "no_speech_prob": None,
    }


def _usage(duration_s: float) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(duration_s)}


def _text(heard: Recognition, duration_s: float, granularities: Sequence[str]) -> Response:
    return PlainTextResponse(heard.text + "\n")


def _srt(heard: Recognition, duration_s: float, granularities: Sequence[str]) -> Response:
    cues = enumerate(segments(heard, duration_s), start=1)
    return PlainTextResponse(
        "".join(f"{n}\n{_clock(s.start_s, ',')} --> {_clock(s.end_s, ',')}\n{s.text}\n\n" for n, s in cues)
    )


def _vtt(heard: Recognition, duration_s: float, granularities: Sequence[str]) -> Response:
    cues = segments(heard, duration_s)
    return PlainTextResponse(
        "WEBVTT\n\n" + "".join(f"{_clock(s.start_s, '.')} --> {_clock(s.end_s, '.')}\n{s.text}\n\n" for s in cues)
    )


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
