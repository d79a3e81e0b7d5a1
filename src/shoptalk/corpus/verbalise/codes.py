"""Codes: telephone numbers, vertebrae, genes, stages, equipment, and whatever mixes letters with digits."""

import re

from shoptalk.corpus.verbalise.numbers import cardinal, digits, in_pairs, number
from shoptalk.corpus.verbalise.rules import rule
from shoptalk.corpus.verbalise.units import UNIT

_SPINE = "CTLS"
_LAST_VERTEBRA = {"C": 7, "T": 12, "L": 5}


def _digits(match: re.Match[str]) -> str:
    return digits(match.group())


def _phone_or_range(match: re.Match[str]) -> str:
    """``555-0134`` is a telephone's; ``500-1000`` goes from a number to another."""
    low, high = match.groups()
    is_range = int(high) % 50 == 0 and not high.startswith("0")
    return match.group() if is_range else digits(low + high)


def _version(match: re.Match[str]) -> str:
    return " point ".join(map(number, match.group().split(".")))


def _suture(match: re.Match[str]) -> str:
    return f"{cardinal(int(match[1]))} oh"


def _vertebrae(match: re.Match[str]) -> str:
    """``L4-5`` → ``L four five``, next to each other; ``L1-L4`` → ``L one to L four``."""
    letter, low, other_letter, high = match[1], int(match[2]), match[3], int(match[4])
    is_next = other_letter in ("", letter) and high == low + 1
    is_next = is_next or (high == 1 and _LAST_VERTEBRA.get(letter) == low)
    between = " " if is_next else " to "
    second = f"{other_letter} {cardinal(high)}" if other_letter else cardinal(high)
    return f"{letter} {cardinal(low)}{between}{second}"


def _marker(match: re.Match[str]) -> str:
    """``19-9`` → ``nineteen nine``; ``125`` → ``one twenty-five``."""
    return "C A " + " ".join(in_pairs(int(part)) for part in match[1].split("-"))


def _allele(match: re.Match[str]) -> str:
    """``B*5701`` → ``B fifty-seven oh one``."""
    return f"HLA {match['locus']} {_pair(match['group'])} {_pair(match['protein'])}"


def _pair(written: str) -> str:
    return f"oh {cardinal(int(written))}" if written.startswith("0") else cardinal(int(written))


def _births(match: re.Match[str]) -> str:
    """``G3P2012``: pregnancies, then four counts that are read one by one."""
    return f"G {number(match[1])} P {digits(match[2])}"


def _letters_apart(match: re.Match[str]) -> str:
    """``H1N1`` → ``H one N one``; zeros in front and four digits are read one by one."""
    parts = re.findall(r"[A-Za-z]+|[\d.]+", match.group())
    said = [_part_of_code(part) if part[0].isdigit() else part for part in parts]
    return " ".join(said)


def _part_of_code(written: str) -> str:
    is_long = written.isdigit() and (len(written) > 3 or (len(written) > 1 and written.startswith("0")))
    return digits(written) if is_long else number(written)


def _spelled_behind(match: re.Match[str]) -> str:
    return f"{match[1]} {' '.join(match[2])} "


def _pressure(match: re.Match[str]) -> str:
    return " ".join(match.group().upper()) + " "


def _left_over(match: re.Match[str]) -> str:
    return digits(match.group()) if len(match.group()) > 3 else number(match.group())


def _positive_or_negative(match: re.Match[str]) -> str:
    """``HER2-`` → ``HER2 negative``; a slash behind it is not said."""
    return f"{match[1]} {'positive' if match[2] == '+' else 'negative'}"


def _sevenths(match: re.Match[str]) -> str:
    return f"{match[1]} and {cardinal(int(match[2]))} seventh{'' if match[2] == '1' else 's'}"


def _gases(match: re.Match[str]) -> str:
    return match.group().replace("/", ", ")


def _runway(match: re.Match[str]) -> str:
    side = {"L": " left", "R": " right", "C": " center"}.get(match[3], "")
    return f"{match[1]} {digits(match[2])}{side}"


def _feet_and_inches(match: re.Match[str]) -> str:
    return f"{number(match[1])} foot {number(match[2])}"


CODES = (
    rule(
        "telephone numbers",
        r"(?<![\w-])\+?(?:\d{1,3}[ -])?(?:\(\d{3}\)\s?|\b\d{3}[ .-])\d{3}[ .-]\d{4}(?![\d-])",
        _digits,
        "(555) 123-4567",
        "five five five one two three four five six seven",
    ),
    rule(
        "social security numbers",
        r"(?<![\w-])\d{3}-\d\d-\d{4}(?![\d-])",
        _digits,
        "078-05-1120",
        "zero seven eight zero five one one two zero",
    ),
    rule(
        "local telephone numbers",
        rf"(?<![\w.,-])(\d{{3}})-(\d{{4}})(?![\d,-]|\.\d|\s?(?:{UNIT})(?![A-Za-z]))",
        _phone_or_range,
        "call 555-0134",
        "call five five five zero one three four",
    ),
    rule(
        "versions", r"(?<![\w.])\d+(?:\.\d+){2,}(?!\d)", _version, "version 1.2.3", "version one point two point three"
    ),
    rule("sutures", r"(?<![\w.-])(\d{1,2})-0\b(?!\.\d)", _suture, "3-0 Vicryl", "three oh Vicryl"),
    rule(
        "blood gases",
        r"\b[67]\.\d\d?(?:/\d{1,3}){2,}\b",
        _gases,
        "7.35/45/80",
        "seven point three five, forty-five, eighty",
    ),
    rule(
        "vertebrae",
        rf"\b([{_SPINE}])(\d{{1,2}})[-/]([{_SPINE}]?)(\d{{1,2}})\b",
        _vertebrae,
        "L4-L5, C5-6, T12-L1, L1-L4",
        "L four L five, C five six, T twelve L one, L one to L four",
    ),
    rule("leads", r"\bV(\d)-V?(\d)\b", r"V\1 to V\2", "V1-V4", "V one to V four"),
    rule(
        "tumor markers",
        r"\bC ?A[ -](\d{2,3}(?:-\d{1,2})?)(?![\d.])",
        _marker,
        "CA 19-9, CA 125",
        "C A nineteen nine, C A one twenty-five",
    ),
    rule(
        "alleles",
        r"\bHLA-(?P<locus>[A-Z]+\d?)\*(?P<group>\d\d):?(?P<protein>\d\d)\b",
        _allele,
        "HLA-B*5701",
        "HLA B fifty-seven oh one",
    ),
    rule("tissue types", r"\bHLA-([A-Z]+)(?=\d)", r"HLA \1", "HLA-B27", "HLA B twenty-seven"),
    rule("pregnancies and births", r"\bG(\d{1,2})\s?P(\d{4})\b", _births, "G3P2012", "G three P two zero one two"),
    rule("hemoglobin A1c", r"\bHb\s?A1[cC]\b", "H b A one C", "HbA1c 7.4%", "H b A one C seven point four percent"),
    rule("A1c", r"\bA1[cC]\b", "A one C", "A1c of 7.2", "A one C of seven point two"),
    rule(
        "positive and negative",
        r"\b(ER|PR|HER2|HIV|HCV|HBV|HBsAg|A N A|EGFR|ALK|MRSA|GBS|TB|CD\d+)([+-])(?![\w+-])",
        _positive_or_negative,
        "ER+/PR+/HER2-",
        "ER positive PR positive HER two negative",
    ),
    rule(
        "weeks and days",
        r"\b(\d{1,2}) ?w(?:ks?)? ?(\d) ?d\b",
        r"\1 weeks \2 days",
        "at 39w2d",
        "at thirty-nine weeks two days",
    ),
    rule(
        "sevenths of a week", r"\b(\d\d) ([1-6])/7\b", _sevenths, "39 2/7 weeks", "thirty-nine and two sevenths weeks"
    ),
    rule(
        "signs of a blood group",
        r"\b(Rh|AB|O|(?:(?<=type )|(?<=group ))[AB])([+-])(?![\w+-])",
        _positive_or_negative,
        "O+ blood, Rh-, type A+",
        "O positive blood, Rh negative, type A positive",
    ),
    rule("needles", r"\b(1[4-9]|2\d|30)\s?G\b", r"\1 gauge", "an 18G line", "an eighteen gauge line"),
    rule("grades from and to", r"\b([Gg]rade )(\d)/(\d)\b", r"\1\2 \3", "grade 3/4", "grade three four"),
    rule(
        "scores of the newborn",
        r"\b((?i:apgars?)(?: of| were| was)? )(\d{1,2})/(\d{1,2})\b",
        r"\1\2 and \3",
        "Apgars 8/9",
        "Apgars eight and nine",
    ),
    rule(
        "one over another",
        r"\b(FEV\s?1|F E V\s?1|PaO2)/(FVC|FiO2)\b",
        r"\1 over \2",
        "PaO2/FiO2",
        "P A O two over F I O two",
    ),
    rule(
        "normal saline",
        r"\b(?:(?<=\d/\d )|(?<=L ))NS\b|\bNS(?= (?:bolus|at|IV|infusion|flush)\b)",
        "normal saline",
        "1/2 NS",
        "half normal saline",
    ),
    rule(
        "flight levels",
        r"\b(?:FL\s?|([Ff]light level ))(\d{2,3})\b",
        lambda match: f"{match[1] or 'flight level '}{digits(match[2])}",
        "FL350",
        "flight level three five zero",
    ),
    rule("runways", r"\b([Rr]unway) (\d\d?)([LRC]?)\b", _runway, "runway 27L", "runway two seven left"),
    rule(
        "headings and squawks",
        r"\b([Hh]eading|[Ss]quawk|QNH) (\d{3,4})\b(?!\.\d)",
        lambda match: f"{match[1]} {digits(match[2])}",
        "heading 270",
        "heading two seven zero",
    ),
    rule(
        "feet and inches",
        r"(?<![\w.])(\d)' ?(1[01]|\d)(?:\"|'')",
        _feet_and_inches,
        "5'10\" tall",
        "five foot ten tall",
    ),
    rule(
        "feet and inches, with units", r"(?<=\bft )(\d{1,2}) in\b", r"\1 inches", "5 ft 10 in", "five feet ten inches"
    ),
)
"""Before the fractions and ratios."""

BEFORE_QUANTITIES = (
    rule("gases", r"\b(?:[PS][avp]|Fi)C?O(?=2\b)", _pressure, "SpO2, PaCO2", "S P O two, P A C O two"),
    rule("a number before capitals", r"(?<![\w.])(\d+)-([A-Z]{2,3})(?![A-Za-z])", _spelled_behind, "5-FU", "five F U"),
    rule(
        "letters before a number",
        r"(?<!\d )(?<![\w./])([A-Za-z](?:[A-Za-z\d-]*[A-Za-z])?)-(?=\d)",
        r"\1 ",
        "COVID-19, IL-6, SARS-CoV-2",
        "COVID nineteen, IL six, SARS-CoV two",
    ),
)
AFTER_QUANTITIES = (
    rule(
        "letters and digits",
        r"(?<!\w)(?=\d*[A-Za-z])(?=[A-Za-z]*\d)[A-Za-z\d]+(?:(?<=\d)\.\d+)?",
        _letters_apart,
        "B12, H1N1, CYP2D6",
        "B twelve, H one N one, CYP two D six",
    ),
    rule("digits that are left", r"(?<=\D)\d+|^\d+", _left_over, "x_5", "x_five"),
)
