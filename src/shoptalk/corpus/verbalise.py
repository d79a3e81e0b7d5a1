"""Written text as it is spoken: doses, units, decimals, percents and ranges in words, for the TTS to read."""

import re

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
_SCALES = ((1_000_000_000, "billion"), (1_000_000, "million"), (1_000, "thousand"), (100, "hundred"))
_UNITS = {
    "mg": ("milligram", "milligrams"),
    "mcg": ("microgram", "micrograms"),
    "µg": ("microgram", "micrograms"),
    "g": ("gram", "grams"),
    "kg": ("kilogram", "kilograms"),
    "ng": ("nanogram", "nanograms"),
    "pg": ("picogram", "picograms"),
    "mL": ("milliliter", "milliliters"),
    "ml": ("milliliter", "milliliters"),
    "dL": ("deciliter", "deciliters"),
    "L": ("liter", "liters"),
    "U": ("unit", "units"),
    "IU": ("international unit", "international units"),
    "mIU": ("milli-international unit", "milli-international units"),
    "mEq": ("milliequivalent", "milliequivalents"),
    "mmol": ("millimole", "millimoles"),
    "mmHg": ("millimeter of mercury", "millimeters of mercury"),
    "cm": ("centimeter", "centimeters"),
    "mm": ("millimeter", "millimeters"),
    "bpm": ("beat per minute", "beats per minute"),
    "h": ("hour", "hours"),
    "hr": ("hour", "hours"),
    "min": ("minute", "minutes"),
    "%": ("percent", "percent"),
    "°C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
}
_NUMBER = r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?"
_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_QUANTITY = re.compile(
    rf"({_NUMBER})(?:\s?(?:-|–|to)\s?(\d+(?:\.\d+)?))?(?:\s?((?:{_UNIT})(?:/(?:{_UNIT}))*)(?![A-Za-z]))?"
)
_RATIO = re.compile(r"(?<![\w.])(\d{2,3})/(\d{2,3})(?![\w/])")


def spoken(text: str) -> str:
    """The text with its numbers and units in words; other words, case and punctuation stay.

    >>> spoken("Start metformin 2.5-5 mg; SpO2 fell by 12%.")
    'Start metformin two point five to five milligrams; SpO2 fell by twelve percent.'
    """
    return _QUANTITY.sub(_quantity, _RATIO.sub(r"\1 over \2", text))


def number(written: str) -> str:
    """``2.5`` → ``two point five``; ``1,250`` → ``one thousand two hundred fifty``."""
    whole, point, decimals = written.replace(",", "").partition(".")
    words = _cardinal(int(whole))
    if point:
        digits = " ".join(_ONES[int(digit)] for digit in decimals)
        words += f" point {digits}"
    return words


def _quantity(match: re.Match[str]) -> str:
    low, high, units = match.groups()
    if units is None and high is None and _is_year(low):
        return _year(int(low))
    words = number(low)
    if high:
        words += f" to {number(high)}"
    if units:
        first, *rest = units.split("/")
        singular, plural = _UNITS[first]
        words += f" {singular}" if (high or low) == "1" else f" {plural}"
        for unit in rest:
            words += f" per {_UNITS[unit][0]}"
    return words


def _cardinal(value: int) -> str:
    for size, name in _SCALES:
        if value >= size:
            count, rest = divmod(value, size)
            words = f"{_cardinal(count)} {name}"
            return f"{words} {_cardinal(rest)}" if rest else words
    if value < 20:
        return _ONES[value]
    tens, ones = divmod(value, 10)
    return f"{_TENS[tens]}-{_ONES[ones]}" if ones else _TENS[tens]


def _is_year(written: str) -> bool:
    return re.fullmatch(r"19\d\d|20\d\d", written) is not None


def _year(value: int) -> str:
    century, rest = divmod(value, 100)
    if 2000 <= value < 2010:
        return _cardinal(value)
    if rest == 0:
        return f"{_cardinal(century)} hundred"
    if rest < 10:
        return f"{_cardinal(century)} oh {_ONES[rest]}"
    return f"{_cardinal(century)} {_cardinal(rest)}"
