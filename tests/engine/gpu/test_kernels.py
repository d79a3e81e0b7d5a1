"""The fused encoder and the fused rounds against the plain ones; in Triton's interpreter where there is no GPU."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import audio
from shoptalk.engine.encoder import Encoder
from shoptalk.engine.gpu import fp8
from shoptalk.engine.gpu.graphs import Pipeline
from shoptalk.engine.gpu.looping import Looping
from shoptalk.engine.greedy import Decoded, decode
from shoptalk.engine.recognizer import Engine
from shoptalk.engine.transducer import Transducer
from shoptalk.engine.weights import Weights, open_checkpoint

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytest.importorskip(
    "triton", reason="Triton is not installed: `pip install triton` (1 GB); CUDA builds of torch bring it"
)
layers = pytest.importorskip("shoptalk.engine.gpu.layers")
rounds = pytest.importorskip("shoptalk.engine.gpu.rounds")

ROOT = Path(__file__).parents[3]
GENERAL = ROOT / "assets/general"
TINY = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
TINY_SHAPE = open_checkpoint(TINY)[0]
D, X, J = 4, 5, 6


def random_transducer(
    seed: int, *, vocabulary: int, durations: tuple[int, ...], most: int, depth: int, activation: str
) -> Transducer:
    shape = replace(
        TINY_SHAPE, d_model=D, predictor=X, predictor_layers=depth, joint=J, activation=activation,
        vocabulary=vocabulary, durations=durations, max_symbols=most,
    )  # fmt: skip
    lstm = "decoder.prediction.dec_rnn.lstm."
    sizes: dict[str, tuple[int, ...]] = {"decoder.prediction.embed.weight": (vocabulary + 1, X)}
    for layer in range(depth):
        sizes |= {f"{lstm}weight_{kind}_l{layer}": (4 * X, X) for kind in ("ih", "hh")}
        sizes |= {f"{lstm}bias_{kind}_l{layer}": (4 * X,) for kind in ("ih", "hh")}
    outputs = vocabulary + 1 + len(durations)
    for name, inputs, width in (("pred", X, J), ("enc", D, J), ("joint_net.2", J, outputs)):
        sizes |= {f"joint.{name}.weight": (width, inputs), f"joint.{name}.bias": (width,)}
    rng = np.random.default_rng(seed)
    tensors = {name: torch.from_numpy(rng.normal(0, 1.5, size)).float() for name, size in sizes.items()}
    tensors["decoder.prediction.embed.weight"][-1] = 0  # the blank's, as NeMo pads it
    return Transducer(shape, Weights(Path("random"), tensors)).to(DEVICE)


def assert_same(hypotheses: list[Decoded], references: list[Decoded]) -> None:
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        assert (hypothesis.tokens, hypothesis.frames) == (reference.tokens, reference.frames)
        assert hypothesis.spans == reference.spans
        assert hypothesis.confidences == pytest.approx(reference.confidences, abs=2e-3)


@given(
    seed=st.integers(0, 9999), vocabulary=st.sampled_from([1, 6]), most=st.sampled_from([1, 3]),
    depth=st.integers(1, 2), activation=st.sampled_from(["relu", "tanh", "sigmoid"]),
    durations=st.sampled_from([(0, 1, 2, 3, 4), (0, 9)]), window=st.sampled_from([3, 8]),
    lengths=st.lists(st.integers(0, 20), min_size=1, max_size=3),
)  # fmt: skip
@settings(max_examples=12, deadline=None)
def test_the_rounds_say_what_looping_says(
    seed: int, vocabulary: int, most: int, depth: int, activation: str, durations: tuple[int, ...], window: int,
    lengths: list[int],
) -> None:  # fmt: skip
    transducer = random_transducer(
        seed, vocabulary=vocabulary, durations=durations, most=most, depth=depth, activation=activation
    )
    encoded_BTD = torch.from_numpy(np.random.default_rng(seed).normal(0, 1.5, (len(lengths), 20, D))).float().to(DEVICE)
    frames_B = torch.tensor(lengths)
    with torch.inference_mode():
        fused = rounds.FusedLooping(transducer, window=window, rounds=3).decode(encoded_BTD, frames_B)
        assert_same(fused, Looping(transducer, window=window, rounds=3).decode(encoded_BTD, frames_B))


@pytest.mark.parametrize(("batch", "frames", "width", "taps"), [(2, 37, 24, 9), (1, 1, 130, 3), (3, 16, 128, 5)])
def test_the_gated_convolution_is_the_plain_one(batch: int, frames: int, width: int, taps: int) -> None:
    generator = torch.Generator().manual_seed(frames)
    x_BTX, kernel_DJ, bias_D = (
        torch.randn(*size, generator=generator) for size in ((batch, frames, 2 * width), (width, taps), (width,))
    )
    lengths_B = torch.tensor([frames, 0, frames // 2][:batch])
    hidden_BT1 = (torch.arange(frames) >= lengths_B[:, None])[..., None]
    gated_BDT = torch.nn.functional.glu(x_BTX, dim=-1).masked_fill(hidden_BT1, 0.0).transpose(1, 2)
    plain_BDT = torch.nn.functional.conv1d(gated_BDT, kernel_DJ[:, None], bias_D, padding=taps // 2, groups=width)
    arguments = (x_BTX, lengths_B, kernel_DJ.t().contiguous(), bias_D)
    fused_BTD = layers.gated_convolution(*(part.to(DEVICE) for part in arguments)).cpu()
    expected_BTD = torch.nn.functional.silu(plain_BDT.transpose(1, 2))
    torch.testing.assert_close(fused_BTD, expected_BTD, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("frames", "lengths"), [(41, [41, 20]), (64, [0, 64]), (8, [1])])
def test_the_subsampling_is_the_plain_one(frames: int, lengths: list[int]) -> None:
    encoder = Encoder(TINY_SHAPE, open_checkpoint(TINY)[1].below("encoder"))
    generator = torch.Generator().manual_seed(frames)
    features_BTM, frames_B = (
        torch.randn(len(lengths), frames, TINY_SHAPE.mels, generator=generator),
        torch.tensor(lengths),
    )
    with torch.inference_mode():
        plain_BTD = encoder.subsampling(features_BTM, frames_B)
        fused = layers.FusedEncoder(encoder.to(DEVICE))
        fused_BTD = fused._subsampled(features_BTM.to(DEVICE), frames_B.to(DEVICE)).cpu()
    torch.testing.assert_close(fused_BTD, plain_BTD, rtol=1e-3, atol=1e-3 * float(plain_BTD.abs().max()))


def test_what_goes_into_an_8_bit_product_is_what_goes_there_plainly() -> None:
    """Before the rounding where there is no GPU, since the interpreter rounds 7.9 to 4."""
    generator = torch.Generator().manual_seed(2)
    x_ND, scale = torch.randn(37, 24, generator=generator).to(DEVICE) * 30, torch.tensor(0.07, device=DEVICE)
    norm = torch.nn.LayerNorm(24).to(DEVICE)
    dtype = torch.float32 if DEVICE == "cpu" else torch.float8_e4m3fn
    with torch.inference_mode():
        norm.weight.copy_(torch.randn(24, generator=generator))
        norm.bias.copy_(torch.randn(24, generator=generator))
        pairs = (
            (layers.silu_rounded(x_ND, scale, dtype), torch.nn.functional.silu(x_ND) / scale),
            (layers.norm_rounded(x_ND, norm, scale, dtype), norm(x_ND) / scale),
        )
        torch.testing.assert_close(layers.normed(x_ND, norm), norm(x_ND), rtol=1e-4, atol=1e-5)
    for fused, plain in pairs:
        held = plain.clamp(-fp8.LARGEST, fp8.LARGEST)
        step = 1e-4 if dtype == torch.float32 else 2**-4
        torch.testing.assert_close(fused.float(), held, rtol=step, atol=step * 2**-6)


def test_real_speech_gives_the_same_tokens() -> None:
    """Two short recordings through all kernels at once, in the pipeline that would run them."""
    lines = [json.loads(line) for line in (GENERAL / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    some = [line for line in lines if line["duration"] < 1.6 or DEVICE == "cuda"][:2]
    engine, (shape, weights, _) = Engine(TINY), open_checkpoint(TINY)
    speech = [audio.decode(GENERAL / line["audio_filepath"]) for line in some]
    samples = [torch.from_numpy(samples_T) for samples_T in speech]
    features_BTM, frames_B = engine.features(
        torch.nn.utils.rnn.pad_sequence(samples, batch_first=True), torch.tensor([len(part) for part in samples])
    )
    encoder = Encoder(shape, weights.below("encoder")).to(DEVICE)
    with torch.inference_mode():
        looping = rounds.FusedLooping(Transducer(shape, weights).to(DEVICE))
        pipeline = Pipeline(encoder, looping, padded=layers.FusedEncoder(encoder))
        [fused] = pipeline.decode([(features_BTM.to(DEVICE), frames_B)])
    assert_same(fused, decode(engine.steps, *engine.encode(speech)))
    assert sum(len(row.tokens) for row in fused) > 4
