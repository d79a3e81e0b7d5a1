"""The CTC loss in PyTorch, on whatever device it lies; the host never waits, so that a CUDA graph may hold it.

PyTorch's own wants the lengths on the host. The way forth and the way back are rows of one batch, as in
`tdt_on_device`. The gradient is analytic: the visits of each frame, summed for each token.

Shapes: B utterances, S frames, U target tokens, V tokens with the blank, L = 2 U + 1 states (blanks around each token),
R = 2 B rows (forth, then back).
"""

from typing import Any

import torch

NEVER = float("-inf")


def losses_on_device(
    log_probs_BSV: torch.Tensor,
    targets_BU: torch.Tensor,
    frames_B: torch.Tensor,
    lengths_B: torch.Tensor,
    *,
    blank: int,
) -> torch.Tensor:
    """Negative log-likelihood of each utterance (B,); 0 without gradient where no path spells it (Graves et al. 2006).

    The log-probabilities are float32; frames are at least 1. Padding of frames and targets may hold anything.
    """
    told: torch.Tensor = _Losses.apply(log_probs_BSV, targets_BU, frames_B, lengths_B, blank)  # type: ignore[no-untyped-call]
    return told


class _Losses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        log_probs_BSV: torch.Tensor,
        targets_BU: torch.Tensor,
        frames_B: torch.Tensor,
        lengths_B: torch.Tensor,
        blank: int,
    ) -> torch.Tensor:
        losses_B, grad_BSV = losses_and_gradient(log_probs_BSV, targets_BU, frames_B, lengths_B, blank)
        ctx.save_for_backward(grad_BSV)
        return losses_B

    @staticmethod
    def backward(ctx: Any, grad_B: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (grad_BSV,) = ctx.saved_tensors
        return (grad_BSV * grad_B[:, None, None], *[None] * 4)


def losses_and_gradient(
    log_probs_BSV: torch.Tensor, targets_BU: torch.Tensor, frames_B: torch.Tensor, lengths_B: torch.Tensor, blank: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The losses (B,), and their gradient with respect to the log-probabilities."""
    utterances, frames, _ = log_probs_BSV.shape
    device = log_probs_BSV.device
    frames_B, lengths_B = frames_B.long(), lengths_B.long()
    states_BL = _states(targets_BU, lengths_B, blank)
    last_B = 2 * lengths_B
    at_S, state_L = torch.arange(frames, device=device), torch.arange(states_BL.shape[1], device=device)
    # where frame and state lie when both are counted from the other end
    back_BS = (frames_B[:, None] - 1 - at_S).clamp(min=0)
    back_BL = (last_B[:, None] - state_L).clamp(min=0)
    emitted_BSL = log_probs_BSV.double().gather(2, states_BL[:, None].expand(-1, frames, -1))
    from_end_BSL = _turned(emitted_BSL, back_BS, back_BL)
    arcs_SRL = torch.cat([emitted_BSL, from_end_BSL]).transpose(0, 1).contiguous()
    skips_RL = _skips(torch.cat([states_BL, states_BL.gather(1, back_BL)]))
    reached_SRL = walk(arcs_SRL, skips_RL)
    forth_BSL = reached_SRL[:, :utterances].transpose(0, 1)
    back_BSL = _turned(reached_SRL[:, utterances:].transpose(0, 1), back_BS, back_BL)
    row_B = torch.arange(utterances, device=device)
    at_end_BL = forth_BSL[row_B, frames_B - 1]
    in_blank_B = at_end_BL[row_B, last_B]
    in_token_B = torch.where(lengths_B > 0, at_end_BL[row_B, (last_B - 1).clamp(min=0)], NEVER)
    total_B = torch.logaddexp(in_blank_B, in_token_B)
    is_possible_B = total_B > NEVER
    is_there_BSL = (at_S < frames_B[:, None])[..., None] & (state_L <= last_B[:, None])[:, None]
    visits_BSL = (forth_BSL + back_BSL - emitted_BSL - total_B[:, None, None]).exp()
    visits_BSL = torch.where(is_there_BSL & is_possible_B[:, None, None], visits_BSL, 0.0)
    visits_BSL = visits_BSL.nan_to_num(nan=0.0)  # of states whose emission is impossible
    grad_BSV = torch.zeros_like(log_probs_BSV)
    grad_BSV.scatter_add_(2, states_BL[:, None].expand(-1, frames, -1), -visits_BSL.to(grad_BSV.dtype))
    return torch.where(is_possible_B, -total_B, 0.0).to(log_probs_BSV.dtype), grad_BSV


def _states(targets_BU: torch.Tensor, lengths_B: torch.Tensor, blank: int) -> torch.Tensor:
    """The tokens with a blank before, between and behind them, (B, L); padding is blank."""
    utterances, longest = targets_BU.shape
    is_said_BU = torch.arange(longest, device=targets_BU.device) < lengths_B[:, None]
    states_BL = targets_BU.new_full((utterances, 2 * longest + 1), blank)
    states_BL[:, 1::2] = torch.where(is_said_BU, targets_BU, blank)
    return states_BL.long()


def _skips(states_RL: torch.Tensor) -> torch.Tensor:
    """0 where a state is also reached from the one before its blank, so between different tokens; else minus infinity.

    A blank is never different from the blank before it.
    """
    before_RL = torch.nn.functional.pad(states_RL, (2, 0), value=-1)[:, :-2]
    is_first_L = torch.arange(states_RL.shape[1], device=states_RL.device) < 2
    is_open_RL = (states_RL != before_RL) & ~is_first_L
    return torch.where(is_open_RL, 0.0, NEVER).double()


def _turned(values_BSL: torch.Tensor, back_BS: torch.Tensor, back_BL: torch.Tensor) -> torch.Tensor:
    """Both frames and states in the order of the other end."""
    turned_BSL = values_BSL.gather(1, back_BS[..., None].expand(values_BSL.shape))
    return turned_BSL.gather(2, back_BL[:, None].expand(values_BSL.shape))


def walk(arcs_SRL: torch.Tensor, skips_RL: torch.Tensor) -> torch.Tensor:
    """Log-probability (S, R, L) of being in a state after a frame: from it, from the one before, over a blank."""
    frames, rows, states = arcs_SRL.shape
    reached_SRL = arcs_SRL.new_full((frames, rows, states + 2), NEVER)
    reached_SRL[0, :, 2 : 2 + min(2, states)] = arcs_SRL[0, :, :2]
    for frame in range(1, frames):
        from_RL = reached_SRL[frame - 1]
        come_RL = torch.logaddexp(from_RL[:, 2:], from_RL[:, 1:-1])
        come_RL = torch.logaddexp(come_RL, from_RL[:, :-2] + skips_RL)
        torch.add(come_RL, arcs_SRL[frame], out=reached_SRL[frame, :, 2:])
    return reached_SRL[:, :, 2:]
