"""The rules of Spanish: numbers, doses, dates, times and ordinals; no abbreviations but those of doses.

A decimal comma and a decimal point are both said "coma". ``1.000`` and ``1 000`` are a thousand, as in Spain.
"""

import re

from shoptalk.core.equivalents import DASHES
from shoptalk.corpus.verbalise.numbers import MOST_DIGITS, cardinal, digits, ordinal
from shoptalk.corpus.verbalise.rules import alternatives, rule

_MONTHS = (
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
)
_UNITS = {
    # written: singular, plural
    "kg": ("kilogramo", "kilogramos"),
    "g": ("gramo", "gramos"),
    "mg": ("miligramo", "miligramos"),
    "mcg": ("microgramo", "microgramos"),
    "µg": ("microgramo", "microgramos"),
    "ug": ("microgramo", "microgramos"),
    "ng": ("nanogramo", "nanogramos"),
    "L": ("litro", "litros"),
    "l": ("litro", "litros"),
    "dL": ("decilitro", "decilitros"),
    "dl": ("decilitro", "decilitros"),
    "mL": ("mililitro", "mililitros"),
    "ml": ("mililitro", "mililitros"),
    "cc": ("centímetro cúbico", "centímetros cúbicos"),
    "mmol": ("milimol", "milimoles"),
    "mEq": ("miliequivalente", "miliequivalentes"),
    "UI": ("unidad internacional", "unidades internacionales"),
    "U": ("unidad", "unidades"),
    "m2": ("metro cuadrado", "metros cuadrados"),
    "km": ("kilómetro", "kilómetros"),
    "m": ("metro", "metros"),
    "cm": ("centímetro", "centímetros"),
    "mm": ("milímetro", "milímetros"),
    "mmHg": ("milímetro de mercurio", "milímetros de mercurio"),
    "%": ("por ciento", "por ciento"),
    "°C": ("grado Celsius", "grados Celsius"),
    "h": ("hora", "horas"),
    "hs": ("hora", "horas"),
    "hrs": ("hora", "horas"),
    "min": ("minuto", "minutos"),
    "s": ("segundo", "segundos"),
    "d": ("día", "días"),
    "día": ("día", "días"),
    "dia": ("día", "días"),
    "dosis": ("dosis", "dosis"),
    "lpm": ("latido por minuto", "latidos por minuto"),
    "rpm": ("respiración por minuto", "respiraciones por minuto"),
    "comp": ("comprimido", "comprimidos"),
}
_UNIT = alternatives(_UNITS)
_FEMININE = (
    "hora|unidad|respiraci|semana|tableta|pastilla|píldora|cápsula|gota|ampolla|dosis|vez|veces|cucharada|cucharadita|"
    "inhalaci|taza|persona|libra|onza|milla|noche|mañana|tarde|sesi|inyecci|copa|pieza"
)
"""How nouns begin before which "uno" is "una" and "doscientos" is "doscientas"."""
_AMOUNT = r"(?:\d{1,3}(?:[. ]\d{3})+(?![\d.,])|\d+)(?:[.,]\d+)?"
_UNITS_WITH_SLASHES = rf"(?:{_UNIT})(?:\s?/\s?(?:\d+ ?)?(?:{_UNIT}))*(?!\w)"
_NOT_COUNTED = "de|del|a|al|y|o|u|por|con|en|cada|que|sobre|horas y"
"""Words behind a number that are no noun."""
_WORDS = {
    "v.o.": "vía oral",
    "i.v.": "intravenoso",
    "i.m.": "intramuscular",
    "Dr.": "Doctor",
    "Dra.": "Doctora",
    "Sr.": "Señor",
    "Sra.": "Señora",
}


def _cardinal(value: int) -> str:
    """``21000`` → ``veintiún mil``, which num2words writes "veintiuno mil"."""
    said = cardinal(value, "es")
    return re.sub(r"(y |ciento |^)?(veinti)?uno(?= mil)", _shortened, said)


def _shortened(match: re.Match[str]) -> str:
    return (match[1] or "") + ("veintiún" if match[2] else "un")


def _number(written: str, noun: str = "") -> str:
    """``2,5`` → ``dos coma cinco``; ``1.000`` → ``mil``; ``21`` before ``horas`` → ``veintiuna``."""
    whole, _, decimals = re.sub(r"(?<=\d)[. ](?=\d{3}(?:\D|$))", "", written).replace(".", ",").partition(",")
    if (len(whole) > 1 and whole.startswith("0")) or len(whole) > MOST_DIGITS:
        return digits(whole + decimals, "es")
    said = _cardinal(int(whole))
    if decimals:
        # "coma veinticinco", but "coma cero cinco" and "coma uno dos cinco"
        is_in_one = not decimals.startswith("0") and len(decimals) < 3
        return f"{said} coma {_cardinal(int(decimals)) if is_in_one else digits(decimals, 'es')}"
    return _agreeing(said, noun) if noun else said


def _agreeing(said: str, noun: str) -> str:
    """ "uno" as it is before a noun: ``un miligramo``, ``una hora``, ``veintiún días``, ``doscientas unidades``."""
    if said.endswith(("millón", "millones")):
        return f"{said} de"
    if re.match(_FEMININE, noun):
        return re.sub(r"cientos\b", "cientas", re.sub("uno$", "una", said))
    return re.sub("veintiuno$", "veintiún", said) if said.endswith("veintiuno") else re.sub("uno$", "un", said)


def _quantity(match: re.Match[str]) -> str:
    low, high, units, noun = match["low"], match["high"], match["units"], match["noun"] or ""
    name = _name(units, is_one=(high or low) == "1") if units else ""
    words = _number(low, name or noun)
    if high:
        words += f" a {_number(high, name or noun)}"
    return f"{words} {name}" if units else words


def _name(units: str, *, is_one: bool) -> str:
    """``mg/kg/día`` → ``miligramos por kilogramo por día``; ``mg/5 mL`` → ``miligramos por 5 mililitros``."""
    first, *rest = re.split(r"\s?/\s?", units)
    singular, plural = _UNITS[first]
    return (singular if is_one else plural) + "".join(map(_per, rest))


def _per(unit: str) -> str:
    name = unit.lstrip("0123456789 ")
    count = unit.removesuffix(name).strip()
    return f" por {_cardinal(int(count))} {_UNITS[name][1]}" if count else f" por {_UNITS[name][0]}"


def _half(match: re.Match[str]) -> str:
    return "media" if re.match(_FEMININE, match[1]) else "medio"


def _units_alone(match: re.Match[str]) -> str:
    return _name(match.group(), is_one=False)


def _date(match: re.Match[str]) -> str:
    day, month, year = int(match["day"]), int(match["month"]), match["year"]
    if not (1 <= day <= 31 and 1 <= month <= 12):
        return match.group()
    century = "" if len(year) == 4 else "20" if int(year) <= 30 else "19"
    return f"{_day(day)} de {_MONTHS[month - 1]} de {_cardinal(int(century + year))}"


def _day(value: int) -> str:
    return "primero" if value == 1 else _cardinal(value)


def _first_of_month(match: re.Match[str]) -> str:
    return f"primero de {match[1]}"


def _time(match: re.Match[str]) -> str:
    hour, minute = int(match[1]), int(match[2])
    words = "una" if hour == 1 else re.sub("uno$", "una", _cardinal(hour))
    if minute:
        return f"{words} y {_cardinal(minute)}"
    return f"{words} {'hora' if hour == 1 else 'horas'}"


def _ordinal(match: re.Match[str]) -> str:
    words, ending = ordinal(int(match[1]), "es"), match[2].lower()
    if ending in ("ª", "a"):
        return " ".join(word.removesuffix("o") + "a" for word in words.split())
    return words.removesuffix("o") if ending in ("er", "ᵉʳ") else words


def _behind_letters(match: re.Match[str]) -> str:
    return f" {_number(match[1])} "


def _word(match: re.Match[str]) -> str:
    return _WORDS[match.group()]


RULES = (
    rule("dashes", f"[{DASHES}]", "-", "5–10 mg", "cinco a diez miligramos"),
    rule("the Greek mu", "\u03bc", "\u00b5", "5 \u03bcg", "cinco microgramos"),
    rule("squares", "(?<=m)²", "2", "75 mg/m²", "setenta y cinco miligramos por metro cuadrado"),
    rule("spaces of other widths", "[\u00a0\u2009\u202f]", " ", "5\u00a0mg", "cinco miligramos"),
    rule("abbreviations", rf"(?<!\w)(?:{alternatives(_WORDS)})", _word, "la Dra. Ruiz", "la Doctora Ruiz"),
    rule("so often", r"\bc/\s?(?=\d)", "cada ", "500 mg c/8 h", "quinientos miligramos cada ocho horas"),
    rule(
        "half of it",
        r"(?<![\w/])(?:1/2|½)(?= (\w+))",
        _half,
        "1/2 comprimido, ½ tableta",
        "medio comprimido, media tableta",
    ),
    rule("for so long", r"(?<!\w)[x×] ?(?=\d+ (?:d[ií]as?|semanas?|meses)\b)", "por ", "x 7 días", "por siete días"),
    rule("measures", r"(?<=\d)\s?[x×]\s?(?=\d)", " por ", "3 x 2 cm", "tres por dos centímetros"),
    rule(
        "year first",
        r"(?<![\d-])(?P<year>(?:19|20)\d\d)-(?P<month>\d\d)-(?P<day>\d\d)(?![\d-])",
        _date,
        "2024-01-15",
        "quince de enero de dos mil veinticuatro",
    ),
    rule(
        "day first",
        r"(?<![\d/.])(?P<day>\d{1,2})(?P<sign>[/.])(?P<month>\d{1,2})(?P=sign)(?P<year>(?:19|20)\d\d|\d\d)(?![\d/])",
        _date,
        "15/01/2024",
        "quince de enero de dos mil veinticuatro",
    ),
    rule("the first", rf"\b1 de ({'|'.join(_MONTHS)})\b", _first_of_month, "el 1 de mayo", "el primero de mayo"),
    rule(
        "times", r"(?<![\d:])([01]?\d|2[0-3]):([0-5]\d)(?![\d:])(?:\s?h\b)?", _time, "a las 08:05", "a las ocho y cinco"
    ),
    rule(
        "pressures", r"(?<![\d/])(\d{2,3})/(\d{2,3})(?![\d/])", r"\1 sobre \2", "120/80", "ciento veinte sobre ochenta"
    ),
    rule("ordinals", r"\b(\d{1,12})\.?(º|ª|°(?! ?C)|er\b|ᵉʳ)", _ordinal, "la 2.ª dosis", "la segunda dosis"),
    rule("a hyphen before a number", r"(?<=[A-Z]{2})-(?=\d)", " ", "COVID-19", "COVID diecinueve"),
    rule("minus", r"(?<![\w)%])-(?=\d)", "menos ", "-5 °C", "menos cinco grados Celsius"),
    rule("less than", r"\s?<\s?(?=\d)", " menos de ", "< 5", "menos de cinco"),
    rule("greater than", r"\s?>\s?(?=\d)", " más de ", "> 5", "más de cinco"),
    rule(
        "numbers and units",
        rf"(?<![\w.,])(?P<low>{_AMOUNT})(?:\s?(?:-|\ba\b)\s?(?P<high>{_AMOUNT}))?"
        rf"(?:\s?(?P<units>{_UNITS_WITH_SLASHES})|(?= (?!(?:{_NOT_COUNTED})\b)(?P<noun>[a-záéíóúñ]\w+)))?",
        _quantity,
        "500 mg cada 8 horas",
        "quinientos miligramos cada ocho horas",
    ),
    rule(
        "units alone",
        rf"(?<![\w/])(?:{_UNIT})(?:/(?:{_UNIT}))+(?!\w)",
        _units_alone,
        "en mg/kg",
        "en miligramos por kilogramo",
    ),
    rule("letters and digits", r"(?<=[A-Za-z])(\d+)", _behind_letters, "vitamina B12", "vitamina B doce"),
    rule("digits that are left", r"\d+", lambda match: f" {digits(match.group(), 'es')} ", "x_5", "x_ cinco"),
)
