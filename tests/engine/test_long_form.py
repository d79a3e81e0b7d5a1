"""Windows: they own everything once and cut in pauses. Seams: no word is lost or doubled. Real speech."""

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import jiwer
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shoptalk.core import audio, text
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import AudioError
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.engine import greedy
from shoptalk.engine.long_form import CONTEXT_S, SAME_S, Window, merge, windows
from shoptalk.engine.recognizer import Engine

ROOT = Path(__file__).parents[2]
GENERAL = ROOT / "assets/general"
NOTHING: Samples = np.zeros(0, np.float32)
Timeline = list[tuple[str, float, float]]


def tones(*lengths_s: float, pause_s: float = 0.5) -> Samples:
    """Loud stretches with pauses of faint noise behind each."""
    rng = np.random.default_rng(0)
    parts = [
        rng.normal(0, level, round(length * SAMPLE_RATE_HZ))
        for long_s in lengths_s
        for length, level in ((long_s, 0.1), (pause_s, 0.001))
    ]
    return np.concatenate(parts).astype(np.float32)


# ---- windows


@given(st.integers(0, 20 * SAMPLE_RATE_HZ), st.floats(2.0, 6.0), st.floats(0.0, 1.0), st.integers(0, 9))
@example(160_000, 3.1988, 1.0, 0)
@settings(max_examples=60, deadline=None)
def test_windows_own_everything_once_and_copy_nothing(size: int, longest_s: float, share: float, seed: int) -> None:
    samples_T = np.random.default_rng(seed).normal(0, 0.1, size).astype(np.float32)
    context_s = share * longest_s / 6
    cut = list(windows(samples_T, longest_s=longest_s, context_s=context_s))
    assert [w.owns_s[0] for w in cut] == [0.0, *(w.owns_s[1] for w in cut)][: len(cut)]
    assert not cut or cut[-1].owns_s[1] == size / SAMPLE_RATE_HZ
    for one in cut:
        first, owned_s = round(one.start_s * SAMPLE_RATE_HZ), one.owns_s[1] - one.owns_s[0]
        assert np.shares_memory(one.samples_T, samples_T) and one.samples_T.size <= longest_s * SAMPLE_RATE_HZ + 1
        assert np.array_equal(one.samples_T, samples_T[first : first + one.samples_T.size])
        assert one.start_s == pytest.approx(max(0.0, one.owns_s[0] - context_s), abs=1e-4)
        assert len(cut) == 1 or owned_s > context_s, "a context never reaches past its neighbour"


def test_it_cuts_in_the_pauses() -> None:
    samples_T = tones(*[3.1, 2.3, 4.0, 1.7, 2.9] * 6)
    seams = [round(w.owns_s[1] * SAMPLE_RATE_HZ) for w in windows(samples_T, longest_s=20.0, context_s=2.0)][:-1]
    assert len(seams) >= 5
    for seam in seams:
        assert np.abs(samples_T[seam - 1600 : seam + 1600]).max() < 0.01


def test_a_click_does_not_hide_a_pause() -> None:
    samples_T = tones(9.0, 9.0, 9.0)
    samples_T[round(9.25 * SAMPLE_RATE_HZ)] = 1.0
    seams = [w.owns_s[1] for w in windows(samples_T, longest_s=14.0, context_s=1.0)]
    assert 9.0 <= seams[0] <= 9.5


def test_three_hours_are_cut_lazily_and_evenly() -> None:
    hours_T = np.zeros(3 * 3600 * SAMPLE_RATE_HZ, np.float32)  # never written to, so it takes no memory
    owned = [w.owns_s[1] - w.owns_s[0] for w in windows(hours_T)]
    assert sum(owned) == pytest.approx(3 * 3600) and 360 <= len(owned) < 800
    assert min(owned) > CONTEXT_S


@pytest.mark.parametrize(("longest_s", "context_s"), [(5.0, 1.0), (0.5, 0.0), (10.0, -1.0), (float("nan"), 0.0)])
def test_windows_that_make_no_sense_are_refused(longest_s: float, context_s: float) -> None:
    with pytest.raises(AudioError, match="6 times the context"):
        windows(NOTHING, longest_s=longest_s, context_s=context_s)


# ---- seams


@st.composite
def timelines(draw: st.DrawFn, *, names: str, closest_s: float) -> Timeline:
    """Words for about a minute: as long as they are, and the pause behind each, are drawn."""
    words, at_s, alphabet = [], 0.3, names.split()
    for number in range(draw(st.integers(0, 120))):
        long_s = draw(st.floats(0.08, 0.6))
        words.append((alphabet[number % len(alphabet)], at_s, at_s + long_s))
        at_s += max(long_s, closest_s) + draw(st.sampled_from([0.0, 0.0, 0.05, 0.3, 1.0, 8.0]))
    return words


def cut(timeline: Timeline, seams: Sequence[float], context_s: float = CONTEXT_S) -> list[Window]:
    end_s = max([0.0, *seams, *(word[2] for word in timeline)]) + 1.0
    return [Window(NOTHING, max(0.0, own[0] - context_s), own) for own in pairwise([0.0, *sorted(set(seams)), end_s])]


def hears(window: Window, timeline: Timeline, rng: np.random.Generator, jitter_s: float, garbled: bool) -> Recognition:
    """The words that lie in the window, each up to half of `jitter_s` from its place, in order.

    `garbled`: in the outer half of the contexts some are missing and others are wrong.
    """
    words: list[Word] = []
    first_s, last_s = window.start_s, window.owns_s[1] + CONTEXT_S
    for name, start_s, end_s in timeline:
        if start_s < first_s or end_s > last_s:
            continue
        by_s = rng.uniform(-jitter_s / 2, jitter_s / 2)
        outer = start_s < window.owns_s[0] - CONTEXT_S / 2 or end_s > window.owns_s[1] + CONTEXT_S / 2
        if garbled and outer and rng.random() < 0.7:
            if rng.random() < 0.5:
                continue
            name = str(rng.choice(["a", "b", "c", "wrong"]))
        begins_s = max([start_s + by_s - first_s, *(word.start_s for word in words[-1:])])
        words.append(Word(word=name, start_s=begins_s, end_s=begins_s + end_s - start_s))
    return Recognition(text="", words=tuple(words))


def merged(timeline: Timeline, seams: Sequence[float], seed: int, jitter_s: float, garbled: bool = False) -> list[str]:
    rng = np.random.default_rng(seed)
    heard = merge((one, hears(one, timeline, rng, jitter_s, garbled)) for one in cut(timeline, seams))
    assert heard.text == " ".join(word.word for word in heard.words)
    return [word.word for word in heard.words]


seams = st.lists(st.integers(1, 7).map(lambda n: 9.0 * n), max_size=6, unique=True).flatmap(
    lambda base: st.tuples(*(st.floats(at, at + 2.0) for at in base))
)
seeds = st.integers(0, 2**32 - 1)
jitters = st.floats(0.0, SAME_S - 0.01)


@given(timelines(names="a b c d e f", closest_s=0.1), seams, seeds, jitters, st.booleans())
@settings(max_examples=120, deadline=None)
def test_no_word_is_lost_or_doubled(
    timeline: Timeline, seams: Sequence[float], seed: int, jitter_s: float, garbled: bool
) -> None:
    """Seams anywhere, in the middle of words too; neighbours differ by up to `jitter_s` in when a word is said."""
    assert merged(timeline, seams, seed, jitter_s, garbled) == [word for word, *_ in timeline]


@given(timelines(names="no", closest_s=0.25), seams, seeds)
@settings(max_examples=80, deadline=None)
def test_a_word_said_again_and_again_is_said_as_often(timeline: Timeline, seams: Sequence[float], seed: int) -> None:
    assert merged(timeline, seams, seed, 0.1) == ["no"] * len(timeline)


@given(timelines(names="w", closest_s=0.2), seams, seeds)
@settings(max_examples=80, deadline=None)
def test_words_spelled_in_two_ways_are_taken_once(timeline: Timeline, seams: Sequence[float], seed: int) -> None:
    """No word is heard alike by two windows; then times decide, which differ by a frame."""
    rng = np.random.default_rng(seed)
    numbered = [(str(number), start_s, end_s) for number, (_, start_s, end_s) in enumerate(timeline)]
    heard = []
    for place, one in enumerate(cut(numbered, seams)):
        words = hears(one, numbered, rng, 0.09, False).words
        spelled = tuple(word.model_copy(update={"word": f"{word.word}-{place}"}) for word in words)
        heard.append((one, Recognition(text="", words=spelled)))
    assert [word.word.partition("-")[0] for word in merge(heard).words] == [word for word, *_ in numbered]


def test_case_and_punctuation_at_the_seam_are_the_owners() -> None:
    left = (Word(word="two.", start_s=9.0, end_s=9.3), Word(word="Then", start_s=10.1, end_s=10.4))
    right = (Word(word="two", start_s=2.0, end_s=2.3), Word(word="then", start_s=3.1, end_s=3.4, confidence=0.5))
    heard = merge(
        [
            (Window(NOTHING, 0.0, (0.0, 10.0)), Recognition(text="two. Then", words=left)),
            (Window(NOTHING, 7.0, (10.0, 20.0)), Recognition(text="two then", words=right)),
        ]
    )
    assert heard.text == "two. then"
    assert heard.words[1] == Word(word="then", start_s=10.1, end_s=10.4, confidence=0.5)


def test_what_one_window_missed_on_the_seam_is_the_others() -> None:
    word = Word(word="metformin", start_s=2.8, end_s=3.5)
    empty = (Window(NOTHING, 0.0, (0.0, 10.0)), Recognition(text=""))
    assert merge([empty, (Window(NOTHING, 7.0, (10.0, 20.0)), Recognition(text="", words=(word,)))]).text == "metformin"


# ---- the whole


def in_one_pass(engine: Engine, samples_T: Samples) -> str:
    """The text of audio that is encoded whole."""
    [decoded] = greedy.decode(engine.steps, *engine.encode([samples_T]))
    return engine.tokenizer.decode(decoded.tokens)


def test_three_minutes_in_windows_are_heard_as_well_as_in_one_pass() -> None:
    """Joined recordings of several voices; both err a little more often than each recording alone."""
    lines = [json.loads(line) for line in (GENERAL / "test.jsonl").read_text().splitlines()]
    chosen = [line for line in lines if line["source"] == "synthetic"][:46]
    spoken = [audio.decode(GENERAL / line["audio_filepath"]) for line in chosen]
    pause_T = np.zeros(SAMPLE_RATE_HZ // 3, np.float32)
    joined_T = np.concatenate([part for samples_T in spoken for part in (samples_T, pause_T)])
    assert joined_T.size > 175 * SAMPLE_RATE_HZ
    engine = Engine(ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo", batch=8)
    said = " ".join(word for line in chosen for word in text.words(line["text"]))

    def wer(heard: Iterable[Recognition]) -> float:
        return jiwer.wer(said, " ".join(word for one in heard for word in text.words(one.text)))

    alone = wer(engine.recognize(spoken))
    once = jiwer.wer(said, " ".join(text.words(in_one_pass(engine, joined_T))))
    cut = wer(engine.recognize([joined_T]))
    assert cut < once + 0.02 and cut < alone + 0.08, (alone, once, cut)
