"""The way back for units: from what they are called to how they are usually written."""

import re

from shoptalk.corpus.verbalise.rules import alternatives
from shoptalk.corpus.verbalise.units import UNITS

_WRITTEN_OUT = frozenset(
    "hour minute second day week month year unit tablet capsule calorie drop knot mile gallon teaspoon "
    "tablespoon".split()
)
"""Units that stand in words, in the singular."""
_SHORT = {"second": "s", "minute": "min", "hour": "h", "unit": "units"}
"""Of these, what stands behind a slash."""


def _symbols() -> dict[str, str]:
    """By the spoken name, singular and plural, the usual way to write a unit."""
    symbols: dict[str, str] = {}
    for symbol, names in UNITS.items():
        for name in names:
            if names[0] not in _WRITTEN_OUT and "^" not in symbol:
                symbols.setdefault(name, symbol)
    return symbols


_SYMBOLS = _symbols()
UNIT_NAME = f"(?:{alternatives(_SYMBOLS)})"
PER_NAME = f"(?:{alternatives([*_SYMBOLS, *_SHORT, 'day', 'week', 'month', 'year', 'dose', 'beat', 'night'])})"
UNITS_NAME = rf"{UNIT_NAME}(?: per (?:\d+(?:\.\d+)? )?{PER_NAME})*"
"""``milligrams per 5 milliliters``."""
SYMBOL = f"(?:{alternatives([*_SYMBOLS.values(), 'units'])})"


def symbols(names: str) -> str:
    """``milligrams per kilogram per day`` → ``mg/kg/day``."""
    first = _first(names)
    rest = names[len(first) :].removeprefix(" per ")
    return f"{_SYMBOLS[first]}/{behind_slash(rest)}" if rest else _SYMBOLS[first]


def behind_slash(names: str) -> str:
    """``kilogram per day`` → ``kg/day``; ``5 milliliters`` → ``5 mL``."""
    written = []
    for name in names.split(" per "):
        count = re.match(r"(?:\d[\d.]* )?", name)[0]  # type: ignore[index]  # it always matches
        written.append(count + _symbol(name[len(count) :]))
    return "/".join(written)


def _symbol(name: str) -> str:
    return _SYMBOLS.get(name) or _SHORT.get(name) or _SHORT.get(name.removesuffix("s"), name)


def quantity(match: re.Match[str]) -> str:
    """``5 milligrams per day`` → ``5 mg/day``; ``5 milligram tablet`` → ``5-mg tablet``."""
    amount, names = match["amount"], match["units"]
    written = symbols(names)
    if written in ("%", "°"):
        return f"{amount}{written}"
    first = _first(names)
    singular, plural = UNITS[_SYMBOLS[first]]
    is_before_a_word = re.match(" [a-z]", match.string[match.end() :]) is not None
    is_adjective = first == singular != plural and amount not in ("1", "1/2") and is_before_a_word
    return f"{amount}-{written}" if is_adjective else f"{amount} {written}"


def _first(names: str) -> str:
    match = re.match(UNIT_NAME, names)
    return match.group() if match else names
