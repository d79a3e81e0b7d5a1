"""Phrases as an Aho-Corasick automaton (doi 10.1145/360825.360855) over characters, whatever their case.

A phrase starts where a word starts and ends where a word is over. What a state of the automaton is worth grows with the
characters of a phrase that it matches, and is kept only if the phrase is whole.

Shapes: N states, C characters, L states that are as deep as each other.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import sentencepiece

from shoptalk.core.errors import BoostError
from shoptalk.core.protocols import Phrase

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NOWHERE, ROOT = 0, 1
"""The states of a row that has no phrases, and of one that is in none of its phrases."""
SPACE = "▁"
"""What SentencePiece writes before a word."""
FREE, STEP, MOST = 2, 1.0, 30.0
"""Characters of a phrase that are not paid for, nats for each further one at weight 1, and nats for a phrase at most.

With the first characters paid for, a third of the texts without any phrase in them changed, for no more phrases found.
"""
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
    if (characters := sum(len(phrase.text) for phrase in phrases)) > MAX_IN_ALL:
        raise BoostError(f"the phrases to boost have {characters:,} characters; shorten them to {MAX_IN_ALL:,} in all")
    texts = _spellings([phrase.text for phrase in phrases], tokenizer)
    code = {c: number for number, c in enumerate(sorted(set().union(*texts)), start=1)}
    children: list[dict[str, int]] = [{}, {}]
    parent, last, depth, worth, kept = [0, 0], [0, 0], [-1, 0], [0.0, 0.0], [0.0, 0.0]
    for text, phrase in zip(texts, phrases, strict=True):
        at, worths = ROOT, _worths(len(text), phrase.weight)
        for place, c in enumerate(text, start=1):
            before, at = at, children[at].setdefault(c, len(children))
            if at == len(children):
                children.append({})
                parent.append(before)
                last.append(code[c])
                depth.append(place)
                worth.append(0.0)
                kept.append(0.0)
            if worths[place] > worth[at]:
                worth[at] = worths[place]
        kept[at] = max(kept[at], worths[-1])
    return _followed(code, np.array(parent), np.array(last), np.array(depth), np.array(worth), np.array(kept))


@lru_cache
def _worths(length: int, weight: float) -> list[float]:
    """Nats for the beginnings of a phrase of so many characters, ▁ included; a short one has fewer free ones."""
    free = 1 + min(FREE, (length - 1) // 3)
    return [min(MOST, weight * STEP * max(0, place - free)) for place in range(length + 1)]


def fold(text: str) -> str:
    """Without case, character by character."""
    return "".join(low if len(low := c.lower()) == 1 else c for c in text)


def ends_word(character: str) -> bool:
    """Whether a word is over before this character."""
    return not character.isalnum()


def _spellings(texts: Sequence[str], tokenizer: sentencepiece.SentencePieceProcessor) -> list[str]:
    """Texts as the tokenizer's pieces spell them, folded, with ▁ before each word."""
    known = {tokenizer.id_to_piece(token) for token in range(tokenizer.vocab_size())}
    spelled = []
    for text, pieces in zip(texts, tokenizer.encode(list(texts), out_type=str, num_threads=1), strict=True):
        if not known.issuperset(pieces):
            wrong = next(piece for piece in pieces if piece not in known)
            raise BoostError(f"{text!r}: this model cannot write {wrong!r}; spell the phrase without it")
        spelled.append(SPACE + fold("".join(pieces).strip(SPACE)))
        if spelled[-1] == SPACE:
            raise BoostError(f"{text!r}: this model writes nothing for it; leave it out")
    return spelled


def _followed(
    code: dict[str, int], parent_N: Integers, last_N: Integers, depth_N: Integers, worth_N: Floats, kept_N: Floats
) -> Machine:
    """Follow failures: level by level, a state goes on as that which it fails to, but for its own children."""
    next_NC, fail_N = np.full((len(parent_N), len(code) + 1), ROOT), np.full(len(parent_N), ROOT)
    next_NC[NOWHERE], fail_N[ROOT] = NOWHERE, NOWHERE
    order_N = np.argsort(depth_N, kind="stable")
    levels = np.split(order_N, np.searchsorted(depth_N[order_N], np.arange(1, depth_N.max() + 1)))[1:]
    for depth, state_L in enumerate(levels, start=1):
        parent_L, last_L = parent_N[state_L], last_N[state_L]
        if depth > 1:
            fail_N[state_L] = next_NC[fail_N[parent_L], last_L]
        next_NC[parent_L, last_L] = state_L
        kept_N[state_L] = np.where(kept_N[state_L] > 0, kept_N[state_L], kept_N[fail_N[state_L]])
        next_NC[state_L] = next_NC[fail_N[state_L]]
    return Machine(code, next_NC, fail_N, order_N, worth_N, kept_N)
