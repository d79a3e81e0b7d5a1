"""Buckets and the pipeline against plain decoding; without a GPU the same code runs, uncaptured, on one stream."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks.engine import gpu
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.gpu import recorded_graphs

from shoptalk.core import audio
from shoptalk.engine.encoder import Encoder
from shoptalk.engine.gpu import graphs
from shoptalk.engine.gpu.graphs import Bucket, Pipeline, Replay, Shelf, bucket
from shoptalk.engine.gpu.looping import Looping
from shoptalk.engine.greedy import Decoded, decode
from shoptalk.engine.recognizer import Engine
from shoptalk.engine.transducer import Transducer
from shoptalk.engine.weights import frozen, open_checkpoint

ROOT = Path(__file__).parents[3]
GENERAL = ROOT / "assets/general"
TINY = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Batch = tuple[torch.Tensor, torch.Tensor]


@given(st.integers(1, 300), st.integers(0, 5000))
def test_a_bucket_holds_its_batch_and_little_more(rows: int, frames: int) -> None:
    found = bucket(rows, frames)
    assert rows <= found.rows < 2 * rows and found.rows & (found.rows - 1) == 0
    assert frames <= found.frames < frames + max(graphs.FRAME_STEP, 1) + (frames == 0)
    assert bucket(*found) == found


def test_a_shelf_keeps_what_was_used_last() -> None:
    made: list[Bucket] = []

    def make(size: Bucket) -> Replay:
        made.append(size)
        return Replay(lambda one: (one,), (torch.zeros(size),), lane=None)

    shelf = Shelf(make, most=2)
    for rows in (1, 2, 1, 4, 1, 2):
        assert shelf(Bucket(rows, 64)).inputs[0].shape == (rows, 64)
    assert [size.rows for size in made] == [1, 2, 4, 2]
    assert [size.rows for size in shelf.kept] == [1, 2]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(TINY)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    shape, weights, _ = open_checkpoint(TINY)
    encoder = Encoder(shape, weights.below("encoder"))
    return Pipeline(encoder.to(DEVICE), Looping(Transducer(shape, weights).to(DEVICE)), most=3)


@pytest.fixture(scope="module")
def speech() -> list[np.ndarray]:
    lines = (GENERAL / "test.jsonl").read_text(encoding="utf-8").splitlines()[:330:30]
    return [audio.decode(GENERAL / json.loads(line)["audio_filepath"]) for line in lines]


def features(engine: Engine, recordings: list[np.ndarray]) -> Batch:
    samples_B = torch.tensor([one.size for one in recordings])
    rows = [torch.from_numpy(one) for one in recordings]
    features_BTM, frames_B = engine.features(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), samples_B)
    return features_BTM.to(DEVICE), frames_B


def assert_same(found: list[Decoded], expected: list[Decoded]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert (one.tokens, one.frames, one.spans) == (other.tokens, other.frames, other.spans)
        assert one.confidences == pytest.approx(other.confidences, abs=2e-3)


def test_the_pipeline_gives_what_the_engine_gives(engine: Engine, pipeline: Pipeline, speech: list[np.ndarray]) -> None:
    """Batches of many sizes, the small ones behind larger ones in the same buckets, more buckets than are kept."""
    cuts = [(0, 4), (4, 7), (7, 8), (8, 11), (0, 1), (3, 5)]
    batches = [features(engine, speech[start:stop]) for start, stop in cuts]
    found = list(pipeline.decode(batches))
    assert len(found) == len(cuts)
    for (start, stop), decoded in zip(cuts, found, strict=True):
        assert_same(decoded, decode(engine.steps, *engine.encode(speech[start:stop])))
    assert len(pipeline.encoding.shelf.kept) <= 3 and len(pipeline.decoders.kept) <= 3


def test_what_an_older_batch_left_behind_is_not_heard(
    engine: Engine, pipeline: Pipeline, speech: list[np.ndarray]
) -> None:
    batch = features(engine, speech[:1])
    loud_BTM = torch.full((1, bucket(*batch[0].shape[:2]).frames, batch[0].shape[2]), 1e4, device=DEVICE)
    _, found = pipeline.decode([(loud_BTM, torch.tensor([loud_BTM.shape[1]])), batch])
    assert_same(found, decode(engine.steps, *engine.encode(speech[:1])))


def test_the_next_batch_is_encoded_before_one_is_decoded(
    engine: Engine, pipeline: Pipeline, speech: list[np.ndarray]
) -> None:
    taken: list[int] = []

    def batches() -> object:
        for number in range(3):
            taken.append(number)
            yield features(engine, speech[number : number + 1])

    running = pipeline.decode(batches())  # type: ignore[arg-type]
    next(running)
    assert taken == [0, 1]
    assert len(list(running)) == 2


@pytest.mark.skipif(DEVICE == "cuda", reason="the tests above capture")
def test_a_capture_serves_other_batches(
    engine: Engine, pipeline: Pipeline, speech: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that differs between the batches of a bucket is fixed at the capture, which sees zeros."""
    captures = recorded_graphs.stand_in(monkeypatch)
    captured = Pipeline(pipeline.encoding.encoder, pipeline.looping)
    cuts = [(0, 3), (3, 6), (6, 9), (1, 4), (0, 3)]
    found = list(captured.decode(features(engine, speech[start:stop]) for start, stop in cuts))
    assert len(captured.encoding.shelf.kept) < len(cuts)
    lanes = [lane for lane in (captured.encoding.lane, captured.lane) if lane]
    expected = {(lane.pool, id(lane.stream)) for lane in lanes}
    assert len(expected) == 2 and set(captures) == expected, "a stream has one workspace for matrix products"
    for (start, stop), decoded in zip(cuts, found, strict=True):
        assert_same(decoded, decode(engine.steps, *engine.encode(speech[start:stop])))


@pytest.mark.skipif(DEVICE == "cuda", reason="a graph that reads freed tensors may read anything there")
def test_graphs_are_captured_anew_when_the_weights_were_changed(
    engine: Engine, speech: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tensors that were swapped, and one that was changed in place: the positions that are kept come from it."""
    captures = recorded_graphs.stand_in(monkeypatch)
    shape, weights, _ = open_checkpoint(TINY)
    with torch.inference_mode():
        encoder, transducer = Encoder(shape, weights.below("encoder")), Transducer(shape, weights)
        captured, batch = Pipeline(encoder, Looping(transducer)), features(engine, speech[:2])
        [before] = captured.decode([batch])
        for layer in encoder.layers:
            layer.first.up.weight = frozen(layer.first.up.weight * 0.9)
            layer.attention.position.weight.mul_(0.5)
        lengths_B = encoder.subsampling.frames(batch[1])
        [stale] = captured.decode([batch])
        assert_same(stale, before)
        known = list(captures)
        captured.recapture()
        [after] = captured.decode([batch])
    assert len(captures) == len(known) + 2
    assert {stream for _, stream in captures} == {stream for _, stream in known}, "a stream has its workspaces for good"
    assert len({pool for pool, _ in captures}) == 4, "the pool of dropped graphs is gone"
    with torch.inference_mode():
        assert_same(after, Looping(transducer).decode(encoder.padded(*batch, lengths_B), lengths_B))
    assert [row.confidences for row in after] != [row.confidences for row in before]


def test_no_batches_give_nothing(pipeline: Pipeline) -> None:
    assert list(pipeline.decode([])) == []


@pytest.mark.skipif(DEVICE == "cpu", reason="there is no CUDA device here")
def test_batches_in_flight_do_not_disturb_each_other() -> None:
    """At Parakeet's widths, whose products are split among blocks that count each other in cuBLAS's workspace."""
    shape = replace(gpu.shape_of("0.6b"), layers=3)
    weights = gpu.random_weights(shape)
    gpu.settle_joint(weights.tensors["joint.joint_net.2.bias"], shape.vocabulary, sure=-gpu.SURE)
    with torch.inference_mode():
        encoder = Encoder(shape, weights.below("encoder")).to(DEVICE, torch.bfloat16)
        pipeline = Pipeline(encoder, Looping(Transducer(shape, weights).to(DEVICE)))
        generator = torch.Generator().manual_seed(4)
        drawn_MBTM = torch.randn(6, 4, 640, shape.mels, generator=generator)
        batches = [(batch_BTM.to(DEVICE, torch.bfloat16), torch.full((4,), 640)) for batch_BTM in drawn_MBTM]
        alone = [next(iter(pipeline.decode([batch]))) for batch in batches]
        for _ in range(3):
            for together, expected in zip(pipeline.decode(batches), alone, strict=True):
                assert_same(together, expected)
    assert sum(len(row.tokens) for rows in alone for row in rows) > 100


def test_decoding_that_never_ends_is_told(engine: Engine, pipeline: Pipeline, speech: list[np.ndarray]) -> None:
    class Stuck:
        transducer, device, rounds, start = (
            pipeline.looping.transducer, pipeline.looping.device, pipeline.looping.rounds, pipeline.looping.start
        )  # fmt: skip

        def stretch(self, encoded_BTJ: torch.Tensor, frames_B: torch.Tensor, *now: torch.Tensor) -> Any:
            return *pipeline.looping.stretch(encoded_BTJ, frames_B, *now)[:-1], torch.ones(
                (), dtype=torch.bool, device=DEVICE
            )

    stuck = Pipeline(pipeline.encoding.encoder, Stuck())  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="does not come to its end"):
        list(stuck.decode([features(engine, speech[:1])]))
