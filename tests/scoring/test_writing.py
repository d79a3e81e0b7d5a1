"""Capitals and marks are judged in rightly heard words only."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.scoring.writing import Writing, count


@pytest.mark.parametrize(
    ("reference", "heard", "matched", "miscased"),
    [
        ("The COPD is stable.", "the copd is stable", 4, 2),
        ("Take 5 mg", "Take 5 MG", 2, 0),
        ("Take 5 mg", "Take 5 milligrams", 2, 0),
        ("Give Lasix", "Give lasix", 2, 1),
        ("Give Lasix", "give metformin", 1, 1),
        ("Beta-Blocker", "beta blocker", 2, 2),
        ("It’s fine", "It's fine", 2, 0),
        ("Naïve", "naïve", 1, 1),
        ("colour", "Color", 0, 0),
    ],
)
def test_capitals(reference: str, heard: str, matched: int, miscased: int) -> None:
    counts = count(reference, heard)
    assert (counts.matched, counts.miscased) == (matched, miscased)


@pytest.mark.parametrize(
    ("reference", "heard", "said", "got", "right"),
    [
        ("Yes, he is well.", "Yes he is well.", 2, 1, 1),
        ("He is well.", "He is well?", 1, 1, 0),
        ("He is well", "He, is well.", 0, 2, 0),
        ("He is well.", "He is ill.", 0, 0, 0),
        ("He is well.", "He is well, thanks.", 1, 1, 0),
        ("Well , yes .", "Well, yes.", 2, 2, 2),
        ('He said "yes."', "He said yes.", 1, 1, 1),
        ("See Dr. Smith", "See Dr Smith", 0, 0, 0),
        ("Take p.o. daily", "Take po daily", 0, 0, 0),
        ("At 8:30, 1,000 mg", "At 8:30 1000 mg", 1, 0, 0),
        ("Um, yes.", "Yes.", 1, 1, 1),
        ("mg.", "milligrams.", 1, 1, 1),
        ("...", "", 0, 0, 0),
    ],
)
def test_marks(reference: str, heard: str, said: int, got: int, right: int) -> None:
    counts = count(reference, heard)
    assert (counts.marks_said, counts.marks_heard, counts.marks_right) == (said, got, right)


def test_empty_sides() -> None:
    for one in (count("", ""), count("Thank you.", ""), count("", "Thank you.")):
        assert one == Writing(0, 0, 0, 0, 0)


@given(st.text(alphabet="aB c.D,?! -5:'\"", max_size=30), st.text(alphabet="aB c.D,?! -5:'\"", max_size=30))
@settings(max_examples=150, deadline=None)
def test_laws(reference: str, heard: str) -> None:
    counts = count(reference, heard)
    assert 0 <= counts.miscased <= counts.matched
    assert counts.marks_right <= min(counts.marks_said, counts.marks_heard)
    same = count(reference, reference)
    assert same.miscased == 0 and same.marks_said == same.marks_heard == same.marks_right
