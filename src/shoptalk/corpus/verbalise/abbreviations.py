"""Abbreviations: those that stand for words, and those whose letters are said one by one."""

import re

from shoptalk.corpus.verbalise.rules import alternatives, full_stop, rule
from shoptalk.corpus.verbalise.units import UNITS

LETTERS = tuple(
    # how doses are given
    "BID TID QID QD QOD QHS PRN PO NPO IV IM IVIG IVP IVF "
    # what a synthesiser would take for a word, because it has a vowel
    "ABG ABI ACL ADHD AFP AI AKI ALP ALS ALT ANA API APTT ASD AST ATM AUC AV AVM BUN CA CAD CEA CEO CIA COPD DIC EBV "
    "ECG EEG EF EKG EMG EMS ENT ERCP ESBL ESR ESRD EU FAQ FBI FEV GAD GI IBD IBS ICD ICP ICU ID INR IOP IUD IVC LAD "
    "LFT MI MMA MRA MRI NAD OCD ODT PCI PCOS PEA PSA PTSD RA RAE RCA ROS SAH SIADH SOB TAVR TEE TIA TNF TPA UA UK UN "
    "USA USB UTI VA VIP".split()
)
"""What is said letter by letter; names without a vowel are spelled by every synthesiser."""
_SPELLED = alternatives(LETTERS)
_EVERY = "h|hrs?|hours?|d|days?|wks?|weeks?|min|minutes?|mos?|months?"
_WORDS = {
    "s/p": "status post",
    "S/P": "status post",
    "c/o": "complains of",
    "h/o": "history of",
    "r/o": "rule out",
    "f/u": "follow up",
    "p/w": "presents with",
    "d/t": "due to",
    "b/c": "because",
    "b/l": "bilateral",
    "w/o": "without",
    "hx": "history",
    "Hx": "history",
    "dx": "diagnosis",
    "Dx": "diagnosis",
    "subq": "sub Q",
    "SubQ": "sub Q",
    "SQ": "sub Q",
}
_TITLES = {"Dr": "Doctor", "Mr": "Mister", "Mrs": "Missus", "Prof": "Professor"}


def _word(match: re.Match[str]) -> str:
    return _WORDS[match.group()]


def _title(match: re.Match[str]) -> str:
    return _TITLES[match[1]]


def _spelled(match: re.Match[str]) -> str:
    """``b.i.d.`` → ``B I D``; a full stop that ends the sentence stays."""
    letters = [letter.upper() for letter in match.group() if letter.isalpha()]
    return " ".join(letters) + full_stop(match)


def _spelled_after_dose(match: re.Match[str]) -> str:
    return match[1] + "".join(f" {letter}" for letter in match[2].upper() if letter.isalpha())


def _every(match: re.Match[str]) -> str:
    unit = match["unit"].lower()
    singular, plural = UNITS.get(unit, (unit.removesuffix("s"), unit.removesuffix("s") + "s"))
    words = f"every {singular}" if match["count"] == "1" else f"every {match['count']} {plural}"
    return words + full_stop(match)


def _meals(match: re.Match[str]) -> str:
    when = "before" if match.group()[0] in "aA" else "after"
    return f"{when} meals{full_stop(match)}"


def _aged(match: re.Match[str]) -> str:
    sex = {"M": " male", "F": " female"}.get(match[1] or "", "")
    return f"-year-old{sex}"


ABBREVIATIONS = (
    rule("for words", rf"(?<![\w/])(?:{alternatives(_WORDS)})(?![\w/])", _word, "s/p a fall", "status post a fall"),
    rule(
        "secondary to",
        r"(?<![\d/])2/2 (?=[a-z]+\b)(?!pulses|strength|of\b)",
        "secondary to ",
        "pain 2/2 a fall",
        "pain secondary to a fall",
    ),
    rule("with", r"\bw/\s?(?=\w)", "with ", "w/ food", "with food"),
    rule("titles", rf"\b({alternatives(_TITLES)})\b\.?(?=\s[A-Z])", _title, "Dr. Smith", "Doctor Smith"),
    rule("versus", r"\bvs\b\.?", "versus", "this vs. that", "this versus that"),
    rule("for example", r"\be\.g\.", "for example", "e.g. rest", "for example rest"),
    rule("that is", r"\bi\.e\.", "that is", "i.e. rest", "that is rest"),
    rule("number", r"\bNo\.\s?(?=\d)", "number ", "No. 4", "number four"),
    rule("ages", r"(?<=\d)[ -]?(?:y[/.]?o\b\.?)(?:\s([MF])\b)?", _aged, "a 65 y.o. F", "a sixty-five-year-old female"),
    rule(
        "age and sex",
        r"\b(\d{1,3}) ?([MF])\b(?=\s(?:with|who|presents|presenting|here|admitted|complains|status|history|on|in)\b)",
        lambda match: f"{match[1]}-year-old {'male' if match[2] == 'M' else 'female'}",
        "45M with pain",
        "forty-five-year-old male with pain",
    ),
    rule(
        "every so often",
        rf"\b[Qq]\.?\s?(?P<count>\d+(?:-\d+)?)\s?(?P<unit>(?i:{_EVERY}))\b\.?",
        _every,
        "q4-6h, Q8H, q1h",
        "every four to six hours, every eight hours, every hour",
    ),
    rule(
        "every one",
        r"\bq\.?\s?(day|night|shift|week|wk|month|morning|evening)\b",
        lambda match: f"every {UNITS.get(match[1], (match[1],))[0]}",
        "qweek, q shift",
        "every week, every shift",
    ),
    rule(
        "every morning",
        r"\b[Qq]\.?\s?([AP])\.?M\b\.?",
        lambda match: f"every {'morning' if match[1] == 'A' else 'evening'}",
        "5 mg qAM",
        "five milligrams every morning",
    ),
    rule("meals", r"\b[aApP]\.c\.", _meals, "30 minutes a.c.", "thirty minutes before meals."),
    rule(
        "letters with points",
        r"\b(?i:b\.i\.d|t\.i\.d|q\.i\.d|q\.o\.d|q\.h\.s|p\.r\.n|q\.d|n\.p\.o|p\.o|i\.v|i\.m)\b\.?",
        _spelled,
        "5 mg p.o. b.i.d. Then rest.",
        "five milligrams P O B I D. Then rest.",
    ),
    rule("small letters", r"\b(?:tid|qid|qod|qhs|qHS|prn|npo|qd)\b", _spelled, "rest prn", "rest P R N"),
    rule(
        "small letters of a vein",
        r"\biv\b(?=\s(?:fluids?|antibiotics|abx|push|drip|bolus|access|lines?|infusion|contrast))",
        _spelled,
        "iv fluids",
        "I V fluids",
    ),
    rule("augmented leads", r"\baV([RLF])\b", r"A V \1", "leads II and aVF", "leads two and A V F"),
    rule("capitals", rf"(?<![A-Za-z.])(?:{_SPELLED})(?![A-Za-z])", _spelled, "INR and FEV1", "I N R and F E V one"),
    rule(
        "their plurals",
        rf"(?<![A-Za-z.])({_SPELLED})(?<![AEIOU])s\b",
        lambda match: f"{' '.join(match[1])}s",
        "ECGs",
        "E C Gs",
    ),
)
"""After the Roman numerals."""

AFTER_DOSES = (
    rule(
        "small letters behind a dose",
        r"((?:gram|liter|unit|tablet|capsule|pill|puff|drop)s?|percent|P O|I V)\s(po|bid|iv|im|sl)\b",
        _spelled_after_dose,
        "5 mg po",
        "five milligrams P O",
    ),
    rule(
        "small letters behind these",
        r"(\b(?:P O|I V|I M)) (bid|iv|im)\b",
        _spelled_after_dose,
        "5 mg po bid",
        "five milligrams P O B I D",
    ),
)
"""After the units."""
