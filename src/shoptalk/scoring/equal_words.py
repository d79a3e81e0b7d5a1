"""Tables of words and phrases that are to be counted as equal, beyond what the rules of `core.text` make equal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from shoptalk.core.errors import ScoringError
from shoptalk.core.text import Rules, words

Side = Literal["both", "reference"]
Words = tuple[str, ...]


class Row(NamedTuple):
    """One row of a table."""

    where: str
    """File and line, for messages."""
    written: str
    """A word or phrase, as it is written."""
    counts_as: str
    """The word or phrase that it is counted as."""
    side: Side = "both"
    """``reference``: only there, for spelling mistakes of the reference that a recogniser should not make."""


@dataclass(frozen=True)
class EqualWords:
    """A table, ready to be applied to words."""

    both: Mapping[Words, Words]
    reference: Mapping[Words, Words]
    """The rows of `both`, and those for references alone."""


def build(rows: Iterable[Row], rules: Rules) -> EqualWords:
    """Read both cells of each row by the rules, so that ``okay`` and ``OK!`` are written as they are counted.

    `ScoringError`: a cell without words, or a phrase that counts as two different things.
    """
    both: dict[Words, Words] = {}
    reference: dict[Words, Words] = {}
    for row in rows:
        written, counts_as = tuple(words(row.written, rules)), tuple(words(row.counts_as, rules))
        if not written or not counts_as:
            raise ScoringError(f"{row.where}: no words in {row.written!r} or {row.counts_as!r}; remove the row")
        if reference.get(written, counts_as) != counts_as:
            raise ScoringError(f"{row.where}: {row.written!r} counts already as {' '.join(reference[written])!r}")
        reference[written] = counts_as
        if row.side == "both":
            both[written] = counts_as
    return EqualWords(both, reference)


def replace(text_words: Sequence[str], table: Mapping[Words, Words]) -> list[str]:
    """The words with each phrase of the table replaced; the longest phrase wins, and nothing is replaced twice."""
    result: list[str] = []
    for phrase in phrases(text_words, table):
        result += table.get(phrase, phrase)
    return result


def phrases(text_words: Sequence[str], known: Mapping[Words, object]) -> Iterable[Words]:
    """The words cut into phrases that are known, the longest first, and single words."""
    longest = max(map(len, known), default=1)
    start = 0
    while start < len(text_words):
        phrase: Words = (text_words[start],)
        for length in range(longest, 1, -1):
            candidate = tuple(text_words[start : start + length])
            if candidate in known:
                phrase = candidate
                break
        yield phrase
        start += len(phrase)
