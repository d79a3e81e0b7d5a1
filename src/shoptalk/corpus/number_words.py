"""Numbers in English words: cardinals, ordinals, decimals, years, and digits one by one; and the months."""

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
_SCALES = ((1_000_000_000, "billion"), (1_000_000, "million"), (1_000, "thousand"), (100, "hundred"))
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
"""Of the last word of a cardinal, where "th" behind it is not enough."""


def cardinal(value: int) -> str:
    """``1250`` → ``one thousand two hundred fifty``."""
    for size, name in _SCALES:
        if value >= size:
            count, rest = divmod(value, size)
            words = f"{cardinal(count)} {name}"
            return f"{words} {cardinal(rest)}" if rest else words
    if value < 20:
        return _ONES[value]
    tens, ones = divmod(value, 10)
    return f"{_TENS[tens]}-{_ONES[ones]}" if ones else _TENS[tens]


def ordinal(value: int) -> str:
    """``21`` → ``twenty-first``; ``0`` → ``zeroth``."""
    words = cardinal(value)
    start = max(words.rfind("-"), words.rfind(" ")) + 1
    last = words[start:]
    if last in _ORDINALS:
        last = _ORDINALS[last]
    elif last.endswith("y"):
        last = last.removesuffix("y") + "ieth"
    else:
        last += "th"
    return words[:start] + last


def number(written: str) -> str:
    """``2.5`` → ``two point five``; ``.5`` → ``point five``; ``1,250`` → ``one thousand two hundred fifty``."""
    whole, point, decimals = written.replace(",", "").partition(".")
    words = [cardinal(int(whole))] if whole else []
    if point:
        words += ["point", digits(decimals)]
    return " ".join(words)


def digits(written: str) -> str:
    """Each digit by itself: ``555-0134`` → ``five five five zero one three four``."""
    return " ".join(_ONES[int(digit)] for digit in written if digit in "0123456789")


def year(value: int) -> str:
    """``1998`` → ``nineteen ninety-eight``; ``2005`` → ``two thousand five``; from 1000 to 2999."""
    century, rest = divmod(value, 100)
    if century % 10 == 0 and rest < 10:
        return cardinal(value)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    if rest < 10:
        return f"{cardinal(century)} oh {_ONES[rest]}"
    return f"{cardinal(century)} {cardinal(rest)}"


def decade(value: int) -> str:
    """``80`` → ``eighties``; ``1980`` → ``nineteen eighties``; ``2000`` → ``two thousands``."""
    words = year(value) if value >= 1000 else cardinal(value)
    return words.removesuffix("y") + "ies" if words.endswith("y") else words + "s"
