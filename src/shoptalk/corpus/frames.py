"""Sentences for several terms, for terms that are confused and for none: frames read from files, and plain phrases.

A frame belongs to a language as a carrier does; another language has a file of its own (`transcripts.frame_files`).
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from shoptalk.core import files
from shoptalk.core.errors import CoverageError
from shoptalk.core.languages import ENGLISH
from shoptalk.core.records import UNSORTED, Record
from shoptalk.corpus.carriers import Carrier, in_language
from shoptalk.corpus.splits import SLOT

TERM, OTHER, THIRD = "term", "other", "third"
"""Slots of a frame for terms of its category, or of any; another slot is for a term of the category it names."""

_DETERMINERS = frozenset("a an the this his her their my your our its no any another each every".split())
_OF_PHRASES = _DETERMINERS | {"that"}
"""Before a slot, ``that`` is a conjunction as often."""
_PREPOSITIONS = frozenset(
    "about after against and around as at because before behind between but by despite during except following for"
    " from if in into like near of off on once or over since so than that through to toward under unless until"
    " when where whether while with within without".split()
)
_VERBS = frozenset(
    "add adjust avoid began bring caused changed check continue discuss finish follow gave get give given had has have"
    " having held hold include includes increase is keep keeps limit lower make makes move need needed needs offer"
    " omit order page paged paused prefer prescribed received recheck recommend reduce refill refused repeat reports"
    " require requires restart restarted resume resumed said saw schedule see sees send show shows start started"
    " starting stop stopped stopping suggest suggested suggests swallowing switch take taken takes taking taper"
    " tolerate tolerated took tried trust trusts try use used uses want wants was were".split()
)
_BEHIND = frozenset(
    "again agrees also although and appears are as at away because before but by came can caused come could did does"
    " during for from gave had has have helped helps if in into is makes may might now off on once only or overnight"
    " recently said settles should since slowly so soon still suddenly than that then there though throughout to today"
    " together tomorrow tonight twice under unless until upsets was were when while who will with within without works"
    " would yesterday".split()
)
"""English words around a slot between which a noun with its article can stand."""


class Frame(Record):
    """A sentence that says what a carrier with one term cannot, or a phrase that stands for a term."""

    kind: Literal["contrast", "several", "without", "phrase"]
    """``contrast``: names two terms that are confused. ``several``: names several terms. ``without``: names none.
    ``phrase``: what is said instead of a term of the category, with its article."""
    text: str = Field(min_length=1)
    """With slots: ``{term}``, ``{other}``, ``{third}`` for terms of the category (any, if it is empty), and the names
    of other categories."""
    category: str = ""
    source: str
    section: str = ""
    specialty: str = ""
    language: str = ENGLISH
    """Of its words; where a file gives none, it is the recipe's."""

    @property
    def slots(self) -> list[str]:
        return SLOT.findall(self.text)


def read_frames(paths: Sequence[Path], language: str = ENGLISH) -> list[Frame]:
    """The frames of all files, of this language where they tell none.

    `CoverageError` lists those that could never be used.
    """
    frames: list[Frame] = []
    for path in paths:
        frames += in_language(files.read(path, Frame), language)
    problems = [f"{frame.id}: {fault}" for frame in frames if (fault := _fault(frame))]
    for name, count in Counter(frame.id for frame in frames).items():
        if count > 1:
            problems.append(f"{name}: id occurs twice")
    if problems:
        raise CoverageError("frames cannot be used; mend these:\n  " + "\n  ".join(problems))
    return frames


def phrases_of(category: str, frames: Iterable[Frame]) -> list[str]:
    """What stands for a term of a category; without a frame for it, the category's own name with an article."""
    own = [frame.text for frame in frames if frame.kind == "phrase" and frame.category == category]
    if own or category == UNSORTED:
        return own
    return [f"the {category.replace('_', ' ').replace('-', ' ')}"]


def with_phrase(carrier: Carrier, phrase: str) -> str:
    """What fills the carrier's only slot instead of a term; empty where English wants more than a noun and an article.
    Phrases are put into English carriers only.

    Behind an article or a possessive the phrase loses its own: ``your {drug}`` becomes ``your tablet``.
    """
    if carrier.language != ENGLISH or SLOT.findall(carrier.text) != [carrier.category]:
        return ""
    before, _, behind = carrier.text.partition(f"{{{carrier.category}}}")
    words_before = re.findall(r"[\w'-]+", before.lower())
    last = words_before[-1] if words_before else ""
    next_word = re.match(r" ([a-z]+)", behind)
    can_stand = re.match(r"[,.;?]", behind) is not None or (next_word is not None and next_word.group(1) in _BEHIND)
    if not can_stand:
        return ""
    if last in _DETERMINERS:
        article, _, noun = phrase.partition(" ")
        return noun if article in _OF_PHRASES else phrase
    is_adjective = len(words_before) > 1 and words_before[-2] in _DETERMINERS  # a repeat {lab}
    begins = not last or before.rstrip().endswith(",")
    return phrase if begins or (last in _PREPOSITIONS | _VERBS and not is_adjective) else ""


def _fault(frame: Frame) -> str:
    slots = frame.slots
    if len(set(slots)) < len(slots):
        return "a slot stands twice"
    if frame.kind == "contrast" and set(slots) != {TERM, OTHER}:
        return f"a contrast needs the slots {{{TERM}}} and {{{OTHER}}}, each once"
    if frame.kind == "several" and len(slots) < 2:
        return "names fewer than two terms"
    if frame.kind in ("without", "phrase") and slots:
        return f"a frame of kind {frame.kind!r} has no slots"
    if frame.kind == "phrase" and not frame.category:
        return "a phrase needs the category that it stands for"
    if THIRD in slots and OTHER not in slots or OTHER in slots and TERM not in slots:
        return f"has {{{THIRD}}} or {{{OTHER}}} without the slots before it"
    return ""
