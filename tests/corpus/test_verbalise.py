"""Numbers and units as they are read aloud."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoptalk.corpus import verbalise


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Start metformin 500 mg by mouth.", "Start metformin five hundred milligrams by mouth."),
        ("apixaban 2.5 mg", "apixaban two point five milligrams"),
        ("digoxin 0.125 mg", "digoxin zero point one two five milligrams"),
        ("1 g, then 1.2 g", "one gram, then one point two grams"),
        ("0.4 mcg/kg", "zero point four micrograms per kilogram"),
        ("5-10 mg every 4 to 6 h.", "five to ten milligrams every four to six hours."),
        ("HbA1c 7.4%, down 12 %.", "HbA1c seven point four percent, down twelve percent."),
        ("BP 120/80.", "BP one hundred twenty over eighty."),
        ("creatinine 1.4 mg/dL", "creatinine one point four milligrams per deciliter"),
        ("NT-proBNP 3,200 pg/mL", "NT-proBNP three thousand two hundred picograms per milliliter"),
        ("in 2014 and 2005", "in twenty fourteen and two thousand five"),
        ("1 unit, 18 units, 34 U/L", "one unit, eighteen units, thirty-four units per liter"),
        ("vitamin B12 and COVID-19", "vitamin B12 and COVID-nineteen"),
    ],
)
def test_read_aloud(written: str, said: str) -> None:
    assert verbalise.spoken(written) == said


@given(st.integers(0, 10**9), st.integers(0, 999))
def test_no_digit_is_left_and_numbers_differ(value: int, other: int) -> None:
    assert not any(sign.isdigit() for sign in verbalise.spoken(f"Give {value} mg and {other}.{other} mL now."))
    assert (verbalise.number(str(value)) == verbalise.number(str(other))) == (value == other)
