"""Number words read as figures, by text2num; a small number stays a word unless what is beside it asks for a digit."""

import re

from shoptalk.corpus.verbalise.numbers import MONTHS
from shoptalk.corpus.verbalise.roman import COUNTED
from shoptalk.corpus.verbalise.unit_symbols import UNIT_NAME

_ONES = "one two three four five six seven eight nine".split()
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth "
    "ninetieth hundredth thousandth"
).split()

_CARDINAL_OF = dict(zip(_ORDINALS, [*_ONES, *_TEENS, *_TENS, "hundred", "thousand"], strict=True))

# ---- patterns

_ONE_TO_NINE = "|".join(_ONES)
_TEEN = "|".join(_TEENS)
_TEN = "|".join(_TENS)
DIGIT = rf"(?:zero|oh|{_ONE_TO_NINE})"
ONE_TO_NINE = f"(?:{_ONE_TO_NINE})"
OH_DIGIT = rf"oh (?:{_ONE_TO_NINE})"
TWO_DIGITS = rf"(?:{_TEEN}|(?:{_TEN})(?:-(?:{_ONE_TO_NINE}))?)"
"""``ten`` to ``ninety-nine``."""
MINUTES = rf"(?:{_TEEN}|(?:twenty|thirty|forty|fifty)(?:-(?:{_ONE_TO_NINE}))?)"
"""``ten`` to ``fifty-nine``."""
SMALL = rf"(?:{_ONE_TO_NINE}|{TWO_DIGITS})"
"""``one`` to ``ninety-nine``."""
_FIRST_WORD = rf"(?:zero|{_ONE_TO_NINE}|{_TEEN}|{_TEN})"
_WORD = rf"(?:zero|{_ONE_TO_NINE}|{_TEEN}|{_TEN}|hundred|thousand|million|billion)"
_ORDINAL = "|".join(_ORDINALS)
CARDINAL = rf"\b{_FIRST_WORD}\b(?:(?:-| and | ){_WORD}\b)*"
_DECIMALS = rf"point {DIGIT}\b(?: {DIGIT}\b)*"
ANY_NUMBER = rf"\b(?:(?:{CARDINAL} )?{_DECIMALS}|{CARDINAL}(?:[- ](?:{_ORDINAL})\b)?|(?:{_ORDINAL})\b)"
MONTH = "|".join(MONTHS)

# ---- what asks for a digit

TIME_UNIT = "(?:hours?|minutes?|seconds?|days?|weeks?|months?|years?)"
_THING = (
    "(?:tablets?|capsules?|pills?|puffs?|drops?|units?|doses|cycles|cups?|teaspoons?|tablespoons?|miles?|dollars?|"
    "euros?|pounds?|cents|gauge|foot)"
)
_NUMBERED = (
    rf"(?i:{COUNTED}|number|every|minus|plus|room|bed|step|days?|weeks?|version|gauge|Gleason|Apgars?|score|platform|"
    "page|section|runway|extension)"
)
_NAME_IN_CAPITALS = r"(?<![\w'])(?:[cp]?[B-HJ-Z]|[A-Za-z]*[A-Z][A-Za-z]*[A-Z\d][A-Za-z\d]*|A|alpha|omega|pH)"
_BETWEEN = "(?:to|by|over|out of|plus)"
_BEHIND = (
    "-year-old|-gauge",
    r" \d/\d",
    rf"[ -](?:{UNIT_NAME}|{_THING})\b",
    r" (?:FU|HT|ASA|AM|PM|million|billion|pitting|plus|o'clock)\b",
    rf" (?:{_BETWEEN}|and) (?:a half\b|{_WORD}\b)",
    rf", {_WORD} and {_WORD}",
    r" times ten\b",
)
_BEFORE = (
    rf"\b{_NUMBERED} (?:{_WORD}(?:,? and |, ))*",
    rf"{_NAME_IN_CAPITALS}(?:[ -]| of | is | was )",
    rf"\b(?:\d[\d.,]*|{_WORD})(?: (?:{UNIT_NAME}|{_THING}|{TIME_UNIT}))? {_BETWEEN} ",
    rf"\b(?:times|to) (?=\w+ (?:{TIME_UNIT}|doses)\b)",
    r"\b(?:equals|less than|greater than|equal to|foot|feet|out of) ",
    rf"\bgrade {_WORD} ",
)
_ASKING_BEHIND = re.compile("|".join(_BEHIND))
_ASKING_BEFORE = re.compile(f"(?:{'|'.join(_BEFORE)})$")
_TIME_BEHIND = re.compile(rf"[ -]{TIME_UNIT}\b")
_DAY_BEFORE = re.compile(rf"\b(?:{MONTH}) (?:\S+ to )?$|\bten to the $")
_DAY_BEHIND = re.compile(rf" of (?:{MONTH})\b")


def in_figures(match: re.Match[str]) -> str:
    """A match of `ANY_NUMBER` in figures: ``two point five`` → ``2.5``; ``no one`` keeps its word."""
    from text_to_num import alpha2digit

    words = match.group()
    whole, point, decimals = words.partition("point ")
    if point:
        return f"{alpha2digit(whole, 'en', 0).strip() or 0}.{one_by_one(decimals)}"
    *before, last = re.split(r"(?<=[- ])", words)
    is_ordinal = last in _CARDINAL_OF
    cardinal = "".join(before) + _CARDINAL_OF.get(last, last)
    figures = alpha2digit(cardinal, "en", 0)
    if is_ordinal:  # text2num does not know "sixtieth"
        figures += _suffix(int(figures))
    is_small = re.fullmatch(r"\d(?:st|nd|rd|th)?", figures) is not None
    if is_small and not _asks_for_digit(match, figures):
        return words
    return re.sub(r"\d{5,}", _grouped, figures)


def _asks_for_digit(match: re.Match[str], figures: str) -> bool:
    before, behind = match.string[: match.start()], match.string[match.end() :]
    if not figures.isdigit():
        return bool(_DAY_BEFORE.search(before) or _DAY_BEHIND.match(behind))
    if figures != "1" and _TIME_BEHIND.match(behind):
        return True
    return bool(_ASKING_BEHIND.match(behind) or _ASKING_BEFORE.search(before))


def _suffix(value: int) -> str:
    return "th" if value % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")


def _grouped(match: re.Match[str]) -> str:
    value = int(match.group())
    if value and value % 1_000_000 == 0:
        return f"{value // 1_000_000:,} million"
    return f"{value:,}"


def one_by_one(words: str) -> str:
    """``oh eight three`` → ``083``."""
    return "".join("0" if word in ("zero", "oh") else str(1 + _ONES.index(word)) for word in words.split())


def small(words: str) -> int:
    """``nine`` → 9; ``twenty-four`` → 24; ``oh five`` → 5; ``hundred``, as of a clock, → 0."""
    value = 0
    for word in re.split("[ -]", words):
        if word in _TENS:
            value += 20 + 10 * _TENS.index(word)
        elif word in _TEENS:
            value += 10 + _TEENS.index(word)
        elif word in _ONES:
            value += 1 + _ONES.index(word)
    return value
