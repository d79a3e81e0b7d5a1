"""What a language model answers instead of a dictation: refusals, remarks, lists, markup, halves of sentences."""

import re
from collections import Counter

_REFUSAL = re.compile(
    r"\b(?:I(?:['’]m| am) (?:sorry|unable|not able)|language model|as an? (?:AI|artificial)\b|apologi[sz]e"
    r"|(?:I|we) (?:can(?:not|['’]t| not)|won['’]t|will not|must decline to) (?:\w+ )?"
    r"(?:write|provide|assist|help|create|generate|comply|fulfil|produce|answer|do (?:that|this)|share)"
    r"|against (?:my|our) (?:guidelines|polic)|content polic|not a substitute for"
    r"|consult (?:a|your|with a) (?:licensed|qualified|healthcare|medical|doctor|physician)"
    r"|(?:give|provide|offer|professional) medical advice)",
    re.IGNORECASE,
)
_REMARK = re.compile(
    r"^\W*(?:sure|certainly|of course|absolutely|okay|ok|great|no problem|gladly|understood)\b\s*[!,.:;—-]"
    r"|\bhere(?:['’]s| is| are)\b.{0,60}?(?:sentence|dictation|note|version|example|text|entr)"
    r"|\blet me know|\bI hope (?:this|that|these)|\bfeel free|\bas (?:you )?requested|\bhappy to help"
    r"|\bwould you like (?:me|more|another)|\bif you (?:need|want|would like) (?:more|any|another|me|a )"
    r"|\b(?:these|this|the (?:two|three|four|above|following)) (?:sentences?|dictations?)\b"
    r"|\bI(?:['’]ve| have) (?:written|included)",
    re.IGNORECASE,
)
_LIST = re.compile(
    r"^\s*(?:[-*•‣▪◦–—+>]|\(?\d{1,2}[.):\]]|\(?[A-Za-z][.)]|\(?[ivx]{1,4}[.)]"
    r"|(?:Step|Sentence|Item|Option|Dictation|Line|First|Second)\s*\d*\s*:)\s+"
    r"|(?:^|[.!?:]\s+)\(?\d[.)]\s+[A-Z]",
    re.MULTILINE,
)
_HEADING = re.compile(r"(?:^|[.!?]\s)\s*[A-Z][A-Za-z/&' -]{0,40}:(?=\s|$)", re.MULTILINE)
_MARKUP = re.compile(r"[{}\[\]*_#`|\\~]|</?[A-Za-z!]|\bhttps?:|&\w+;")
_QUOTED = re.compile(r"[\"“”„«»]|^\s*['‘]")
_PLACEHOLDER = re.compile(r"\bX{2,}\b|\bJohn Doe\b|\bJane Doe\b|\binsert\b.{0,20}\bhere\b", re.IGNORECASE)
_SPOKEN_SIGNS = frozenset(".,;:!?'’()/%+-–—&<>=≤≥±°½¼¾×²³$")
_ENGLISH = frozenset(
    "the a an of and is was are were be been to in on at for with without not he she his her they we i it this that "
    "after before while had has have will there from by as if when until then today".split()
)
_FOREIGN = frozenset(
    "der das und ist nicht mit eine einen wurde wird bei nach auf ein ohne le les des est une dans pour avec du sur et "
    "il elle el los las con por para que del se fue y es una gli della che nel sono di os um uma com não foi het een "
    "van niet werd och att som på har ett".split()
)
"""Of the languages that models fall into, the commonest words that are none in English."""


def fault(answer: str) -> str:
    """The kind of what is wrong with an answer, whatever was asked for; empty if it may be a dictation.

    >>> fault("Sure! Here are two sentences. He was well.")
    'remark'
    """
    text = answer.strip()
    last = text.rstrip("'’)")[-1:]
    checks = (
        ("empty", not text),
        ("refusal", _REFUSAL.search(text) is not None),
        ("list", _LIST.search(text) is not None),
        ("markup", _MARKUP.search(text) is not None),
        ("remark", _REMARK.search(text) is not None),
        ("heading", _HEADING.search(text) is not None),
        ("quotation marks", _QUOTED.search(text) is not None),
        ("placeholder", _PLACEHOLDER.search(text) is not None),
        ("another language", _is_foreign(text)),
        ("signs that nobody speaks", any(not _is_spoken(character) for character in text)),
        ("cut off", last not in (".", "!", "?")),
        ("repeated sentence", _repeats(text)),
    )
    return next((kind for kind, is_wrong in checks if is_wrong), "")


def chatter(line: str) -> str:
    """``refusal`` or ``remark`` for a line in which a model speaks of itself or its answer; else empty.

    >>> chatter("Sure, here are five sentences with {drug}.")
    'remark'
    """
    if _REFUSAL.search(line):
        return "refusal"
    return "remark" if _REMARK.search(line) else ""


def told(refused: Counter[str]) -> str:
    """``12 refusal, 3 cut off``: how many of which kind, the commonest first."""
    return ", ".join(f"{count} {kind}" for kind, count in refused.most_common())


def _is_spoken(character: str) -> bool:
    return character.isspace() or character in _SPOKEN_SIGNS or character.isalnum()


def _is_foreign(text: str) -> bool:
    """Whether it has letters beyond Latin and Greek, or more of other languages' common words than of English ones."""
    if any(character.isalpha() and ord(character) > 0x3FF for character in text):
        return True
    words = re.findall(r"\w+", text.lower())
    english = sum(word in _ENGLISH for word in words)
    foreign = sum(word in _FOREIGN for word in words)
    return foreign > english


def _repeats(text: str) -> bool:
    sentences = [" ".join(re.findall(r"\w+", sentence.lower())) for sentence in re.split(r"[.!?]\s", text)]
    return len(set(sentences)) < len(sentences)
