"""Streaming: the same words however audio is cut, offline's words where the window is whole, seams without a trace."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import jiwer
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import audio, text
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import AudioError
from shoptalk.core.protocols import Feed, Partial
from shoptalk.core.records import Samples, Word
from shoptalk.core.tokens import FRAME_S, placed, words
from shoptalk.engine.greedy import decode
from shoptalk.engine.recognizer import Engine
from shoptalk.engine.stream_beams import Piece
from shoptalk.engine.streaming import Stream, Streamer, StreamSetting, closed_words

ROOT = Path(__file__).parents[2]
GENERAL = ROOT / "assets/general"
SMALL = StreamSetting(left_s=1.6, chunk_s=0.64, right_s=0.48, first_s=2.0)
WHOLE = StreamSetting(left_s=0.0, chunk_s=80.0, right_s=0.0, first_s=0.0)
NOTHING: Samples = np.zeros(0, np.float32)


@pytest.fixture(scope="module")
def engine() -> Engine:
    engine = Engine(ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo", batch=1)
    engine._temperature = 1.5  # as a bundle would
    return engine


@pytest.fixture(scope="module")
def lines() -> list[tuple[Samples, str]]:
    rows = [json.loads(line) for line in (GENERAL / "test.jsonl").read_text().splitlines()]
    chosen = [row for row in rows if row["source"] == "synthetic" and row["duration"] > 3][:9]
    return [(audio.decode(GENERAL / row["audio_filepath"]), row["text"]) for row in chosen]


@pytest.fixture(scope="module")
def spoken_S(lines: Sequence[tuple[Samples, str]]) -> Samples:
    return np.concatenate([samples_S for samples_S, _ in lines[:2]])[: 6 * SAMPLE_RATE_HZ]


def pieces_of(samples_S: Samples, cuts: Sequence[float]) -> Iterator[Samples]:
    """The samples, cut at some shares of their number; parts may be empty."""
    places = sorted(round(cut * samples_S.size) for cut in cuts)
    return (samples_S[start:end] for start, end in pairwise([0, *places, samples_S.size]))


def hear(streamer: Streamer, samples_S: Samples, cuts: Sequence[float] = ()) -> list[Partial]:
    """What each part gave, and at last the end."""
    stream = streamer.open()
    parts = [*pieces_of(samples_S, cuts), NOTHING]
    return [streamer.feed([Feed(stream, part_S, number == len(parts) - 1)])[0] for number, part_S in enumerate(parts)]


def final(partials: Sequence[Partial]) -> tuple[Word, ...]:
    return tuple(word for partial in partials for word in partial.final)


def times(heard: Sequence[Word]) -> list[tuple[str, float, float]]:
    return [(word.word, word.start_s, word.end_s) for word in heard]


cuts = st.lists(st.floats(0, 1), max_size=30)


@settings(max_examples=10, deadline=None)
@given(cuts, st.floats(0, 1))
def test_how_the_audio_is_cut_changes_nothing(engine: Engine, spoken_S: Samples, cut: list[float], till: float) -> None:
    streamer, heard_S = Streamer(engine, SMALL), spoken_S[: round(till * spoken_S.size)]
    *before, end = hear(streamer, heard_S, cut)
    all_at_once, whole_end = hear(streamer, heard_S)
    assert final(before) == all_at_once.final and before[-1].tentative == all_at_once.tentative
    assert end == whole_end and end.tentative == ()


@settings(max_examples=10, deadline=None)
@given(st.floats(0, 1) | st.floats(0, 0.01), cuts)
def test_a_window_that_covers_all_gives_the_offline_result(
    engine: Engine, spoken_S: Samples, till: float, cut: list[float]
) -> None:
    heard_S = spoken_S[: 1 + round(till * spoken_S.size)]
    assert final(hear(Streamer(engine, WHOLE), heard_S, cut)) == engine.recognize([heard_S])[0].words


@settings(max_examples=15, deadline=None)
@given(chunk=st.integers(1, 40), right=st.integers(0, 40), first=st.integers(0, 40), cut=cuts)
def test_with_an_encoder_that_needs_no_context_nothing_happens_at_the_seams(
    engine: Engine, spoken_S: Samples, chunk: int, right: int, first: int, cut: list[float]
) -> None:
    """Known frames in place of the window's: then the words must be offline's for any setting.

    They are shuffled, as more tokens of more durations come of that.
    """
    encoded_1FD, frames_1 = engine.encode([spoken_S])
    encoded_1FD = encoded_1FD[:, np.random.default_rng(7).permutation(encoded_1FD.shape[1])]
    whole = engine._recognition(decode(engine.steps, encoded_1FD, frames_1)[0])
    offline = placed(whole.words, until_s=spoken_S.size / SAMPLE_RATE_HZ)
    streamer = Streamer(engine, StreamSetting(0.8, chunk * FRAME_S, right * FRAME_S, first * FRAME_S))

    def known(streams: Sequence[Stream]) -> dict[Stream, torch.Tensor]:
        return {stream: encoded_1FD[0, stream.decoded : -(-stream.mel_frames // 8)] for stream in streams}

    streamer._encoded = known  # type: ignore[method-assign]
    partials = hear(streamer, spoken_S, cut)
    assert times(final(partials)) == times(offline)
    for number, partial in enumerate(partials):
        sure, guess = final(partials[: number + 1]), partial.tentative
        closed = guess[:-1]  # the last word may go on
        assert times((*sure, *closed)) == times(offline[: len(sure) + len(closed)])


def test_mel_frames_are_those_of_the_signal_as_a_whole(engine: Engine, spoken_S: Samples) -> None:
    streamer = Streamer(engine, StreamSetting(80.0, 0.64, 0.48, 0.0))
    stream = streamer.open()
    for part_S in pieces_of(spoken_S, [0.2, 0.5]):
        streamer.feed([Feed(stream, part_S)])
    streamer.feed([Feed(stream, NOTHING, last=True)])
    wanted_1TM = engine.features.logmel(torch.from_numpy(spoken_S)[None], torch.tensor([spoken_S.size]))
    assert stream.window_start == 0
    np.testing.assert_allclose(stream.logmel_TM.numpy(), wanted_1TM[0].numpy(), rtol=0, atol=1e-4)


@settings(max_examples=5, deadline=None)
@given(st.lists(cuts, min_size=3, max_size=3))
def test_streams_fed_together_say_what_each_says_alone(
    engine: Engine, lines: Sequence[tuple[Samples, str]], cuts_B: list[list[float]]
) -> None:
    streamer = Streamer(engine, SMALL)
    spoken = [samples_S[: (3 - number) * SAMPLE_RATE_HZ] for number, (samples_S, _) in enumerate(lines[:3])]
    streams = [streamer.open() for _ in spoken]
    parts = [list(pieces_of(samples_S, cut)) for samples_S, cut in zip(spoken, cuts_B, strict=True)]
    said: dict[Stream, list[Partial]] = {stream: [] for stream in streams}
    for turn in range(max(map(len, parts))):
        feeds = [
            Feed(stream, own[turn], turn == len(own) - 1)
            for stream, own in zip(streams, parts, strict=True)
            if turn < len(own)
        ]
        for feed, partial in zip(feeds, streamer.feed(feeds), strict=True):
            said[feed.stream].append(partial)
    for stream, samples_S in zip(streams, spoken, strict=True):
        alone = final(hear(streamer, samples_S))
        assert times(final(said[stream])) == times(alone)


def test_memory_is_bounded(engine: Engine) -> None:
    streamer, rng = Streamer(engine, SMALL), np.random.default_rng(7)
    stream = streamer.open()
    for _ in range(40):
        noise_S = 0.1 * rng.standard_normal(rng.integers(0, SAMPLE_RATE_HZ)).astype(np.float32)
        streamer.feed([Feed(stream, noise_S)])
        assert stream.samples_S.size < (1.12 + 0.04) * SAMPLE_RATE_HZ, "the next window, and what a mel frame sees"
        assert stream.samples_S.base is None
        assert len(stream.logmel_TM) <= 100 * max(1.6 + 0.64 + 0.48, 2.0 + 0.64)
    assert stream.samples > 15 * SAMPLE_RATE_HZ


def test_speech_is_heard_as_well_as_offline(engine: Engine, lines: Sequence[tuple[Samples, str]]) -> None:
    samples_S = np.concatenate([one_S for one_S, _ in lines[:6]])
    streamed = " ".join(word.word for word in final(hear(Streamer(engine, StreamSetting()), samples_S)))
    said = " ".join(one for _, one in lines[:6])
    offline, online = (
        jiwer.wer(*(" ".join(text.words(one)) for one in (said, heard)))
        for heard in (engine.recognize([samples_S])[0].text, streamed)
    )
    assert online < offline + 0.1


@given(st.lists(st.tuples(st.sampled_from(["▁", "▁a", "b", "▁cd", ".", "e"]), st.integers(0, 4)), max_size=20), cuts)
def test_words_closed_piece_by_piece_are_the_words_of_all(drawn: list[tuple[str, int]], cut: list[float]) -> None:
    pieces = [Piece(piece, 2 * number, span, 0.9) for number, (piece, span) in enumerate(drawn)]
    places = sorted(round(one * len(pieces)) for one in cut)
    said: list[Word] = []
    unclosed: list[Piece] = []
    for start, end in pairwise([0, *places, len(pieces)]):
        closed, unclosed = closed_words(unclosed + pieces[start:end])
        said += joined(closed)
    assert said + joined(unclosed) == joined(pieces)


def joined(pieces: Sequence[Piece]) -> list[Word]:
    return list(words(*zip(*pieces, strict=True), frame_s=FRAME_S)) if pieces else []


@pytest.mark.parametrize("wrong", [{"chunk_s": 0.0}, {"chunk_s": 1.0}, {"left_s": -0.08}, {"right_s": float("nan")}])
def test_a_setting_that_no_frame_fits_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(AudioError, match="multiple of 0.08 s, such as"):
        StreamSetting(**wrong)


def test_what_cannot_be_heard_is_refused_before_anything_is(engine: Engine) -> None:
    streamer = Streamer(engine, SMALL)
    good, ended = streamer.open(), streamer.open()
    streamer.feed([Feed(ended, NOTHING, last=True)])
    second_S = np.zeros(SAMPLE_RATE_HZ, np.float32)
    for feeds, reason in (
        ([Feed(good, second_S), Feed(ended, second_S)], "ended"),
        ([Feed(good, second_S), Feed(good, second_S)], "twice"),
        ([Feed(good, second_S * np.nan)], "numbers"),
    ):
        with pytest.raises(AudioError, match=reason):
            streamer.feed(feeds)
    assert good.samples == 0
    assert streamer.feed([]) == []
