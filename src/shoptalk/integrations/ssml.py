"""Sentences with pronunciations in IPA, as the speech services and Piper take them: SSML, or marks of another kind."""

import re
from collections.abc import Callable, Mapping
from xml.sax.saxutils import escape, quoteattr

_PLAIN = str.maketrans({"ɐ": "ə", "ᵻ": "ɪ", "ɾ": "t", "ʔ": "t", "ɫ": "l", "ɬ": "l", "r": "ɹ", "x": "k", "ʍ": "w"})
"""Symbols of our pronunciations that the services' tables lack, with the nearest that they have."""


def marked(
    spoken: str,
    pronunciations: Mapping[str, str],
    *,
    word: Callable[[str, str], str],
    rest: Callable[[str], str],
) -> str:
    """The sentence with `word(text, ipa)` for each word or phrase that has a pronunciation, `rest(text)` for all else.

    The longest phrase counts, in any case; letters directly before or behind it make it another word.
    """
    if not pronunciations:
        return rest(spoken)
    by_text = {text.casefold(): ipa for text, ipa in pronunciations.items()}
    phrases = "|".join(re.escape(text) for text in sorted(by_text, key=len, reverse=True))
    pieces = re.split(rf"((?<![\w'])(?:{phrases})(?!\w))", spoken, flags=re.IGNORECASE)
    made = []
    for place, piece in enumerate(pieces):
        made.append(word(piece, by_text[piece.casefold()]) if place % 2 else rest(piece))
    return "".join(made)


def ssml(spoken: str, pronunciations: Mapping[str, str], *, speed: float = 1.0) -> str:
    """The sentence as SSML: ``<phoneme>`` where a pronunciation is given, ``<prosody rate>`` for another speed than 1.

    Symbols that the services lack are written as the nearest they have.
    """

    def word(text: str, ipa: str) -> str:
        plain = ipa.strip().strip("/[]").translate(_PLAIN)
        return f'<phoneme alphabet="ipa" ph={quoteattr(plain)}>{escape(text)}</phoneme>'

    content = marked(spoken, pronunciations, word=word, rest=escape)
    if speed != 1.0:
        content = f'<prosody rate="{speed:.0%}">{content}</prosody>'
    return f"<speak>{content}</speak>"


def language_code(accent: str) -> str:
    """``en-us`` → ``en-US``, as AWS and NVIDIA write it."""
    language, _, country = accent.partition("-")
    return f"{language.lower()}-{country.upper()}" if country else language.lower()
