"""Sentences beside those with one term: of each kind as many as asked for, none that leaks, the same in any order."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core.errors import CoverageError
from shoptalk.core.recipe import TranscriptsSection
from shoptalk.core.records import TERMLESS, Term, Transcript
from shoptalk.core.terms import index_of, occurrences, occurrences_of_all
from shoptalk.corpus import carriers, kinds, lexicon, numerals, privacy, splits, transcripts
from shoptalk.corpus.carriers import Carrier
from shoptalk.corpus.frames import Frame, phrases_of, read_frames, with_phrase

ROOT = Path(__file__).parents[2]
BANK = carriers.read_banks([ROOT / "lexicons/carriers-clinical.jsonl"])
FRAMES = read_frames([ROOT / "lexicons/frames-english.jsonl"])
TERMS = lexicon.load([ROOT / "lexicons/clinical.yaml"])
CONFIG = TranscriptsSection(
    train_per_term=4, dev_per_term=1, test_per_term=2, several=0.5, without=0.4, numbers=0.3, contrast_per_pair=2
)


def drug(name: str, **more: object) -> Term:
    return Term.model_validate({"id": name, "text": name, "category": "drug", **more})


def pair_names(terms: list[Term]) -> list[tuple[str, str]]:
    return [(left.text, right.text) for left, right in kinds.confused_pairs(terms)]


def made_of(terms: list[Term], bank: list[Carrier], seed: int) -> tuple[list[Transcript], list[Transcript], list[str]]:
    about_terms, _ = transcripts.compose(terms, bank, CONFIG, seed=seed)
    further, notes = kinds.beside(terms, about_terms, bank, FRAMES, CONFIG, seed=seed)
    return about_terms, further, [note.message for note in notes]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("hydralazine", "hydroxyzine"),
        ("hypothyroidism", "hyperthyroidism"),
        ("hypokalemia", "hyperkalemia"),
        ("prednisone", "prednisolone"),
        ("ileum", "ilium"),
        ("dysphagia", "dysphasia"),
        ("endocarditis", "pericarditis"),
        ("runway two seven left", "runway two seven right"),
    ],
)
def test_terms_that_sound_alike_are_a_pair(left: str, right: str) -> None:
    assert pair_names([drug(right), drug("metformin"), drug(left)]) == [tuple(sorted((left, right)))]


def test_a_pair_is_of_trained_terms_and_no_part_of_one_another() -> None:
    assert pair_names([drug("hydralazine"), drug("hydroxyzine", taught=False)]) == []
    assert pair_names([drug("glargine insulin"), drug("glargine insulins")]) == []
    shipped = pair_names(TERMS)
    assert ("empagliflozin", "dapagliflozin")[::-1] in shipped
    assert len(shipped) < len(TERMS) / 4, "most terms are alone"


def test_what_the_lexicon_calls_confused_is_a_pair() -> None:
    ours = [drug("metformin", confused_with=("Amiodarone", "met for men", "held")), drug("amiodarone")]
    held_out = drug("held", taught=False)
    assert pair_names([*ours, held_out]) == [("amiodarone", "metformin"), ("met for men", "metformin")]
    _, further, _ = made_of(ours, BANK, 3)
    with_words = [each for each in further if "met for men" in each.text]
    assert len(with_words) == 2
    assert {each.term_ids for each in with_words} == {("metformin",)}


def test_a_pair_has_sentences_with_both_and_carriers_with_either() -> None:
    terms = [drug("losartan"), drug("valsartan")]
    about_terms, further, notes = made_of(terms, BANK, 7)
    contrasts = [each for each in further if each.kind == "contrast"]
    both = [each for each in contrasts if len(each.term_ids) == 2]
    assert len(both) == 2
    assert all(occurrences(term, each.text) for term in terms for each in both)
    carriers_of = {term.id: [e.carrier for e in contrasts if e.term_ids == (term.id,)] for term in terms}
    assert len(carriers_of["losartan"]) == 2
    assert carriers_of["losartan"] == carriers_of["valsartan"]
    assert not set(carriers_of["losartan"]) & {each.carrier for each in about_terms if each.split != "train"}
    assert notes == []


def test_all_kinds_are_made_as_often_as_asked_for() -> None:
    terms = lexicon.hold_out(TERMS[::6], part=0.2, seed=7)
    about_terms, further, notes = made_of(terms, BANK, 7)
    assert notes == []
    trained = sum(each.split == "train" for each in about_terms)
    dev = sum(each.split == "dev" for each in about_terms)
    count = {(kind, split): 0 for kind in ("several", *TERMLESS) for split in ("train", "dev")}
    for each in further:
        if each.kind != "contrast":
            count[each.kind, each.split] += 1
    assert (count["without", "train"], count["without", "dev"]) == (round(0.4 * trained), round(0.4 * dev))
    assert (count["numbers", "train"], count["numbers", "dev"]) == (round(0.3 * trained), round(0.3 * dev))
    assert 0.4 * trained < count["several", "train"] < 0.6 * trained
    assert count["several", "dev"] == 0
    for each in further:
        assert (len(each.term_ids) >= 2) >= (each.kind == "several")
        assert (not each.term_ids) == (each.kind in TERMLESS)
    sections = {each.section for each in further if each.kind == "without"}
    assert len(sections) > 6
    assert transcripts.duplicates([*about_terms, *further]) == []
    assert not any(sign.isdigit() for each in further for sign in each.spoken)


def test_numbers_are_of_no_person_and_elsewhere_of_no_clinic() -> None:
    plain = privacy.plain_words(TERMS)
    _, further, notes = made_of(lexicon.hold_out(TERMS[::3], part=0.2, seed=7), BANK, 7)
    assert notes == []
    assert not [each.text for each in further if privacy.finding(each.text, plain)]
    elsewhere = numerals.frames_for(is_clinical=False)
    assert 25 <= len(elsewhere) < len(numerals.frames_for(is_clinical=True))
    assert not [frame for frame in elsewhere if "dose" in frame or "pressure" in frame or "He takes" in frame]


small_bank = st.lists(st.sampled_from(BANK), max_size=60, unique_by=lambda each: each.id)
small_terms = st.lists(st.sampled_from(TERMS), min_size=1, max_size=6, unique_by=lambda term: term.id)


@settings(max_examples=15, deadline=None)
@given(small_terms, small_bank, st.integers(0, 99), st.randoms(use_true_random=False))
def test_no_kind_leaks_whatever_the_order_of_terms(terms: list[Term], bank: list[Carrier], seed: int, chance) -> None:  # type: ignore[no-untyped-def]
    terms = lexicon.hold_out(terms, part=0.3, seed=seed)
    about_terms, further, _ = made_of(terms, bank, seed)
    every = [*about_terms, *further]
    assert len({each.id for each in every}) == len(every)
    in_split = {s: sorted({each.carrier for each in every if each.split == s}) for s in ("train", "dev", "test")}
    assert splits.near_duplicates(in_split["train"], in_split["dev"] + in_split["test"]) == []
    assert splits.near_duplicates(in_split["dev"], in_split["test"]) == []
    known = index_of(terms)
    held_out = {term.id for term in terms if not term.taught}
    for each in further:
        assert each.split != "test"
        named = {known.ids[place] for place in occurrences_of_all(known, each.text)}
        assert not named & held_out
        assert named >= set(each.term_ids)
        assert each.term_ids or not named
    shuffled = list(terms)
    chance.shuffle(shuffled)
    again = made_of(shuffled, bank, seed)[1]
    assert {each.id: each for each in again} == {each.id: each for each in further}


@pytest.mark.parametrize(
    ("carrier", "filled"),
    [
        ("He has taken {drug} for years.", "He has taken the tablet for years."),
        ("Have you had your {drug} today?", "Have you had your tablet today?"),
        ("{drug} was held overnight.", "The tablet was held overnight."),
        ("Please start an {drug} tonight.", "Please start a tablet tonight."),
        ("Nurse reports that {drug} was given late.", "Nurse reports that the tablet was given late."),
        ("Bring your {drug} bottle along.", ""),
        ("Empiric {drug} was narrowed.", ""),
        ("A repeat {drug} was given.", ""),
        ("Start {drug} {dose} tomorrow.", ""),
    ],
)
def test_a_plain_phrase_stands_where_a_noun_can(carrier: str, filled: str) -> None:
    own = Carrier(id="a", text=carrier, category="drug", source="x")
    phrase = with_phrase(own, "the tablet")
    assert (transcripts.put(carrier, {"drug": phrase}, {"drug": phrase})[0] if phrase else "") == filled


def test_categories_of_the_user_have_their_own_name_for_a_phrase() -> None:
    assert "the tablet" in phrases_of("drug", FRAMES)
    assert phrases_of("call_sign", FRAMES) == ["the call sign"]
    assert phrases_of("term", FRAMES) == []


@pytest.mark.parametrize(
    ("kind", "text", "category", "told"),
    [
        ("contrast", "Only {term}.", "", "a contrast needs"),
        ("several", "Only {term}.", "", "fewer than two"),
        ("several", "Here {term} and {third}.", "", "without the slots before"),
        ("without", "Here {term}.", "", "has no slots"),
        ("phrase", "the thing", "", "needs the category"),
        ("several", "{term} and {term}.", "", "stands twice"),
    ],
)
def test_frames_that_cannot_be_used_are_named(tmp_path: Path, kind: str, text: str, category: str, told: str) -> None:
    frame = Frame.model_validate({"id": "mine", "kind": kind, "text": text, "category": category, "source": "x"})
    (tmp_path / "frames.jsonl").write_text(frame.model_dump_json() + "\n")
    with pytest.raises(CoverageError, match=re.escape("mine: ") + ".*" + told):
        read_frames([tmp_path / "frames.jsonl"])
