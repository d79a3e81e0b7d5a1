"""Greedy decoding of a Token-and-Duration Transducer (TDT, arXiv 2304.06795), in batches on a CPU.

It decides as NeMo's label looping does (arXiv 2406.06220). Each row stands on a frame of its recording and takes the
likeliest outcome (a token or the blank) and the likeliest duration:

- a blank moves the row on by the duration, at least one frame;
- a token is kept, steps the predictor, and moves the row on by the duration, which may be 0;
- after `max_symbols` tokens on one frame the row moves on by one frame.

Rows that are through drop out, so a batch costs what its rows cost. The steps are small, so they are taken in NumPy,
whose calls cost a fifth of PyTorch's.

Shapes: B rows, T frames, F = B * T frames of all rows, R rows not yet through, S rows that emit a token, D width of the
encoder, J width of the joiner, V tokens, O outputs of the joiner, N tokens of all rows.
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


class _Emitted(NamedTuple):
    """The tokens of one round."""

    row_S: Integers
    token_S: Integers
    frame_S: Integers
    span_S: Integers
    logits_SV: Floats


def decode(
    steps: Steps, encoded_BTD: torch.Tensor, frames_B: torch.Tensor, *, boost: Boost | None = None
) -> list[Decoded]:
    """Decode whole recordings: padded encoder frames, of which `frames_B` count."""
    decoded, _ = decode_stretch(steps, encoded_BTD, frames_B, boost=boost)
    return decoded


def decode_stretch(
    steps: Steps,
    encoded_BTD: torch.Tensor,
    frames_B: torch.Tensor,
    *,
    carry: Carry | None = None,
    boost: Boost | None = None,
) -> tuple[list[Decoded], Carry]:
    """Decode frames that follow on those of `carry`, which is changed and returned.

    Frames of the tokens are counted from the start of this stretch.
    """
    encoded_BTJ = steps.project(encoded_BTD)
    batch, length, joiner = encoded_BTJ.shape
    encoded_FJ = encoded_BTJ.reshape(batch * length, joiner)
    first_B = np.arange(batch) * length
    end_B = frames_B.numpy()
    carry = carry or steps.start(batch)
    if boost and carry.boost_B is None:
        carry.boost_B = boost.start()
    frame_B = carry.ahead_B
    on_frame_B = np.zeros(batch, np.int64)  # tokens emitted on the present frame
    any_on_frame = False
    emitted: list[_Emitted] = []
    row_R = (frame_B < end_B).nonzero()[0]
    while row_R.size:
        frame_R = frame_B[row_R]
        logits_RO = steps.logits(encoded_FJ[first_B[row_R] + frame_R], carry.predicted_BJ[row_R])
        token_R, span_R = _likeliest(steps, logits_RO, row_R, boost, carry.boost_B)
        emits_R = token_R != steps.blank
        span_R[(span_R == 0) & ~emits_R] = 1
        emits = emits_R.nonzero()[0]
        if emits.size:
            row_S = row_R[emits]
            token_S = token_R[emits]
            logits_SV = logits_RO[emits, : steps.blank]
            emitted.append(_Emitted(row_S, token_S, frame_R[emits], span_R[emits], logits_SV))
            steps.step(carry, row_S, token_S)
            if boost and carry.boost_B is not None:
                carry.boost_B[row_S] = boost.advance(carry.boost_B[row_S], torch.from_numpy(token_S))
        if any_on_frame or not span_R.all():
            any_on_frame = _move_stuck(on_frame_B, row_R, span_R, steps.max_symbols)
        frame_R += span_R
        frame_B[row_R] = frame_R
        row_R = row_R[frame_R < end_B[row_R]]
    carry.ahead_B = frame_B - end_B
    return _by_row(emitted, batch), carry


def _likeliest(
    steps: Steps, logits_RO: Floats, row_R: Integers, boost: Boost | None, boost_B: torch.Tensor | None
) -> tuple[Integers, Integers]:
    """Token (or blank) and duration of each row. Phrases choose among tokens, never between a token and the blank."""
    blank = steps.blank
    token_R = logits_RO[:, : blank + 1].argmax(axis=1)
    span_R = steps.durations[logits_RO[:, blank + 1 :].argmax(axis=1)]
    if boost and boost_B is not None:
        emits = (token_R != blank).nonzero()[0]
        if emits.size:
            row_S = torch.from_numpy(row_R[emits])
            bonus_SV = boost.bonus(row_S, boost_B[row_S]).numpy()
            token_R[emits] = (logits_RO[emits, :blank] + bonus_SV).argmax(axis=1)
    return token_R, span_R


def _move_stuck(on_frame_B: Integers, row_R: Integers, span_R: Integers, most: int) -> bool:
    """Give rows that emitted `most` tokens on one frame and would stay a duration of 1; whether any row stays.

    Counts in `on_frame_B`, and changes `span_R`.
    """
    on_frame_R = np.where(span_R == 0, on_frame_B[row_R] + 1, 0)
    is_stuck_R = on_frame_R >= most
    span_R[is_stuck_R] = 1
    on_frame_B[row_R] = np.where(is_stuck_R, 0, on_frame_R)
    return bool(on_frame_B.any())


def _by_row(emitted: list[_Emitted], batch: int) -> list[Decoded]:
    """The tokens of all rounds, row by row."""
    decoded = [Decoded() for _ in range(batch)]
    if not emitted:
        return decoded
    row_N, token_N, frame_N, span_N, logits_NV = (np.concatenate(column) for column in zip(*emitted, strict=True))
    confidence_N = confidences(torch.from_numpy(logits_NV), torch.from_numpy(token_N)).numpy()
    for number, row in enumerate(decoded):
        is_own_N = row_N == number
        row.tokens = token_N[is_own_N].tolist()
        row.frames = frame_N[is_own_N].tolist()
        row.spans = span_N[is_own_N].tolist()
        row.confidences = confidence_N[is_own_N].tolist()
    return decoded


def confidences(logits_NV: torch.Tensor, token_N: torch.Tensor) -> torch.Tensor:
    """The probability (N,) of each token among all tokens but the blank."""
    return (logits_NV.gather(1, token_N[:, None])[:, 0] - logits_NV.logsumexp(dim=1)).exp()
