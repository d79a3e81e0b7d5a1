"""Numbers, units, dates, times, signs and abbreviations as they are read aloud."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import text
from shoptalk.corpus import verbalise
from shoptalk.corpus.number_words import number, ordinal, year

QUANTITIES = [
    ("Start metformin 500 mg by mouth.", "Start metformin five hundred milligrams by mouth."),
    ("apixaban 2.5 mg", "apixaban two point five milligrams"),
    ("digoxin 0.125 mg", "digoxin zero point one two five milligrams"),
    (".5 mg, then 2,5 mg", "point five milligrams, then two point five milligrams"),
    ("1 g, then 1.2 g", "one gram, then one point two grams"),
    ("0.4 mcg/kg", "zero point four micrograms per kilogram"),
    ("a 5-mg tablet", "a five milligram tablet"),
    ("HbA1c 7.4%, down 12 %.", "HbA1c seven point four percent, down twelve percent."),
    ("creatinine 1.4 mg/dL", "creatinine one point four milligrams per deciliter"),
    ("NT-proBNP 3,200 pg/mL", "NT-proBNP three thousand two hundred picograms per milliliter"),
    ("1 unit, 18 units, 34 U/L", "one unit, eighteen units, thirty-four units per liter"),
    ("75 mg/m2 and 75 mg/m²", "seventy-five milligrams per square meter and seventy-five milligrams per square meter"),
    ("10 mm3, 5 cm^2", "ten cubic millimeters, five square centimeters"),
    ("58 mL/min/1.73 m2", "fifty-eight milliliters per minute per one point seven three square meters"),
    ("5 mcg/kg/min", "five micrograms per kilogram per minute"),
    ("10 units/kg/day", "ten units per kilogram per day"),
    ("5 mg/24 h, 20 drinks/week", "five milligrams per twenty-four hours, twenty drinks per week"),
    ("given in mg/kg", "given in milligrams per kilogram"),
    ("150 x 10^9/L", "one hundred fifty times ten to the ninth per liter"),
    ("150 ×10⁹/L, 10^-3", "one hundred fifty times ten to the ninth per liter, ten to minus three"),
    ("38.5 °C, 98.6 F, bent to 45°", "thirty-eight point five degrees Celsius, ninety-eight point six degrees "
     "Fahrenheit, bent to forty-five degrees"),
    ("1000000 units", "one million units"),
]  # fmt: skip
RANGES_AND_FRACTIONS = [
    ("5-10 mg every 4 to 6 h.", "five to ten milligrams every four to six hours."),
    ("5–10 %, 5%-10%", "five to ten percent, five percent to ten percent"),
    ("5 mg-10 mg", "five milligrams to ten milligrams"),
    ("500-1000, 2019-2021", "five hundred to one thousand, twenty nineteen to twenty twenty-one"),
    ("1/2 tablet, ½ tablet, 1/2 hour", "half a tablet, half a tablet, half an hour"),
    ("1 1/2 tablets, 2½ h", "one and a half tablets, two and a half hours"),
    ("3/4 cup, 1/4 of it, 1/2 mg", "three quarters of a cup, one quarter of it, half a milligram"),
    ("BP 120/80.", "BP one hundred twenty over eighty."),
    ("pain 7/10, strength 4/5, vision 20/40", "pain seven out of ten, strength four out of five, vision twenty forty"),
    ("a ratio of 1:10, 1:1000", "a ratio of one to ten, one to one thousand"),
    ("-5, from -80 °C", "minus five, from minus eighty degrees Celsius"),
]  # fmt: skip
DATES_AND_TIMES = [
    ("at 08:05, at 8:05", "at eight oh five, at eight oh five"),
    ("8:30 PM, 8 a.m. today, 8am", "eight thirty PM, eight AM today, eight AM"),
    ("14:30, 14:00, 08:00, 8:00", "fourteen thirty, fourteen hundred, eight hundred, eight o'clock"),
    ("2024-01-15", "January fifteenth, twenty twenty-four"),
    ("01/15/2024, 15/01/2024", "January fifteenth, twenty twenty-four, January fifteenth, twenty twenty-four"),
    ("15.01.2024, 3/4/98", "January fifteenth, twenty twenty-four, March fourth, nineteen ninety-eight"),
    ("January 15, 2024, Jan 3rd", "January fifteenth, twenty twenty-four, January third"),
    ("12 May 2024, June 5-7", "twelfth of May twenty twenty-four, June fifth to seventh"),
    ("In May 20 mg", "In May twenty milligrams"),
    ("in 2014 and 2005", "in twenty fourteen and two thousand five"),
    ("the 1980s, in her 80s", "the nineteen eighties, in her eighties"),
    ("every 3rd week, the 21st, 112th", "every third week, the twenty-first, one hundred twelfth"),
]  # fmt: skip
CODES = [
    ("call 555-0134", "call five five five zero one three four"),
    ("(555) 123-4567", "five five five one two three four five six seven"),
    ("+1 555 123 4567", "one five five five one two three four five six seven"),
    ("MRN 12345678, room 0042", "MRN one two three four five six seven eight, room zero zero four two"),
    ("version 1.2.3", "version one point two point three"),
    ("3-0 Vicryl", "three oh Vicryl"),
    ("vitamin B12 and COVID-19, 2D echo", "vitamin B12 and COVID-nineteen, two D echo"),
]
SIGNS = [
    ("HR < 60, >5, ≥3, <=4", "HR less than sixty, greater than five, greater than or equal to three, less than or "
     "equal to four"),
    ("±2, +/- 3, ~5", "plus or minus two, plus or minus three, about five"),
    ("2+ edema, CD4+, Ca++, 1+1", "two plus edema, CD4 plus, Ca plus plus, one plus one"),
    ("a & b, @ 5, #3, No. 4", "a and b, at five, number three, number four"),
    ("x3 days, 5 x 3 cm, 3x/day", "times three days, five by three centimeters, three times per day"),
    ("$5, $1, £5.50", "five dollars, one dollar, five pounds fifty"),
    ("pH=7.4", "pH equals seven point four"),
]  # fmt: skip
ABBREVIATIONS = [
    ("5 mg q.d., 5 mg QD", "five milligrams Q D, five milligrams Q D"),
    ("5 mg b.i.d. Then stop.", "five milligrams B I D. Then stop."),
    ("5 mg p.o. b.i.d. p.r.n.", "five milligrams P O B I D P R N."),
    ("5 mg po bid, they bid farewell", "five milligrams P O B I D, they bid farewell"),
    ("q6h prn, q4-6h, q 8 h", "every six hours P R N, every four to six hours, every eight hours"),
    ("a.c. and p.c.", "before meals and after meals."),
    (
        "s/p CABG, c/o pain, w/o fever, 65 y/o",
        "status post CABG, complains of pain, without fever, sixty-five-year-old",
    ),
    ("IV fluids, IM, PO", "I V fluids, I M, P O"),
    ("stage IV cancer, NYHA class III, grade IIIb", "stage four cancer, NYHA class three, grade three B"),
    ("type II, type I diabetes, factor V Leiden", "type two, type one diabetes, factor five Leiden"),
    ("nerves III, IV and VI, a II/VI murmur", "nerves three, four and six, a two out of six murmur"),
    ("at this stage I recommend rest", "at this stage I recommend rest"),
    ("and/or, this vs. that", "and or, this versus that"),
]
ALL = [*QUANTITIES, *RANGES_AND_FRACTIONS, *DATES_AND_TIMES, *CODES, *SIGNS, *ABBREVIATIONS]


@pytest.mark.parametrize(("written", "said"), ALL)
def test_read_aloud(written: str, said: str) -> None:
    assert verbalise.spoken(written) == said


@pytest.mark.parametrize(
    "written",
    ["75 mg/m2", "1 1/2 tablets", "BP 120/80", "5-10 mg", "7.4%", "HR < 60", "type II", "38.5 °C", "0.4 mcg/kg/min",
     "2+ edema", "14:30", "every 3rd week", "q8h", "s/p a fall"],
)  # fmt: skip
def test_the_scoring_rules_count_the_spoken_form_as_the_written_one(written: str) -> None:
    assert text.words(verbalise.spoken(written)) == text.words(written)


@given(st.integers(0, 10**9), st.integers(0, 999))
def test_no_digit_is_left_and_numbers_differ(value: int, other: int) -> None:
    assert not any(sign.isdigit() for sign in verbalise.spoken(f"Give {value} mg and {other}.{other} mL now."))
    assert (number(str(value)) == number(str(other))) == (value == other)


@settings(max_examples=100)
@given(st.text(alphabet="0123456789 ./:-+<>%#&@=~x^,$°½(IVmghqdLPO", max_size=24))
def test_whatever_is_written_no_free_digit_is_left(written: str) -> None:
    said = verbalise.spoken(f" {written} ")
    free = [word for word in said.replace("-", " ").split() if word.strip(".,:+<>%#&@=~^$°()").isdecimal()]
    assert not free, said


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
