"""Capitals and punctuation, apart from words: only behind and in words that were rightly heard.

Raw texts are cut at spaces, hyphens and slashes, and aligned by what `text.words` makes of each piece. What that cannot
do: a number said in several words and written in digits ("five hundred", ``500``) is no rightly heard word here,
nor is a word written in one piece on one side and in two on the other, so their capitals and marks are not judged.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from rapidfuzz.distance import Levenshtein

from shoptalk.text import UNITS, words

MARKS = ".,?!:;"
"""The marks that are judged, in the order of `Writing.said_by_mark`."""
_NONE = (0,) * len(MARKS)
_PIECE = re.compile(r"[^\s\-‐‑–—/]+")
_TAIL = re.compile(rf"[{re.escape(MARKS)}\W_]*$")
_TITLES = frozenset("dr mr mrs ms prof st jr sr vs".split())


class _Piece(NamedTuple):
    key: str
    text: str
    marks: str


@dataclass(frozen=True)
class Writing:
    """Counts of one pair of texts, or of many after `total`; rates are to be taken of sums."""

    matched: int
    """Rightly heard words whose capitals can be compared: the same letters, and no unit."""
    miscased: int
    """Those of them that are written with other capitals, be it a sentence start, a name or an acronym."""
    said_by_mark: tuple[int, ...] = _NONE
    """Marks of the reference behind rightly heard words, of each kind in `MARKS`."""
    heard_by_mark: tuple[int, ...] = _NONE
    right_by_mark: tuple[int, ...] = _NONE
    """Marks that stand behind the word on both sides."""

    @property
    def marks_said(self) -> int:
        return sum(self.said_by_mark)

    @property
    def marks_heard(self) -> int:
        return sum(self.heard_by_mark)

    @property
    def marks_right(self) -> int:
        return sum(self.right_by_mark)

    def precision(self, marks: str = MARKS) -> float | None:
        """Of the marks heard, the part that was said; None where none was heard."""
        return _part(_of(self.right_by_mark, marks), _of(self.heard_by_mark, marks))

    def recall(self, marks: str = MARKS) -> float | None:
        """Of the marks said, the part that was heard; None where none was said."""
        return _part(_of(self.right_by_mark, marks), _of(self.said_by_mark, marks))

    def f1(self, marks: str = MARKS) -> float | None:
        """2 × right / (said + heard); None where there are no marks at all."""
        return _part(2 * _of(self.right_by_mark, marks), _of(self.said_by_mark, marks) + _of(self.heard_by_mark, marks))


def count(reference: str, heard: str) -> Writing:
    """Capitals and marks of two raw texts; either may be empty.

    A mark counts where the word before it was rightly heard, so marks beside missing or inserted words count on
    neither side. The period of an abbreviation (``Dr.``, ``p.o.``) is none.
    """
    pairs = _pairs(_pieces(reference), _pieces(heard))
    cased = [(one, other) for one, other in pairs if one.text.lower() == other.text.lower() and one.key not in UNITS]
    said, got, right = (
        tuple(sum(mark in marks for marks in rows) for mark in MARKS)
        for rows in (
            [one.marks for one, _ in pairs],
            [other.marks for _, other in pairs],
            [set(one.marks) & set(other.marks) for one, other in pairs],
        )
    )
    return Writing(len(cased), sum(one.text != other.text for one, other in cased), said, got, right)


def total(counts: Iterable[Writing]) -> Writing:
    """The sum."""
    every = list(counts)
    by_mark = (
        tuple(sum(column) for column in zip(_NONE, *rows, strict=True))
        for rows in (
            [one.said_by_mark for one in every],
            [one.heard_by_mark for one in every],
            [one.right_by_mark for one in every],
        )
    )
    return Writing(sum(one.matched for one in every), sum(one.miscased for one in every), *by_mark)


def _pairs(reference: list[_Piece], heard: list[_Piece]) -> list[tuple[_Piece, _Piece]]:
    """The pieces that stand for the same words, in the alignment with the least edits."""
    edits = Levenshtein.editops([piece.key for piece in reference], [piece.key for piece in heard])
    return [
        (reference[block.a + offset], heard[block.b + offset])
        for block in edits.as_matching_blocks()
        for offset in range(block.size)
    ]


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


def _of(counts: tuple[int, ...], marks: str) -> int:
    return sum(count for count, mark in zip(counts, MARKS, strict=True) if mark in marks)


def _part(part: int, whole: int) -> float | None:
    return part / whole if whole else None
