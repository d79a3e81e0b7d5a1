"""The token of each encoder frame, for recordings whose word times are known.

From random weights neither CTC nor the transducer finds out by itself where in a recording a token stands, on a few
hours of speech; the times of the words that a synthesiser knows tell it (docs/LOG.md).
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

UNKNOWN = -100
"""Frame of a recording without word times; what torch's cross-entropy leaves out."""

TimedWord = tuple[str, float, float]


def frame_tokens(
    words: Sequence[TimedWord], tokenize: Callable[[str], Sequence[int]], *, frames: int, frame_s: float, blank: int
) -> npt.NDArray[np.int64]:
    """A token for each of `frames` encoder frames, the blank between words; shape (frames,).

    The tokens of a word share its time evenly, each for at least one frame as long as there are frames left.
    """
    alignment_S = np.full(frames, blank)
    free = 0
    for word, start_s, end_s in words:
        tokens = tokenize(word)
        first = max(free, round(start_s / frame_s))
        last = max(first + len(tokens), round(end_s / frame_s))
        bounds = np.linspace(first, last, len(tokens) + 1).round().astype(int)
        for token, begin, end in zip(tokens, bounds[:-1], bounds[1:], strict=True):
            alignment_S[begin:end] = token
        free = int(last)
    return alignment_S
