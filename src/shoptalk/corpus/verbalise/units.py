"""What units are called when they are read aloud, by the way they are written; and patterns of units and amounts."""

import re

from shoptalk.corpus.verbalise.numbers import number
from shoptalk.corpus.verbalise.rules import alternatives

_PLAIN = {
    # what it is called in the singular (in the plural an s stands behind it): how it is written, the usual form first
    "kilogram": "kg KG",
    "gram": "g gm",
    "milligram": "mg MG",
    "microgram": "mcg µg ug MCG",
    "nanogram": "ng",
    "picogram": "pg",
    "liter": "L l",
    "deciliter": "dL dl",
    "milliliter": "mL ml ML",
    "microliter": "µL µl uL",
    "femtoliter": "fL",
    "mole": "mol",
    "millimole": "mmol",
    "micromole": "µmol umol",
    "nanomole": "nmol",
    "picomole": "pmol",
    "milliequivalent": "mEq meq",
    "osmole": "Osm",
    "milliosmole": "mOsm",
    "unit": "U u",
    "international unit": "IU",
    "milli-international unit": "mIU",
    "milliunit": "mU",
    "kilometer": "km",
    "meter": "m",
    "centimeter": "cm",
    "millimeter": "mm",
    "micrometer": "µm um",
    "nanometer": "nm",
    "mile": "mi",
    "pound": "lb lbs",
    "ounce": "oz",
    "gallon": "gal",
    "teaspoon": "tsp",
    "tablespoon": "tbsp",
    "hour": "h hr hrs",
    "minute": "min mins",
    "second": "s sec secs",
    "millisecond": "ms",
    "day": "d",
    "week": "wk wks",
    "month": "mo mos",
    "year": "y yr yrs",
    "calorie": "cal",
    "kilocalorie": "kcal",
    "joule": "J",
    "kilojoule": "kJ",
    "kilopascal": "kPa",
    "millivolt": "mV",
    "kilovolt": "kV",
    "milliamp": "mA",
    "watt": "W",
    "kilowatt": "kW",
    "kilowatt hour": "kWh",
    "decibel": "dB",
    "megabyte": "MB",
    "gigabyte": "GB",
    "knot": "kt kts",
    "drop": "gtt gtts",
    "tablet": "tab tabs",
    "capsule": "cap caps",
}
_IRREGULAR = {
    # singular, plural: how it is written
    ("cc", "cc"): ("cc",),
    ("percent", "percent"): ("%",),
    ("millimeter of mercury", "millimeters of mercury"): ("mmHg", "mm Hg"),
    ("centimeter of water", "centimeters of water"): ("cmH2O", "cm H2O"),
    ("beat per minute", "beats per minute"): ("bpm",),
    ("breath per minute", "breaths per minute"): ("breaths/min",),
    ("mile per hour", "miles per hour"): ("mph",),
    ("part per million", "parts per million"): ("ppm",),
    ("foot", "feet"): ("ft",),
    ("degree Celsius", "degrees Celsius"): ("°C", "° C"),
    ("degree Fahrenheit", "degrees Fahrenheit"): ("°F", "° F"),
    ("degree", "degrees"): ("°",),
    ("hertz", "hertz"): ("Hz",),
    ("kilohertz", "kilohertz"): ("kHz",),
    ("megahertz", "megahertz"): ("MHz",),
    ("gigahertz", "gigahertz"): ("GHz",),
    ("gray", "gray"): ("Gy",),
    ("centigray", "centigray"): ("cGy",),
    ("high-power field", "high-power fields"): ("hpf", "HPF"),
    ("French", "French"): ("Fr",),
}
_POWERS = {"2": "square", "3": "cubic"}
_RAISED = ("m", "cm", "mm", "µm", "um", "km", "ft")
"""Lengths, which may have a 2 or 3 behind them: ``m2``, ``mm^3``."""


def _table() -> dict[str, tuple[str, str]]:
    names = {form: (name, f"{name}s") for name, forms in _PLAIN.items() for form in forms.split()}
    names |= {form: name for name, forms in _IRREGULAR.items() for form in forms}
    for written in _RAISED:
        for power, word in _POWERS.items():
            singular, plural = names[written]
            for form in (f"{written}{power}", f"{written}^{power}"):
                names[form] = (f"{word} {singular}", f"{word} {plural}")
    return names


UNITS = _table()
"""Singular and plural of each unit, by how it is written; m² is written m2."""

NUMBER = r"(?<![\w.])(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<![\w.])\.\d+"
UNIT = alternatives(UNITS)
PER = rf"(?:{UNIT}|minute|hour|day|week|month|year|dose|beat|night|shift|visit|dL)"
"""What may stand behind the slash of a unit."""
UNITS_WITH_SLASHES = rf"(?:{UNIT})(?:\s?/\s?(?:\d+(?:\.\d+)?\s?)?{PER})*(?![A-Za-z\d]|\.[A-Z])"
PORTIONS = (
    "tablet|tab|pill|capsule|cup|glass|teaspoon|tablespoon|patch|ampule|vial|bottle|pack|dose|strip|hour|minute|day|"
    "week|month|year|mile|inch|pint|pound|liter|litre|milligram|gram"
)
"""Of what there is half a one."""


def name(written: str, *, is_one: bool) -> str:
    """``mg/kg/24 h`` → ``milligrams per kilogram per twenty-four hours``."""
    first, *rest = re.split(r"\s?/\s?", written) if written not in UNITS else [written]
    singular, plural = UNITS[first]
    return (singular if is_one else plural) + per_each(rest)


def per_each(written: list[str]) -> str:
    return "".join(f" per {per(unit)}" for unit in written)


def per(written: str) -> str:
    """``24 h`` → ``twenty-four hours``; ``kg`` → ``kilogram``; a word stays."""
    unit = written.lstrip("0123456789.")
    count = written.removesuffix(unit)
    singular, plural = UNITS.get(unit.strip(), (unit.strip(), f"{unit.strip()}s"))
    return f"{number(count)} {plural}" if count else singular
