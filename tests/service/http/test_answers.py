"""The forms of an answer, held against the types of the official client."""

import json
import math
from typing import Any

import pytest
from openai.types import audio as types
from pydantic import BaseModel

from shoptalk.core import review
from shoptalk.core.records import Alternative, Recognition, Term, Word
from shoptalk.service.http.answers import (
    FORMS,
    GAPS,
    Asked,
    Transcript,
    delta_event,
    done_event,
    render,
    segment_events,
)

WORDS = (
    Word(word="Give", start_s=0.0, end_s=0.4, confidence=0.99),
    Word(word="apixabam.", start_s=0.5, end_s=1.2, confidence=0.5),
    Word(word="Now", start_s=2.0, end_s=2.3, confidence=0.0),
)
RECOGNITION = Recognition(
    text="Give apixabam. Now",
    words=WORDS,
    alternatives=(Alternative(text="Give apixaban. Now", probability=0.8), Alternative(text="Give", probability=0.1)),
    gaps=((3.0, 4.5),),
)
PATIENT = Recognition(text="Yes.", words=(Word(word="Yes.", start_s=1.4, end_s=1.8),))
WATCH = review.Watch.of([Term(id="a", text="apixaban", category="drug", risk="high")])
MONO = Transcript([RECOGNITION], 5.2, WATCH)
STEREO = Transcript([RECOGNITION, PATIENT], 5.2, WATCH)
EACH: dict[str, Any] = {"each_channel": True, "channel_names": ("Doctor", "Patient")}
ALL: dict[str, Any] = {"alternatives": 1, "review": True, "granularities": ("word", "segment")}


def content(transcript: Transcript, **asked: Any) -> dict[str, Any]:
    told = json.loads(bytes(render(transcript, Asked(**asked)).body))
    assert isinstance(told, dict)
    return told


def text(transcript: Transcript, **asked: Any) -> str:
    return bytes(render(transcript, Asked(**asked)).body).decode()


@pytest.mark.parametrize("transcript", [MONO, STEREO, Transcript([Recognition(text="")], 1.0)])
@pytest.mark.parametrize("extra", [{}, ALL, EACH, ALL | EACH])
@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("json", types.Transcription),
        ("json", types.TranscriptionVerbose),
        ("verbose_json", types.TranscriptionVerbose),
        ("diarized_json", types.TranscriptionDiarized),
    ],
)
def test_every_field_has_the_type_that_the_official_client_declares(
    transcript: Transcript, extra: dict[str, Any], form: str, kind: type[BaseModel]
) -> None:
    told = content(transcript, form=form, **extra)
    parsed = kind.model_validate(told, strict=True)
    assert parsed.model_dump(exclude_unset=True) == told, "fields of ours are kept by the client"
    assert told["usage"] == {"type": "duration", "seconds": math.ceil(transcript.duration_s)}


def test_json_has_what_clients_without_a_response_format_read() -> None:
    told = content(MONO)
    assert told.keys() == {"text", "language", "duration", "segments", "gaps", "usage"}
    assert (told["text"], told["language"], told["duration"]) == ("Give apixabam. Now", "english", 5.2)
    assert [segment["text"] for segment in told["segments"]] == ["Give apixabam.", "Now"]
    assert told["gaps"] == [{"start": 3.0, "end": 4.5}]


def test_verbose_json_tells_words_with_their_confidence() -> None:
    told = content(MONO, form="verbose_json", granularities=("word",))
    assert told["words"][1] == {"word": "apixabam.", "start": 0.5, "end": 1.2, "confidence": 0.5}
    assert "segments" not in told and told["task"] == "transcribe"


def test_logprobs_are_of_words_in_openais_form() -> None:
    logprobs = content(MONO, logprobs=True)["logprobs"]
    assert "".join(entry["token"] for entry in logprobs) == RECOGNITION.text
    assert [bytes(entry["bytes"]).decode() for entry in logprobs] == [entry["token"] for entry in logprobs]
    assert logprobs[1]["logprob"] == pytest.approx(math.log(0.5), abs=1e-4)
    assert math.isfinite(logprobs[2]["logprob"])
    assert "logprobs" not in content(MONO)


@pytest.mark.parametrize("form", ["json", "verbose_json"])
def test_alternatives_and_review_are_told_where_they_are_asked_for(form: str) -> None:
    told = content(MONO, form=form, alternatives=1, review=True)
    assert told["alternatives"] == [{"text": "Give apixaban. Now", "probability": 0.8}]
    first, second = told["review"]
    assert first == {
        "text": "apixabam.",
        "start": 0.5,
        "end": 1.2,
        "confidence": 0.5,
        "reasons": ["low_confidence", "sounds_like_high_risk_term"],
        "alternatives": [
            {"text": "apixaban.", "source": "reading", "probability": 0.8},
            {"text": "", "source": "reading", "probability": 0.1},
            {"text": "apixaban", "source": "term", "distance": first["alternatives"][2]["distance"], "risk": "high"},
        ],
    }
    assert (second["text"], second["reasons"]) == ("Now", ["low_confidence"])
    assert {"alternatives", "review"}.isdisjoint(content(MONO, form=form))
    assert Asked(review=True, alternatives=1).options().alternatives == review.READINGS
    assert Asked().options().alternatives == 0


def test_channels_are_told_apart() -> None:
    told = content(STEREO, form="verbose_json", granularities=("word", "segment"), **EACH)
    assert told["text"] == "Doctor: Give apixabam.\nPatient: Yes.\nDoctor: Now"
    assert [(word["word"], word["channel"]) for word in told["words"]] == [
        ("Give", 0), ("apixabam.", 0), ("Yes.", 1), ("Now", 0)
    ]  # fmt: skip
    assert [segment["speaker"] for segment in told["segments"]] == ["Doctor", "Patient", "Doctor"]
    assert told["gaps"] == [{"start": 3.0, "end": 4.5, "channel": 0, "speaker": "Doctor"}]
    diarized = content(STEREO, form="diarized_json", **EACH)
    assert [(segment["speaker"], segment["text"]) for segment in diarized["segments"]] == [
        ("Doctor", "Give apixabam."), ("Patient", "Yes."), ("Doctor", "Now")
    ]  # fmt: skip
    assert [segment["id"] for segment in diarized["segments"]] == ["seg_000", "seg_001", "seg_002"]
    assert text(STEREO, form="text", **EACH) == told["text"] + "\n"
    assert "<v Patient>Yes." in text(STEREO, form="vtt", **EACH)
    assert "\nPatient: Yes.\n" in text(STEREO, form="srt", **EACH)


def test_gaps_of_texts_and_subtitles_are_in_a_header() -> None:
    for form in ("text", "srt", "vtt"):
        assert render(MONO, Asked(form)).headers[GAPS] == "3.000-4.500"
    assert GAPS not in render(Transcript([PATIENT], 2.0), Asked("text")).headers


def test_events_of_a_stream_have_the_types_of_the_official_client() -> None:
    deltas = [
        delta_event(WORDS[:2], Asked(logprobs=True), is_first=True),
        delta_event(WORDS[2:], Asked(), is_first=False),
    ]
    done = done_event(MONO, Asked(logprobs=True, alternatives=1))
    assert "".join(event["delta"] for event in deltas) == done["text"] == RECOGNITION.text
    for event in deltas:
        types.TranscriptionTextDeltaEvent.model_validate(event, strict=True)
    parsed = types.TranscriptionTextDoneEvent.model_validate(done, strict=True)
    assert parsed.usage and parsed.usage.total_tokens == 65 + 3
    assert done["alternatives"][0]["probability"] == 0.8
    for event in segment_events(STEREO, Asked(**EACH)):
        types.TranscriptionTextSegmentEvent.model_validate(event, strict=True)


def test_events_of_a_stream_tell_times_where_verbose_json_asks_for_them() -> None:
    asked = Asked("verbose_json", granularities=("word", "segment"))
    delta = delta_event(WORDS[:2], asked, is_first=True)
    done = done_event(MONO, asked)
    whole = content(MONO, form="verbose_json", granularities=("word", "segment"))
    assert delta["words"] == whole["words"][:2]
    assert {name: done[name] for name in ("words", "segments", "duration")} == {
        name: whole[name] for name in ("words", "segments", "duration")
    }
    types.TranscriptionTextDeltaEvent.model_validate(delta, strict=True)
    types.TranscriptionTextDoneEvent.model_validate(done, strict=True)
    assert not {"words", "segments", "duration"} & done_event(MONO, Asked()).keys()


def test_every_form_of_openai_is_there() -> None:
    assert set(FORMS) == {"json", "text", "verbose_json", "diarized_json", "srt", "vtt"}
