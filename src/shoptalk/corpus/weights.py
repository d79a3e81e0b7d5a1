"""The law of `Term.weight`: how many sentences a term gets beside others, from rarity, risk and earlier misses."""

from collections.abc import Sequence
from typing import Literal

from shoptalk.core.records import Term
from shoptalk.corpus.general_english import Frequencies

LOWEST, HIGHEST = 0.5, 4.0
"""Bounds of a weight: what is known is still rehearsed, and no term takes the sentences of all others."""
_RISKS = {"low": 0.75, "medium": 1.0, "high": 1.5}
_EXPECTED_MISSES = 0.25
"""Part of a trade's terms that a general recogniser misses, where nothing was measured."""
_PRIOR_OCCURRENCES = 2.0
"""So many occurrences, missed at the expected rate, are added to what was measured: one miss of one is no proof."""


def weight(
    *, zipf: float | None = None, risk: Literal["low", "medium", "high"] = "medium", missed: int = 0, of: int = 0
) -> float:
    """One number of rarity, risk and earlier misses: their product, within `LOWEST` and `HIGHEST`.

    1 means as many sentences as the recipe says. Each factor is 1 where nothing is known.

    - Rarity: the base has read common words in many sentences, and rare ones in few or none. The factor falls from
      1.5 for a word that general English lacks to 0.5 for one of every 10,000 words (Zipf 5).
    - Risk: an error in a term of high risk does more harm, so it gets half as many sentences again.
    - Misses: sentences are spent where errors are left. The factor is the part that was missed over the part that is
      expected, between 0.5 and 3. A few expected occurrences are added first, so that it stays near 1 on little data.
    """
    rarity = 1.0 if zipf is None else min(1.5, max(0.5, 1.5 - 0.2 * zipf))
    rate = (missed + _PRIOR_OCCURRENCES * _EXPECTED_MISSES) / (of + _PRIOR_OCCURRENCES)
    misses = min(3.0, max(0.5, rate / _EXPECTED_MISSES))
    return round(min(HIGHEST, max(LOWEST, rarity * _RISKS[risk] * misses)), 2)


def weigh(terms: Sequence[Term], general: Frequencies) -> list[Term]:
    """The same terms; those whose row gives no `weight` get one from rarity and risk."""
    weighed = []
    for term in terms:
        if "weight" not in term.model_fields_set:
            term = term.model_copy(update={"weight": weight(zipf=general.zipf(term.text), risk=term.risk)})
        weighed.append(term)
    return weighed
