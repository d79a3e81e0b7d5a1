"""Phrases as an Aho-Corasick automaton (doi 10.1145/360825.360855) over characters, whatever their case.

A state stands for the longest beginning of a phrase that the text ends with. One character leads from a state to a
longer beginning, or else to where the state's failure leads: the state of the next shorter beginning.

A phrase starts where a word starts, and ends where a word is over. A state's worth grows with the characters of a
phrase that it matches, and is kept only if the phrase is whole. How it becomes a bonus on tokens is told in `boosting`.

Shapes: N states, C characters, L states of one depth.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import sentencepiece

from shoptalk.core import equivalents
from shoptalk.core.errors import BoostError
from shoptalk.core.protocols import Phrase

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NOWHERE = 0
"""The state of a row that has no phrases."""
ROOT = 1
"""The state of a row that is in none of its phrases."""
SPACE = "▁"
"""What SentencePiece writes before a word."""
FREE = 2
"""First characters of a phrase that are worth nothing.

With a worth of their own, a third of the texts without any phrase in them changed, and no more phrases were found.
"""
STEP = 1.0
"""Nats for each further character, at weight 1."""
MOST = 30.0
"""Nats for a phrase at most."""
MAX_IN_ALL = 200_000
"""Characters of a list: 5,000 phrases of 40."""


class Machine(NamedTuple):
    """States over characters. State 0 leads to itself; state 1 is in no phrase and fails to state 0."""

    code: dict[str, int]
    """Of each character that is in a phrase; 0 stands for all others."""
    next_NC: Integers
    fail_N: Integers
    """The state of the longest beginning of a phrase that ends what the state matches, and is not all of it."""
    order_N: Integers
    """The states, each behind that which it fails to."""
    worth_N: Floats
    """What is paid for the beginning of a phrase that the state matches."""
    kept_N: Floats
    """What is kept of it where a word is over: the score of the longest phrase that ends in the state."""


def build(phrases: Sequence[Phrase], tokenizer: sentencepiece.SentencePieceProcessor) -> Machine:
    """The automaton of phrases as the tokenizer spells them; `BoostError` for one that it cannot spell."""
    characters = sum(len(phrase.text) for phrase in phrases)
    if characters > MAX_IN_ALL:
        raise BoostError(f"the phrases to boost have {characters:,} characters; shorten them to {MAX_IN_ALL:,} in all")
    texts = _spelt([phrase.text for phrase in phrases], tokenizer)
    alphabet = sorted(set().union(*texts))
    code = {character: number for number, character in enumerate(alphabet, start=1)}

    # The trie of the phrases: the columns of states 0 and 1, then those of each state as it is met.
    children: list[dict[str, int]] = [{}, {}]
    parent = [NOWHERE, NOWHERE]
    last = [0, 0]  # code of the character that leads to the state
    depth = [-1, 0]
    worth = [0.0, 0.0]
    kept = [0.0, 0.0]
    for text, phrase in zip(texts, phrases, strict=True):
        worths = _worths(len(text), phrase.weight)
        state = ROOT
        for place, character in enumerate(text, start=1):
            before = state
            state = children[before].setdefault(character, len(children))
            if state == len(children):
                children.append({})
                parent.append(before)
                last.append(code[character])
                depth.append(place)
                worth.append(0.0)
                kept.append(0.0)
            if worths[place] > worth[state]:
                worth[state] = worths[place]
        kept[state] = max(kept[state], worths[-1])
    return _with_failures(code, np.array(parent), np.array(last), np.array(depth), np.array(worth), np.array(kept))


@lru_cache
def _worths(length: int, weight: float) -> list[float]:
    """Nats for the beginnings of a phrase of so many characters, ▁ included; a short one has fewer free ones."""
    free = 1 + min(FREE, (length - 1) // 3)
    return [min(MOST, weight * STEP * max(0, place - free)) for place in range(length + 1)]


def fold(text: str) -> str:
    """Without case, and as long as the text: a character whose lower case is longer stays as it is."""
    folded = []
    for character in text:
        lower = character.lower()
        folded.append(lower if len(lower) == 1 else character)
    return "".join(folded)


def ends_word(character: str) -> bool:
    """Whether a word is over before this character."""
    return not character.isalnum()


def spellings(texts: Sequence[str], tokenizer: sentencepiece.SentencePieceProcessor) -> list[str | BoostError]:
    """Texts as the tokenizer's pieces spell them, in lower case, with ▁ before each word; or why it cannot spell them.

    Where the tokenizer lacks a character, the text is spelt with equivalents.
    """
    known = {tokenizer.id_to_piece(token) for token in range(tokenizer.vocab_size())}
    results: list[str | BoostError] = []
    for text, pieces in zip(texts, tokenizer.encode(list(texts), out_type=str, num_threads=1), strict=True):
        if not known.issuperset(pieces):
            pieces = tokenizer.encode(equivalents.fold(text), out_type=str)
        spelling = SPACE + fold("".join(pieces).strip(SPACE))
        if not known.issuperset(pieces):
            unknown = next(piece for piece in pieces if piece not in known)
            results.append(BoostError(f"{text!r}: this model cannot write {unknown!r}; spell the phrase without it"))
        elif spelling == SPACE:
            results.append(BoostError(f"{text!r}: this model writes nothing for it; leave it out"))
        else:
            results.append(spelling)
    return results


def _spelt(texts: Sequence[str], tokenizer: sentencepiece.SentencePieceProcessor) -> list[str]:
    """The spellings of all texts; `BoostError` for the first that has none."""
    spelt = []
    for spelling in spellings(texts, tokenizer):
        if isinstance(spelling, BoostError):
            raise spelling
        spelt.append(spelling)
    return spelt


def _with_failures(
    code: dict[str, int], parent_N: Integers, last_N: Integers, depth_N: Integers, worth_N: Floats, kept_N: Floats
) -> Machine:
    """The trie made an automaton, depth by depth: a state goes on as the state it fails to, but for its own children.

    A state fails to where its last character leads from the state that its parent fails to. A state in which no phrase
    ends keeps what the state it fails to keeps: a shorter phrase that ends in the same place.
    """
    next_NC = np.full((len(parent_N), len(code) + 1), ROOT)
    next_NC[NOWHERE] = NOWHERE
    fail_N = np.full(len(parent_N), ROOT)
    fail_N[ROOT] = NOWHERE
    order_N = np.argsort(depth_N, kind="stable")
    first_of_depth = np.searchsorted(depth_N[order_N], np.arange(1, depth_N.max() + 1))
    levels = np.split(order_N, first_of_depth)[1:]
    for depth, state_L in enumerate(levels, start=1):
        parent_L = parent_N[state_L]
        last_L = last_N[state_L]
        if depth > 1:
            fail_N[state_L] = next_NC[fail_N[parent_L], last_L]
        next_NC[parent_L, last_L] = state_L
        fail_L = fail_N[state_L]
        kept_N[state_L] = np.where(kept_N[state_L] > 0, kept_N[state_L], kept_N[fail_L])
        next_NC[state_L] = next_NC[fail_L]
    return Machine(code, next_NC, fail_N, order_N, worth_N, kept_N)
