"""Greedy decoding of a Token-and-Duration Transducer with its state on the device, one label of each row a round.

As NeMo's label looping decides (arXiv 2406.06220) and `greedy` does, in operations of fixed shape: a round looks at
`WINDOW` frames of each row at once, jumps over their blanks by doubling the jumps, and takes the token on which it
lands. So the host launches rounds without knowing what they find, and asks only after every `ROUNDS` whether rows are
left.

Shapes: B rows, T frames, W frames that a round looks at, E = W + the longest duration, N rounds, L layers and X width
of the prediction network, J of the joint, V tokens, O = V + 1 + durations outputs.
"""

from typing import NamedTuple, Protocol

import torch

from shoptalk.engine.greedy import Decoded, confidences
from shoptalk.engine.transducer import State, Transducer

WINDOW = 8
"""Frames a round looks at; a product with eight rows costs a GPU what one with one row costs."""
ROUNDS = 16
"""Rounds from one look of the host to the next."""


class Standing(NamedTuple):
    """Where each row stands."""

    at_B: torch.Tensor
    """Its frame."""
    here_B: torch.Tensor
    """Tokens that it emitted on that frame."""
    h_BLX: torch.Tensor
    c_BLX: torch.Tensor
    predicted_BJ: torch.Tensor


class Emitted(NamedTuple):
    """What rounds emitted in each row; token -1: nothing. (B,) of one round, (N, B) of several."""

    token: torch.Tensor
    frame: torch.Tensor
    span: torch.Tensor
    confidence: torch.Tensor


class Looping:
    """Decoding with the weights of a transducer, on their device."""

    def __init__(self, transducer: Transducer, *, window: int = WINDOW, rounds: int = ROUNDS):
        self.transducer = transducer
        self.device, self.window, self.rounds = transducer.gates_VX.device, window, rounds
        durations = transducer.shape.durations
        self.durations = torch.tensor(durations, device=self.device)
        self.ahead_W = torch.arange(window, device=self.device)
        self.ahead_E = torch.arange(window + max(*durations, 1), device=self.device)

    def start(self, rows: int) -> Standing:
        """Before any token."""
        at_B = torch.zeros(rows, dtype=torch.long, device=self.device)
        return Standing(at_B, at_B.clone(), *self.transducer.start(rows))

    def step(self, encoded_BTJ: torch.Tensor, frames_B: torch.Tensor, now: Standing) -> tuple[Standing, Emitted]:
        """One round over projected frames: no operation in it waits for a result or has a shape that depends on one."""
        blank = self.transducer.blank
        frame_BW = now.at_B[:, None] + self.ahead_W
        seen_BW1 = frame_BW.clamp(max=encoded_BTJ.shape[1] - 1)[..., None]
        encoded_BWJ = encoded_BTJ.gather(1, seen_BW1.expand(-1, -1, encoded_BTJ.shape[2]))
        logits_BWO = self.transducer.logits(encoded_BWJ, now.predicted_BJ[:, None])
        token_BW = logits_BWO[..., : blank + 1].argmax(dim=2)
        span_BW = self.durations[logits_BWO[..., blank + 1 :].argmax(dim=2)]
        is_blank_BW = (token_BW == blank) & (frame_BW < frames_B[:, None])
        land_B = self._landing(torch.where(is_blank_BW, span_BW.clamp(min=1), 0))
        at_B, land_B1 = now.at_B + land_B, land_B.clamp(max=self.window - 1)[:, None]
        is_emitted_B = (land_B < self.window) & (at_B < frames_B)
        token_B, span_B = token_BW.gather(1, land_B1)[:, 0], span_BW.gather(1, land_B1)[:, 0]
        logits_BV = logits_BWO.gather(1, land_B1[..., None].expand(-1, -1, blank))[:, 0].float()
        certain_B = confidences(logits_BV, token_B.clamp(max=blank - 1))
        emitted = Emitted(torch.where(is_emitted_B, token_B, -1), at_B, span_B, certain_B)
        state = State(now.h_BLX, now.c_BLX, now.predicted_BJ)
        new = self.transducer.step(torch.where(is_emitted_B, token_B, blank), state)
        kept = (
            torch.where(is_emitted_B.view(-1, *[1] * (old.dim() - 1)), fresh, old)
            for fresh, old in zip(new, state, strict=True)
        )
        here_B = torch.where(land_B > 0, 0, now.here_B) + is_emitted_B
        here_B = torch.where(is_emitted_B & (span_B > 0), 0, here_B)
        is_stuck_B = here_B >= self.transducer.shape.max_symbols
        at_B = at_B + torch.where(is_emitted_B, span_B, 0) + is_stuck_B
        return Standing(at_B, torch.where(is_stuck_B, 0, here_B), *kept), emitted

    def _landing(self, jump_BW: torch.Tensor) -> torch.Tensor:
        """Frames (B,) until the first of no jump, or behind the window."""
        to_BE = torch.nn.functional.pad(jump_BW, (0, len(self.ahead_E) - self.window)) + self.ahead_E
        for _ in range((self.window - 1).bit_length()):
            to_BE = to_BE.gather(1, to_BE)
        return to_BE[:, 0]

    def stretch(
        self, encoded_BTJ: torch.Tensor, frames_B: torch.Tensor, *now: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """`rounds` rounds: the fields of `Standing`, then those of `Emitted` (N, B), then whether rows are left."""
        standing = Standing(*now)
        rounds: list[Emitted] = []
        for _ in range(self.rounds):
            standing, emitted = self.step(encoded_BTJ, frames_B, standing)
            rounds.append(emitted)
        columns = [torch.stack(column) for column in zip(*rounds, strict=True)]
        return (*standing, *columns, (standing.at_B < frames_B).any())

    def decode(self, encoded_BTD: torch.Tensor, frames_B: torch.Tensor) -> list[Decoded]:
        """Whole recordings: padded frames (B, T, D) on the device, of which `frames_B` count."""
        return until_through(self, self.transducer.project_encoded(encoded_BTD), frames_B.to(self.device))


class Stretches(Protocol):
    """`Looping`, or what stands in for it."""

    def start(self, rows: int) -> Standing: ...

    def stretch(
        self, encoded_BTJ: torch.Tensor, frames_B: torch.Tensor, *now: torch.Tensor
    ) -> tuple[torch.Tensor, ...]: ...


def until_through(looping: Stretches, encoded_BTJ: torch.Tensor, frames_B: torch.Tensor) -> list[Decoded]:
    """Stretches until no row is left, over projected frames (B, T, J)."""
    standing = looping.start(len(frames_B))
    stretches: list[Emitted] = []
    is_left = bool(encoded_BTJ.numel())
    while is_left:
        *parts, left = looping.stretch(encoded_BTJ, frames_B, *standing)
        standing = Standing(*parts[:5])
        stretches.append(Emitted(*parts[5:]))
        is_left = bool(left)
    return collected(stretches, len(frames_B))


def collected(stretches: list[Emitted], batch: int) -> list[Decoded]:
    """What stretches emitted, row by row."""
    if not stretches:
        return [Decoded() for _ in range(batch)]
    token_NB, frame_NB, span_NB, certain_NB = (torch.cat(column).cpu() for column in zip(*stretches, strict=True))
    rows = []
    for row in range(batch):
        is_emitted_N = token_NB[:, row] >= 0
        columns = (part[:, row][is_emitted_N].tolist() for part in (token_NB, frame_NB, span_NB, certain_NB))
        rows.append(Decoded(*columns))
    return rows
