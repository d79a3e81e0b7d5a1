"""Sentences with numbers: said in words alone, naming the same number, and naming no drug."""

import re
from pathlib import Path

import numpy as np
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import text
from shoptalk.corpus.numerals import _SLOTS, FRAMES, sentence

ROOT = Path(__file__).parents[2]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_is_said_has_no_digit_and_no_sign_that_a_synthesiser_would_guess(seed: int) -> None:
    drawn = sentence(np.random.default_rng(seed))
    assert not re.search(r"[\d%/{}]", drawn.spoken)
    assert not re.search(r"[{}]", drawn.written)
    assert drawn == sentence(np.random.default_rng(seed))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_written_and_the_spoken_form_count_as_the_same_words(seed: int) -> None:
    drawn = sentence(np.random.default_rng(seed))
    plain = re.search(r"\d{3}-\d{4}|Flight|[A-Z]{2}|, \d{4}|:05|\b(19|20)\d\d\b|\b[A-Z][a-z]+ \d", drawn.written)
    if not plain:  # how a year, a date, a time or single digits are read is no matter of the scoring rules
        assert text.words(drawn.written) == text.words(drawn.spoken)


def test_every_slot_of_every_frame_is_known_and_drawn() -> None:
    named = {slot for frame in FRAMES for slot in re.findall(r"\{(\w+)\}", frame)}
    assert named == set(_SLOTS)


def test_no_frame_names_a_drug_of_the_lexicon() -> None:
    rows = yaml.safe_load((ROOT / "lexicons" / "clinical.yaml").read_text())
    drugs = {row["text"].lower() for row in rows if row["category"] == "drug"}
    rng = np.random.default_rng(1)
    drawn = " ".join(sentence(rng).written.lower() for _ in range(2_000))
    assert not [drug for drug in drugs if re.search(rf"\b{re.escape(drug)}\b", drawn)]
