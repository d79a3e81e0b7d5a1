"""What a rule is, and how the rules of a table follow one another."""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

Replacement = str | Callable[[re.Match[str]], str]


class Rule(NamedTuple):
    """One thing that is put into other words."""

    name: str
    pattern: re.Pattern[str]
    replacement: Replacement
    example: tuple[str, str]
    """A text before and after *all* rules of the table; a test holds that this rule takes part in it."""


def rule(name: str, pattern: str, replacement: Replacement, before: str, after: str) -> Rule:
    return Rule(name, re.compile(pattern), replacement, (before, after))


def applied(rules: Iterable[Rule], text: str) -> str:
    """The text after the rules, each over the whole text."""
    for each in rules:
        text = each.pattern.sub(each.replacement, text)
    return " ".join(text.split())


def alternatives(words: Iterable[str]) -> str:
    """A pattern for any of these words, the longest first."""
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


def full_stop(match: re.Match[str]) -> str:
    """The full stop behind an abbreviation, where it also ends a sentence."""
    rest = match.string[match.end() :]
    ends_sentence = not rest.strip() or re.match(r"\s+[A-Z]", rest) is not None
    return "." if match.group().endswith(".") and ends_sentence else ""
