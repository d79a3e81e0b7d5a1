"""Written text as it is read aloud, and the way back: a golden file, an example of each rule, and laws."""

import doctest
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import text
from shoptalk.corpus import verbalise
from shoptalk.corpus.verbalise import english, spanish, writing
from shoptalk.corpus.verbalise.numbers import MONTHS, decade, number, ordinal, year
from shoptalk.corpus.verbalise.rules import Rule

GOLDEN = [
    tuple(line.split("\t"))
    for line in Path(__file__).with_name("golden-verbalise.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


def test_there_are_at_least_three_hundred_golden_forms_each_once() -> None:
    assert len({written for written, _, _ in GOLDEN}) == len(GOLDEN) >= 300


@pytest.mark.parametrize(("written", "said", "back"), GOLDEN)
def test_golden_forms_are_said_so_and_come_back(written: str, said: str, back: str) -> None:
    assert verbalise.spoken(written) == said
    assert verbalise.spoken(said) == said
    usual = written if back == "=" else back
    assert verbalise.written(said) == usual
    assert verbalise.written(usual) == usual


@pytest.mark.parametrize(("written", "said", "back"), GOLDEN)
def test_what_comes_back_is_said_the_same(written: str, said: str, back: str) -> None:
    again = verbalise.spoken(written if back == "=" else back)
    assert again.replace("zero point", "point") == said.replace("zero point", "point")  # 0.5 is written for .5


def taking_part(rules: tuple[Rule, ...], text: str) -> set[str]:
    """The names of the rules that change the text at their turn."""
    changing = set()
    for rule in rules:
        changed = rule.pattern.sub(rule.replacement, text)
        if changed != text:
            changing.add(rule.name)
        text = changed
    return changing


TABLES = [
    ("english", english.RULES, verbalise.spoken),
    ("spanish", spanish.RULES, partial(verbalise.spoken, language="es")),
    ("writing", writing.RULES, verbalise.written),
]


@pytest.mark.parametrize(("rules", "function"), [table[1:] for table in TABLES], ids=[table[0] for table in TABLES])
def test_each_rule_has_an_example_that_it_changes(rules: tuple[Rule, ...], function: Callable[[str], str]) -> None:
    for rule in rules:
        before, after = rule.example
        assert function(before) == after, rule.name
        assert rule.name in taking_part(rules, before), rule.name
    names = [rule.name for rule in rules]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "written",
    ["75 mg/m2", "1 1/2 tablets", "BP 120/80", "BP 105/60", "5-10 mg", "7.4%", "HR < 60", "type II", "38.5 °C",
     "0.4 mcg/kg/min", "2+ edema", "14:30", "every 3rd week", "q8h", "s/p a fall"],
)  # fmt: skip
def test_the_scoring_rules_count_the_spoken_form_as_the_written_one(written: str) -> None:
    assert text.words(verbalise.spoken(written)) == text.words(written)


@given(st.integers(0, 10**9), st.integers(0, 999))
def test_no_digit_is_left_and_numbers_differ(value: int, other: int) -> None:
    assert not any(sign.isdigit() for sign in verbalise.spoken(f"Give {value} mg and {other}.{other} mL now."))
    assert (number(str(value)) == number(str(other))) == (value == other)


@settings(max_examples=100)
@given(st.text(alphabet="0123456789 ./:-+<>%#&@=~x^,$°½²α(IVmghqdLPOABCTSe*'K", max_size=24))
def test_whatever_is_written_no_digit_is_left(written: str) -> None:
    assert not re.search(r"\d", verbalise.spoken(written))


# ---- the way back

amounts = st.one_of(
    st.integers(2, 9_999).map(str),
    st.integers(10, 999).map(lambda thousands: f"{thousands},000"),
    st.tuples(st.integers(0, 999), st.from_regex(r"[0-9]{1,3}", fullmatch=True)).map(
        lambda parts: f"{parts[0]}.{parts[1]}"
    ),
)
units = st.sampled_from(
    ["mg", "mcg", "g", "kg", "mL", "L", "mEq", "mmol/L", "mg/dL", "mg/kg", "mg/kg/day", "mcg/kg/min", "mg/m2",
     "mmHg", "IU", "cm", "mm", "units", "units/kg/h", "mL/h", "oz", "ft", "°C", "bpm", "Fr",
     "ng/mL", "days", "hours", "tablets"]
)  # fmt: skip
days = st.integers(1, 28).map(str)
months = st.sampled_from(MONTHS)
years = st.integers(1901, 2029).map(str)


def joined(*parts: object) -> st.SearchStrategy[str]:
    """The parts one after the other; those that are no strategy as they are."""
    strategies = [part if isinstance(part, st.SearchStrategy) else st.just(str(part)) for part in parts]
    return st.tuples(*strategies).map(lambda drawn: "".join(map(str, drawn)))


two_digits = st.integers(10, 59)
pressures = st.tuples(st.integers(75, 240), st.integers(10, 110)).map(
    lambda drawn: f"BP {drawn[0]}/{max(30, drawn[0] - drawn[1])}"
)
vertebrae = st.tuples(st.sampled_from("CTL"), st.integers(1, 6)).map(lambda at: f"{at[0]}{at[1]}-{at[1] + 1}")
ranges = st.tuples(st.integers(2, 500), st.integers(1, 500), units).map(
    lambda drawn: f"{drawn[0]}-{drawn[0] + drawn[1]} {drawn[2]}"
)
USUAL = {
    "quantity": joined("about ", amounts, " ", units),
    "range": ranges,
    "percent": joined("fell by ", amounts, "%"),
    "pressure": pressures,
    "date": joined(months, " ", days, ", ", years),
    "day": joined("seen on ", months, " ", days),
    "year": joined("in ", years),
    "time": joined("at ", st.integers(1, 12), ":", two_digits, " ", st.sampled_from(["AM", "PM"])),
    "hour": joined("at ", st.integers(1, 12), " ", st.sampled_from(["AM", "PM"])),
    "clock": joined("at ", st.integers(13, 18), ":", two_digits),
    "ordinal": joined("the ", st.integers(10, 99).map(lambda day: ordinal_figure(day)), " time"),
    "age": joined("a ", st.integers(1, 99), "-year-old man"),
    "vertebrae": vertebrae,
    "money": joined("$", st.integers(2, 999), ".", two_digits),
    "telephone": joined(st.integers(100, 999), "-", st.integers(1001, 9899).filter(lambda line: line % 50)),
    "often": joined(amounts, " mg PO every ", st.integers(2, 72), " hours PRN"),
    "fraction": joined(st.integers(1, 9), " 1/2 tablets"),
    "size": joined(st.integers(1, 30), " x ", st.integers(1, 30), " cm"),
}


def ordinal_figure(value: int) -> str:
    suffix = "th" if value in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return f"{value}{suffix}"


@settings(max_examples=300, deadline=None)
@given(st.one_of(*USUAL.values()))
def test_the_usual_way_to_write_comes_back_from_speech(usual: str) -> None:
    said = verbalise.spoken(usual)
    assert not re.search(r"\d", said)
    assert verbalise.written(said) == usual


@pytest.mark.parametrize(
    "plain",
    ["one of them came second", "no one was there", "a second opinion", "two friends and one dog", "I had a point",
     "plus the rest", "an A plan", "I am over it", "Half of us left", "one day he fell"],
)  # fmt: skip
def test_plain_words_are_written_as_they_are(plain: str) -> None:
    assert verbalise.written(plain) == plain


@pytest.mark.parametrize(
    ("said", "usual"),
    [
        ("take five hundred milligrams twice a day", "take 500 mg twice a day"),
        ("blood pressure one hundred and forty two over eighty eight", "blood pressure 142/88"),
        ("she is seventy two years old", "she is 72 years old"),
        ("metoprolol twenty five milligrams P O B I D", "metoprolol 25 mg PO BID"),
        ("hemoglobin A one C was seven point two percent", "hemoglobin A1c was 7.2%"),
        ("on the third of March twenty twenty-one", "on 3 March 2021"),
        ("see you at four thirty P M", "see you at 4:30 PM"),
        ("vitamin B twelve one thousand micrograms", "vitamin B12 1000 mcg"),
        ("half a milligram", "1/2 mg"),
    ],
)
def test_references_in_words_become_figures(said: str, usual: str) -> None:
    assert verbalise.written(said) == usual


def test_the_examples_of_the_docstrings_hold() -> None:
    assert doctest.testmod(verbalise) == (0, 3)


# ---- other languages

SPANISH = [
    tuple(line.split("\t"))
    for line in Path(__file__).with_name("golden-verbalise-es.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize(("written", "said"), SPANISH)
def test_spanish_forms_are_said_so(written: str, said: str) -> None:
    assert verbalise.spoken(written, language="es") == said
    assert verbalise.spoken(said, language="es") == said


@settings(max_examples=100)
@given(st.text(alphabet="0123456789 ./:-+<>%ºª,°½²(UImghLd", max_size=24))
def test_no_digit_is_left_in_spanish(written: str) -> None:
    assert not re.search(r"[0-9]", verbalise.spoken(written, language="es"))


@pytest.mark.parametrize(
    ("language", "written", "said"),
    [
        ("fr", "500 mg, 2,5 mg", "cinq cents mg, deux virgule cinq mg"),
        ("de", "21 Tage", "einundzwanzig Tage"),
        ("xx", "500 mg", "500 mg"),
    ],
)
def test_other_languages_have_numbers_where_num2words_knows_them(language: str, written: str, said: str) -> None:
    assert verbalise.spoken(written, language=language) == said


# ---- numbers


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "zeroth"), (1, "first"), (12, "twelfth"), (20, "twentieth"), (21, "twenty-first"), (30, "thirtieth"),
     (43, "forty-third"), (100, "one hundredth"), (105, "one hundred fifth")],
)  # fmt: skip
def test_ordinals(value: int, words: str) -> None:
    assert ordinal(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(1900, "nineteen hundred"), (1905, "nineteen oh five"), (1998, "nineteen ninety-eight"), (2000, "two thousand"),
     (2009, "two thousand nine"), (2024, "twenty twenty-four")],
)  # fmt: skip
def test_years(value: int, words: str) -> None:
    assert year(value) == words


@pytest.mark.parametrize(("value", "words"), [(80, "eighties"), (1980, "nineteen eighties"), (2000, "two thousands")])
def test_decades(value: int, words: str) -> None:
    assert decade(value) == words
