"""The way back, from what dictation says in words to how a clinician or clerk writes it: its rules in their order."""

import re

from shoptalk.corpus.verbalise.abbreviations import LETTERS
from shoptalk.corpus.verbalise.dates import RATIO_OF
from shoptalk.corpus.verbalise.number_words import (
    ANY_NUMBER,
    CARDINAL,
    DIGIT,
    MINUTES,
    MONTH,
    OH_DIGIT,
    ONE_TO_NINE,
    SMALL,
    TIME_UNIT,
    TWO_DIGITS,
    in_figures,
    one_by_one,
    small,
)
from shoptalk.corpus.verbalise.roman import ROMAN
from shoptalk.corpus.verbalise.rules import rule
from shoptalk.corpus.verbalise.unit_symbols import (
    PER_NAME,
    SYMBOL,
    UNIT_NAME,
    UNITS_NAME,
    behind_slash,
    quantity,
    symbols,
)
from shoptalk.corpus.verbalise.units import PORTIONS

_KNOWN_LETTERS = frozenset([*LETTERS, "AM", "PM", "FU", "HT", "ASA"])
_AFTERNOON = "(?:thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|twenty-one|twenty-two|twenty-three)"
_PAIR = rf"(?:{OH_DIGIT}|{TWO_DIGITS})"
"""Two digits of a longer number: ``oh five``, ``twenty``."""
_FIGURE = r"-?\d[\d,]*(?:\.\d+)?"
_NUMBER = rf"(?<![\w.]){_FIGURE}"
_NO_UNIT = rf"(?! (?:{UNIT_NAME}|percent)\b)"

_NAMES = r"[B-HJ-Z]|p(?= (?:16|27|53)\b)|BRCA|FEV|CD|HER|CO|O|HCO|CYP|PD-L|BCR-ABL|SGLT|PCV|PCSK"
"""What has a number behind it, without a space; a single letter is one, but for "A" and "I"."""

# ---- letters


def _letters(match: re.Match[str]) -> str:
    """``P O B I D`` → ``PO BID``; unknown letters are one word if they are three or more."""
    letters = match.group().replace(" ", "")
    known = _known(letters)
    if known:
        return " ".join(known)
    return letters if len(letters) > 2 and letters[0] not in "AI" else match.group()


def _known(letters: str) -> list[str] | None:
    """The letters as known abbreviations one after the other, the longest first; None if they are not."""
    if not letters:
        return []
    for length in range(len(letters), 1, -1):
        rest = _known(letters[length:]) if letters[:length] in _KNOWN_LETTERS else None
        if rest is not None:
            return [letters[:length], *rest]
    return None


def _gas(match: re.Match[str]) -> str:
    carbon = "C" if match[3] else ""
    return f"{match[1]}{match[2].lower()}{carbon}O2"


# ---- number words that are read in a way of their own


def _vision(match: re.Match[str]) -> str:
    return f"{match['before'] or ''}20/{small(match['in_front'] or match['behind'])}"


def _pair_behind(match: re.Match[str]) -> str:
    """``one twenty`` → ``120``; ``nineteen oh five`` → ``1905``."""
    return f"{small(match[1])}{small(match[2]):02}"


def _strengths(match: re.Match[str]) -> str:
    hundreds = small(match[1]) if match[1] else ""
    return f"{hundreds}{small(match[2])}/{small(match[3])}{small(match[4]):02}"


def _allele(match: re.Match[str]) -> str:
    return f"HLA-{match[1]}*{small(match[2]):02}{small(match[3]):02}"


def _version(match: re.Match[str]) -> str:
    return ".".join(map(one_by_one, match.group().split(" point ")))


def _digits(match: re.Match[str]) -> str:
    return one_by_one(match.group())


def _digits_or_time(match: re.Match[str]) -> str:
    """A telephone's number, a time (``eight oh five``), or a code."""
    if match["point"]:
        return match.group()
    figures = one_by_one(match["digits"])
    if len(figures) == 3 and " oh " in match["digits"] and figures[0] != "0":
        return f"{figures[0]}:{figures[1:]}"
    if len(figures) == 7:
        return f"{figures[:3]}-{figures[3:]}"
    if len(figures) == 10:
        return f"{figures[:3]}-{figures[3:6]}-{figures[6:]}"
    return figures


def _clock(match: re.Match[str]) -> str:
    return f"{small(match[1]):02}{small(match[2]):02}"


def _half_day(match: re.Match[str]) -> str:
    minutes = f":{small(match[2]):02}" if match[2] else ""
    return f"{small(match[1])}{minutes} {match[3]}"


def _time(match: re.Match[str]) -> str:
    return f"{small(match[1])}:{small(match[2]):02}"


def _full_hour(match: re.Match[str]) -> str:
    return f"{small(match[1])}:00"


def _decade(match: re.Match[str]) -> str:
    century = small(match[1].strip()) if match[1] else ""
    return f"{century}{small(match[2] + 'y')}s"


def _suture(match: re.Match[str]) -> str:
    return f"{small(match[1])}-0"


def _marker(match: re.Match[str]) -> str:
    return f"{small(match[1])}-{small(match[2])}"


def _part(match: re.Match[str]) -> str:
    below = 3 if match[2] == "third" else 4
    portion = f" {match[3]}" if match[3] else ""
    return f"{small(match[1])}/{below}{portion}"


# ---- figures beside one another


def _power(match: re.Match[str]) -> str:
    times = " x " if match["times"] else ""
    sign = "-" if match["minus"] else ""
    per = f"/{behind_slash(match['per'])}" if match["per"] else ""
    return f"{times}10^{sign}{match['exponent']}{per}"


def _range(match: re.Match[str]) -> str:
    low, high = (float(match[name].replace(",", "")) for name in ("low", "high"))
    return f"{match['low']}-{match['high']}" if low < high else match.group()


def _money(match: re.Match[str]) -> str:
    sign = {"dollar": "$", "euro": "€", "pound": "£"}[match["currency"]]
    if match["large"]:
        return f"{sign}{match['amount']} {match['large']}"
    amount = match["amount"].replace(",", "")
    whole = f"{int(amount):,}" if amount.isdigit() else amount
    cents = f".{match['cents']}" if match["cents"] else ""
    return f"{sign}{whole}{cents}"


def _per(match: re.Match[str]) -> str:
    return f"{match[1]}/{behind_slash(match[2])}"


def _units_alone(match: re.Match[str]) -> str:
    return symbols(match.group())


def _roman(match: re.Match[str]) -> str:
    return re.sub(r"\d+", _numeral, match.group())


def _numeral(match: re.Match[str]) -> str:
    value = int(match.group())
    return ROMAN[value - 1] if 1 <= value <= len(ROMAN) else str(value)


def _joined(match: re.Match[str]) -> str:
    return match.group().replace(" ", "")


_LETTERS = (
    rule("A1c", r"\bA one C\b", "A1c", "A one C of seven point two", "A1c of 7.2"),
    rule("hemoglobin A1c", r"\bH b A1c\b", "HbA1c", "H b A one C", "HbA1c"),
    rule("gases", r"\b([PSF]) ([AVIP]) (C )?O two\b", _gas, "S P O two ninety-eight percent", "SpO2 98%"),
    rule("augmented leads", r"\bA V ([RLF])\b", r"aV\1", "A V F", "aVF"),
    rule("letters", r"\b[A-Z](?: [A-Z]\b)+", _letters, "five milligrams P O B I D", "5 mg PO BID"),
)
_WORDS = (
    rule("a hundred", r"\ba (?=(?:hundred|thousand|million)\b)", "one ", "a hundred milligrams", "100 mg"),
    rule(
        "vision",
        rf"\b(?:twenty (?P<in_front>{TWO_DIGITS})(?= vision)"
        rf"|(?P<before>[Vv]ision (?:is |was |of )?)twenty (?P<behind>{TWO_DIGITS}))",
        _vision,
        "vision twenty forty",
        "vision 20/40",
    ),
    rule("pressures", rf"\b(one|two) ({_PAIR})(?= over\b)", _pair_behind, "one twenty over eighty", "120/80"),
    rule("lower pressures", rf"(?<=over )(one|two) ({_PAIR})\b", _pair_behind, "two hundred over one ten", "200/110"),
    rule(
        "strengths of two drugs",
        rf"\b(?:({ONE_TO_NINE}) )?({TWO_DIGITS}|{ONE_TO_NINE}) ({ONE_TO_NINE}) ({TWO_DIGITS})(?= milligrams\b)",
        _strengths,
        "five three twenty-five milligrams, eight seventy-five one twenty-five milligrams",
        "5/325 mg, 875/125 mg",
    ),
    rule("alleles", rf"\bHLA ([A-Z]) ({_PAIR}) ({_PAIR})\b", _allele, "HLA B fifty-seven oh one", "HLA-B*5701"),
    rule(
        "versions",
        rf"\b{DIGIT}(?: point {DIGIT}){{2,}}\b",
        _version,
        "version one point two point three",
        "version 1.2.3",
    ),
    rule("runways", rf"(?<=\b[Rr]unway ){DIGIT}(?: {DIGIT})?\b", _digits, "runway two seven left", "runway 27 left"),
    rule(
        "digits one by one",
        rf"\b(?P<point>point )?(?P<digits>{DIGIT}(?: {DIGIT}\b){{2,}})",
        _digits_or_time,
        "five five five zero one three four",
        "555-0134",
    ),
    rule(
        "a clock's hours", rf"\b({_PAIR}) ({_PAIR}|hundred)(?= hours\b)", _clock, "oh eight thirty hours", "0830 hours"
    ),
    rule(
        "a clock's digits", rf"(?<=\b[Aa]t )({OH_DIGIT}) ({_PAIR}|hundred)\b", _clock, "at oh eight thirty", "at 0830"
    ),
    rule("times of half a day", rf"\b({SMALL})(?: ({_PAIR}))? ([AP]M)\b", _half_day, "eight thirty P M", "8:30 PM"),
    rule("full hours", rf"\b({SMALL}) o'clock\b", _full_hour, "eight o'clock", "8:00"),
    rule(
        "full hours of 24",
        rf"(?<=\b[Aa]t )({TWO_DIGITS}) hundred\b{_NO_UNIT}",
        _full_hour,
        "at fourteen hundred",
        "at 14:00",
    ),
    rule("times", rf"(?<=\b[Aa]t )({SMALL}) ({TWO_DIGITS}){_NO_UNIT}\b", _time, "at eight thirty", "at 8:30"),
    rule("times after noon", rf"\b({_AFTERNOON}) ({MINUTES}){_NO_UNIT}\b", _time, "fifteen thirty", "15:30"),
    rule("times with oh", rf"\b(ten|eleven|twelve|{_AFTERNOON}) ({OH_DIGIT})\b", _time, "ten oh five", "10:05"),
    rule("years", rf"\b(nineteen|twenty) ({_PAIR})\b", _pair_behind, "in twenty twenty-four", "in 2024"),
    rule("one tens", r"\bone tens\b", "110s", "in the one tens", "in the 110s"),
    rule(
        "decades",
        r"\b((?:eighteen|nineteen|twenty|one|two) )?(twent|thirt|fort|fift|sixt|sevent|eight|ninet)ies\b",
        _decade,
        "the nineteen eighties",
        "the 1980s",
    ),
    rule(
        "sutures",
        rf"\b({SMALL}) oh(?= (?:Vicryl|nylon|silk|Prolene|Monocryl|Ethilon|PDS|chromic|sutures?)\b)",
        _suture,
        "three oh silk",
        "3-0 silk",
    ),
    rule("always", r"\btwenty-four seven\b", "24/7", "twenty-four seven", "24/7"),
    rule("markers", rf"(?<=\bCA )(one|two) ({TWO_DIGITS})\b", _pair_behind, "C A one twenty-five", "CA 125"),
    rule("pairs of markers", rf"(?<=\bCA )({TWO_DIGITS}) ({SMALL})\b", _marker, "C A nineteen nine", "CA 19-9"),
    rule("half of it", rf"\bhalf an? ({PORTIONS})\b", r"1/2 \1", "half a tablet", "1/2 tablet"),
    rule("and a half", rf"\b({CARDINAL}) and a half\b", r"\1 1/2", "two and a half tablets", "2 1/2 tablets"),
    rule(
        "quarters and thirds",
        rf"\b(one|two|three) (quarter|third)s?(?: of an? ({PORTIONS}))?\b",
        _part,
        "three quarters of a cup",
        "3/4 cup",
    ),
    rule("numbers", ANY_NUMBER, in_figures, "two point five to ten milligrams, no one", "2.5-10 mg, no one"),
)
"""From words to figures."""
_FIGURES = (
    rule("a month and a day", rf"\b({MONTH}) (\d{{1,2}})(?:st|nd|rd|th)\b", r"\1 \2", "May third", "May 3"),
    rule(
        "from day to day",
        rf"\b((?:{MONTH}) \d+) to (\d+)(?:st|nd|rd|th)\b",
        r"\1-\2",
        "June fifth to seventh",
        "June 5-7",
    ),
    rule(
        "a day and a month",
        rf"(?:\bthe )?\b(\d{{1,2}})(?:st|nd|rd|th) of ({MONTH})\b",
        r"\1 \2",
        "the fifth of May",
        "5 May",
    ),
    rule(
        "powers of ten",
        rf"(?P<times> times )?\b10 to (?:(?P<minus>minus )|the )(?P<exponent>\d+)(?:st|nd|rd|th)?\b"
        rf"(?: per (?P<per>{PER_NAME})\b)?",
        _power,
        "twelve times ten to the ninth per liter",
        "12 x 10^9/L",
    ),
    rule("minus", r"\bminus (?=\d)", "-", "minus five degrees Celsius", "-5 °C"),
    rule("ratios", rf"({RATIO_OF})(\d+) to (\d+)\b", r"\1\2:\3", "a titer of one to forty", "a titer of 1:40"),
    rule(
        "from one to another",
        rf"(?<!from )(?!-)(?P<low>{_NUMBER}) to (?P<high>{_FIGURE})(?! [\d/])",
        _range,
        "five to ten milligrams, from five to ten milligrams",
        "5-10 mg, from 5 to 10 mg",
    ),
    rule(
        "money",
        rf"(?P<amount>{_NUMBER}(?:-{_FIGURE})?)(?: (?P<large>million|billion))? (?P<currency>dollar|euro|pound)s?\b"
        r"(?: (?P<cents>\d\d)\b(?! ounces?\b))?(?<!\d pounds)(?<!\d pound)",
        _money,
        "twelve dollars fifty",
        "$12.50",
    ),
    rule("feet and inches", r"\b(\d) foot (\d\d?)\b", "\\1'\\2\"", "five foot ten", "5'10\""),
    rule(
        "units",
        rf"(?P<amount>{_NUMBER}(?:-\d[\d.,]*)?(?: \d/\d)?|\d/\d)[ -](?P<units>{UNITS_NAME})\b",
        quantity,
        "fifteen milligrams per kilogram per day, a five milligram tablet",
        "15 mg/kg/day, a 5-mg tablet",
    ),
    rule(
        "things per unit",
        rf"(?<=\d )(units|puffs|drops|breaths|cells|tablets) per ({PER_NAME}(?: per {PER_NAME})*)\b",
        _per,
        "ten units per kilogram",
        "10 units/kg",
    ),
    rule(
        "units alone", rf"\b{UNIT_NAME}(?: per {PER_NAME})+\b", _units_alone, "in milligrams per kilogram", "in mg/kg"
    ),
    rule("one over another", r"\b(FEV 1|PaO2) over (FVC|FiO2)\b", r"\1/\2", "P A O two over F I O two", "PaO2/FiO2"),
    rule("over", r"(?<![\d./])(\d{1,3}) over (\d{1,3})\b", r"\1/\2", "one twenty over eighty", "120/80"),
    rule("out of", r"\b(\d|10) out of (5|6|10)\b(?! [a-z]+s\b)", r"\1/\2", "pain is seven out of ten", "pain is 7/10"),
    rule(
        "plus signs",
        r"\b([1-4]) plus(?= (?:pitting|o?edema|pulses?|reflexes|tenderness|protein|blood|bilateral)\b)",
        r"\1+",
        "three plus edema",
        "3+ edema",
    ),
    rule("plus signs of a scale", r"\b(\d) plus out of (\d)\b", r"\1+/\2", "two plus out of four", "2+/4"),
    rule("plus or minus", r"\bplus or -(?=\d)", "+/- ", "plus or minus two", "+/- 2"),
    rule("measures", r"(?<=\d)((?: (?:cm|mm|m|in|ft))?) by (?=\d)", r"\1 x ", "five by three centimeters", "5 x 3 cm"),
    rule("so long", rf"(?<!\d )\btimes (?=\d+ (?:{TIME_UNIT}|doses)\b)", "x", "times three days", "x3 days"),
)
_CODES = (
    rule("grades", r"\b([Gg]rade \d) (\d)\b", r"\1/\2", "grade three four", "grade 3/4"),
    rule("letters of a stage", r"\b((?i:stage|grade|FIGO) \d) ([A-D])\b", r"\1\2", "stage three B", "stage 3B"),
    rule(
        "Roman numerals",
        r"\b(?:[Ff]actor|[Cc]ranial nerves?|NYHA class) \d+(?:-\d+)?\b",
        _roman,
        "factor eight",
        "factor VIII",
    ),
    rule("heart sounds", r"\bS (\d) S (\d)\b", r"S\1 S\2", "S one S two", "S1 S2"),
    rule("vertebrae", r"\b([CTL]) (\d{1,2}) ([CTLS]) (\d{1,2})\b", r"\1\2-\3\4", "L four L five", "L4-L5"),
    rule("vertebrae, in short", r"\b([CTL]) (\d) (\d)\b(?! [A-Z]|[.,]\d)", r"\1\2-\3", "C five six", "C5-6"),
    rule("from letter to letter", r"\b([CTLSV]) (\d) to \1 (\d)\b", r"\1\2-\1\3", "V one to V four", "V1-V4"),
    rule("letters and digits", r"\b[cp]?[B-HJ-Z] \d+(?: [B-HJ-Z] \d+)+\b", _joined, "G two P one", "G2P1"),
    rule(
        "digits between letters",
        r"\b(?:[B-HJ-Z] \d{1,4} [B-HJ-Z]|T [12] DM)\b",
        _joined,
        "D five W, T two DM",
        "D5W, T2DM",
    ),
    rule(
        "names with a number",
        rf"(?<![\w-])(?:{_NAMES}) \d{{1,3}}\b(?: ?[A-Z] ?\d+\b)*"
        rf"(?![.,/-]\d|[%°]| {SYMBOL}(?!\w))",
        _joined,
        "vitamin B twelve, BRCA one, CYP two D six",
        "vitamin B12, BRCA1, CYP2D6",
    ),
    rule("HER2/neu", r"\bHER2 neu\b", "HER2/neu", "HER two neu", "HER2/neu"),
    rule(
        "names with a hyphen",
        r"\b(COVID|SARS-CoV|IL|TNF|omega|HLA|GLP|DPP|HIV|HSV|Ki) (?=\d|alpha\b|B\d)",
        r"\1-",
        "COVID nineteen, IL six",
        "COVID-19, IL-6",
    ),
    rule("numbers with a hyphen", r"\b5 (FU|ASA|HT(?= \d)) ?", r"5-\1", "five H T three", "5-HT3"),
)
RULES = (*_LETTERS, *_WORDS, *_FIGURES, *_CODES)
