"""Terms are judged at their place, in any written form; spraying gains nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core.records import Term
from shoptalk.core.terms import index_of
from shoptalk.core.text import words
from shoptalk.scoring import term_scores
from shoptalk.scoring.term_scores import NOTHING, Match, join, tabulate


def match(term: Term, reference: str, heard: str) -> Match:
    """Of a lexicon of one term."""
    return term_scores.match(index_of([term]), reference, heard).get(0, Match(0, 0, 0))


def term(text: str, *variants: str) -> Term:
    return Term(id=text.lower(), text=text, category="drug", variants=variants)


@pytest.mark.parametrize(
    ("text", "reference", "heard"),
    [
        ("statin", "Continue the statin.", "continue the statins"),
        ("beta-blocker", "Hold the beta-blocker tonight.", "hold the betablocker tonight"),
        ("beta-blocker", "Hold the betablockers tonight.".replace("betab", "beta-b"), "hold the beta blocker tonight"),
        ("HbA1c", "The HbA1c is 7.2%.", "the hb A 1 C is seven point two percent"),
        ("A1c", "The A1c was high.", "the a one c was high"),
        ("cefazolin", "Give cefazolin one gram now.", "give cefazolin 1 g now"),
        ("paracetamol", "Give paracetamol.", "give acetaminophen"),
    ],
)
def test_what_a_word_metric_would_call_an_error_is_the_term(text: str, reference: str, heard: str) -> None:
    one = match(term(text, "acetaminophen") if text == "paracetamol" else term(text), reference, heard)
    assert (one.reference, one.found, one.inserted) == (1, 1, 0)


def test_what_was_heard_instead_leaves_out_what_was_only_inserted_beside_it() -> None:
    one = match(term("metformin"), "Start metformin daily.", "start the met forming daily")
    assert (one.found, one.instead) == (0, ("met forming",))
    assert match(term("metformin"), "Start metformin daily.", "start daily").instead == (NOTHING,)
    assert match(term("warfarin"), "Warfarin", "the war fairing thing").instead == ("war fairing",)


def test_spraying_a_term_costs_precision_and_gains_no_recall_elsewhere() -> None:
    cefazolin, vancomycin = term("cefazolin"), term("vancomycin")
    pairs = [
        ("Give cefazolin now.", "cefazolin give cefazolin cefazolin"),
        ("Give vancomycin now.", "give cefazolin now"),
        ("The weather is fine.", "cefazolin weather is cefazolin"),
        ("", "cefazolin"),
    ]
    table = tabulate([cefazolin, vancomycin], pairs)
    counts = table.counts([0], np.arange(len(pairs)))
    assert counts.reference_M.sum() == counts.found_M.sum() == 1
    assert counts.inserted_M.tolist() == [2, 1, 2, 1]
    assert table.instead[1] == {"cefazolin": 1}


def test_a_term_elsewhere_in_the_sentence_is_not_found() -> None:
    one = match(term("aspirin"), "Aspirin was stopped because of the bleeding.", "was stopped because of the aspirin")
    assert (one.reference, one.heard, one.found, one.inserted) == (1, 1, 0, 1)


def test_each_heard_occurrence_answers_for_one() -> None:
    one = match(term("aspirin"), "aspirin and aspirin", "aspirin and")
    assert (one.reference, one.heard, one.found) == (2, 1, 1)


NESTED = [
    term("insulin"),
    term("insulin glargine"),
    term("antibiotic"),
    term("antibiotics"),
    term("CO2"),
    term("heart"),
]
SENTENCES = st.lists(
    st.sampled_from("insulin glargine insulins antibiotic antibiotics CO2 heart the patient has".split()), max_size=9
).map(" ".join)


@pytest.mark.parametrize(
    ("reference", "heard", "expected"),
    [
        ("insulin glargine", "insulin glargine", {1: (1, 1, 1)}),
        ("insulin glargine", "insulin", {1: (1, 0, 0)}),
        ("insulin", "insulin glargine", {0: (1, 1, 1), 1: (0, 1, 0)}),
        ("insulin glargine", "insulin insulin", {0: (0, 1, 0), 1: (1, 0, 0)}),
        ("antibiotics", "an antibiotic", {2: (1, 1, 1)}),
        ("antibiotics", "antibiotic antibiotics", {2: (1, 2, 1)}),
    ],
)
def test_nested_terms_and_both_numbers(reference: str, heard: str, expected: dict[int, tuple[int, int, int]]) -> None:
    counted = term_scores.match(index_of(NESTED), reference, heard)
    assert {place: (own.reference, own.heard, own.found) for place, own in counted.items()} == expected


@given(SENTENCES)
@settings(max_examples=100, deadline=None)
def test_an_identical_hypothesis_has_recall_and_precision_of_1(text: str) -> None:
    for own in term_scores.match(index_of(NESTED), text, text).values():
        assert own.reference == own.found == own.heard > 0


@given(SENTENCES, SENTENCES)
@settings(max_examples=100, deadline=None)
def test_counts_stay_within_the_mentions(reference: str, heard: str) -> None:
    counted = term_scores.match(index_of(NESTED), reference, heard).values()
    assert all(0 <= own.found <= min(own.reference, own.heard) for own in counted)
    assert sum(own.reference for own in counted) <= len(words(reference))
    assert sum(own.heard for own in counted) <= len(words(reference)) + len(words(heard))


WRITTEN = ("insulin", "glargine", "insulin glargine", "MRI", "beta-blocker")
SENTENCES = st.lists(st.sampled_from([*WRITTEN, "betablockers", "m r i", "the", "in", "insulins"]), max_size=5).map(
    " ".join
)


@given(st.permutations(WRITTEN), st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=6), st.data())
@settings(max_examples=60, deadline=None)
def test_the_table_holds_what_matching_every_pair_gives(
    lexicon: list[str], pairs: list[tuple[str, str]], data: st.DataObject
) -> None:
    terms = [term(text) for text in lexicon]
    dense = np.zeros((3, len(pairs), len(terms)), np.int64)
    for row, pair in enumerate(pairs):
        for place, counted in term_scores.match(index_of(terms), *pair).items():
            dense[:, row, place] = counted.reference, counted.heard, counted.found
    chosen = data.draw(st.lists(st.integers(0, len(terms) - 1), min_size=1, max_size=3, unique=True))
    rows = data.draw(st.lists(st.integers(0, len(pairs) - 1), min_size=1, unique=True))
    table = tabulate(terms, pairs)
    halves = join([tabulate(terms, pairs[:1]), tabulate(terms, pairs[1:])])
    for counted, expected in (
        (table, dense),
        (halves, dense),
        (table.of(rows), dense[:, rows]),
    ):
        counts = counted.counts(chosen, np.arange(counted.utterances))
        sums = np.stack([counts.reference_M, counts.heard_M, counts.found_M])
        assert (sums == expected[:, :, chosen].sum(axis=2)).all()
        assert counted.rows(chosen).tolist() == np.flatnonzero(expected[:, :, chosen].any(axis=(0, 2))).tolist()
    assert halves.missed == table.missed and halves.instead == table.instead
