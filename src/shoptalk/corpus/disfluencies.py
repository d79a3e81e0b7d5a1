"""How people stumble when they speak to each other: fillers, words said twice, second thoughts."""

import re

from shoptalk.corpus.splits import SLOT, draw_key

_REPEATABLE = frozenset("i we you he she it they the a an my your our can could do is are and to if that this".split())


def stumbled(text: str, *, seed: int, name: str) -> str:
    """The carrier as somebody says it who is searching for words; the words and the slots stay, in their order.

    >>> stumbled("I would take the {tool} for this.", seed=1, name="example")
    'I would take the, uh, the {tool} for this.'
    """
    words = text.split()
    ways = [_filled, _repeated, _reconsidered]
    draw = int(draw_key(seed, "stumble", name)[:12], 16)
    for turn in range(len(ways)):
        made = ways[(draw + turn) % len(ways)](words, draw // len(ways))
        if made:
            return " ".join(made)
    return text


def _filled(words: list[str], draw: int) -> list[str]:
    """A filler before the slot, the word before it said again: "the, uh, the {tool}"."""
    place = _slot_at(words)
    filler = ("uh", "um")[draw % 2]
    if place == 0 or not _is_plain(words[place - 1]):
        return []
    again = words[place - 1].lower() if words[place - 1] != "I" else "I"
    return [*words[: place - 1], words[place - 1] + ",", filler + ",", again, *words[place:]]


def _repeated(words: list[str], draw: int) -> list[str]:
    """A small word said twice: "I, I would"."""
    places = [place for place, word in enumerate(words[:-1]) if word.lower() in _REPEATABLE]
    if not places:
        return []
    place = places[draw % len(places)]
    again = words[place] if words[place].startswith("I") else words[place].lower()
    return [*words[:place], words[place] + ",", again, *words[place + 1 :]]


def _reconsidered(words: list[str], draw: int) -> list[str]:
    """A second thought after the first two words: "Can we, I mean, can we take"."""
    if len(words) < 6 or not all(map(_is_plain, words[:2])):
        return []
    first, second = words[:2]
    again = first if first == "I" or first.startswith("I'") else first.lower()
    return [first, second + ",", "I", "mean,", again, second, *words[2:]]


def _slot_at(words: list[str]) -> int:
    return next((place for place, word in enumerate(words) if SLOT.search(word)), 0)


def _is_plain(word: str) -> bool:
    return re.fullmatch(r"[A-Za-z']+", word) is not None
