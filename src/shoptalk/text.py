"""The one meaning of "a word": what is counted as equal when a transcript is compared with a reference.

The rules are the Whisper English normaliser (package whisper-normalizer, MIT), the protocol of the Open ASR
Leaderboard, between two thin layers of our own for dictation. What to expect of it:

- Case, punctuation, hyphens, accents, "um" and British spellings do not count; ``beta-blocker`` is two words.
- Words between brackets are dropped on both sides. ``'s`` becomes ``is`` (``Crohn's`` → ``crohn is``).
- Numbers are digits: ``five hundred`` = ``500``, ``one`` = ``1``, ``two and a half`` = ``2.5``, ``first`` = ``1st``.
- A number stands apart from letters: ``HbA1c`` → ``hba 1 c``; ``A1c``, ``A 1 C`` and ``a one c`` → ``a 1 c``.
- A lone letter ``o`` is a zero (``C.O.P.D.`` → ``c 0 p d``), as in "one oh two"; `shoptalk.terms` allows for it.

Our layers: units are one word in the singular (``mg`` = ``milligrams`` → ``milligram``), ``%`` = ``percent``,
``mg/dL`` = ``milligrams per deciliter``, ``120/80`` = ``120 over 80``, ``2-3`` = ``2 to 3``, ``-5`` = ``minus 5``.
They keep the words of ordinary text as the leaderboard counts them.

`words` is idempotent: the words of joined words are those words.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Protocol

_PASSES = 8
"""At most this often is a text normalised until it stays as it is; two passes nearly always do."""

_UNITS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # one word: (forms that always mean it, forms that mean it only after a number or "per")
    "milligram": (("mg", "mgs", "milligrams", "milligramme", "milligrammes"), ()),
    "microgram": (("mcg", "mcgs", "μg", "ug", "micrograms", "microgramme", "microgrammes"), ()),
    "gram": (("grams", "gramme", "grammes", "gm", "gms"), ("g",)),
    "kilogram": (("kg", "kgs", "kilograms", "kilo", "kilos"), ()),
    "milliliter": (("ml", "mls", "milliliters", "millilitre", "millilitres"), ()),
    "deciliter": (("dl", "deciliters", "decilitre", "decilitres"), ()),
    "liter": (("liters", "litre", "litres"), ("l",)),
    "millimeter": (("millimeters", "millimetre", "millimetres"), ()),
    "centimeter": (("cm", "cms", "centimeters", "centimetre", "centimetres"), ()),
    "millimole": (("mmol", "mmols", "millimoles", "millimol"), ()),
    "milliequivalent": (("meq", "meqs", "milliequivalents"), ()),
    "unit": ((), ("units", "u")),
    "hour": (("hr", "hrs"), ("hours",)),
    "minute": ((), ("min", "mins", "minutes")),
}
_ALWAYS = {form: unit for unit, (always, _) in _UNITS.items() for form in always}
_AFTER_NUMBER = {form: unit for unit, (_, after) in _UNITS.items() for form in after}

_SLASH_UNITS = "|".join(sorted([*_UNITS, *_ALWAYS, *_AFTER_NUMBER, "h", "day", "dose", "mm", "unit"], key=len)[::-1])

_BEFORE: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(\d{30})(?=\d)", r"\1 "),  # a hallucinated run of digits is not one number
        (r"[−–—]", "-"),
        (r"\s*%", " percent "),  # the normaliser would drop the sign in "6.5 %"
        (r"°\s*c\b", " degrees celsius"),
        (r"°\s*f\b", " degrees fahrenheit"),
        (r"°", " degrees "),
        (r"\bmm\s*hg\b|\bmilli(?:meters|metres|meter|metre) of mercury\b", "mmhg"),
        (r"(?<=\d)(\s*|-)mm\b", " millimeter"),  # the normaliser takes "mm" for a hum
        (r"\bbpm\b", "beats per minute"),
        (rf"(?<![a-z])({_SLASH_UNITS})\s?/\s?(?=(?:{_SLASH_UNITS})\b)", r"\1 per "),
        (r"\bper h\b", "per hour"),
        (r"(?<![\d/.])(\d{2,3})/(\d{2,3})(?![\d/])", r"\1 over \2"),  # blood pressure
        (r"(?<![\w.-])(\d+(?:\.\d+)?)\s?-\s?(\d+(?:\.\d+)?)(?![\d-])", r"\1 to \2"),  # a range
        (r"(?<!\S)-(?=\.?\d)", "minus "),
        (r"(?<!\S)\+(?=\.?\d)", "plus "),
    )
)
_AFTER: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\bone(s?)\b", r"1\1"),  # the normaliser writes "one" for 1, and so "one.5"
        (r"(?<!\S)-(?=[\d.])", "minus "),
        (r"(?<!\S)\+(?=[\d.])", "plus "),
        (r"(?<![\d.])\.(?=\d)", "0."),
    )
)


class _Normaliser(Protocol):
    def __call__(self, s: str, /) -> str: ...


_NUMBER = re.compile(r"\d+(\.\d+)?")


def words(text: str) -> list[str]:
    """The words of a text as they are compared and counted; empty for a text without any."""
    return list(_words(text))


def characters(text: str) -> str:
    """The text as it is compared by character: its words, one space between."""
    return " ".join(_words(text))


@lru_cache(maxsize=65_536)
def _words(text: str) -> tuple[str, ...]:
    for _ in range(_PASSES):
        normalised = _pass(text)
        if normalised == text:
            break
        text = normalised
    return tuple(text.split())


def _pass(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).lower()
    for pattern, replacement in _BEFORE:
        text = pattern.sub(replacement, text)
    text = _whisper()(text)
    for pattern, replacement in _AFTER:
        text = pattern.sub(replacement, text)
    return _with_units(text.split())


def _with_units(tokens: list[str]) -> str:
    named: list[str] = []
    for place, token in enumerate(tokens):
        after_number = bool(named) and (named[-1] == "per" or _NUMBER.fullmatch(named[-1]) is not None)
        # "L4-L5" is not four liters
        before_number = token == "l" and _NUMBER.fullmatch("".join(tokens[place + 1 : place + 2])) is not None
        if token in _ALWAYS:
            token = _ALWAYS[token]
        elif after_number and not before_number:
            token = _AFTER_NUMBER.get(token, token)
        named.append(token)
    return " ".join(named)


@lru_cache(maxsize=1)
def _whisper() -> _Normaliser:
    from whisper_normalizer.english import EnglishTextNormalizer  # takes 0.1 s, so only when a text comes

    normaliser: _Normaliser = EnglishTextNormalizer()
    return normaliser
