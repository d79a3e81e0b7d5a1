"""Beams and phrases in streams: nothing happens at the seams, however audio is cut."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.test_beam import random_frames, random_transducer
from tests.engine.test_streaming import NOTHING, SMALL, cuts, final, pieces_of, times

from shoptalk.core import audio
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import BoostError, RecognitionError
from shoptalk.core.protocols import PLAIN, Feed, Options, Partial, Phrase
from shoptalk.core.records import Samples
from shoptalk.engine import greedy, stream_beams
from shoptalk.engine.beam import decode_nbest
from shoptalk.engine.invented import far_from
from shoptalk.engine.recognizer import Engine
from shoptalk.engine.steps import Steps
from shoptalk.engine.stream_beams import Stretch
from shoptalk.engine.streaming import Stream, Streamer, StreamSetting

ROOT = Path(__file__).parents[2]
GENERAL = ROOT / "assets/general"
TINY = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
PHRASES = Options(tuple(Phrase(text, 2.0) for text in ("restricted area", "Mr. Brooke", "Casaubon", "metoprolol")))


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(TINY, batch=1, beam=4)


@pytest.fixture(scope="module")
def spoken() -> list[Samples]:
    lines = [json.loads(line) for line in (GENERAL / "test.jsonl").read_text().splitlines()]
    chosen = [line for line in lines if line["source"] == "synthetic" and line["duration"] > 3][:6]
    return [audio.decode(GENERAL / line["audio_filepath"])[: 5 * SAMPLE_RATE_HZ] for line in chosen]


def said(streamer: Streamer, pieces: Sequence[Samples], options: Options = PLAIN) -> list[Partial]:
    stream = streamer.open(options)
    partials = [streamer.feed([Feed(stream, piece_S)])[0] for piece_S in pieces]
    return [*partials, *streamer.feed([Feed(stream, NOTHING, last=True)])]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    ahead=st.integers(0, 5),
    most=st.integers(1, 3),
)
def test_a_beam_of_one_decodes_chunk_by_chunk_what_greedy_decoding_does_at_once(
    seed: int, lengths: list[int], ahead: int, most: int
) -> None:
    """No token is lost or doubled at a border, wherever durations jump to."""
    transducer = random_transducer(seed, vocabulary=4, durations=(0, 1, 2, 4), most=most)
    steps = Steps(transducer)
    encoded_1FD, frames_1 = random_frames(seed, sum(lengths))
    [whole] = greedy.decode(steps, encoded_1FD, frames_1)
    carry = steps.start(1)
    tokens: list[int] = []
    frames: list[int] = []
    begin = 0
    for length in lengths:
        encoded_FD = encoded_1FD[0, begin : begin + length + ahead]
        [searched] = stream_beams.search(steps, [Stretch(None, carry, encoded_FD, length, width=1)])
        tokens += searched.decoded.tokens[: searched.kept]
        frames += [begin + frame for frame in searched.decoded.frames[: searched.kept]]
        carry = searched.carry
        begin += length
    is_stuck = any(frames.count(frame) >= most for frame in set(frames))
    if not is_stuck:  # how many tokens a frame had is not known behind a border
        assert (tokens, frames) == (whole.tokens, whole.frames)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), lengths=st.lists(st.integers(1, 15), min_size=1, max_size=3), width=st.integers(1, 5)
)
def test_a_stretch_that_is_all_has_the_best_text_of_the_beam(seed: int, lengths: list[int], width: int) -> None:
    steps = Steps(random_transducer(seed, vocabulary=4, durations=(0, 1, 2), most=3))
    encoded_BFD, frames_B = random_frames(seed, *lengths)
    offline = decode_nbest(steps, encoded_BFD, frames_B, width=width, alternatives=width)
    stretches = [
        Stretch(None, steps.start(1), own_FD[:length], length, width)
        for own_FD, length in zip(encoded_BFD, lengths, strict=True)
    ]
    for texts, searched in zip(offline, stream_beams.search(steps, stretches), strict=True):
        assert searched.decoded.tokens in [text.decoded.tokens for text in texts]
        assert searched.kept == len(searched.decoded.tokens)


@pytest.mark.parametrize("options", [PLAIN, PHRASES])
@settings(max_examples=5, deadline=None)
@given(cut=cuts, till=st.floats(0.3, 1))
def test_how_the_audio_is_cut_changes_nothing(
    engine: Engine, spoken: list[Samples], options: Options, cut: list[float], till: float
) -> None:
    streamer, whole_S = Streamer(engine, SMALL), spoken[0][: round(till * spoken[0].size)]
    *before, end = said(streamer, list(pieces_of(whole_S, cut)), options)
    at_once, whole_end = said(streamer, [whole_S], options)
    assert final(before) == at_once.final and before[-1].tentative == at_once.tentative
    assert end == whole_end and end.tentative == ()


def test_every_place_of_one_cut_gives_the_same_words(engine: Engine, spoken: list[Samples]) -> None:
    """A cut in each 80 ms, at every chunk border and between them."""
    streamer, whole_S = Streamer(engine, SMALL), spoken[1]
    expected = final(said(streamer, [whole_S], PHRASES))
    for place in range(0, whole_S.size, 1280 * 5):
        assert final(said(streamer, [whole_S[:place], whole_S[place:]], PHRASES)) == expected


def test_streams_with_other_phrases_fed_together_say_what_each_says_alone(
    engine: Engine, spoken: list[Samples]
) -> None:
    streamer = Streamer(engine, SMALL)
    own_options = [PLAIN, PHRASES, replace(PHRASES, phrases=PHRASES.phrases[:1]), PHRASES]
    streams = [streamer.open(options) for options in own_options]
    said_together: dict[Stream, list[Partial]] = {stream: [] for stream in streams}
    for turn in range(10):
        feeds = [
            Feed(stream, np.array_split(own_S, 10)[turn], turn == 9)
            for stream, own_S in zip(streams, spoken, strict=False)
        ]
        for feed, partial in zip(feeds, streamer.feed(feeds), strict=True):
            said_together[feed.stream].append(partial)
    for stream, own_S, options in zip(streams, spoken, own_options, strict=False):
        assert times(final(said_together[stream])) == times(final(said(streamer, [own_S], options)))


@pytest.mark.parametrize("options", [PLAIN, PHRASES])
def test_a_stream_that_was_saved_goes_on_as_if_nothing_happened(
    engine: Engine, spoken: list[Samples], options: Options
) -> None:
    streamer, other = Streamer(engine, SMALL), Streamer(Engine(TINY, batch=1, beam=4), SMALL)
    pieces = np.array_split(np.concatenate(spoken[:3]), 40)
    expected = said(streamer, pieces, options)
    stream = streamer.open(options)
    partials = []
    for number, piece_S in enumerate(pieces):
        partials += streamer.feed([Feed(stream, piece_S)])
        if number % 4 == 3:
            saved = streamer.save(stream)
            assert len(saved) < 2**20
            streamer, other = other, streamer
            stream = streamer.restore(saved)
    partials += streamer.feed([Feed(stream, NOTHING, last=True)])
    assert partials == expected


def test_samples_that_are_not_wanted_yet_change_nothing(engine: Engine, spoken: list[Samples]) -> None:
    streamer = Streamer(engine, StreamSetting())
    stream = streamer.open()
    place = 0
    while place + (wanted := streamer.wanted(stream)) < spoken[0].size:
        [before] = streamer.feed([Feed(stream, spoken[0][place : place + wanted - 1])])
        assert before.final == () and (wanted > 1 and streamer.wanted(stream) == 1)
        [partial] = streamer.feed([Feed(stream, spoken[0][place + wanted - 1 : place + wanted])])
        assert stream.window_end == place + wanted and (partial.final or partial.tentative)
        place += wanted
    assert place > 3 * SAMPLE_RATE_HZ


def test_phrases_stand_only_where_words_stand_without_them(engine: Engine) -> None:
    """Noise, to which the model without a VAD writes some words, and with strong phrases more."""
    noise_S = np.random.default_rng(3).normal(0, 0.05, 12 * SAMPLE_RATE_HZ).astype(np.float32)
    strong = Options(tuple(Phrase(text, 4.0) for text in ("the", "you", "and", "of the")))
    plain = final(said(Streamer(Engine(TINY, batch=1, beam=1), SMALL), [noise_S]))
    boosted = final(said(Streamer(engine, SMALL), [noise_S], strong))
    assert far_from(plain, boosted) == set()


def test_what_a_stream_cannot_do_is_told(engine: Engine) -> None:
    streamer = Streamer(engine, SMALL)
    with pytest.raises(RecognitionError, match="no alternatives"):
        streamer.open(Options(alternatives=2))
    with pytest.raises(BoostError):
        streamer.open(Options(phrases=(Phrase("中"),)))


def test_a_state_outside_of_all_phrases_is_where_streams_begin(engine: Engine) -> None:
    stream = Streamer(engine, SMALL).open(PHRASES)
    assert stream.carry.boost_B is not None and torch.equal(stream.carry.boost_B, torch.tensor([1]))
