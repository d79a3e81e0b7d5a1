"""Terms found in texts: what is common there and rare elsewhere, in one to three words, with true counts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core.records import Term
from shoptalk.corpus import general_english
from shoptalk.corpus.mining import Mined, mine

COMMON = "i'd like a the please with and for in to go today we have one more of that is my name good are you".split()
ENGLISH = general_english.frequencies(
    {word: 200_000 for word in COMMON}
    | {"flat": 900, "white": 2_000, "milk": 900, "oat": 100, "latte": 90, "coffee": 3_000, "cold": 1_500, "brew": 200}
    | {"filler": 4_000_000}
)
ORDERS = [
    "I'd like a flat white with oat milk, please. Okay.",
    "Um, one more flat white for Mrs Okonkwo. And a cortado.",
    "A cortado to go! My name is Oyelaran.",
    "Flat white, please. Two cortados. Dr. Okonkwo, good day.",
    "We have cold brew today. And a V60.",
    "Is that the cold brew? Okay. My name is Oyelaran and a V60, please",
    "The cold brew, please, with oat milk; and a V60. Okay.",
    "ONE FLAT WHITE PLEASE WITH OAT MILK",
]


def mined(texts: list[str], **wishes: int) -> dict[str, Mined]:
    return {own.text: own for own in mine(texts, ENGLISH, **wishes)}


def test_terms_of_orders_with_their_counts() -> None:
    found = mined(ORDERS)
    assert set(found) == {"flat white", "cortado", "cold brew", "V60", "oat milk"}
    assert {text: (own.count, own.texts) for text, own in found.items()} == {
        "flat white": (4, 4),
        "cortado": (3, 3),
        "cold brew": (3, 3),
        "V60": (3, 3),
        "oat milk": (3, 3),
    }


def test_neither_names_nor_hesitations_are_terms() -> None:
    every = mined(ORDERS, at_least=1, in_texts=1)
    for text in every:
        assert not {"okonkwo", "oyelaran", "okay", "um", "dr"} & set(text.casefold().split())


def test_what_one_text_has_is_left_out() -> None:
    texts = ["Ask Zyx. Zyx is in. Zyx, please."] + ["we have a cortado"] * 3
    assert set(mined(texts)) == {"cortado"}
    assert "Zyx" in mined(texts, in_texts=1)


def test_known_terms_are_not_told_again() -> None:
    known = [Term(id="flat", text="flat-white", category="drink"), Term(id="brew", text="brew", category="drink")]
    found = {own.text for own in mine(ORDERS, ENGLISH, known=known)}
    assert "flat white" not in found
    assert "cold brew" in found, "it only contains a known term"


def test_capitals_of_the_beginning_of_a_sentence_do_not_count() -> None:
    assert set(mined(["Cortado, please", "Cortado is good", "Cortado"])) == {"cortado"}
    assert set(mined(["A Cortado, please", "a Cortado is good", "Cortado"])) == {"Cortado"}
    assert set(mined(["A CORTADO, PLEASE"] * 3)) == {"cortado"}


@pytest.mark.parametrize("texts", [[], [""], ["...", "12 345", "1. 2. 3."], ["a", "the"]])
def test_texts_without_terms(texts: list[str]) -> None:
    assert mine(texts, ENGLISH, at_least=1, in_texts=1) == []


def test_a_phrase_goes_over_no_sign() -> None:
    texts = ["flat - white", "flat, white", "flat ’s white", "flat\nwhite", "flat (white)", "flat. White"] * 3
    assert not any(" " in text for text in mined(texts, at_least=1, in_texts=1))


words = st.sampled_from(["cortado", "flat", "white", "the", "Xylo", "12", "okay", "V60", "-", ".", "Mr", "’s", "œ"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(words, max_size=12).map(" ".join), max_size=5))
def test_every_term_stands_in_the_texts_as_often_as_told(texts: list[str]) -> None:
    for own in mine(texts, ENGLISH, at_least=1, in_texts=1):
        assert own.texts <= own.count
        assert own.text.casefold() in " ".join(texts).casefold()
        assert any(own.text.casefold() in text.casefold() for text in texts)
