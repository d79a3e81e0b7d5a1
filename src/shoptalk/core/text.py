"""The one meaning of "a word": what is counted as equal when a transcript is compared with a reference.

The rules are the Whisper English normaliser (package whisper-normalizer, MIT), on which the Open ASR Leaderboard's
protocol is built (docs/scoring.md says where it went on), between two layers of our own for dictation. What to expect:

- Case, punctuation, hyphens, accents, "um" and British spellings do not count; ``beta-blocker`` is two words.
- Words between brackets are dropped on both sides. ``'s`` becomes ``is`` (``Crohn's`` → ``crohn is``).
- Numbers are digits: ``five hundred`` = ``500``, ``one`` = ``1``, ``two and a half`` = ``2.5``, ``first`` = ``1st``.
- A number stands apart from letters: ``HbA1c`` → ``hba 1 c``; ``A1c``, ``A 1 C`` and ``a one c`` → ``a 1 c``.
- A lone letter ``o`` is a zero, as in "one oh two"; `shoptalk.core.terms` allows for it. The ``o`` of O2 is a letter.

Our layers make what dictation writes in several ways the same words:

- Letters that are spelled are their word (``E C G``, ``E.C.G.`` → ``ecg``; ``C O two`` → ``co 2``), but for "a" and
  "I" beside another letter (``a C T scan`` → ``a ct scan``), stutters, and letters that make a short word (``b e``).
- Fractions, ratios, full hours and days have one form: ``3/4`` = ``three quarters`` → ``3 over 4``, ``1:1000`` → ``1 to
  1000``, ``8:00`` = ``eight o'clock`` → ``8 oclock``, ``the fifth of March`` = ``March 5`` → ``march 5th``.
- Units are one word, in the singular behind a number (``mg`` = ``milligrams`` → ``milligram``), ``/`` between them is
  ``per``, signs have their names (``%``, ``°C``, ``&``, ``<5``, ``2+``), ``120/80`` = ``120 over 80``, ``2-3`` = ``2 to
  3``, ``½`` = ``half``, ``8:30`` = ``eight thirty``, ``type II`` = ``type 2``.
- Letters that stand for words are those words: ``BID`` = ``twice a day`` → ``twice daily``, ``q8h`` → ``every 8 hour``,
  ``PO`` → ``by mouth``, ``PRN`` → ``as needed``, ``s/p`` → ``status post``. What can be read in two ways stays
  (``O.D.``, ``d/c``, ``h.s.``), and so do words that differ in sound (``cc``/``mL``, ``IV``/``intravenous``).

They keep the words of ordinary text as the leaderboard counts them, units and times aside. Every rule has a line in
``tests/golden/clinical_words.tsv``.

`words` is idempotent: the words of joined words are those words.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, Protocol

Rules = Literal["clinical", "leaderboard"]
"""``leaderboard``: the Whisper English normaliser and nothing of ours; ``clinical``: between our two layers."""

_PASSES = 8
"""At most this often is a text normalised until it stays as it is; two passes nearly always do."""

_UNITS: dict[str, tuple[str, str]] = {
    # one word: (forms that always mean it, forms that mean it only after a number or "per")
    "nanogram": ("ng nanograms", ""),
    "microgram": ("mcg mcgs μg ug micrograms microgramme microgrammes", ""),
    "milligram": ("mg mgs milligrams milligramme milligrammes", ""),
    "gram": ("grams gramme grammes gm gms", "g"),
    "kilogram": ("kg kgs kilograms kilo kilos", ""),
    "pound": ("lb lbs", "pounds"),
    "ounce": ("oz", "ounces"),
    "microliter": ("mcl μl ul microliters microlitre microlitres", ""),
    "milliliter": ("ml mls milliliters millilitre millilitres", ""),
    "deciliter": ("dl deciliters decilitre decilitres", ""),
    "liter": ("liters litre litres", "l"),
    "millimeter": ("millimeters millimetre millimetres", ""),
    "centimeter": ("cm cms centimeters centimetre centimetres", ""),
    "inch": ("", "inches"),
    "micromole": ("μmol umol mcmol micromoles", ""),
    "millimole": ("mmol mmols millimoles millimol", ""),
    "milliequivalent": ("meq meqs milliequivalents", ""),
    "unit": ("", "units u"),
    "tablet": ("", "tablets tabs tab"),
    "capsule": ("", "capsules caps cap"),
    "seconds": ("", "sec secs"),  # "second" is 2nd
    "minute": ("", "min mins minutes"),
    "hour": ("", "hours hr hrs h"),
    "day": ("", "days"),
    "week": ("", "weeks wk wks"),
    "month": ("", "months mos"),
    "year": ("", "years yr yrs"),
}
UNITS = frozenset(_UNITS)
"""The units, as `words` writes them."""
_ALWAYS = {form: unit for unit, (always, _) in _UNITS.items() for form in always.split()}
_AFTER_NUMBER = {form: unit for unit, (_, after) in _UNITS.items() for form in after.split()}

_SLASH_UNITS = "|".join(sorted([*_UNITS, *_ALWAYS, *_AFTER_NUMBER, "h", "day", "dose", "mm", "beats"], key=len)[::-1])
_PARTS_OF = "(?:tablet|tab|pill|capsule|dose|liter|litre|gram|mg|milligram|normal|strength)"
_DIGITS_IN_WORDS = (
    "(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen|"
    "(?:twen|thir|for|fif|six|seven|eigh|nine)ty)"
)
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii")
_NUMERALS = "|".join(_ROMAN[:0:-1])  # never a lone "i": "the type I like"
_AFTER_I = "diabet|hypersens|hypert|cancer|disease|obes|heart|block|antiarr|respir|error|recomm"


def _arabic(match: re.Match[str]) -> str:
    return f"{match[1]} {_ROMAN.index(match[2]) + 1}"


_NUMBER_WORD = rf"(?:zero|oh|{_DIGITS_IN_WORDS[3:-1]}|hundred|thousand|million)"
_FRACTIONS = {"third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10, "twelfth": 12}
"""What one is divided by; ``half`` has rules of its own."""
_PART = "|".join(_FRACTIONS)
_BELOW_TWELVE = "one two three four five six seven eight nine ten eleven".split()
_ABOVE = rf"{'|'.join(_BELOW_TWELVE)}|1?\d"
_DIVISORS = "(?:3|4|5|6|8|10|12|16)"
_MONTHS = "january|february|march|april|june|july|august|september|october|november|december"
_COUNTED = "weeks?|days?|months?|years?|hours?|minutes?|times|mg|of|to|or|and|out|tablets?|patients?|people|point"

_NO_ACRONYMS = frozenset("be do go he hm me mm my no of oh on or so to uh um we".split())
"""What letters that stand side by side may make by chance."""
_WITH_NUMBERS = frozenset("ca il".split())
"""Acronyms only before a number (``CA 125``)."""
_WITH_A_OR_I = frozenset("af av ca ie il iv mi pa ra ua".split())
"""Acronyms of two letters with an "a" or "i"; in other pairs that may be an article or a pronoun."""
_BEGINS_WITH_A = frozenset(
    "abc abg ace acei acl acs acth adhd adl aed afb afp aids aki alp als alt anc apap ards asd ast".split()
)
"""Longer acronyms with an "a" in front; in front of other letters that is an article (``a c t scan``)."""


def _acronym(match: re.Match[str]) -> str:
    """Letters that are spelled one by one, as the word that they make."""
    letters = re.split("[ -]", match[0])
    joined = "".join(letters)
    before, behind = match.string[: match.start()], match.string[match.end() :]
    stuttered = set(letters) <= {"a", "i"} or letters[0] == letters[-1] == "i"
    if stuttered or joined in _NO_ACRONYMS:
        return match[0]
    if joined in _ALWAYS and not re.search(rf"(?:\d|\b{_NUMBER_WORD})[ -]$", before):
        return match[0]  # initials of a name
    if joined in _WITH_NUMBERS and not re.match(rf"[ -](?:\d|{_NUMBER_WORD}\b)", behind):
        return match[0]
    if len(letters) == 2 and {"a", "i"} & set(letters) and joined not in _WITH_A_OR_I:
        return match[0]
    if len(letters) > 2 and letters[0] == "a" and joined not in _BEGINS_WITH_A:
        return "a " + joined[1:]
    return joined


def _oxygen(match: re.Match[str]) -> str:
    """The letter of O2, which is a zero behind a number, as in "one o two"."""
    return match[0] if match[1] else "letteroh 2"


def _divided(match: re.Match[str]) -> str:
    below = _FRACTIONS[match[2]]
    above = int(match[1]) if match[1].isdigit() else _BELOW_TWELVE.index(match[1]) + 1
    return f"{above} over {below}" if above < below else match[0]


def _and_divided(match: re.Match[str]) -> str:
    return f"{match[1]} and 1 over {_FRACTIONS[match[2]]}"


def _thousands(match: re.Match[str]) -> str:
    return match[1] + match[2].replace(" ", "")


def _power(match: re.Match[str]) -> str:
    exponent = {"six": "6", "nine": "9", "twelve": "12"}.get(match[1], match[1])
    return f"10 to the {exponent}th"


def _day_of_month(match: re.Match[str]) -> str:
    day = int(match["day"] or match["day_before"])
    if not 1 <= day <= 31:
        return match[0]
    suffix = "th" if day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{match['month'] or match['month_behind']} {day}{suffix}"


_Rules = tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]


def _compiled(*rules: tuple[str, str | Callable[[re.Match[str]], str]]) -> _Rules:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in rules)


_RAW = _compiled(  # while capitals and compatibility forms are there
    (r"[\u00ad\u200b-\u200d\u2060\ufeff]", ""),
    (r"[‘’ʼ]", "'"),
    (r"(?<=\d)(?=[¼½¾⅓⅔])", " "),
    (r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))", ""),  # 100 000
    (r"m²", "m^2"),
    (r"10⁶", "10^6"),
    (r"10⁹", "10^9"),
    (r"10¹²", "10^12"),
    (r"(?<=\w)(?=[⁰¹²³⁴-⁹₀-₉])", " "),
    (r"\bBID\b", "twice daily"),  # a bid is a word
)
_BEFORE = _compiled(
    (r"(\d{30})(?=\d)", r"\1 "),  # a hallucinated run of digits is not one number
    (r"[−–—‐]", "-"),
    (r"⁄", "/"),
    # what a symbol is called
    (r"\s*%|\bper\s?cent\b", " percentsign "),  # the normaliser would drop the sign in "6.5 %" and "1%"
    (rf"(?<=\d)\s(?={_DIGITS_IN_WORDS}\b)", " numberbreak "),  # and read "B12 one" as 121
    (r"°\s*c\b|(?<=\b3[4-9]\.\d)\s?c\b", " degrees celsius"),
    (r"°\s*f\b|(?<=\b9\d\.\d)\s?f\b|(?<=\b10\d\.\d)\s?f\b", " degrees fahrenheit"),
    (r"°", " degrees "),
    (r"\s*&\s*", " and "),
    (r"[≥⩾]|>=", " greater than or equal to "),
    (r"[≤⩽]|<=", " less than or equal to "),
    (r">(?=\s?\d)", " greater than "),  # the normaliser would drop what stands between "<" and ">"
    (r"<(?=\s?\d)", " less than "),
    (r"±|\+/-", " plus or minus "),
    (r"(?<=\d)\+(?![\d/])", " plus "),
    (r"×", "x"),
    (r"\b10\s?\^\s?(6|9|12)\b", r"10 to the \1th"),
    (r"(?:/|\bper )\s?m\^?2\b|\bper meter squared\b", " per square meter"),
    (r"\bcm\^2", "square centimeter"),
    # letters for words
    (r"\bb\.\s?i\.\s?d\b\.?|\bb i d\b|(?<=\bmouth )bid\b|(?<=\bpo )bid\b|(?<=\bmg )bid\b", "twice daily"),
    (r"\btid\b|\bt i d\b|\bt\.\s?i\.\s?d\b\.?", "3 times daily"),
    (r"\bq\.?\s?i\.?\s?d\b\.?", "4 times daily"),
    (r"\bq\.?\s?d\b\.?", "once daily"),
    (r"\bq\.?\s?o\.?\s?d\b\.?|\bq 0 d\b", "every other day"),
    (r"\bq\.?\s?h\.?\s?s\b\.?", "at bedtime"),
    (r"\bq\.?\s?a\.?\s?m\b\.?", "every morning"),
    (r"\bq\.?\s?p\.?\s?m\b\.?", "every evening"),
    (r"\bq\s?(day|night|week|month|shift)\b", r"every \1"),
    (r"\bq\.?\s?(\d+(?:\s?(?:-|to)\s?\d+)?)[\s-]?(?:h|hr|hrs|hours?)\b", r"every \1 hours"),
    (r"\bp\.?\s?r\.?\s?n\b\.?", "as needed"),
    (
        r"\bp\.\s?o\b(?!\.? box)\.?|\bpo\b(?! box| ?2\b)|\bp [o0](?= (?:twice|once|daily|every|\d times|[bq]))",
        "by mouth",
    ),
    (r"\bs/p\b", "status post"),
    (r"\bh/o\b", "history of"),
    (r"\br/o\b", "rule out"),
    (r"\bf/u\b", "follow up"),
    (r"\bw/o\b", "without"),
    (r"\bw/(?=\s)", "with"),
    (r"\bvs\b\.?", "versus"),
    (r"(?<=\d)[\s-]*y[./ ]?o\b\.?", " year old"),
    (r"(?<=\d)\s?a\.?\s?m\b\.?", " am"),
    (r"(?<=\d)\s?p\.?\s?m\b\.?", " pm"),
    (
        r"(?<![\w.])(?!(?:d\.r|j\.r|s\.r|s\.t|m\.r|l\.t|m\.m|u\.h|u\.m)\b)([a-z])\.([a-z])\b(?:\.(?![a-z])|(?!\.))",
        r"\1\2",
    ),
    (r"(?<![\w.])([a-z])\.([a-z])\.([a-z])\b(?:\.(?![a-z])|(?!\.))", r"\1\2\3"),
    (r"(?<![\w.])([a-z])\.([a-z])\.([a-z])\.([a-z])\b\.?", r"\1\2\3\4"),
    (
        r"(?<![\w'.-])[a-z](?:(?:[ -][a-z])+ (?!as|is|us)[a-z]s|(?:[ -][a-z])+)(?![\w'])",
        _acronym,
    ),
    (r"\bhb[ -]a(?=[ -]?(?:1|one)[ -]?c\b)", "hba"),
    (rf"(\b{_NUMBER_WORD}[ -]|\d[ -]?)?\bo[ -]?(?:2|two)\b(?![ -](?:\d|{_NUMBER_WORD}))", _oxygen),
    # units
    (r"\bmm\s*hg\b|\bmilli(?:meters|metres|meter|metre) of mercury\b", "mmhg"),
    (r"(?<=\d)(\s*|-)mm\b", " millimeter"),  # the normaliser takes "mm" for a hum
    (r"\bbpm\b", "beats per minute"),
    (r"(?<=\d)\s?i\.?u\b\.?|\binternational units\b", " international unit"),
    (rf"(?<![a-z])({_SLASH_UNITS})\s?/\s?(?=(?:{_SLASH_UNITS})\b)", r"\1 per "),
    (r"(?<=th)\s?/\s?l\b", " per liter"),
    (r"\bper h\b", "per hour"),
    # groups of numbers
    (r"(?<![\d/.])(\d{2,3})/(\d{2,3})(?![\d/])", r"\1 over \2"),  # blood pressure
    (r"\b(pain|severity|intensity|rated|scored?)((?:\s\w+){0,2}\s)(\d|10)/10\b", r"\1\2\3 out of 10"),
    (r"\b(\d|10)/10(?=\s(?:pain|in (?:severity|intensity)))", r"\1 out of 10"),
    (r"(?<![\w.-])(\d+(?:\.\d+)?)\s?-\s?(\d+(?:\.\d+)?)(?![\d/-])", r"\1 to \2"),  # a range
    (r"(?<![\d/.])(\d+)[\s-](?:and )?1/2(?![\d/])", r"\1.5"),
    (r"(?<![\d/.])(\d+) and a half\b", r"\1.5"),
    (r"(?<!and )\b(?:one|1)[ -]half\b", "half"),
    (rf"\b({_DIGITS_IN_WORDS}|\d+) and (?:a|one|1)[ -]({_PART})\b", _and_divided),
    (rf"(?<![\d.,])\b({_ABOVE})[ -]({_PART})s\b", _divided),
    (rf"\b(one|1)[ -]({_PART})\b", _divided),
    (rf"(?<![\w/.,:-])(\d+) (\d{{1,2}})/({_DIVISORS})(?![\w/-])", r"\1 and \2 over \3"),
    (r"(?<!grade )(?<![\w/.-])(?!24/7|1/2(?!\d))(\d{1,2})/(\d{1,3})(?![\w/-]|\.\d)", r"\1 over \2"),
    (r"\btwenty[ -]four[ -]seven\b", "24/7"),
    (r"(?<![\d.,])(\d{1,3})((?: 000)+)(?![\d.,])", _thousands),
    (r"(?<![\d:])(\d+):(\d{1,3}(?:,\d{3})+|\d{3,})(?![\d:])", r"\1 to \2"),
    (r"(?<=\d)'s\b", "s"),
    (r"\bninth\b", "nineth"),  # as the normaliser spells it
    (r"\b(?:nought|naught)\b", "zero"),
    (r"\bo'?\s?clock\b", "oclock"),
    (r"\b(?:10|ten) to the (?:power of )?(six|nine|twelve|6|9|12)\b", _power),
    (
        rf"\b(?P<month>{_MONTHS}) (?:the )?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?![./:%-]\d| (?:{_COUNTED})\b)"
        rf"|(?:\bthe )?\b(?P<day_before>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? (?P<month_behind>{_MONTHS})\b",
        _day_of_month,
    ),
    (r"(?<![\d/.])1/2(?![\d/])", "half"),
    (rf"\b(?<!and )(?:a|one|1)[ -]half(?= (?:(?:a|of a|of one) )?{_PARTS_OF})", "half"),
    (rf"\bhalf (?:of )?(?:a|an|one|1) (?={_PARTS_OF})", "half "),
    (r"\ba (?=(?:hundred|thousand|million)\b)", "one "),
    (r"(?<![\d:])([01]?\d|2[0-4]):00(?=\s[ap]m\b)", r"\1"),
    (r"(?<![\d:.])([1-9]|1[0-2]):00(?![:\d])", r"\1 oclock"),
    (r"(?<![\d:])([01]?\d|2[0-4]):([0-5]\d)(?![\d:])", r"\1\2"),
    (r"(?<=\d)\s?x\s?(?=\d[\d.]*\s?(?:x|by|cm|mm|centim|millim|inch))", " by "),
    (r"(?<=\d)\s?x\s?(?:/|per|a|)\s?(?:day|daily)\b", " times daily"),
    (r"(?<=\d)\s?x\s?(?=\d)|(?<![\w-])x\s?(?=\d)", " times "),
    (r"(?<=[iv])/vi\b", "/6"),  # a murmur
    (rf"\b(type|stage|grade|class|phase|factor|level|mobitz|lead|nerves?)\s({_NUMERALS})(?=[a-d]?\b)", _arabic),
    (rf"\b(type|stage|grade|class|phase)\s(i)(?=/6| (?:{_AFTER_I}))", _arabic),
    (r"(?<!\S)-(?=\.?\d)", "minus "),
    (r"(?<!\S)\+(?=\.?\d)", "plus "),
)
_AFTER = _compiled(
    (r"\bone(s?)\b", r"1\1"),  # the normaliser writes "one" for 1, and so "one.5"
    (r"(?<!\S)-(?=[\d.])", "minus "),
    (r"(?<!\S)\+(?=[\d.])", "plus "),
    (r"(?<![\d.])\.(?=\d)", "0."),
    (r"\b10 to the ninth\b", "10 to the 9th"),  # the normaliser does not know the word
    (r"(?<=\d) percentsign\b", "%"),
    (r"\bpercentsign\b", "percent"),
    (r"\bnumberbreak ?", ""),
    (r"\bletteroh\b", "o"),
    (r"£(\d+(?:\.\d+)?)(?!\S)", r"\1 pound"),
    (r"\b(once|twice|times) (?:a|per|each|every) day\b", r"\1 daily"),
    (r"(?<!\S)1 times? daily\b", "once daily"),
    (r"(?<!\S)2 times daily\b", "twice daily"),
)


class _Normaliser(Protocol):
    def __call__(self, s: str, /) -> str: ...


_NUMBER = re.compile(r"\d+(\.\d+)?")


def words(text: str, rules: Rules = "clinical") -> list[str]:
    """The words of a text as they are compared and counted; empty for a text without any."""
    return list(_words(text)) if rules == "clinical" else _whisper()(text).split()


def words_unkept(text: str) -> list[str]:
    """As `words`, but no cache keeps the text: for what was dictated to a service."""
    return list(_words.__wrapped__(text))


def characters(text: str, rules: Rules = "clinical") -> str:
    """The text as it is compared by character: its words, one space between."""
    return " ".join(words(text, rules))


@lru_cache(maxsize=65_536)
def _words(text: str) -> tuple[str, ...]:
    for _ in range(_PASSES):
        normalised = _pass(text)
        if normalised == text:
            break
        text = normalised
    return tuple(text.split())


def _pass(text: str) -> str:
    text = text.lower() if text.isupper() and " " in text else text
    for pattern, replacement in _RAW:
        text = pattern.sub(replacement, text)
    text = unicodedata.normalize("NFKC", text).lower()
    for pattern, replacement in _BEFORE:
        text = pattern.sub(replacement, text)
    text = _whisper()(text)
    for pattern, replacement in _AFTER:
        text = pattern.sub(replacement, text)
    return _with_units(text.split())


def _with_units(tokens: list[str]) -> str:
    named: list[str] = []
    for place, token in enumerate(tokens):
        after_number = bool(named) and (named[-1] in ("per", "half") or _NUMBER.fullmatch(named[-1]) is not None)
        # "L4-L5" is not four liters
        before_number = token == "l" and _NUMBER.fullmatch("".join(tokens[place + 1 : place + 2])) is not None
        if token in _ALWAYS:
            token = _ALWAYS[token]
        elif after_number and not before_number:
            token = _AFTER_NUMBER.get(token, token)
        named.append(token)
    return " ".join(named)


@lru_cache(maxsize=1)
def _whisper() -> _Normaliser:
    from whisper_normalizer.english import EnglishTextNormalizer  # takes 0.1 s, so only when a text comes

    normaliser: _Normaliser = EnglishTextNormalizer()
    return normaliser
