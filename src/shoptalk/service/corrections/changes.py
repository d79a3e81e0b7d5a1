"""The words that a correction changed, and the terms among them that the recogniser missed."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rapidfuzz.distance import Levenshtein

from shoptalk.core.text import words_unkept

MOST_WORDS = 5
"""A longer change is no term."""
_EDGES = re.compile(r"^\W+|\W+$")


class Added(NamedTuple):
    """Words that stand in the correction alone."""

    text: str
    instead_of: str
    """What the recogniser wrote in their place; empty: nothing."""


def changed_words(original: str, text: str) -> int:
    """How many words differ, by the words of word error rates: neither case nor punctuation counts."""
    return int(Levenshtein.distance(words_unkept(original), words_unkept(text)))


def added(original: str, text: str) -> list[Added]:
    """The terms that a correction added: neighbouring words that are not in the original there, up to `MOST_WORDS`.

    Case and punctuation at the ends of words do not count; what has no letter is no term.
    """
    before, after = _words(original), _words(text)
    terms = []
    for between_before, between_after in _between_same(before, after):
        term = Added(" ".join(after[between_after]), " ".join(before[between_before]))
        is_short = between_after.stop - between_after.start <= MOST_WORDS
        if is_short and any(character.isalpha() for character in term.text):
            terms.append(term)
    return terms


def _between_same(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[slice, slice]]:
    """Where words of both lists lie between those that are the same."""
    folded = [[word.casefold() for word in words] for words in (before, after)]
    before_end = after_end = 0
    for same in Levenshtein.editops(*folded).as_matching_blocks():
        if same.a > before_end or same.b > after_end:
            yield slice(before_end, same.a), slice(after_end, same.b)
        before_end, after_end = same.a + same.size, same.b + same.size


def _words(text: str) -> list[str]:
    stripped = (_EDGES.sub("", word) for word in text.split())
    return [word for word in stripped if word]
