"""The Token-and-Duration Transducer loss in PyTorch, on whatever device the logits lie; the host never waits for it.

The lattice is walked diagonal by diagonal: all cells of which frame and token add up to the same number depend on
earlier diagonals only. The way back is the same walk over the lattice turned round, so both walk together, as rows of
one batch. Lattices are float64. The gradient is analytic: softmax times the visits of a cell, less those of each arc.

Shapes: B utterances, T frames, U = target tokens + 1, K logits, V tokens (the blank is token V), A = 2 kinds of arc
(token, blank), D = 1 + the longest duration, N = T + U diagonals, R = 2 B rows (forward, then back), F durations.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch

NEVER = float("-inf")
KERNEL = True
"""Whether a GPU walks by `tdt_walk`. Its test passed on an H100 on 2026-11-27, before the base was trained on there."""
IMPOSSIBLE = 1e30
"""Loss of an utterance that no path can spell."""
MOST_NUMBERS = 2**27
"""Logits that are in float32 at a time: half a GiB."""


class Rules(NamedTuple):
    """Which arcs there are."""

    blank: int
    durations: tuple[int, ...]
    sigma: float
    plain_rnnt: bool
    """Blanks take one frame, tokens none, and durations do not count."""


class Scores(NamedTuple):
    """Log-probabilities of what the arcs need, and what normalised them."""

    token_BTU: torch.Tensor
    """Of the target token; the last cell of an utterance has none."""
    blank_BTU: torch.Tensor
    span_BTUF: torch.Tensor
    token_sum_BTU: torch.Tensor
    span_sum_BTU: torch.Tensor


class Visits(NamedTuple):
    """Posteriors in each cell."""

    token_BTU: torch.Tensor
    blank_BTU: torch.Tensor
    span_BTUF: torch.Tensor


def losses_on_device(
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
    """`tdt_loss.tdt_losses`; all tensors lie on one device, and the logits may be bfloat16."""
    rules = Rules(blank, tuple(durations), 0.0 if plain_rnnt else sigma, plain_rnnt)
    told: torch.Tensor = _Losses.apply(logits_BTUK, targets_BU, frames_B, lengths_B, rules)  # type: ignore[no-untyped-call]
    return told


class _Losses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        logits_BTUK: torch.Tensor,
        targets_BU: torch.Tensor,
        frames_B: torch.Tensor,
        lengths_B: torch.Tensor,
        rules: Rules,
    ) -> torch.Tensor:
        counted_1U = torch.arange(targets_BU.shape[1], device=targets_BU.device)
        targets_BU = torch.where(counted_1U < lengths_B[:, None], targets_BU, 0)  # padding may hold anything
        scores = scores_of(logits_BTUK, targets_BU, rules)
        losses_B, visits = walked(scores, frames_B, lengths_B, rules)
        ctx.rules = rules
        ctx.save_for_backward(logits_BTUK, targets_BU, scores.token_sum_BTU, scores.span_sum_BTU, *visits)
        return losses_B.clamp(max=IMPOSSIBLE).float()

    @staticmethod
    def backward(ctx: Any, grad_B: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        logits_BTUK, targets_BU, token_sum_BTU, span_sum_BTU, *visits = ctx.saved_tensors
        rest = [targets_BU, token_sum_BTU, span_sum_BTU, *visits, grad_B]
        grad_BTUK = torch.empty_like(logits_BTUK)
        for rows in _slices(logits_BTUK):
            grad_BTUK[rows] = _gradient(logits_BTUK[rows], *(part[rows] for part in rest), blank=ctx.rules.blank)
        return (grad_BTUK, *[None] * 4)


def _slices(logits_BTUK: torch.Tensor) -> Iterator[slice]:
    """Rows of the batch of which float32 copies fit into `MOST_NUMBERS`; at least one row."""
    utterances = logits_BTUK.shape[0]
    size = max(1, MOST_NUMBERS // max(1, logits_BTUK.numel() // max(1, utterances)))
    for start in range(0, utterances, size):
        yield slice(start, start + size)


def scores_of(logits_BTUK: torch.Tensor, targets_BU: torch.Tensor, rules: Rules) -> Scores:
    """Log-probabilities in float64."""
    parts = [_some_scores(logits_BTUK[rows], targets_BU[rows], rules) for rows in _slices(logits_BTUK)]
    return Scores(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _some_scores(logits_BTUK: torch.Tensor, targets_BU: torch.Tensor, rules: Rules) -> Scores:
    utterances, frames, cells, _ = logits_BTUK.shape
    logits_BTUK = logits_BTUK.float()
    tokens_BTUV, spans_BTUF = logits_BTUK[..., : rules.blank + 1], logits_BTUK[..., rules.blank + 1 :]
    token_sum_BTU, span_sum_BTU = tokens_BTUV.logsumexp(-1), spans_BTUF.logsumexp(-1)
    targets_BTU1 = torch.nn.functional.pad(targets_BU, (0, cells - targets_BU.shape[1]))[:, None, :, None]
    token_BTU = tokens_BTUV.gather(3, targets_BTU1.expand(utterances, frames, cells, 1))[..., 0]
    return Scores(
        token_BTU.double() - token_sum_BTU,
        tokens_BTUV[..., rules.blank].double() - token_sum_BTU,
        spans_BTUF.double() - span_sum_BTU[..., None],
        token_sum_BTU,
        span_sum_BTU,
    )


def walked(
    scores: Scores, frames_B: torch.Tensor, lengths_B: torch.Tensor, rules: Rules
) -> tuple[torch.Tensor, Visits]:
    """Losses (B,) in float64, and visits in float32; an impossible utterance visits nothing."""
    frames_B, lengths_B = frames_B.long(), lengths_B.long()
    arcs_BADTU = arcs_of(scores, frames_B, lengths_B, rules)
    reached_NRU = quickest_walk(by_diagonal(arcs_BADTU, frames_B, lengths_B))
    utterances, _, span_count, frames, cells = arcs_BADTU.shape
    device = arcs_BADTU.device
    row_B = torch.arange(utterances, device=device)
    total_B = reached_NRU[frames_B + lengths_B, row_B, lengths_B]
    row_B11, frames_B11, lengths_B11 = (part[:, None, None] for part in (row_B, frames_B, lengths_B))
    at_T1 = torch.arange(frames, device=device)[:, None]
    token_U = torch.arange(cells, device=device)
    alpha_BTU = reached_NRU[at_T1 + token_U, row_B11, token_U]
    # the way on from each cell, and from the cells around the lattice where arcs may seem to lead
    at_T1 = torch.arange(frames + span_count, device=device)[:, None]
    token_U = torch.arange(cells + 1, device=device)
    left_BT1, left_B1U = frames_B11 - at_T1, lengths_B11 - token_U
    is_inside_BTU = (left_BT1 >= 0) & (left_B1U >= 0)
    diagonal_BTU = (left_BT1 + left_B1U).clamp(min=0)
    way_on_BTU = reached_NRU[diagonal_BTU, utterances + row_B11, left_B1U.clamp(min=0)]
    way_on_BTU = torch.where(is_inside_BTU, way_on_BTU, NEVER)
    before_BTU = alpha_BTU - total_B[:, None, None]
    is_possible_B11 = total_B[:, None, None] > NEVER
    token_sum, blank_sum = torch.zeros_like(alpha_BTU), torch.zeros_like(alpha_BTU)
    span_visits = []
    for duration in rules.durations:
        after_BTU = way_on_BTU[:, duration : duration + frames]
        token_BTU = (before_BTU + arcs_BADTU[:, 0, duration] + after_BTU[:, :, 1:]).exp_()
        blank_BTU = (before_BTU + arcs_BADTU[:, 1, duration] + after_BTU[:, :, :-1]).exp_()
        token_BTU, blank_BTU = (torch.where(is_possible_B11, part, 0.0) for part in (token_BTU, blank_BTU))
        token_sum += token_BTU
        blank_sum += blank_BTU
        span_visits.append(torch.zeros_like(token_BTU) if rules.plain_rnnt else token_BTU + blank_BTU)
    visits = Visits(token_sum.float(), blank_sum.float(), torch.stack(span_visits, dim=-1).float())
    return -total_B, visits


def arcs_of(scores: Scores, frames_B: torch.Tensor, lengths_B: torch.Tensor, rules: Rules) -> torch.Tensor:
    """Log-probability (B, A, D, T, U) of the arcs that leave each cell; never for arcs that there are not."""
    utterances, frames, cells = scores.token_BTU.shape
    device = scores.token_BTU.device
    frames_B11, lengths_B11 = frames_B[:, None, None], lengths_B[:, None, None]
    token_U = torch.arange(cells, device=device)
    is_before_last, is_last = token_U < lengths_B11, token_U == lengths_B11
    arcs_BADTU = scores.token_BTU.new_full((utterances, 2, max(rules.durations) + 1, frames, cells), NEVER)
    for place, duration in enumerate(rules.durations):
        to_T1 = torch.arange(duration, frames + duration, device=device)[:, None]
        is_inside, is_end = to_T1 < frames_B11, (to_T1 == frames_B11) & is_last
        span = 0.0 if rules.plain_rnnt else scores.span_BTUF[..., place] - rules.sigma
        if not rules.plain_rnnt or duration == 0:
            is_arc = is_inside & is_before_last
            arcs_BADTU[:, 0, duration] = torch.where(is_arc, scores.token_BTU + span, NEVER)
        if duration == 1 or (duration > 1 and not rules.plain_rnnt):
            # the end is reached by a blank only, and no blank leaves it
            is_arc = (is_inside & (is_before_last | is_last)) | is_end
            arcs_BADTU[:, 1, duration] = torch.where(is_arc, scores.blank_BTU + span, NEVER)
    return arcs_BADTU


def by_diagonal(arcs_BADTU: torch.Tensor, frames_B: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
    """Arcs (N - 1, D, R, A, U) by the diagonal that they reach, the furthest that they come from first.

    A step back from cell (t, u) of a lattice of f frames and l tokens is a step forward from (f - t, l - u) of the one
    turned round, so that its arcs are found where they leave instead of where they arrive.
    """
    utterances, _, span_count, frames, cells = arcs_BADTU.shape
    device = arcs_BADTU.device
    flat_BX = torch.nn.functional.pad(arcs_BADTU.flatten(1), (0, 1), value=NEVER)
    diagonal_N111 = torch.arange(1, frames + cells, device=device)[:, None, None, None]
    steps_D11 = torch.arange(span_count, 0, -1, device=device)[:, None, None]  # diagonals between both ends of an arc
    kind_A1 = torch.arange(2, device=device)[:, None]
    token_U = torch.arange(cells, device=device)
    duration_DA1 = steps_D11 - 1 + kind_A1  # a token is a step of its own
    is_span_DA1 = duration_DA1 < span_count

    def place(at: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        is_there = is_span_DA1 & (at >= 0) & (at < frames) & (token >= 0)
        there = ((kind_A1 * span_count + duration_DA1) * frames + at) * cells + token
        return torch.where(is_there, there, flat_BX.shape[1] - 1)

    forward_NDAU = place(diagonal_N111 - token_U - duration_DA1, token_U - 1 + kind_A1)
    arriving_BNDAU = flat_BX[:, forward_NDAU.flatten()].view(utterances, *forward_NDAU.shape)
    at_BNDAU = frames_B.view(-1, 1, 1, 1, 1) - (diagonal_N111 - token_U)
    back_BNDAU = place(at_BNDAU, lengths_B.view(-1, 1, 1, 1, 1) - token_U)
    leaving_BNDAU = flat_BX.gather(1, back_BNDAU.flatten(1)).view(back_BNDAU.shape)
    return torch.cat([arriving_BNDAU, leaving_BNDAU]).permute(1, 2, 0, 3, 4).contiguous()


def quickest_walk(arcs_NDRAU: torch.Tensor) -> torch.Tensor:
    """`walk`, on a GPU with Triton by one kernel."""
    if not (KERNEL and arcs_NDRAU.is_cuda and importlib.util.find_spec("triton")):
        return walk(arcs_NDRAU)
    from shoptalk.tuning.tdt_walk import walk_fused

    return walk_fused(arcs_NDRAU)


def walk(arcs_NDRAU: torch.Tensor) -> torch.Tensor:
    """Log-probability (N, R, U) of reaching each cell of each diagonal from the first one."""
    diagonals, span_count, rows, _, cells = arcs_NDRAU.shape
    reached_NRU = arcs_NDRAU.new_full((span_count + diagonals + 1, rows, cells + 1), NEVER)
    reached_NRU[span_count, :, 1] = 0.0
    from_NRAU = reached_NRU.unfold(2, cells, 1)  # a token comes from the cell before, a blank from its own
    for number, arcs_DRAU in enumerate(arcs_NDRAU):
        came_DRAU = from_NRAU[number + 1 : number + 1 + span_count] + arcs_DRAU
        reached_NRU[number + 1 + span_count, :, 1:] = came_DRAU.logsumexp((0, 2))
    return reached_NRU[span_count:, :, 1:]


def _gradient(  # noqa: PLR0913
    logits_BTUK: torch.Tensor,
    targets_BU: torch.Tensor,
    token_sum_BTU: torch.Tensor,
    span_sum_BTU: torch.Tensor,
    token_BTU: torch.Tensor,
    blank_BTU: torch.Tensor,
    span_BTUF: torch.Tensor,
    grad_B: torch.Tensor,
    *,
    blank: int,
) -> torch.Tensor:
    """d loss / d logits in float32: softmax · (sum of the visits) - visits of that arc, times the outer gradient."""
    frames, cells = token_BTU.shape[1:]
    grad_B111 = grad_B.float()[:, None, None, None]
    token_BTU1, blank_BTU1 = token_BTU[..., None] * grad_B111, blank_BTU[..., None] * grad_B111
    span_BTUF = span_BTUF * grad_B111
    grad_BTUK = logits_BTUK.float() if logits_BTUK.dtype != torch.float32 else logits_BTUK.clone()
    tokens_BTUV, spans_BTUF = grad_BTUK[..., : blank + 1], grad_BTUK[..., blank + 1 :]
    tokens_BTUV.sub_(token_sum_BTU[..., None]).exp_().mul_(token_BTU1 + blank_BTU1)
    tokens_BTUV[..., blank:].sub_(blank_BTU1)
    targets_BTU1 = torch.nn.functional.pad(targets_BU, (0, cells - targets_BU.shape[1]))[:, None, :, None]
    tokens_BTUV.scatter_add_(3, targets_BTU1.expand(-1, frames, cells, 1), -token_BTU1)
    spans_BTUF.sub_(span_sum_BTU[..., None]).exp_().mul_(span_BTUF.sum(-1, keepdim=True)).sub_(span_BTUF)
    return grad_BTUK
