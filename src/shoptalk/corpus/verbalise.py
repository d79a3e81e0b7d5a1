"""Written text as it is spoken: numbers, units, dates, times, symbols and abbreviations in words, for the TTS to read.

The rules run one after the other, each over the whole text; what one has put into words has no digit left for the next.
"""

import re
from collections.abc import Callable, Sequence

from shoptalk.corpus.number_words import MONTHS, cardinal, decade, digits, number, ordinal, year
from shoptalk.corpus.spoken_units import UNITS

Replacement = str | Callable[[re.Match[str]], str]

_MONTH_NAMES = {name: name for name in MONTHS} | {name[:3]: name for name in MONTHS} | {"Sept": "September"}
_MONTH = "|".join(sorted(_MONTH_NAMES, key=len, reverse=True))
_YEAR = r"(?:19|20)\d\d"
_HALF_DAY = r"([AaPp])\.?[Mm]\b(?:\.(?=\s[a-z]|,))?"
_NUMBER = r"(?<![\w.])(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<![\w.])\.\d+"
_UNIT = "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True))
_PER = rf"(?:{_UNIT}|minute|hour|day|week|month|year|dose|beat|night)"
"""What may stand behind the slash of a unit."""
_UNITS_WITH_SLASHES = rf"(?:{_UNIT})(?:\s?/\s?(?:\d+(?:\.\d+)?\s?)?{_PER})*(?![A-Za-z\d])"
_QUANTITY = (
    rf"(?P<low>{_NUMBER})(?:\s?(?P<low_unit>{_UNITS_WITH_SLASHES}))?"
    rf"(?:\s?(?:-|to\b)\s?(?P<high>\d+(?:,\d{{3}})*(?:\.\d+)?|\.\d+)(?![-\d]))?"
    rf"(?:(?P<hyphen>-)?\s?(?P<units>{_UNITS_WITH_SLASHES}))?"
)
_PORTIONS = (
    "tablet|tab|pill|capsule|cup|glass|teaspoon|tablespoon|patch|ampule|vial|bottle|pack|dose|strip|hour|minute|day|"
    "week|month|year|mile|inch|pint|pound|liter|litre|milligram|gram"
)
"""Of what there is half a one."""
_PARTS = {2: "half", 3: "third", 4: "quarter", 8: "eighth"}
_OUT_OF = (5, 6, 10)
"""Denominators of scales: strength 4/5, murmur 3/6, pain 7/10."""
_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
_NUMERAL = "|".join(_ROMAN[::-1])
_NUMERAL_BUT_I = _NUMERAL.removesuffix("|I")
_COUNTED = (
    "type|stage|grade|class|phase|factor|level|category|group|NYHA|ASA|CN|nerves?|leads?|Mobitz|Bethesda|Gustilo|Clark|"
    "Mallampati|Fitzpatrick|Salter-Harris|World War"
)
"""Words before a Roman numeral."""
_OF_TYPE_I = (
    "diabet|disease|cancer|melanoma|tumou?r|carcinoma|hypersens|hypertens|trial|study|stud|obes|heart|failure|angina|"
    "symptom|block|error|recommendation|antiarr|respir|and|or|to"
)
"""What follows "type I" where I is a number: "at this stage I recommend" is none."""
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_LETTERS = "NPO|QID|TID|BID|QOD|QHS|PRN|PO|QD|IV|IM"
"""What is spelled out, and would else be read as a word or a Roman numeral."""


def spoken(text: str) -> str:
    """The text with its numbers, units, symbols and abbreviations in words; other words, case and punctuation stay.

    >>> spoken("Start metformin 2.5-5 mg b.i.d.; SpO2 fell by 12% at 08:05.")
    'Start metformin two point five to five milligrams B I D; SpO2 fell by twelve percent at eight oh five.'
    """
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text.strip()


# ---- dates and times


def _iso_date(match: re.Match[str]) -> str:
    return _date(match.group(), match[1], int(match[2]), int(match[3]))


def _numeric_date(match: re.Match[str]) -> str:
    """Month first, as in America, unless the first number can only be a day."""
    month, day = int(match[1]), int(match[2])
    if month > 12:
        month, day = day, month
    return _date(match.group(), match[3], month, day)


def _day_first_date(match: re.Match[str]) -> str:
    return _date(match.group(), match[3], int(match[2]), int(match[1]))


def _date(written: str, year_written: str, month: int, day: int) -> str:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return written
    value = int(year_written)
    if len(year_written) == 2:
        value += 2000 if value <= 30 else 1900
    return f"{MONTHS[month - 1]} {ordinal(day)}, {year(value)}"


def _month_and_day(match: re.Match[str]) -> str:
    words = f"{_MONTH_NAMES[match['month']]} {ordinal(int(match['day']))}"
    if match["last_day"]:
        words += f" to {ordinal(int(match['last_day']))}"
    if match["year"]:
        words += f", {year(int(match['year']))}"
    return words


def _day_and_month(match: re.Match[str]) -> str:
    return f"{ordinal(int(match[1]))} of {_MONTH_NAMES[match[2]]}"


def _time(match: re.Match[str]) -> str:
    hour, minute, half = match[1], int(match[2]), match[3]
    words = cardinal(int(hour))
    if minute:
        words += f" oh {cardinal(minute)}" if minute < 10 else f" {cardinal(minute)}"
    elif not half:
        is_of_24_hours = int(hour) > 12 or hour.startswith("0")
        words += " hundred" if is_of_24_hours else " o'clock"
    return f"{words} {half.upper()}M" if half else words


def _hour(match: re.Match[str]) -> str:
    return f"{cardinal(int(match[1]))} {match[2].upper()}M"


# ---- numbers


def _quantity(match: re.Match[str]) -> str:
    low, high, low_unit, units = match["low"], match["high"], match["low_unit"], match["units"]
    if not high:
        units = units or low_unit
    are_years = not units and not low_unit and all(re.fullmatch(_YEAR, bound) for bound in (low, high or low))
    say = (lambda written: year(int(written))) if are_years else _amount
    words = say(low)
    if high and low_unit:
        words += f" {_unit_words(low_unit, is_one=low == '1')}"
    if high:
        words += f" to {say(high)}"
    if units:
        is_one = (high or low) == "1" or match["hyphen"] is not None  # a five-milligram tablet
        return f"{words} {_unit_words(units, is_one=is_one)}"
    is_glued = match.string[match.end() : match.end() + 1].isalpha()
    return f"{words} " if is_glued else words


def _amount(written: str) -> str:
    """A number in words; a code, with a zero in front or very long, digit by digit."""
    has_zero_in_front = len(written) > 1 and written.startswith("0")
    is_long = len(written) >= 7 and not written.endswith("000")
    is_code = written.isdigit() and (has_zero_in_front or is_long)
    return digits(written) if is_code else number(written)


def _unit_words(written: str, *, is_one: bool) -> str:
    first, *rest = re.split(r"\s?/\s?", written)
    singular, plural = UNITS[first]
    return (singular if is_one else plural) + _per_each(rest)


def _per_each(units: Sequence[str]) -> str:
    return "".join(f" per {_per(unit)}" for unit in units)


def _per(written: str) -> str:
    """``24 h`` → ``twenty-four hours``; ``kg`` → ``kilogram``; a word stays."""
    unit = written.lstrip("0123456789.")
    count = written.removesuffix(unit)
    singular, plural = UNITS.get(unit.strip(), (unit.strip(), f"{unit.strip()}s"))
    return f"{number(count)} {plural}" if count else singular


def _units_alone(match: re.Match[str]) -> str:
    return _unit_words(match.group(), is_one=False)


def _word_per(match: re.Match[str]) -> str:
    """``units/kg/day`` → ``units per kilogram per day``."""
    word, *rest = re.split(r"\s?/\s?", match.group())
    return word + _per_each(rest)


def _fraction(match: re.Match[str]) -> str:
    whole, above, below = match["whole"], int(match["above"]), int(match["below"])
    is_part = below in _PARTS and above < below
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


def _ratio(match: re.Match[str]) -> str:
    """A blood pressure, or how sharp someone sees: 20/40 has no "over"."""
    above, below = match.groups()
    between = " " if above == "20" else " over "
    return f"{number(above)}{between}{number(below)}"


def _power_of_ten(match: re.Match[str]) -> str:
    exponent = int(match["exponent"].translate(_SUPERSCRIPTS))
    power = f"the {ordinal(exponent)}" if exponent >= 0 else f"minus {cardinal(-exponent)}"
    times = " times " if match["times"] else ""
    per = f" per {_per(match['per'])}" if match["per"] else ""
    return f"{times}ten to {power}{per}"


def _money(match: re.Match[str]) -> str:
    sign, amount, cents = match.groups()
    name = {"$": "dollar", "€": "euro", "£": "pound"}[sign]
    words = f"{number(amount)} {name}" if amount == "1" else f"{number(amount)} {name}s"
    return f"{words} {cardinal(int(cents))}" if cents and int(cents) else words


def _digits(match: re.Match[str]) -> str:
    return digits(match.group())


def _phone_or_range(match: re.Match[str]) -> str:
    """``555-0134`` is a telephone's; ``500-1000`` goes from a number to another."""
    low, high = match.groups()
    is_range = int(high) % 50 == 0 and not high.startswith("0")
    return match.group() if is_range else digits(low + high)


def _version(match: re.Match[str]) -> str:
    return " point ".join(cardinal(int(part)) for part in match.group().split("."))


def _suture(match: re.Match[str]) -> str:
    return f"{cardinal(int(match[1]))} oh"


def _named_sign(match: re.Match[str]) -> str:
    names = {"=": "equals", "→": "to", "↑": "increased", "↓": "decreased"}
    return f" {names[match.group().strip()]} "


def _plus_signs(match: re.Match[str]) -> str:
    return " plus" * len(match.group())


# ---- abbreviations and numerals


def _spelled(match: re.Match[str]) -> str:
    """``b.i.d.`` → ``B I D``; a full stop that ends the sentence stays."""
    letters = [letter.upper() for letter in match.group() if letter.isalpha()]
    return " ".join(letters) + _full_stop(match)


def _spelled_after_dose(match: re.Match[str]) -> str:
    return f"{match[1]} {' '.join(match[2].upper())}"


def _meals(match: re.Match[str]) -> str:
    when = "before" if match.group()[0] in "aA" else "after"
    return f"{when} meals{_full_stop(match)}"


def _full_stop(match: re.Match[str]) -> str:
    rest = match.string[match.end() :]
    ends_sentence = not rest.strip() or re.match(r"\s+[A-Z]", rest) is not None
    return "." if match.group().endswith(".") and ends_sentence else ""


def _every(match: re.Match[str]) -> str:
    return f"every {match[1]} {UNITS[match[2]][1]}{_full_stop(match)}"


def _numeral(written: str) -> str:
    return cardinal(_ROMAN.index(written) + 1)


def _lone_numeral(match: re.Match[str]) -> str:
    return _numeral(match.group())


def _counted(match: re.Match[str]) -> str:
    letter = f" {match[3].upper()}" if match[3] else ""
    return f"{match[1]} {_numeral(match[2])}{letter}"


def _numerals_in_a_row(match: re.Match[str]) -> str:
    words = re.sub(rf"\b(?:{_NUMERAL})\b", _lone_numeral, match.group())
    return re.sub(r"\s?-\s?", " to ", words.replace("/", " out of "))


def _compiled(*rules: tuple[str, Replacement]) -> tuple[tuple[re.Pattern[str], Replacement], ...]:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in rules)


_RULES = _compiled(
    # one way to write each sign
    ("[\u2010-\u2015\u2212]", "-"),
    ("\u03bc", "\u00b5"),  # Greek mu as the micro sign
    ("[\u2044\u2215]", "/"),
    (r"(?<=\d)(?=[½⅓⅔¼¾⅛])", " "),
    ("½", "1/2"),
    ("⅓", "1/3"),
    ("⅔", "2/3"),
    ("¼", "1/4"),
    ("¾", "3/4"),
    ("⅛", "1/8"),
    ("(?<=m)²", "2"),
    ("(?<=m)³", "3"),
    (r"(?<=\b3[4-9]\.\d)\s?C\b", "°C"),
    (r"(?<=\b9\d\.\d)\s?F\b|(?<=\b10\d\.\d)\s?F\b", "°F"),
    # abbreviations
    (r"\bs/p\b", "status post"),
    (r"\bc/o\b", "complains of"),
    (r"\bh/o\b", "history of"),
    (r"\br/o\b", "rule out"),
    (r"\bw/o\b", "without"),
    (r"\bw/\s?(?=\w)", "with "),
    (r"(?<=\d)[ -]?(?:y/o|yo)\b", "-year-old"),
    (r"\bvs\b\.?", "versus"),
    (r"\bNo\.\s?(?=\d)", "number "),
    (r"\b[Qq]\.?\s?(\d+(?:-\d+)?)\s?(h|hrs|hr|d|wk|min)\b\.?", _every),
    (r"\b[aApP]\.c\.", _meals),
    (r"\b(?i:b\.i\.d|t\.i\.d|q\.i\.d|q\.o\.d|q\.h\.s|p\.r\.n|q\.d|n\.p\.o|p\.o|i\.v|i\.m)\b\.?", _spelled),
    (r"\b(?:tid|qid|qod|qhs|prn|npo|qd)\b", _spelled),
    # Roman numerals, and IV that is none
    (rf"\b(?:{_NUMERAL})(?:\s?[-/]\s?(?:{_NUMERAL})\b)+", _numerals_in_a_row),
    (rf"\b(?:{_NUMERAL_BUT_I})(?:(?:,? and | or | to |, )(?:{_NUMERAL_BUT_I})\b)+", _numerals_in_a_row),
    (rf"\b({_COUNTED})\s({_NUMERAL_BUT_I})([a-cA-C]?)\b", _counted),
    (rf"\b({_COUNTED})\s(I)([a-cA-C]?)\b(?=[,.;:)]|$|\s(?:{_OF_TYPE_I}))", _counted),
    (r"\b(?:II|III|VI|VII|VIII|IX|XI|XII)\b", _lone_numeral),
    (rf"\b(?:{_LETTERS})\b", _spelled),
    (rf"(?<![\w.,])(\d+),(\d\d?)(?=\s?(?:{_UNIT})(?![A-Za-z\d]))", r"\1.\2"),  # 2,5 mg
    # dates
    (rf"(?<![\d-])({_YEAR})-(\d\d)-(\d\d)(?![\d-])", _iso_date),
    (rf"(?<![\d/])(\d{{1,2}})/(\d{{1,2}})/({_YEAR}|\d\d)(?![\d/])", _numeric_date),
    (rf"(?<![\d.])(\d{{1,2}})\.(\d{{1,2}})\.({_YEAR})(?!\d)", _day_first_date),
    (rf"\b([12]\d|3[01]|[1-9])(?:st|nd|rd|th)?(?: of)? ({_MONTH})\b\.?", _day_and_month),
    (
        rf"\b(?P<month>{_MONTH})\b\.?\s(?P<day>[12]\d|3[01]|[1-9])(?:st|nd|rd|th)?(?:-(?P<last_day>\d\d?))?\b"
        rf"(?![.,:/]\d)(?!\s?(?:{_UNIT})(?![A-Za-z]))(?:,?\s(?P<year>{_YEAR})\b)?",
        _month_and_day,
    ),
    # ratios and times
    (r"(\b(?:ratio|titer|titre|dilution|diluted)\b(?: of| is| was)?\s)(\d+):(\d+)", r"\1\2 to \3"),
    (rf"(?<![\d:.])([01]?\d|2[0-3]):([0-5]\d)(?![\d:])(?:\s?{_HALF_DAY})?", _time),
    (rf"\b(1[0-2]|0?[1-9])\s?{_HALF_DAY}", _hour),
    (r"(?<=\d):(?=\d)", " to "),
    # telephones and codes
    (r"(?<![\w-])\+?(?:\d{1,3}[ -])?(?:\(\d{3}\)\s?|\b\d{3}[ .-])\d{3}[ .-]\d{4}(?![\d-])", _digits),
    (r"(?<![\w-])\d{3}-\d\d-\d{4}(?![\d-])", _digits),
    (rf"(?<![\w.,-])(\d{{3}})-(\d{{4}})(?![\d,-]|\.\d|\s?(?:{_UNIT})(?![A-Za-z]))", _phone_or_range),
    (r"(?<![\w.])\d+(?:\.\d+){2,}(?!\d)", _version),
    (r"(?<![\w.-])(\d{1,2})-0\b(?!\.\d)", _suture),
    # powers, fractions, ratios
    (
        rf"(?P<times>\s?[x×]\s?)?\b10(?:\^(?=-?\d)|(?=[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]))(?P<exponent>-?\d+|⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)"
        rf"(?:\s?/\s?(?P<per>{_PER})(?![A-Za-z]))?",
        _power_of_ten,
    ),
    (r"\b24/7\b", "twenty-four seven"),
    (r"(?<![\w./])(\d{2,3})/(\d{2,3})(?![\w/])", _ratio),
    (
        rf"(?<![\w./])(?:(?P<whole>\d{{1,3}})[ -])?(?P<above>\d{{1,2}})/(?P<below>\d{{1,2}})(?![\d/])"
        rf"(?:\s?(?P<portion>{_PORTIONS}|{_UNIT})(?![A-Za-z]))?",
        _fraction,
    ),
    # signs
    (r"(?:\+/-|±)\s?", " plus or minus "),
    (r"(?:<=|[≤⩽])\s?", "less than or equal to "),
    (r"(?:>=|[≥⩾])\s?", "greater than or equal to "),
    (r"\s?<\s?(?=[\d.$])", " less than "),
    (r"\s?>\s?(?=[\d.$])", " greater than "),
    (r"[~≈]\s?(?=\d)", "about "),
    (r"([$€£])\s?(\d+(?:,\d{3})*)(?:\.(\d\d)\b)?", _money),
    (r"#\s?(?=\d)", "number "),
    (r"\s?&\s?", " and "),
    (r"\s?@\s?", " at "),
    (r"\s?(?:=|→|↑|↓)\s?", _named_sign),
    (r"(?<=\d)\s?[x×]\s?(?=\d)", " by "),
    (r"(?<!\w)[x×]\s?(?=\d)", "times "),
    (r"(?<=\d)[x×](?!\w)", " times"),
    (r"\s\+\s|(?<=\d)\+(?=\d)", " plus "),
    (r"(?<!\w)\+(?=\d)", "plus "),
    (r"(?<=\w)\+{1,4}(?!\w)", _plus_signs),
    (r"(?<![\w)%°])(?<!\d\s)-(?=\.?\d)", "minus "),
    # what is left of numbers
    (r"\b(1[89]\d0|20\d0|[2-9]0)s\b", lambda match: decade(int(match[1]))),
    (r"\b(\d+)(?i:st|nd|rd|th)\b", lambda match: ordinal(int(match[1]))),
    (_QUANTITY, _quantity),
    (rf"(?<![\w/])(?:{_UNIT})(?:/{_PER})+(?![\w/])", _units_alone),
    (rf"\b[a-z]{{3,}}(?:\s?/\s?{_PER})+(?![\w/])", _word_per),
    (r"((?:gram|liter|unit|tablet|capsule|pill|puff|drop)s?|percent|P O)\s(po|bid)\b", _spelled_after_dose),
    (r"\bP O\sbid\b", "P O B I D"),
    (r"(?<=[A-Za-z])/(?=[A-Za-z])", " "),
    (r" {2,}", " "),
)
"""In this order."""
