"""Amounts: powers, fractions, ratios, money, and numbers with their units, from one to another."""

import re

from shoptalk.corpus.verbalise.numbers import cardinal, digits, in_pairs, number, ordinal
from shoptalk.corpus.verbalise.rules import rule
from shoptalk.corpus.verbalise.units import (
    NUMBER,
    PER,
    PORTIONS,
    UNIT,
    UNITS,
    UNITS_WITH_SLASHES,
    name,
    per,
    per_each,
)

_QUANTITY = (
    rf"(?P<low>{NUMBER})(?:\s?(?P<low_unit>{UNITS_WITH_SLASHES}))?"
    rf"(?:\s?(?:-|to\b)\s?(?P<high>\d+(?:,\d{{3}})*(?:\.\d+)?|\.\d+)(?![-\d]))?"
    rf"(?:(?P<hyphen>-)?\s?(?P<units>{UNITS_WITH_SLASHES}))?"
)
_PARTS = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 8: "eighth"}
_OUT_OF = (5, 6, 10)
"""Denominators of scales: strength 4/5, murmur 3/6, pain 7/10."""
_CURRENCIES = {"$": "dollar", "€": "euro", "£": "pound"}
_LARGE = {"K": "thousand", "k": "thousand", "M": "million", "B": "billion"}


def _quantity(match: re.Match[str]) -> str:
    low, high, low_unit, units = match["low"], match["high"], match["low_unit"], match["units"]
    if not high:
        units = units or low_unit
    words = _amount(low)
    if high and low_unit:
        words += f" {name(low_unit, is_one=low == '1')}"
    if high:
        words += f" to {_amount(high)}"
    if units:
        is_one = (high or low) == "1" or match["hyphen"] is not None  # a five-milligram tablet
        return f"{words} {name(units, is_one=is_one)}"
    is_glued = match.string[match.end() : match.end() + 1].isalpha()
    return f"{words} " if is_glued else words


def _amount(written: str) -> str:
    """A number in words; a code, with a zero in front or very long, digit by digit."""
    has_zero_in_front = len(written) > 1 and written.startswith("0")
    is_long = len(written) >= 7 and not written.endswith("000")
    is_code = written.isdigit() and (has_zero_in_front or is_long)
    return digits(written) if is_code else number(written)


def _units_alone(match: re.Match[str]) -> str:
    return name(match.group(), is_one=False)


def _word_per(match: re.Match[str]) -> str:
    """``units/kg/day`` → ``units per kilogram per day``."""
    word, *rest = re.split(r"\s?/\s?", match.group())
    return word + per_each(rest)


def _fraction(match: re.Match[str]) -> str:
    whole, above, below = match["whole"], int(match["above"]), int(match["below"])
    is_part = below in _PARTS and above < below and not (below == 5 and not match["portion"])
    if is_part and whole:
        part = f"a {_PARTS[below]}" if above == 1 else f"{cardinal(above)} {_PARTS[below]}s"
        words = f"{number(whole)} and {part}"
    elif is_part:
        return _part(above, below, match["portion"])
    else:
        between = "out of" if below in _OUT_OF and above <= below else "over"
        words = f"{number(whole)} " if whole else ""
        words += f"{cardinal(above)} {between} {cardinal(below)}"
    if not match["portion"]:
        return words
    return f"{words} {UNITS.get(match['portion'], ('', match['portion']))[1]}"


def _part(above: int, below: int, portion: str | None) -> str:
    """``1/2 tablet`` → ``half a tablet``; ``3/4`` → ``three quarters``."""
    part = "half" if below == 2 else f"{cardinal(above)} {_PARTS[below]}"
    if above > 1:
        part += "s"
    if not portion:
        return part
    singular = UNITS.get(portion, (portion, ""))[0]
    article = "an" if singular.startswith(("hour", "inch", "ampule", "ounce")) else "a"
    of = "" if below == 2 else "of "
    return f"{part} {of}{article} {singular}"


def _strengths(match: re.Match[str]) -> str:
    """``5/325`` → ``five three twenty-five``; ``500-1000 mg`` is a range, ``875-125 mg`` is none."""
    first, second = int(match["first"]), int(match["second"])
    if match["sign"] == "-" and first < second:
        return match.group()
    return f"{in_pairs(first)} {in_pairs(second)}" + (" milligrams" if match["unit"] else "")


def _ratio(match: re.Match[str]) -> str:
    """A blood pressure, or how sharp someone sees: 20/40 has no "over"."""
    above, below = match["above"], match["below"]
    between = " " if above == "20" else " over "
    units = f" {name(match['units'], is_one=False)}" if match["units"] else ""
    return f"{in_pairs(int(above))}{between}{in_pairs(int(below))}{units}"


def _power_of_ten(match: re.Match[str]) -> str:
    exponent = int(match["exponent"])
    power = f"the {ordinal(exponent)}" if exponent >= 0 else f"minus {cardinal(-exponent)}"
    times = " times " if match["times"] else ""
    of = f" per {per(match['per'])}" if match["per"] else ""
    return f"{times}ten to {power}{of}"


def _money(match: re.Match[str]) -> str:
    """``$12.50`` → ``twelve dollars fifty``; ``$1.5M`` → ``one point five million dollars``."""
    currency = _CURRENCIES[match["sign"]]
    low, high, large = match["low"], match["high"], match["large"]
    whole, _, cents = low.partition(".")
    if large:
        large_name = _LARGE.get(large, large)
        amounts = f"{number(low)} to {number(high)}" if high else number(low)
        return f"{amounts} {large_name} {currency}s"
    if high:
        return f"{_price(low)} to {_price(high)} {currency}s"
    if len(cents) == 2 and int(cents) and not int(whole.replace(",", "") or 0):
        small = "penny pence" if currency == "pound" else "cent cents"
        return f"{cardinal(int(cents))} {small.split()[int(cents) != 1]}"
    words = f"{number(whole)} {currency}{'' if whole == '1' else 's'}"
    if len(cents) == 2:
        return f"{words} {cardinal(int(cents))}" if int(cents) else words
    return f"{number(low)} {currency}s" if cents else words


def _price(written: str) -> str:
    whole, _, cents = written.partition(".")
    return f"{number(whole)} {cardinal(int(cents))}" if len(cents) == 2 and int(cents) else number(whole)


POWERS = (
    rule(
        "exponents of a computer",
        r"(?<=\d)[eE](?=[+-]?\d{1,2}\b)\+?",
        " x 10^",
        "1.5e6",
        "one point five times ten to the sixth",
    ),
    rule(
        "powers of ten",
        rf"(?P<times>\s?[x×*]\s?)?(?<![\d.])10\^(?P<exponent>-?\d{{1,2}})(?:\s?/\s?(?P<per>{PER})(?![A-Za-z]))?",
        _power_of_ten,
        "12.3 x10^9/L",
        "twelve point three times ten to the ninth per liter",
    ),
)
FRACTIONS = (
    rule(
        "strengths of two drugs",
        r"(?<![\w./-])(?P<first>\d{1,4})(?P<sign>[/-])(?P<second>\d{2,4})(?P<unit>\s?mg)\b",
        _strengths,
        "875/125 mg, 5/325 mg",
        "eight seventy-five one twenty-five milligrams, five three twenty-five milligrams",
    ),
    rule(
        "strengths without units",
        r"(?<![\w./-])(?!20/)(?P<first>\d{1,2}|[3-9]\d\d)(?P<sign>/)(?P<second>\d{3})(?P<unit>)(?![\w/])",
        _strengths,
        "Percocet 5/325, Bactrim 800/160",
        "Percocet five three twenty-five, Bactrim eight hundred one sixty",
    ),
    rule(
        "mixed insulins",
        r"\b((?:[Ii]nsulin|Novolin|Humulin|Humalog|[Mm]ix) )([57]\d)/([235]\d)\b",
        r"\1\2 \3",
        "insulin 70/30",
        "insulin seventy thirty",
    ),
    rule("always", r"\b24/7\b", "twenty-four seven", "24/7", "twenty-four seven"),
    rule(
        "blood pressure and vision",
        r"(?<![\w./])(?P<above>\d{2,3})/(?P<below>\d{2,3})(?: ?(?P<units>mm ?Hg))?(?![\w/])",
        _ratio,
        "120/80, vision 20/40",
        "one twenty over eighty, vision twenty forty",
    ),
    rule(
        "fractions and scales",
        rf"(?<![\w./])(?:(?P<whole>\d{{1,3}})[ -])?(?P<above>\d{{1,2}})/(?P<below>\d{{1,2}})(?![\d/])"
        rf"(?:\s?(?P<portion>{PORTIONS}|{UNIT})(?![A-Za-z]))?",
        _fraction,
        "1 1/2 tablets, 7/10",
        "one and a half tablets, seven out of ten",
    ),
)
QUANTITIES = (
    rule(
        "money",
        r"(?P<sign>[$€£])\s?(?P<low>\d+(?:,\d{3})*(?:\.\d+)?)(?:\s?-\s?[$€£]?(?P<high>\d+(?:,\d{3})*(?:\.\d+)?))?"
        r"(?:\s?(?P<large>thousand|million|billion|[kKMB](?![A-Za-z])))?",
        _money,
        "$12.50, $1.5M",
        "twelve dollars fifty, one point five million dollars",
    ),
    rule("cents", r"(?<=\d)\s?¢", " cents", "50¢", "fifty cents"),
    rule("thousands", r"(?<=\d)K\b", " thousand", "150K", "one hundred fifty thousand"),
    rule("ordinals", r"\b(\d{1,12})(?i:st|nd|rd|th)\b", lambda match: ordinal(int(match[1])), "the 1st", "the first"),
    rule(
        "numbers and units",
        _QUANTITY,
        _quantity,
        "5-10 mg, 0.4 mcg/kg/min",
        "five to ten milligrams, zero point four micrograms per kilogram per minute",
    ),
    rule(
        "units alone",
        rf"(?<![\w/])(?:{UNIT})(?:/{PER})+(?![\w/])",
        _units_alone,
        "in mg/kg",
        "in milligrams per kilogram",
    ),
    rule(
        "a word per unit", rf"\b[A-Za-z]{{3,}}(?:\s?/\s?{PER})+(?![\w/])", _word_per, "2 puffs/day", "two puffs per day"
    ),
)
"""What is left of numbers."""
