"""Numbers with their units as a class of errors: ``500 milligram``, ``120 over 80``, ``1.5 milligram per kilogram``.

A quantity is a number of `text.words`, with the unit behind it, and with the numbers that ``to``, ``over``, ``by``,
``times`` or ``out of`` join to it; ``twice daily`` and ``once daily`` are quantities too. Numbers in names (``b 12``,
``l 4``, ``type 2``) count, ordinals (``1st``) do not. The normaliser writes "one" as 1, so a 1 counts only where its
neighbours make it a number: a unit or joined number behind it, ``type``, ``stage`` or a letter before it. "This one",
"one of them" and also "one stent" are no quantities, on either side.
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
    """A quantity that went wrong: its words as said and as heard, either empty where there is none."""

    kind: Kind
    said: str
    heard: str


@dataclass(frozen=True)
class Quantities:
    """Counts of one pair of texts; rates are to be taken of their sums."""

    said: int
    """Quantities of the reference."""
    number: int
    """Said with other numbers than heard, whatever the unit."""
    unit: int
    """The same numbers, but another unit, or a unit on one side only."""
    missing: int
    """Nothing that is a quantity was heard at its place."""
    invented: int
    """Quantities heard that answer to none of the reference."""
    examples: tuple[Example, ...] = ()

    @property
    def wrong(self) -> int:
        """Quantities of the reference that were heard otherwise or not at all."""
        return self.number + self.unit + self.missing


def count(reference: str, heard: str) -> Quantities:
    """Quantities of two raw texts, each judged at its place in the alignment of words.

    Right is only a quantity whose every word, numbers and unit, was heard there, with nothing more to it: ``5`` for ``5
    milligram`` is wrong, and so is ``5 milligram per kilogram``. Either text may be empty.
    """
    alignment = align(reference, heard)
    said, free = _spans(alignment.reference), _spans(alignment.heard)
    edges = alignment.edges
    left = []
    for start, end in said:  # the right ones first, so that none is taken for a neighbour
        here = [span for span in free if span[0] < edges[end][1] and span[1] > edges[start][0]]
        same = [span for span in here if alignment.heard[slice(*span)] == alignment.reference[start:end]]
        if same:
            free.remove(same[0])
        else:
            left.append((start, end))
    examples = []
    for start, end in left:
        instead = next((span for span in free if span[0] < edges[end][1] and span[1] > edges[start][0]), None)
        if instead is not None:
            free.remove(instead)
        words = alignment.heard[slice(*instead)] if instead else ()
        examples.append(_example(alignment.reference[start:end], words))
    examples += [Example("invented", "", " ".join(alignment.heard[slice(*span)])) for span in free]
    kinds = [one.kind for one in examples]
    number, unit, missing, invented = (kinds.count(kind) for kind in ("number", "unit", "missing", "invented"))
    return Quantities(len(said), number, unit, missing, invented, tuple(examples))


def _example(said: tuple[str, ...], heard: tuple[str, ...]) -> Example:
    kind: Kind = "missing" if not heard else "unit" if _numbers(said) == _numbers(heard) else "number"
    return Example(kind, " ".join(said), " ".join(heard))


def _numbers(words: tuple[str, ...]) -> list[str]:
    """What is not a unit: the numbers, their signs, ``twice``; ``95%`` has the number 95."""
    signs = ("minus", "plus", "half", "once", "twice")
    return [word.strip("%s$€£¢") if _is_number(word) else word for word in words if _is_number(word) or word in signs]


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
    lone = end == number + 1 and words[number] == "1"
    return start if lone and not _is_counting(words, number) else end


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
    before, after = (*words[max(place - 1, 0) : place], "")[0], (*words[place + 1 : place + 2], "")[0]
    letter = len(before) == 1 and before.isalpha() and before not in "ai"
    return letter or before in _NAMING or _is_number(before) or (len(after) == 1 and after not in "ai")
