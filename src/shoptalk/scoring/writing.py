"""Capitals and punctuation, apart from words: only in and behind words that were recognised correctly.

Raw texts are cut at spaces, hyphens and slashes, and aligned by what `text.words` makes of each piece. Two kinds of
words are never aligned so, and their capitals and marks are not judged: a number spelled out on one side and in digits
on the other ("five hundred", ``500``), and a word in one piece on one side and in two on the other.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from rapidfuzz.distance import Levenshtein

from shoptalk.core.text import UNITS, words

MARKS = ".,?!:;"
"""The marks that are judged."""
_PIECE = re.compile(r"[^\s\-‐‑–—/]+")
_TAIL = re.compile(rf"[{re.escape(MARKS)}\W_]*$")
_TITLES = frozenset("dr mr mrs ms prof st jr sr vs".split())


class _Piece(NamedTuple):
    key: str
    text: str
    marks: str


@dataclass(frozen=True)
class Writing:
    """Counts of one pair of texts; rates are to be taken of their sums."""

    matched: int
    """Correct words whose capitals can be compared: the same letters, and no unit."""
    miscased: int
    """Those of them that are written with other capitals, be it a sentence start, a name or an acronym."""
    marks_said: int
    """Marks of the reference behind correct words; `marks_heard` are those of the hypothesis."""
    marks_heard: int
    marks_right: int
    """Marks that stand behind the word on both sides."""


def count(reference: str, heard: str) -> Writing:
    """Capitals and marks of two raw texts; either may be empty.

    A mark counts where the word before it is correct, so marks beside missing or inserted words count on neither
    side. The period of an abbreviation (``Dr.``, ``p.o.``) is no mark.
    """
    matched = miscased = marks_said = marks_heard = marks_right = 0
    for expected, recognised in _pairs(_pieces(reference), _pieces(heard)):
        if expected.text.lower() == recognised.text.lower() and expected.key not in UNITS:
            matched += 1
            miscased += expected.text != recognised.text
        expected_marks = set(expected.marks) & set(MARKS)
        recognised_marks = set(recognised.marks) & set(MARKS)
        marks_said += len(expected_marks)
        marks_heard += len(recognised_marks)
        marks_right += len(expected_marks & recognised_marks)
    return Writing(matched, miscased, marks_said, marks_heard, marks_right)


def _pairs(reference: list[_Piece], heard: list[_Piece]) -> list[tuple[_Piece, _Piece]]:
    """The pieces that stand for the same words, in the alignment with the least edits."""
    edits = Levenshtein.editops([piece.key for piece in reference], [piece.key for piece in heard])
    pairs: list[tuple[_Piece, _Piece]] = []
    for block in edits.as_matching_blocks():
        for offset in range(block.size):
            pairs.append((reference[block.a + offset], heard[block.b + offset]))
    return pairs


def _pieces(text: str) -> list[_Piece]:
    """Each piece with the marks behind it; a mark that stands alone belongs to the piece before it."""
    pieces: list[_Piece] = []
    for raw in _PIECE.findall(text.replace("’", "'")):
        bare = _TAIL.sub("", raw)
        key, marks = "_".join(words(bare)), raw[len(bare) :]
        bare = re.sub(r"^\W+", "", bare)
        if not bare and pieces:
            pieces[-1] = pieces[-1]._replace(marks=pieces[-1].marks + marks)
        elif key:
            abbreviated = bare.lower() in _TITLES or re.search(r"[^\W\d]\.[^\W\d]", bare) is not None
            pieces.append(_Piece(key, bare, marks.replace(".", "") if abbreviated else marks))
    return pieces
