"""The Token-and-Duration Transducer loss (arXiv 2304.06795): here on a CPU, by `tdt_on_device` elsewhere.

NeMo has it for CUDA only, by numba's compiler for CUDA, which not every machine's NumPy goes with.

Shapes: B utterances, T encoder frames, U = target tokens + 1, V tokens (the blank is token V), D durations.

One pass of torch softmax over the logits, then numba walks the lattice: forward and backward variables in double
precision, and the posterior of every arc, which is the gradient with respect to that arc's log-probability. The
gradient is finished in the forward call, in the memory of the softmax, so that only one tensor of the logits' size
is ever held beside them. `omega` mixes in the plain RNN-T loss as NeMo does: a batch is an RNN-T batch with that
probability, in which case neither durations nor `sigma` count.
"""

import math
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import torch

from shoptalk.tuning.tdt_on_device import losses_on_device

NEVER = -1e30  # log of an impossible event; finite, so that differences stay numbers


class TdtLoss(torch.nn.Module):
    """Mean TDT loss per target token over a batch (NeMo's ``mean_volume``)."""

    def __init__(self, *, blank: int, durations: Sequence[int], sigma: float = 0.0, omega: float = 0.0, seed: int = 0):
        super().__init__()
        self.blank = blank
        self.durations = tuple(durations)
        self.sigma = sigma
        self.omega = omega
        self._rng = np.random.default_rng(seed)

    def forward(
        self, logits_BTUK: torch.Tensor, targets_BU: torch.Tensor, frames_B: torch.Tensor, lengths_B: torch.Tensor
    ) -> torch.Tensor:
        """Loss of logits (B, T, U, V + 1 + D) for targets (B, U - 1), with valid frames and lengths (B,)."""
        plain = self.omega > 0 and self._rng.uniform() < self.omega
        losses_B = tdt_losses(
            logits_BTUK,
            targets_BU,
            frames_B,
            lengths_B,
            blank=self.blank,
            durations=self.durations,
            sigma=self.sigma,
            plain_rnnt=plain,
        )
        return losses_B.sum() / lengths_B.sum().clamp(min=1)


def tdt_losses(
    logits_BTUK: torch.Tensor,
    targets_BU: torch.Tensor,
    frames_B: torch.Tensor,
    lengths_B: torch.Tensor,
    *,
    blank: int,
    durations: Sequence[int],
    sigma: float = 0.0,
    plain_rnnt: bool = False,
) -> torch.Tensor:
    """Negative log-likelihood of each utterance, shape (B,); differentiable in the logits.

    An utterance that no path can spell (more duration than frames) has a loss of about 1e30 and no gradient.
    """
    if blank + 1 + len(durations) != logits_BTUK.shape[-1]:
        raise ValueError(
            f"{logits_BTUK.shape[-1]} logits are not {blank + 1} tokens with blank and {len(durations)} durations"
        )
    if logits_BTUK.device.type != "cpu":
        return losses_on_device(
            logits_BTUK,
            targets_BU,
            frames_B,
            lengths_B,
            blank=blank,
            durations=durations,
            sigma=sigma,
            plain_rnnt=plain_rnnt,
        )
    return _Losses.apply(  # type: ignore[no-untyped-call]
        logits_BTUK, targets_BU, frames_B, lengths_B, blank, tuple(durations), sigma, plain_rnnt
    )


class _Losses(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0913
        ctx: Any,
        logits_BTUK: torch.Tensor,
        targets_BU: torch.Tensor,
        frames_B: torch.Tensor,
        lengths_B: torch.Tensor,
        blank: int,
        durations: tuple[int, ...],
        sigma: float,
        plain_rnnt: bool,
    ) -> torch.Tensor:
        grad_BTUK = torch.empty(logits_BTUK.shape, dtype=torch.float32)
        tokens, spans = grad_BTUK[..., : blank + 1], grad_BTUK[..., blank + 1 :]
        tokens.copy_(logits_BTUK[..., : blank + 1].float().log_softmax(-1))
        spans.copy_(logits_BTUK[..., blank + 1 :].float().log_softmax(-1))
        may_blank, may_emit = _arcs(durations, plain_rnnt)
        losses, occupied_BTU, span_sums_BTU = _lattice(
            grad_BTUK.numpy(), targets_BU.numpy(), frames_B.numpy(), lengths_B.numpy(),
            blank, np.asarray(durations), may_blank, may_emit, 0.0 if plain_rnnt else sigma, not plain_rnnt,
        )  # fmt: skip
        if ctx.needs_input_grad[0]:
            log_probs = grad_BTUK
            probs = log_probs.exp_()
            probs[..., : blank + 1].mul_(torch.from_numpy(occupied_BTU.sum(-1))[..., None])
            probs[..., blank + 1 :].mul_(torch.from_numpy(span_sums_BTU.sum(-1))[..., None])
            _subtract_arcs(probs.numpy(), targets_BU.numpy(), blank, occupied_BTU, span_sums_BTU)
            ctx.save_for_backward(probs)
            ctx.dtype = logits_BTUK.dtype
        return torch.from_numpy(losses).float()

    @staticmethod
    def backward(ctx: Any, grad_B: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (grad_BTUK,) = ctx.saved_tensors
        return (grad_BTUK.mul_(grad_B[:, None, None, None]).to(ctx.dtype), *[None] * 7)


def _arcs(durations: tuple[int, ...], plain_rnnt: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which durations a blank and a token may have: plain RNN-T is blank 1, token 0; TDT is blank > 0, token any."""
    spans = np.asarray(durations)
    return (spans == 1, spans == 0) if plain_rnnt else (spans > 0, spans >= 0)


@numba.njit(cache=True)
def _log_add(a: float, b: float) -> float:
    high, low = (a, b) if a > b else (b, a)
    return high if low <= NEVER / 2 else high + math.log1p(math.exp(low - high))


@numba.njit(cache=True)
def _lattice(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    log_probs_BTUK, targets_BU, frames_B, lengths_B, blank, durations, may_blank, may_emit, sigma, timed
):
    """Losses (B,), posteriors of the (blank, token) arcs (B, T, U, 2) and of durations (B, T, U, D) at each cell."""
    B, T, U = log_probs_BTUK.shape[:3]
    losses_B = np.zeros(B)
    occupied = np.zeros((B, T, U, 2), np.float32)
    span_sums = np.zeros((B, T, U, durations.size), np.float32)
    for b in range(B):
        lp_TUK, targets = log_probs_BTUK[b, : frames_B[b], : lengths_B[b] + 1], targets_BU[b]
        alpha = _forward(lp_TUK, targets, blank, durations, may_blank, may_emit, sigma, timed)
        losses_B[b] = -alpha[-1, -1]
        if alpha[-1, -1] > NEVER / 2:
            _backward(
                lp_TUK, targets, blank, durations, may_blank, may_emit, sigma, timed, alpha, occupied[b], span_sums[b]
            )
    return losses_B, occupied, span_sums


@numba.njit(cache=True)
def _forward(  # type: ignore[no-untyped-def]
    lp_TUK, targets, blank, durations, may_blank, may_emit, sigma, timed
):
    """Log-probability of reaching each cell, (T + 1, U); row T is the end, reached by a blank only."""
    T, U = lp_TUK.shape[:2]
    alpha = np.full((T + 1, U), NEVER)
    alpha[0, 0] = 0.0
    for t in range(T):
        for u in range(U):
            if alpha[t, u] <= NEVER / 2:
                continue
            for d in range(durations.size):
                to = t + durations[d]
                span = (lp_TUK[t, u, blank + 1 + d] if timed else 0.0) - sigma
                if may_blank[d] and (to < T or (to == T and u == U - 1)):
                    alpha[to, u] = _log_add(alpha[to, u], alpha[t, u] + lp_TUK[t, u, blank] + span)
                if may_emit[d] and to < T and u < U - 1:
                    alpha[to, u + 1] = _log_add(alpha[to, u + 1], alpha[t, u] + lp_TUK[t, u, targets[u]] + span)
    return alpha


@numba.njit(cache=True)
def _backward(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    lp_TUK, targets, blank, durations, may_blank, may_emit, sigma, timed, alpha, occupied_TU2, span_sums_TUD
):
    """Fill the posteriors of arcs and durations, by the log-probability of reaching the end from each cell."""
    T, U = lp_TUK.shape[:2]
    total = alpha[T, U - 1]
    beta = np.full((T + 1, U), NEVER)
    beta[T, U - 1] = 0.0
    for t in range(T - 1, -1, -1):
        for u in range(U - 1, -1, -1):
            for d in range(durations.size):
                to = t + durations[d]
                span = (lp_TUK[t, u, blank + 1 + d] if timed else 0.0) - sigma
                if may_blank[d] and (to < T or (to == T and u == U - 1)):
                    rest = lp_TUK[t, u, blank] + span + beta[to, u]
                    beta[t, u] = _log_add(beta[t, u], rest)
                    share = math.exp(alpha[t, u] + rest - total)
                    occupied_TU2[t, u, 0] += share
                    span_sums_TUD[t, u, d] += share if timed else 0.0
                if may_emit[d] and to < T and u < U - 1:
                    rest = lp_TUK[t, u, targets[u]] + span + beta[to, u + 1]
                    beta[t, u] = _log_add(beta[t, u], rest)
                    share = math.exp(alpha[t, u] + rest - total)
                    occupied_TU2[t, u, 1] += share
                    span_sums_TUD[t, u, d] += share if timed else 0.0


@numba.njit(cache=True)
def _subtract_arcs(grad_BTUK, targets_BU, blank, occupied, span_sums):  # type: ignore[no-untyped-def]
    """d loss / d logit = softmax * (sum of posteriors) - posterior of that arc; the second term, in place."""
    B, T, U = grad_BTUK.shape[:3]
    for b in range(B):
        for t in range(T):
            for u in range(U):
                grad_BTUK[b, t, u, blank] -= occupied[b, t, u, 0]
                if u < U - 1:
                    grad_BTUK[b, t, u, targets_BU[b, u]] -= occupied[b, t, u, 1]
                for d in range(span_sums.shape[3]):
                    grad_BTUK[b, t, u, blank + 1 + d] -= span_sums[b, t, u, d]
