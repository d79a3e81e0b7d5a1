"""What units are called when they are read aloud, by the way they are written."""

_PLAIN = {
    # written: what it is called in the singular; in the plural an s stands behind it
    "kg": "kilogram",
    "g": "gram",
    "gm": "gram",
    "mg": "milligram",
    "mcg": "microgram",
    "µg": "microgram",
    "ug": "microgram",
    "ng": "nanogram",
    "pg": "picogram",
    "L": "liter",
    "l": "liter",
    "dL": "deciliter",
    "dl": "deciliter",
    "mL": "milliliter",
    "ml": "milliliter",
    "µL": "microliter",
    "µl": "microliter",
    "uL": "microliter",
    "fL": "femtoliter",
    "mol": "mole",
    "mmol": "millimole",
    "µmol": "micromole",
    "umol": "micromole",
    "nmol": "nanomole",
    "pmol": "picomole",
    "mEq": "milliequivalent",
    "mOsm": "milliosmole",
    "U": "unit",
    "u": "unit",
    "IU": "international unit",
    "mIU": "milli-international unit",
    "mU": "milliunit",
    "km": "kilometer",
    "m": "meter",
    "cm": "centimeter",
    "mm": "millimeter",
    "µm": "micrometer",
    "um": "micrometer",
    "nm": "nanometer",
    "lb": "pound",
    "lbs": "pound",
    "oz": "ounce",
    "h": "hour",
    "hr": "hour",
    "hrs": "hour",
    "min": "minute",
    "mins": "minute",
    "s": "second",
    "sec": "second",
    "secs": "second",
    "ms": "millisecond",
    "d": "day",
    "wk": "week",
    "wks": "week",
    "mo": "month",
    "mos": "month",
    "y": "year",
    "yr": "year",
    "yrs": "year",
    "cal": "calorie",
    "kcal": "kilocalorie",
    "J": "joule",
    "kJ": "kilojoule",
    "kPa": "kilopascal",
    "mV": "millivolt",
    "kV": "kilovolt",
    "mA": "milliamp",
    "dB": "decibel",
    "cc": "cc",
    "tab": "tablet",
    "tabs": "tablet",
    "cap": "capsule",
    "caps": "capsule",
    "MG": "milligram",
    "MCG": "microgram",
    "KG": "kilogram",
    "ML": "milliliter",
}
_IRREGULAR = {
    "%": ("percent", "percent"),
    "mmHg": ("millimeter of mercury", "millimeters of mercury"),
    "mm Hg": ("millimeter of mercury", "millimeters of mercury"),
    "cmH2O": ("centimeter of water", "centimeters of water"),
    "cm H2O": ("centimeter of water", "centimeters of water"),
    "bpm": ("beat per minute", "beats per minute"),
    "ft": ("foot", "feet"),
    "°C": ("degree Celsius", "degrees Celsius"),
    "° C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "° F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "°": ("degree", "degrees"),
    "Hz": ("hertz", "hertz"),
    "kHz": ("kilohertz", "kilohertz"),
    "MHz": ("megahertz", "megahertz"),
    "Gy": ("gray", "gray"),
    "cGy": ("centigray", "centigray"),
    "hpf": ("high-power field", "high-power fields"),
    "HPF": ("high-power field", "high-power fields"),
}
_POWERS = {"2": "square", "3": "cubic"}
_RAISED = ("m", "cm", "mm", "µm", "um", "km")
"""Lengths, which may have a 2 or 3 behind them: ``m2``, ``mm^3``."""


def _table() -> dict[str, tuple[str, str]]:
    names = {written: (name, f"{name}s") for written, name in _PLAIN.items()} | _IRREGULAR
    names["cc"] = ("cc", "cc")
    for written in _RAISED:
        for power, word in _POWERS.items():
            singular, plural = names[written]
            for form in (f"{written}{power}", f"{written}^{power}"):
                names[form] = (f"{word} {singular}", f"{word} {plural}")
    return names


UNITS = _table()
"""Singular and plural of each unit, by how it is written; m² is written m2."""
