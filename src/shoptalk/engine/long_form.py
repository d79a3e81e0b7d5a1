"""Audio of any length: cut into windows with context at its quietest places, and one transcript made of theirs again.

T = samples, F = frames of 10 ms.

A window owns a part of the audio and carries a little of its neighbours', its context, in which the recogniser finds
its feet. Two neighbours therefore hear the words around their seam twice. Words that both heard (the same word at
the same time) are found by alignment and taken once; what stands between two of them comes from the window that owns
it. So a word on the seam is not doubled when both place it on their own side, and not lost when each places it on
the other's.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import AudioError
from shoptalk.core.records import Recognition, Samples, Word

LONGEST_S = 30.0
CONTEXT_S = 3.0
BATCH = 16
SHORTEST_S = 2.0
"""Of windows: below this there is no choice of where to cut."""
FRAME = SAMPLE_RATE_HZ // 100
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


def hear(
    samples_T: Samples,
    recognize: Callable[[Sequence[Samples]], list[Recognition]],
    *,
    longest_s: float = LONGEST_S,
    context_s: float = CONTEXT_S,
    batch: int = BATCH,
) -> Recognition:
    """Recognise audio of any length, `batch` windows at a time; never more than these are held."""
    cut = windows(samples_T, longest_s=longest_s, context_s=context_s)

    def heard() -> Iterator[tuple[Window, Recognition]]:
        while some := list(islice(cut, batch)):
            yield from zip(some, recognize([one.samples_T for one in some]), strict=True)

    return merge(heard())


def windows(samples_T: Samples, *, longest_s: float = LONGEST_S, context_s: float = CONTEXT_S) -> Iterator[Window]:
    """Windows of at most `longest_s` with their context, of like length, which together own all of the audio.

    `AudioError` unless `longest_s` is at least six times `context_s`: fewer would be more context than window.
    """
    if not longest_s >= max(6 * context_s, SHORTEST_S) or context_s < 0:
        raise AudioError(
            f"windows of {longest_s:g} s with {context_s:g} s of context; "
            f"give {SHORTEST_S:g} s or more, and 6 times the context"
        )
    context = round(context_s * SAMPLE_RATE_HZ)
    most = round(longest_s * SAMPLE_RATE_HZ)
    return _windows(samples_T, context, most if samples_T.size <= most else most - 2 * context)


def _windows(samples_T: Samples, context: int, most: int) -> Iterator[Window]:
    start, size = 0, samples_T.size
    while start < size:
        stop = _cut(samples_T, start, most) if size - start > most else size
        first = max(0, start - context)
        owns_s = (start / SAMPLE_RATE_HZ, stop / SAMPLE_RATE_HZ)
        yield Window(samples_T[first : stop + context], first / SAMPLE_RATE_HZ, owns_s)
        start = stop


def _cut(samples_T: Samples, start: int, most: int) -> int:
    """Where the window from `start` on ends: at the quietest place around an equal share of what remains."""
    remains, reach = samples_T.size - start, SEARCH * most
    target = remains / -(-remains // (most - reach))  # never below most / 2, as more than `most` remains
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


def merge(heard: Iterable[tuple[Window, Recognition]]) -> Recognition:
    """One transcript of windows in order, each with what was heard in it; times become those of the whole audio."""
    merged: list[Word] = []
    for window, one in heard:
        right = [moved(word, window.start_s) for word in one.words]
        near = bisect_left(merged, window.start_s - SAME_S, key=lambda word: word.start_s)
        merged[near:] = splice(merged[near:], right, seam_s=window.owns_s[0])
    return heard_as(merged)


def splice(left: Sequence[Word], right: Sequence[Word], *, seam_s: float) -> list[Word]:
    """The words of two overlapping windows as one: `left` owns what is before the seam, `right` what is behind it.

    Words are placed by their start, as the end of a word is that of its comma, which may follow a pause. Between the
    last word before the seam and the first behind it that both heard, `left` gives what starts before the seam, and
    `right` what starts later than that and no more than `SAME_S` before the seam.
    """
    pairs = [(i, j, left[i].start_s + right[j].start_s < 2 * seam_s) for i, j in same(left, right)]
    last = max(((i, j) for i, j, before in pairs if before), default=(-1, -1))
    first = min(((i, j) for i, j, before in pairs if not before), default=(len(left), len(right)))
    kept = [*left[: last[0] + 1], *(word for word in left[last[0] + 1 : first[0]] if word.start_s < seam_s)]
    from_s = max(seam_s - SAME_S, kept[-1].start_s + NEXT_S if kept else 0.0)
    kept += [word for word in right[last[1] + 1 : first[1]] if word.start_s >= from_s]
    return [*kept, *right[first[1] :]]


def same(left: Sequence[Word], right: Sequence[Word]) -> list[tuple[int, int]]:
    """Which word of `left` is which of `right`: pairs of places, in order, spelled alike and less than `SAME_S` apart.

    The alignment whose pairs are the closest together in sum, by dynamic programming.
    """
    names = [[_bare(word.word) for word in words] for words in (left, right)]
    times = [[word.start_s for word in words] for words in (left, right)]
    gain = [
        [SAME_S - abs(times[0][i] - times[1][j]) if one == other else 0.0 for j, other in enumerate(names[1])]
        for i, one in enumerate(names[0])
    ]
    best = [[0.0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in reversed(range(len(left))):
        for j in reversed(range(len(right))):
            best[i][j] = max(best[i + 1][j], best[i][j + 1], best[i + 1][j + 1] + gain[i][j])
    pairs, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        if best[i][j] == best[i + 1][j]:
            i += 1
        elif best[i][j] == best[i][j + 1]:
            j += 1
        else:
            pairs.append((i, j))
            i, j = i + 1, j + 1
    return pairs


def heard_as(words: Sequence[Word]) -> Recognition:
    """Words as a `Recognition`; SentencePiece's words stand between spaces, so joining them gives the text."""
    return Recognition(text=" ".join(word.word for word in words), words=tuple(words))


def moved(word: Word, by_s: float) -> Word:
    """A word `by_s` later."""
    return word.model_copy(update={"start_s": round(word.start_s + by_s, 3), "end_s": round(word.end_s + by_s, 3)})


def _bare(word: str) -> str:
    """A word without case and punctuation, which depend on what stands around it."""
    return "".join(letter for letter in word.casefold() if letter.isalnum()) or word
