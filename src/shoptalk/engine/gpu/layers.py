"""The padded encoder with less traffic through a GPU's memory: what lies between the matrix products is in few kernels.

Between products a GPU waits for its memory, so that each pass saved counts. The first two convolutions of the
subsampling are one kernel, and the frames between them are never written. Gate, mask, depthwise convolution and SiLU
are one kernel. Each product that ends a residual branch adds to the residual in place. Attention is
`attention.attend_fused`, over positions whose layout it reads fastest. Layer norms have a kernel too.

Shapes: B recordings, T mel frames or frames of 80 ms, M mel bins, C channels, D width of the encoder, X any width, N
frames of all recordings, J taps of a convolution, H heads, K = D / H, P positions.
"""

import torch

from shoptalk.engine.attention import sinusoids
from shoptalk.engine.encoder import KEPT_REACH, Attention, Convolution, Encoder, FeedForward
from shoptalk.engine.gpu import fp8
from shoptalk.engine.gpu.attention import EXACT, NARROWEST, attend_fused, tl, triton
from shoptalk.engine.gpu.fp8 import Float8Linear
from shoptalk.engine.subsampling import Subsampling, halved

CHANNELS = 64
"""Channels of a block of the subsampling."""
PATCH = tl.constexpr(16)
"""Numbers of a patch of 3 x 3, filled up."""
TIMES, WIDTHS = 16, 128
"""Frames and channels of a block of the depthwise convolution."""
BLOCK = 2048
"""Numbers of a block of what goes number by number."""
LARGEST = tl.constexpr(fp8.LARGEST)


@triton.jit(do_not_specialize=["second_frames"])
def _two_levels(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    mel, frames, first, first_bias, second, second_bias, out,
    stride_b, stride_t, bins, first_bins, second_bins, second_frames, channels,
    BINS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Convolution and ReLU, then depthwise convolution, both of 3 x 3 with stride 2, at one time of the second."""
    time, batch = tl.program_id(0), tl.program_id(1).to(tl.int64)
    bin_M, channel_C = tl.arange(0, BINS), tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    is_channel_C = channel_C < channels
    mel_frames = tl.load(frames + batch)
    first_frames = (mel_frames + 1) // 2
    first_bias_C = tl.load(first_bias + channel_C, mask=is_channel_C, other=0.0).to(tl.float32)
    second_bias_C = tl.load(second_bias + channel_C, mask=is_channel_C, other=0.0).to(tl.float32)
    # the first convolution as a product of patches: nine of sixteen columns, the least that a tensor core takes
    inner_K = tl.arange(0, PATCH)
    first_KC = first + inner_K[:, None] * channels + channel_C[None, :]
    weight_KC = tl.load(first_KC, mask=(inner_K < 9)[:, None] & is_channel_C[None, :], other=0.0)
    sum_MC = tl.zeros((BINS, CHANNELS), tl.float32) + second_bias_C[None, :]
    for tap in range(9):
        first_time, first_bin_M = 2 * time + tap // 3 - 1, 2 * bin_M + tap % 3 - 1
        mel_time_K = 2 * first_time + inner_K // 3 - 1
        mel_bin_MK = 2 * first_bin_M[:, None] + (inner_K % 3)[None, :] - 1
        is_time_K = (inner_K < 9) & (mel_time_K >= 0) & (mel_time_K < mel_frames)
        is_there_MK = is_time_K[None, :] & (mel_bin_MK >= 0) & (mel_bin_MK < bins)
        place_MK = mel + batch * stride_b + mel_time_K[None, :] * stride_t + mel_bin_MK
        mel_MK = tl.load(place_MK, mask=is_there_MK, other=0.0)
        level_MC = tl.dot(mel_MK, weight_KC, input_precision=EXACT) + first_bias_C[None, :]
        is_inside_M = (first_time >= 0) & (first_time < first_frames) & (first_bin_M >= 0) & (first_bin_M < first_bins)
        weight_C = tl.load(second + tap * channels + channel_C, mask=is_channel_C, other=0.0).to(tl.float32)
        sum_MC += tl.where(is_inside_M[:, None], tl.maximum(level_MC, 0.0), 0.0) * weight_C[None, :]
    place_MC = ((batch * second_frames + time) * second_bins + bin_M[:, None]) * channels + channel_C[None, :]
    mask_MC = (bin_M < second_bins)[:, None] & is_channel_C[None, :]
    tl.store(out + place_MC, sum_MC.to(out.dtype.element_ty), mask=mask_MC)


@triton.jit(do_not_specialize=["level_frames", "out_frames"])
def _third_level(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    level, frames, weight, bias, out, level_frames, level_bins, out_frames, out_bins, channels,
    BINS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """ReLU, then depthwise convolution of 3 x 3 with stride 2, at one time; `frames` are mel frames."""
    time, batch = tl.program_id(0), tl.program_id(1).to(tl.int64)
    bin_M, channel_C = tl.arange(0, BINS), tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    is_channel_C = channel_C < channels
    inside = ((tl.load(frames + batch) + 1) // 2 + 1) // 2
    bias_C = tl.load(bias + channel_C, mask=is_channel_C, other=0.0).to(tl.float32)
    sum_MC = tl.zeros((BINS, CHANNELS), tl.float32) + bias_C[None, :]
    for tap in tl.static_range(9):
        level_time, level_bin_M = 2 * time + tap // 3 - 1, 2 * bin_M + tap % 3 - 1
        is_there_M = (level_time >= 0) & (level_time < inside) & (level_bin_M >= 0) & (level_bin_M < level_bins)
        place_MC = ((batch * level_frames + level_time) * level_bins + level_bin_M[:, None]) * channels
        mask_MC = is_there_M[:, None] & is_channel_C[None, :]
        level_MC = tl.load(level + place_MC + channel_C[None, :], mask=mask_MC, other=0.0).to(tl.float32)
        weight_C = tl.load(weight + tap * channels + channel_C, mask=is_channel_C, other=0.0).to(tl.float32)
        sum_MC += tl.maximum(level_MC, 0.0) * weight_C[None, :]
    place_MC = ((batch * out_frames + time) * out_bins + bin_M[:, None]) * channels + channel_C[None, :]
    mask_MC = (bin_M < out_bins)[:, None] & is_channel_C[None, :]
    tl.store(out + place_MC, sum_MC.to(out.dtype.element_ty), mask=mask_MC)


@triton.jit(do_not_specialize=["frames"])
def _gated_convolution(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    x, lengths, weight, bias, out, frames, width,
    TAPS: tl.constexpr, TIMES: tl.constexpr, WIDTHS: tl.constexpr,
):  # fmt: skip
    """silu(depthwise(values · sigmoid(gates))) of a block of frames; x (B, T, 2 D) is contiguous."""
    batch, time_T = tl.program_id(2).to(tl.int64), tl.program_id(0) * TIMES + tl.arange(0, TIMES)
    dim_D = tl.program_id(1) * WIDTHS + tl.arange(0, WIDTHS)
    is_dim_D = dim_D < width
    length = tl.load(lengths + batch)
    sum_TD = tl.zeros((TIMES, WIDTHS), tl.float32)
    sum_TD += tl.load(bias + dim_D, mask=is_dim_D, other=0.0).to(tl.float32)[None, :]
    for tap in tl.static_range(TAPS):
        from_T = time_T + tap - TAPS // 2
        mask_TD = ((from_T >= 0) & (from_T < length))[:, None] & is_dim_D[None, :]
        place_TD = x + (batch * frames + from_T[:, None]) * (2 * width) + dim_D[None, :]
        value_TD = tl.load(place_TD, mask=mask_TD, other=0.0).to(tl.float32)
        gate_TD = tl.load(place_TD + width, mask=mask_TD, other=0.0).to(tl.float32)
        weight_D = tl.load(weight + tap * width + dim_D, mask=is_dim_D, other=0.0).to(tl.float32)
        sum_TD += value_TD / (1 + tl.exp(-gate_TD)) * weight_D[None, :]
    place_TD = out + (batch * frames + time_T[:, None]) * width + dim_D[None, :]
    mask_TD = (time_T < frames)[:, None] & is_dim_D[None, :]
    tl.store(place_TD, (sum_TD / (1 + tl.exp(-sum_TD))).to(out.dtype.element_ty), mask=mask_TD)


@triton.jit
def _silu_rounded(x, scale, out, count, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """silu(x) / scale in e4m3."""
    at_N = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    x_N = tl.load(x + at_N, mask=at_N < count, other=0.0).to(tl.float32)
    x_N = x_N / (1 + tl.exp(-x_N)) / tl.load(scale)
    x_N = tl.minimum(tl.maximum(x_N, -LARGEST), LARGEST)
    tl.store(out + at_N, x_N.to(out.dtype.element_ty), mask=at_N < count)


@triton.jit
def _norm(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    x, weight, bias, scale, out, width, guard, HAS_SCALE: tl.constexpr, WIDTH: tl.constexpr
):  # fmt: skip
    """The layer norm of a row; with a scale over it, in e4m3."""
    row, dim_D = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)
    is_dim_D = dim_D < width
    x_D = tl.load(x + row * width + dim_D, mask=is_dim_D, other=0.0).to(tl.float32)
    centred_D = tl.where(is_dim_D, x_D - tl.sum(x_D) / width, 0.0)
    x_D = centred_D / tl.sqrt(tl.sum(centred_D * centred_D) / width + guard)
    x_D = x_D * tl.load(weight + dim_D, mask=is_dim_D, other=0.0).to(tl.float32)
    x_D += tl.load(bias + dim_D, mask=is_dim_D, other=0.0).to(tl.float32)
    if HAS_SCALE:
        x_D = tl.minimum(tl.maximum(x_D / tl.load(scale), -LARGEST), LARGEST)
    tl.store(out + row * width + dim_D, x_D.to(out.dtype.element_ty), mask=is_dim_D)


class FusedEncoder:
    """Stands in for `Encoder.padded`, on the encoder's own weights."""

    def __init__(self, encoder: Encoder):
        """To be made when the encoder lies on its device, in its type, and quantized if it shall be."""
        self.encoder = encoder
        subsampling = encoder.subsampling
        self._kernels_9C = [
            kernel.flatten(1).t().contiguous() for kernel in (subsampling.first_C133, *subsampling.depthwise)
        ]
        self._pointwise_CC = [kernel.flatten(1) for kernel in subsampling.pointwise]
        self._taps_JD = [layer.convolution.kernel_D11J.flatten(1).t().contiguous() for layer in encoder.layers]
        norm = encoder.layers[0].norm.weight
        sinusoids_PD = sinusoids(KEPT_REACH, encoder.shape.d_model, norm.device).to(norm.dtype)
        self._positions = [_positions(layer.attention, sinusoids_PD) for layer in encoder.layers]

    def __call__(self, features_BTM: torch.Tensor, frames_B: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
        """`Encoder.padded`; all arguments lie on the device."""
        x_BTD = self.encoder._scaled(self._subsampled(features_BTM, frames_B))
        batch, frames, width = x_BTD.shape
        hidden_B11T = (torch.arange(frames, device=x_BTD.device) >= lengths_B[:, None])[:, None, None]
        positions = self._positions_for(frames)
        for layer, taps_JD, p in zip(self.encoder.layers, self._taps_JD, positions, strict=True):
            x_ND = x_BTD.view(batch * frames, width)
            _add_forward(x_ND, layer.first)
            _add_attention(x_BTD, layer.attention, hidden_B11T, p)
            _add_convolution(x_BTD, layer.convolution, taps_JD, lengths_B)
            _add_forward(x_ND, layer.second)
            x_BTD = normed(x_BTD, layer.norm)
        return x_BTD

    def _subsampled(self, features_BTM: torch.Tensor, frames_B: torch.Tensor) -> torch.Tensor:
        """`Subsampling.forward`."""
        subsampling, features_BTM = self.encoder.subsampling, features_BTM.contiguous()
        first, second, third = self._kernels_9C
        level_BTMC = two_levels(subsampling, features_BTM, frames_B, first, second)
        level_BTMC = torch.nn.functional.linear(level_BTMC, self._pointwise_CC[0], subsampling.pointwise_bias[0])
        level_BTMC = third_level(subsampling, level_BTMC, frames_B, third)
        level_BTMC = torch.nn.functional.linear(level_BTMC, self._pointwise_CC[1], subsampling.pointwise_bias[1])
        out_BTD: torch.Tensor = subsampling.out(level_BTMC.relu_().flatten(2))
        return out_BTD

    def _positions_for(self, frames: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        if frames - 1 > KEPT_REACH or self.encoder.reach:
            return self.encoder._positions(frames)
        inside = slice(KEPT_REACH - frames + 1, KEPT_REACH + frames)
        return [(p_HKP[:, :, inside], c_H1P[:, :, inside]) for p_HKP, c_H1P in self._positions]


def _positions(attention: Attention, sinusoids_PD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`Attention.positions`, each position's numbers side by side."""
    p_HKP, c_H1P = attention.positions(sinusoids_PD)
    return p_HKP.permute(2, 0, 1).contiguous().permute(1, 2, 0), c_H1P


def two_levels(
    subsampling: Subsampling,
    features_BTM: torch.Tensor,
    frames_B: torch.Tensor,
    first_9C: torch.Tensor,
    second_9C: torch.Tensor,
) -> torch.Tensor:
    """The second level (B, T / 4, M / 4, C) before its pointwise convolution."""
    batch, frames, bins = features_BTM.shape
    channels, first_bins = first_9C.shape[1], halved(bins)
    out_frames, out_bins = halved(halved(frames)), halved(first_bins)
    out_BTMC = features_BTM.new_empty(batch, out_frames, out_bins, channels)
    _two_levels[(out_frames, batch, triton.cdiv(channels, CHANNELS))](
        features_BTM, frames_B, first_9C, subsampling.first_bias_C, second_9C, subsampling.depthwise_bias[0], out_BTMC,
        *features_BTM.stride()[:2], bins, first_bins, out_bins, out_frames, channels,
        BINS=max(NARROWEST, triton.next_power_of_2(out_bins)), CHANNELS=CHANNELS,
    )  # fmt: skip
    return out_BTMC


def third_level(
    subsampling: Subsampling, level_BTMC: torch.Tensor, frames_B: torch.Tensor, weight_9C: torch.Tensor
) -> torch.Tensor:
    """The third level (B, T / 8, M / 8, C) before its pointwise convolution, from the second before its ReLU."""
    batch, frames, bins, channels = level_BTMC.shape
    out_BTMC = level_BTMC.new_empty(batch, halved(frames), halved(bins), channels)
    _third_level[(out_BTMC.shape[1], batch, triton.cdiv(channels, CHANNELS))](
        level_BTMC, frames_B, weight_9C, subsampling.depthwise_bias[1], out_BTMC,
        frames, bins, *out_BTMC.shape[1:3], channels,
        BINS=triton.next_power_of_2(out_BTMC.shape[2]), CHANNELS=CHANNELS,
    )  # fmt: skip
    return out_BTMC


def gated_convolution(
    x_BTX: torch.Tensor, lengths_B: torch.Tensor, taps_JD: torch.Tensor, bias_D: torch.Tensor
) -> torch.Tensor:
    """silu(depthwise(glu(x))) (B, T, D) over the frames before each recording's end; x (B, T, 2 D)."""
    batch, frames, twice = x_BTX.shape
    width = twice // 2
    out_BTD = x_BTX.new_empty(batch, frames, width)
    _gated_convolution[(triton.cdiv(frames, TIMES), triton.cdiv(width, WIDTHS), batch)](
        x_BTX, lengths_B, taps_JD, bias_D, out_BTD, frames, width, TAPS=len(taps_JD), TIMES=TIMES, WIDTHS=WIDTHS
    )
    return out_BTD


def silu_rounded(x_NX: torch.Tensor, scale: torch.Tensor, dtype: torch.dtype = torch.float8_e4m3fn) -> torch.Tensor:
    """`fp8.rounded` of silu(x); another type holds what would be rounded."""
    out_NX = torch.empty_like(x_NX, dtype=dtype)
    _silu_rounded[(triton.cdiv(x_NX.numel(), BLOCK),)](x_NX, scale, out_NX, x_NX.numel(), BLOCK=BLOCK)
    return out_NX


def norm_rounded(
    x_ND: torch.Tensor, norm: torch.nn.LayerNorm, scale: torch.Tensor, dtype: torch.dtype = torch.float8_e4m3fn
) -> torch.Tensor:
    """`fp8.rounded` of a layer norm; another type holds what would be rounded."""
    return _normed(x_ND, norm, scale, torch.empty_like(x_ND, dtype=dtype))


def normed(x: torch.Tensor, norm: torch.nn.LayerNorm) -> torch.Tensor:
    """A layer norm over the last dimension; PyTorch's kernel reads wide rows at half the speed."""
    return _normed(x, norm, None, torch.empty_like(x))


def _normed(x: torch.Tensor, norm: torch.nn.LayerNorm, scale: torch.Tensor | None, out: torch.Tensor) -> torch.Tensor:
    width = x.shape[-1]
    _norm[(x.numel() // width,)](
        x, norm.weight, norm.bias, norm.weight if scale is None else scale, out, width, norm.eps,
        HAS_SCALE=scale is not None, WIDTH=triton.next_power_of_2(width),
    )  # fmt: skip
    return out


def _add_forward(x_ND: torch.Tensor, forward: FeedForward) -> None:
    up, down = forward.up, forward.down
    if isinstance(up, Float8Linear) and isinstance(down, Float8Linear):
        x_NI = norm_rounded(x_ND, forward.norm, up.input_scale)
        inner_NX = silu_rounded(up.product(x_NI, x_ND.dtype), down.input_scale)
        x_ND += down.product(inner_NX, x_ND.dtype)
        return
    inner_NX = torch.nn.functional.silu(forward.up(normed(x_ND, forward.norm)), inplace=True)
    _add_product(x_ND, inner_NX, forward.down)


def _add_attention(
    x_BTD: torch.Tensor, attention: Attention, hidden_B11T: torch.Tensor, p: tuple[torch.Tensor, torch.Tensor]
) -> None:
    q_BHTK, k_BHTK, v_BHTK = attention.split(attention.qkv(normed(x_BTD, attention.norm))).unbind(0)
    out_BHTK = attend_fused(q_BHTK, k_BHTK, v_BHTK, *p, hidden_B11T)
    _add_product(x_BTD.flatten(0, 1), out_BHTK.transpose(1, 2).flatten(2).flatten(0, 1), attention.out)


def _add_convolution(
    x_BTD: torch.Tensor, convolution: Convolution, taps_JD: torch.Tensor, lengths_B: torch.Tensor
) -> None:
    entered_BTX = convolution.enter(normed(x_BTD, convolution.norm))
    made_BTD = gated_convolution(entered_BTX, lengths_B, taps_JD, convolution.bias_D)
    _add_product(x_BTD.flatten(0, 1), made_BTD.flatten(0, 1), convolution.leave)


def _add_product(x_ND: torch.Tensor, inner_NX: torch.Tensor, layer: torch.nn.Linear) -> None:
    """x += layer(inner), in place."""
    x_ND.addmm_(inner_NX, layer.weight.t())
    if layer.bias is not None:
        x_ND += layer.bias
