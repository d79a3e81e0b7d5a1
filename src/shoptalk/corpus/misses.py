"""Terms as an earlier evaluation found them: those with low recall first, with their weight and what they became."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shoptalk.core import terms as term_forms
from shoptalk.core import text as core_text
from shoptalk.core.records import Term
from shoptalk.core.terms import phonetic_distance
from shoptalk.corpus.general_english import Frequencies
from shoptalk.corpus.weights import weight

MOST_CONFUSIONS = 5
"""Of a term; the commonest are kept."""
_SOUNDS_ALIKE = 0.5
"""Largest `phonetic_distance` at which other words count as misrecognised; beyond it the place was lost altogether."""


@dataclass(frozen=True)
class Evidence:
    """What became of a term's occurrences in references."""

    of: int = 0
    """Occurrences."""
    missed: int = 0
    instead: Counter[str] = field(default_factory=Counter)
    """What was recognised in their place, in words of `core.text`; an empty text where nothing was."""

    @property
    def recall(self) -> float:
        """Part that was found; 1 where there was nothing to find."""
        return 1 - self.missed / self.of if self.of else 1.0


def with_misses(terms: Sequence[Term], evidence: Mapping[str, Evidence], general: Frequencies) -> list[Term]:
    """The terms, low recall first, with a weight of what was missed, and what they are confused with.

    Of equal recall, the term with more occurrences comes first if any were missed; terms that were never missed keep
    the lexicon's order. An earlier weight is replaced. Held-out terms stay so (``taught: false``); the others are left
    to the draw, which gives the same ones for the same terms, seed and part.
    """
    index = term_forms.index_of(terms)
    weighed = []
    for term in terms:
        own = evidence.get(term.id, Evidence())
        new = {
            "weight": weight(zipf=general.zipf(term.text), risk=term.risk, missed=own.missed, of=own.of),
            "confused_with": _confusions(term, own.instead, terms, index),
        }
        weighed.append(Term.model_validate(_given(term) | new))
    return sorted(weighed, key=lambda term: _rank(evidence.get(term.id, Evidence())))


def remark(evidence: Evidence) -> str:
    """What is said beside a term; empty where it did not occur."""
    if not evidence.of:
        return ""
    if not evidence.missed:
        return f"recognised {evidence.of} of {evidence.of} times"
    shown = ", ".join(f"{text or 'nothing'} ({count})" for text, count in evidence.instead.most_common(3))
    return f"missed {evidence.missed} of {evidence.of}" + (f": {shown}" if shown else "")


def _given(term: Term) -> dict[str, object]:
    """What the lexicon of a run said of a term; stage 10 finds the rest again."""
    decided = {"pronounced_by"}
    if term.taught:
        decided.add("taught")
    if term.pronounced_by not in (None, "lexicon"):
        decided |= {"ipa", "verified_by"}
    return {name: getattr(term, name) for name in Term.model_fields if name not in decided}


def _rank(evidence: Evidence) -> tuple[float, int]:
    return evidence.recall, -evidence.missed


def _confusions(term: Term, instead: Counter[str], terms: Sequence[Term], index: term_forms.Index) -> tuple[str, ...]:
    """What the term is confused with: as the lexicon says, then what was recognised and sounds like it."""
    names = {text.casefold() for text in (term.text, *term.variants)}
    confusions = list(term.confused_with)
    ordered = sorted(instead.items(), key=lambda item: (-item[1], phonetic_distance(term.text, item[0]), item[0]))
    for text, _ in ordered:
        if not text or phonetic_distance(term.text, text) > _SOUNDS_ALIKE or not any(map(str.isalpha, text)):
            continue
        confusions.append(_as_listed(text, terms, index))
    distinct = dict.fromkeys(text for text in confusions if text.casefold() not in names)
    return tuple(distinct)[:MOST_CONFUSIONS]


def _as_listed(text: str, terms: Sequence[Term], index: term_forms.Index) -> str:
    """The text as a term of the lexicon is written, if it is one."""
    words = core_text.words(text)
    for mention in term_forms.mentions(index, words):
        if mention.end - mention.start == len(words):
            return terms[mention.term].text
    return text
