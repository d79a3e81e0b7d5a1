"""The beam against greedy decoding (a width of 1), against the sum over all alignments, and on real speech."""

import json
from collections import defaultdict
from dataclasses import replace
from functools import cache
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import audio, checkpoint
from shoptalk.engine import greedy
from shoptalk.engine.beam import Scored, decode_nbest
from shoptalk.engine.greedy import Decoded
from shoptalk.engine.recognizer import Engine
from shoptalk.engine.shape import Shape
from shoptalk.engine.steps import Steps
from shoptalk.engine.transducer import State, Transducer
from shoptalk.engine.weights import Weights

ROOT = Path(__file__).parents[2]
GENERAL = ROOT / "assets/general"
TINY = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
D = 4
"""Width of the random encoder frames."""
Texts = dict[tuple[int, ...], float]


@cache
def real_shape() -> Shape:
    return Shape.of(checkpoint.inspect(TINY))


def random_transducer(
    seed: int, *, vocabulary: int, durations: tuple[int, ...], most: int, layers: int = 1
) -> Transducer:
    shape = replace(
        real_shape(), d_model=D, predictor=5, predictor_layers=layers, joint=6, activation="tanh",
        vocabulary=vocabulary, durations=durations, max_symbols=most,
    )  # fmt: skip
    rng, outputs = np.random.default_rng(seed), vocabulary + 1 + len(durations)
    shapes: dict[str, tuple[int, ...]] = {"decoder.prediction.embed.weight": (vocabulary + 1, 5)}
    for number, kind in product(range(layers), ("weight_ih", "weight_hh", "bias_ih", "bias_hh")):
        shapes[f"decoder.prediction.dec_rnn.lstm.{kind}_l{number}"] = (20, 5) if kind.startswith("weight") else (20,)
    for name, inputs, width in (("pred", 5, 6), ("enc", D, 6), ("joint_net.2", 6, outputs)):
        shapes |= {f"joint.{name}.weight": (width, inputs), f"joint.{name}.bias": (width,)}
    tensors = {name: torch.from_numpy(rng.normal(0, 1.5, size)).float() for name, size in shapes.items()}
    tensors["decoder.prediction.embed.weight"][-1] = 0  # the blank's, as NeMo pads it
    return Transducer(shape, Weights(Path("random"), tensors))


def random_frames(seed: int, *lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    shape = len(lengths), max(lengths), D
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 1.5, shape)).float(), torch.tensor(lengths)


def every_text(transducer: Transducer, encoded_TD: torch.Tensor, *, longest: int) -> Texts:
    """Every text up to a length, with the sum of the probabilities of its alignments."""
    shape, blank = transducer.shape, transducer.blank
    encoded_TJ = transducer.project_encoded(encoded_TD)

    @cache
    def state(tokens: tuple[int, ...]) -> State:
        return transducer.step(torch.tensor(tokens[-1:]), state(tokens[:-1])) if tokens else transducer.start(1)

    standing: list[Texts] = [defaultdict(float) for _ in range(len(encoded_TD) + 1)]
    standing[0][()] = 1.0
    for frame, length in product(range(len(encoded_TD)), range(longest + 1)):
        for text, so_far in [pair for pair in standing[frame].items() if len(pair[0]) == length]:
            logits_O = transducer.logits(encoded_TJ[frame, None], state(text).predicted_RJ)[0].double()
            durations = dict(zip(shape.durations, logits_O[blank + 1 :].softmax(0).tolist(), strict=True))
            moved = durations | {1: durations.get(1, 0.0) + durations.get(0, 0.0)}
            moved.pop(0, None)
            for token, likely in enumerate(logits_O[: blank + 1].softmax(0).tolist()):
                after = text if token == blank else (*text, token)
                for span, share in (moved if token == blank or shape.max_symbols == 1 else durations).items():
                    standing[min(frame + span, len(encoded_TD))][after] += so_far * likely * share
    return {text: likely for text, likely in standing[-1].items() if likely and len(text) <= longest}


def scores_of(found: list[Scored]) -> dict[tuple[int, ...], float]:
    return {tuple(one.decoded.tokens): one.score for one in found}


@pytest.mark.parametrize("durations", [(0, 1, 2), (1, 2, 3), (0, 2), (2, 0, 1)])
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_sums_over_all_alignments(durations: tuple[int, ...], seed: int) -> None:
    transducer = random_transducer(seed, vocabulary=2, durations=durations, most=1, layers=1 + seed % 2)
    encoded_BTD, frames_B = random_frames(seed, 5, 3)
    found = decode_nbest(Steps(transducer), encoded_BTD, frames_B, width=150, alternatives=99, margin=np.inf)
    for encoded_TD, frames, alternatives in zip(encoded_BTD, frames_B.tolist(), found, strict=True):
        texts = every_text(transducer, encoded_TD[:frames], longest=frames)
        assert scores_of(alternatives) == pytest.approx({t: np.log(likely) for t, likely in texts.items()}, abs=1e-4)
        assert tuple(alternatives[0].decoded.tokens) == max(texts, key=lambda text: texts[text])


@pytest.mark.parametrize("seed", range(4))
def test_it_sums_over_several_tokens_on_a_frame(seed: int) -> None:
    transducer = random_transducer(seed, vocabulary=2, durations=(0, 1, 2), most=10)
    encoded_BTD, frames_B = random_frames(seed, 3)
    found = decode_nbest(Steps(transducer), encoded_BTD, frames_B, width=100, alternatives=100, margin=np.inf)[0]
    exact, scores = every_text(transducer, encoded_BTD[0], longest=4), scores_of(found)
    likeliest = sorted(exact, key=lambda text: exact[text])[-3:]
    assert [scores[text] for text in likeliest] == pytest.approx([np.log(exact[text]) for text in likeliest], abs=1e-2)
    assert all(score < np.log(exact[text]) + 1e-4 for text, score in scores.items() if len(text) <= 4)


@given(st.integers(0, 999), st.sampled_from([(0, 1, 2, 3, 4), (0, 2), (1, 3)]), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_a_width_of_one_is_greedy_decoding(seed: int, durations: tuple[int, ...], most: int) -> None:
    steps = Steps(random_transducer(seed, vocabulary=5, durations=durations, most=most))
    frames = random_frames(seed, 12, 1, 7)
    one = [found[0].decoded for found in decode_nbest(steps, *frames, width=1, alternatives=3)]
    assert_same(one, greedy.decode(steps, *frames))


def assert_same(found: list[Decoded], expected: list[Decoded]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert (one.tokens, one.frames, one.spans) == (other.tokens, other.frames, other.spans)
        assert one.confidences == pytest.approx(other.confidences, abs=1e-4)


@given(st.integers(0, 999), st.integers(1, 9), st.integers(1, 4), st.lists(st.integers(0, 12), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_laws_of_alternatives(seed: int, width: int, most: int, lengths: list[int]) -> None:
    steps = Steps(random_transducer(seed, vocabulary=5, durations=(0, 1, 2), most=most))
    encoded_BTD, frames_B = random_frames(seed, *lengths, 12)
    found = decode_nbest(steps, encoded_BTD, frames_B, width=width, alternatives=5)
    for encoded_TD, frames, alternatives in zip(encoded_BTD, frames_B.tolist(), found, strict=True):
        scores = [one.score for one in alternatives]
        assert 1 <= len(alternatives) <= min(5, width) and len(scores_of(alternatives)) == len(alternatives)
        assert scores == sorted(scores, reverse=True) and np.logaddexp.reduce(scores) < 1e-4
        for decoded in (one.decoded for one in alternatives):
            ends = [0, *(frame + span for frame, span in zip(decoded.frames, decoded.spans, strict=True))]
            assert all(end <= frame < frames for end, frame in zip(ends, decoded.frames, strict=False))
            assert all(0 < one < 1 + 1e-6 for one in decoded.confidences) and len(decoded.tokens) == len(ends) - 1
        alone = decode_nbest(steps, encoded_TD[None, :frames], torch.tensor([frames]), width=width, alternatives=5)[0]
        assert [one.score for one in alone] == pytest.approx(scores, abs=1e-3)


def test_what_is_spelt_the_same_is_one() -> None:
    steps, frames = Steps(random_transducer(3, vocabulary=3, durations=(1, 2), most=9)), random_frames(3, 5)
    apart = decode_nbest(steps, *frames, width=200, alternatives=200, margin=np.inf)[0]
    found = decode_nbest(steps, *frames, width=200, alternatives=2, margin=np.inf, spell=lambda tokens: 2 in tokens)[0]
    sums = {
        kind: np.logaddexp.reduce([a.score for a in apart if (2 in a.decoded.tokens) == kind]) for kind in (True, False)
    }
    assert [one.score for one in found] == pytest.approx(sorted(sums.values(), reverse=True))
    assert [one.decoded for one in found if 2 in one.decoded.tokens] == [
        next(one.decoded for one in apart if 2 in one.decoded.tokens)
    ]


class Pair:
    """For a 1 behind a 0 in some recordings, against a 2 at the end; the state is the last token and one more."""

    def __init__(self, bonuses: list[float]):
        self.bonus_B = torch.tensor(bonuses)

    def start(self) -> torch.Tensor:
        return torch.zeros(len(self.bonus_B), dtype=torch.int64)

    def bonus(self, rows: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        bonus_RV = torch.zeros(len(rows), 3)
        bonus_RV[:, 1] = self.bonus_B[rows] * (state == 1)
        return bonus_RV

    def advance(self, state: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        return token + 1

    def finish(self, state: torch.Tensor) -> torch.Tensor:
        return -4.0 * (state == 3)


@pytest.mark.parametrize("seed", range(3))
def test_phrases_rank_and_leave_the_score_alone(seed: int) -> None:
    steps = Steps(random_transducer(seed, vocabulary=3, durations=(1, 2), most=9))
    encoded_BTD, _ = random_frames(seed, 4)
    twice = encoded_BTD.expand(2, -1, -1), torch.tensor([4, 4])
    plain, boosted = decode_nbest(steps, *twice, width=150, alternatives=150, margin=np.inf, boost=Pair([0.0, 2.5]))
    assert scores_of(boosted) == pytest.approx(scores_of(plain))

    def rank(one: Scored) -> float:
        tokens = one.decoded.tokens
        return one.score + 2.5 * sum(pair == (0, 1) for pair in pairwise(tokens)) - 4.0 * (tokens[-1:] == [2])

    assert [rank(one) for one in boosted] == pytest.approx(sorted(map(rank, plain), reverse=True))
    without = decode_nbest(steps, *twice, width=150, alternatives=150, margin=np.inf)[0]
    assert scores_of(plain) == pytest.approx(scores_of(without))


def test_real_speech() -> None:
    lines = [json.loads(line) for line in (GENERAL / "test.jsonl").read_text(encoding="utf-8").splitlines()[:300:25]]
    engine = Engine(TINY)
    frames = engine.encode([audio.decode(GENERAL / line["audio_filepath"]) for line in lines])
    narrow, wide = (
        decode_nbest(engine.steps, *frames, width=width, alternatives=4, spell=lambda t: engine.tokenizer.decode([*t]))
        for width in (1, 8)
    )
    assert_same([found[0].decoded for found in narrow], greedy.decode(engine.steps, *frames))
    assert all(many[0].score > one[0].score - 1e-4 for one, many in zip(narrow, wide, strict=True))
    assert sum(len(many) for many in wide) > 3 * len(lines)
    assert all(len({engine.tokenizer.decode(one.decoded.tokens) for one in many}) == len(many) for many in wide)
