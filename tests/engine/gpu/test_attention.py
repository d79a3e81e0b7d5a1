"""The Triton kernel against plain PyTorch, in Triton's interpreter where there is no GPU; compiled for two cards."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.engine.attention import attend_whole
from shoptalk.engine.encoder import Encoder
from shoptalk.engine.weights import open_checkpoint

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
triton = pytest.importorskip(
    "triton", reason="Triton is not installed: `pip install triton` (1 GB); CUDA builds of torch bring it"
)
attention = pytest.importorskip("shoptalk.engine.gpu.attention")

TINY = Path(__file__).parents[3] / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
A100_SHARED, H100_SHARED = 163 * 1024, 227 * 1024  # bytes that one block may have, CUDA C++ Programming Guide


def drawn(
    seed: int,
    batch: int,
    heads: int,
    frames: int,
    width: int,
    reach: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> list[torch.Tensor]:
    """Query, key, value, positions and their constants, in the strides that the encoder gives them."""
    generator = torch.Generator().manual_seed(seed)
    positions = 2 * (frames - 1 if reach is None else reach) + 1

    def some(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(DEVICE, dtype)

    qkv = some(batch, frames, 3, heads, width).permute(2, 0, 3, 1, 4)
    return [qkv[0] / width**0.5, qkv[1], qkv[2], some(heads, width, positions), some(heads, 1, positions)]


def hidden(frames_B: list[int], frames: int) -> torch.Tensor:
    return (torch.arange(frames) >= torch.tensor(frames_B)[:, None])[:, None, None].to(DEVICE)


def attend_plainly(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, p_HKP: torch.Tensor, c_H1P: torch.Tensor,
    hidden_B11T: torch.Tensor, context: tuple[int, int],
) -> torch.Tensor:  # fmt: skip
    """By the definition, one gather, in float64; zeros where nothing is seen."""
    q, k, v, p_HKP, c_H1P = (part.double() for part in (q, k, v, p_HKP, c_H1P))
    at_T, reach = torch.arange(q.shape[2], device=q.device), p_HKP.shape[2] // 2
    distance_TT = at_T[:, None] - at_T
    place_TT = (reach - distance_TT).clamp(0, 2 * reach).expand(*q.shape[:2], -1, -1)
    scores = q @ k.transpose(2, 3) + (q @ p_HKP + c_H1P).gather(3, place_TT)
    is_seen = (distance_TT <= context[0]) & (-distance_TT <= context[1]) & ~hidden_B11T
    return scores.masked_fill(~is_seen, -torch.inf).softmax(3).nan_to_num() @ v


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 999), heads=st.integers(1, 2), frames=st.integers(1, 70), width=st.sampled_from([8, 16, 24]),
    lengths=st.lists(st.integers(1, 70), min_size=1, max_size=2),
)  # fmt: skip
def test_it_gives_what_attention_over_all_frames_gives(
    seed: int, heads: int, frames: int, width: int, lengths: list[int]
) -> None:
    inputs = drawn(seed, len(lengths), heads, frames, width)
    hidden_B11T = hidden(lengths, frames)
    torch.testing.assert_close(
        attention.attend_fused(*inputs, hidden_B11T), attend_whole(*inputs, hidden_B11T), rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(attention.attend_fused(*inputs, None), attend_whole(*inputs, None), rtol=1e-4, atol=1e-5)


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 999), frames=st.integers(1, 110), reach=st.integers(0, 60), left=st.integers(0, 70),
    right=st.integers(0, 70), length=st.integers(0, 110),
)  # fmt: skip
def test_a_band_is_seen_and_no_more(seed: int, frames: int, reach: int, left: int, right: int, length: int) -> None:
    inputs, hidden_B11T = drawn(seed, 1, 1, frames, 16, reach), hidden([length], frames)
    expected = attend_plainly(*inputs, hidden_B11T, (min(left, reach), min(right, reach)))
    found = attention.attend_fused(*inputs, hidden_B11T, context=(left, right))
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


HALVES = (
    [torch.float16] if DEVICE == "cpu" else [torch.float16, torch.bfloat16]
)  # the interpreter multiplies no bfloat16


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_summed_in_float32(dtype: torch.dtype) -> None:
    inputs = drawn(3, 2, 2, 150, 32, dtype=dtype)
    hidden_B11T = hidden([150, 90], 150)
    found = attention.attend_fused(*inputs, hidden_B11T)
    assert found.dtype == dtype
    expected = attend_plainly(*inputs, hidden_B11T, (150, 150))
    step = torch.finfo(dtype).eps
    assert (found.double() - expected).abs().max() < 2 * step * expected.abs().max()


def test_hidden_keys_do_not_matter_even_if_they_are_not_numbers() -> None:
    inputs, hidden_B11T = drawn(4, 1, 2, 60, 16), hidden([40], 60)
    before = attention.attend_fused(*inputs, hidden_B11T)
    inputs[1][:, :, 40:] = torch.nan
    torch.testing.assert_close(attention.attend_fused(*inputs, hidden_B11T)[:, :, :40], before[:, :, :40])


COMPILE = """
import json
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from shoptalk.engine.gpu import attention

options, kernel, shared = attention.launch_options(128, 2, has_hidden=True), attention._attend, {}
constants = {name: options[name] for name in ("K", "WIDTH", "N", "HAS_HIDDEN")} | {"stride_pk": 1}
kinds = dict.fromkeys(("q", "k", "v", "p", "c", "out"), "*bf16") | {"hidden": "*u8"}
signature = {name: "constexpr" if name in constants else kinds.get(name, "i32") for name in kernel.arg_names}
source = ASTSource(kernel, signature, constexprs={(kernel.arg_names.index(n),): one for n, one in constants.items()})
for capability in (80, 90):
    asked = {"num_warps": options["num_warps"], "num_stages": options["num_stages"]}
    built = compile(source, target=GPUTarget("cuda", capability, 32), options=asked)
    shared[capability] = built.metadata.shared if built.asm["cubin"] else None
print(json.dumps(shared))
"""


def test_it_compiles_for_an_a100_and_an_h100() -> None:
    """With Parakeet's heads in bfloat16; ptxas comes with Triton, so no GPU is needed."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = str(Path(attention.__file__).parents[3])
    shown = subprocess.run(
        [sys.executable, "-c", COMPILE], capture_output=True, text=True, check=False, env=environment
    )
    assert shown.returncode == 0, shown.stderr
    shared = json.loads(shown.stdout)
    assert shared["80"] <= A100_SHARED
    assert shared["90"] <= H100_SHARED


def test_an_encoder_attends_with_it() -> None:
    shape, weights, _ = open_checkpoint(TINY)
    encoder = Encoder(shape, weights.below("encoder")).to(DEVICE)
    features_BTM = torch.randn(2, 400, shape.mels, generator=torch.Generator().manual_seed(5)).to(DEVICE)
    frames_B = torch.tensor([400, 250])
    lengths_B = encoder.subsampling.frames(frames_B)
    with torch.inference_mode():
        before_BTD = encoder.padded(features_BTM, frames_B, lengths_B)
        attention.fuse(encoder)
        after_BTD = encoder.padded(features_BTM, frames_B, lengths_B)
    assert not torch.equal(after_BTD, before_BTD), "the encoder takes no other attention"
    for one_TD, other_TD, frames in zip(after_BTD, before_BTD, lengths_B.tolist(), strict=True):
        torch.testing.assert_close(one_TD[:frames], other_TD[:frames], rtol=1e-3, atol=1e-3)
