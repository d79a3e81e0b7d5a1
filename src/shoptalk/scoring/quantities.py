"""Numbers with their units as a class of errors: ``500 milligram``, ``120 over 80``, ``1.5 milligram per kilogram``.

A quantity is a number of `text.words` with the unit behind it. Numbers that ``to``, ``over``, ``by``, ``times`` or
``out of`` join to it belong to it. ``twice daily`` and ``once daily`` are quantities too. Numbers in names (``b 12``,
``l 4``, ``type 2``) count, ordinals (``1st``) do not.

The normaliser writes "one" as 1, so a 1 counts only where its neighbours make it a number: a unit or joined number
behind it, or ``type``, ``stage`` or a letter before it. "This one", "one of them" and "one stent" are no quantities.
"""

import re
from dataclasses import dataclass
from typing import Literal

from shoptalk.core.text import UNITS
from shoptalk.scoring.wer import align

Kind = Literal["number", "unit", "missing", "invented"]
_Span = tuple[int, int]

_NUMBER = re.compile(r"[$€£¢]?\d+(?:\.\d+)?(?:%|s)?")
_UNIT_WORDS = UNITS | frozenset(
    "percent degrees celsius fahrenheit mmhg square meter international beats breaths puffs puff drops drop "
    "dollars daily pack packs hundred thousand million".split()
)
_JOINS = ("to", "over", "by", "times")
_NAMING = frozenset("type stage grade class phase factor level mobitz lead nerve nerves number times".split())


@dataclass(frozen=True)
class Example:
    """A wrong quantity: its words in reference (`said`) and hypothesis (`heard`), empty where there is none."""

    kind: Kind
    said: str
    heard: str


@dataclass(frozen=True)
class Quantities:
    """Counts of one pair of texts; rates are to be taken of their sums."""

    said: int
    """Quantities of the reference."""
    number: int
    """Other numbers at its place, whatever the unit."""
    unit: int
    """The same numbers, but another unit, or a unit on one side only."""
    missing: int
    """The hypothesis has no quantity at its place."""
    invented: int
    """Quantities of the hypothesis that match none of the reference."""
    examples: tuple[Example, ...] = ()

    @property
    def wrong(self) -> int:
        """Quantities of the reference that the hypothesis has otherwise or not at all."""
        return self.number + self.unit + self.missing


def count(reference: str, heard: str) -> Quantities:
    """Quantities of two raw texts, each judged at its place in the alignment of words; either text may be empty.

    A quantity is right only if the hypothesis has every word of it there, numbers and unit, and nothing more: ``5``
    for ``5 milligram`` is wrong, and so is ``5 milligram per kilogram``.
    """
    alignment = align(reference, heard)
    expected, unmatched = _spans(alignment.reference), _spans(alignment.heard)
    edges = alignment.edges
    wrong: list[_Span] = []
    for span in expected:  # the right ones first, so that none is taken for a neighbour
        words = alignment.reference[slice(*span)]
        equal = [other for other in _overlapping(edges, span, unmatched) if alignment.heard[slice(*other)] == words]
        if equal:
            unmatched.remove(equal[0])
        else:
            wrong.append(span)

    examples: list[Example] = []
    for span in wrong:
        words_instead: tuple[str, ...] = ()
        candidates = _overlapping(edges, span, unmatched)
        if candidates:
            unmatched.remove(candidates[0])
            words_instead = alignment.heard[slice(*candidates[0])]
        examples.append(_example(alignment.reference[slice(*span)], words_instead))
    for span in unmatched:
        examples.append(Example("invented", "", " ".join(alignment.heard[slice(*span)])))

    kinds = [example.kind for example in examples]
    return Quantities(
        said=len(expected),
        number=kinds.count("number"),
        unit=kinds.count("unit"),
        missing=kinds.count("missing"),
        invented=kinds.count("invented"),
        examples=tuple(examples),
    )


def _overlapping(edges: list[tuple[int, int]], span: _Span, candidates: list[_Span]) -> list[_Span]:
    """Those spans of the hypothesis that touch the place of a span of the reference (see `Alignment.edges`)."""
    start, end = span
    low, high = edges[start][0], edges[end][1]
    return [(first, behind) for first, behind in candidates if first < high and behind > low]


def _example(expected: tuple[str, ...], recognised: tuple[str, ...]) -> Example:
    kind: Kind = "number"
    if not recognised:
        kind = "missing"
    elif _numbers(expected) == _numbers(recognised):
        kind = "unit"
    return Example(kind, " ".join(expected), " ".join(recognised))


def _numbers(words: tuple[str, ...]) -> list[str]:
    """What is not a unit: the numbers, their signs, ``twice``; ``95%`` has the number 95."""
    numbers: list[str] = []
    for word in words:
        if _is_number(word):
            numbers.append(word.strip("%s$€£¢"))
        elif word in ("minus", "plus", "half", "once", "twice"):
            numbers.append(word)
    return numbers


def _is_number(word: str) -> bool:
    return _NUMBER.fullmatch(word) is not None


def _spans(words: tuple[str, ...]) -> list[_Span]:
    """Half-open spans of the quantities, in order."""
    spans = []
    place = 0
    while place < len(words):
        end = _end(words, place)
        if end > place:
            spans.append((place, end))
        place = max(end, place + 1)
    return spans


def _end(words: tuple[str, ...], start: int) -> int:
    """Where the quantity that starts here ends; `start` itself if none does."""
    ahead = (*words[start:], "", "", "")
    if ahead[0] in ("once", "twice") and ahead[1] == "daily":
        return start + 2
    if ahead[0] == "half" and ahead[1] in UNITS:
        return _rest(words, start + 1)
    number = start + 1 if ahead[0] in ("minus", "plus") and _is_number(ahead[1]) else start
    if number == len(words) or not _is_number(words[number]):
        return start
    end = _rest(words, number + 1)
    is_bare_one = end == number + 1 and words[number] == "1"
    return start if is_bare_one and not _is_counting(words, number) else end


def _rest(words: tuple[str, ...], end: int) -> int:
    """The end behind units and joined numbers, from behind a number on."""
    while end < len(words):
        ahead = (*words[end:], "", "", "")
        if ahead[0] in _UNIT_WORDS or (ahead[0] == "times" and ahead[1] == "daily"):
            end += 1
        elif (ahead[0] == "per" and ahead[1]) or (ahead[0] in _JOINS and _is_number(ahead[1])):
            end += 2
        elif ahead[:2] == ("out", "of") and _is_number(ahead[2]):
            end += 3
        else:
            break
    return end


def _is_counting(words: tuple[str, ...], place: int) -> bool:
    """Whether a bare 1 is a number by its neighbours, rather than the pronoun."""
    before = words[place - 1] if place > 0 else ""
    after = words[place + 1] if place + 1 < len(words) else ""
    follows_letter = len(before) == 1 and before.isalpha() and before not in "ai"
    precedes_letter = len(after) == 1 and after not in "ai"
    return follows_letter or precedes_letter or before in _NAMING or _is_number(before)
