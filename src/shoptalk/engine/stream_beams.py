"""Beams in streams: a search over chunk and right context, of which the chunk's tokens are kept, with phrases or not.

Shapes: B streams, F encoder frames, D width of the encoder.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from shoptalk.core.protocols import Phrase
from shoptalk.core.records import Word
from shoptalk.engine.beam import decode_on
from shoptalk.engine.boosting import Automaton, BatchBoost
from shoptalk.engine.greedy import Decoded
from shoptalk.engine.phrases import ROOT
from shoptalk.engine.steps import Carry, Steps


class Piece(NamedTuple):
    """A token, with its place in the stream in encoder frames."""

    text: str
    frame: int
    span: int
    confidence: float


@dataclass
class Boosted:
    """What a stream with phrases has beside its own state: it is decoded without them too."""

    phrases: tuple[Phrase, ...]
    automaton: Automaton | None
    """Of the phrases; it is not saved."""
    plain: Carry
    """The state of decoding without phrases."""
    plain_unclosed: list[Piece] = field(default_factory=list)
    plain_closed: list[Word] = field(default_factory=list)
    """The last words that are recognised without phrases."""
    plain_guess: list[Piece] = field(default_factory=list)
    """What follows them in the right context."""


class Stretch(NamedTuple):
    """The next frames of a stream, of which those before `split` are decoded for good."""

    automaton: Automaton | None
    carry: Carry
    encoded_FD: torch.Tensor
    split: int
    width: int
    """Of the beam."""


class Searched(NamedTuple):
    """The best path through a stretch."""

    decoded: Decoded
    kept: int
    """Of its tokens, those before the split."""
    carry: Carry
    """Behind these."""


def start(automaton: Automaton, carry: Carry) -> None:
    """Let a stream's state begin outside of its phrases."""
    carry.boost_B = _boost(automaton, 1).start()


def search(steps: Steps, stretches: Sequence[Stretch]) -> list[Searched]:
    """The best path of each stretch; those with the same phrases and width are searched together.

    To join the tables of different lists of phrases would cost more than it saves.
    """
    places_of: dict[tuple[int, int], list[int]] = {}
    for place, stretch in enumerate(stretches):
        places_of.setdefault((id(stretch.automaton), stretch.width), []).append(place)
    searched: dict[int, Searched] = {}
    for places in places_of.values():
        alike = [stretches[place] for place in places]
        searched |= dict(zip(places, _search_alike(steps, alike), strict=True))
    return [searched[place] for place in range(len(stretches))]


def _search_alike(steps: Steps, stretches: Sequence[Stretch]) -> list[Searched]:
    """As `search`, with the same phrases and width."""
    carry = Carry.joined([stretch.carry for stretch in stretches])
    automaton = stretches[0].automaton
    boost = _boost(automaton, len(stretches)) if automaton else None
    frames_B = torch.tensor([len(stretch.encoded_FD) for stretch in stretches])
    encoded_BFD = pad_sequence([stretch.encoded_FD for stretch in stretches], batch_first=True)
    split_B = np.array([stretch.split for stretch in stretches])
    width = stretches[0].width
    paths = decode_on(steps, encoded_BFD, frames_B, carry, split_B=split_B, width=width, boost=boost)
    kept = [bisect_left(path.decoded.frames, split) for path, split in zip(paths, split_B.tolist(), strict=True)]
    _advance(steps, boost, carry, [path.decoded.tokens[:count] for path, count in zip(paths, kept, strict=True)])
    carry.ahead_B[:] = [path.entered for path in paths] - split_B
    rows = zip(paths, kept, strict=True)
    return [Searched(path.decoded, count, carry.row(row)) for row, (path, count) in enumerate(rows)]


def _advance(steps: Steps, boost: BatchBoost | None, carry: Carry, tokens_of: Sequence[Sequence[int]]) -> None:
    """Change `carry` by the tokens of each row."""
    for place in range(max(map(len, tokens_of))):
        row_S = np.array([row for row, tokens in enumerate(tokens_of) if place < len(tokens)])
        token_S = np.array([tokens_of[row][place] for row in row_S])
        steps.step(carry, row_S, token_S)
        if boost and carry.boost_B is not None:
            rows_S = torch.from_numpy(row_S)
            carry.boost_B[rows_S] = boost.advance(carry.boost_B[rows_S], torch.from_numpy(token_S))


def _boost(automaton: Automaton, rows: int) -> BatchBoost:
    """For rows that all have these phrases; no table is copied."""
    return BatchBoost(automaton, torch.full((rows,), ROOT))
