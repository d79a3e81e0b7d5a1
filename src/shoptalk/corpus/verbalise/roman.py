"""Roman numerals, by what stands before and behind them: ``IV`` is a line into a vein, a nerve, or a stage."""

import re

from shoptalk.corpus.verbalise.numbers import cardinal
from shoptalk.corpus.verbalise.rules import alternatives, rule

ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
_NUMERAL = alternatives(ROMAN)
_NUMERAL_BUT_I = alternatives(ROMAN[1:])
COUNTED = (
    r"(?i:type|stage|grade|class|phase|factor|level|category|group|zone|schedule|chapter|volume|part|act|NYHA|ASA|CN|"
    r"nerves?|leads?|Mobitz|Bethesda|Gustilo|Clark|Mallampati|Fitzpatrick|Salter-Harris|Le Fort|World War|KDIGO|FIGO)"
)
"""Words before a Roman numeral."""
_OF_TYPE_I = (
    "diabet|disease|cancer|melanoma|tumou?r|carcinoma|hypersens|hypertens|trial|study|stud|obes|heart|failure|angina|"
    "symptom|block|error|recommendation|antiarr|respir|and|or|to"
)
"""What follows "type I" where I is a number: "at this stage I recommend" is none."""


def _said(written: str) -> str:
    return cardinal(ROMAN.index(written) + 1)


def _alone(match: re.Match[str]) -> str:
    return _said(match.group())


def _counted(match: re.Match[str]) -> str:
    letter = f" {match[3].upper()}" if match[3] else ""
    return f"{match[1]} {_said(match[2])}{letter}"


def _in_a_row(match: re.Match[str]) -> str:
    words = re.sub(rf"\b(?:{_NUMERAL})\b", _alone, match.group())
    return re.sub(r"\s?-\s?", " to ", words.replace("/", " out of "))


NUMERALS = (
    rule("cranial nerves", r"\bCN(?=\s(?:[IVX]+|\d+)\b)", "cranial nerve", "CN VII palsy", "cranial nerve seven palsy"),
    rule(
        "ranges and scales",
        rf"\b(?:{_NUMERAL})(?:\s?[-/]\s?(?:{_NUMERAL})\b)+",
        _in_a_row,
        "nerves II-XII, a II/VI murmur",
        "nerves two to twelve, a two out of six murmur",
    ),
    rule(
        "several",
        rf"\b(?:{_NUMERAL_BUT_I})(?:(?:,? and | or | to |, )(?:{_NUMERAL_BUT_I})\b)+",
        _in_a_row,
        "nerves III, IV and VI",
        "nerves three, four and six",
    ),
    rule(
        "behind what is counted",
        rf"\b({COUNTED})[\s-]({_NUMERAL_BUT_I})([a-cA-C]?)\b",
        _counted,
        "stage IV, grade IIIb, Factor VIII",
        "stage four, grade three B, Factor eight",
    ),
    rule(
        "one, behind what is counted",
        rf"\b({COUNTED})\s(I)([a-cA-C]?)\b(?=[,.;:)]|$|\s(?:{_OF_TYPE_I}))",
        _counted,
        "type I diabetes; at this stage I rest",
        "type one diabetes; at this stage I rest",
    ),
    rule("alone", r"\b(?:II|III|VI|VII|VIII|IX|XI|XII)\b", _alone, "Rocky III", "Rocky three"),
)
"""Before the abbreviations: what is left of ``IV`` after these rules is spelled."""
