"""A user's own texts of a domain: what is like a prompt is shown to the language model, and never copied.

Such texts may hold the words of patients or customers: no sentence of the corpus may be one of theirs, or near it.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from shoptalk.core import tables
from shoptalk.core.errors import TextError
from shoptalk.core.records import Term
from shoptalk.core.terms import index_of, occurrences_of_all
from shoptalk.corpus.dictations import emptied
from shoptalk.corpus.splits import NearTexts, draw_key, normal_words

SHORTEST, LONGEST = 4, 16
"""Words of a sentence that is shown."""
COPIED_WORDS = 7
"""So many words in a row, as in one of the texts, are a copy."""
NEAREST = 40
"""Sentences among which the examples of a prompt are drawn."""

_SPEAKER = re.compile(r"^[\"'. -]*(?:(?:[A-Z][\w' ]{0,20}|[A-Z]+)\s*:\s*)?[\"'. -]*")
_TIGHT = ((" ,", ","), (" .", "."), (" ?", "?"), (" n't", "n't"), (" '", "'"))
_SHOWABLE = re.compile(r"[A-Z][A-Za-z ,;'-]*[.?]")


def read_texts(paths: Iterable[Path]) -> list[str]:
    """The sentences of plain text, or of JSONL and manifests with `text` (or `written`); `TextError` otherwise."""
    sentences: list[str] = []
    for path in paths:
        lines = tables.read_text(path).splitlines()
        if path.suffix.lower() in (".jsonl", ".json"):
            lines = list(_jsonl_texts(path, lines))
        for line in lines:
            sentences += _sentences(line)
    return list(dict.fromkeys(sentences))


class DomainTexts:
    """The sentences of a domain, for examples and for the check against copies."""

    def __init__(self, sentences: Sequence[str]) -> None:
        self._sentences = list(sentences)
        self._near = NearTexts(self._sentences)
        self._runs = {run for sentence in self._sentences for run in _runs(sentence)}

    def __len__(self) -> int:
        return len(self._sentences)

    def has_copy_of(self, text: str) -> bool:
        """Whether a sentence is near one of the texts, or has `COPIED_WORDS` in a row of it."""
        return not self._runs.isdisjoint(_runs(text)) or self._near.has_near(text)

    def examples(self, terms: Sequence[Term], about: str, most: int, *, seed: int, name: str) -> list[str]:
        """Up to `most` sentences to be shown in a prompt: with a term of the category first, its slot in its place.

        Where these do not suffice, sentences that share words with the terms and with `about` follow, without a slot.
        """
        with_terms = self._with_terms(tuple(terms))
        drawn = sorted(with_terms, key=lambda text: draw_key(seed, "example", name, text))[:most]
        if len(drawn) < most:
            words = Counter(normal_words(" ".join((about, *(term.text for term in terms)))))
            likest = self._likest(words)
            drawn += sorted(likest, key=lambda text: draw_key(seed, "example", name, text))[: most - len(drawn)]
        return drawn

    def _with_terms(self, terms: tuple[Term, ...]) -> list[str]:
        key = tuple(term.id for term in terms)
        if key not in self._emptied:
            index = index_of(terms)
            slot = f"{{{terms[0].category}}}" if terms else ""
            texts = []
            for sentence in self._showable:
                if occurrences_of_all(index, sentence):
                    text = emptied(sentence, terms)
                    if text.count("{") == 1 and slot in text and not occurrences_of_all(index, text):
                        texts.append(text)
            self._emptied[key] = texts
        return self._emptied[key]

    @cached_property
    def _emptied(self) -> dict[tuple[str, ...], list[str]]:
        return {}

    @cached_property
    def _showable(self) -> list[str]:
        return [
            text for text in self._sentences if _SHOWABLE.fullmatch(text) and SHORTEST <= len(text.split()) <= LONGEST
        ]

    def _likest(self, words: Counter[str]) -> list[str]:
        """The sentences that share the rarest words with the prompt."""
        columns, matrix, rarity_W = self._words
        asked_W = np.zeros(len(columns))
        for word in words:
            if word in columns:
                asked_W[columns[word]] = rarity_W[columns[word]]
        likeness_S = matrix @ asked_W
        best = np.argsort(-likeness_S, kind="stable")[:NEAREST]
        return [self._showable[place] for place in best if likeness_S[place] > 0]

    @cached_property
    def _words(self) -> tuple[dict[str, int], Any, "np.ndarray[Any, np.dtype[np.float64]]"]:
        """Column of each word, sentences x words with rows of length 1, and how rare each word is (W words)."""
        from scipy.sparse import csr_matrix

        rows = [sorted(set(normal_words(text))) for text in self._showable]
        counts = Counter(word for row in rows for word in row)
        columns = {word: column for column, word in enumerate(sorted(counts))}
        rarity_W = np.array([np.log((1 + len(rows)) / (1 + counts[word])) for word in columns])
        starts = np.cumsum([0, *map(len, rows)])
        places = np.array([columns[word] for row in rows for word in row], np.int64)
        values = rarity_W[places] if len(places) else np.zeros(0)
        lengths = np.array([max(1.0, np.sqrt(len(row))) for row in rows])
        values = values / np.repeat(lengths, np.diff(starts))
        return columns, csr_matrix((values, places, starts), shape=(len(rows), len(columns))), rarity_W


def _runs(text: str) -> Iterator[tuple[str, ...]]:
    words = normal_words(text)
    for start in range(len(words) - COPIED_WORDS + 1):
        yield tuple(words[start : start + COPIED_WORDS])


def _jsonl_texts(path: Path, lines: Sequence[str]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except ValueError as error:
            raise TextError(f"{path}:{number}: not JSON: {error}") from None
        text = fields.get("text", fields.get("written")) if isinstance(fields, dict) else None
        if not isinstance(text, str):
            raise TextError(f"{path}:{number}: no `text`; each line is an object with the sentence in `text`")
        yield text


def _sentences(line: str) -> Iterator[str]:
    """The sentences of a line, without its speaker, spaces before points closed, with a capital."""
    text = _SPEAKER.sub("", " ".join(line.split()))
    for spaced, tight in _TIGHT:
        text = text.replace(spaced, tight)
    for sentence in re.split(r"(?<=[.?!])\s+", text):
        if sentence.strip():
            yield sentence[0].upper() + sentence[1:]
