"""Dates and times of day."""

import re

from shoptalk.corpus.verbalise.numbers import MONTHS, cardinal, decade, ordinal, year
from shoptalk.corpus.verbalise.rules import alternatives, rule
from shoptalk.corpus.verbalise.units import PORTIONS, UNIT

_MONTH_NAMES = {name: name for name in MONTHS} | {name[:3]: name for name in MONTHS} | {"Sept": "September"}
_MONTH = alternatives(_MONTH_NAMES)
_YEAR = r"(?:19|20)\d\d"
_HALF_DAY = r"([AaPp])\.?[Mm]\b(?:\.(?=\s[a-z]|,))?"
_THINGS = (
    "units|tablets|capsules|pills|doses|patients|people|cells|calories|steps|dollars|euros|pounds|hours|minutes|days|"
    "miles|feet|times|cases|copies|beds|employees|orders|tickets|seats|votes|words|pages|items|shares|square|cubic"
)
"""What a number before it counts, so that it is no year."""


RATIO_OF = r"\b(?:ratio|titer|titre|dilution|diluted|ANA|epinephrine|scale)\b(?: of| is| was| at)?\s"
"""What stands before a ratio."""


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


def _month_and_year(match: re.Match[str]) -> str:
    return f"{_MONTH_NAMES[match[1]]} {year(int(match[2]))}"


def _on_a_day(match: re.Match[str]) -> str:
    return f"{match[1]} {MONTHS[int(match[2]) - 1]} {ordinal(int(match[3]))}"


def _year(match: re.Match[str]) -> str:
    return year(int(match.group()))


def _decade(match: re.Match[str]) -> str:
    return decade(int(match[1]))


def _time(match: re.Match[str]) -> str:
    hour, minute, half = match[1], int(match[2]), match[3]
    words = cardinal(int(hour))
    if minute:
        words += f" {_minutes(minute)}"
    elif not half:
        is_of_24_hours = int(hour) > 12 or hour.startswith("0")
        words += " hundred" if is_of_24_hours else " o'clock"
    return f"{words} {half.upper()} M" if half else words


def _minutes(value: int) -> str:
    if value == 0:
        return "hundred"
    return f"oh {cardinal(value)}" if value < 10 else cardinal(value)


def _time_with_seconds(match: re.Match[str]) -> str:
    hour, minute, second = (int(part) for part in match.groups())
    return f"{cardinal(hour)} {_minutes(minute)} and {cardinal(second)} second{'' if second == 1 else 's'}"


def _military(match: re.Match[str]) -> str:
    """Four digits with "h" are a time; with "hours", or alone after "at", only where they look like one."""
    clock, hours = match["clock"], match["hours"]
    has_zero_in_front = clock.startswith("0")
    is_at = match["at"] is not None
    is_time = (
        hours == "h" or (has_zero_in_front and (is_at or hours)) or (hours and (is_at or not clock.endswith("00")))
    )
    if not is_time:
        return match.group()
    hour, minute = clock[:2], clock[2:]
    words = f"oh {cardinal(int(hour[1]))}" if hour.startswith("0") else cardinal(int(hour))
    return f"{words} {_minutes(int(minute))}" + (" hours" if hours else "")


def _hour(match: re.Match[str]) -> str:
    return f"{cardinal(int(match[1]))} {match[2].upper()} M"


DATES = (
    rule(
        "a date with a time",
        r"(?<=\d-\d\d)T(?=\d\d:)",
        " at ",
        "2024-01-15T08:30",
        "January fifteenth, twenty twenty-four at eight thirty",
    ),
    rule(
        "year first",
        rf"(?<![\d-])({_YEAR})-(\d\d)-(\d\d)(?![\d-])",
        _iso_date,
        "2024-01-15",
        "January fifteenth, twenty twenty-four",
    ),
    rule(
        "month first",
        rf"(?<![\d/])(\d{{1,2}})/(\d{{1,2}})/({_YEAR}|\d\d)(?![\d/])",
        _numeric_date,
        "1/15/24",
        "January fifteenth, twenty twenty-four",
    ),
    rule(
        "day first",
        rf"(?<![\d.])(\d{{1,2}})\.(\d{{1,2}})\.({_YEAR})(?!\d)",
        _day_first_date,
        "15.01.2024",
        "January fifteenth, twenty twenty-four",
    ),
    rule(
        "a day and a month",
        rf"\b([12]\d|3[01]|[1-9])(?:st|nd|rd|th)?(?: of)? ({_MONTH})\b\.?",
        _day_and_month,
        "12 May 2024",
        "twelfth of May twenty twenty-four",
    ),
    rule(
        "a month and a day",
        rf"\b(?P<month>{_MONTH})\b\.?\s(?P<day>[12]\d|3[01]|[1-9])(?:st|nd|rd|th)?(?:-(?P<last_day>\d\d?))?\b"
        rf"(?![.,:/]\d)(?!\s?(?:{UNIT})(?![A-Za-z]))(?:,?\s(?P<year>{_YEAR})\b)?",
        _month_and_day,
        "Jan. 15, 2024",
        "January fifteenth, twenty twenty-four",
    ),
    rule(
        "a month and a year",
        rf"\b({_MONTH})\b\.? ({_YEAR})\b",
        _month_and_year,
        "Sept 2019",
        "September twenty nineteen",
    ),
    rule(
        "on a day",
        rf"\b([Oo]n|[Ss]ince|dated) (0?[1-9]|1[0-2])/(0[1-9]|9|[12]\d|3[01])(?![\d/])(?!\s?(?:{PORTIONS}|{UNIT})\b)",
        _on_a_day,
        "on 5/15",
        "on May fifteenth",
    ),
    rule(
        "decades",
        r"'?\b(1[89]\d0|20\d0|[1-9]?[2-9]0|110)s\b",
        _decade,
        "the 1980s, HR 120s",
        "the nineteen eighties, HR one twenties",
    ),
    rule("years in short", r"(?<!\w)'(?=\d\d\b)", "", "class of '98", "class of ninety-eight"),
    rule(
        "years",
        rf"(?<![\w.,/$€£-])(?<!\d ){_YEAR}(?![\w%°/-])(?!\.\d|,\d)(?! ?(?:{UNIT}|{_THINGS})(?![A-Za-z]))",
        _year,
        "in 2019, 2019 units",
        "in twenty nineteen, two thousand nineteen units",
    ),
    rule(
        "years from and to",
        rf"(?<![\w.,/-])({_YEAR})[-/]({_YEAR})(?![\w.,/-]*\d)(?!\s?(?:{UNIT})(?![A-Za-z]))",
        lambda match: f"{year(int(match[1]))} to {year(int(match[2]))}",
        "2019-2021",
        "twenty nineteen to twenty twenty-one",
    ),
)
"""Before the times of day."""

TIMES = (
    rule(
        "from time to time",
        r"(?:(?<=:\d\d)|(?<=[aApP][mM])|(?<=noon))\s?-\s?(?=\d)",
        " to ",
        "7:30-8:15, 9am-5pm",
        "seven thirty to eight fifteen, nine A M to five P M",
    ),
    rule(
        "ratios that look like times",
        rf"({RATIO_OF})(\d+):(\d+)",
        r"\1\2 to \3",
        "a ratio of 1:10",
        "a ratio of one to ten",
    ),
    rule(
        "hours, minutes and seconds",
        r"(?<![\d:.])([01]?\d|2[0-3]):([0-5]\d):([0-5]\d)(?![\d:])",
        _time_with_seconds,
        "08:05:30",
        "eight oh five and thirty seconds",
    ),
    rule(
        "hours and minutes",
        rf"(?<![\d:.*])([01]?\d|2[0-3]):([0-5]\d)(?![\d:])(?:\s?{_HALF_DAY})?",
        _time,
        "08:05, 10:00 AM",
        "eight oh five, ten A M",
    ),
    rule("hours", rf"\b(1[0-2]|0?[1-9])\s?{_HALF_DAY}", _hour, "8am", "eight A M"),
    rule(
        "four digits of a clock",
        r"(?<![\w.,/-])(?P<at>(?<=\bat ))?(?P<clock>(?:[01]\d|2[0-3])[0-5]\d)(?P<hours>h\b| h(?:ou)?rs\b)?"
        r"(?![\w%-]|[.,:]\d)",
        _military,
        "0830 hours",
        "oh eight thirty hours",
    ),
    rule("other colons", r"(?<=\d)(?<!\*\d\d):(?=\d)", " to ", "1:1000", "one to one thousand"),
)
