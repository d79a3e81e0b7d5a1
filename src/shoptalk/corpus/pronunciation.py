"""Pronunciations that the lexicon gives: which IPA can be spoken, and the table that a `Tts` receives."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence

from shoptalk.core.errors import TermError
from shoptalk.core.languages import ENGLISH
from shoptalk.core.records import Split, Term, Transcript
from shoptalk.corpus import stems, verbalise
from shoptalk.corpus.splits import draw_key

G2pOfLanguage = Callable[[str, str], str]
"""From a text and its language to its IPA, e.g. eSpeak's."""
_LETTERS = "abdefhijklmnoprstuvwxzæçðŋøœɐɑɒɔəɚɛɜɝɡgɪɨɫɬɹɾʃʊʌʍʒʔθᵻ"
_OTHER_LETTERS = "cqryɕɖɟɣɤɥɭɮɯɰɱɲɳɴɵɸɺɻɽʀʁʂʈʋʎʏʐʑʕʙʝβθχħɓɗɠɦɖʄɢʛ̥̪̬̩"
"""Beyond those of English; whether a synthesiser has them it says itself."""
_MARKS = "ˈˌ'ː.‿\u0361\u035c\u0303\u0329\u0327 "
"""Stress, length, syllable borders, ties, nasal, syllabic, and the cedilla of a decomposed ç."""


def check_ipa(ipa: str, language: str = ENGLISH) -> None:
    """`TermError` that names the symbols which no voice can speak, of English voices those that are not English; or
    says that no vowel is there.
    """
    plain = unicodedata.normalize("NFD", ipa.strip().strip("/[]"))
    letters = _LETTERS if language.startswith(ENGLISH) else _LETTERS + _OTHER_LETTERS
    if unknown := sorted(set(plain) - set(letters + _MARKS)):
        shown = " ".join(f"{symbol!r} (U+{ord(symbol):04X})" for symbol in unknown)
        own = " of English" if letters == _LETTERS else ""
        raise TermError(f"pronunciation {ipa!r}: cannot speak {shown}; use the IPA symbols{own}")
    if not set(plain) & set("aeiouyæøœɐɑɒɔəɚɛɜɝɪɨʊʌᵻɯɤɵʏ"):
        raise TermError(f"pronunciation {ipa!r} has no vowel; write the whole word in IPA")


def pronunciations(
    terms: Iterable[Term], g2p: stems.G2p, *, of_language: str = ENGLISH, g2p_of: G2pOfLanguage | None = None
) -> Mapping[str, tuple[str, ...]]:
    """Spoken word or phrase → its accepted IPA, for the terms that have some, or a stem; `g2p` reads what is no stem.

    `of_language` is the synthesiser's; with `g2p_of`, terms of another language have the IPA of theirs. Two
    terms that contradict each other are a `TermError`.
    """
    table: dict[str, tuple[str, ...]] = {}
    for term in terms:
        accepted = ipa_of(term, g2p)
        if not accepted and g2p_of and term.language != of_language:
            accepted = (g2p_of(spoken_form(term), term.language),)
        if not accepted:
            continue
        for ipa in accepted:
            check_ipa(ipa, of_language if of_language != ENGLISH else term.language)
        spoken = spoken_form(term).casefold()
        if table.setdefault(spoken, accepted) != accepted:
            raise TermError(
                f"{term.id}: {spoken!r} has the pronunciations {', '.join(table[spoken])} and, in another term, "
                f"{', '.join(accepted)}; give both terms the same"
            )
    return table


def spoken_form(term: Term) -> str:
    """What stands for a term in the sentences that are spoken."""
    return verbalise.spoken(term.as_spoken, term.language)


def switched(
    transcripts: Iterable[Transcript], terms: Iterable[Term], g2p_of: G2pOfLanguage, *, of_language: str
) -> Mapping[str, Mapping[str, str]]:
    """By id of each transcript that is of another language than the synthesiser's: its words with their IPA.

    What the terms are called is left out: they are spoken by the rules of their own language.
    """
    said = {spoken_form(term) for term in terms}
    names = re.compile("|".join(map(re.escape, sorted(said, key=len, reverse=True))) or r"(?!)", re.IGNORECASE)
    table: dict[str, dict[str, str]] = {}
    for transcript in transcripts:
        if transcript.language == of_language:
            continue
        own: dict[str, str] = {}
        for clause in re.split(r"[.,;:!?]", names.sub(".", transcript.spoken)):
            own |= _sounds(" ".join(clause.split()), transcript.language, g2p_of)
        table[transcript.id] = own
    return table


def _sounds(clause: str, language: str, g2p_of: G2pOfLanguage) -> dict[str, str]:
    """The words of a clause with their IPA; the whole clause, where sounds cannot be told apart by words."""
    words = clause.split()
    sounds = g2p_of(clause, language).split() if words else []
    if len(words) != len(sounds):
        return {clause: " ".join(sounds)}
    by_word = dict(zip(map(str.casefold, words), sounds, strict=True))
    is_plain = all(by_word[word.casefold()] == sound for word, sound in zip(words, sounds, strict=True))
    return by_word if is_plain else {clause: " ".join(sounds)}


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
