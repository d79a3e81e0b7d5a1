"""The FastConformer encoder (arXiv 2305.05084) in plain PyTorch, its weights folded for inference.

Folded in:

- BatchNorm into the depthwise convolution;
- the factor 0.5 of each feed-forward into its second matrix;
- query, key and value into one matrix, with the bias u and the root of the head's width in the query's part.

On a CPU recordings run packed: one behind the other, without padding. On a GPU they run padded to a batch.

Shapes: B recordings, T frames of 80 ms, N frames of all recordings, D width, H heads, K = D / H, P positions, J frames
of the depthwise convolution.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch.nn.functional import conv2d, pad

from shoptalk.engine.attention import attend_blocks, attend_whole, sinusoids
from shoptalk.engine.elementwise import glu, silu
from shoptalk.engine.shape import Shape
from shoptalk.engine.subsampling import Subsampling
from shoptalk.engine.weights import Weights, frozen, linear

NORM_GUARD = 1e-5  # of BatchNorm
REACH_STEP = 128
PACKED_STEP = 64
"""Packed frames are filled up to a multiple of this by one more recording, of zeros.

PyTorch computes the last numbers of a tensor one by one, in other bits than those it computes in vectors. Filled up,
there are none, so a recording's frames do not depend on how many others there are.
"""
KEPT_REACH = 512
"""Frames (41 s) to which projected positions are kept (100 MB for Parakeet's 24 layers); beyond they are computed."""


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Let cuDNN convolve float32 in float32: unless told otherwise it keeps 11 of 24 bits (TF32), and tokens change."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


class FeedForward(torch.nn.Module):
    """Half a feed-forward: ``0.5 · down(silu(up(norm(x))))``."""

    def __init__(self, width: int, weights: Weights, name: str):
        super().__init__()
        self.norm = weights.layer_norm(f"norm_{name}", width)
        inner = weights.take(f"{name}.linear1.weight").shape[0]
        self.up = weights.linear(f"{name}.linear1", width, inner)
        self.down = weights.linear(f"{name}.linear2", inner, width)
        for parameter in self.down.parameters():
            parameter.mul_(0.5)

    def forward(self, x_ND: torch.Tensor) -> torch.Tensor:
        out_ND: torch.Tensor = self.down(silu(self.up(self.norm(x_ND))))
        return out_ND


class Attention(torch.nn.Module):
    """Self-attention with relative positions."""

    def __init__(self, shape: Shape, weights: Weights):
        super().__init__()
        self.heads = shape.heads
        width = shape.d_model
        head_width = width // self.heads
        self.norm = weights.layer_norm("norm_self_att", width)
        below = weights.below("self_attn")
        u_D = below.take("pos_bias_u", self.heads, head_width).flatten()
        v_D = below.take("pos_bias_v", self.heads, head_width).flatten()
        scale = 1 / math.sqrt(head_width)
        query = below.linear("linear_q", width, width)
        key = below.linear("linear_k", width, width)
        value = below.linear("linear_v", width, width)
        weight_XD = torch.cat((query.weight * scale, key.weight, value.weight))  # X = 3 * D
        bias_X = torch.cat(((_bias(query) + u_D) * scale, _bias(key), _bias(value)))
        self.qkv = linear(weight_XD, bias_X)
        self.position = below.linear("linear_pos", width, width)
        self.v_minus_u_HK = frozen(((v_D - u_D) * scale).view(self.heads, -1))
        self.out = below.linear("linear_out", width, width)
        self.attend = attend_whole  # `gpu.attention.fuse` puts its own here

    def positions(self, sinusoids_PD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Projected positions (H, K, P), and what the bias v adds to their scores beyond u's part (H, 1, P).

        Both are computed for a multiple of `PACKED_STEP` positions, so a position is the same in every table.
        """
        if torch.onnx.is_in_onnx_export():  # whose positions are any number
            return self._projected(sinusoids_PD)
        positions = len(sinusoids_PD)
        p_HKP, c_H1P = self._projected(pad(sinusoids_PD, (0, 0, 0, -positions % PACKED_STEP)))
        return p_HKP[:, :, :positions], c_H1P[:, :, :positions]

    def _projected(self, sinusoids_PD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        p_HKP = self.position(sinusoids_PD).view(-1, *self.v_minus_u_HK.shape).permute(1, 2, 0).contiguous()
        return p_HKP, torch.matmul(self.v_minus_u_HK[:, None], p_HKP)

    def project(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """Query, key and value (3, B, H, T, K)."""
        return self.split(self.qkv(self.norm(x_BTD)))

    def split(self, qkv_BTX: torch.Tensor) -> torch.Tensor:
        """What `qkv` gives as (3, B, H, T, K)."""
        batch, frames, _ = qkv_BTX.shape
        return qkv_BTX.view(batch, frames, 3, self.heads, -1).permute(2, 0, 3, 1, 4)

    def packed(self, x_ND: torch.Tensor, frames: list[int], p: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Packed recordings, each of which attends to itself."""
        attended = []
        for qkv_31HTK in self.project(x_ND[None]).split(frames, dim=3):
            q_1HTK, k_1HTK, v_1HTK = qkv_31HTK.unbind(0)
            attended.append(attend_blocks(q_1HTK, k_1HTK, v_1HTK, *p))
        out_1HNK = torch.cat(attended, dim=2)
        out_ND: torch.Tensor = self.out(out_1HNK[0].transpose(0, 1).flatten(1))
        return out_ND

    def padded(
        self, x_BTD: torch.Tensor, hidden_BT: torch.Tensor, p: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        q_BHTK, k_BHTK, v_BHTK = self.project(x_BTD).unbind(0)
        out_BHTK = self.attend(q_BHTK, k_BHTK, v_BHTK, *p, hidden_BT[:, None, None])
        out_BTD: torch.Tensor = self.out(out_BHTK.transpose(1, 2).flatten(2))
        return out_BTD


def _bias(layer: torch.nn.Linear) -> torch.Tensor:
    return layer.bias if layer.bias is not None else torch.zeros(layer.out_features)


class Convolution(torch.nn.Module):
    """Gated depthwise convolution over time."""

    def __init__(self, shape: Shape, weights: Weights):
        super().__init__()
        width = shape.d_model
        self.norm = weights.layer_norm("norm_conv", width)
        below = weights.below("conv")
        self.enter = below.linear("pointwise_conv1", width, 2 * width)
        bias_D = below.take_if_there("depthwise_conv.bias", width)
        norm = below.below("batch_norm")
        scale_D = norm.take("weight", width) / (norm.take("running_var", width) + NORM_GUARD).sqrt()
        centre_D = norm.take("running_mean", width) - (0.0 if bias_D is None else bias_D)
        kernel_D1J = below.take("depthwise_conv.weight", width, 1, shape.kernel)
        self.kernel_D11J = frozen((kernel_D1J * scale_D[:, None, None])[:, :, None])
        self.bias_D = frozen(norm.take("bias", width) - centre_D * scale_D)
        self.leave = below.linear("pointwise_conv2", width, width)
        self.side = shape.kernel // 2

    def gated(self, x_BTD: torch.Tensor) -> torch.Tensor:
        return glu(self.enter(self.norm(x_BTD)))

    def packed(self, x_ND: torch.Tensor, spacing: "Spacing") -> torch.Tensor:
        """Packed recordings, convolved with as many zeros between them as the kernel reaches (S frames in all)."""
        spaced_1SD = x_ND.new_zeros(1, spacing.length, x_ND.shape[1])
        spaced_1SD[0, spacing.places_N] = self.gated(x_ND)
        convolved_ND = self._depthwise(spaced_1SD)[0, spacing.places_N]
        out_ND: torch.Tensor = self.leave(silu(convolved_ND))
        return out_ND

    def padded(self, x_BTD: torch.Tensor, hidden_BT: torch.Tensor) -> torch.Tensor:
        gated_BTD = self.gated(x_BTD).masked_fill(hidden_BT[..., None], 0.0)
        out_BTD: torch.Tensor = self.leave(silu(self._depthwise(gated_BTD)))
        return out_BTD

    def _depthwise(self, x_BTD: torch.Tensor) -> torch.Tensor:
        # seen as an image one pixel high with the channels last, which oneDNN convolves five times as fast
        image_BD1T = x_BTD.transpose(1, 2)[:, :, None]
        out_BD1T = conv2d(image_BD1T, self.kernel_D11J, self.bias_D, padding=(0, self.side), groups=len(self.bias_D))
        return out_BD1T[:, :, 0].transpose(1, 2)


class Spacing:
    """Where the frames of packed recordings lie in a sequence with `zeros` frames between them."""

    def __init__(self, frames: list[int], zeros: int, device: torch.device):
        self.length = sum(frames) + zeros * (len(frames) - 1)
        recording_N = torch.repeat_interleave(torch.arange(len(frames)), torch.tensor(frames))
        self.places_N = (torch.arange(sum(frames)) + recording_N * zeros).to(device)


class Layer(torch.nn.Module):
    """One FastConformer layer."""

    def __init__(self, shape: Shape, weights: Weights):
        super().__init__()
        self.first = FeedForward(shape.d_model, weights, "feed_forward1")
        self.attention = Attention(shape, weights)
        self.convolution = Convolution(shape, weights)
        self.second = FeedForward(shape.d_model, weights, "feed_forward2")
        self.norm = weights.layer_norm("norm_out", shape.d_model)

    def packed(
        self, x_ND: torch.Tensor, frames: list[int], spacing: Spacing, p: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        x_ND = x_ND + self.first(x_ND)
        x_ND += self.attention.packed(x_ND, frames, p)
        x_ND += self.convolution.packed(x_ND, spacing)
        x_ND += self.second(x_ND)
        out_ND: torch.Tensor = self.norm(x_ND)
        return out_ND

    def padded(
        self, x_BTD: torch.Tensor, hidden_BT: torch.Tensor, p: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        x_BTD = x_BTD + self.first(x_BTD)
        x_BTD = x_BTD + self.attention.padded(x_BTD, hidden_BT, p)
        x_BTD = x_BTD + self.convolution.padded(x_BTD, hidden_BT)
        x_BTD = x_BTD + self.second(x_BTD)
        out_BTD: torch.Tensor = self.norm(x_BTD)
        return out_BTD


class Encoder(torch.nn.Module):
    """Log-mel features to frames of 80 ms."""

    def __init__(self, shape: Shape, weights: Weights):
        super().__init__()
        self.shape = shape
        self.reach = shape.reach
        """Frames of attention to each side; None: all."""
        self.subsampling = Subsampling(shape, weights.below("pre_encode"))
        self.layers = [Layer(shape, weights.below(f"layers.{n}")) for n in range(shape.layers)]
        self.held = torch.nn.ModuleList(self.layers)  # so that `to` and `parameters` reach them
        self._kept: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, features_BTM: torch.Tensor, frames_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The encoder's padded frames (B, T / 8, D) of features (B, T, M), and how many count (B,), on the host.

        `frames_B` are the mel frames that count.
        """
        lengths_B = self.subsampling.frames(frames_B)
        if features_BTM.is_cuda and self.reach is None:
            return self.padded(features_BTM, frames_B, lengths_B), lengths_B
        rows = [features_BTM[row, :frames] for row, frames in enumerate(frames_B.tolist())]
        return torch.nn.utils.rnn.pad_sequence(self.packed(rows), batch_first=True), lengths_B

    def packed(self, features: list[torch.Tensor]) -> list[torch.Tensor]:
        """The frames (T / 8, D) of each recording, from its features (T, M)."""
        rows = [self.subsampling.tiled(features_TM) for features_TM in features]
        missing = -sum(len(row) for row in rows) % PACKED_STEP
        if missing:
            rows.append(rows[0].new_zeros(missing, self.shape.d_model))
        frames = [len(row) for row in rows]
        x_ND = self._scaled(torch.cat(rows))
        spacing = Spacing(frames, self.shape.kernel // 2, x_ND.device)
        for layer, p in zip(self.layers, self._positions(max(frames)), strict=True):
            x_ND = layer.packed(x_ND, frames, spacing, p)
        return list(x_ND.split(frames))[: len(features)]

    def padded(self, features_BTM: torch.Tensor, frames_B: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
        """Padded frames of padded features; attention sees all frames of a recording."""
        with exact_convolutions() if features_BTM.is_cuda else nullcontext():
            return self._padded(features_BTM, frames_B, lengths_B)

    def _padded(self, features_BTM: torch.Tensor, frames_B: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
        x_BTD = self._scaled(self.subsampling(features_BTM, frames_B))
        hidden_BT = torch.arange(x_BTD.shape[1], device=x_BTD.device) >= lengths_B.to(x_BTD.device)[:, None]
        for layer, p in zip(self.layers, self._positions(x_BTD.shape[1]), strict=True):
            x_BTD = layer.padded(x_BTD, hidden_BT, p)
        return x_BTD

    def forget_positions(self) -> None:
        """To be called when the weights were changed in place: the positions that are kept are of the old ones."""
        self._kept = []

    def _scaled(self, x: torch.Tensor) -> torch.Tensor:
        return x * math.sqrt(self.shape.d_model) if self.shape.scaled_input else x

    def _positions(self, frames: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """The projected positions of each layer, where the longest recording has so many frames.

        Up to `KEPT_REACH` they are kept, in steps of `REACH_STEP`, and a part of what is kept is returned.
        """
        wanted = frames - 1 if self.reach is None else self.reach
        reach = self._kept[0][0].shape[2] // 2 if self._kept else -1
        table = self._kept
        if wanted > reach:
            is_kept = wanted <= KEPT_REACH
            reach = wanted + -wanted % REACH_STEP if is_kept else wanted
            sinusoids_PD = sinusoids(reach, self.shape.d_model, self.layers[0].norm.weight.device)
            table = [layer.attention.positions(sinusoids_PD.to(layer.norm.weight.dtype)) for layer in self.layers]
            if is_kept:
                self._kept = table
        inside = slice(reach - wanted, reach + wanted + 1)
        return [(p_HKP[:, :, inside], c_H1P[:, :, inside]) for p_HKP, c_H1P in table]
