"""The clips that are uploaded: real speech, joined and cut to the lengths that a clinic sends, as WAV in a folder.

Lengths are drawn from a log-normal distribution between `SHORTEST_S` and `LONGEST_S`: short commands and answers are
common, whole dictated paragraphs rare. Recordings of one source follow each other with pauses, and are cut to length.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.examples import read_manifest
from shoptalk.core.recordings import load
from shoptalk.core.records import Samples

RECORDINGS = Path(__file__).parents[2] / "assets/general/test.jsonl"
SHORTEST_S, LONGEST_S = 2.0, 30.0
MEDIAN_S = 7.0
SPREAD = 0.6
"""Standard deviation of the logarithm of the length: 5 % of the clips are longer than 19 s."""
PAUSE_S = 0.4
"""Between two recordings that are joined."""


@dataclass(frozen=True)
class Clips:
    """What a benchmark uploads."""

    audio: tuple[Samples, ...]
    wavs: tuple[bytes, ...]
    """The same as 16-bit WAV files."""

    @property
    def seconds(self) -> tuple[float, ...]:
        """Length of each."""
        return tuple(samples_T.size / SAMPLE_RATE_HZ for samples_T in self.audio)


def draw_clips(number: int, seed: int) -> Clips:
    """So many clips; the same seed gives the same ones."""
    rng = np.random.default_rng(seed)
    lengths_s = draw_lengths(rng, number)
    speech = _speech(rng)
    audio = tuple(cut_clip(speech, length_s) for length_s in lengths_s)
    return Clips(audio, tuple(as_wav(samples_T) for samples_T in audio))


def draw_lengths(rng: np.random.Generator, number: int) -> npt.NDArray[np.float64]:
    """Seconds, (number,). A length outside the bounds is drawn again."""
    lengths_s = np.zeros(0)
    while lengths_s.size < number:
        drawn_s = rng.lognormal(np.log(MEDIAN_S), SPREAD, 2 * number)
        inside = (drawn_s >= SHORTEST_S) & (drawn_s <= LONGEST_S)
        lengths_s = np.concatenate([lengths_s, drawn_s[inside]])
    return lengths_s[:number]


def cut_clip(speech: Iterator[Samples], length_s: float) -> Samples:
    """The next recordings, joined until they reach the length, and cut there."""
    size = round(length_s * SAMPLE_RATE_HZ)
    pause_T = np.zeros(round(PAUSE_S * SAMPLE_RATE_HZ), np.float32)
    joined: list[Samples] = []
    while sum(samples_T.size for samples_T in joined) < size:
        joined += [next(speech), pause_T]
    return np.concatenate(joined)[:size]


def _speech(rng: np.random.Generator) -> Iterator[Samples]:
    """The recordings over and over, each time in another order."""
    examples = read_manifest(RECORDINGS)
    while True:
        for place in rng.permutation(len(examples)):
            yield load(examples[place])


def as_wav(samples_T: Samples) -> bytes:
    """A WAV file of 16-bit samples."""
    target = io.BytesIO()
    soundfile.write(target, samples_T, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    return target.getvalue()


def save_wavs(wavs: Sequence[bytes], folder: Path) -> None:
    """One file for each, named by its place."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, content in enumerate(wavs):
        (folder / f"{place:04}.wav").write_bytes(content)
