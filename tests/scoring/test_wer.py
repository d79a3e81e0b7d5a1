"""Counts agree with jiwer and with sclite, which are asked; pairs go by id."""

import json

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.scoring.golden import sclite

from shoptalk.core.errors import ScoringError
from shoptalk.core.records import Hypothesis
from shoptalk.scoring.wer import (
    Counts,
    _levenshtein,
    _sclite,
    align,
    count_all,
    count_characters,
    count_words,
    pair,
    total,
)

WORDS = "the patient takes aspirin every day without fever".split()
SENTENCE = st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join)
EXAMPLES, PAIRS = 20, 500
"""Ten thousand pairs in all; each example is a seed."""


def random_pairs(seed: int) -> list[sclite.Pair]:
    """Pairs of 0 to 14 words, heard rightly, a little wrong or not at all, of few or many different words."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(PAIRS):
        known = WORDS[: int(rng.integers(2, len(WORDS) + 1))]
        reference = rng.choice(known, int(rng.integers(0, 15))).tolist()
        pairs.append((reference, sclite.mistaken(reference, known, rng, float(rng.choice([0.01, 0.1, 0.5, 0.9])))))
    return pairs


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
def test_ten_thousand_pairs_agree_with_jiwer(seed: int) -> None:
    pairs = random_pairs(seed)
    counts = count_all(pairs)
    output = jiwer.process_words(*([" ".join(words) for words in side] for side in zip(*pairs, strict=True)))
    for place, (chunks, row) in enumerate(zip(output.alignments, counts.tolist(), strict=True)):
        length = {"substitute": 0, "delete": 0, "insert": 0, "equal": 0}
        for chunk in chunks:
            length[chunk.type] += max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
        hits = row[3] - row[0] - row[1]
        assert [*row[:3], hits] == [length[kind] for kind in ("substitute", "delete", "insert", "equal")]
        assert [tuple(vars(chunk).values()) for chunk in chunks] == list(_levenshtein(*pairs[place]))
    everything = total(Counts(*row) for row in counts.tolist())
    assert everything[:3] == (output.substitutions, output.deletions, output.insertions)
    assert everything.rate == output.wer


@given(st.lists(st.tuples(SENTENCE, SENTENCE), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_rates_of_sums_agree_with_jiwer(pairs: list[tuple[str, str]]) -> None:
    references, heard = [one for one, _ in pairs], [one for _, one in pairs]
    if not any(references):
        return
    assert total(count_words(*both) for both in pairs).rate == pytest.approx(jiwer.wer(references, heard))
    assert total(count_characters(*both) for both in pairs).rate == pytest.approx(jiwer.cer(references, heard))


def weighted_oracle(reference: list[str], heard: list[str]) -> tuple[int, Counts]:
    """Cost and counts of sclite's alignment, forwards: the cheapest by weight; the path that loses a tie is not kept.

    Cells hold (cost, rank of the last step, counts) and a plain minimum decides, pairs before insertions before
    deletions, as sclite does when it traces back from the end.
    """
    row = [(3 * column, 1, (0, 0, column)) for column in range(len(heard) + 1)]
    for number, word in enumerate(reference, 1):
        above, row = row, [(3 * number, 2, (0, number, 0))]
        for column, other in enumerate(heard, 1):
            (cost, _, (s, d, i)), miss = above[column - 1], int(word != other)
            paired = (cost + 4 * miss, 0, (s + miss, d, i))
            cost, _, (s, d, i) = row[column - 1]
            inserted = (cost + 3, 1, (s, d, i + 1))
            cost, _, (s, d, i) = above[column]
            deleted = (cost + 3, 2, (s, d + 1, i))
            row.append(min(paired, inserted, deleted))
    return row[-1][0], Counts(*row[-1][2], len(reference))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
def test_ten_thousand_pairs_agree_with_the_rules_of_sclite(seed: int) -> None:
    pairs = random_pairs(seed)
    counts, fewest = count_all(pairs, edits="sclite"), count_all(pairs)
    for pair_of_words, row in zip(pairs, counts.tolist(), strict=True):
        cost, wanted = weighted_oracle(*pair_of_words)
        assert Counts(*row) == wanted and 4 * row[0] + 3 * row[1] + 3 * row[2] == cost
    assert (counts[:, :3].sum(axis=1) >= fewest[:, :3].sum(axis=1)).all()


def letters(reference: list[str], heard: list[str]) -> str:
    """Our alignment in sclite's letters."""
    kinds = {"equal": "C", "substitute": "S", "delete": "D", "insert": "I"}
    chunks = _sclite(reference, heard)
    return "".join(kinds[kind] * max(end - start, stop - begin) for kind, start, end, begin, stop in chunks)


def test_alignments_are_those_that_sclite_made() -> None:
    rows = [json.loads(line) for line in sclite.GOLDEN.read_text(encoding="utf-8").splitlines()]
    pairs = [(row["reference"].split(), row["heard"].split()) for row in rows]
    assert len(rows) > 500
    assert [letters(*both) for both in pairs] == [row["edits"] for row in rows]
    counts = [[row["edits"].count(letter) for letter in "SDI"] for row in rows]
    assert count_all(pairs, edits="sclite")[:, :3].tolist() == counts


@pytest.mark.skipif(not sclite.installed(), reason="needs Debian's package sctk")
def test_alignments_are_those_that_sclite_makes_now() -> None:
    pairs = random_pairs(7)
    assert [letters(*both) for both in pairs] == sclite.alignments(pairs)


def test_sclite_prefers_a_right_word_to_fewer_errors() -> None:
    assert count_words("alpha beta", "beta gamma") == Counts(2, 0, 0, 2)
    assert count_words("alpha beta", "beta gamma", edits="sclite") == Counts(0, 1, 1, 2)


def test_the_leaderboards_rules_know_no_units() -> None:
    both = "500 mg", "500 milligrams"
    assert count_words(*both).errors == 0 and count_characters(*both).errors == 0
    assert count_words(*both, rules="leaderboard").errors == 1
    assert count_characters(*both, rules="leaderboard").errors == 8


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
    assert count_all([]).shape == count_all([], edits="sclite").shape == (0, 4)


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
