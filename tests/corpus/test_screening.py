"""What screening rejects by signal and by a recogniser's text, and what it lets pass."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.recipe import ScreenSection
from shoptalk.core.records import Samples, Term
from shoptalk.corpus import screening
from shoptalk.corpus.screening import Judge, Opinion

TERMS = (
    Term(id="metformin", text="metformin", category="drug"),
    Term(id="hba1c", text="HbA1c", category="lab", spoken=("hemoglobin A one c",)),
    Term(id="beta-blocker", text="beta-blocker", category="drug"),
    Term(id="insulin", text="insulin", category="drug"),
    Term(id="glargine", text="insulin glargine", category="drug"),
)
JUDGE = Judge(TERMS)
TEXT = "Start metformin 500 mg by mouth daily."


@pytest.mark.parametrize(
    ("recognized", "most_words", "most_distance"),
    [
        ("start metformin five hundred milligrams by mouth daily", 0, 0),
        ("Start met forming 500 mg by mouth daily.", 0, 0.2),
        ("Start that forming 500 mg by mouth daily.", 0, 0.5),
    ],
)
def test_what_sounds_alike_passes(recognized: str, most_words: float, most_distance: float) -> None:
    opinion = JUDGE.opinion(TEXT, ["metformin"], recognized)
    assert opinion.word_errors <= most_words
    assert opinion.term_distance <= most_distance
    assert not screening.of_opinion(opinion, ScreenSection())


@pytest.mark.parametrize(
    ("recognized", "reasons"),
    [
        ("Start apixaban 500 mg by mouth daily.", ("term",)),
        ("Start 500 mg by mouth daily.", ("term",)),
        ("Where is metformin kept in the evening", ("words",)),
        ("", ("words", "term")),
        ("thank you", ("words", "term")),
    ],
)
def test_what_does_not_is_rejected_for_what_is_wrong(recognized: str, reasons: tuple[str, ...]) -> None:
    assert screening.of_opinion(JUDGE.opinion(TEXT, ["metformin"], recognized), ScreenSection()) == reasons


def test_forms_and_several_terms_are_each_found_at_their_place() -> None:
    text = "Her HbA1c rose, so beta-blocker and insulin glargine were changed."
    ids = ("hba1c", "beta-blocker", "glargine", "insulin")
    same = JUDGE.opinion(text, ids, "her hemoglobin a one c rose so betablocker and insulin glargine were changed")
    assert same.word_errors == 0
    assert same.term_distance < 0.1
    lost = JUDGE.opinion(text, ids, "her hemoglobin a one c rose so betablocker and were changed")
    assert lost.word_errors == 0
    assert lost.term_distance == 1


def test_a_sentence_without_a_term_is_judged_by_its_words() -> None:
    assert JUDGE.opinion("Good morning to you.", (), "good morning to you") == Opinion(0, 0)
    assert JUDGE.opinion("Good morning to you.", (), "good evening to you") == Opinion(0.25, 0)


WORDS = st.lists(st.sampled_from("start the metformin insulin glargine daily now beta blocker".split()), max_size=8)


@settings(max_examples=100)
@given(WORDS, WORDS)
def test_a_text_agrees_with_itself_and_other_texts_never_less_than_that(text: list[str], other: list[str]) -> None:
    ids = [term.id for term in TERMS]
    assert JUDGE.opinion(" ".join(text), ids, " ".join(text)) == Opinion(0, 0)
    opinion = JUDGE.opinion(" ".join(text), ids, " ".join(other))
    assert opinion.word_errors >= 0
    assert 0 <= opinion.term_distance <= 1


def test_the_recogniser_that_agrees_best_counts() -> None:
    opinions = [Opinion(0, 0.9), Opinion(0.9, 0), Opinion(0.2, 0.3)]
    assert screening.best_of(opinions, ScreenSection()) == opinions[2]


def speech(seconds: float, *, fade_s: float = 1.0, quiet_s: float = 0.0) -> Samples:
    """Noise that fades out at its end, with a pause on both sides."""
    t = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    fade_T = np.clip((seconds - t) / fade_s, 0, 1) if fade_s else np.ones_like(t)
    quiet_T = np.zeros(round(quiet_s * SAMPLE_RATE_HZ))
    noise_T = 0.05 * np.random.default_rng(7).standard_normal(t.size)
    return np.concatenate([quiet_T, noise_T * fade_T, quiet_T]).astype(np.float32)


@pytest.mark.parametrize(
    ("samples_T", "reasons"),
    [
        (speech(2.6), ()),
        (speech(2.6, quiet_s=0.3), ()),
        (speech(2.6, fade_s=0.0), ("cut",)),
        (speech(1.0, quiet_s=1.0), ("rate",)),
        (speech(0.3, fade_s=0.2, quiet_s=0.05), ("length",)),
        (speech(0.2, fade_s=0.0), ("length", "cut")),
        (speech(2.6) * 0, ("silent",)),
        (np.clip(speech(2.6, quiet_s=0.3), -0.03, 0.03), ("clipped",)),
    ],
)
def test_a_signal_that_cannot_be_right_is_rejected(samples_T: Samples, reasons: tuple[str, ...]) -> None:
    assert screening.of_signal(samples_T, "x" * 40, 1.0) == reasons


def test_terms_that_lose_more_than_half_are_told() -> None:
    first = [(("a",), True), (("a",), False), (("b", "a"), True), (("b",), False), (("c",), False)]
    lost = screening.problems_of_terms(first)
    assert {term_id: (own.recordings, own.rejected) for term_id, own in lost.items()} == {"a": (3, 2)}
