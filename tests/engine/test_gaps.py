"""Gaps: found where speech has no words, filled where transcribing again helps, told where it does not."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoptalk.core import audio, text
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import Vad
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.engine.gaps import SPEECH_S, TRIES, between_words, fill, find_gaps
from shoptalk.engine.long_form import LONGEST_S
from shoptalk.engine.recognizer import Engine
from shoptalk.integrations import vad_silero

ROOT = Path(__file__).parents[2]
GENERAL = ROOT / "assets/general"
SILENCE: Samples = np.zeros(30 * SAMPLE_RATE_HZ, np.float32)


def said(*words: tuple[str, float, float]) -> Recognition:
    found = tuple(Word(word=word, start_s=start_s, end_s=end_s) for word, start_s, end_s in words)
    return Recognition(text=" ".join(word for word, *_ in words), words=found)


@dataclass
class FakeVad:
    """Speech all the time; notes for how long it listened."""

    listened_s: float = 0.0

    def speech(self, samples_T: Samples) -> list[tuple[float, float]]:
        self.listened_s += samples_T.size / SAMPLE_RATE_HZ
        return [(0.0, samples_T.size / SAMPLE_RATE_HZ)]


def deaf(audio: Sequence[Samples]) -> list[Recognition]:
    return [Recognition(text="") for _ in audio]


def test_a_gap_is_speech_without_a_word() -> None:
    heard = said(("one", 0.5, 0.9), ("two", 4.0, 4.3))
    assert find_gaps(heard, [(0.4, 1.0), (1.5, 2.0), (2.2, 3.0), (4.0, 4.4)], 6.0) == [(1.5, 3.0)]
    assert find_gaps(heard, [(0.4, 1.0), (1.5, 2.0), (4.0, 4.4)], 6.0) == [], "too little to tell"
    assert find_gaps(heard, [(0.4, 3.9), (4.0, 6.0)], 6.0) == [(1.1, 3.8), (4.5, 6.0)]
    assert find_gaps(said(), [(1.0, 2.5)], 3.0) == [(1.0, 2.5)] and find_gaps(said(), [], 3.0) == []


def test_a_comma_behind_a_gap_does_not_hide_it() -> None:
    assert find_gaps(said(("well,", 0.2, 6.0), ("then", 6.1, 6.4)), [(0.2, 6.4)], 6.5) == [(1.4, 5.9)]


@given(st.lists(st.tuples(st.floats(0, 60), st.floats(0.05, 3)), max_size=40), st.floats(0, 70))
def test_stretches_between_words_lie_apart_and_hold_no_word(
    drawn: list[tuple[float, float]], duration_s: float
) -> None:
    heard = said(*(("word", start_s, start_s + long_s) for start_s, long_s in sorted(drawn)))
    found = list(between_words(heard, duration_s))
    assert all(end - start >= SPEECH_S for start, end in found)
    assert all(before[1] < after[0] for before, after in pairwise(found))
    assert not any(start <= word.start_s < end for start, end in found for word in heard.words)


def test_the_vad_listens_only_where_no_words_are() -> None:
    words = [("word", at / 2, at / 2 + 0.3) for at in range(60) if not 20 <= at < 30]
    vad = FakeVad()
    heard = fill(SILENCE, said(*words), vad, deaf)
    assert vad.listened_s < 7.0
    assert heard.gaps == ((pytest.approx(10.0), pytest.approx(14.8)),) and len(heard.words) == 50


def test_it_is_heard_again_cut_otherwise_until_there_are_words() -> None:
    sizes: list[int] = []

    def at_last(audio: Sequence[Samples]) -> list[Recognition]:
        sizes.append(audio[0].size)
        return [said(*(("well", 0.5 * n, 0.5 * n + 0.3) for n in range(60)) if len(sizes) == 3 else ())]

    heard = fill(SILENCE, Recognition(text=""), FakeVad(), at_last)
    assert len(sizes) == 3 == len(TRIES) and heard.gaps == () and len(heard.words) == 60
    assert all(before.start_s <= after.start_s for before, after in pairwise(heard.words))


def test_what_is_heard_around_a_gap_is_not_taken_twice() -> None:
    before = said(("well,", 1.0, 1.4), ("then", 5.0, 5.3))

    def again(audio: Sequence[Samples]) -> list[Recognition]:
        return [said(("Well", 0.0, 0.3), ("we", 0.9, 1.1), ("went", 1.3, 1.6), ("home", 2.3, 2.6), ("Than", 3.62, 3.9))]

    heard = fill(SILENCE[: 6 * SAMPLE_RATE_HZ], before, FakeVad(), again)
    assert heard.text == "well, we went home then"


def test_long_gaps_are_heard_in_windows() -> None:
    longest: list[float] = []

    def noting(audio: Sequence[Samples]) -> list[Recognition]:
        longest.extend(samples_T.size / SAMPLE_RATE_HZ for samples_T in audio)
        return deaf(audio)

    heard = fill(np.zeros(200 * SAMPLE_RATE_HZ, np.float32), Recognition(text=""), FakeVad(), noting)
    assert max(longest) <= LONGEST_S and heard.gaps == ((0.0, 200.0),)


def test_without_times_nothing_can_be_missed() -> None:
    assert fill(SILENCE, Recognition(text="no times"), FakeVad(), deaf) == Recognition(text="no times")


# ---- the real thing


@pytest.fixture(scope="module")
def vad() -> Vad:
    return vad_silero.load()


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo", batch=8)


@pytest.fixture(scope="module")
def spoken() -> list[Samples]:
    lines = [json.loads(line) for line in (GENERAL / "test.jsonl").read_text().splitlines()]
    chosen = [line for line in lines if line["source"] == "synthetic" and line["duration"] > 3][:9]
    return [audio.decode(GENERAL / line["audio_filepath"]) for line in chosen]


def test_a_gap_in_a_transcript_is_found_and_filled(engine: Engine, vad: Vad, spoken: list[Samples]) -> None:
    joined_T = np.concatenate(spoken[:3])
    start_s, end_s = (sum(one.size for one in spoken[:count]) / SAMPLE_RATE_HZ for count in (1, 2))
    whole = engine.recognize([joined_T])[0]
    kept = tuple(word for word in whole.words if not start_s <= word.start_s < end_s)
    assert len(kept) < len(whole.words) - 3
    torn = Recognition(text=" ".join(word.word for word in kept), words=kept)
    heard = fill(joined_T, torn, vad, engine.recognize)
    alone = engine.recognize([spoken[1]])[0]
    between = " ".join(word.word for word in heard.words if start_s - 0.3 <= word.start_s < end_s)
    assert heard.gaps == () and jiwer.wer(*(" ".join(text.words(one)) for one in (alone.text, between))) < 0.4
    assert [word for word in heard.words if word in kept] == list(kept)


def test_quiet_speech_between_loud_is_a_gap_that_is_filled(engine: Engine, vad: Vad, spoken: list[Samples]) -> None:
    """Features are normalised over the whole recording, so what is 60 dB down in it vanishes."""
    pause_T = np.zeros(SAMPLE_RATE_HZ // 2, np.float32)
    found = []
    for first_T, quiet_T, last_T in zip(spoken[:3], spoken[3:6], spoken[6:9], strict=True):
        joined_T = np.concatenate([first_T, pause_T, quiet_T * np.float32(0.001), pause_T, last_T])
        before = engine.recognize([joined_T])[0]
        heard = fill(joined_T, before, vad, engine.recognize)
        found.append(len(heard.words) - len(before.words))
    assert sum(count >= 3 for count in found) >= 2, found


def test_nothing_is_made_up_where_nobody_speaks(engine: Engine, vad: Vad) -> None:
    for name in ("rain-2-101676-A", "baby_cry-4-167077-C", "doing-the-dishes-50s"):
        noise_T = audio.decode(ROOT / f"assets/noise/{name}.opus")
        assert fill(noise_T, Recognition(text=""), vad, engine.recognize) == Recognition(text="")
