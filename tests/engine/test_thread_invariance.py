"""A recording's frames depend neither on PyTorch's threads nor on its company, at narrow widths and at Parakeet's."""

import itertools
from functools import cache
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import random_encoder
from tests.engine.test_batch_invariance import BASE, _same, recordings
from torch.nn import functional

from shoptalk.core import device
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.records import Samples
from shoptalk.core.runtime import Runtime, using_threads
from shoptalk.engine import elementwise
from shoptalk.engine.attention import BLOCK
from shoptalk.engine.encoder import Encoder
from shoptalk.engine.features import Features
from shoptalk.engine.recognizer import Engine, Precision
from shoptalk.engine.steps import _product

SHAPES = {
    "Parakeet 0.6B's widths": random_encoder.shape(d_model=1024, heads=8, channels=256, mels=128, layers=1),
    "the tiny base's widths": random_encoder.shape(d_model=144, heads=4, channels=64, mels=80, layers=2),
}
PRECISIONS = get_args(Precision)
LARGEST = 0.0 if device.machine()["cpu"].startswith("AMD") else 1e-5
"""Difference of frames, as a share of the largest number; other processors' kernels may differ in the last bits."""
MEL_FRAMES = (10, 93, 8 * BLOCK + 8, 1300)
"""Of the recordings: very few; one query more than a block of attention; more positions than the first table has."""


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", SHAPES)
@torch.inference_mode()
def test_frames_depend_neither_on_threads_nor_on_company(name: str, precision: Precision) -> None:
    encoder = random_encoder.build(SHAPES[name], precision)
    generator = torch.Generator().manual_seed(5)
    dtype = encoder.layers[0].norm.weight.dtype
    features = [torch.randn(frames, SHAPES[name].mels, generator=generator).to(dtype) for frames in MEL_FRAMES]
    alone = [_frames(encoder, [own_TM], threads=1)[0] for own_TM in features]
    for threads, some in ((1, slice(1, None)), (2, slice(None)), (3, slice(1, None))):
        for own_TD, alone_TD in zip(_frames(encoder, features[some], threads), alone[some], strict=True):
            assert (own_TD - alone_TD).abs().max() <= LARGEST * alone_TD.abs().max()
    for own_TM, alone_TD in zip(features[::2], alone[::2], strict=True):
        [own_TD] = _frames(encoder, [own_TM], threads=2)
        assert (own_TD - alone_TD).abs().max() <= LARGEST * alone_TD.abs().max()


def _frames(encoder: Encoder, features: list[torch.Tensor], threads: int) -> list[torch.Tensor]:
    """Of recordings in one batch, the first that the encoder sees."""
    encoder.forget_positions()
    with using_threads(threads):
        return encoder.packed(features)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_three_and_nine_recordings_get_the_same_words(precision: Precision) -> None:
    """Nine are shared by two workers of one thread each, three are computed by two threads together."""
    with using_threads(2):
        tested = Engine(BASE, precision=precision, runtime=Runtime(threads=2))
        spoken = [samples_T[: 3 * SAMPLE_RATE_HZ] for samples_T in recordings()]
        nine: list[Samples] = [*spoken, *spoken[:3]][:9]
        together = tested.recognize(nine)
        in_threes = [tested.recognize(nine[start : start + 3]) for start in range(0, 9, 3)]
    assert sum(len(recognition.words) for recognition in together) > 20
    _same(together, [recognition for three in in_threes for recognition in three])


@cache
def _numbers(width: int) -> torch.Tensor:
    return torch.randn(1024, 2 * width, generator=torch.Generator().manual_seed(8))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 16), st.integers(1, 9), st.sampled_from([16, 144, 176, 1024, 4096]))
def test_activations_are_those_of_one_thread(sixty_fours: int, threads: int, width: int) -> None:
    x_NX = _numbers(width)[: 64 * sixty_fours]
    gate_NW = x_NX[:, :width].contiguous()
    with using_threads(1):
        silu_NW, glu_NW = functional.silu(gate_NW), functional.glu(x_NX, dim=-1)
    with using_threads(threads):
        assert torch.equal(elementwise.silu(gate_NW.clone()), silu_NW)
        assert torch.equal(elementwise.glu(x_NX), glu_NW)


def test_activations_of_any_rows_and_dimensions_are_pytorchs() -> None:
    for threads, sizes in itertools.product((1, 3), ((1, 2), (3, 5, 8), (70, 66))):
        x = torch.randn(*sizes, generator=torch.Generator().manual_seed(9))
        turned = x.transpose(0, -1).clone()  # in the same strides
        with using_threads(threads):
            assert torch.allclose(elementwise.glu(x), functional.glu(x, dim=-1), atol=1e-6)
            assert torch.allclose(elementwise.silu(x.clone()), functional.silu(x), atol=1e-6)
            assert torch.allclose(elementwise.silu(turned.clone()), functional.silu(turned), atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.sampled_from([1, 2, 3]))
def test_rows_of_a_decoders_step_do_not_depend_on_threads(rows: int, threads: int) -> None:
    x_SI = _numbers(144)[:rows, :256].numpy()
    weight_IO = _numbers(1024)[:256, :262]
    with using_threads(1):
        alone = np.concatenate([_product(x_SI[row : row + 1], weight_IO) for row in range(rows)])
    with using_threads(threads):
        together = _product(x_SI, weight_IO)
    assert np.abs(together - alone).max() <= LARGEST * np.abs(alone).max()


@pytest.mark.parametrize("name", SHAPES)
def test_features_do_not_depend_on_threads(name: str) -> None:
    generator = torch.Generator().manual_seed(6)
    shape = SHAPES[name]
    features = Features(shape, torch.hann_window(400), torch.rand(1, shape.mels, 257, generator=generator))
    for samples in (1_600, 5 * SAMPLE_RATE_HZ + 170, 13 * SAMPLE_RATE_HZ + 333):
        signal_1S = torch.randn(1, samples, generator=generator) / 10
        computed: list[torch.Tensor] = []
        for threads in (1, 2, 3):
            with using_threads(threads):
                computed.append(features(signal_1S, torch.tensor([samples]))[0])
        for other in computed[1:]:
            assert (other - computed[0]).abs().max() <= LARGEST * computed[0].abs().max()
