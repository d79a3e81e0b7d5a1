"""Counts agree with jiwer; pairs go by id."""

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.errors import ScoringError
from shoptalk.records import Hypothesis
from shoptalk.scoring.wer import align, count_characters, count_words, pair, total

SENTENCE = st.lists(st.sampled_from("the patient takes aspirin every day without fever".split()), max_size=8).map(
    " ".join
)


@given(st.lists(st.tuples(SENTENCE, SENTENCE), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_rates_of_sums_agree_with_jiwer(pairs: list[tuple[str, str]]) -> None:
    references, heard = [one for one, _ in pairs], [one for _, one in pairs]
    if not any(references):
        return
    assert total(count_words(*both) for both in pairs).rate == pytest.approx(jiwer.wer(references, heard))
    assert total(count_characters(*both) for both in pairs).rate == pytest.approx(jiwer.cer(references, heard))


@given(SENTENCE, SENTENCE)
@settings(max_examples=50, deadline=None)
def test_alignment_covers_both_texts_once(reference: str, heard: str) -> None:
    alignment = align(reference, heard)
    assert sum(end - start for _, start, end, _, _ in alignment.chunks) == len(alignment.reference)
    assert sum(end - start for *_, start, end in alignment.chunks) == len(alignment.heard)
    assert count_words(reference, reference).errors == 0


def test_empty_sides_and_the_sum_of_nothing() -> None:
    assert count_words("", "um hello there").insertions == 2
    assert count_words("", "um hello there").rate == float("inf")
    assert count_words("", "...").rate == 0.0
    assert count_words("hello there", "").deletions == 2
    assert count_characters("", "ab").insertions == 2
    assert total([]).rate == 0.0


def test_a_hallucinated_silence_counts_in_the_sum() -> None:
    counts = total([count_words("", "thank you"), count_words("four words are here", "four words are here")])
    assert counts.rate == 0.5


def hypothesis(name: str, reference: str = "a b", **more: str) -> Hypothesis:
    return Hypothesis(id=name, reference=reference, heard="a", set=more.get("set", "general"))


def test_pairs_go_by_id_not_by_line() -> None:
    before, after = [hypothesis("x"), hypothesis("y")], [hypothesis("y"), hypothesis("x")]
    assert [(one.id, two.id) for one, two in pair(before, after)] == [("x", "x"), ("y", "y")]


def test_missing_ids_are_listed_on_either_side() -> None:
    with pytest.raises(ScoringError, match=r"1 missing after tuning: x; 2 missing before tuning: y, z"):
        pair([hypothesis("x")], [hypothesis("z"), hypothesis("y")])


def test_double_ids_and_two_references_are_errors() -> None:
    with pytest.raises(ScoringError, match="'x' occurs twice"):
        pair([hypothesis("x"), hypothesis("x")], [hypothesis("x")])
    with pytest.raises(ScoringError, match="two references or sets: x"):
        pair([hypothesis("x")], [hypothesis("x", "other words")])
