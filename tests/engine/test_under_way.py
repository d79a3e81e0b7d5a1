"""A recording in windows: the same words whoever transcribes which window when, and handed out early."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import audio
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import PLAIN, IsEnough, Options, PendingWindow, Step
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.core.tokens import placed
from shoptalk.engine.gap_filler import GapFiller
from shoptalk.engine.gaps import fill
from shoptalk.engine.invented import Doubtful, Loops, answers, loops, unspoken
from shoptalk.engine.long_form import LONGEST_S, of_words
from shoptalk.engine.recognizer import Engine, VadUse
from shoptalk.engine.under_way import UnderWay
from shoptalk.integrations import vad_silero

ROOT = Path(__file__).parents[2]
GENERAL = ROOT / "assets/general"
BASE = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
FRAME_S = 0.032


class DrawnVad:
    """Speech where a seed says, in stretches of any length; what it says hangs on the samples that it listens to."""

    frame_s = FRAME_S

    def speech(self, samples_T: Samples) -> list[tuple[float, float]]:
        rng = np.random.default_rng([samples_T.size, int(1e6 * abs(float(samples_T[:1].sum())))])
        edges_s = np.sort(rng.uniform(0, samples_T.size / SAMPLE_RATE_HZ, 4)).round(3)
        return [(float(edges_s[0]), float(edges_s[1])), (float(edges_s[2]), float(edges_s[3]))]

    def probabilities_of_each(
        self, audio: Sequence[Samples], is_enough: IsEnough | None = None
    ) -> list[npt.NDArray[np.float32]]:
        speech = []
        for samples_T in audio:
            rng = np.random.default_rng([samples_T.size, int(1e6 * abs(float(samples_T[:1].sum())))])
            speech.append(rng.uniform(0, 1, -(-samples_T.size // 512)).astype(np.float32))
        return speech


def drawn_words(rng: np.random.Generator, until_s: float, *, most_apart_s: float) -> list[Word]:
    """Words of a small vocabulary up to a time, some far apart, many doubtful."""
    timed: list[Word] = []
    start_s = 0.0
    while (start_s := round(start_s + float(rng.choice([0.3, 0.5, 1.0, most_apart_s])), 3)) < until_s:
        name = str(rng.choice(["no", "yes", "well", "and then"]))
        timed.append(
            Word(word=name, start_s=start_s, end_s=round(start_s + 0.25, 3), confidence=round(float(rng.uniform()), 4))
        )
    return timed


def noise(rng: np.random.Generator, seconds: float) -> Samples:
    return rng.normal(0, 0.1, round(seconds * SAMPLE_RATE_HZ)).astype(np.float32)


def fake_recognition(samples_T: Samples) -> Recognition:
    """Words that hang on the samples alone."""
    rng = np.random.default_rng([samples_T.size, int(1e6 * abs(float(samples_T[:1].sum())))])
    return of_words(drawn_words(rng, samples_T.size / SAMPLE_RATE_HZ, most_apart_s=float(rng.choice([2.0, 9.0, 40.0]))))


def fake_recognitions(audio: Sequence[Samples]) -> list[Recognition]:
    return [fake_recognition(samples_T) for samples_T in audio]


def steps_of(
    recording: UnderWay, vad: DrawnVad, news: dict[int, Recognition]
) -> tuple[list[PendingWindow], list[Word]]:
    windows = recording.take(news)
    silent: set[int] = set()
    for places in answers(recording.questions(), vad):
        silent |= places
    return windows, recording.settle(silent)


def under_way(samples_T: Samples, vad: DrawnVad, rng: np.random.Generator | None) -> tuple[Recognition, list[Word]]:
    """The recognition, and the words that were told; windows are dealt out at random, or all at once without `rng`."""
    recording = UnderWay(samples_T, PLAIN, longest_s=LONGEST_S, gap_vad=vad, needs_speech=True)
    waiting = dict(enumerate(recording.first_windows))
    asked = len(waiting)
    told: list[Word] = []
    while (recognition := recording.recognition()) is None:
        numbers = sorted(waiting)
        if rng is not None and numbers:
            numbers = [int(number) for number in rng.choice(numbers, rng.integers(1, len(numbers) + 1), replace=False)]
        news = {number: fake_recognition(waiting.pop(number).samples_T) for number in numbers}
        windows, words = steps_of(recording, vad, news)
        waiting |= dict(enumerate(windows, start=asked))
        asked += len(windows)
        told += words
    return recognition, told


@given(st.integers(0, 10_000), st.floats(0.0, 300.0))
@settings(max_examples=25, deadline=None)
def test_the_words_do_not_hang_on_when_which_window_was_transcribed(seed: int, seconds: float) -> None:
    rng = np.random.default_rng(seed)
    samples_T = noise(rng, seconds)
    at_once, _ = under_way(samples_T, DrawnVad(), None)
    one_by_one, told = under_way(samples_T, DrawnVad(), rng)
    assert one_by_one == at_once
    assert [word.word for word in told] == [word.word for word in at_once.words]
    assert told == list(placed(at_once.words, until_s=samples_T.size / SAMPLE_RATE_HZ))
    assert at_once.text == " ".join(word.word for word in told)


@given(st.integers(0, 10_000), st.floats(1.0, 200.0))
@settings(max_examples=25, deadline=None)
def test_gaps_in_clusters_are_filled_as_all_together(seed: int, seconds: float) -> None:
    """The oracle fills all gaps of a recording in one go."""
    rng = np.random.default_rng(seed)
    samples_T = noise(rng, seconds)
    words = drawn_words(rng, seconds, most_apart_s=float(rng.choice([2.0, 9.0, 40.0])))
    expected = fill(samples_T, of_words(words), DrawnVad(), fake_recognitions)

    filler = GapFiller(samples_T, DrawnVad())
    given: list[Word] = []
    while not filler.is_over:
        count = int(rng.integers(0, len(words) + 1))
        fed, words = words[:count], words[count:]
        until_s = words[0].start_s if words else float("inf")
        for cluster, asked in filler.feed(fed, until_s):
            while asked:
                asked = filler.go_on(cluster, fake_recognitions(asked))
        given += filler.given()
    assert given == list(expected.words) and tuple(filler.gaps) == expected.gaps


@given(st.integers(0, 10_000), st.floats(0.0, 60.0))
@settings(max_examples=60, deadline=None)
def test_loops_and_words_without_speech_are_the_same_bit_by_bit(seed: int, seconds: float) -> None:
    rng = np.random.default_rng(seed)
    samples_T = noise(rng, seconds)
    words = drawn_words(rng, seconds, most_apart_s=3.0)
    kept = [word for place, word in enumerate(words) if place not in loops(words)]
    [silent] = unspoken([samples_T], [kept], DrawnVad())
    expected = [word for place, word in enumerate(kept) if place not in silent]

    own_loops, doubtful = Loops(), Doubtful(samples_T)
    given: list[Word] = []
    is_last = False
    while not is_last:
        count = int(rng.integers(0, 6))
        fed, words = words[:count], words[count:]
        is_last = not words
        not_looped = [word for word, is_looped in own_loops.feed(fed, last=is_last) if not is_looped]
        places: set[int] = set()
        for own in answers(doubtful.feed(not_looped, last=is_last), DrawnVad()):
            places |= own
        given += doubtful.given(places)
    assert given == expected


# ---- the real thing


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(BASE, batch=4, vad=VadUse(vad_silero.load()))


@pytest.fixture(scope="module")
def spoken() -> Samples:
    """Real speech of minutes, with a pause in it."""
    lines = [json.loads(line) for line in (GENERAL / "test.jsonl").read_text().splitlines()]
    parts = [audio.decode(GENERAL / line["audio_filepath"]) for line in lines[:90]]
    parts.insert(7, np.zeros(8 * SAMPLE_RATE_HZ, np.float32))
    return np.concatenate(parts)[: 200 * SAMPLE_RATE_HZ]


def test_an_engine_tells_the_words_of_a_long_recording_while_it_goes_on(engine: Engine, spoken: Samples) -> None:
    [expected] = engine.recognize([spoken])
    recording, windows = engine.begin(spoken)
    clip, [clip_window] = engine.begin(spoken[: 7 * SAMPLE_RATE_HZ])
    waiting = dict(enumerate(windows))
    asked, told, early = len(waiting), [], 0
    last = Step()
    while last.recognition is None:
        number = max(waiting) if len(waiting) % 2 and asked > len(windows) else min(waiting)
        company = [PendingWindow(clip_window.samples_T, Options())]
        result, _ = engine.recognize_windows([waiting.pop(number), *company])
        [last] = engine.go_on([(recording, {number: result})])
        waiting |= dict(enumerate(last.windows, start=asked))
        asked += len(last.windows)
        told += last.words
        early += bool(last.words) and last.recognition is None
    assert last.recognition == expected
    assert told == list(expected.words) and early >= len(windows) // 2
    assert all(before.end_s <= after.start_s for before, after in pairwise(told))
