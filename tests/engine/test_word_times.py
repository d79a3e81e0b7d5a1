"""Word times of every recognition: ordered, inside the audio, apart, and no longer than what is spoken."""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import audio, segments, subtitles
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import Feed, IsEnough, Options, Phrase
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.core.tokens import FRAME_S, PAUSE_S, SHORTEST_WORD_MS, placed, words
from shoptalk.engine.recognizer import Engine, VadUse
from shoptalk.engine.streaming import Streamer, StreamSetting

ROOT = Path(__file__).parents[2]
GENERAL = ROOT / "assets/general"
BASE = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
PHRASES = Options((Phrase("metformin"), Phrase("blood pressure", 3.0)), alternatives=2)
SMALL = StreamSetting(left_s=0.8, chunk_s=0.32, right_s=0.24, first_s=0.4)


def check_order(timed: Sequence[Word], length_s: float, *, from_s: float = 0.0) -> None:
    """What holds for the words of any recognition, streams included."""
    edges_s = [from_s]
    for word in timed:
        edges_s += [word.start_s, word.end_s]
    edges_s.append(length_s)
    assert edges_s == sorted(edges_s), "in order, inside, apart"


def check(timed: Sequence[Word], length_s: float, *, from_s: float = 0.0) -> None:
    """What holds where all words are placed at once. In a stream the words of a short piece share its length."""
    check_order(timed, length_s, from_s=from_s)
    if (length_s - from_s) * 1000 >= (len(timed) + 1) * SHORTEST_WORD_MS:
        assert all(1000 * (word.end_s - word.start_s) > SHORTEST_WORD_MS - 0.5 for word in timed)


# ---- laws

times_s = st.floats(-1, 30) | st.integers(0, 30).map(float)
timed_words = st.lists(
    st.builds(lambda start_s, long_s: Word(word="a", start_s=start_s, end_s=start_s + long_s), times_s, times_s),
    max_size=40,
)


@given(timed_words, st.integers(0, 25 * SAMPLE_RATE_HZ) | st.integers(0, 999), st.floats(0, 1))
def test_any_words_are_placed(drawn: list[Word], samples: int, share: float) -> None:
    until_s = samples / SAMPLE_RATE_HZ
    from_s = np.floor(share * until_s * 1000) / 1000
    one_after_another = placed(drawn, from_s=from_s, until_s=until_s)
    check(one_after_another, until_s, from_s=from_s)
    assert [word.word for word in one_after_another] == [word.word for word in drawn]
    assert placed(one_after_another, from_s=from_s, until_s=until_s) == one_after_another


@given(st.lists(st.integers(SHORTEST_WORD_MS, 2000), max_size=40).filter(lambda steps: len(steps) % 2 == 0))
def test_words_that_are_right_stay_where_they_are(steps_ms: list[int]) -> None:
    edges_s = np.cumsum(steps_ms) / 1000
    right = [Word(word="a", start_s=start_s, end_s=end_s) for start_s, end_s in edges_s.reshape(-1, 2)]
    assert placed(right, until_s=float(sum(steps_ms) / 1000)) == tuple(right)


class Token(NamedTuple):
    """A piece, how many frames after the one before, and its duration in frames."""

    piece: str
    after: int
    span: int


tokens = st.builds(
    Token,
    st.sampled_from(["▁", "▁a", "▁the", "b", "cd", "efg", ".", ",", "▁-"]),
    st.sampled_from([0, 1, 2, 6, 7, 8, 38]),
    st.integers(0, 4),
)


@given(st.lists(tokens, max_size=30))
def test_no_word_is_longer_than_its_letters(drawn: list[Token]) -> None:
    """Each word lies on pieces of its own without a pause between them; no other side of a pause has more letters."""
    frames = np.cumsum([token.after for token in drawn]).tolist()
    rows = [(token.piece, frame, token.span, 0.9) for token, frame in zip(drawn, frames, strict=True)]
    whole = list(words(*zip(*rows, strict=True), frame_s=FRAME_S)) if rows else []
    for word, own in zip(whole, by_word(rows), strict=True):
        sounds = [own[0], *(row for row in own[1:] if any(map(str.isalnum, row[0])))]
        inside = [row for row in sounds if word.start_s <= row[1] * FRAME_S + 1e-3 <= word.end_s]
        assert word.word == "".join(row[0].lstrip("▁") for row in own)
        assert word.start_s == pytest.approx(inside[0][1] * FRAME_S, abs=1e-3)
        ends_s = [(row[1] + max(row[2], 1)) * FRAME_S for row in inside]
        assert word.end_s == pytest.approx(max(ends_s), abs=1e-3)
        for number, row in enumerate(inside[1:], start=1):
            assert row[1] * FRAME_S - max(ends_s[:number]) <= PAUSE_S, "a pause is in the word"
        letters = sum(map(str.isalnum, "".join(row[0] for row in inside)))
        assert letters * (len(own) - len(inside) + 1) >= sum(map(str.isalnum, word.word))


Row = tuple[str, int, int, float]


def by_word(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """The rows of each word, written otherwise than in `tokens`: the text is cut at its ▁."""
    text = "".join(f"{'|' if row[0].startswith('▁') else ''}{number} " for number, row in enumerate(rows))
    for part in text.split("|"):
        own = [rows[int(number)] for number in part.split()]
        own = [row for row in own if row[0] != "▁"]
        if own:
            yield own


def test_a_model_that_joins_words_across_a_pause() -> None:
    """As the base did with 3 s between "data" and "agrees"."""
    pieces = ["▁d", "at", "a", "g", "re", "es", ".", "▁and"]
    frames = [20, 21, 62, 63, 64, 66, 110, 120]
    joined, following = words(pieces, frames, [1] * 8, [0.9] * 8, frame_s=FRAME_S)
    assert (joined.word, joined.start_s, joined.end_s) == ("datagrees.", 4.96, 5.36)
    assert (following.word, following.start_s) == ("and", 9.6)


# ---- random models on random audio


@st.composite
def recordings(draw: st.DrawFn) -> Samples:
    """Noise in bursts with silence between them and behind; a few samples or some seconds, now and then a minute."""
    samples = draw(st.integers(0, 2_000) | st.integers(0, 5 * SAMPLE_RATE_HZ) | st.just(40 * SAMPLE_RATE_HZ))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = rng.choice([0.0, 1e-4, 0.1, 1.0], size=samples // 4_000 + 1)
    recording_T = rng.standard_normal(samples) * np.repeat(levels, 4_000)[:samples]
    silent = draw(st.sampled_from([0, 1, 4_000, SAMPLE_RATE_HZ]))
    return np.pad(recording_T, (0, silent)).astype(np.float32)


class AnyVad:
    """Calls every second stretch of a second speech, and finds speech around every word."""

    frame_s = 0.032

    def speech(self, samples_T: Samples) -> list[tuple[float, float]]:
        length_s = samples_T.size / SAMPLE_RATE_HZ
        return [(float(start), min(start + 1.0, length_s)) for start in range(0, int(length_s) + 1, 2)]

    def probabilities_of_each(
        self, audio: Sequence[Samples], is_enough: IsEnough | None = None
    ) -> list[npt.NDArray[np.float32]]:
        return [np.full(round(own_T.size / 512) + 1, 0.9, np.float32) for own_T in audio]


class Models(NamedTuple):
    greedy: Engine
    beam: Engine
    filling: Engine

    def draw(self, seed: int) -> None:
        """Other weights of the joiner: which tokens and durations are likely, and how often none is."""
        rng = np.random.default_rng(seed)
        for engine in self:
            outputs = len(engine.steps.out_bias_O)
            bias_O = rng.normal(0, rng.choice([0.5, 2.0]), outputs).astype(np.float32)
            bias_O[engine.steps.blank] += rng.choice([-2.0, 2.0, 4.0])
            bias_O[engine.steps.blank + 1] += rng.choice([0.0, 4.0])  # a duration of 0: words on one frame
            engine.steps.out_bias_O = bias_O


@pytest.fixture(scope="module")
def models(tiny_nemo: Path) -> Models:
    return Models(Engine(tiny_nemo), Engine(tiny_nemo, beam=4), Engine(tiny_nemo, vad=VadUse(AnyVad())))


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=25, deadline=None)
@given(seeds, st.lists(recordings(), min_size=1, max_size=3), st.sampled_from(["greedy", "beam", "phrases", "filling"]))
def test_recognitions(models: Models, seed: int, drawn: list[Samples], way: str) -> None:
    models.draw(seed)
    if way == "phrases":
        recognitions = models.beam.recognize(drawn, [PHRASES] * len(drawn))
    else:
        engine: Engine = getattr(models, way)
        recognitions = engine.recognize(drawn)
    for samples_T, recognition in zip(drawn, recognitions, strict=True):
        length_s = samples_T.size / SAMPLE_RATE_HZ
        check(recognition.words, length_s)
        check_cues(recognition, length_s)
        assert all(0 <= start_s <= end_s <= length_s for start_s, end_s in recognition.gaps)


def check_cues(recognition: Recognition, length_s: float) -> None:
    """Subtitles, and the segments of verbose_json, keep the rules of their words."""
    edges_s = [0.0]
    for segment in segments.of_recognition(recognition, length_s):
        edges_s += [segment.start_s, segment.end_s]
    edges_s.append(length_s)
    assert edges_s == sorted(edges_s)
    cues = subtitles.of_recording([recognition], [""], length_s)
    for text, point in ((subtitles.srt(cues), ","), (subtitles.vtt(cues), ".")):
        clocks = re.findall(rf"(\d\d):(\d\d):(\d\d)\{point}(\d\d\d)", text)
        written_s = [int(h) * 3600 + int(m) * 60 + int(s) + int(ms) / 1000 for h, m, s, ms in clocks]
        assert len(written_s) == 2 * len(cues) and written_s == sorted(written_s)
        assert all(start_s <= length_s + 0.0005 for start_s in written_s[::2])


@settings(max_examples=25, deadline=None)
@given(seeds, recordings(), st.lists(st.floats(0, 1), max_size=12))
def test_streams(models: Models, seed: int, samples_S: Samples, cuts: list[float]) -> None:
    """What is final and tentative keeps the rules at any time, for as much as was fed."""
    models.draw(seed)
    streamer = Streamer(models.greedy, SMALL)
    stream = streamer.open()
    places = [*sorted(round(cut * samples_S.size) for cut in cuts), samples_S.size]
    final: tuple[Word, ...] = ()
    for start, end in pairwise([0, *places, samples_S.size]):
        [partial] = streamer.feed([Feed(stream, samples_S[start:end])])
        final += partial.final
        check_order([*final, *partial.tentative], end / SAMPLE_RATE_HZ)
    [partial] = streamer.feed([Feed(stream, samples_S[:0], last=True)])
    check_order([*final, *partial.final], samples_S.size / SAMPLE_RATE_HZ)


# ---- the model that ships, on speech with pauses


def test_no_word_reaches_across_a_pause() -> None:
    """Pauses of 3 s anywhere, in the middle of words too: without the rule six words are 3 s long."""
    lines = [json.loads(line) for line in (GENERAL / "test.jsonl").read_text().splitlines()]
    chosen = [line for line in lines if line["source"] == "synthetic" and line["duration"] > 2][:12]
    pause_T = np.zeros(3 * SAMPLE_RATE_HZ, np.float32)
    greedy, beam = Engine(BASE, batch=4), Engine(BASE, batch=4, beam=4)
    streamer = Streamer(greedy, StreamSetting())
    paused = []
    for line in chosen:
        spoken_T = audio.decode(GENERAL / line["audio_filepath"])
        middle = spoken_T.size // 2
        paused.append(np.concatenate([spoken_T[:middle], pause_T, spoken_T[middle:]]))
    streams = [streamer.open() for _ in paused]
    partials = streamer.feed([Feed(stream, own_T, True) for stream, own_T in zip(streams, paused, strict=True)])
    ways = (
        [recognition.words for recognition in greedy.recognize(paused)],
        [recognition.words for recognition in beam.recognize(paused)],
        [partial.final for partial in partials],
    )
    for words_of_each in ways:
        assert sum(map(len, words_of_each)) > 60
        for samples_T, timed in zip(paused, words_of_each, strict=True):
            check(timed, samples_T.size / SAMPLE_RATE_HZ)
            assert max(word.end_s - word.start_s for word in timed) < 2.0
