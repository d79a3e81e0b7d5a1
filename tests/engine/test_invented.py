"""Words that nothing in the audio carries are left out: without speech, in loops, of phrases alone. True words stay."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import audio
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import Feed, IsEnough, Options, Phrase
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.engine.invented import (
    LEAST_SPEECH,
    LIKELY,
    PHRASE_WORDS,
    REPEATS,
    SPEECH,
    loops,
    speech_only,
    unspoken,
    where_words_stand,
    without_loops,
)
from shoptalk.engine.long_form import of_words
from shoptalk.engine.recognizer import Engine, VadUse
from shoptalk.engine.streaming import Streamer, StreamSetting
from shoptalk.integrations import vad_silero

ROOT = Path(__file__).parents[2]
BASE = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
GENERAL = ROOT / "assets/general"
SECONDS = st.floats(0.2, 4.0)
LEVEL_DB = st.floats(-80.0, -3.0)
BOOSTED = [(), ("the",), ("no", "apixaban"), ("a",)]


def word(text: str, start_s: float, confidence: float, length_s: float = 0.2) -> Word:
    return Word(word=text, start_s=start_s, end_s=round(start_s + length_s, 3), confidence=confidence)


@dataclass
class FakeVad:
    """So sure of speech everywhere; notes for how long it listened."""

    probability: float
    frame_s: float = 0.032
    listened_s: float = 0.0

    def speech(self, samples_T: Samples) -> list[tuple[float, float]]:
        return []

    def probabilities_of_each(
        self, audio: Sequence[Samples], is_enough: IsEnough | None = None
    ) -> list[npt.NDArray[np.float32]]:
        self.listened_s += sum(samples_T.size for samples_T in audio) / SAMPLE_RATE_HZ
        frames = [-(-samples_T.size // 512) for samples_T in audio]
        return [np.full(count, self.probability, np.float32) for count in frames]


@pytest.fixture(scope="module")
def engine() -> Engine:
    """As `transcribe`, the service and stage 70 open it."""
    return Engine(BASE, batch=8, beam=4, vad=VadUse(vad_silero.load()))


@pytest.fixture(scope="module")
def greedy() -> Engine:
    return Engine(BASE, batch=8, vad=VadUse(vad_silero.load(), fill_gaps=False))


@pytest.fixture(scope="module")
def without_vad() -> Engine:
    return Engine(BASE, batch=8, beam=4)


@pytest.fixture(scope="module")
def spoken() -> list[Samples]:
    lines = map(json.loads, (GENERAL / "test.jsonl").read_text(encoding="utf-8").splitlines())
    chosen = [line for line in lines if line["source"] == "synthetic"][:12]
    return [audio.decode(GENERAL / line["audio_filepath"]) for line in chosen]


def at_level(samples_T: npt.NDArray[np.float64], level_db: float) -> Samples:
    rms = float(np.sqrt(np.mean(samples_T**2)))
    return np.clip(samples_T * 10 ** (level_db / 20) / max(rms, 1e-9), -1.0, 1.0).astype(np.float32)


@st.composite
def not_speech(draw: st.DrawFn) -> Samples:
    """Digital silence, a constant, clicks, hum, tones, white, pink and brown noise, and noise that comes and goes."""
    size = round(draw(SECONDS) * SAMPLE_RATE_HZ)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    time_s = np.arange(size) / SAMPLE_RATE_HZ
    kind = draw(st.sampled_from(["digital", "constant", "clicks", "tone", "hum", "noise", "bursts"]))
    if kind == "digital":
        return np.zeros(size, np.float32)
    if kind == "constant":
        return np.full(size, draw(st.floats(-0.5, 0.5)), np.float32)
    if kind == "clicks":
        return at_level((rng.random(size) < 2 / SAMPLE_RATE_HZ).astype(np.float64), draw(LEVEL_DB))
    if kind == "tone":
        return at_level(np.sin(2 * np.pi * draw(st.floats(30.0, 7000.0)) * time_s), draw(LEVEL_DB))
    if kind == "hum":
        harmonics = [np.sin(2 * np.pi * 50 * number * time_s) / number for number in range(1, 8)]
        return at_level(np.sum(harmonics, axis=0), draw(LEVEL_DB))
    spectrum = np.fft.rfft(rng.standard_normal(size))
    slope = draw(st.sampled_from([0.0, 0.5, 1.0]))
    coloured_T = np.fft.irfft(spectrum / np.maximum(1, np.arange(spectrum.size)) ** slope, size)
    if kind == "bursts":
        coloured_T = coloured_T * (np.sin(2 * np.pi * draw(st.floats(0.2, 1.5)) * time_s) > 0)
    return at_level(coloured_T, draw(LEVEL_DB))


@settings(max_examples=12, deadline=None)
@given(samples_T=not_speech(), terms=st.sampled_from(BOOSTED), weight=st.sampled_from([1.0, 4.0]))
def test_what_is_no_speech_gives_no_words(
    engine: Engine, greedy: Engine, samples_T: Samples, terms: tuple[str, ...], weight: float
) -> None:
    options = [Options(phrases=tuple(Phrase(term, weight) for term in terms), alternatives=2)]
    assert engine.recognize([samples_T], options) == greedy.recognize([samples_T]) == [Recognition(text="")]


def test_a_minute_of_silence_has_no_words_in_windows_and_batches(engine: Engine, spoken: list[Samples]) -> None:
    silence_T = audio.decode(ROOT / "tests/cases/silence-60s.flac")
    options = [Options(phrases=(Phrase("the", 4.0),)), Options(), Options()]
    boosted, speech, plain = engine.recognize([silence_T, spoken[0], silence_T], options)
    assert boosted == plain == Recognition(text="")
    assert speech.text == engine.recognize([spoken[0]])[0].text != ""


@pytest.mark.parametrize("level_db", [-20.0, -40.0, -50.0])
def test_true_words_stay_at_any_level(
    engine: Engine, without_vad: Engine, spoken: list[Samples], level_db: float
) -> None:
    quiet = [at_level(samples_T.astype(np.float64), level_db) for samples_T in spoken]
    with_check = engine.recognize(quiet)
    for recognition, unchecked in zip(with_check, without_vad.recognize(quiet), strict=True):
        words = {(word.word, word.start_s) for word in recognition.words}
        assert words >= {(word.word, word.start_s) for word in unchecked.words}


def test_boosted_words_end_with_the_speech(engine: Engine, spoken: list[Samples]) -> None:
    noise_T = 0.02 * np.random.default_rng(7).standard_normal(8 * SAMPLE_RATE_HZ).astype(np.float32)
    options = [Options(phrases=(Phrase("the", 4.0),))]
    for samples_T in spoken[:3]:
        [recognition] = engine.recognize([np.concatenate([samples_T, noise_T])], options)
        end_s = samples_T.size / SAMPLE_RATE_HZ + 0.5
        assert recognition.words and all(word.start_s < end_s for word in recognition.words)


# ---- streams


def streamed(engine: Engine, samples_T: Samples, size: int) -> tuple[list[Word], list[Word]]:
    """The final words, and all that were ever tentative, of samples that come in pieces of this size."""
    streamer = Streamer(engine, StreamSetting())
    stream = streamer.open()
    final: list[Word] = []
    tentative: list[Word] = []
    for start in range(0, samples_T.size, size):
        last = start + size >= samples_T.size
        [partial] = streamer.feed([Feed(stream, samples_T[start : start + size], last)])
        final += partial.final
        tentative += partial.tentative
    return final, tentative


def test_streams_without_speech_have_no_words(greedy: Engine) -> None:
    noise_T = 0.05 * np.random.default_rng(7).standard_normal(12 * SAMPLE_RATE_HZ).astype(np.float32)
    for samples_T in (noise_T, np.zeros_like(noise_T)):
        assert streamed(greedy, samples_T, 9000) == ([], [])


def test_a_stream_keeps_true_words_however_it_is_cut(greedy: Engine, spoken: list[Samples]) -> None:
    samples_T = np.concatenate([spoken[0], np.zeros(5 * SAMPLE_RATE_HZ, np.float32), spoken[1]])
    final, _ = streamed(greedy, samples_T, 7000)
    assert final == streamed(greedy, samples_T, 50_000)[0]
    unchecked, _ = streamed(Engine(BASE), samples_T, 50_000)
    pause_s = spoken[0].size / SAMPLE_RATE_HZ + 0.5
    outside = [word for word in unchecked if not pause_s < word.start_s < pause_s + 4]
    assert [word.word for word in final] == [word.word for word in outside]


# ---- boosting


@settings(max_examples=10, deadline=None)
@given(samples_T=not_speech(), terms=st.sampled_from(BOOSTED[1:]), weight=st.sampled_from([1.0, 2.0, 4.0]))
def test_boosting_writes_no_words_where_none_would_stand(
    without_vad: Engine, samples_T: Samples, terms: tuple[str, ...], weight: float
) -> None:
    [plain] = without_vad.recognize([samples_T])
    options = [Options(phrases=tuple(Phrase(term, weight) for term in terms))]
    [boosted] = without_vad.recognize([samples_T], options)
    assert not boosted.words or plain.words
    for boosted_word in boosted.words:
        assert min(abs(boosted_word.start_s - word.start_s) for word in plain.words) < 2.5


def test_a_boosted_word_stands_near_others_or_between_them() -> None:
    plain = of_words([word("take", 1.0, 0.9), word("now", 2.1, 0.9), word("then", 5.0, 0.9)])
    starts = [0.2, 0.6, 1.6, 2.4, 2.9, 3.4, 4.6, 5.6, 6.0]
    boosted = of_words([word("apixaban", start_s, 0.5) for start_s in starts])
    assert [word.start_s for word in where_words_stand(boosted, plain).words] == [0.6, 1.6, 2.4, 4.6, 5.6]
    assert where_words_stand(boosted, Recognition(text="")) == Recognition(text="")


# ---- loops


def test_an_unlikely_loop_ends_and_a_likely_repetition_stays() -> None:
    def texts(confidence: float, *names: str) -> list[str]:
        words = [word(name, 0.3 * place, confidence) for place, name in enumerate(names)]
        return [kept.word for kept in without_loops(of_words(words)).words]

    assert texts(0.01, "in", "The", "the", "the,", "the", "colon") == ["in", "The", "the", "colon"]
    assert texts(0.9, "no", "no", "no", "no") == ["no", "no", "no", "no"]
    assert texts(0.1, *"a little bit a little bit a little bit a little bit".split()) == "a little bit".split() * 2
    assert texts(0.1, "one", "two", "one", "two", "three") == ["one", "two", "one", "two", "three"]


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=30), st.floats(0, 1))
def test_after_loops_are_left_out_no_more_are_there(names: list[str], confidence: float) -> None:
    words = [word(name, 0.3 * place, confidence) for place, name in enumerate(names)]
    looped = loops(words)
    assert not looped or confidence < LIKELY
    kept = [name for place, name in enumerate(names) if place not in looped]
    if confidence < LIKELY:
        for length in range(1, PHRASE_WORDS + 1):
            size = length * (REPEATS + 1)
            runs = [kept[start : start + size] for start in range(len(kept) - size + 1)]
            assert not any(run == run[:length] * (REPEATS + 1) for run in runs)


# ---- which words the VAD is asked about


def test_a_word_goes_where_recogniser_and_vad_both_doubt_it() -> None:
    silence_T = np.zeros(10 * SAMPLE_RATE_HZ, np.float32)
    heard = of_words([word("unsure", 1.0, 0.2), word("likely", 4.0, 0.8), word("certain", 7.0, 1.0)])

    def kept(probability: float) -> str:
        return speech_only([silence_T], [heard], FakeVad(probability))[0].text

    assert kept(0.0) == kept(LEAST_SPEECH - 0.01) == "", "a tone may give a word of confidence 0.99"
    assert kept(LEAST_SPEECH + 0.01) == "certain"
    assert kept(0.25) == "likely certain" and kept(SPEECH + 0.01) == "unsure likely certain"


def test_three_sure_words_in_a_row_need_no_vad() -> None:
    silence_T = np.zeros(60 * SAMPLE_RATE_HZ, np.float32)
    sure = [word("word", 0.4 * place, 0.9) for place in range(100)]
    vad = FakeVad(0.0)
    assert speech_only([silence_T], [of_words(sure)], vad) == [of_words(sure)] and not vad.listened_s
    behind = of_words([*sure, word("far", 45.0, 0.9), word("past", 60.5, 0.9)])
    assert speech_only([silence_T], [behind], vad) == [of_words(sure)] and vad.listened_s < 3.0


class ReadsAll:
    """A VAD that reads all it is given, one after the other."""

    def __init__(self, vad: vad_silero.SileroVad) -> None:
        self._vad = vad
        self.frame_s = vad.frame_s

    def speech(self, samples_T: Samples) -> list[tuple[float, float]]:
        return self._vad.speech(samples_T)

    def probabilities_of_each(
        self, audio: Sequence[Samples], is_enough: IsEnough | None = None
    ) -> list[npt.NDArray[np.float32]]:
        return [self._vad.probabilities(samples_T) for samples_T in audio]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 6), level=st.sampled_from([1.0, 0.1, 0.01]))
def test_listening_together_until_words_are_decided_keeps_the_words_of_listening_to_all_alone(
    spoken: list[Samples], seed: int, count: int, level: float
) -> None:
    """Words anywhere, with any confidence, in speech between silence and noise."""
    rng = np.random.default_rng(seed)
    vad = vad_silero.load()
    audio = []
    words_of_each = []
    for number in range(count):
        pause_T = rng.choice([0.0, 0.03]) * rng.standard_normal(2 * SAMPLE_RATE_HZ).astype(np.float32)
        samples_T = np.concatenate([pause_T, spoken[number], pause_T]) * np.float32(level)
        starts_s = np.sort(rng.uniform(0, samples_T.size / SAMPLE_RATE_HZ, rng.integers(0, 12)))
        audio.append(samples_T.astype(np.float32))
        words_of_each.append([word("word", round(float(start_s), 2), float(rng.random())) for start_s in starts_s])
    together = unspoken(audio, words_of_each, vad)
    alone = [unspoken([own_T], [words], ReadsAll(vad))[0] for own_T, words in zip(audio, words_of_each, strict=True)]
    assert together == alone
