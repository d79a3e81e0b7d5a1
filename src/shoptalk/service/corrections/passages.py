"""Passages of a recording whose words were corrected in parts: as training needs them, with the words around.

A part is often a single word, which is too short to train on. Whoever corrects a word has read what stands around it.
So a short recording becomes a passage as a whole, and of a long one each part with some seconds on both sides, cut
where no word is. The words around are those that the recogniser wrote.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from shoptalk.core.records import Word
from shoptalk.service.corrections.records import Correction

LONGEST_S = 20.0
"""Of a passage, if its parts allow it; training leaves out longer recordings (`train.max_utterance_s`)."""
AROUND_S = 6.0
"""On each side of a part of a longer recording."""


class Part(NamedTuple):
    """A correction of a part."""

    id: str
    start_s: float
    end_s: float
    text: str


class Passage(NamedTuple):
    """A stretch of a recording, and what is said in it."""

    start_s: float
    end_s: float
    text: str
    ids: tuple[str, ...]
    """Of the corrections in it, in the order of their times."""


class _Token(NamedTuple):
    start_s: float
    end_s: float
    text: str

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2


def parts_of(corrections: Iterable[Correction]) -> list[Part]:
    """Those that are of a part, by their times."""
    parts = []
    for correction in corrections:
        if correction.start_s is not None and correction.end_s is not None:
            parts.append(Part(correction.id, correction.start_s, correction.end_s, correction.text.strip()))
    return sorted(parts, key=lambda part: part.start_s)


def passages(words: Sequence[Word], parts: Sequence[Part], duration_s: float) -> Iterator[Passage]:
    """The passages with these parts, which do not overlap; `words` are all that were recognised, with their times."""
    tokens = _corrected(words, parts)
    for group in _groups(parts, duration_s):
        first_s, last_s = group[0].start_s - AROUND_S, group[-1].end_s + AROUND_S
        if duration_s <= LONGEST_S:
            first_s, last_s = 0.0, duration_s
        inside = [token for token in tokens if first_s <= token.middle_s <= last_s]
        text = " ".join(token.text for token in inside if token.text)
        start_s, end_s = _cuts(tokens, inside, duration_s)
        yield Passage(start_s, end_s, text, tuple(part.id for part in group))


def _corrected(words: Sequence[Word], parts: Sequence[Part]) -> list[_Token]:
    """The words in order, those within a part replaced by its text."""
    tokens = []
    for word in words:
        token = _Token(word.start_s, word.end_s, word.word)
        if not any(part.start_s <= token.middle_s < part.end_s for part in parts):
            tokens.append(token)
    tokens += [_Token(part.start_s, part.end_s, part.text) for part in parts]
    return sorted(tokens, key=lambda token: token.middle_s)


def _groups(parts: Sequence[Part], duration_s: float) -> Iterator[list[Part]]:
    """Parts whose passages would overlap, or all of a short recording."""
    group: list[Part] = []
    for part in parts:
        if group and duration_s > LONGEST_S and part.start_s - AROUND_S > group[-1].end_s + AROUND_S:
            yield group
            group = []
        group.append(part)
    if group:
        yield group


def _cuts(tokens: Sequence[_Token], inside: Sequence[_Token], duration_s: float) -> tuple[float, float]:
    """Where to cut around tokens in a row: in the middle between neighbours, or at the recording's ends."""
    before = tokens.index(inside[0]) - 1
    behind = tokens.index(inside[-1]) + 1
    start_s = (tokens[before].end_s + inside[0].start_s) / 2 if before >= 0 else 0.0
    end_s = (inside[-1].end_s + tokens[behind].start_s) / 2 if behind < len(tokens) else duration_s
    return max(0.0, start_s), min(duration_s, end_s)
