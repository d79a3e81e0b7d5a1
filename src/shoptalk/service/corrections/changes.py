"""The words that a correction changed, and the terms among them that the recogniser missed."""

import re
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
    blocks = Levenshtein.opcodes([word.casefold() for word in before], [word.casefold() for word in after])
    terms = []
    for block in blocks:
        if block.tag not in ("replace", "insert") or block.dest_end - block.dest_start > MOST_WORDS:
            continue
        term = Added(
            " ".join(after[block.dest_start : block.dest_end]), " ".join(before[block.src_start : block.src_end])
        )
        if any(character.isalpha() for character in term.text):
            terms.append(term)
    return terms


def _words(text: str) -> list[str]:
    stripped = (_EDGES.sub("", word) for word in text.split())
    return [word for word in stripped if word]
