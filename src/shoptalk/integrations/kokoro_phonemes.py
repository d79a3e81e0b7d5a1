"""From text to Kokoro's phonemes: eSpeak's IPA, or the lexicon's own, mapped to Kokoro's inventory.

Kokoro writes diphthongs and affricates as single letters: A eɪ, I aɪ, W aʊ, Y ɔɪ, O oʊ (US), Q əʊ (UK), ʧ, ʤ; T is the
US flap, ᵊ a schwa swallowed by the next consonant. Stress stands before the vowel, not before the syllable. Its voices
of Spanish, French, Italian, Portuguese and Hindi learned eSpeak's phonemes as they are, but for the single letters.
"""

import re
import unicodedata
from collections.abc import Mapping
from difflib import SequenceMatcher

import numpy as np

from shoptalk.core.errors import TermError
from shoptalk.integrations.espeak import TIE, Accent, phonemes

TOKENS: dict[str, int] = {
    **dict(zip(";:,.!?", range(1, 7), strict=True)),
    **dict(zip('—…"()“” \u0303ʣʥʦʨᵝ\uab67AI', range(9, 26), strict=True)),
    **{"O": 31, "Q": 33, "S": 35, "T": 36, "W": 39, "Y": 41, "ᵊ": 42},
    **dict(zip("abcdef", range(43, 49), strict=True)),
    **dict(zip("hijklmnopqrstuvwxyzɑɐɒæ", range(50, 73), strict=True)),
    **{"β": 75, "ɔ": 76, "ɕ": 77, "ç": 78, "ɖ": 80, "ð": 81, "ʤ": 82, "ə": 83, "ɚ": 85, "ɛ": 86, "ɜ": 87, "ɟ": 90},
    **{"ɡ": 92, "ɥ": 99, "ɨ": 101, "ɪ": 102, "ʝ": 103, "ɯ": 110, "ɰ": 111, "ŋ": 112, "ɳ": 113, "ɲ": 114, "ɴ": 115},
    **{"ø": 116, "ɸ": 118, "θ": 119, "œ": 120, "ɹ": 123, "ɾ": 125, "ɻ": 126, "ʁ": 128, "ɽ": 129, "ʂ": 130, "ʃ": 131},
    **{"ʈ": 132, "ʧ": 133, "ʊ": 135, "ʋ": 136, "ʌ": 138, "ɣ": 139, "ɤ": 140, "χ": 142, "ʎ": 143, "ʒ": 147, "ʔ": 148},
    **{"ˈ": 156, "ˌ": 157, "ː": 158, "ʰ": 162, "ʲ": 164, "↓": 169, "→": 171, "↗": 172, "↘": 173, "ᵻ": 177},
}
"""Phoneme → token of Kokoro-82M v1.0; 0 pads both ends."""

_VOWELS = "AIOQWYaeiouyæɑɒɐɔəɚɛɜɝɪɨʊʌᵊᵻøœɯɤ"
_TIED = ("eɪ", "aɪ", "aʊ", "ɔɪ", "oʊ", "əʊ", "tʃ", "dʒ", "eə", "ɛə", "ʊə", "ɪə")
_COMMON = (
    *(("a^ɪ", "I"), ("a^ʊ", "W"), ("e^ɪ", "A"), ("ɔ^ɪ", "Y"), ("t^ʃ", "ʧ"), ("d^ʒ", "ʤ")),
    *(("o^ʊ", "O"), ("ə^ʊ", "Q"), ("ə^l", "ᵊl"), ("ə^n", "ᵊn"), ("ə^m", "ᵊm")),
    *(("l\u0329", "ᵊl"), ("n\u0329", "ᵊn"), ("m\u0329", "ᵊm")),
    *(("ʔ", "t"), ("ɫ", "l"), ("ɬ", "l"), ("x", "k"), ("ç", "k"), ("ɐ", "ə"), ("r", "ɹ"), ("g", "ɡ"), ("ʍ", "w")),
    *(("ɝ", "ɜɹ"), ("ʲ", ""), ("\u0303", ""), ("\u0329", "")),
)
_ACCENT: dict[str, tuple[tuple[str, str], ...]] = {
    "en-us": (
        *(("Q", "O"), ("ɜːɹ", "ɜɹ"), ("ɜː", "ɜɹ"), ("ɚ", "əɹ"), ("e^ə", "ɛɹ"), ("ɛ^ə", "ɛɹ"), ("ʊ^ə", "ʊɹ")),
        *(("ɪ^ə", "iə"), ("ɾ", "T"), ("ɒ", "ɑ"), ("ː", ""), ("^", ""), ("e", "ɛ"), ("o", "ɔ"), ("ɹɹ", "ɹ")),
    ),
    "en-gb": (
        *(("O", "Q"), ("ɚ", "ə"), ("e^ə", "ɛː"), ("ɛ^ə", "ɛː"), ("ɾ", "t"), ("^", ""), ("iə", "ɪə")),
        *(("e", "ɛ"), ("o", "ɔ"), ("ɜɹ", "ɜː"), ("ɹɹ", "ɹ")),
    ),
}
LANGUAGES = ("en", "es", "fr-fr", "hi", "it", "pt-br")
"""What Kokoro learned from eSpeak's phonemes, by eSpeak's codes; Japanese and Chinese it learned from others."""
_AS_THEY_ARE = (
    *(("a^ɪ", "I"), ("a^ʊ", "W"), ("e^ɪ", "A"), ("e^ʊ", "eʊ"), ("ɔ^ɪ", "Y"), ("o^ʊ", "O"), ("ə^ʊ", "Q")),
    *(("t^ʃ", "ʧ"), ("d^ʒ", "ʤ"), ("t^s", "ʦ"), ("d^z", "ʣ"), ("^", ""), ("g", "ɡ"), ("\u0329", ""), ("-", "")),
    *(("ɫ", "l"), ("ʍ", "w"), ("ɝ", "ɜɹ")),
)
"""For other languages than English; the last line is of English words in them."""
# Stand in for an overridden word, so that its neighbours are spoken as they would be before a consonant or a vowel
# ("the", "to", "an"); eSpeak gives both the same phonemes in every context.
_PLACEHOLDERS = {False: "zimzam", True: "imzam"}
_LETTER_A = r"(?<=\w )A\b(?!')|\bA(?= [B-Z]\b| one C\b)"
"""A capital A inside a sentence, or before another letter that is spelled; eSpeak would take it for the article."""
_SILENT = ' ˈˌː;:,.!?—…"()“”'
_CLAUSE_END = re.compile(r"\s*([.,;:!?…—]+)\s*")


def from_ipa(ipa: str, accent: Accent) -> str:
    """A pronunciation in IPA as people write it, in Kokoro's phonemes; `TermError` names a symbol that it lacks."""
    plain = unicodedata.normalize("NFD", ipa.strip().strip("/[]"))
    plain = re.sub("[\u0361\u035c.‿ʰ]", "", plain).replace("'", "ˈ").replace("c\u0327", "ç")
    for pair in _TIED:
        plain = plain.replace(pair, TIE.join(pair))
    return _stress_before_vowels(_mapped(plain, accent))


def from_text(text: str, accent: Accent, pronunciations: Mapping[str, str]) -> str:
    """Kokoro's phonemes of a text; words and phrases in `pronunciations` (→ IPA) are spoken as given there."""
    spoken, given = _with_placeholders(text, accent, {key.casefold(): ipa for key, ipa in pronunciations.items()})
    parts = _CLAUSE_END.split(spoken)
    sounds = [phonemes(part, accent) if part.strip() else "" for part in parts[::2]]
    marks = [mark[0] for mark in parts[1::2]] + [""]
    joined = " ".join(_mapped(sound, accent) + mark for sound, mark in zip(sounds, marks, strict=True)).strip()
    stand_ins = [_mapped(phonemes(word, accent), accent) for word in _PLACEHOLDERS.values()]
    pieces = re.split("|".join(stand_ins), joined)
    if len(pieces) != len(given) + 1:
        raise TermError(f"{text!r}: the given pronunciations cannot be placed; write the sentence differently")
    return pieces[0] + "".join(ipa + rest for ipa, rest in zip(given, pieces[1:], strict=True))


def word_spans(text: str, sounds: str, accent: Accent, pronunciations: Mapping[str, str]) -> list[tuple[str, int, int]]:
    """Each word of a text (as it stands between spaces) with its first and past its last place in ``from_text``'s
    sounds.

    eSpeak runs some words together ("of the"), so spaces do not tell: each word is spoken alone, and what was spoken is
    aligned with what they give one after the other.
    """
    words = [word for word in text.split() if any(letter.isalnum() for letter in word)]
    alone = ["".join(_places(from_text(word, accent, pronunciations))[0]) for word in words]
    plain, places = _places(sounds)
    matcher = SequenceMatcher(None, "".join(alone), plain, autojunk=False)
    anchors = [(0, 0)]
    for block in matcher.get_matching_blocks():
        anchors += [(block.a, block.b), (block.a + block.size, block.b + block.size)]
    expected, actual = zip(*anchors, (len("".join(alone)), len(plain)), strict=True)
    bounds = np.interp(np.cumsum([0, *map(len, alone)]), expected, actual).round().astype(int)
    return [
        (word, _with_stress(sounds, places[first]), places[last - 1] + 1)
        for word, first, last in zip(words, bounds[:-1], bounds[1:], strict=True)
        if first < last
    ]


def _with_stress(sounds: str, place: int) -> int:
    """The place of a sound, or of the stress mark before it: the mark has a length too, and is spoken as its sound."""
    return len(sounds[:place].rstrip("ˈˌ"))


def _places(sounds: str) -> tuple[str, list[int]]:
    """The sounds without spaces, stress and punctuation, and where each of them stands."""
    kept = [(sound, place) for place, sound in enumerate(sounds) if sound not in _SILENT]
    return "".join(sound for sound, _ in kept), [place for _, place in kept]


def _with_placeholders(text: str, accent: Accent, pronunciations: Mapping[str, str]) -> tuple[str, list[str]]:
    longest_first = sorted(pronunciations, key=lambda key: (-len(key), key))
    alternatives = [rf"(?<![\w'])(?:{'|'.join(map(re.escape, longest_first))})(?!\w)"] if pronunciations else []
    if accent.startswith("en"):
        alternatives.append(f"(?-i:{_LETTER_A})")
    if not alternatives:
        return text, []
    pattern = re.compile("|".join(alternatives), re.IGNORECASE)
    ipas = [pronunciations.get(match.group().casefold(), "ˈeɪ") for match in pattern.finditer(text)]
    given = [from_ipa(ipa, accent) for ipa in ipas]
    stand_ins = iter([_PLACEHOLDERS[ipa.lstrip("ˈˌ")[:1] in set(_VOWELS)] for ipa in given])
    return pattern.sub(lambda _: next(stand_ins), text), given


def _mapped(ipa: str, accent: Accent) -> str:
    ipa = re.sub(r"\([a-z-]+\)", "", ipa)  # eSpeak's marks of a change of language
    for wanted, replacement in (*_COMMON, *_ACCENT[accent]) if accent in _ACCENT else _AS_THEY_ARE:
        ipa = ipa.replace(wanted, replacement)
    if unknown := sorted(set(ipa) - set(TOKENS)):
        own = "English" if accent in _ACCENT else f"the language ({accent})"
        raise TermError(f"{ipa!r}: Kokoro has no phoneme {' '.join(unknown)}; use the IPA of {own}")
    return ipa


def _stress_before_vowels(sounds: str) -> str:
    """``mɛtˈfɔɹmɪn`` → ``mɛtfˈɔɹmɪn``."""
    return re.sub(rf"([ˈˌ])([^{_VOWELS}ˈˌ ]+)(?=[{_VOWELS}])", r"\2\1", sounds)
