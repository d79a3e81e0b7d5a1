"""Characters that a model cannot write, as those that mean the same: ’ as ', é as e, ½ as "half"."""

import re
import unicodedata

DASHES = "‐‑‒–—―−"
"""Hyphens, dashes and the minus sign, beside the plain ``-``."""
_SAME = str.maketrans(
    dict.fromkeys("‘’‚‛ʼʹ′´`", "'")
    | dict.fromkeys("“”„‟«»″", '"')
    | dict.fromkeys(DASHES, "-")
    | {"…": "...", "⁄": "/", "∕": "/", "×": "x", "·": " ", "•": " "}
    | {"µ": "micro", "μ": "micro", "°": " degrees ", "%": " percent ", "&": " and ", "±": " plus or minus "}
    | {
        "ß": "ss",
        "æ": "ae",
        "Æ": "AE",
        "œ": "oe",
        "Œ": "OE",
        "ø": "o",
        "Ø": "O",
        "ł": "l",
        "Ł": "L",
        "đ": "d",
        "Đ": "D",
    }
)
_FRACTIONS = {
    "½": ("half", "a half"),
    "⅓": ("third", "a third"),
    "⅔": ("two thirds", "two thirds"),
    "¼": ("quarter", "a quarter"),
    "¾": ("three quarters", "three quarters"),
}
"""Alone, and after a number and "and"."""
_FRACTION = re.compile(rf"(\d\s*)?([{''.join(_FRACTIONS)}])")


def fold(text: str) -> str:
    """The text with each character that has an equivalent in plain letters and signs written as that."""
    plain = _FRACTION.sub(_fraction, text).translate(_SAME)
    apart = unicodedata.normalize("NFKD", plain)
    without_marks = "".join(character for character in apart if unicodedata.category(character) not in ("Mn", "Cf"))
    return " ".join(without_marks.translate(_SAME).split())


def _fraction(match: re.Match[str]) -> str:
    alone, after_number = _FRACTIONS[match[2]]
    return f"{match[1]} and {after_number} " if match[1] else f" {alone} "
