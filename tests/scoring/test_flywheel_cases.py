"""Cases in which a keyword error rate by row goes wrong, and what the scores of terms here say of them.

The clinical flywheel of NVIDIA (repository NVIDIA/skills, skill digital-health-clinical-asr-eval, `scoring-recipes.md`)
headlines KER, the mean over rows of "the row's one term does not stand in what was heard": both in lower case, NFKD,
without punctuation but hyphens, the term's words adjacent. It knows no place, no count, no variants, and no
insertion; rows without a term do not exist. `_ker` restates that, so that each case shows both verdicts.
"""

import re
import unicodedata

import pytest

from shoptalk.core.records import Term
from shoptalk.core.terms import index_of, occurrences
from shoptalk.scoring import term_scores
from shoptalk.scoring.term_scores import Match, tabulate
from shoptalk.scoring.wer import count_words


def match(term: Term, reference: str, heard: str) -> Match:
    """Of a lexicon of one term."""
    return term_scores.match(index_of([term]), reference, heard).get(0, Match(0, 0, 0))


def _term(text: str, *variants: str, spoken: tuple[str, ...] = ()) -> Term:
    return Term(id=text, text=text, category="drug", variants=variants, spoken=spoken)


def _ker(term: Term, heard: str) -> float:
    said, got = (
        " ".join(re.sub(r"[^\w\s-]", "", unicodedata.normalize("NFKD", text)).lower().split())
        for text in (term.text, heard)
    )
    return float(f" {said} " not in f" {got} ")


A1C = _term("HbA1c", "hemoglobin A1c", "A1c", spoken=("hemoglobin a one c",))


@pytest.mark.parametrize(
    ("term", "reference", "heard"),
    [
        (_term("stent"), "Two stents were placed.", "two stents were placed"),
        (_term("biopsy"), "The biopsies are back.", "the biopsies are back"),
        (_term("metastasis"), "No metastases.", "no metastases"),
        (_term("Crohn's disease"), "Known Crohn's disease.", "known crohn disease"),
        (_term("beta-blocker"), "Hold the beta-blocker.", "hold the beta blocker"),
        (_term("beta-blocker"), "Hold the beta-blocker.", "hold the betablocker"),
        (_term("beta-blocker"), "Hold the beta blockers.", "hold the beta-blockers"),
        (A1C, "Check an A1c today.", "check an A 1 C today"),
        (A1C, "Check an A1c today.", "check an a one c today"),
        (A1C, "Check an A1c today.", "check a hemoglobin A1C today"),
        (A1C, "Check an HbA1c today.", "check an Hb A1c today"),
        (_term("1 g"), "Give 1 g now.", "give 1 gram now"),
        (_term("1 gram"), "Give 1 g now.", "give one gram now"),
        (_term("COPD"), "Known COPD.", "known c o p d"),
        (_term("metformin", "Glucophage"), "Start metformin.", "start Glucophage"),
        (_term("5 µg"), "Take 5 μg.", "take five micrograms"),
        (_term("prn"), "Take it p.r.n. only.", "take it as needed only"),
    ],
)
def test_found_in_whatever_way_it_is_written(term: Term, reference: str, heard: str) -> None:
    assert match(term, reference, heard) == Match(1, 1, 1)
    assert _ker(term, heard) == 1.0, "KER calls a right word wrong"


@pytest.mark.parametrize(
    ("term", "reference", "heard"),
    [
        (_term("Crohn's disease"), "Known Crohn’s disease.", "known crohns disease"),
        (_term("COPD"), "Known COPD.", "known C.O.P.D."),
        (_term("Ménière's disease"), "Has Ménière’s disease.", "has meniere's disease"),
        (_term("1 g"), "Give one gram now.", "give 1 g now"),
    ],
)
def test_found_by_both(term: Term, reference: str, heard: str) -> None:
    assert match(term, reference, heard) == Match(1, 1, 1)
    assert _ker(term, heard) == 0.0


@pytest.mark.parametrize(
    ("term", "reference", "heard"),
    [
        (_term("aspirin"), "Take aspirin daily.", "take aspirinlike daily"),
        (_term("ACE"), "Start an ACE inhibitor.", "start a face inhibitor"),
        (_term("ileum"), "The ileum is normal.", "the ileumitis is normal"),
        (_term("heparin"), "Give heparin now.", "give heparinase now"),
        (_term("10 mg"), "Take 10 mg now.", "take 110 mg now"),
        (_term("tension"), "Tension is noted.", "hypertension is noted"),
    ],
)
def test_part_of_another_word_is_not_the_term(term: Term, reference: str, heard: str) -> None:
    assert term.text.lower() in heard, "a plain substring search would find it"
    one = match(term, reference, heard)
    assert (one.reference, one.heard, one.found) == (1, 0, 0)


def test_a_brand_is_the_term_only_where_the_lexicon_says_so() -> None:
    assert match(_term("cefazolin"), "Give cefazolin.", "give Ancef").found == 0
    assert match(_term("cefazolin", "Ancef"), "Give cefazolin.", "give Ancef").found == 1
    assert match(_term("cefazolin", "Ancef"), "Give Ancef.", "give cefazolin").found == 1
    assert match(_term("warfarin"), "Give warfarin.", "give war far in").found == 0


def test_said_twice_and_heard_once_is_one_of_two() -> None:
    term = _term("heparin")
    heard = "stop heparin and start hipparion tomorrow"
    assert _ker(term, heard) == 0.0
    assert match(term, "Stop heparin and start heparin tomorrow.", heard) == Match(2, 1, 1, ("hipparion",))


def test_heard_elsewhere_is_missed_and_made_up() -> None:
    term = _term("heparin")
    heard = "stop the harp in now because of bleeding and then give heparin"
    one = match(term, "Stop the heparin now because of bleeding and then give warfarin", heard)
    assert _ker(term, heard) == 0.0
    assert (one.reference, one.found, one.inserted) == (1, 0, 1)


def test_a_model_that_sprays_a_term_has_recall_and_nothing_else() -> None:
    term = _term("cefazolin")
    pairs = [
        ("Give cefazolin before the incision.", "give cefazolin before the incision cefazolin"),
        ("The wound is clean.", "the wound is cefazolin"),
        ("Follow up in two weeks.", "cefazolin follow up cefazolin in two weeks"),
    ]
    table = tabulate([term], pairs)
    said, heard, found = (int(one.sum()) for one in (table.reference_K, table.heard_K, table.found_K))
    assert _ker(term, pairs[0][1]) == 0.0, "no error by KER, which looks at the first pair only"
    assert (said, heard, found, heard - found) == (1, 5, 1, 4)
    assert found / said == 1.0 and found / heard == 0.2


def test_text_made_up_on_silence_is_all_insertions() -> None:
    term = _term("cefazolin")
    assert match(term, "", "thank you cefazolin") == Match(0, 1, 0)
    counts = count_words("", "thank you cefazolin")
    assert (counts.insertions, counts.reference, counts.errors) == (3, 0, 3)
    assert match(term, "", "") == Match(0, 0, 0) and count_words("", "").rate == 0.0
    assert match(term, "...", " — ") == Match(0, 0, 0)


def test_nothing_heard_is_missed() -> None:
    assert match(_term("heparin"), "Give heparin.", "") == Match(1, 0, 0, ("",))


def test_an_insertion_between_the_words_of_a_term() -> None:
    term = _term("insulin glargine")
    broken = match(term, "Give insulin glargine tonight.", "give insulin the glargine tonight")
    assert (broken.reference, broken.heard, broken.found) == (1, 0, 0)
    doubled = match(term, "Give insulin glargine tonight.", "give insulin insulin glargine tonight")
    assert (doubled.found, doubled.inserted) == (1, 0)
    beside = match(term, "Give insulin glargine tonight.", "give the insulin glargine glargine tonight")
    assert (beside.found, beside.inserted) == (1, 0)


def test_punctuation_inside_a_term_is_not_heard() -> None:
    term = _term("atrial fibrillation")
    assert match(term, "New atrial fibrillation.", "new atrial, fibrillation").found == 1
    assert match(term, "New atrial fibrillation.", "new atrial. Fibrillation").found == 1


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (_term("ACE"), "her face"),
        (_term("stent"), "a consistent stentor"),
        (_term("IV"), "five of them"),
        (_term("QD"), "four times daily"),
        (_term("TIA"), "initiation"),
    ],
)
def test_no_occurrence_inside_words(term: Term, text: str) -> None:
    assert occurrences(term, text) == []
