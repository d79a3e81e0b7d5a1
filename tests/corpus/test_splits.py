"""The near-duplicate law: the fast join agrees with comparing all pairs, and no split leaks into another."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoptalk.corpus import splits

words = st.sampled_from(
    "start hold stop the her his dose of in for two weeks pain fever morning clinic {drug} {dose} 5 12".split()
)
sentences = st.lists(st.lists(words, min_size=1, max_size=9).map(" ".join), max_size=24)


@pytest.mark.parametrize(
    ("a", "b", "near"),
    [
        ("He has a past history of {condition}.", "She has a history of {condition}!", True),
        ("Start {drug} {dose} {route} {frequency}.", "Start {drug}.", True),
        ("Repeat {procedure} in 3 months.", "Repeat {lab} in 6 months.", True),
        ("We will stop {drug} today.", "{drug} was held because of a slow heart rate.", False),
        ("The {anatomy} appears normal.", "What did the {role} tell you?", False),
    ],
)
def test_what_counts_as_one(a: str, b: str, near: bool) -> None:
    assert (splits.similarity(a, b) >= splits.NEAR) is near
    assert splits.near_duplicates([a], [b]) == ([(a, b)] if near else [])


@given(sentences)
def test_the_join_finds_exactly_the_near_pairs(texts: list[str]) -> None:
    oracle = {
        (i, j) for i, j in combinations(range(len(texts)), 2) if splits.similarity(texts[i], texts[j]) >= splits.NEAR
    }
    assert set(splits.near_pairs(texts)) == oracle


@given(sentences, st.integers(0, 99))
def test_no_split_leaks_into_another(texts: list[str], seed: int) -> None:
    drawn = splits.assign(texts, ["drug"] * len(texts), {"train": 20, "dev": 2, "test": 6}, seed=seed)
    for one, other in (("train", "test"), ("train", "dev"), ("dev", "test")):
        ours = [text for text, split in zip(texts, drawn, strict=True) if split == one]
        theirs = [text for text, split in zip(texts, drawn, strict=True) if split == other]
        assert splits.near_duplicates(ours, theirs) == []


@given(sentences, st.integers(0, 99), st.randoms(use_true_random=False))
def test_the_draw_does_not_depend_on_order(texts: list[str], seed: int, chance) -> None:  # type: ignore[no-untyped-def]
    wanted = {"train": 20, "dev": 2, "test": 6}
    order = list(range(len(texts)))
    chance.shuffle(order)
    drawn = splits.assign(texts, ["drug"] * len(texts), wanted, seed=seed)
    shuffled = splits.assign([texts[i] for i in order], ["drug"] * len(texts), wanted, seed=seed)
    assert shuffled == [drawn[i] for i in order]


def test_shares_follow_what_is_wanted() -> None:
    texts = [f"{a}{b}{c}" for a in "pqrst" for b in ("onder ", "elk ", "ixt ") for c in ("arbor", "umbrella", "icicle")]
    texts = [f"{text} {number * 'z'}q" for number, text in enumerate(texts)]
    drawn = splits.assign(texts, ["drug"] * len(texts), {"train": 20, "dev": 2, "test": 6}, seed=1)
    assert drawn.count("train") > drawn.count("test") > drawn.count("dev") > 0
