"""Recognitions cut into sentences, and channels merged in the order of time."""

import math

import pytest

from shoptalk.core import segments
from shoptalk.core.records import Recognition, Word


def recognition(*words: tuple[str, float]) -> Recognition:
    """Words of 0.4 s from these times on."""
    told = tuple(Word(word=text, start_s=start_s, end_s=start_s + 0.4) for text, start_s in words)
    return Recognition(text=" ".join(word.word for word in told), words=told)


def test_a_segments_log_probability_is_the_mean_of_its_words() -> None:
    words = tuple(
        Word(word=text, start_s=start_s, end_s=start_s + 0.4, confidence=confidence)
        for text, start_s, confidence in (("Yes", 0.0, 0.5), ("now.", 0.5, 0.25), ("No", 1.0, 0.0), ("one", 1.5, None))
    )
    first, second = segments.of_recognition(Recognition(text="Yes now. No one", words=words), 2.0)
    assert first.avg_logprob == pytest.approx((math.log(0.5) + math.log(0.25)) / 2, abs=1e-4)
    assert math.isfinite(second.avg_logprob) and second.avg_logprob < -9


DOCTOR = recognition(("Any", 0.0), ("pain?", 0.5), ("Since", 3.0), ("when?", 3.5))
PATIENT = recognition(("Yes.", 1.5), ("Here.", 2.0), ("Monday.", 5.0))


def test_turns_are_in_the_order_of_time() -> None:
    names = segments.names_of(2, ["Doctor"])
    assert segments.text_of([DOCTOR, PATIENT], names, 9.0) == (
        "Doctor: Any pain?\nB: Yes. Here.\nDoctor: Since when?\nB: Monday."
    )
    pairs = segments.words_of_channels([DOCTOR, PATIENT])
    assert [word.word for _, word in pairs] == "Any pain? Yes. Here. Since when? Monday.".split()
    assert [channel for channel, _ in pairs] == [0, 0, 1, 1, 0, 0, 1]


def test_one_channel_has_no_names_and_keeps_its_text() -> None:
    assert segments.text_of([DOCTOR], ["Doctor"], 9.0) == DOCTOR.text
    plain = Recognition(text="no times here")
    [segment] = segments.of_channels([plain], 9.0)
    assert (segment.start_s, segment.end_s, segment.text) == (0.0, 9.0, "no times here")
    assert segments.of_channels([Recognition(text="")], 9.0) == []


def test_every_channel_has_a_name() -> None:
    names = segments.names_of(30, ["Doctor"])
    assert names[:3] == ("Doctor", "B", "C") and names[25:28] == ("Z", "A1", "B1")
    assert len(set(names)) == 30
