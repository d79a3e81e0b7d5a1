"""How often words occur in general English, of a list of counts and of sentences that fill its gaps."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shoptalk.core import text as core_text

FLOOR = 50
"""pyspellchecker gives this count to words that it has added without a count; it says nothing then."""
_SEEN = 2
"""A word stands in the sentences so often before they tell its frequency."""
_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_PART = re.compile(r"[^\s\-‐‑–/]+")


@dataclass(frozen=True)
class Frequencies:
    """Frequencies of words."""

    per_million_of: Mapping[str, float]
    """Occurrences in a million words, by word in lower case."""

    def per_million(self, word: str) -> float:
        """How often a word occurs in a million; looked up also without accents, American, and without its ’s."""
        listed = word.casefold().replace("’", "'")
        letters = "".join(filter(str.isascii, unicodedata.normalize("NFD", listed)))
        without_s = letters.removesuffix("'s")
        american = core_text.words(without_s, "leaderboard")
        forms = (listed, letters, without_s, american[0] if len(american) == 1 else listed)
        return max(self.per_million_of.get(form, 0.0) for form in forms)

    def zipf(self, text: str) -> float:
        """The Zipf frequency of the text's rarest word: log10 of its occurrences in a billion words, at least 0.

        3 is a word of every million words, 6 one of the commonest. A recogniser must know each word of a term, so the
        rarest one counts.
        """
        words = [word.strip(".,;:'’()") for word in _PART.findall(text)]
        rates = [1_000 * self.per_million(word) for word in words if word]
        return max(0.0, math.log10(max(1.0, min(rates)))) if rates else 0.0


def frequencies(counts: Mapping[str, int], sentences: Iterable[str] = ()) -> Frequencies:
    """The frequencies of a list of counts.

    Subtitles, of which the list is made, have few names and months. For words that are mostly written with a capital,
    and for words without a true count, `sentences` tell the frequency.
    """
    total = max(1, sum(counts.values()))
    per_million_of = {word: count / total * 1e6 for word, count in counts.items() if count > FLOOR}
    seen: Counter[str] = Counter()
    with_capital: Counter[str] = Counter()
    for sentence in sentences:
        for place, token in enumerate(_TOKEN.findall(sentence)):
            word = token.casefold().replace("’", "'")
            seen[word] += 1
            with_capital[word] += bool(place) and token[0].isupper()
    words = max(1, seen.total())
    for word, count in seen.items():
        is_name = with_capital[word] > count / 2
        if count >= _SEEN and (is_name or word not in per_million_of):
            per_million_of[word] = max(per_million_of.get(word, 0.0), count / words * 1e6)
    return Frequencies(per_million_of)
