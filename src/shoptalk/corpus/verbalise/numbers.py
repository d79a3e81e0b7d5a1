"""Numbers in words, by num2words: cardinals, ordinals, decimals, years, and digits one by one; and the months."""

from decimal import Decimal
from functools import lru_cache
from typing import Any

from shoptalk.core.errors import MissingToolError

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


MOST_DIGITS = 15
"""Longer numbers are read digit by digit."""


@lru_cache(maxsize=65_536)
def _words(value: int, form: str, language: str) -> str:
    said: str = _num2words().num2words(value, lang=language, to=form)
    return said.replace(",", "").replace(" and ", " ") if language == "en" else said


def _num2words() -> Any:
    try:
        import num2words  # takes 0.07 s, so only when a number comes
    except ImportError:
        raise MissingToolError("num2words is not installed; run `pip install 'shoptalk[corpus]'`") from None
    return num2words


def is_known(language: str) -> bool:
    """Whether num2words has the language, as ``es``, ``pt_BR``."""
    return language in _num2words().CONVERTER_CLASSES


def cardinal(value: int, language: str = "en") -> str:
    """``1250`` → ``one thousand two hundred fifty``."""
    return _words(value, "cardinal", language)


def ordinal(value: int, language: str = "en") -> str:
    """``21`` → ``twenty-first``; ``0`` → ``zeroth``."""
    return _words(value, "ordinal", language)


def decimal(written: str, language: str) -> str:
    """``2.5`` → ``deux virgule cinq``."""
    said: str = _num2words().num2words(Decimal(written), lang=language)
    return said


def number(written: str) -> str:
    """``2.5`` → ``two point five``; ``.5`` → ``point five``; ``1,250`` → ``one thousand two hundred fifty``."""
    whole, point, decimals = written.replace(",", "").partition(".")
    if len(whole) > MOST_DIGITS:
        return " ".join(filter(None, (digits(whole), point and "point", digits(decimals))))
    words = [cardinal(int(whole))] if whole else []
    if point:
        words += ["point", digits(decimals)]
    return " ".join(words)


def digits(written: str, language: str = "en") -> str:
    """Each digit by itself: ``555-0134`` → ``five five five zero one three four``."""
    return " ".join(cardinal(int(digit), language) for digit in written if digit in "0123456789")


def in_pairs(value: int) -> str:
    """A number of three or four digits as in years and codes: ``1998`` → ``nineteen ninety-eight``; ``105`` → ``one oh
    five``; ``1900`` → ``nineteen hundred``."""
    hundreds, rest = divmod(value, 100)
    if hundreds == 0:
        return cardinal(value)
    if rest == 0:
        return f"{cardinal(hundreds)} hundred"
    return f"{cardinal(hundreds)} oh {cardinal(rest)}" if rest < 10 else f"{cardinal(hundreds)} {cardinal(rest)}"


def year(value: int) -> str:
    """``1998`` → ``nineteen ninety-eight``; ``2005`` → ``two thousand five``; from 1000 to 2999."""
    century, rest = divmod(value, 100)
    return cardinal(value) if century % 10 == 0 and rest < 10 else in_pairs(value)


def decade(value: int) -> str:
    """``80`` → ``eighties``; ``1980`` → ``nineteen eighties``; ``2000`` → ``two thousands``; ``120`` → ``one
    twenties``."""
    words = cardinal(value) if value % 1000 == 0 else in_pairs(value)
    return words.removesuffix("y") + "ies" if words.endswith("y") else words + "s"
