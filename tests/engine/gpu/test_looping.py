"""Label looping on the device against plain decoding, and with all that makes a host wait forbidden."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.waiting import NothingWaits

from shoptalk.core import audio
from shoptalk.engine.gpu.looping import Looping, Standing
from shoptalk.engine.greedy import Decoded, decode
from shoptalk.engine.recognizer import Engine
from shoptalk.engine.steps import Steps
from shoptalk.engine.transducer import Transducer
from shoptalk.engine.weights import Weights, open_checkpoint

ROOT = Path(__file__).parents[3]
GENERAL = ROOT / "assets/general"
TINY = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
D, X, J = 4, 5, 6


TINY_SHAPE = open_checkpoint(TINY)[0]


def random_transducer(seed: int, *, vocabulary: int, durations: tuple[int, ...], most: int, layers: int) -> Transducer:
    shape = replace(
        TINY_SHAPE, d_model=D, predictor=X, predictor_layers=layers, joint=J, activation="relu",
        vocabulary=vocabulary, durations=durations, max_symbols=most,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    lstm = "decoder.prediction.dec_rnn.lstm."
    sizes: dict[str, tuple[int, ...]] = {"decoder.prediction.embed.weight": (vocabulary + 1, X)}
    for layer in range(layers):
        sizes |= {f"{lstm}weight_{kind}_l{layer}": (4 * X, X) for kind in ("ih", "hh")}
        sizes |= {f"{lstm}bias_{kind}_l{layer}": (4 * X,) for kind in ("ih", "hh")}
    outputs = vocabulary + 1 + len(durations)
    for name, inputs, width in (("pred", X, J), ("enc", D, J), ("joint_net.2", J, outputs)):
        sizes |= {f"joint.{name}.weight": (width, inputs), f"joint.{name}.bias": (width,)}
    tensors = {name: torch.from_numpy(rng.normal(0, 1.5, size)).float() for name, size in sizes.items()}
    tensors["decoder.prediction.embed.weight"][-1] = 0  # the blank's, as NeMo pads it
    return Transducer(shape, Weights(Path("random"), tensors))


def decode_one(transducer: Transducer, encoded_TD: torch.Tensor) -> Decoded:
    """The rules, written down for one recording."""
    shape, found, at, here = transducer.shape, Decoded(), 0, 0
    encoded_TJ, state = transducer.project_encoded(encoded_TD), transducer.start(1)
    while at < len(encoded_TD):
        logits_O = transducer.logits(encoded_TJ[at : at + 1], state.predicted_RJ)[0]
        token = int(logits_O[: transducer.blank + 1].argmax())
        span = shape.durations[int(logits_O[transducer.blank + 1 :].argmax())]
        if token == transducer.blank:
            at, here = at + max(span, 1), 0
            continue
        found.tokens.append(token)
        found.frames.append(at)
        found.spans.append(span)
        found.confidences.append(float(logits_O[: transducer.blank].softmax(0)[token]))
        state = transducer.step(torch.tensor([token]), state)
        here = here + 1 if span == 0 else 0
        if here == shape.max_symbols:
            span, here = 1, 0
        at += span
    return found


def assert_same(found: list[Decoded], expected: list[Decoded]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert (one.tokens, one.frames, one.spans) == (other.tokens, other.frames, other.spans)
        assert one.confidences == pytest.approx(other.confidences, abs=1e-4)


@given(
    seed=st.integers(0, 9999), vocabulary=st.integers(1, 6), most=st.sampled_from([1, 3, 10]), layers=st.integers(1, 2),
    durations=st.sampled_from([(0, 1, 2, 3, 4), (1, 2), (0, 2), (4, 0, 1), (0, 9)]), window=st.integers(1, 9),
    rounds=st.integers(1, 20), lengths=st.lists(st.integers(0, 30), min_size=1, max_size=4),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_it_follows_the_rules(
    seed: int, vocabulary: int, most: int, layers: int, durations: tuple[int, ...], window: int, rounds: int,
    lengths: list[int],
) -> None:  # fmt: skip
    transducer = random_transducer(seed, vocabulary=vocabulary, durations=durations, most=most, layers=layers)
    encoded_BTD = torch.from_numpy(np.random.default_rng(seed).normal(0, 1.5, (len(lengths), 30, D))).float()
    found = Looping(transducer, window=window, rounds=rounds).decode(encoded_BTD, torch.tensor(lengths))
    assert_same(found, [decode_one(transducer, row_TD[:n]) for row_TD, n in zip(encoded_BTD, lengths, strict=True)])


def test_nothing_gives_nothing() -> None:
    looping = Looping(random_transducer(1, vocabulary=3, durations=(0, 1), most=10, layers=1))
    assert looping.decode(torch.zeros(2, 0, D), torch.tensor([0, 0])) == [Decoded(), Decoded()]


def test_real_speech_gives_what_plain_decoding_gives() -> None:
    lines = [json.loads(line) for line in (GENERAL / "test.jsonl").read_text(encoding="utf-8").splitlines()[:400:20]]
    encoded_BTD, frames_B = Engine(TINY).encode([audio.decode(GENERAL / one["audio_filepath"]) for one in lines])
    shape, weights, _ = open_checkpoint(TINY)
    with torch.inference_mode():
        transducer = Transducer(shape, weights)
        found = Looping(transducer).decode(encoded_BTD, frames_B)
        assert_same(found, decode(Steps(transducer), encoded_BTD, frames_B))
    assert sum(len(one.tokens) for one in found) > 100


def test_no_round_waits_for_a_result() -> None:
    transducer = random_transducer(1, vocabulary=5, durations=(0, 1, 2), most=3, layers=2)
    looping, frames_B = Looping(transducer, rounds=3), torch.tensor([9, 4])
    start = looping.start(2)
    with NothingWaits(), pytest.raises(AssertionError, match="_local_scalar_dense"):
        int(start.at_B[0])
    with NothingWaits():
        parts = looping.stretch(torch.randn(2, 9, J), frames_B, *start)
    assert Standing(*parts[:5]).predicted_BJ.shape == (2, J)


def test_no_round_mixes_host_and_device() -> None:
    """On a device whose tensors have no values, so that nothing can depend on one or be fetched."""
    transducer = random_transducer(1, vocabulary=5, durations=(0, 1, 2), most=3, layers=2).to("meta")
    looping = Looping(transducer, rounds=2)
    frames_B, encoded_BTJ = torch.empty(2, dtype=torch.long, device="meta"), torch.empty(2, 9, J, device="meta")
    parts = looping.stretch(encoded_BTJ, frames_B, *looping.start(2))
    assert {part.device.type for part in parts} == {"meta"}
