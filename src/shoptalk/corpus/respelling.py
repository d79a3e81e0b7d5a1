"""Pronunciations that people write with English letters, ``met-FOR-min``, as IPA.

Hyphens part syllables, and the stressed one is in capitals. The letters mean what they do in the keys of Wikipedia and
of American drug handbooks: ``ay`` day, ``ah`` father, ``aw`` law, ``ee`` see, ``eye`` or ``y`` fly, ``oh`` or ``oe``
go, ``oo`` moon, ``ow`` now, ``oy`` boy, ``ew`` few, ``uh`` cup, ``uu`` book. A vowel with a silent e behind its
consonant is long (``zole``, ``tide``).
"""

import re

from shoptalk.core.errors import TermError

_SYLLABLE = re.compile(r"((?:qu|[^aeiouy])*(?:y(?=[aeiou])(?!e$))?)([aeiouy].*)")
_CONSONANTS = {
    **{letter: letter for letter in "bdfhklmnpstvwz"},
    **{"c": "k", "g": "ɡ", "j": "dʒ", "q": "k", "r": "ɹ", "x": "ks", "y": "j"},
    **{"ch": "tʃ", "tch": "tʃ", "ck": "k", "dh": "ð", "gh": "ɡ", "kh": "k", "kn": "n", "ng": "ŋ", "nk": "ŋk"},
    **{"ph": "f", "qu": "kw", "rh": "ɹ", "sh": "ʃ", "th": "θ", "wh": "w", "zh": "ʒ"},
    **{letter * 2: letter for letter in "bdfklmnpstvz"},
    **{"gg": "ɡ", "rr": "ɹ", "ss": "s", "cc": "k"},
}
_BEFORE_R = {
    **{"ar": "ɑːɹ", "or": "ɔːɹ", "air": "ɛɹ", "eer": "ɪɹ", "ear": "ɪɹ", "oor": "ʊɹ", "our": "aʊɹ", "owr": "aʊɹ"},
    **{"ire": "aɪɹ", "ore": "ɔːɹ", "oar": "ɔːɹ", "ure": "jʊɹ", "are": "ɛɹ", "ere": "ɪɹ"},
}
_VOWELS = {
    **{"ay": "eɪ", "ai": "eɪ", "ah": "ɑː", "aa": "ɑː", "aw": "ɔː", "au": "ɔː", "ee": "iː", "ea": "iː", "eh": "ɛ"},
    **{
        "eye": "aɪ",
        "ahy": "aɪ",
        "igh": "aɪ",
        "ye": "aɪ",
        "y": "aɪ",
        "ih": "ɪ",
        "oh": "oʊ",
        "oa": "oʊ",
        "oe": "oʊ",
        "oo": "uː",
    },
    **{"ow": "aʊ", "ou": "aʊ", "oy": "ɔɪ", "oi": "ɔɪ", "ue": "juː", "ew": "juː", "uu": "ʊ"},
}
_CLOSED = {"a": "æ", "e": "ɛ", "i": "ɪ", "o": "ɑː", "u": "ʌ"}
"""One letter with a consonant behind it."""
_OPEN = {"a": ("ə", "ɑː"), "e": ("i", "iː"), "i": ("ɪ", "aɪ"), "o": ("oʊ", "oʊ"), "u": ("uː", "uː")}
"""One letter at the end of its syllable: without stress, and with."""
_STRESSED = {"er": ("ɚ", "ɜːɹ"), "ir": ("ɚ", "ɜːɹ"), "ur": ("ɚ", "ɜːɹ"), "uh": ("ə", "ʌ")}
_LONG = {"a": "eɪ", "e": "iː", "i": "aɪ", "o": "oʊ", "u": "uː"}
"""One letter that a silent e lengthens."""
_SILENT_E = re.compile(r"([aeiou])(?!r)((?:[bcdfgklmnpstvz]|th|ph))e")
_VOWEL_GROUPS = sorted({*_BEFORE_R, *_VOWELS, *_STRESSED, *_CLOSED}, key=lambda letters: (-len(letters), letters))
_CONSONANT_GROUPS = re.compile("|".join(sorted(_CONSONANTS, key=lambda letters: (-len(letters), letters))))
_EXAMPLE = "write it as in met-FOR-min: hyphens between syllables, the stressed one in capitals"


def is_respelling(text: str) -> bool:
    """Whether a text is written with English letters alone, so that it is no IPA."""
    return bool(re.fullmatch(r"[A-Za-z' -]+", text.strip()))


def to_ipa(respelling: str) -> str:
    """IPA of a respelled word or phrase; `TermError` names the syllable that cannot be read."""
    words = respelling.split()
    if not words:
        raise TermError(f"a respelling is empty; {_EXAMPLE}")
    return " ".join(_word(word, respelling) for word in words)


def _word(word: str, whole: str) -> str:
    syllables = [syllable for syllable in word.replace("'", "").split("-") if syllable]
    if not syllables:
        raise TermError(f"respelling {whole!r}: {word!r} has no letters; {_EXAMPLE}")
    stressed = [syllable for syllable in syllables if syllable.isupper()]
    if len(syllables) == 1:
        stressed = syllables
    if len(stressed) != 1:
        many = "no syllable is" if not stressed else f"{', '.join(stressed)} are"
        raise TermError(f"respelling {whole!r}: in {word!r} {many} in capitals; {_EXAMPLE}")
    sounds = []
    for syllable in syllables:
        is_stressed = syllable is stressed[0]
        sounds.append(_syllable(syllable, whole, is_stressed=is_stressed))
    return "".join(sounds)


def _syllable(syllable: str, whole: str, *, is_stressed: bool) -> str:
    letters = syllable.lower()
    if odd := sorted(set(re.sub("[a-z]", "", letters))):
        shown = " ".join(f"{symbol!r}" for symbol in odd)
        raise TermError(f"respelling {whole!r}: {syllable!r} has {shown}; use the letters a to z, or write IPA")
    match = _SYLLABLE.fullmatch(letters)
    if match is None:
        raise TermError(f"respelling {whole!r}: the syllable {syllable!r} has no vowel; {_EXAMPLE}")
    begins, rest = match.groups()
    vowel, ends = _vowel(rest, is_stressed=is_stressed)
    stress = "ˈ" if is_stressed else ""
    return stress + _consonants(begins, syllable, whole) + vowel + _consonants(ends, syllable, whole)


def _vowel(rest: str, *, is_stressed: bool) -> tuple[str, str]:
    """The sound of the vowel that a text begins with, and the letters that are left."""
    silent = _SILENT_E.fullmatch(rest)
    if silent:
        return _LONG[silent[1]], silent[2]
    letters = next(group for group in _VOWEL_GROUPS if rest.startswith(group))
    left = rest[len(letters) :]
    if letters in _STRESSED:
        return _STRESSED[letters][is_stressed], left
    if letters in _CLOSED:
        return (_CLOSED[letters] if left else _OPEN[letters][is_stressed]), left
    return _VOWELS.get(letters) or _BEFORE_R[letters], left


def _consonants(letters: str, syllable: str, whole: str) -> str:
    sounds = []
    place = 0
    while place < len(letters):
        match = _CONSONANT_GROUPS.match(letters, place)
        if match is None:
            left = letters[place:]
            raise TermError(f"respelling {whole!r}: {left!r} in {syllable!r} is a second vowel; part it by a hyphen")
        sounds.append(_CONSONANTS[match[0]])
        place = match.end()
    return "".join(sounds)
