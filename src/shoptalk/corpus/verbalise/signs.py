"""Signs: one way to write each of them, before all other rules; and their names, after dates and fractions."""

import re
import unicodedata

from shoptalk.core.equivalents import DASHES
from shoptalk.corpus.verbalise.rules import rule
from shoptalk.corpus.verbalise.units import UNIT

_RAISED_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_LOWERED_DIGITS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_GREEK = {
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "δ": "delta",
    "Δ": "delta",
    "ε": "epsilon",
    "ζ": "zeta",
    "η": "eta",
    "θ": "theta",
    "κ": "kappa",
    "λ": "lambda",
    "π": "pi",
    "ρ": "rho",
    "σ": "sigma",
    "Σ": "sigma",
    "τ": "tau",
    "φ": "phi",
    "χ": "chi",
    "ψ": "psi",
    "ω": "omega",
    "Ω": "omega",
}
_FULL_NAMES = {"=": "equals", "→": "to", "↑": "increased", "↓": "decreased"}


def _fraction(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", match.group()).replace("⁄", "/")


def _raised(match: re.Match[str]) -> str:
    return "^" + match.group().translate(_RAISED_DIGITS)


def _charge(match: re.Match[str]) -> str:
    return match.group().translate(_RAISED_DIGITS)


def _lowered(match: re.Match[str]) -> str:
    return match.group().translate(_LOWERED_DIGITS)


def _thousands(match: re.Match[str]) -> str:
    return match.group().replace(" ", ",")


def _greek(match: re.Match[str]) -> str:
    return _GREEK[match.group()]


def _named(match: re.Match[str]) -> str:
    return f" {_FULL_NAMES[match.group().strip()]} "


def _plus_signs(match: re.Match[str]) -> str:
    return " plus" * len(match.group())


ONE_WAY = (
    rule("spaces of other widths", "[\u00a0\u2007-\u200a\u202f\u3000]", " ", "5\u00a0mg", "five milligrams"),
    rule("what has no width", "[\u00ad\u200b-\u200d\u2060\ufeff]", "", "5\u200b mg", "five milligrams"),
    rule(
        "a dash that is a pause", "(?<=[a-z])\\s?[\u2013-\u2015]\\s?(?=[A-Za-z])", ", ", "rest—no work", "rest, no work"
    ),
    rule("a hyphen that is a pause", "(?<=[a-z]) - (?=[A-Za-z])", ", ", "Plan - rest", "Plan, rest"),
    rule("arrows of two signs", "\\s?[-=]+>\\s?", " → ", "K 3.1 -> 4.0", "K three point one to four point zero"),
    rule("the numero sign", "№ ?", "number ", "№ 5", "number five"),
    rule("other dashes", f"[{DASHES}]", "-", "5–10 mg", "five to ten milligrams"),
    rule("the Greek mu", "\u03bc", "\u00b5", "5 \u03bcg", "five micrograms"),
    rule("the slashes", "[\u2044\u2215]", "/", "1⁄2 tablet", "half a tablet"),
    rule("a fraction behind a number", r"(?<=\d)(?=[½⅓⅔¼¾⅛⅜⅝⅞⅕])", " ", "2½ tablets", "two and a half tablets"),
    rule("fractions of one character", "[½⅓⅔¼¾⅛⅜⅝⅞⅕]", _fraction, "¾ cup", "three quarters of a cup"),
    rule("squares and cubes of a unit", "(?<=m)[²³]", _charge, "75 mg/m²", "seventy-five milligrams per square meter"),
    rule("charges", "(?<=[A-Za-z])[⁰¹²³⁴⁵⁶⁷⁸⁹]*[⁺⁻]", _charge, "Na⁺ of 140", "Na plus of one hundred forty"),
    rule("raised digits", "(?<=[0-9])⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]+", _raised, "10⁹/L", "ten to the ninth per liter"),
    rule("squared", "(?<=[A-Za-z])²", " squared", "r² of 0.9", "r squared of zero point nine"),
    rule("lowered digits", "[₀-₉]+", _lowered, "CO₂", "CO two"),
    rule(
        "spaces between thousands",
        r"(?<![\d.,/:-])(?<![\d.,/:-] )\b\d{1,3}(?: \d{3})+(?![\d.,-])(?:(?<= 000)|(?= (?:units|IU|U)\b))",
        _thousands,
        "100 000 units",
        "one hundred thousand units",
    ),
    rule(
        "decimal commas",
        rf"(?<![\w.,])(?:(\d+),(\d\d?)|(0),(\d+))(?=\s?(?:{UNIT})(?![A-Za-z\d]))",
        lambda match: f"{match[1] or match[3]}.{match[2] or match[4]}",
        "12,5 mg",
        "twelve point five milligrams",
    ),
    rule(
        "temperatures without a degree sign",
        r"(?<=\b3[4-9]\.\d)\s?([Cc])\b|(?<=\b9\d\.\d)\s?([Ff])\b|(?<=\b10\d\.\d)\s?([Ff])\b",
        lambda match: f"°{match.group().strip().upper()}",
        "T 38.5C, 101.2 F",
        "T thirty-eight point five degrees Celsius, one hundred one point two degrees Fahrenheit",
    ),
    rule("Greek letters", f"[{''.join(_GREEK)}]", _greek, "TNF-α and β-blockers", "T N F alpha and beta-blockers"),
    rule(
        "a hyphen before a Greek name",
        "(?<=[A-Z])-(?=(?:alpha|beta|gamma|delta|kappa)\\b)",
        " ",
        "IFN-gamma",
        "IFN gamma",
    ),
)
"""Before all others."""

NAMES = (
    rule("plus or minus", r"(?:\+/-|±)\s?", " plus or minus ", "±2", "plus or minus two"),
    rule("at most", r"(?:<=|[≤⩽])\s?", "less than or equal to ", "≤4", "less than or equal to four"),
    rule("at least", r"(?:>=|[≥⩾])\s?", "greater than or equal to ", "≥4", "greater than or equal to four"),
    rule("less than", r"\s?<\s?(?=[\d.$])", " less than ", "HR < 60", "HR less than sixty"),
    rule("greater than", r"\s?>\s?(?=[\d.$])", " greater than ", "BMI >40", "BMI greater than forty"),
    rule("about", r"[~≈]\s?(?=\d)", "about ", "~5 mL", "about five milliliters"),
    rule("a number's sign", r"#\s?(?=\d)", "number ", "Tylenol #3", "Tylenol number three"),
    rule("and", r"\s?&\s?", " and ", "D&C", "D and C"),
    rule("at", r"\s?@\s?", " at ", "@ 5", "at five"),
    rule("equals and arrows", r"\s?(?:=|→|↑|↓)\s?", _named, "n=12", "n equals twelve"),
    rule(
        "between measures",
        r"(?<=\d)(\s?(?:cm|mm|m|in|ft))?(?: [x×] |[x×])(?=\d)",
        lambda match: f"{match[1] or ''} by ",
        "5x3 cm, 2 cm x 3 cm",
        "five by three centimeters, two centimeters by three centimeters",
    ),
    rule("times, behind letters", r"(?<=[A-Z])[x×](?=\d\b)", " times ", "A&Ox4", "A and O times four"),
    rule("times, in front", r"(?<!\w)[x×]\s?(?=\d)", "times ", "x3 days", "times three days"),
    rule("times, behind", r"(?<=\d)[x×](?!\w)", " times", "3x/day", "three times per day"),
    rule("plus out of", r"(?<=\d)\+/(?=\d)", " plus out of ", "reflexes 2+/4", "reflexes two plus out of four"),
    rule("plus between", r"\s\+\s|(?<=\d)\+(?=\d)", " plus ", "Gleason 3+4=7", "Gleason three plus four equals seven"),
    rule("plus in front", r"(?<!\w)\+(?=\d)", "plus ", "base excess +4", "base excess plus four"),
    rule("plus behind", r"(?<=\w)\+{1,4}(?!\w)", _plus_signs, "3+ edema", "three plus edema"),
    rule("minus", r"(?<![\w)%°])(?<!\d\s)-(?=\.?\d)", "minus ", "at -80 °C", "at minus eighty degrees Celsius"),
)
"""After dates, codes and fractions, which have meanings of their own for ``/``, ``-`` and ``x``."""
