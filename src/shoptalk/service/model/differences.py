"""How two transcripts of one recording differ, in counts; whoever opens the models says how it is counted."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """What differs between a text and the one that it is compared with."""

    words: int
    """Words of the text that it is compared with."""
    differing: int
    """Substitutions, deletions and insertions of words."""
    terms: int = 0
    """Mentions of the lexicon's terms in the text that it is compared with."""
    terms_differing: int = 0
    """Mentions of terms that only one of the two texts has."""

    @property
    def rate(self) -> float:
        """Differing words per word: 0 for two empty texts, infinite for words where none are expected."""
        if self.words:
            return self.differing / self.words
        return float("inf") if self.differing else 0.0


Compare = Callable[[str, str], Difference]
"""Takes the text that counts as right, then the other."""
