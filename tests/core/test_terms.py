"""Terms are found in every written form, by whole words; sounds are compared sensibly."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import terms as term_forms
from shoptalk.core.errors import TermError
from shoptalk.core.records import Term
from shoptalk.core.terms import (
    folded,
    index_as_listed,
    index_of,
    mentions,
    occurrences,
    occurrences_of_all,
    occurring,
    phonetic_distance,
)
from shoptalk.core.text import words


def term(text: str, *variants: str, spoken: tuple[str, ...] = ()) -> Term:
    return Term(id=text, text=text, category="drug", variants=variants, spoken=spoken)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("statin", "two statins daily"),
        ("beta-blocker", "a betablocker"),
        ("beta-blocker", "Beta blockers were stopped"),
        ("betablocker or", "betablocker or not"),
        ("HbA1c", "the HbA1c's trend"),
        ("HbA1c", "h b a 1 c"),
        ("HbA1c", "H-b-A-one-C"),
        ("A1c", "an A 1 C of 7.2"),
        ("A1c", "an a one c of 7.2"),
        ("MRI", "an M.R.I. was done"),
        ("MRI", "two MRIs"),
        ("COPD", "known C O P D"),
        ("CT scan", "c t scans"),
        ("ST elevation", "S T elevation"),
        ("Crohn's disease", "Crohn disease"),
        ("Crohn's disease", "crohns disease"),
        ("Crohn disease", "Crohn disease"),
        ("diagnosis", "both diagnoses"),
        ("biopsy", "Biopsies"),
        ("CEFAZOLIN", "one gram of cefazolin."),
        ("vitamin B12", "vitamin b twelve"),
        ("5-fluorouracil", "five fluorouracil"),
    ],
)
def test_found_in_every_written_form(text: str, written: str) -> None:
    assert len(occurrences(term(text), written)) == 1, words(written)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("statin", "nystatin"),
        ("warfarin", "war far in"),
        ("insulin", "insulinoma"),
        ("MRI", "Mario"),
        ("sepsis", "aseptic"),
        ("betablocker", "beta blocker"),
    ],
)
def test_never_a_part_of_another_word(text: str, written: str) -> None:
    assert occurrences(term(text), written) == []


def test_spans_count_words_and_do_not_overlap() -> None:
    text = "Start HbA1c, then A1c and hb a 1 c."
    hba1c = term("HbA1c", "A1c")
    assert occurrences(hba1c, text) == [(1, 4), (5, 8), (9, 12)]
    assert words(text)[5:8] == ["a", "1", "c"]


def test_brand_counts_as_variant_and_spoken_only_for_letters() -> None:
    assert occurrences(term("paracetamol", "acetaminophen"), "acetaminophen 1 g") == [(0, 1)]
    assert occurrences(term("HbA1c", spoken=("hemoglobin a one c",)), "hemoglobin A1c")
    assert not occurrences(term("metformin", spoken=("met four min",)), "met four min")


def test_a_term_without_words_is_an_error() -> None:
    with pytest.raises(TermError, match="no words to match"):
        occurrences(term("---"), "text")


def test_occurring_names_the_terms_of_a_text() -> None:
    assert occurring([term("sepsis"), term("MRI"), term("nurse")], ["Call the nurses", "an m r i"]) == {"MRI", "nurse"}


WORD = st.text("abcdefghiklmnprstuvy", min_size=2, max_size=9)


@given(st.lists(WORD, min_size=1, max_size=6), st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_a_word_is_found_where_it_stands(sentence: list[str], place: int) -> None:
    counted = words(" ".join(sentence))
    if not counted:
        return
    word = counted[place % len(counted)]
    spans = occurrences(term(word), " ".join(sentence))
    assert place % len(counted) in [start for start, _ in spans]
    assert all(0 <= start < end <= len(counted) for start, end in spans)


@given(WORD, WORD)
@settings(max_examples=100, deadline=None)
def test_phonetic_distance_is_symmetric_and_bounded(a: str, b: str) -> None:
    assert 0.0 <= phonetic_distance(a, b) == phonetic_distance(b, a) <= 1.0
    assert phonetic_distance(a, a) == 0.0


def test_sounds_order_as_one_hears_them() -> None:
    near = [("metformin", "met forming"), ("cefazolin", "sefasolin"), ("phenytoin", "fenitoin"), ("xarelto", "zarelto")]
    assert all(phonetic_distance(a, b) < 0.25 for a, b in near), [phonetic_distance(*pair) for pair in near]
    assert phonetic_distance("metformin", "lisinopril") > 0.6
    assert phonetic_distance("cefazolin", "") == 1.0


PIECES = st.sampled_from(["lin", "sulin", "in", "insulin", "glar", "gine", "glargine", "co", "pd", "COPD", "B12", "12"])
PHRASES = st.lists(PIECES, min_size=1, max_size=3).flatmap(
    lambda pieces: st.sampled_from([" ", "-", ""]).map(lambda between: between.join(pieces))
)
LEXICONS = st.lists(PHRASES, min_size=1, max_size=6, unique=True)
TEXTS = st.lists(st.one_of(PHRASES, st.sampled_from(["the", "c o p d", "lins", "B twelve"])), max_size=8).map(" ".join)


def brute_force(term: Term, text: str) -> list[tuple[int, int]]:
    """Every stretch of words against every way to write the term; then the longest from the left."""
    written = [word.replace("o", "0") for word in words(text)]
    spans = []
    for start in range(len(written)):
        for end in range(len(written), start, -1):
            run = "".join(written[start:end])
            breaks = {len("".join(written[start:inner])) for inner in range(start + 1, end)}
            for parts in term_forms._variants(term.id, term.text, term.variants, term.spoken):
                cuts = {len("".join(parts[:count])) for count in range(1, len(parts))}
                if "".join(parts).replace("o", "0") == run and breaks <= cuts:
                    spans.append((start, end))
    chosen: list[tuple[int, int]] = []
    for start, end in spans:
        if not chosen or start >= chosen[-1][1]:
            chosen.append((start, end))
    return chosen


@given(LEXICONS, TEXTS)
@settings(max_examples=100, deadline=None)
def test_an_index_finds_what_every_term_against_every_stretch_of_words_finds(lexicon: list[str], text: str) -> None:
    terms = [term(written) for written in lexicon]
    expected = {place: brute_force(each, text) for place, each in enumerate(terms)}
    assert occurrences_of_all(index_of(terms), text) == {place: spans for place, spans in expected.items() if spans}
    assert occurring(terms, [text]) == {terms[place].id for place, spans in expected.items() if spans}


def mentioned(terms: list[Term], text: str) -> list[tuple[str, str]]:
    """Each mention: the term that it counts for, and its words."""
    counted = words(text)
    found = mentions(index_of(terms), counted)
    return [(terms[mention.term].text, " ".join(counted[mention.start : mention.end])) for mention in found]


@pytest.mark.parametrize(
    ("lexicon", "text", "expected"),
    [
        (("antibiotic", "antibiotics"), "Antibiotics or an antibiotic", ["antibiotic"] * 2),
        (("antibiotics", "antibiotic"), "Antibiotics or an antibiotic", ["antibiotics"] * 2),
        (("allergies", "allergy"), "allergy and allergies", ["allergies"] * 2),
        (("beta-blocker", "beta blockers", "betablocker"), "a betablocker, a beta-blocker", ["beta-blocker"] * 2),
        (("Crohn's disease", "Crohn disease"), "Crohn disease, Crohn's disease", ["Crohn's disease"] * 2),
        (("anaemia", "anemia"), "anaemia or anemia", ["anaemia"] * 2),
        (("insulin", "insulin glargine"), "insulin, then insulin glargine", ["insulin", "insulin glargine"]),
        (("insulin glargine", "insulin"), "insulin, then insulin glargine", ["insulin", "insulin glargine"]),
        (("heart", "heart failure", "failure clinic"), "the heart failure clinic", ["heart failure"]),
        (("kidney", "kidney disease", "chronic kidney disease"), "chronic kidney diseases", ["chronic kidney disease"]),
    ],
)
def test_each_mention_belongs_to_exactly_one_term(lexicon: tuple[str, ...], text: str, expected: list[str]) -> None:
    assert [counted for counted, _ in mentioned([term(written) for written in lexicon], text)] == expected


def test_forms_of_each_other_are_folded_into_the_first_and_others_are_not() -> None:
    written = ["pain", "insulin", "pains", "insulin glargine", "CO2", "C O 2", "painful", "hypothyroidism"]
    assert folded(index_of([term(text) for text in written])) == {2: 0, 5: 4}
    acronym = Term(id="MI", text="MI", category="any", spoken=("myocardial infarction",))
    assert folded(index_of([term("myocardial infarctions"), acronym])) == {1: 0}


def test_as_listed_only_the_forms_of_the_lexicon_count() -> None:
    known = index_as_listed([term("steroid", "cortisone"), term("pain killer")], words)
    text = words("steroids, steroid, cortisone, pain-killer, pain killers")
    assert [mention.term for mention in mentions(known, text)] == [0, 0, 1]


@given(LEXICONS, TEXTS)
@settings(max_examples=100, deadline=None)
def test_mentions_share_no_word_and_leave_no_term_out(lexicon: list[str], text: str) -> None:
    terms = [term(written) for written in lexicon]
    counted = words(text)
    found = mentions(index_of(terms), counted)
    taken = [place for mention in found for place in range(mention.start, mention.end)]
    assert len(taken) == len(set(taken)) and len(found) <= len(counted)
    for spans in occurrences_of_all(index_of(terms), text).values():
        for start, end in spans:
            longer = [mention for mention in found if mention.start < end and mention.end > start]
            assert longer and max(mention.end - mention.start for mention in longer) >= end - start
