"""Greedy decoding of a Token-and-Duration Transducer in batches, as NeMo's label looping decides (arXiv 2406.06220).

Each row stands on a frame. A blank moves it on by its duration, at least one frame; a token is kept, steps the
prediction network and moves the row on by its duration, which may be none. After `max_symbols` tokens on one frame the
row moves on by one. Rows that are through drop out, so a batch costs what its rows cost.

Shapes: B rows, T frames, R rows not yet through, J width of the joint, V tokens.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch

from shoptalk.engine.transducer import State, Transducer


class Boost(Protocol):
    """Phrases that count for more, row by row (`boosting.BatchBoost`)."""

    def start(self) -> torch.Tensor: ...

    def bonus(self, rows_R: torch.Tensor, state_R: torch.Tensor) -> torch.Tensor: ...

    def advance(self, state_R: torch.Tensor, token_R: torch.Tensor) -> torch.Tensor: ...


@dataclass
class Decoded:
    """The tokens of one row, each with its frame, its duration in frames and its confidence."""

    tokens: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    spans: list[int] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)


class Carry(NamedTuple):
    """Where a decoded stretch ends, for the next stretch of the same recordings."""

    state: State
    ahead_B: torch.Tensor
    """Frames of the next stretch that the last duration jumps over."""
    boost_B: torch.Tensor | None


class _Emitted(NamedTuple):
    """The tokens of one round: row, token, frame, duration, confidence."""

    row_R: torch.Tensor
    token_R: torch.Tensor
    frame_R: torch.Tensor
    span_R: torch.Tensor
    confidence_R: torch.Tensor


def decode(
    transducer: Transducer, encoded_BTD: torch.Tensor, frames_B: torch.Tensor, *, boost: Boost | None = None
) -> list[Decoded]:
    """Decode whole recordings: padded frames (B, T, D), of which `frames_B` count."""
    return decode_stretch(transducer, encoded_BTD, frames_B, boost=boost)[0]


def decode_stretch(
    transducer: Transducer,
    encoded_BTD: torch.Tensor,
    frames_B: torch.Tensor,
    *,
    carry: Carry | None = None,
    boost: Boost | None = None,
) -> tuple[list[Decoded], Carry]:
    """Decode frames that follow on those of `carry`; the frames told are those of this stretch."""
    batch, device = len(encoded_BTD), encoded_BTD.device
    encoded_BTJ = transducer.project_encoded(encoded_BTD)
    state = State(*(part.clone() for part in carry.state)) if carry else transducer.start(batch)
    at_B = carry.ahead_B.clone() if carry else torch.zeros(batch, dtype=torch.long, device=device)
    boost_B = boost.start() if boost else None
    boost_B = carry.boost_B.clone() if carry and carry.boost_B is not None else boost_B
    frames_B = frames_B.to(device)
    here_B = torch.zeros_like(at_B)  # tokens on the present frame
    emitted: list[_Emitted] = []
    rows_R = (at_B < frames_B).nonzero()[:, 0]
    while len(rows_R):
        at_R = at_B.index_select(0, rows_R)
        logits_RO = transducer.logits(encoded_BTJ[rows_R, at_R], state.predicted_RJ.index_select(0, rows_R))
        token_R, span_R = _choices(transducer, logits_RO, rows_R, boost, boost_B)
        said_R = token_R != transducer.blank
        span_R = torch.where(said_R, span_R, span_R.clamp(min=1))
        says = said_R.nonzero()[:, 0]
        if len(says):
            row_S, token_S = rows_R[says], token_R[says]
            confidence_S = _confidence(logits_RO[says], token_S, transducer.blank)
            emitted.append(_Emitted(row_S, token_S, at_R[says], span_R[says], confidence_S))
            state.put(row_S, transducer.step(token_S, state.rows(row_S)))
            if boost and boost_B is not None:
                boost_B[row_S] = boost.advance(boost_B[row_S], token_S)
        span_R += _stuck(here_B, rows_R, said_R, span_R, transducer.shape.max_symbols)
        at_B[rows_R] = at_R + span_R
        rows_R = rows_R[at_R + span_R < frames_B[rows_R]]
    return _collected(emitted, batch), Carry(state, at_B - frames_B, boost_B)


def _choices(
    transducer: Transducer,
    logits_RO: torch.Tensor,
    rows_R: torch.Tensor,
    boost: Boost | None,
    boost_B: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token and duration of each row; phrases choose among tokens, never between a token and the blank."""
    blank, durations = transducer.blank, transducer.shape.durations
    token_R = logits_RO[:, : blank + 1].argmax(dim=1)
    span_R = logits_RO[:, blank + 1 :].argmax(dim=1)
    if durations != tuple(range(len(durations))):
        span_R = torch.tensor(durations, device=span_R.device)[span_R]
    if boost and boost_B is not None:
        boosted_R = (logits_RO[:, :blank] + boost.bonus(rows_R, boost_B[rows_R])).argmax(dim=1)
        token_R = torch.where(token_R == blank, token_R, boosted_R)
    return token_R, span_R


def _confidence(logits_SO: torch.Tensor, token_S: torch.Tensor, blank: int) -> torch.Tensor:
    """The probability of each token among all tokens but the blank."""
    logits_SV = logits_SO[:, :blank].float()
    return (logits_SV.gather(1, token_S[:, None])[:, 0] - logits_SV.logsumexp(dim=1)).exp()


def _stuck(
    here_B: torch.Tensor, rows_R: torch.Tensor, said_R: torch.Tensor, span_R: torch.Tensor, most: int
) -> torch.Tensor:
    """One frame for each row that said `most` tokens on this frame and would stay; counts in `here_B`."""
    here_R = torch.where(said_R & (span_R == 0), here_B[rows_R] + 1, 0)
    stuck_R = here_R >= most
    here_B[rows_R] = torch.where(stuck_R, 0, here_R)
    return stuck_R.long()


def _collected(emitted: list[_Emitted], batch: int) -> list[Decoded]:
    found = [Decoded() for _ in range(batch)]
    if not emitted:
        return found
    columns = (torch.cat(column).tolist() for column in zip(*emitted, strict=True))
    for row, token, frame, span, confidence in zip(*columns, strict=True):
        one = found[row]
        one.tokens.append(token)
        one.frames.append(frame)
        one.spans.append(span)
        one.confidences.append(confidence)
    return found
