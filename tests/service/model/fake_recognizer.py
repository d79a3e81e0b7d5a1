"""Recognisers of recordings and streams without a model; worker processes of tests open them, so nothing heavy is
imported.
"""

import os
import pickle
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import BoostError, GpuMemoryError, ModelError
from shoptalk.core.protocols import (
    PLAIN,
    Feed,
    Options,
    Partial,
    PendingWindow,
    Step,
    in_windows,
    options_of_each,
)
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.engine.long_form import windows
from shoptalk.service.model.messages import Opened

# The first samples of a window say what the recogniser does with it.
FINE, KILLS, RAISES, HANGS, LACKS_MEMORY, CANNOT_GO_ON = 0.0, 0.1, 0.2, 0.3, 0.4, 0.5

SAID = "what was said"
"""Stands in messages of errors."""


def clip(seconds: float, does: float = FINE) -> Samples:
    """Samples with which the recogniser does something."""
    return np.full(round(seconds * SAMPLE_RATE_HZ), does, np.float32)


def _asked_of(samples_T: Samples) -> float:
    is_clip = samples_T.size > 1 and samples_T[0] == samples_T[1]  # and not the noise of a warm-up
    return round(float(samples_T[0]), 1) if is_clip else FINE


def words_of(seconds: float) -> str:
    """What is recognised in `clip(seconds)`: the length of each of its windows."""
    return " ".join(f"{window.samples_T.size}" for window in windows(clip(seconds)))


@dataclass
class Own:
    count: int
    does: float
    recognitions: dict[int, Recognition] = field(default_factory=dict)
    told: int = 0


@dataclass
class FakeRecognizer:
    """Recognises the length of each window, and takes `second_s` for each second of it; on one thread alone."""

    second_s: float = 0.0
    name: str = "fake"
    thread: int = field(default_factory=threading.get_ident)

    def recognize(self, audio: Sequence[Samples], options: Sequence[Options] = ()) -> list[Recognition]:
        return in_windows(self, audio, options_of_each(options, audio))

    def begin(self, samples_T: Samples, options: Options = PLAIN) -> tuple[Own, list[PendingWindow]]:
        self._require_its_thread()
        if any(phrase.text == "unspellable" for phrase in options.phrases):
            raise BoostError("unspellable")
        cut = list(windows(samples_T))
        return Own(len(cut), _asked_of(samples_T)), [PendingWindow(window.samples_T, options) for window in cut]

    def recognize_windows(self, windows: Sequence[PendingWindow]) -> list[Recognition]:
        self._require_its_thread()
        does = [_asked_of(window.samples_T) for window in windows]
        if KILLS in does:
            os.kill(os.getpid(), signal.SIGKILL)
        if RAISES in does:
            raise RuntimeError(SAID)
        if HANGS in does:
            time.sleep(3600)
        if LACKS_MEMORY in does:
            raise GpuMemoryError("too much")
        time.sleep(self.second_s * sum(window.samples_T.size for window in windows) / SAMPLE_RATE_HZ)
        return [Recognition(text=f"{window.samples_T.size}") for window in windows]

    def go_on(self, news: Sequence[tuple[Own, Mapping[int, Recognition]]]) -> list[Step]:
        self._require_its_thread()
        if any(own.does == CANNOT_GO_ON for own, _ in news):
            raise RuntimeError(SAID)
        return [self._step(own, recognitions) for own, recognitions in news]

    def _require_its_thread(self) -> None:
        """A recogniser need not be thread-safe."""
        if threading.get_ident() != self.thread:
            raise RuntimeError("another thread than the one that opened it")

    def _step(self, own: Own, recognitions: Mapping[int, Recognition]) -> Step:
        own.recognitions |= recognitions
        words = []
        while own.told in own.recognitions:
            text = own.recognitions[own.told].text
            words.append(Word(word=text, start_s=float(own.told), end_s=own.told + 0.5))
            own.told += 1
        if own.told < own.count:
            return Step(words=words)
        text = " ".join(own.recognitions[number].text for number in range(own.count))
        return Step(words=words, recognition=Recognition(text=text))


STEP = SAMPLE_RATE_HZ // 2
"""A stream says a further word for so many samples."""


def stream_word(place: int, first: float) -> Word:
    """What a stream says for a step: its place, and its first sample."""
    return Word(word=f"{place}:{first:.3f}", start_s=place * 0.5, end_s=place * 0.5 + 0.5)


def stream_words(samples_S: Samples) -> list[Word]:
    """What a stream says of its samples: a word for each whole step."""
    return [stream_word(place, samples_S[place * STEP]) for place in range(samples_S.size // STEP)]


class FakeStreamer:
    """Says `stream_words`, each word final with its step; it takes `second_s` for each second, and `call_s` a call."""

    def __init__(self, second_s: float = 0.0, call_s: float = 0.0) -> None:
        self._second_s = second_s
        self._call_s = call_s
        self._thread = threading.get_ident()

    def open(self, options: Options = PLAIN) -> "StreamOfSamples":
        if any(phrase.text == "unspellable" for phrase in options.phrases):
            raise BoostError("unspellable")
        return StreamOfSamples()

    def feed(self, feeds: Sequence[Feed["StreamOfSamples"]]) -> list[Partial]:
        if threading.get_ident() != self._thread:
            raise RuntimeError("another thread than the one that opened it")
        samples_S = np.concatenate([feed.samples_S for feed in feeds])
        if np.float32(KILLS) in samples_S:
            os.kill(os.getpid(), signal.SIGKILL)
        if np.float32(RAISES) in samples_S:
            raise RuntimeError(SAID)
        if np.float32(HANGS) in samples_S:
            time.sleep(3600)
        if np.float32(LACKS_MEMORY) in samples_S:
            raise GpuMemoryError("too much")
        time.sleep(self._call_s + self._second_s * samples_S.size / SAMPLE_RATE_HZ)
        return [feed.stream.fed(feed.samples_S, last=feed.last) for feed in feeds]

    def wanted(self, stream: "StreamOfSamples") -> int:
        return STEP - stream.rest_S.size

    def save(self, stream: "StreamOfSamples") -> bytes:
        return pickle.dumps(stream)

    def restore(self, saved: bytes) -> "StreamOfSamples":
        stream: StreamOfSamples = pickle.loads(saved)
        return stream


@dataclass
class StreamOfSamples:
    rest_S: Samples = field(default_factory=lambda: np.zeros(0, np.float32))
    words: int = 0

    def fed(self, samples_S: Samples, *, last: bool) -> Partial:
        all_S = np.concatenate((self.rest_S, samples_S))
        firsts = all_S[: all_S.size // STEP * STEP : STEP]
        words = [stream_word(self.words + place, first) for place, first in enumerate(firsts)]
        self.words += len(words)
        self.rest_S = all_S[len(words) * STEP :]
        rest = Word(word="…", start_s=self.words * 0.5, end_s=self.words * 0.5 + 0.5)
        return Partial(tuple(words), () if last or not self.rest_S.size else (rest,))


def opening(second_s: float = 0.0, stream_call_s: float = 0.0) -> Opened:
    return Opened(FakeRecognizer(second_s), FakeStreamer(second_s, stream_call_s))


def refusing() -> Opened:
    raise ModelError("no such bundle")


def breaking() -> Opened:
    os._exit(9)


def opening_once(mark: str) -> Opened:
    """Opens where there is no file of that name, and makes it."""
    Path(mark).touch(exist_ok=False)
    return opening()
