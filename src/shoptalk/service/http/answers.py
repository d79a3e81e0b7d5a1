"""A transcript in the forms that OpenAI's endpoint knows, and what this service adds to them.

The recognitions of a recording are one for each channel that was recognised for itself; mostly there is one. Fields
that are ours (`gaps`, `confidence`, `alternatives`, `review`, `channel`, `speaker`) stand beside OpenAI's: official
clients keep fields that they do not know.

**json has more than OpenAI's**: language, duration and segments too, because clients that send no `response_format`
read them (Vercel's AI SDK). Clients that do not know these fields there pass over them.
"""

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.responses import JSONResponse, PlainTextResponse, Response

from shoptalk.core import review, segments, subtitles
from shoptalk.core.protocols import Options, Phrase
from shoptalk.core.records import Recognition, Word
from shoptalk.core.segments import Segment
from shoptalk.core.tokens import FRAME_S

LANGUAGE = "english"
GAPS = "X-Shoptalk-Gaps"
"""Header of answers without fields: speech that gave no words, as ``3.200-5.120`` in seconds, joined by commas."""
GAPS_TOLD = 50
"""Of them, at most: headers are short."""


@dataclass(frozen=True)
class Asked:
    """What a request asks of its answer."""

    form: str = "json"
    """One of `FORMS`."""
    granularities: tuple[str, ...] = ("segment",)
    """``word``, ``segment``: what verbose_json tells with times."""
    logprobs: bool = False
    """json tells how likely each word is, in OpenAI's form."""
    alternatives: int = 0
    """So many other readings, with their probabilities."""
    review: bool = False
    """Tell the places that a person should look at."""
    each_channel: bool = False
    """Every channel was recognised for itself: words and segments tell theirs."""
    channel_names: tuple[str, ...] = ()
    """Of the channels, from the first on; the others are A, B, C … by their number."""

    def options(self, phrases: tuple[Phrase, ...] = ()) -> Options:
        """What is asked of the recogniser for such an answer."""
        readings = max(self.alternatives, review.READINGS) if self.review else self.alternatives
        return Options(phrases, alternatives=readings)


@dataclass(frozen=True)
class Transcript:
    """What is answered about: the recognitions of a recording, and what else is known of it."""

    recognitions: Sequence[Recognition]
    """One for each channel that was recognised for itself."""
    duration_s: float
    watch: review.Watch = review.NOTHING
    """The lexicon of the model."""
    review_below: float = review.CONFIDENCE
    """Words of lower confidence are to be looked at."""


def render(transcript: Transcript, asked: Asked) -> Response:
    """The response in the form that is asked for; of hours of audio it takes a second, so call it in a thread."""
    return FORMS[asked.form](transcript, asked)


def delta_event(words: Sequence[Word], asked: Asked, *, is_first: bool) -> dict[str, Any]:
    """`transcript.text.delta`: further words; all deltas joined are the text. Words with times are ours."""
    text = " ".join(word.word for word in words)
    event: dict[str, Any] = {"type": "transcript.text.delta", "delta": text if is_first else f" {text}"}
    if asked.logprobs:
        event["logprobs"] = logprob_entries(words, is_first=is_first)
    if asked.form == "verbose_json" and "word" in asked.granularities:
        event["words"] = [_word(word) for word in words]
    return event


def segment_events(transcript: Transcript, asked: Asked) -> list[dict[str, Any]]:
    """`transcript.text.segment` for every segment of each channel."""
    return _diarized_segments(transcript, asked)


def done_event(transcript: Transcript, asked: Asked) -> dict[str, Any]:
    """`transcript.text.done`; OpenAI's usage there is in tokens alone.

    An input token is an encoder frame of 80 ms, an output token a word; `seconds` is ours. So are words, segments and
    the duration, which verbose_json asks for.
    """
    frames = math.ceil(transcript.duration_s / FRAME_S)
    words = sum(len(recognition.text.split()) for recognition in transcript.recognitions)
    event: dict[str, Any] = {
        "type": "transcript.text.done",
        "text": _full_text(transcript, asked),
        "usage": {
            "type": "tokens",
            "input_tokens": frames,
            "input_token_details": {"audio_tokens": frames, "text_tokens": 0},
            "output_tokens": words,
            "total_tokens": frames + words,
            "seconds": math.ceil(transcript.duration_s),
        },
        **_ours(transcript, asked),
    }
    if asked.logprobs:
        event["logprobs"] = _all_logprobs(transcript)
    if asked.form == "verbose_json":
        event["duration"] = round(transcript.duration_s, 3)
        event |= _timed(transcript, asked)
    return event


# ---- JSON


def _json(transcript: Transcript, asked: Asked) -> Response:
    content: dict[str, Any] = {
        "text": _full_text(transcript, asked),
        "language": LANGUAGE,
        "duration": round(transcript.duration_s, 3),
        "segments": _segments(transcript, asked),
        **_ours(transcript, asked),
        "usage": _usage(transcript),
    }
    if asked.logprobs:
        content["logprobs"] = _all_logprobs(transcript)
    return JSONResponse(content)


def _verbose(transcript: Transcript, asked: Asked) -> Response:
    content: dict[str, Any] = {
        "task": "transcribe",
        "language": LANGUAGE,
        "duration": round(transcript.duration_s, 3),
        "text": _full_text(transcript, asked),
        **_timed(transcript, asked),
        **_ours(transcript, asked),
        "usage": _usage(transcript),
    }
    return JSONResponse(content)


def _timed(transcript: Transcript, asked: Asked) -> dict[str, Any]:
    """Words and segments, whichever are asked for."""
    timed: dict[str, Any] = {}
    if "word" in asked.granularities:
        pairs = segments.words_of_channels(transcript.recognitions)
        timed["words"] = [_word(word) | _speaker(transcript, asked, channel) for channel, word in pairs]
    if "segment" in asked.granularities:
        timed["segments"] = _segments(transcript, asked)
    return timed


def _diarized(transcript: Transcript, asked: Asked) -> Response:
    return JSONResponse(
        {
            "task": "transcribe",
            "duration": round(transcript.duration_s, 3),
            "text": _full_text(transcript, asked),
            "segments": _diarized_segments(transcript, asked),
            **_ours(transcript, asked),
            "usage": _usage(transcript),
        }
    )


def _diarized_segments(transcript: Transcript, asked: Asked) -> list[dict[str, Any]]:
    names = _names(transcript, asked)
    told = []
    for number, segment in enumerate(segments.of_channels(transcript.recognitions, transcript.duration_s)):
        told.append(
            {
                "type": "transcript.text.segment",
                "id": f"seg_{number:03}",
                "start": segment.start_s,
                "end": segment.end_s,
                "text": segment.text,
                "speaker": names[segment.channel],
                "channel": segment.channel,
            }
        )
    return told


def _segments(transcript: Transcript, asked: Asked) -> list[dict[str, Any]]:
    together = segments.of_channels(transcript.recognitions, transcript.duration_s)
    return [
        _segment(number, segment) | _speaker(transcript, asked, segment.channel)
        for number, segment in enumerate(together)
    ]


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


def _word(word: Word) -> dict[str, Any]:
    told: dict[str, Any] = {"word": word.word, "start": word.start_s, "end": word.end_s}
    return told if word.confidence is None else {**told, "confidence": word.confidence}


def _speaker(transcript: Transcript, asked: Asked, channel: int) -> dict[str, Any]:
    """Channel and speaker of what is told, where channels were recognised for themselves."""
    return {"channel": channel, "speaker": _names(transcript, asked)[channel]} if asked.each_channel else {}


def _ours(transcript: Transcript, asked: Asked) -> dict[str, Any]:
    """What OpenAI's forms do not have: gaps always, other readings and places to look at where they are asked for."""
    gaps: list[dict[str, Any]] = []
    alternatives: list[dict[str, Any]] = []
    looked_at: list[dict[str, Any]] = []
    for channel, recognition in enumerate(transcript.recognitions):
        speaker = _speaker(transcript, asked, channel)
        gaps += [{"start": start_s, "end": end_s, **speaker} for start_s, end_s in recognition.gaps]
        for alternative in recognition.alternatives[: asked.alternatives]:
            alternatives.append({"text": alternative.text, "probability": alternative.probability, **speaker})
        if asked.review:
            places = review.places(recognition, transcript.watch, below=transcript.review_below)
            looked_at += [{**review.fields(place), **speaker} for place in places]
    ours: dict[str, Any] = {"gaps": sorted(gaps, key=lambda gap: float(gap["start"]))}
    if asked.alternatives:
        ours["alternatives"] = alternatives
    if asked.review:
        ours["review"] = sorted(looked_at, key=lambda place: float(place["start"]))
    return ours


def _all_logprobs(transcript: Transcript) -> list[dict[str, Any]]:
    words = [word for _, word in segments.words_of_channels(transcript.recognitions)]
    return logprob_entries(words, is_first=True)


def logprob_entries(words: Sequence[Word], *, is_first: bool) -> list[dict[str, Any]]:
    """OpenAI's form, with a word in the place of a token: its logprob is the logarithm of the word's confidence.

    The word carries the space before it, so that tokens joined are the text. Words without a confidence have none.
    """
    told = []
    for number, word in enumerate(words):
        token = word.word if is_first and number == 0 else f" {word.word}"
        entry: dict[str, Any] = {"token": token, "bytes": list(token.encode())}
        if word.confidence is not None:
            entry["logprob"] = round(segments.logprob(word.confidence), 4)
        told.append(entry)
    return told


def _compression_ratio(text: str) -> float:
    """Bytes of the text to its bytes under zlib, as Whisper computes it: high where words repeat."""
    content = text.encode()
    return round(len(content) / len(zlib.compress(content)), 4)


def _usage(transcript: Transcript) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(transcript.duration_s)}


def _names(transcript: Transcript, asked: Asked) -> tuple[str, ...]:
    return segments.names_of(len(transcript.recognitions), asked.channel_names)


def _full_text(transcript: Transcript, asked: Asked) -> str:
    return segments.text_of(transcript.recognitions, _names(transcript, asked), transcript.duration_s)


# ---- text and subtitles


def _text(transcript: Transcript, asked: Asked) -> Response:
    return PlainTextResponse(_full_text(transcript, asked) + "\n", headers=_gaps_header(transcript))


def _srt(transcript: Transcript, asked: Asked) -> Response:
    cues = subtitles.of_recording(transcript.recognitions, _names(transcript, asked), transcript.duration_s)
    return PlainTextResponse(subtitles.srt(cues), headers=_gaps_header(transcript))


def _vtt(transcript: Transcript, asked: Asked) -> Response:
    cues = subtitles.of_recording(transcript.recognitions, _names(transcript, asked), transcript.duration_s)
    return PlainTextResponse(subtitles.vtt(cues), headers=_gaps_header(transcript))


def _gaps_header(transcript: Transcript) -> dict[str, str]:
    stretches = sorted(gap for recognition in transcript.recognitions for gap in recognition.gaps)
    told = ",".join(f"{start_s:.3f}-{end_s:.3f}" for start_s, end_s in stretches[:GAPS_TOLD])
    return {GAPS: told} if told else {}


FORMS: dict[str, Callable[[Transcript, Asked], Response]] = {
    "json": _json,
    "text": _text,
    "verbose_json": _verbose,
    "diarized_json": _diarized,
    "srt": _srt,
    "vtt": _vtt,
}
"""diarized_json tells channels as speakers; it is for recordings whose channels are recognised for themselves."""
