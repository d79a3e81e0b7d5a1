"""Pronunciations that the lexicon gives: which IPA can be spoken, and the table that a `Tts` receives."""

import unicodedata
from collections.abc import Iterable, Mapping

from shoptalk.core.errors import TermError
from shoptalk.core.records import Term

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


def pronunciations(terms: Iterable[Term]) -> Mapping[str, str]:
    """Spoken word or phrase → IPA, for the terms that give one; two that contradict each other are a `TermError`."""
    table: dict[str, str] = {}
    for term in terms:
        if not term.ipa:
            continue
        check_ipa(term.ipa)
        spoken = (term.spoken[0] if term.spoken else term.text).casefold()
        if table.setdefault(spoken, term.ipa) != term.ipa:
            raise TermError(
                f"{term.id}: {spoken!r} has two pronunciations, {table[spoken]!r} and {term.ipa!r}; keep one"
            )
    return table
