"""Which words are to be looked at, why, and what else may stand there."""

from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import review
from shoptalk.core.records import Alternative, Recognition, Term, Word
from shoptalk.core.terms import nearest_of_each, phonetic_distance, sounds_of
from shoptalk.core.text import words as words_of

TERMS = (
    Term(id="apixaban", text="apixaban", category="drug", risk="high"),
    Term(id="insulin-glargine", text="insulin glargine", category="drug", risk="high"),
    Term(id="hydralazine", text="hydralazine", category="drug", risk="high"),
    Term(id="hydroxyzine", text="hydroxyzine", category="drug", risk="medium"),
    Term(id="metformin", text="metformin", category="drug", risk="low"),
)
WATCH = review.Watch.of(TERMS)


def recognition(text: str, low: dict[str, float] | None = None, *alternatives: tuple[str, float]) -> Recognition:
    """Words of half a second; all are sure but those of `low`."""
    words = tuple(
        Word(word=word, start_s=number / 2, end_s=number / 2 + 0.4, confidence=(low or {}).get(word, 0.99))
        for number, word in enumerate(text.split())
    )
    others = tuple(Alternative(text=other, probability=probability) for other, probability in alternatives)
    return Recognition(text=text, words=words, alternatives=others)


def test_words_of_low_confidence_come_with_other_readings() -> None:
    told = recognition(
        "he takes five tablets",
        {"five": 0.4},
        ("He takes Five, tablets.", 0.9),  # the same words
        ("he takes nine tablets", 0.7),
        ("he takes tablets", 0.1),
    )
    [place] = review.places(told, review.NOTHING, below=0.5)
    assert (place.text, place.start_s, place.end_s, place.confidence) == ("five", 1.0, 1.4, 0.4)
    assert place.reasons == ("low_confidence",)
    assert [(candidate.text, candidate.probability) for candidate in place.candidates] == [("nine", 0.7), ("", 0.1)]
    assert review.places(told, review.NOTHING, below=0.4) == []


def test_high_risk_terms_are_told_however_sure_they_are() -> None:
    told = recognition("Insulin glargine, then metformin and hydralazine.", {"glargine,": 0.3})
    first, second = review.places(told, WATCH, below=0.5)
    assert (first.text, first.reasons) == ("Insulin glargine,", ("low_confidence", "high_risk_term"))
    assert (second.text, second.reasons, second.confidence) == ("hydralazine.", ("high_risk_term",), 0.99)
    assert [(candidate.text, candidate.risk) for candidate in second.candidates] == [("hydroxyzine", "medium")]


def test_what_sounds_like_a_high_risk_term_is_told_with_the_term() -> None:
    for written in ("apixabam", "apixa ban", "epixaban"):
        [place] = review.places(recognition(f"start {written} now"), WATCH)
        assert (place.text, place.reasons) == (written, ("sounds_like_high_risk_term",))
        assert place.candidates[0].text == "apixaban" and place.candidates[0].source == "term"
    assert review.places(recognition("she goes home with her mother now"), WATCH) == []
    assert review.places(recognition("start metformin now"), WATCH) == [], "a term of low risk is that term"


def test_a_text_without_times_has_no_places() -> None:
    assert review.places(Recognition(text="apixaban"), WATCH) == []


VOCABULARY = "apixaban apixabam insulin glargine glargin hydralazine hydroxyzine the of metformin five, 5 mg. —".split()


@settings(max_examples=60)
@given(
    words=st.lists(st.tuples(st.sampled_from(VOCABULARY), st.floats(0, 1)), max_size=12),
    others=st.lists(st.lists(st.sampled_from(VOCABULARY), max_size=12), max_size=3),
    below=st.floats(0, 1),
)
def test_places_are_in_order_apart_and_have_reasons(
    words: list[tuple[str, float]], others: list[list[str]], below: float
) -> None:
    recognised = tuple(
        Word(word=text, start_s=float(number), end_s=number + 0.5, confidence=confidence)
        for number, (text, confidence) in enumerate(words)
    )
    alternatives = tuple(Alternative(text=" ".join(other), probability=0.5) for other in others)
    told = Recognition(text=" ".join(text for text, _ in words), words=recognised, alternatives=alternatives)
    found = review.places(told, WATCH, below=below)
    assert all(place.reasons for place in found)
    ends = [place.end_s for place in found]
    assert all(place.start_s >= end_s for place, end_s in zip(found[1:], ends, strict=False))
    covered = [any(place.start_s <= word.start_s < place.end_s for place in found) for word in recognised]
    low = [word.confidence is not None and word.confidence < below for word in recognised]
    assert all(is_covered for is_covered, is_low in zip(covered, low, strict=True) if is_low)


SOUNDING = st.text("abcdeghilmnoprstuxyz ", max_size=15)


@settings(max_examples=100)
@given(texts=st.lists(SOUNDING, max_size=4), others=st.lists(SOUNDING, max_size=6), at_most=st.floats(0, 1))
def test_the_nearest_are_those_of_all_distances(texts: list[str], others: list[str], at_most: float) -> None:
    expected = []
    for text in texts:
        distances = [(phonetic_distance(text, other), place) for place, other in enumerate(others)]
        expected.append(sorted(pair for pair in distances if pair[0] <= at_most))
    sounds, other_sounds = ([sounds_of(words_of(own)) for own in given_texts] for given_texts in (texts, others))
    assert nearest_of_each(sounds, other_sounds, at_most=at_most) == expected
