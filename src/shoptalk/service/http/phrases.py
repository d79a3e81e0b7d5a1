"""The phrases that a request makes more likely: its keywords, its prompt's telling words, and its named vocabularies.

What is left out is told in a warning by its place in the list, never by its text.
"""

import re
from collections.abc import Iterable, Sequence

from shoptalk.core.errors import BoostError
from shoptalk.core.protocols import MAX_CHARACTERS, Phrase
from shoptalk.service.problems import Problem

LIST_WORDS = 5
"""Words of a prompt's item, at most, that is taken as a phrase; a longer one is prose."""
_ITEMS = re.compile(r"[,;\n\t|•]+")
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")
_WORD = re.compile(r"[^\W_](?:[\w'’./%+-]*[^\W_]|[%+])?")


def merged(lists: Iterable[Sequence[Phrase]], *, most: int) -> tuple[Phrase, ...]:
    """The phrases of all lists, each once, with its greatest weight; `Problem` 400 for more than `most`."""
    weight_of: dict[str, Phrase] = {}
    for phrase in (phrase for phrases in lists for phrase in phrases):
        key = phrase.text.casefold()
        if key not in weight_of or weight_of[key].weight < phrase.weight:
            weight_of[key] = phrase
    if len(weight_of) > most:
        message = f"{len(weight_of)} phrases are too many; send {most} at most"
        raise Problem(400, message, code="too_many_phrases", param="keywords")
    return tuple(weight_of.values())


def of_keywords(keywords: Sequence[str], *, weight: float) -> tuple[tuple[Phrase, ...], tuple[str, ...]]:
    """A phrase for each keyword, and a warning for each that cannot be one."""
    phrases = []
    warnings = []
    for number, keyword in enumerate(keywords, start=1):
        try:
            phrases.append(Phrase(" ".join(keyword.split()), weight))
        except BoostError:
            why = "is empty" if not keyword.strip() else f"has more than {MAX_CHARACTERS} characters"
            warnings.append(f"keyword {number} {why} and is left out")
    return tuple(phrases), tuple(warnings)


def of_prompt(prompt: str, *, weight: float) -> tuple[Phrase, ...]:
    """The telling words of a prompt.

    Of a list, each item is a phrase: two items or more, of `LIST_WORDS` words at most, between commas, semicolons or
    line ends. Of prose, the names are phrases: words with a digit or an inner capital, and words with a capital that
    start no sentence; those that follow each other are one phrase.
    """
    items = [" ".join(item.split()) for item in _ITEMS.split(prompt)]
    items = [item.rstrip(".!?") for item in items if item]
    is_list = len(items) > 1 and all(len(item.split()) <= LIST_WORDS for item in items)
    texts = items if is_list else _names(prompt)
    usable = [text for text in dict.fromkeys(texts) if text and len(text) <= MAX_CHARACTERS]
    return tuple(Phrase(text, weight) for text in usable)


def _names(prose: str) -> list[str]:
    """Names with only blanks between them are one."""
    names: list[str] = []
    for sentence in _SENTENCES.split(prose):
        end = -1  # of the last name
        for number, match in enumerate(_WORD.finditer(sentence)):
            if not _is_name(match.group(), is_first=number == 0):
                continue
            if end >= 0 and not sentence[end : match.start()].strip():
                names[-1] += " " + match.group()
            else:
                names.append(match.group())
            end = match.end()
    return names


def _is_name(word: str, *, is_first: bool) -> bool:
    has_digit = any(character.isdigit() for character in word) and any(character.isalpha() for character in word)
    has_inner_capital = any(character.isupper() for character in word[1:])
    is_capitalised = word[0].isupper() and len(word) > 1 and not is_first
    return has_digit or has_inner_capital or is_capitalised
