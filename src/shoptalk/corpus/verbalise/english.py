"""The rules of English, in their order."""

from shoptalk.corpus.verbalise import abbreviations, codes, dates, quantities, roman, signs
from shoptalk.corpus.verbalise.rules import rule

RULES = (
    *signs.ONE_WAY,
    *roman.NUMERALS,
    *abbreviations.ABBREVIATIONS,
    *quantities.POWERS,
    *dates.DATES,
    *dates.TIMES,
    *codes.CODES,
    *quantities.FRACTIONS,
    *signs.NAMES,
    *codes.BEFORE_QUANTITIES,
    *quantities.QUANTITIES,
    *codes.AFTER_QUANTITIES,
    *abbreviations.AFTER_DOSES,
    rule("a slash between letters", r"(?<=[A-Za-z])/(?=[A-Za-z])", " ", "and/or", "and or"),
)
"""Each runs over the whole text; what one has put into words has no digit left for the next."""
