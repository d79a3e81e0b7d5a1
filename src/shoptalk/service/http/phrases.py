"""The phrases that a request makes more likely: its keywords, its prompt's telling words, and its named vocabularies.

What is left out is told in a warning by its place in the list, never by its text.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shoptalk.core.errors import BoostError
from shoptalk.core.protocols import MAX_CHARACTERS, Phrase
from shoptalk.core.review import Watch
from shoptalk.core.terms import mentions
from shoptalk.core.text import words_unkept
from shoptalk.service.http.fields import Wanted
from shoptalk.service.problems import Problem
from shoptalk.service.settings import Settings

LIST_WORDS = 5
"""Words of a prompt's item, at most, that is taken as a phrase; a longer one is prose."""
_ITEMS = re.compile(r"[,;\n\t|•]+")
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")
_WORD = re.compile(r"[^\W_](?:[\w'’./%+-]*[^\W_]|[%+])?")


@dataclass(frozen=True)
class Boosted:
    """What a request makes more likely, each phrase once, with its greatest weight."""

    asked: tuple[Phrase, ...] = ()
    """Of its keywords and vocabularies."""
    of_prompt: tuple[Phrase, ...] = ()
    """What its prompt adds to them."""

    @property
    def all(self) -> tuple[Phrase, ...]:
        return self.asked + self.of_prompt


def boosted(
    wanted: Wanted, stored: Sequence[Phrase], watch: Watch, settings: Settings
) -> tuple[Boosted, tuple[str, ...]]:
    """The phrases of a request, and warnings; `stored` are those of its vocabularies, `watch` has the model's lexicon.

    `Problem` 400 for more than `settings.max_phrases`.
    """
    of_keywords, warnings = of_list(wanted.keywords, weight=settings.boost)
    asked = _merged([*stored, *of_keywords])
    known = {phrase.text.casefold() for phrase in asked}
    names = [text for text in telling(wanted.prompt, watch) if text.casefold() not in known]
    of_prompt, _ = of_list(names, weight=settings.boost)
    count = len(asked) + len(of_prompt)
    if count > settings.max_phrases:
        message = f"{count} phrases are too many; send {settings.max_phrases} at most"
        raise Problem(400, message, code="too_many_phrases", param="keywords")
    return Boosted(asked, of_prompt), warnings


def _merged(phrases: Iterable[Phrase]) -> tuple[Phrase, ...]:
    strongest: dict[str, Phrase] = {}
    for phrase in phrases:
        key = phrase.text.casefold()
        if key not in strongest or strongest[key].weight < phrase.weight:
            strongest[key] = phrase
    return tuple(strongest.values())


def of_list(keywords: Sequence[str], *, weight: float) -> tuple[tuple[Phrase, ...], tuple[str, ...]]:
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


def telling(prompt: str, watch: Watch) -> list[str]:
    """The telling words of a prompt, each once.

    Of a list, all items: two or more, of `LIST_WORDS` words at most, between commas, semicolons or line ends. Of prose,
    the terms of the model's lexicon, and names: words with a digit or an inner capital, and words with a capital that
    start no sentence; names that follow each other are one.
    """
    items = [" ".join(item.split()) for item in _ITEMS.split(prompt)]
    items = [item.rstrip(".!?") for item in items if item]
    is_list = len(items) > 1 and all(len(item.split()) <= LIST_WORDS for item in items)
    texts = items if is_list else [*_terms(prompt, watch), *_names(prompt)]
    first = {text.casefold(): text for text in reversed(texts) if text}
    return list(reversed(first.values()))


def _terms(prose: str, watch: Watch) -> list[str]:
    return [watch.terms[mention.term].text for mention in mentions(watch.index, words_unkept(prose))]


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
