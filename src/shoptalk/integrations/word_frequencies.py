"""How often words occur in general English: the counts of pyspellchecker (MIT), 1.6 billion words of subtitles."""

from collections.abc import Mapping
from functools import lru_cache

from shoptalk.core.errors import MissingToolError


@lru_cache(maxsize=1)
def load() -> Mapping[str, int]:
    """Words in lower case, with their counts. `MissingToolError`: the extra `corpus` is not installed."""
    try:
        from spellchecker import SpellChecker
    except ImportError:
        raise MissingToolError("pyspellchecker is not installed; install shoptalk[corpus]") from None
    counts: Mapping[str, int] = SpellChecker(language="en").word_frequency.dictionary
    return counts
