"""Laws of placing tokens on frames, and one case by hand."""

from collections.abc import Iterable
from itertools import groupby

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shoptalk.tuning.alignment import frame_tokens

BLANK = 99


def letters(word: str) -> list[int]:
    return [ord(letter) - ord("a") for letter in word]


def test_words_share_their_time_among_their_tokens() -> None:
    words = [("ab", 0.1, 0.5), ("c", 0.6, 0.7)]
    said = frame_tokens(words, letters, frames=9, frame_s=0.1, blank=BLANK)
    assert said.tolist() == [BLANK, 0, 0, 1, 1, BLANK, 2, BLANK, BLANK]


def test_a_word_too_short_for_its_tokens_takes_the_frames_behind_it() -> None:
    said = frame_tokens([("abc", 0.1, 0.2), ("d", 0.2, 0.3)], letters, frames=6, frame_s=0.1, blank=BLANK)
    assert said.tolist() == [BLANK, 0, 1, 2, 3, BLANK]


@given(st.lists(st.tuples(st.text("abcdef", min_size=1, max_size=6), st.floats(0, 0.6), st.floats(0, 0.3)), max_size=8))
def test_tokens_stand_in_their_order(drawn: list[tuple[str, float, float]]) -> None:
    words, at = [], 0.0
    for word, length, gap in drawn:
        words.append((word, at + gap, at + gap + length))
        at += gap + length
    said = frame_tokens(words, letters, frames=200, frame_s=0.08, blank=BLANK)
    spoken = [token for word, *_ in words for token in letters(word)]
    # Neighbours that are the same token look like one.
    assert _without_repeats(one for one in said.tolist() if one != BLANK) == _without_repeats(spoken)


def _without_repeats(tokens: Iterable[int]) -> list[int]:
    return [token for token, _ in groupby(tokens)]


def test_what_does_not_fit_is_cut() -> None:
    assert frame_tokens([("abcdef", 0.0, 0.1)], letters, frames=3, frame_s=0.1, blank=BLANK).tolist() == [0, 1, 2]
    assert np.all(frame_tokens([], letters, frames=3, frame_s=0.1, blank=BLANK) == BLANK)
