"""Greedy decoding of a Token-and-Duration Transducer in batches on a CPU, as NeMo's label looping decides
(arXiv 2406.06220).

Each row stands on a frame. A blank moves it on by its duration, at least one frame; a token is kept, steps the
prediction network and moves the row on by its duration, which may be none. After `max_symbols` tokens on one frame the
row moves on by one. Rows that are through drop out, so a batch costs what its rows cost. The steps are small, so they
are taken in NumPy, whose calls cost a fifth of PyTorch's.

Shapes: B rows, T frames, R rows not yet through, S rows that say a token, J width of the joint, V tokens, O outputs, X
width of the prediction network.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import torch

from shoptalk.engine.steps import Carry, Floats, Integers, Steps


class Boost(Protocol):
    """Phrases that count for more, row by row (`boosting.BatchBoost`)."""

    def start(self) -> torch.Tensor:
        """The state (B,) of each row before any token."""

    def bonus(self, rows: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """What the tokens of rows (R,) in states (R,) gain: (R, V)."""

    def advance(self, state: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        """The states (R,) after a token (R,) each."""

    def finish(self, state: torch.Tensor) -> torch.Tensor:
        """What the end of the text gives (R,): the beginning of a phrase is taken back."""


@dataclass
class Decoded:
    """The tokens of one row, each with its frame, its duration in frames and its confidence."""

    tokens: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    spans: list[int] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)


class _Said(NamedTuple):
    """The tokens of one round."""

    row_S: Integers
    token_S: Integers
    frame_S: Integers
    span_S: Integers
    logits_SV: Floats


def decode(
    steps: Steps, encoded_BTD: torch.Tensor, frames_B: torch.Tensor, *, boost: Boost | None = None
) -> list[Decoded]:
    """Decode whole recordings: padded frames (B, T, D), of which `frames_B` count."""
    return decode_stretch(steps, encoded_BTD, frames_B, boost=boost)[0]


def decode_stretch(
    steps: Steps,
    encoded_BTD: torch.Tensor,
    frames_B: torch.Tensor,
    *,
    carry: Carry | None = None,
    boost: Boost | None = None,
) -> tuple[list[Decoded], Carry]:
    """Decode frames that follow on those of `carry`, which is changed; the frames told are those of this stretch."""
    encoded_BTJ = steps.project(encoded_BTD)
    batch, length, joint = encoded_BTJ.shape
    encoded_XJ = encoded_BTJ.reshape(batch * length, joint)
    first_B, frames = np.arange(batch) * length, frames_B.numpy()
    carry = carry or steps.start(batch)
    if boost and carry.boost_B is None:
        carry.boost_B = boost.start()
    at_B, here_B = carry.ahead_B, np.zeros(batch, np.int64)  # here: tokens on the present frame
    waits = False  # whether any row said a token on its present frame
    said: list[_Said] = []
    row_R = (at_B < frames).nonzero()[0]
    while row_R.size:
        at_R = at_B[row_R]
        logits_RO = steps.logits(encoded_XJ[first_B[row_R] + at_R], carry.predicted_BJ[row_R])
        token_R, span_R = _choices(steps, logits_RO, row_R, boost, carry.boost_B)
        says_R = token_R != steps.blank
        span_R[(span_R == 0) & ~says_R] = 1
        says = says_R.nonzero()[0]
        if says.size:
            row_S, token_S = row_R[says], token_R[says]
            said.append(_Said(row_S, token_S, at_R[says], span_R[says], logits_RO[says, : steps.blank]))
            steps.step(carry, row_S, token_S)
            if boost and carry.boost_B is not None:
                carry.boost_B[row_S] = boost.advance(carry.boost_B[row_S], torch.from_numpy(token_S))
        if waits or not span_R.all():
            waits = _move_stuck(here_B, row_R, span_R, steps.max_symbols)
        at_R += span_R
        at_B[row_R] = at_R
        row_R = row_R[at_R < frames[row_R]]
    carry.ahead_B = at_B - frames
    return _collected(said, batch), carry


def _choices(
    steps: Steps, logits_RO: Floats, row_R: Integers, boost: Boost | None, boost_B: torch.Tensor | None
) -> tuple[Integers, Integers]:
    """Token and duration of each row; phrases choose among tokens, never between a token and the blank."""
    blank = steps.blank
    token_R = logits_RO[:, : blank + 1].argmax(axis=1)
    span_R = steps.durations[logits_RO[:, blank + 1 :].argmax(axis=1)]
    if boost and boost_B is not None and (says := (token_R != blank).nonzero()[0]).size:
        rows = torch.from_numpy(row_R[says])
        token_R[says] = (logits_RO[says, :blank] + boost.bonus(rows, boost_B[rows]).numpy()).argmax(axis=1)
    return token_R, span_R


def _move_stuck(here_B: Integers, row_R: Integers, span_R: Integers, most: int) -> bool:
    """Let rows that said `most` tokens on one frame and would stay move on by one; whether any row stays.

    `here_B` counts.
    """
    here_R = np.where(span_R == 0, here_B[row_R] + 1, 0)
    stuck_R = here_R >= most
    span_R[stuck_R] = 1
    here_B[row_R] = np.where(stuck_R, 0, here_R)
    return bool(here_B.any())


def _collected(said: list[_Said], batch: int) -> list[Decoded]:
    found = [Decoded() for _ in range(batch)]
    if not said:
        return found
    row, token, frame, span, logits_NV = (np.concatenate(column) for column in zip(*said, strict=True))
    columns = (token, frame, span, confidences(torch.from_numpy(logits_NV), torch.from_numpy(token)).numpy())
    for number, one in enumerate(found):
        own = row == number
        one.tokens, one.frames, one.spans, one.confidences = (column[own].tolist() for column in columns)
    return found


def confidences(logits_NV: torch.Tensor, token_N: torch.Tensor) -> torch.Tensor:
    """The probability (N,) of each token among all tokens but the blank."""
    return (logits_NV.gather(1, token_N[:, None])[:, 0] - logits_NV.logsumexp(dim=1)).exp()
