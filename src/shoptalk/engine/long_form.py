"""Audio of any length: cut into windows at its quietest places, and one transcript made of the windows' transcripts.

A window owns a part of the audio and carries some of its neighbours' audio as context, so that a word on its edge is
heard whole. Two neighbours therefore both transcribe the words around their seam, and `merge` takes each word once:

1. Words that both recognised (the same word at the same time) are paired by an alignment (`same`).
2. Between two pairs each window gives the words on its own side of the seam (`splice`).

So a word on the seam is not doubled when both windows place it on their own side, and not lost when each places it on
the other's.

Shapes: T samples, F frames of 10 ms.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import AudioError
from shoptalk.core.records import Recognition, Samples, Word

LONGEST_S = 30.0
"""A window with its context."""
CONTEXT_S = 3.0
"""On each side of a window."""
SHORTEST_S = 2.0
"""Of windows: below this there is no choice of where to cut."""
FRAME = SAMPLE_RATE_HZ // 100
"""Samples of 10 ms."""
ROUNDING = 1e-9
"""Of lengths in seconds, relative."""
SMOOTH_S = 0.3
"""A cut wants this much quiet around it: more than the closure of a plosive, which is quiet too."""
SEARCH = 0.2
"""A cut is looked for this far to both sides of its target, as a share of the longest part that a window may own."""
SAME_S = 0.3
"""One word starts in two windows less than this apart, mostly 80 ms: one encoder frame."""
NEXT_S = 0.1
"""A word that starts less than this behind another of the other window is the same sound, spelled otherwise."""
QUIET = 1e-10
"""Mean square below which silence is silence (-100 dB)."""


class Window(NamedTuple):
    """A part of an audio, to be recognised alone."""

    samples_T: Samples
    """With its context; a view of the audio, not a copy."""
    start_s: float
    """Where in the audio `samples_T` starts."""
    owns_s: tuple[float, float]
    """The part of the audio that no other window owns."""


def windows(samples_T: Samples, *, longest_s: float = LONGEST_S, context_s: float = CONTEXT_S) -> Iterator[Window]:
    """Windows of at most `longest_s` with their context, of like length, which together own all of the audio.

    `AudioError` unless `longest_s` is at least six times `context_s`: fewer would be more context than window.
    """
    least_s = max(6 * context_s * (1 - ROUNDING), SHORTEST_S)
    if not longest_s >= least_s or context_s < 0:
        raise AudioError(
            f"windows of {longest_s:g} s with {context_s:g} s of context; "
            f"give {SHORTEST_S:g} s or more, and 6 times the context"
        )
    context = round(context_s * SAMPLE_RATE_HZ)
    most = round(longest_s * SAMPLE_RATE_HZ)
    if samples_T.size > most:
        most -= 2 * context
    return _windows(samples_T, context, most)


def _windows(samples_T: Samples, context: int, most: int) -> Iterator[Window]:
    """Windows that own at most `most` samples, with `context` samples around them."""
    size = samples_T.size
    start = 0
    while start < size:
        stop = _cut(samples_T, start, most) if size - start > most else size
        first = max(0, start - context)
        owns_s = (start / SAMPLE_RATE_HZ, stop / SAMPLE_RATE_HZ)
        yield Window(samples_T[first : stop + context], first / SAMPLE_RATE_HZ, owns_s)
        start = stop


def _cut(samples_T: Samples, start: int, most: int) -> int:
    """Where the window from `start` on ends: at the quietest place around an equal share of what remains."""
    remains = samples_T.size - start
    reach = SEARCH * most
    windows_left = -(-remains // (most - reach))  # rounded up
    target = remains / windows_left  # never below most / 2, as more than `most` remains
    first = start + round(target - reach)
    last = min(start + most, first + round(2 * reach))
    quietest = int(np.argmin(_loudness(samples_T[first:last])))
    return first + round((quietest + 0.5) * FRAME)


def _loudness(samples_T: Samples) -> npt.NDArray[np.float64]:
    """Smoothed log energy of each frame of 10 ms, (F,); logs, so that one click in a pause does not hide it."""
    frames_FT = samples_T[: samples_T.size // FRAME * FRAME].reshape(-1, FRAME)
    power_F = np.einsum("ft,ft->f", frames_FT, frames_FT) / FRAME
    width = round(SMOOTH_S * SAMPLE_RATE_HZ / FRAME)
    padded_F = np.pad(np.log(power_F + QUIET), (width // 2, (width - 1) // 2), mode="edge")
    return np.convolve(padded_F, np.ones(width) / width, mode="valid")


# ---- merging


def merge(recognitions: Iterable[tuple[Window, Recognition]]) -> Recognition:
    """One transcript of windows in order, each with its recognition; times become those of the whole audio."""
    merger = Merger()
    merged: list[Word] = []
    for window, recognition in recognitions:
        merged += merger.settled(window.start_s)
        merger.add(window, recognition)
    return of_words([*merged, *merger.settled(math.inf)])


class Merger:
    """The words of windows as they come in, in order."""

    def __init__(self) -> None:
        self._open: list[Word] = []
        """Words that the next window may change, in order of their starts."""

    def add(self, window: Window, recognition: Recognition) -> None:
        """Take the next window's words."""
        right = [moved(word, window.start_s) for word in recognition.words]
        merged = splice(self._open, right, seam_s=window.owns_s[0]) if self._open else right
        self._open = sorted(merged, key=lambda word: word.start_s)

    def settled(self, next_start_s: float) -> list[Word]:
        """Words that do not change if the next window starts there; each is given once."""
        overlap = bisect_left(self._open, next_start_s - SAME_S, key=lambda word: word.start_s)
        settled, self._open = self._open[:overlap], self._open[overlap:]
        return settled


def splice(left: Sequence[Word], right: Sequence[Word], *, seam_s: float) -> list[Word]:
    """The words of two overlapping windows as one: `left` owns what is before the seam, `right` what is behind it.

    Words are placed by their start, because a word's end is that of its comma, which may follow a pause. The words
    around the seam lie between the last pair before it and the first pair behind it. Of these `left` gives the words
    that start before the seam. `right` gives those that start later than these, and at most `SAME_S` before the seam.
    """
    last_before = (-1, -1)
    first_behind = (len(left), len(right))
    for i, j in same(left, right):
        if left[i].start_s + right[j].start_s < 2 * seam_s:  # their mean is before the seam
            last_before = max(last_before, (i, j))
        else:
            first_behind = min(first_behind, (i, j))

    kept = list(left[: last_before[0] + 1])
    for word in left[last_before[0] + 1 : first_behind[0]]:
        if word.start_s < seam_s:
            kept.append(word)
    behind_kept_s = kept[-1].start_s + NEXT_S if kept else 0.0
    from_s = max(seam_s - SAME_S, behind_kept_s)
    for word in right[last_before[1] + 1 : first_behind[1]]:
        if word.start_s >= from_s:
            kept.append(word)
    return [*kept, *right[first_behind[1] :]]


def same(left: Sequence[Word], right: Sequence[Word]) -> list[tuple[int, int]]:
    """Which word of `left` is which of `right`: pairs of places, in order, spelled alike and less than `SAME_S` apart.

    Of all alignments the one whose pairs gain most in sum, by dynamic programming; a pair gains the more, the closer
    together its words are.
    """
    left_names = [bare(word.word) for word in left]
    right_names = [bare(word.word) for word in right]
    best = [[0.0] * (len(right) + 1) for _ in range(len(left) + 1)]  # [i][j]: of left[i:] and right[j:]
    for i in reversed(range(len(left))):
        for j in reversed(range(len(right))):
            gain = SAME_S - abs(left[i].start_s - right[j].start_s) if left_names[i] == right_names[j] else 0.0
            best[i][j] = max(best[i + 1][j], best[i][j + 1], best[i + 1][j + 1] + gain)

    pairs: list[tuple[int, int]] = []
    i = j = 0
    while i < len(left) and j < len(right):
        if best[i][j] == best[i + 1][j]:
            i += 1
        elif best[i][j] == best[i][j + 1]:
            j += 1
        else:
            pairs.append((i, j))
            i += 1
            j += 1
    return pairs


def of_words(words: Sequence[Word]) -> Recognition:
    """Words as a `Recognition`; SentencePiece's words stand between spaces, so joining them gives the text."""
    return Recognition(text=" ".join(word.word for word in words), words=tuple(words))


def moved(word: Word, by_s: float) -> Word:
    """A word `by_s` later."""
    return word.model_copy(update={"start_s": round(word.start_s + by_s, 3), "end_s": round(word.end_s + by_s, 3)})


def bare(word: str) -> str:
    """A word without case and punctuation, which depend on what stands around it."""
    return "".join(letter for letter in word.casefold() if letter.isalnum()) or word
