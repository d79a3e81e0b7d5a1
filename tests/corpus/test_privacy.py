"""What may tell who a person is: invented sentences that do, sentences that do not, and what ships."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shoptalk.core.errors import PrivacyError
from shoptalk.core.records import Term, Transcript
from shoptalk.corpus import carriers, lexicon, privacy
from shoptalk.corpus.carriers import Carrier, screen

ROOT = Path(__file__).parents[2]
TERMS = [
    Term(id=name, text=name, category="drug") for name in ("metformin", "warfarin", "apixaban", "aspirin", "Tylenol")
]
PLAIN = privacy.plain_words(TERMS)
TOLD = json.loads((Path(__file__).with_name("golden") / "private.json").read_text(encoding="utf-8"))
"""Invented sentences by what they tell; those under `missed` are what the check is known to miss."""


def test_what_tells_who_a_person_is_is_refused() -> None:
    missed = []
    for sentences in TOLD.values():
        missed += [sentence for sentence in sentences if not privacy.finding(sentence, PLAIN)]
    assert missed == TOLD["missed"]


def test_recall_on_invented_sentences() -> None:
    """What docs/privacy.md states."""
    told = [sentence for kind, sentences in TOLD.items() if kind != "missed" for sentence in sentences]
    assert (len(told), len(TOLD["missed"])) == (63, 5)


@pytest.mark.parametrize(
    "sentence",
    [
        "He was seen at 08:05 on 2024-01-15, 75 mg/m2 IV.",
        "Give 100 000 units at once.",
        "CA 19-9 was 120 000 units per mL.",
        "Platelets were 250 000 000 per litre.",
        "Parkinson disease, stage 3, with Crohn's in the family.",
        "Start heparin 5,000 units every 8 hours.",
        "The HbA1c was 7.4% in March 2023.",
        "T4 and TSH are normal, IgG was 1.2 g/L on 03/14/2024.",
        "She takes vitamin D. The dose is 1000 units.",
        "Hepatitis B. She is immune.",
        "BP 120/80, pulse 72, SpO2 98% on 2 L.",
        "Doppler of the leg is negative, and Tylenol helped.",
        "We will mark the site. May she have ice chips?",
        "Will follow up in two weeks.",
        "Iced latte with oat milk for here, please.",
        "Descend to flight level two four zero.",
        "Take 1 tablet 2-3 times a day, for 10-14 days.",
        "Metformin's dose was halved. I'm content, I've slept.",
        "The contract was signed in 2012.",
    ],
)
def test_what_tells_nothing_passes(sentence: str) -> None:
    assert privacy.finding(sentence, PLAIN) == ""


def test_every_shipped_carrier_passes() -> None:
    plain = privacy.plain_words(lexicon.load([ROOT / "lexicons/clinical.yaml"]))
    bank = carriers.read_banks([ROOT / "lexicons/carriers-clinical.jsonl"])
    assert len(bank) > 400
    assert [carrier.text for carrier in bank if privacy.finding(carrier.text, plain)] == []


@pytest.mark.parametrize(
    "text", ["", "  ", "12 34", "Иван здоров.", "He is well\u200b.", "He is well\x07.", "So it went on. " * 200]
)
def test_what_cannot_be_judged_is_refused(text: str) -> None:
    assert privacy.finding(text, PLAIN).startswith("cannot be judged")


@settings(max_examples=50)
@given(st.text(min_size=1, max_size=80))
@example("{drug}")
def test_any_text_is_judged_without_an_error(text: str) -> None:
    told = privacy.finding(text, PLAIN)
    assert privacy.kind_of(told) == told.partition(":")[0]


@settings(max_examples=50)
@given(st.from_regex(r"[BCFGJKPQVWXZ][bcfgjkpqvwxz]{3,8}", fullmatch=True))
def test_an_unknown_word_with_a_capital_is_refused(word: str) -> None:
    assert privacy.finding(f"{word} was seen.", PLAIN) == f"a name: {word}"
    assert privacy.finding(f"We saw {word} today.", PLAIN) == f"a name: {word}"


def test_words_that_the_recipe_allows_pass() -> None:
    told = "Contact Boston tower on the way to Young."
    assert privacy.finding(told, PLAIN) == "a name: Boston"
    assert privacy.finding(told, privacy.plain_words(TERMS, ["Boston", "Young"])) == ""


def test_sentences_are_listed_by_their_ids() -> None:
    made = []
    for number, text in enumerate(("He takes aspirin.", "John takes aspirin.", "Call 555-0142 about aspirin.")):
        made.append(
            Transcript(
                id=f"t{number}",
                text=text,
                spoken=text,
                term_ids=("aspirin",),
                carrier=text,
                split="train",
                source="own",
            )
        )
    privacy.require_private(made[:1], PLAIN)
    with pytest.raises(PrivacyError, match=r"(?s)2 sentences.*t1: a name: John.*t2: a telephone number: 555-0142"):
        privacy.require_private(made, PLAIN)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Mrs Okonkwo has been taking {drug} for years.", "may tell who a person is"),
        ("Tell Rajesh that {drug} was stopped.", "may tell who a person is"),
        ("Sure, here are five sentences with {drug}.", "refusal or remark"),
        ("I cannot provide advice about {drug} here.", "refusal or remark"),
        ("The nurse gave {drug} before the scan.", ""),
    ],
)
def test_a_carrier_that_a_model_wrote_is_screened(text: str, reason: str) -> None:
    carrier = Carrier(id="live-0", text=text, category="drug", source="llm:test")
    assert screen(carrier, TERMS, []) == reason
