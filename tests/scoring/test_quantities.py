"""Numbers, doses and units: right only as a whole, at their place."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.scoring.quantities import Quantities, count


@pytest.mark.parametrize(
    ("reference", "heard"),
    [
        ("Give 500 mg.", "give five hundred milligrams"),
        ("BP 120/80 mmHg", "BP one twenty over eighty millimeters of mercury"),
        ("2-3 tablets", "two to three tablets"),
        ("1.5 mg/kg", "one point five milligrams per kilogram"),
        ("SpO2 95%", "SpO2 ninety-five percent"),
        ("pain 7/10", "pain seven out of ten"),
        ("5 mg BID", "5 milligrams twice a day"),
        ("type II diabetes", "type two diabetes"),
        ("½ tablet", "half a tablet"),
        ("aspirin 81 mg", "ibuprofen 81 mg"),
    ],
)
def test_right_however_it_is_written(reference: str, heard: str) -> None:
    counts = count(reference, heard)
    assert counts.said > 0 and counts.wrong == counts.invented == 0 and counts.examples == ()


@pytest.mark.parametrize(
    ("reference", "heard", "kind", "said", "instead"),
    [
        ("take 15 mg", "take 50 mg", "number", "15 milligram", "50 milligram"),
        ("take 5 mg", "take 5 mcg", "unit", "5 milligram", "5 microgram"),
        ("take 5 mg now", "take 5 now", "unit", "5 milligram", "5"),
        ("take 5 mg", "take 5 mg/kg", "unit", "5 milligram", "5 milligram per kilogram"),
        ("120/80", "120/18", "number", "120 over 80", "120 over 18"),
        ("2 to 3 days", "3 days", "number", "2 to 3 day", "3 day"),
        ("take 5 mg now", "take it now", "missing", "5 milligram", ""),
        ("5 mg twice daily", "5 mg 3 times daily", "number", "twice daily", "3 times daily"),
        ("at L4", "at L5", "number", "4", "5"),
        ("half a tablet", "two tablets", "number", "half tablet", "2 tablet"),
        ("minus 5 degrees", "5 degrees", "number", "minus 5 degrees", "5 degrees"),
        ("95 percent", "95", "unit", "95%", "95"),
        ("take it now", "take 5 mg now", "invented", "", "5 milligram"),
    ],
)
def test_kinds_of_error(reference: str, heard: str, kind: str, said: str, instead: str) -> None:
    counts = count(reference, heard)
    assert [(one.kind, one.said, one.heard) for one in counts.examples] == [(kind, said, instead)]
    assert (counts.wrong, counts.invented) == ((0, 1) if kind == "invented" else (1, 0))
    assert getattr(counts, kind) == 1


def test_a_right_number_elsewhere_does_not_help() -> None:
    counts = count("5 mg and then 10 mg", "10 mg and then 5 mg")
    assert (counts.said, counts.number, counts.invented) == (2, 2, 0)


def test_a_repeated_number_answers_once() -> None:
    counts = count("heart rate 88 today", "heart rate 88 88 today")
    assert (counts.said, counts.wrong, counts.invented) == (1, 0, 1)


@pytest.mark.parametrize(
    "text", ["this one", "one of them", "the only one left", "one stent", "no one", "first of all"]
)
def test_the_pronoun_and_ordinals_are_no_quantities(text: str) -> None:
    assert count(text, text).said == 0


@pytest.mark.parametrize("text", ["one gram", "type 1", "1 to 2", "A1c", "one tablet", "one percent", "vitamin B1"])
def test_a_one_that_counts(text: str) -> None:
    assert count(text, text).said == 1


def test_empty_sides() -> None:
    assert count("", "") == Quantities(0, 0, 0, 0, 0)
    assert count("take 5 mg", "").missing == 1
    assert count("", "take 5 mg and 10 mg").invented == 2


TEXTS = st.lists(
    st.sampled_from("5 10 one mg per kg over to times daily twice minus 95% of the half tablet".split()), max_size=9
)


@given(TEXTS.map(" ".join), TEXTS.map(" ".join))
@settings(max_examples=150, deadline=None)
def test_laws(reference: str, heard: str) -> None:
    counts = count(reference, heard)
    assert 0 <= counts.wrong <= counts.said
    assert counts.said - counts.missing + counts.invented == count(heard, heard).said
    assert count(reference, reference).wrong == count(reference, reference).invented == 0
