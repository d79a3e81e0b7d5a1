"""The Open ASR Leaderboard's figures: word errors of each set under its rules, and the mean over the sets."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from shoptalk.core.records import Hypothesis
from shoptalk.core.text import words
from shoptalk.scoring.wer import count_all

SETS = (
    "ami",
    "earnings22",
    "gigaspeech",
    "librispeech-clean",
    "librispeech-other",
    "spgispeech",
    "tedlium",
    "voxpopuli",
)
"""The eight English sets of short recordings, by their names in the catalogue of test sets.

The leaderboard averaged over these until July 2026. Figures such as Parakeet TDT 0.6B V2's 6.05 % are of that time.
"""


class SetFigures(NamedTuple):
    """What one set gives."""

    errors: int
    words: int
    """Of the references."""
    utterances: int
    """That were scored."""
    left_out: int
    """Utterances whose reference has no word under the normaliser, as the leaderboard leaves them out."""

    @property
    def wer(self) -> float:
        """Of the whole set: the sum of errors over the sum of words."""
        return self.errors / self.words


def set_figures(hypotheses: Iterable[Hypothesis]) -> SetFigures | None:
    """The figures of one set; None if no reference has a word."""
    pairs = []
    left_out = 0
    for hypothesis in hypotheses:
        reference = words(hypothesis.reference, "leaderboard")
        if reference:
            pairs.append((reference, words(hypothesis.heard, "leaderboard")))
        else:
            left_out += 1
    if not pairs:
        return None
    substituted, deleted, inserted, reference_words = count_all(pairs).sum(axis=0).tolist()
    return SetFigures(substituted + deleted + inserted, reference_words, len(pairs), left_out)


def average(wer_of: Mapping[str, float]) -> float | None:
    """The mean over the sets, each counting alike; None unless all of `SETS` are there."""
    if not wer_of.keys() >= set(SETS):
        return None
    return sum(wer_of[name] for name in SETS) / len(SETS)
