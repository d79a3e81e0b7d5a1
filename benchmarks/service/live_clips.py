"""The recordings that are streamed: what one speaker says in some half to whole minute, with pauses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from clips import RECORDINGS

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.examples import read_manifest
from shoptalk.core.recordings import load
from shoptalk.core.records import Example, Samples

SHORTEST_S, LONGEST_S = 30.0, 60.0
PAUSES_S = 0.3, 2.0
"""Between two utterances, from the shortest to the longest."""
EACH = 2
"""Recordings of one speaker, at most."""


@dataclass(frozen=True)
class Recording:
    """What is streamed."""

    samples_S: Samples
    text: str
    """The reference."""
    speaker: str

    @property
    def seconds(self) -> float:
        return self.samples_S.size / SAMPLE_RATE_HZ


def draw_recordings(seed: int) -> list[Recording]:
    """The recordings of all speakers who say enough; the same seed gives the same ones."""
    by_speaker: dict[str, list[Example]] = {}
    for row in read_manifest(RECORDINGS):
        by_speaker.setdefault(row.speaker, []).append(row)
    rng = np.random.default_rng(seed)
    recordings: list[Recording] = []
    for speaker in sorted(by_speaker):
        recordings += _of_speaker(by_speaker[speaker], rng)
    return recordings


def longest_words(recordings: Sequence[Recording], number: int) -> list[str]:
    """The longest words of the references, which stand for the phrases that a client sends."""
    words = {word.strip(".,?!;:\"'") for recording in recordings for word in recording.text.split()}
    plain = [word for word in words if word.isalpha()]
    return sorted(plain, key=lambda word: (-len(word), word))[:number]


def _of_speaker(rows: Sequence[Example], rng: np.random.Generator) -> Iterator[Recording]:
    waiting = iter(rows)
    for _ in range(EACH):
        recording = _join(waiting, rng.uniform(SHORTEST_S, LONGEST_S - PAUSES_S[1]), rng)
        if recording is None:
            return
        yield recording


def _join(rows: Iterator[Example], length_s: float, rng: np.random.Generator) -> Recording | None:
    """The next utterances up to about that length; None if too few are left."""
    parts: list[Samples] = []
    said: list[Example] = []
    seconds = 0.0
    for row in rows:
        pause_S = np.zeros(round(rng.uniform(*PAUSES_S) * SAMPLE_RATE_HZ), np.float32)
        parts += [load(row), pause_S]
        said.append(row)
        seconds += (parts[-2].size + pause_S.size) / SAMPLE_RATE_HZ
        if seconds >= length_s:
            break
    if seconds < SHORTEST_S:
        return None
    return Recording(np.concatenate(parts), " ".join(row.text for row in said), said[0].speaker)
