"""The laws of `words`, and what dictation asks of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.text import characters, words

EQUAL = [
    ("500 mg", "five hundred milligrams", "500 milligrams", "500mg", "500-mg"),
    ("2.5 mcg", "two point five micrograms", "2.5 µg", "2.5 microgram"),
    ("1.5 g", "one point five grams", "1.5 gram"),
    ("one gram", "1 g", "1 gram", "1g"),
    ("0.5 mL", ".5 ml", "point five milliliters", "zero point five millilitres"),
    ("6.5%", "6.5 %", "6.5 percent", "six point five per cent"),
    ("5 mm", "5mm", "five millimeters"),
    ("140 mg/dL", "140 milligrams per deciliter"),
    ("5 mcg/kg/min", "five micrograms per kilogram per minute"),
    ("120/80", "one twenty over eighty", "120 over 80"),
    ("90 mmHg", "90 mm Hg", "ninety millimeters of mercury"),
    ("2-3 tablets", "2–3 tablets", "two to three tablets"),
    ("10 units", "ten units", "10 u"),
    ("-5", "minus five"),
    ("A 1 C", "a1c", "A one C", "A-1-C"),
    ("vitamin B12", "Vitamin B-12", "vitamin b twelve"),
    ("beta-blocker", "Beta blocker", "beta blocker."),
    ("37 °C", "37 degrees Celsius"),
    ("8 hrs", "eight hours"),
    ("one", "1"),
    ("The colour.", "the color"),
]


@pytest.mark.parametrize("forms", EQUAL, ids=lambda forms: forms[0])
def test_written_and_spoken_forms_are_the_same_words(forms: tuple[str, ...]) -> None:
    assert len({tuple(words(form)) for form in forms}) == 1, [words(form) for form in forms]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HbA1c", "hba 1 c"),
        ("L4-L5", "l 4 l 5"),
        ("levels 10 1 were", "levels 10 1 were"),
        ("", ""),
        ("...", ""),
        ("take 500 mg", "take 500 milligram"),
    ],
)
def test_documented_forms(text: str, expected: str) -> None:
    assert characters(text) == expected


def test_no_pile_of_numbers_breaks_it() -> None:
    for text in ("9" * 6000, "nine " * 3000, "million " * 500, "½ ² ①", "1.2.3.4", "a%b", "double triple point"):
        assert words(" ".join(words(text))) == words(text)


def test_ordinary_text_is_counted_as_the_leaderboard_counts_it() -> None:
    from whisper_normalizer.english import EnglishTextNormalizer

    text = "Mr. Brown wouldn't pay $20 million for the colour, he's said; the 2nd offer came in twenty twenty-one."
    assert words(text) == EnglishTextNormalizer()(text).split()


@given(st.text(max_size=60))
@settings(max_examples=80, deadline=None)
def test_idempotent_on_any_text(text: str) -> None:
    assert words(" ".join(words(text))) == words(text)


PARTS = (
    "one two three five ten eleven twenty thirty hundred thousand point oh o zero and a half per cent percent % "
    "minus plus -5 +3 1 2.5 0.1 .5 10 1s ones first second twenties double triple $5 dollars mg mcg g l mm units "
    "A1c L4-L5 120/80 2-3 the patient's mg/dL x-ray Dr. (now) i.v. q8h ° µg"
)
SPOKEN = st.lists(st.sampled_from(PARTS.split()), max_size=10).map(" ".join)


@given(SPOKEN)
@settings(max_examples=120, deadline=None)
def test_idempotent_on_numbers_and_units(text: str) -> None:
    assert words(" ".join(words(text))) == words(text)
