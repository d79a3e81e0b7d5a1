"""Attention with relative positions as one Triton kernel: no scores in memory, time and memory linear in a band.

A stand-in for `attention.attend_whole`, with a band as well. Softmax goes along with the keys (FlashAttention, arXiv
2205.14135). The position term of a block of N queries and N keys needs the 2 · N - 1 distances between them; the
next block of keys needs N of them again, so each step multiplies N positions, and a diagonal shift, of which the kernel
makes a select and a rotation of each row, lays them on the keys.

Shapes: B recordings, H heads, T frames, K width of a head, P = 2 · reach + 1 positions, N queries, keys or positions
of a block.
"""

from typing import Any

import torch

from shoptalk.core.errors import MissingToolError
from shoptalk.engine.encoder import Encoder

try:
    import triton
    import triton.language as tl
except ModuleNotFoundError as error:
    raise MissingToolError(
        "the fused attention needs Triton, which PyTorch for CUDA brings along; `pip install triton`"
    ) from error

__all__ = ["EXACT", "NARROWEST", "attend_fused", "fuse", "is_interpreted", "launch_options", "tl", "triton"]

BLOCK = {2: 64, 4: 32}
"""Queries and keys at a time by the bytes of a number: what the shared memory of an A100 holds."""
WARPS, STAGES = 8, 2
"""With four warps the registers of a thread do not suffice, by ptxas for sm_80 and sm_90."""
EXACT = tl.constexpr("tf32x3")
"""How float32 is multiplied: in three parts, which keep 21 bits of 24."""
NARROWEST = 16
"""Least width of a tensor core's product; narrower heads are filled up with zeros."""


@triton.jit(do_not_specialize=["heads", "frames", "reach", "left", "right", "stride_ch", "stride_hb"])
def _attend(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    q, k, v, p, c, hidden, out,
    stride_qb, stride_qh, stride_qt, stride_kb, stride_kh, stride_kt, stride_vb, stride_vh, stride_vt,
    stride_ph, stride_pk, stride_pp, stride_ch, stride_hb, stride_ob, stride_oh, stride_ot,
    heads, frames, reach, left, right,
    K: tl.constexpr, WIDTH: tl.constexpr, N: tl.constexpr, HAS_HIDDEN: tl.constexpr,
):  # fmt: skip
    first, batch, head = tl.program_id(0) * N, (tl.program_id(1) // heads).to(tl.int64), tl.program_id(1) % heads
    at_N, dim_K = tl.arange(0, N), tl.arange(0, WIDTH)
    query_N = first + at_N
    q_NK = _rows(q + batch * stride_qb + head * stride_qh, stride_qt, query_N, frames, dim_K, K)
    k += batch * stride_kb + head * stride_kh
    v += batch * stride_vb + head * stride_vh
    p += head * stride_ph + dim_K[:, None] * stride_pk
    c += head * stride_ch
    start = tl.maximum(first - left, 0) // N * N
    # the distance of the last query of the block from the first key has the lowest position
    position_N = reach - (first + N - 1) + start + at_N
    near_NN = _positions(q_NK, p, c, stride_pp, position_N, reach, dim_K, K)
    # row i of the tile is laid N - 1 - i positions further: what falls off the near half comes from the far one
    is_near_NN = at_N[None, :] >= (N - 1 - at_N)[:, None]
    turn_NN = ((N - 1 - at_N)[:, None] + at_N[None, :]) % N
    most_N, sum_N = tl.full((N,), float("-inf"), tl.float32), tl.zeros((N,), tl.float32)
    out_NK = tl.zeros((N, WIDTH), tl.float32)
    for block in range(start, tl.minimum(first + N + right, frames), N):
        key_N, position_N = block + at_N, position_N + N
        far_NN = _positions(q_NK, p, c, stride_pp, position_N, reach, dim_K, K)
        score_NN = tl.dot(q_NK, tl.trans(_rows(k, stride_kt, key_N, frames, dim_K, K)), input_precision=EXACT)
        score_NN += tl.gather(tl.where(is_near_NN, near_NN, far_NN), turn_NN, axis=1)
        near_NN = far_NN
        distance_NN = query_N[:, None] - key_N[None, :]
        is_seen_NN = (distance_NN <= left) & (distance_NN >= -right) & (key_N < frames)[None, :]
        if HAS_HIDDEN:
            is_seen_NN &= tl.load(hidden + batch * stride_hb + key_N, mask=key_N < frames, other=1)[None, :] == 0
        score_NN = tl.where(is_seen_NN, score_NN, float("-inf"))
        v_NK = _rows(v, stride_vt, key_N, frames, dim_K, K)
        most_N, sum_N, out_NK = _joined(score_NN, v_NK, most_N, sum_N, out_NK)
    out_NK /= tl.where(sum_N == 0.0, 1.0, sum_N)[:, None]
    place_NK = out + batch * stride_ob + head * stride_oh + query_N[:, None] * stride_ot + dim_K[None, :]
    tl.store(place_NK, out_NK.to(out.dtype.element_ty), mask=(query_N < frames)[:, None] & (dim_K < K)[None, :])


@triton.jit
def _rows(base, stride, at_N, frames, dim_K, K: tl.constexpr):  # type: ignore[no-untyped-def]
    """The frames `at_N` of one head (N, K), zeros where there are none."""
    mask_NK = (at_N < frames)[:, None] & (dim_K < K)[None, :]
    return tl.load(base + at_N[:, None] * stride + dim_K[None, :], mask=mask_NK, other=0.0)


@triton.jit
def _positions(  # type: ignore[no-untyped-def]
    q_NK, p, c, stride_pp, position_N, reach, dim_K, K: tl.constexpr
):  # fmt: skip
    """Scores (N, N) of the queries against N positions."""
    is_there_N = (position_N >= 0) & (position_N <= 2 * reach)
    mask_KN = (dim_K < K)[:, None] & is_there_N[None, :]
    p_KN = tl.load(p + position_N[None, :] * stride_pp, mask=mask_KN, other=0.0)
    c_N = tl.load(c + position_N, mask=is_there_N, other=0.0).to(tl.float32)
    return tl.dot(q_NK, p_KN, input_precision=EXACT) + c_N[None, :]


@triton.jit
def _joined(score_NN, v_NK, most_N, sum_N, out_NK):  # type: ignore[no-untyped-def]
    """The highest score, the sum of weights and the weighted values of each query, with N keys more."""
    new_N = tl.maximum(most_N, tl.max(score_NN, axis=1))
    safe_N = tl.where(new_N == float("-inf"), 0.0, new_N)  # a query that has seen no key yet
    fade_N = tl.exp(most_N - safe_N)
    weight_NN = tl.exp(score_NN - safe_N[:, None])
    out_NK = tl.dot(weight_NN.to(v_NK.dtype), v_NK, out_NK * fade_N[:, None], input_precision=EXACT)
    return new_N, sum_N * fade_N + tl.sum(weight_NN, axis=1), out_NK


def attend_fused(
    q_BHTK: torch.Tensor,
    k_BHTK: torch.Tensor,
    v_BHTK: torch.Tensor,
    p_HKP: torch.Tensor,
    c_H1P: torch.Tensor,
    hidden_B11T: torch.Tensor | None,
    *,
    context: tuple[int, int] | None = None,
) -> torch.Tensor:
    """(B, H, T, K): what `attend_whole` gives, from queries that come with the root of the width and the bias u inside.

    A frame sees keys that are as far away as `p_HKP` has positions, or as the narrower `context` (left, right) says,
    and that `hidden_B11T` (True: behind a recording's end) does not hide; one that sees none gets zeros. The last
    dimension of query, key and value must be contiguous, and the kernel is fastest if that of `p_HKP` before the last
    is. Sums are float32, whatever the inputs are.
    """
    batch, heads, frames, width = q_BHTK.shape
    reach = p_HKP.shape[2] // 2
    left, right = (min(side, reach) for side in context or (reach, reach))
    out_BTHK = torch.empty(batch, frames, heads, width, dtype=q_BHTK.dtype, device=q_BHTK.device)
    out_BHTK = out_BTHK.transpose(1, 2)
    hidden_BT = None if hidden_B11T is None else hidden_B11T.expand(batch, 1, 1, frames)[:, 0, 0].view(torch.uint8)
    options = launch_options(width, q_BHTK.element_size(), has_hidden=hidden_BT is not None)
    _attend[(triton.cdiv(frames, options["N"]), batch * heads)](
        q_BHTK, k_BHTK, v_BHTK, p_HKP, c_H1P, q_BHTK if hidden_BT is None else hidden_BT, out_BHTK,
        *q_BHTK.stride()[:3], *k_BHTK.stride()[:3], *v_BHTK.stride()[:3],
        *p_HKP.stride(), c_H1P.stride(0), 0 if hidden_BT is None else hidden_BT.stride(0), *out_BHTK.stride()[:3],
        heads, frames, reach, left, right,
        **options,
    )  # fmt: skip
    return out_BHTK


def launch_options(width: int, number_bytes: int, *, has_hidden: bool) -> dict[str, Any]:
    """What the kernel is compiled for."""
    constants = {"K": width, "WIDTH": max(NARROWEST, triton.next_power_of_2(width)), "N": BLOCK[number_bytes]}
    return constants | {"HAS_HIDDEN": has_hidden, "num_warps": WARPS, "num_stages": STAGES}


def is_interpreted() -> bool:
    """Whether the kernels run in Triton's interpreter, on a CPU: TRITON_INTERPRET is read when they are made."""
    return not isinstance(_attend, triton.JITFunction)


def fuse(encoder: Encoder) -> None:
    """Let an encoder attend with the kernel when it runs on padded batches, in place."""
    for layer in encoder.layers:
        layer.attention.attend = attend_fused
