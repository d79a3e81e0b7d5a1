"""A recording's result does not depend on what is transcribed beside it: in every precision, on every path."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import audio, device
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import Feed, Options, Phrase
from shoptalk.core.records import Recognition, Samples
from shoptalk.engine import int8
from shoptalk.engine.greedy import decode
from shoptalk.engine.recognizer import Engine, Precision
from shoptalk.engine.streaming import Streamer, StreamSetting

ROOT = Path(__file__).parents[2]
BASE = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
PRECISIONS = get_args(Precision)
PHRASES = Options(phrases=(Phrase("Apixaban"), Phrase("the weather", 2.0)), alternatives=2)


@cache
def recordings() -> list[Samples]:
    """Real recordings of many lengths, one of them in windows, one shorter than a frame."""
    lines = (ROOT / "assets/general/test.jsonl").read_text(encoding="utf-8").splitlines()[:1000:201]
    spoken = [audio.decode(ROOT / "assets/general" / json.loads(line)["audio_filepath"]) for line in lines]
    spoken = [samples_T[: 4 * SAMPLE_RATE_HZ] for samples_T in spoken]
    long_T = np.resize(np.concatenate(spoken), 31 * SAMPLE_RATE_HZ)
    return [*spoken, long_T, spoken[0][:500], np.float32(0.05) * spoken[1]]


@cache
def engine(precision: Precision, beam: int) -> Engine:
    return Engine(BASE, precision=precision, beam=beam, batch=16)


def _same(some: Sequence[Recognition], others: Sequence[Recognition]) -> None:
    """Equal texts, words, times and alternatives; confidences but for the rounding of the fourth decimal."""
    assert [recognition.text for recognition in some] == [recognition.text for recognition in others]
    for recognition, other in zip(some, others, strict=True):
        places = [[(word.word, word.start_s, word.end_s) for word in each.words] for each in (recognition, other)]
        assert places[0] == places[1]
        confidences = [[word.confidence for word in each.words] for each in (recognition, other)]
        assert np.allclose(*confidences, rtol=0, atol=2e-4)
        alternatives = [[each.text for each in of.alternatives] for of in (recognition, other)]
        assert alternatives[0] == alternatives[1]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("beam", "options"), [(1, Options()), (4, Options()), (1, PHRASES)], ids=["greedy", "beam", "phrases"]
)
def test_company_order_and_padding_change_nothing(precision: Precision, beam: int, options: Options) -> None:
    tested = engine(precision, beam)

    def recognize(places: Sequence[int]) -> dict[int, Recognition]:
        own = [recordings()[place] for place in places]
        return dict(zip(places, tested.recognize(own, [options] * len(own)), strict=True))

    everywhere = range(len(recordings()))
    alone = [recognize([place])[place] for place in everywhere]
    assert sum(len(recognition.words) for recognition in alone) > 30
    rng = np.random.default_rng(13)
    for places in (everywhere[::-1], rng.permutation(everywhere)[:4].tolist()):
        _same(list(recognize(places).values()), [alone[place] for place in places])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_rows_with_and_without_phrases_change_nothing_for_each_other(precision: Precision) -> None:
    tested = engine(precision, 1)
    some = recordings()[:4]
    mixed = tested.recognize(some, [PHRASES, Options(), PHRASES, Options()])
    _same(mixed[::2], tested.recognize(some[::2], [PHRASES] * 2))
    _same(mixed[1::2], tested.recognize(some[1::2]))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_frames_are_the_same_alone_and_beside_others(precision: Precision) -> None:
    tested = engine(precision, 1)
    loud_T = np.clip(30 * recordings()[2], -1, 1)
    encoded_BTD, frames_B = tested.encode([*recordings()[:4], loud_T])
    for own_TD, frames, samples_T in zip(encoded_BTD, frames_B.tolist(), recordings()[:4], strict=False):
        alone_1TD, _ = tested.encode([samples_T])
        assert (own_TD[:frames] - alone_1TD[0]).abs().max() <= 1e-5 * alone_1TD.abs().max()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_streams_change_nothing_for_each_other(precision: Precision) -> None:
    def words(spoken: Sequence[Samples]) -> list[list[tuple[str, float, float]]]:
        streamer = Streamer(engine(precision, 1), StreamSetting())
        partials = streamer.feed([Feed(streamer.open(), samples_T, True) for samples_T in spoken])
        return [[(word.word, word.start_s, word.end_s) for word in partial.final] for partial in partials]

    some = recordings()[:2]
    assert words(some) == [words([samples_T])[0] for samples_T in some]


def test_a_stretch_of_no_frames_has_no_tokens() -> None:
    decoded = decode(engine("fp32", 1).steps, torch.zeros(2, 0, 144), torch.zeros(2, dtype=torch.long))
    assert [row.tokens for row in decoded] == [[], []]


@pytest.fixture(params=["fbgemm", "plain"])
def kernel(request: pytest.FixtureRequest) -> Any:
    _skip_unless_usable(request.param)
    return request.param


def _skip_unless_usable(kernel: int8.Kernel) -> None:
    if kernel == "fbgemm" and int8.available_kernel() != "fbgemm":
        pytest.skip("PyTorch was built without FBGEMM here")
    if kernel == "plain" and not device.sums_int8_exactly(device.processor()) and int8.available_kernel() == "fbgemm":
        pytest.skip("the plain product overflows 16 bits on this x86 processor, where FBGEMM is taken")


@pytest.fixture(params=[7, 8])
def bits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    narrow = device.int8_activation_bits(device.processor())
    if request.param > narrow:
        pytest.skip("this processor sums two products in 16 bits")
    monkeypatch.setattr(device, "int8_activation_bits", lambda processor: request.param)
    return int(request.param)


def _layer(seed: int, *, with_bias: bool) -> torch.nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layer = torch.nn.Linear(48, 80, bias=with_bias)
    return layer.requires_grad_(False)


@pytest.mark.parametrize("with_bias", [True, False])
def test_products_in_8_bits_are_as_near_as_their_rounding(kernel: Any, bits: int, with_bias: bool) -> None:
    layer = _layer(1, with_bias=with_bias)
    quantized = int8.Int8Linear(layer, kernel=kernel)
    rng = np.random.default_rng(2)
    x_NI = torch.from_numpy(rng.normal(size=(90, 48)).astype(np.float32)) * torch.logspace(-3, 3, 90)[:, None]
    x_NI[7] = 0
    step_N1 = x_NI.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1) / 2
    step_O = layer.weight.abs().amax(dim=1) / int8.LEVELS / 2
    most_NO = (
        step_N1 * layer.weight.abs().sum(dim=1) + x_NI.abs().sum(dim=1, keepdim=True) * step_O + 48 * step_N1 * step_O
    )
    error_NO = (quantized(x_NI) - layer(x_NI)).abs()
    assert (error_NO <= 1.001 * most_NO + 1e-6).all()
    assert torch.equal(quantized(x_NI.view(3, 30, 48)), quantized(x_NI).view(3, 30, 80))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 59), min_size=1, max_size=90), st.sampled_from(["fbgemm", "plain"]))
def test_a_row_has_the_same_product_among_any_others(rows: list[int], kernel: int8.Kernel) -> None:
    if kernel == "fbgemm" and int8.available_kernel() != "fbgemm":
        return
    quantized, x_NI, all_NO = _products(kernel)
    assert torch.equal(quantized(x_NI[rows]), all_NO[rows])


@cache
def _products(kernel: int8.Kernel) -> tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor, torch.Tensor]:
    quantized = int8.Int8Linear(_layer(3, with_bias=True), kernel=kernel)
    rng = np.random.default_rng(4)
    x_NI = torch.from_numpy(rng.normal(size=(60, 48)).astype(np.float32)) * torch.logspace(-2, 2, 60)[:, None]
    return quantized, x_NI, quantized(x_NI)


def test_both_kernels_give_the_same() -> None:
    _skip_unless_usable("fbgemm")
    _skip_unless_usable("plain")
    _, _, fast_NO = _products("fbgemm")
    _, _, plain_NO = _products("plain")
    assert torch.allclose(fast_NO, plain_NO, rtol=1e-5, atol=1e-5)
