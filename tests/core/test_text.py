"""The laws of `words`, and what dictation asks of it."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core.text import characters, words

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
    assert words(text) == words(text, "leaderboard") == EnglishTextNormalizer()(text).split()
    assert characters("Beta-blocker, 5 mg!", "leaderboard") == "beta blocker 5 mg"


GOLDEN = [
    line.split("\t")
    for line in (Path(__file__).parent / "golden/clinical_words.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: row[0] or "empty")
def test_golden_clinical_words(row: list[str]) -> None:
    if row[1:2] == ["!="]:
        assert words(row[0]) != words(row[2])
    else:
        assert characters(row[0]) == row[1]
        assert characters(characters(row[0])) == row[1], "not idempotent"


def test_the_golden_file_holds_both_kinds() -> None:
    apart = sum(row[1] == "!=" for row in GOLDEN)
    assert apart >= 30 and len(GOLDEN) - apart >= 120
    assert all(len(row) == (3 if row[1] == "!=" else 2) for row in GOLDEN)


GENERAL = Path(__file__).parents[2] / "assets/general/test.jsonl"


def test_real_speech_that_is_not_clinical_has_the_words_of_the_leaderboard() -> None:
    """But for: 1 for one, units of time in the singular, an ellipsis that the leaderboard leaves as a word, and letters
    that are spelled, full hours and days of a month."""
    texts = [json.loads(line)["text"] for line in GENERAL.read_text(encoding="utf-8").splitlines()]
    different = []
    spelled = re.compile(r"\b[a-z] [a-z0]\b|clock|\d(st|nd|rd|th) [a-z]+ber\b")
    for text in texts:
        theirs = re.sub(r" \.$", "", characters(text, "leaderboard"))
        theirs = re.sub(r"\bone(s?)\b", r"1\1", theirs)
        theirs = re.sub(r"(?<=\d )(day|week|month|year|hour|minute)s\b", r"\1", theirs)
        if characters(text) != theirs and not spelled.search(theirs):
            different.append((text, characters(text), theirs))
    assert len(texts) > 1000 and different == []


@pytest.mark.parametrize("text", ["", " ", "...", "—?!", "\u200b", "()", "\n\t"])
def test_nothing_said_has_no_words(text: str) -> None:
    assert words(text) == [] and characters(text) == ""


@given(st.text(max_size=60))
@settings(max_examples=80, deadline=None)
def test_idempotent_on_any_text(text: str) -> None:
    assert words(" ".join(words(text))) == words(text)


PARTS = (
    "one two three five ten eleven twenty thirty hundred thousand point oh o zero and a half per cent percent % "
    "minus plus -5 +3 1 2.5 0.1 .5 10 1s ones first second twenties double triple $5 dollars mg mcg g l mm units "
    "A1c L4-L5 120/80 2-3 the patient's mg/dL x-ray Dr. (now) i.v. q8h ° µg BID bid po p.o. t.i.d. qd PRN twice daily "
    "a day times x3 x 1/2 ½ 2½ half tab tablet 8:30 a.m. am type stage II i V & < > <5 ± 10⁹/L 2+ IU lbs £5 w/o "
    "C.O.P.D. to /"
)
SPELLED = (
    "E C G I V a C T scan c o two O h b five H T one third quarters ninth o'clock 8:00 of May 5 March 24/7 3/4".split()
)
SPOKEN = st.lists(st.sampled_from(PARTS.split() + SPELLED), max_size=10).map(" ".join)


@given(SPOKEN)
@settings(max_examples=120, deadline=None)
def test_idempotent_on_numbers_and_units(text: str) -> None:
    assert words(" ".join(words(text))) == words(text)


ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
ORDINALS |= {"twelve": "twelfth"}


def cardinal(value: int, joint: str = " ", hyphen: str = " ") -> str:
    """A whole number in words, below 10 to the 12th."""
    for size, name in ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if value >= size:
            above, below = divmod(value, size)
            between = joint if below and below < 100 else " "
            rest = f"{between}{cardinal(below, joint, hyphen)}" if below else ""
            return f"{cardinal(above, joint, hyphen)} {name}{rest}"
    if value < 20:
        return ONES[value]
    ten, below = divmod(value, 10)
    return TENS[ten - 2] + (hyphen + ONES[below] if below else "")


def ordinal(value: int, joint: str, hyphen: str) -> str:
    spoken = cardinal(value, joint, hyphen)
    last = re.split("[ -]", spoken)[-1]
    if last in ORDINALS:
        return spoken.removesuffix(last) + ORDINALS[last]
    return re.sub("ty$", "tie", spoken) + "th"


def suffix(value: int) -> str:
    return "th" if value % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")


INTEGERS = st.one_of(st.integers(0, 130), st.integers(0, 10**12 - 1))
JOINTS, HYPHENS = st.sampled_from([" ", " and "]), st.sampled_from([" ", "-"])
FRAMES = st.sampled_from(["{}", "give {} now", "The result, {}, was sent.", "{} mg", "{}%", "about {} of them"])


def assert_same(written: str, spoken: str) -> None:
    assert words(written) == words(spoken), (written, spoken)
    assert words(" ".join(words(written))) == words(written)


@given(INTEGERS, JOINTS, HYPHENS, FRAMES)
@settings(max_examples=150, deadline=None)
def test_any_number_has_the_words_of_its_spoken_form(value: int, joint: str, hyphen: str, frame: str) -> None:
    spoken = frame.replace("%", " percent").format(cardinal(value, joint, hyphen))
    assert_same(frame.format(value), spoken)
    assert_same(frame.format(f"{value:,}"), spoken)


@given(st.integers(1, 9999), JOINTS, HYPHENS, st.sampled_from(["{}", "the {} time", "her {}, she said"]))
@settings(max_examples=100, deadline=None)
def test_any_ordinal_has_the_words_of_its_spoken_form(value: int, joint: str, hyphen: str, frame: str) -> None:
    assert_same(frame.format(f"{value}{suffix(value)}"), frame.format(ordinal(value, joint, hyphen)))


@given(st.integers(0, 9999), st.text("0123456789", min_size=1, max_size=4), FRAMES)
@settings(max_examples=100, deadline=None)
def test_any_decimal_has_the_words_of_its_spoken_form(whole: int, decimals: str, frame: str) -> None:
    spoken = f"{cardinal(whole)} point {' '.join(ONES[int(digit)] for digit in decimals)}"
    assert_same(frame.format(f"{whole}.{decimals}"), frame.replace("%", " percent").format(spoken))


@given(st.integers(1, 12), st.integers(0, 59), st.sampled_from(["", " am", " p.m."]))
@settings(max_examples=60, deadline=None)
def test_any_time_has_the_words_of_its_spoken_form(hour: int, minute: int, half: str) -> None:
    spoken = f"{cardinal(hour)} {'oh ' if minute < 10 else ''}{cardinal(minute)}"
    if minute == 0:
        spoken = cardinal(hour) + ("" if half else " o'clock")
    assert_same(f"at {hour}:{minute:02}{half}", f"at {spoken}{half}")


@given(st.integers(1, 31), st.sampled_from("January March August December".split()), st.integers(1990, 2040))
@settings(max_examples=60, deadline=None)
def test_any_date_has_the_words_of_its_spoken_form(day: int, month: str, year: int) -> None:
    spoken = f"{month} {ordinal(day, ' ', ' ')} {cardinal(year)}"
    for written in (f"{month} {day}, {year}", f"{day} {month} {year}", f"the {day}{suffix(day)} of {month} {year}"):
        assert_same(written, spoken)


@given(
    st.integers(1, 11), st.sampled_from([(3, "third"), (4, "quarter"), (5, "fifth"), (8, "eighth"), (12, "twelfth")])
)
@settings(max_examples=40, deadline=None)
def test_any_proper_fraction_has_the_words_of_its_spoken_form(above: int, part: tuple[int, str]) -> None:
    below, name = part
    if above < below:
        plural = "s" if above > 1 else ""
        assert_same(f"{above}/{below} of it", f"{cardinal(above)} {name}{plural} of it")


CODES = st.tuples(st.text("BCDFGHKLMNPQRSTVWXZ", min_size=2, max_size=5), st.integers(1, 199))


@given(CODES, st.sampled_from(["{}{}", "{}-{}", "{} {}"]))
@settings(max_examples=100, deadline=None)
def test_any_letters_with_a_number_have_the_words_of_their_spelling(code: tuple[str, int], form: str) -> None:
    letters, number = code
    if words(letters.lower()) != [letters.lower()] or re.search("^HM$|QD|QH|QPM|PRN", letters):
        return  # units and abbreviations that stand for other words
    if len(set(letters)) < len(letters):
        return
    for spelled in (" ".join(letters), ".".join(letters) + ".", "-".join(letters), letters.lower()):
        assert_same(f"the {letters} rose", f"the {spelled} rose")
    assert_same(f"the {form.format(letters, number)} rose", f"the {' '.join(letters)} {cardinal(number)} rose")
