"""8-bit floats by their definition, and what they change in an encoder of real speech."""

import json
from difflib import SequenceMatcher
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shoptalk.core import audio
from shoptalk.core.errors import ModelError
from shoptalk.engine.encoder import Encoder, FeedForward
from shoptalk.engine.gpu.fp8 import LARGEST, Float8Linear, quantize, rounded
from shoptalk.engine.greedy import decode
from shoptalk.engine.recognizer import Engine
from shoptalk.engine.weights import open_checkpoint

ROOT = Path(__file__).parents[3]
GENERAL = ROOT / "assets/general"
TINY = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"


@given(st.floats(-1e4, 1e4, width=32), st.sampled_from([0.25, 1.0, 3.0]))
def test_rounding_keeps_three_bits_behind_the_point(number: float, scale: float) -> None:
    found = rounded(torch.tensor([number]), torch.tensor(scale)).float().item() * scale
    wanted = max(-LARGEST * scale, min(LARGEST * scale, number))
    assert abs(found - wanted) <= max(abs(wanted) / 16, scale * 2**-10) * (1 + 1e-6)


DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("has_bias", [True, False])
def test_a_layer_is_near_the_one_it_replaces(has_bias: bool, dtype: torch.dtype) -> None:
    """On a GPU this is its own product, which takes other types and layouts than a CPU does."""
    generator = torch.Generator().manual_seed(1)
    with torch.inference_mode():
        layer = torch.nn.Linear(256, 64, bias=has_bias)
        layer.weight.copy_(torch.randn(64, 256, generator=generator) / 16)
        x_BTI = torch.randn(2, 50, 256, generator=generator)
        layer, x_BTI = layer.to(DEVICE, dtype), x_BTI.to(DEVICE, dtype)
        found, expected = Float8Linear(layer, x_BTI.abs().amax().item())(x_BTI), layer(x_BTI)
    assert found.shape == expected.shape and found.dtype == dtype
    # two roundings of relative spread 2**-4 / sqrt(12) each
    assert (found - expected).norm() / expected.norm() < 0.04


def test_real_speech_gives_nearly_the_same_tokens() -> None:
    """Calibrated on other recordings than it is tried on."""
    lines = [json.loads(line) for line in (GENERAL / "test.jsonl").read_text(encoding="utf-8").splitlines()[:600:20]]
    engine, (shape, weights, _) = Engine(TINY), open_checkpoint(TINY)
    speech = [torch.from_numpy(audio.decode(GENERAL / line["audio_filepath"])) for line in lines]

    def features(some: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        return engine.features(torch.nn.utils.rnn.pad_sequence(some, batch_first=True), torch.tensor([*map(len, some)]))

    encoder = Encoder(shape, weights.below("encoder"))
    quantize(encoder, [features(speech[:10])])
    assert sum(isinstance(one, Float8Linear) for one in encoder.modules()) == 4 * shape.layers
    with torch.inference_mode():
        plain, quantized = (decode(engine.steps, *one(*features(speech[10:]))) for one in (engine.encoder, encoder))
    matched = total = 0
    for reference, hypothesis in zip(plain, quantized, strict=True):
        blocks = SequenceMatcher(None, reference.tokens, hypothesis.tokens, autojunk=False).get_matching_blocks()
        matched += sum(block.size for block in blocks)
        total += len(reference.tokens)
    assert matched / total > 0.8  # 0.95, and 0.87 where another library reads the same Opus files


def test_without_recordings_there_are_no_scales() -> None:
    shape, weights, _ = open_checkpoint(TINY)
    encoder = Encoder(shape, weights.below("encoder"))
    with pytest.raises(ModelError, match="no recordings"):
        quantize(encoder, [])
    assert all(isinstance(one.up, torch.nn.Linear) for one in encoder.modules() if isinstance(one, FeedForward))
