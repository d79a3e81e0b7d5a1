"""A windowed recogniser without a model; worker processes of tests open it, so nothing heavy is imported."""

import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import BoostError, GpuMemoryError, ModelError
from shoptalk.core.protocols import PLAIN, Options, PendingWindow, Step, in_windows, options_of_each
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.engine.long_form import windows

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


def opening(second_s: float = 0.0) -> FakeRecognizer:
    return FakeRecognizer(second_s)


def refusing() -> FakeRecognizer:
    raise ModelError("no such bundle")


def breaking() -> FakeRecognizer:
    os._exit(9)


def opening_once(mark: str) -> FakeRecognizer:
    """Opens where there is no file of that name, and makes it."""
    Path(mark).touch(exist_ok=False)
    return FakeRecognizer()
