"""Which tier gives the pronunciation of each term: people, the lexicon, a dictionary, stems of drug names, the engine.

Stage 10 decides it and writes it on the term. The IPA of the last two tiers is known only where speech is made, because
it takes letter-to-sound rules (`pronunciation.pronunciations`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from shoptalk.core.languages import ENGLISH
from shoptalk.core.records import PronouncedBy, Term
from shoptalk.corpus import stems
from shoptalk.corpus.overrides import Override, by_text

NAMES: Mapping[PronouncedBy, str] = {
    "override": "by people who listened",
    "lexicon": "by the lexicon",
    "dictionary": "by the dictionary",
    "stem": "by the stems of drug names",
    "g2p": "by letter-to-sound rules",
}


def decide(terms: Iterable[Term], *, overrides: Sequence[Override], dictionary: Iterable[Term]) -> list[Term]:
    """The same terms, each with its accepted IPA, the tier that gives it, and who listened to all of it.

    A pronunciation that somebody found wrong is not used while another tier has one.
    """
    known = {term.text.casefold(): term.ipa for term in dictionary if term.ipa}
    said = by_text(overrides)
    return [_decided(term, said.get(term.text.casefold(), []), known) for term in terms]


def _decided(term: Term, said: Sequence[Override], known: Mapping[str, tuple[str, ...]]) -> Term:
    right = [override for override in said if override.verdict == "right"]
    wrong = {override.sound for override in said if override.verdict == "wrong"}
    if right:
        sounds = tuple(dict.fromkeys(override.sound for override in right))
        listeners = [override.verified_by for override in right]
        names = ", ".join(dict.fromkeys(listeners)) if all(listeners) else ""
        return term.model_copy(update={"ipa": sounds, "pronounced_by": "override", "verified_by": names})
    tiers: dict[PronouncedBy, tuple[str, ...]] = {
        "lexicon": term.ipa,
        "dictionary": known.get(term.text.casefold(), ()),
    }
    for tier, ipa in tiers.items():
        accepted = tuple(sound for sound in ipa if sound not in wrong)
        wrong -= set(ipa)
        if accepted:
            listener = term.verified_by if tier == "lexicon" else ""
            return term.model_copy(update={"ipa": accepted, "pronounced_by": tier, "verified_by": listener})
    by_stem = (
        term.language.startswith(ENGLISH) and stems.has_stem(term) and not wrong
    )  # what is left there was said of the stem's own sound
    return term.model_copy(update={"ipa": (), "pronounced_by": "stem" if by_stem else "g2p", "verified_by": ""})


def told(terms: Sequence[Term]) -> str:
    """How many terms each tier pronounces, and how many of all nobody has listened to, for the console."""
    counts = Counter(term.pronounced_by for term in terms)
    parts = [f"{counts[tier]} {NAMES[tier]}" for tier in get_args(PronouncedBy) if counts[tier]]
    unheard = sum(not term.verified_by for term in terms)
    return f"pronounced {', '.join(parts)}; nobody has listened to {unheard} of {len(terms)} (`shoptalk audition`)"


def remarks(terms: Sequence[Term], overrides: Sequence[Override]) -> list[str]:
    """What people said that has no effect, or that leaves a term without a pronunciation that anybody found right."""
    texts = {term.text.casefold() for term in terms}
    said = by_text(overrides)
    strangers = [override.text for override in overrides if override.text.casefold() not in texts]
    notes = []
    if strangers:
        notes.append(f"pronunciations of {', '.join(dict.fromkeys(strangers))} are used by no term of this lexicon")
    for term in terms:
        verdicts = {override.verdict for override in said.get(term.text.casefold(), [])}
        if verdicts == {"wrong"}:
            notes.append(f"somebody found wrong how {term.text!r} is spoken, and nobody found anything right")
    return notes
