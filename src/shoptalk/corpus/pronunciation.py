"""Pronunciations that the lexicon gives: which IPA can be spoken, and the table that a `Tts` receives."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from shoptalk.core.errors import TermError
from shoptalk.core.records import Split, Term
from shoptalk.corpus import stems, verbalise
from shoptalk.corpus.splits import draw_key

_LETTERS = "abdefhijklmnoprstuvwxzæçðŋøœɐɑɒɔəɚɛɜɝɡgɪɨɫɬɹɾʃʊʌʍʒʔθᵻ"
_MARKS = "ˈˌ'ː.‿\u0361\u035c\u0303\u0329\u0327 "
"""Stress, length, syllable borders, ties, nasal, syllabic, and the cedilla of a decomposed ç."""


def check_ipa(ipa: str) -> None:
    """`TermError` that names the symbols which no English voice can speak, or says that no vowel is there."""
    plain = unicodedata.normalize("NFD", ipa.strip().strip("/[]"))
    if unknown := sorted(set(plain) - set(_LETTERS + _MARKS)):
        shown = " ".join(f"{symbol!r} (U+{ord(symbol):04X})" for symbol in unknown)
        raise TermError(f"pronunciation {ipa!r}: cannot speak {shown}; use the IPA symbols of English")
    if not set(plain) & set("aeiouæøœɐɑɒɔəɚɛɜɝɪɨʊʌᵻ"):
        raise TermError(f"pronunciation {ipa!r} has no vowel; write the whole word in IPA")


def pronunciations(terms: Iterable[Term], g2p: stems.G2p) -> Mapping[str, tuple[str, ...]]:
    """Spoken word or phrase → its accepted IPA, for the terms that have some, or a stem; `g2p` reads what is no stem.

    Two terms that contradict each other are a `TermError`.
    """
    table: dict[str, tuple[str, ...]] = {}
    for term in terms:
        accepted = ipa_of(term, g2p)
        if not accepted:
            continue
        for ipa in accepted:
            check_ipa(ipa)
        spoken = spoken_form(term).casefold()
        if table.setdefault(spoken, accepted) != accepted:
            raise TermError(
                f"{term.id}: {spoken!r} has the pronunciations {', '.join(table[spoken])} and, in another term, "
                f"{', '.join(accepted)}; give both terms the same"
            )
    return table


def spoken_form(term: Term) -> str:
    """What stands for a term in the sentences that are spoken."""
    return verbalise.spoken(term.as_spoken)


def ipa_of(term: Term, g2p: stems.G2p) -> tuple[str, ...]:
    """The accepted IPA of a term of stage 10; empty where the letter-to-sound rules speak it."""
    if term.ipa or term.pronounced_by != "stem":
        return term.ipa
    return (stems.of_phrase(spoken_form(term), g2p),)


def drawn(accepted: Sequence[str], transcript_id: str, split: Split, *, seed: int) -> str:
    """The pronunciation that a transcript is spoken with: a draw from (seed, id) in training, elsewhere the first."""
    if split != "train" or len(accepted) == 1:
        return accepted[0]
    return accepted[int(draw_key(seed, "pronunciation", transcript_id), 16) % len(accepted)]
