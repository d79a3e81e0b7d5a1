"""From SentencePiece pieces to words with their confidences, and the one home of where words may lie in time.

`words` says where a word is spoken, `placed` that words of one audio are in order, inside it and do not overlap. Every
recogniser's words pass through `placed` last.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from shoptalk.core.records import Word

HOP_S = 0.01
SUBSAMPLING = 8
FRAME_S = HOP_S * SUBSAMPLING
"""Seconds of an encoder frame, 0.08: FastConformer subsamples mel frames of 10 ms by 8 (arXiv 2305.05084)."""
PAUSE_S = 0.5
"""So long without a piece is a pause, and no word stretches across one; slow speakers leave 0.4 s within a word."""
SHORTEST_WORD_MS = 20
"""What a word lasts at least, where there is room: one frame may hold several words."""
CLOCK_MS = 1e-6
"""Floating-point error of a time in ms."""


class _Run(NamedTuple):
    """Pieces of a word without a pause between them, in frames."""

    start: int
    end: int
    letters: int


def words(
    pieces: Sequence[str], starts: Sequence[int], spans: Sequence[int], confidences: Sequence[float], *, frame_s: float
) -> Iterator[Word]:
    """Join SentencePiece pieces to words; a piece that starts with ▁ opens one. Starts and spans are in frames.

    A word lies where its letters are: blanks and punctuation behind them do not lengthen it. If there is a pause within
    it, which happens when a model joins two words, it is the side of the pause with more letters.
    """
    for numbers in _by_word(pieces):
        text = "".join(pieces[number].lstrip("▁") for number in numbers)
        runs = _runs(numbers, pieces, starts, spans, most_apart=PAUSE_S / frame_s)
        longest = max(runs, key=lambda run: run.letters)
        confidence = math.prod(confidences[numbers[0] : numbers[-1] + 1])
        yield Word(
            word=text,
            start_s=round(longest.start * frame_s, 3),
            end_s=round(longest.end * frame_s, 3),
            confidence=round(min(1.0, confidence), 4),
        )


def _by_word(pieces: Sequence[str]) -> Iterator[list[int]]:
    """The numbers of each word's pieces; a ▁ alone opens a word and is no part of it."""
    numbers: list[int] = []
    for number, piece in enumerate(pieces):
        if piece.startswith("▁") and numbers:
            yield numbers
            numbers = []
        if piece.lstrip("▁"):
            numbers.append(number)
    if numbers:
        yield numbers


def _runs(
    numbers: Sequence[int], pieces: Sequence[str], starts: Sequence[int], spans: Sequence[int], *, most_apart: float
) -> list[_Run]:
    """The pieces of a word that have letters, and its first, in runs more than `most_apart` frames apart."""
    runs: list[_Run] = []
    for number in numbers:
        letters = sum(letter.isalnum() for letter in pieces[number])
        if runs and not letters:  # a comma may follow a pause
            continue
        piece = _Run(starts[number], starts[number] + max(spans[number], 1), letters)
        if runs and piece.start - runs[-1].end <= most_apart:
            before = runs.pop()
            piece = _Run(before.start, max(before.end, piece.end), before.letters + letters)
        runs.append(piece)
    return runs


def placed(words: Sequence[Word], *, until_s: float, from_s: float = 0.0) -> tuple[Word, ...]:
    """Words in order as they may lie in an audio: between `from_s` and `until_s`, none starting before another ends.

    A word that starts too early moves behind the one before. A word that would end behind the audio is cut, or moved to
    its end. Words last `SHORTEST_WORD_MS` or more, unless there are too many for that. Times are whole milliseconds.
    """
    if not words:
        return ()
    first_ms = math.ceil(1000 * from_s - CLOCK_MS)
    last_ms = max(first_ms, math.floor(1000 * until_s + CLOCK_MS))
    shortest_ms = min(SHORTEST_WORD_MS, (last_ms - first_ms) // len(words))

    starts_ms: list[int] = []
    free_ms = first_ms
    for number, word in enumerate(words):
        latest_ms = last_ms - (len(words) - number) * shortest_ms
        starts_ms.append(min(max(round(1000 * word.start_s), free_ms), latest_ms))
        free_ms = starts_ms[-1] + shortest_ms

    placed_words: list[Word] = []
    for word, start_ms, next_ms in zip(words, starts_ms, [*starts_ms[1:], last_ms], strict=True):
        end_ms = min(max(round(1000 * word.end_s), start_ms + shortest_ms), next_ms)
        placed_words.append(word.model_copy(update={"start_s": start_ms / 1000, "end_s": end_ms / 1000}))
    return tuple(placed_words)
