"""Proposals: what a list leaves open is asked, checked and voted on; answers that are no use end in a named error."""

from collections import Counter
from collections.abc import Sequence

import pytest
from tests.corpus.fake_llm import FakeLlm

from shoptalk.core.errors import ProposalError
from shoptalk.core.records import UNSORTED, Term
from shoptalk.corpus.proposals import (
    CLINIC_CATEGORIES,
    CLINIC_CONTEXTS,
    COMMON_CONTEXTS,
    Proposal,
    is_clinical,
    is_written,
    placed,
    propose,
    proposed,
)

KINDS = {
    "flat white": "drink", "cortado": "drink", "mocha": "drink", "espresso": "drink", "oat milk": "milk",
    "half and half": "milk", "vanilla syrup": "syrup", "hazelnut syrup": "syrup", "maple syrup": "syrup",
    "small": "size", "large": "size", "cinnamon roll": "pastry", "banana bread": "pastry",
}  # fmt: skip


def terms_of(texts: Sequence[str]) -> list[Term]:
    return [Term(id=text.replace(" ", "-"), text=text, category=UNSORTED) for text in texts]


TERMS = terms_of(list(KINDS))


def ask(llm: FakeLlm, terms: Sequence[Term] = TERMS, done: Sequence[Proposal] = (), **given: str) -> list[Proposal]:
    return list(propose(llm, terms, seed=3, refused=Counter(), done=done, **given))


def test_a_bare_list_gets_a_trade_categories_and_contexts() -> None:
    found = proposed(ask(FakeLlm(kinds=KINDS)))
    assert found.trade == "a coffee bar" and not found.is_clinical
    assert {term.text: term.category for term in placed(TERMS, found.categories)} == KINDS
    assert found.contexts[:3] == (
        "a customer asks for something",
        "a clerk thanks a customer",
        "a clerk writes a note",
    )
    assert found.contexts[3:] == COMMON_CONTEXTS
    assert [is_written(context) for context in found.contexts[:3]] == [False, False, True]


def test_what_is_given_is_not_asked() -> None:
    llm = FakeLlm(kinds=KINDS)
    with_categories = [term.model_copy(update={"category": KINDS[term.text]}) for term in TERMS]
    assert ask(llm, with_categories, trade="a tea room", contexts=("a guest orders",)) == []  # type: ignore[arg-type]
    assert llm.asked == []
    assert [each.kind for each in ask(llm, with_categories, trade="a tea room")] == ["context"] * 3


def test_a_model_that_is_wrong_once_in_three_is_outvoted() -> None:
    asked = Counter[str]()

    def every_third(kind: str, seed: int) -> str | None:
        asked[kind] += 1
        if asked[kind] % 3 != 1:
            return None
        return {"trade": "mocha", "categories": "1. it depends", "placing": "I cannot say.", "contexts": "Sure!"}.get(
            kind
        )

    found = proposed(ask(FakeLlm(kinds=KINDS, wrong=every_third)))
    assert found.trade == "a coffee bar"
    assert found.categories["flat-white"] == "drink" and found.categories["cinnamon-roll"] == "pastry"


def test_kinds_that_the_model_names_only_while_it_places_words_are_taken() -> None:
    llm = FakeLlm(kinds=KINDS, wrong=lambda kind, seed: "drink, pastry" if kind == "categories" else None)
    categories = proposed(ask(llm)).categories
    assert categories["small"] == categories["large"] == "size"
    assert categories["vanilla-syrup"] == "syrup"  # three end in it: nobody is asked


def test_a_kind_that_was_missed_is_taken_where_two_neighbours_are_given_it() -> None:
    """The sample's answers name no sizes; those for the batch do."""
    asked = Counter[str]()

    def late(kind: str, seed: int) -> str | None:
        asked[kind] += 1
        if kind == "categories":
            return "drink, pastry, milk, syrup"
        return "small: unknown\nlarge: unknown" if kind == "placing" and asked[kind] <= 4 else None

    categories = proposed(ask(FakeLlm(kinds=KINDS, wrong=late))).categories
    assert categories["small"] == categories["large"] == "size"


def test_a_term_that_no_answer_places_stays_unplaced() -> None:
    kinds = {text: kind for text, kind in KINDS.items() if text != "mocha"}
    assert proposed(ask(FakeLlm(kinds=kinds))).categories["mocha"] == UNSORTED


def test_a_clinic_has_the_categories_and_contexts_that_ship() -> None:
    kinds = {"metformin": "drug", "apixaban": "drug", "troponin": "lab", "colectomy": "procedure"}
    llm = FakeLlm(trade="a hospital", kinds=kinds)
    proposals = ask(llm, terms_of(list(kinds)))
    found = proposed(proposals)
    assert found.is_clinical and found.contexts == CLINIC_CONTEXTS
    assert found.categories == kinds
    assert [each.text for each in proposals if each.kind == "category"] == list(CLINIC_CATEGORIES)
    assert set(llm.asked) == {"trade", "placing"}


@pytest.mark.parametrize(
    ("kind", "cure"), [("trade", "transcripts.trade"), ("categories", "CSV"), ("contexts", "transcripts.contexts")]
)
def test_useless_answers_end_in_an_error_that_says_why_and_what_to_write(kind: str, cure: str) -> None:
    useless = {kind, "placing"} if kind == "categories" else {kind}
    texts = ["flat white", "cortado", "mocha", "espresso", "small", "large"]
    llm = FakeLlm(kinds=KINDS, wrong=lambda asked, seed: "As an AI, I CANNOT!" if asked in useless else None)
    with pytest.raises(ProposalError, match=rf"fake named no .*refused: \d+ {kind}: no .*{cure}"):
        ask(llm, terms_of(texts))
    assert llm.asked.count(kind) == 6


def test_an_interrupted_proposal_goes_on_to_the_same_end() -> None:
    whole_llm = FakeLlm(kinds=KINDS)
    whole = ask(whole_llm)
    for asked in range(1, len(whole_llm.asked)):
        kept: list[Proposal] = []
        with pytest.raises(KeyboardInterrupt):
            for each in propose(FakeLlm(kinds=KINDS, dies_after=asked), TERMS, seed=3, refused=Counter()):
                kept.append(each)
        assert kept + ask(FakeLlm(kinds=KINDS), done=kept) == whole


@pytest.mark.parametrize(
    ("trade", "clinical"),
    [
        ("a clinic", True), ("the emergency department", True), ("a dentist's", True), ("a cardiology ward", True),
        ("a veterinary hospital", True), ("a pharmacy", True), ("a law office", False), ("an air traffic tower", False),
        ("a hardware store", False), ("an award show", False),
    ],
)  # fmt: skip
def test_trades_of_medicine_are_told_by_their_words(trade: str, clinical: bool) -> None:
    assert is_clinical(trade) is clinical
