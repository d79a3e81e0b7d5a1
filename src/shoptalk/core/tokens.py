"""From SentencePiece pieces to words with their times and confidences."""

import math
from collections.abc import Iterator, Sequence

from shoptalk.core.records import Word

HOP_S = 0.01
SUBSAMPLING = 8
FRAME_S = HOP_S * SUBSAMPLING
"""Seconds of an encoder frame, 0.08: FastConformer subsamples mel frames of 10 ms by 8 (arXiv 2305.05084)."""


def words(
    pieces: Sequence[str], starts: Sequence[int], spans: Sequence[int], confidences: Sequence[float], *, frame_s: float
) -> Iterator[Word]:
    """Join SentencePiece pieces to words; a piece that starts with ▁ opens one. Starts and spans are in frames."""
    text, first, end = "", 0, 0
    for number, (piece, at, span) in enumerate(zip(pieces, starts, spans, strict=True)):
        if piece.startswith("▁") and text:
            yield _word(text, starts[first], end, confidences[first:number], frame_s)
            text = ""
        if not text:
            first = number
        text += piece.lstrip("▁")
        if first == number or any(letter.isalnum() for letter in piece):  # a comma may follow a pause
            end = max(at + max(span, 1), starts[first] + 1)
    if text:
        yield _word(text, starts[first], end, confidences[first:], frame_s)


def _word(text: str, start: int, end: int, confidences: Sequence[float], frame_s: float) -> Word:
    confidence = round(min(1.0, math.prod(confidences)), 4)
    return Word(word=text, start_s=round(start * frame_s, 3), end_s=round(end * frame_s, 3), confidence=confidence)
