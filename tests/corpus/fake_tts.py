"""A synthesiser that hums: as long as its text, different for each voice and pronunciation; words last by letters."""

import re
import time
from collections.abc import Mapping
from functools import partial

import numpy as np

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.records import Samples, Word


class HummingTts:
    def __init__(self, fault: str = "", pause_s: float = 0.0) -> None:
        self.fault = fault
        self.pause_s = pause_s

    def speak(self, spoken: str, *, voice: str, speed: float, pronunciations: Mapping[str, str]) -> Samples:
        time.sleep(self.pause_s)
        hertz = 100 + sum(map(ord, voice + "".join(pronunciations.values()))) % 300
        seconds = 0.065 * len(spoken) / speed * (10 if self.fault == "long" else 1)
        t = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        samples_T = 0.5 * np.sin(2 * np.pi * hertz * t) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t))
        if self.fault == "silent":
            samples_T *= 0
        if self.fault == "clipped":
            samples_T = np.clip(samples_T, -0.1, 0.1)
        return samples_T.astype(np.float32)

    def speak_timed(
        self, spoken: str, *, voice: str, speed: float, pronunciations: Mapping[str, str]
    ) -> tuple[Samples, tuple[Word, ...]]:
        samples_T = self.speak(spoken, voice=voice, speed=speed, pronunciations=pronunciations)
        length_s = samples_T.size / SAMPLE_RATE_HZ
        ends = [match.end() for match in re.finditer(r"\S+", spoken)]
        times = [round(length_s * end / len(spoken), 3) for end in [0, *ends]]
        words = zip(spoken.split(), times[:-1], times[1:], strict=True)
        return samples_T, tuple(Word(word=word, start_s=start_s, end_s=end_s) for word, start_s, end_s in words)


class WordlessTts:
    """As `HummingTts`, of an engine that cannot tell when it says which word."""

    def speak(self, spoken: str, *, voice: str, speed: float, pronunciations: Mapping[str, str]) -> Samples:
        return HummingTts().speak(spoken, voice=voice, speed=speed, pronunciations=pronunciations)


def make(fault: str = "", pause_s: float = 0.0) -> partial[HummingTts]:
    return partial(HummingTts, fault, pause_s)
