"""Attention with relative positions (Transformer-XL, arXiv 1901.02860) over all frames, or over a band of them.

The score of query i and key j is ``q_u[i] · k[j] + q_v[i] · p[i - j]``, over the root of the head's width. The queries
come with the bias u and that root inside; for ``q_v = q_u + (v - u)`` the constant ``c = (v - u) · p`` of each
position is added to ``q_u · p``.

Shapes: B recordings, H heads, T frames, K width of a head, P positions: distances (P - 1) / 2 … -(P - 1) / 2 of a query
from its key, P = 2 · T - 1 for all frames; Q queries of a block, W keys that they can see.
"""

import torch
from torch.nn.functional import pad, scaled_dot_product_attention

BLOCK = 128
"""Queries at a time: their scores stay in the cache of a core, and a long recording needs no more memory."""
FEW = 12
"""Queries that are no block of their own: for one to three, sums depend on the number of threads."""
ROWS_AT_A_TIME = 4
"""In the products of queries and positions, for the same reason."""


def sinusoids(reach: int, d_model: int, device: torch.device) -> torch.Tensor:
    """Embeddings (2 · reach + 1, d_model) of the distances reach … -reach, as NeMo makes them."""
    distance_P1 = torch.arange(reach, -reach - 1, -1, dtype=torch.float32, device=device)[:, None]
    exponent_E = torch.arange(0, d_model, 2, dtype=torch.float32, device=device)
    log_base = torch.tensor(10_000.0).log().item()
    frequency_E = torch.exp(exponent_E * -(log_base / d_model))
    angle_PE = distance_P1 * frequency_E
    return torch.stack((angle_PE.sin(), angle_PE.cos()), dim=-1).flatten(1)


def attend_blocks(
    q_1HTK: torch.Tensor, k_1HTK: torch.Tensor, v_1HTK: torch.Tensor, p_HKP: torch.Tensor, c_H1P: torch.Tensor
) -> torch.Tensor:
    """(1, H, T, K): what each frame of one recording takes from the frames in its band; for a CPU.

    Only the positions that a block of queries can see are multiplied, so memory and, with a band, time are linear in T.
    """
    frames = q_1HTK.shape[2]
    positions = p_HKP.shape[2]
    reach = positions // 2
    blocks = []
    first = 0
    while first < frames:
        last = first + BLOCK if frames - first >= BLOCK + FEW else frames
        start = max(0, first - reach)
        end = min(frames, last + reach)
        # The first position of this block is the distance of its last query from its first key, the last that of its
        # first query from its last key. Those beyond the band are hidden.
        near = reach - (last - 1 - start)
        far = reach - first + end
        inside = slice(max(0, near), min(far, positions))
        q_1HQK = q_1HTK[:, :, first:last]
        # with some more rows in the scores, which are not read
        filled_1HQK = pad(q_1HQK, (0, 0, 0, -q_1HQK.shape[2] % ROWS_AT_A_TIME))
        scores_1HQP = torch.matmul(filled_1HQK, p_HKP[:, :, inside]).add_(c_H1P[:, :, inside])
        if near < 0 or far > positions:
            beyond = max(0, -near), max(0, far - positions)
            scores_1HQP = pad(scores_1HQP, beyond, value=-torch.inf)
        mask_1HQW = _shifted(scores_1HQP, last - first, end - start)
        k_1HWK = k_1HTK[:, :, start:end]
        v_1HWK = v_1HTK[:, :, start:end]
        blocks.append(scaled_dot_product_attention(q_1HQK, k_1HWK, v_1HWK, attn_mask=mask_1HQW, scale=1.0))
        first = last
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=2)


def _shifted(scores_1HQP: torch.Tensor, queries: int, keys: int) -> torch.Tensor:
    """A view (1, H, Q, W) whose [i, j] is the position Q - 1 - i + j: the distance of query i from key j."""
    _, heads, rows, positions = scores_1HQP.shape
    strides = (0, rows * positions, positions - 1, 1)
    return scores_1HQP.as_strided((1, heads, queries, keys), strides, queries - 1)


def attend_whole(
    q_BHTK: torch.Tensor,
    k_BHTK: torch.Tensor,
    v_BHTK: torch.Tensor,
    p_HKP: torch.Tensor,
    c_H1P: torch.Tensor,
    hidden_B11T: torch.Tensor | None,
) -> torch.Tensor:
    """(B, H, T, K) of padded recordings over all their frames, in operations that a GPU batches and ONNX knows.

    `hidden_B11T` is True for keys behind a recording's end.
    """
    batch, heads, frames, _ = q_BHTK.shape
    # Transformer-XL's shift: with one column more, each row of the flat scores begins one position later
    scores_BHTP = pad(torch.matmul(q_BHTK, p_HKP) + c_H1P, (1, 0))
    scores_BHPT = scores_BHTP.reshape(batch, heads, 2 * frames, frames)[:, :, 1:]
    scores_BHTT = scores_BHPT.reshape(batch, heads, frames, 2 * frames - 1)[..., :frames]
    if hidden_B11T is not None:
        scores_BHTT = scores_BHTT.masked_fill(hidden_B11T, -1e4)
    return scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTK, attn_mask=scores_BHTT, scale=1.0)
