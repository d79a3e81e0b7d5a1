"""Terms of a trade found in its texts: words and phrases that occur far more often there than in general English."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from shoptalk.core import terms as term_forms
from shoptalk.core import text as core_text
from shoptalk.core.records import UNSORTED, Term
from shoptalk.corpus import term_files
from shoptalk.corpus.general_english import Frequencies

LONGEST = 3
"""Words of the longest phrase."""
_KNOWN_ZIPF = 4.0
"""A single word that is as common as this (ten in a million) is known to every base, and is no term by itself."""
_END_ZIPF = 5.5
"""Words as common as this ("the", "back") neither begin nor end a phrase."""
_WORD_RATIO = 10.0
"""A term's rarest word occurs so many times as often as in general English."""
_SMOOTHING = 1.0
"""Occurrences in a million words that are added on both sides, so that one occurrence of a rare word is no proof."""
_ASSOCIATION = 4.0
"""Pointwise mutual information of a phrase's parts, in bits: they stand together 16 times as often as by chance."""
_TOGETHER = 0.15
"""Least part of the occurrences of a phrase's rarer half that stand in the phrase."""
_LEFT_ALONE = 0.25
"""A word or phrase is dropped if it stands less than so often outside longer terms."""

_TOKEN = re.compile(r"[^\W_](?:[\w'’.&/+#*-]*[\w#+])?")
_TITLES = frozenset("mr mrs ms miss dr doctor prof professor nurse sister".split())
_CALLS = (("name", "is"), ("name's",), ("am", "called"))
"""What stands before somebody's name."""
_FILLER = re.compile(
    r"a+h+|alright|bye|e+h+|eh?r?m+|er+|ha+|hello|hey|hiy?a?|h+m+|huh|m+h?m*|nope|o+h+|ok(?:ay)?|u+g?h+(?:-h?uh)?|u+m+|"
    r"ye(?:a|ah|p)|yup|gonna|wanna"
)
_CONTRACTION = re.compile(r".*(?:n['’]t|['’](?:d|ll|m|re|ve))")

Gram = tuple[str, ...]
"""Words in lower case."""


@dataclass(frozen=True)
class Mined:
    """A term found in texts."""

    text: str
    """As it is mostly written."""
    count: int
    """Occurrences."""
    texts: int
    """How many texts have it."""
    expected: float
    """Occurrences that general English would have in as many words; of a phrase, those of its rarest word."""

    @property
    def score(self) -> float:
        """What terms are ranked by: occurrences, times the bits by which they exceed general English."""
        return self.count * math.log2((self.count + 1) / (self.expected + 1))


@dataclass(frozen=True)
class _Counts:
    words: int
    grams: Mapping[Gram, int]
    """Occurrences of every run of up to `LONGEST` words, without those that hold a name."""


@dataclass
class _Uses:
    """Where a candidate stands."""

    texts: set[int] = field(default_factory=set)
    inside: Counter[str] = field(default_factory=Counter)
    """The ways in which it is written within a sentence."""
    first: Counter[str] = field(default_factory=Counter)
    """Likewise at its beginning, where a capital says nothing but in acronyms."""

    def written(self) -> str:
        """As it is mostly written."""
        if self.inside:
            return self.inside.most_common(1)[0][0]
        [(form, _)] = self.first.most_common(1)
        return form[0].lower() + form[1:] if form[1:].islower() else form


def mine(
    texts: Sequence[str],
    general: Frequencies,
    *,
    known: Sequence[Term] = (),
    at_least: int = 3,
    in_texts: int = 2,
    most: int = 200,
) -> list[Mined]:
    """The terms of texts, the best first: single words and phrases of up to `LONGEST` words.

    A term occurs `at_least` so many times and in at least so many texts: what only one text has is often a name.
    Left out are terms of `known`, words behind a title (Mr, Dr …), numbers, and words that are common in general
    English. Names of people may remain, so a list must be read before it is used.
    """
    counts = _count(texts)
    ratios: dict[Gram, float] = {gram: _ratio(gram, counts, general) for gram in counts.grams if len(gram) == 1}
    kept: dict[Gram, int] = {}
    for gram, count in counts.grams.items():
        if 3 * count < at_least:  # forms of a term are counted together later
            continue
        if _is_word(gram, ratios, general) if len(gram) == 1 else _is_phrase(gram, counts, ratios, general):
            kept[gram] = count
    uses = _uses(texts, frozenset(_standing_alone(kept)))
    terms: list[Mined] = []
    texts_of: list[set[int]] = []
    for gram in sorted(uses, key=lambda gram: (-kept[gram], gram)):
        expected = min(general.per_million(word) for word in gram) * counts.words / 1e6
        terms.append(Mined(uses[gram].written(), kept[gram], len(uses[gram].texts), expected))
        texts_of.append(uses[gram].texts)
    enough = [own for own in _merged(terms, texts_of) if own.count >= at_least and own.texts >= in_texts]
    enough.sort(key=lambda own: (-own.score, own.text))
    return _without_known(enough, known)[:most]


def remark(mined: Mined) -> str:
    """What is said beside a term."""
    return f"{mined.count} times in {mined.texts} texts; {mined.expected:.1f} expected of general English"


def _count(texts: Iterable[str]) -> _Counts:
    grams: Counter[Gram] = Counter()
    names: set[str] = set()
    words = 0
    for text in texts:
        for tokens in _segments(text):
            words += len(tokens)
            names |= _named(tokens)
            grams.update(gram for _, gram in _grams(tokens))
    return _Counts(words, {gram: count for gram, count in grams.items() if names.isdisjoint(gram)})


def _uses(texts: Iterable[str], wanted: frozenset[Gram]) -> dict[Gram, _Uses]:
    uses: dict[Gram, _Uses] = defaultdict(_Uses)
    for number, text in enumerate(texts):
        says_case = any(map(str.islower, text))
        for tokens in _segments(text):
            for start, gram in _grams(tokens):
                if gram in wanted:
                    own = uses[gram]
                    own.texts.add(number)
                    written = tokens[start : start + len(gram)] if says_case else gram
                    forms = own.inside if start and says_case else own.first
                    forms[" ".join(written)] += 1
    return uses


def _grams(tokens: Sequence[str]) -> Iterator[tuple[int, Gram]]:
    """Every run of up to `LONGEST` words, with its first word's place."""
    plain = [token.casefold() for token in tokens]
    for length in range(1, LONGEST + 1):
        for start in range(len(plain) - length + 1):
            yield start, tuple(plain[start : start + length])


def _segments(text: str) -> Iterator[list[str]]:
    """The words of each stretch in which nothing but spaces stands between them; no phrase goes over its end."""
    tokens: list[str] = []
    end = 0
    for match in _TOKEN.finditer(text):
        between = text[end : match.start()]
        if tokens and (between.strip() or set(between) & set("\n\r\t")):
            yield tokens
            tokens = []
        tokens.append(match.group())
        end = match.end()
    if tokens:
        yield tokens


def _named(tokens: Sequence[str]) -> set[str]:
    """Words in capitals behind a title or "my name is", up to two of them, in lower case."""
    plain = [token.casefold().replace("’", "'") for token in tokens]
    named = set()
    for place in range(1, len(tokens)):
        is_title = plain[place - 1] in _TITLES and tokens[place - 1][0].isupper()
        is_call = any(tuple(plain[max(0, place - len(call)) : place]) == call for call in _CALLS)
        if is_title or is_call:
            for name in tokens[place : place + 2]:
                if not name[0].isupper():
                    break
                named.add(name.casefold())
    return named


def _ratio(gram: Gram, counts: _Counts, general: Frequencies) -> float:
    here = counts.grams[gram] / counts.words * 1e6
    return (here + _SMOOTHING) / (general.per_million(gram[0]) + _SMOOTHING)


def _is_word(gram: Gram, ratios: Mapping[Gram, float], general: Frequencies) -> bool:
    [word] = gram
    if not _is_content(word) or general.zipf(word) >= _KNOWN_ZIPF or len(word) < 2:
        return False
    return ratios[gram] >= _WORD_RATIO


def _is_content(word: str) -> bool:
    """Whether a word can be a term, or begin or end one: not a number, a hesitation or a single letter."""
    if _is_filler(word) or word in _TITLES or not any(map(str.isalpha, word)):
        return False
    normal = core_text.words(word)
    return bool(normal) and not all(part.isdigit() for part in normal)


def _is_filler(word: str) -> bool:
    return bool(_FILLER.fullmatch(word) or _CONTRACTION.fullmatch(word))


def _is_phrase(gram: Gram, counts: _Counts, ratios: Mapping[Gram, float], general: Frequencies) -> bool:
    for word in (gram[0], gram[-1]):
        if not _is_content(word) or general.zipf(word) >= _END_ZIPF or len(word) < 2:
            return False
    if any(_is_filler(word) or (word,) not in ratios for word in gram):
        return False
    if max(ratios[(word,)] for word in gram if general.zipf(word) < _END_ZIPF) < _WORD_RATIO:
        return False
    return all(_are_associated(gram[:cut], gram[cut:], counts) for cut in range(1, len(gram)))


def _are_associated(left: Gram, right: Gram, counts: _Counts) -> bool:
    together, alone = counts.grams[left + right], (counts.grams.get(left, 0), counts.grams.get(right, 0))
    if not all(alone) or together < _TOGETHER * min(alone):
        return False
    return math.log2(together * counts.words / (alone[0] * alone[1])) >= _ASSOCIATION


def _standing_alone(kept: Mapping[Gram, int]) -> list[Gram]:
    """Those that do not stand within longer ones nearly always: of ``flat`` and ``flat white`` the latter."""
    within: Counter[Gram] = Counter()
    for gram, count in kept.items():
        parts = set()
        for length in range(1, len(gram)):
            for start in range(len(gram) - length + 1):
                parts.add(gram[start : start + length])
        for part in parts:
            within[part] += count
    return [gram for gram, count in kept.items() if count - within[gram] >= _LEFT_ALONE * count]


def _merged(found: Sequence[Mined], texts_of: Sequence[set[int]]) -> list[Mined]:
    """Forms of one term (``latte``, ``lattes``) as one, under the form that comes first."""
    index = term_forms.index_of([_as_term(mined) for mined in found])
    groups: dict[int, list[int]] = defaultdict(list)
    counted_as = term_forms.folded(index)
    for place in range(len(found)):
        groups[counted_as.get(place, place)].append(place)
    merged = []
    for first, places in groups.items():
        count = sum(found[place].count for place in places)
        texts = len(set[int]().union(*(texts_of[place] for place in places)))
        merged.append(replace(found[first], count=count, texts=texts))
    return merged


def _without_known(found: Sequence[Mined], known: Sequence[Term]) -> list[Mined]:
    index = term_forms.index_of(known)
    return [mined for mined in found if not _is_whole(index, mined.text)]


def _is_whole(index: term_forms.Index, text: str) -> bool:
    """Whether a text is a form of one of the terms, and not only contains one."""
    words = core_text.words(text)
    return any(mention.end - mention.start == len(words) for mention in term_forms.mentions(index, words))


def _as_term(mined: Mined) -> Term:
    return Term(id=term_files.slug(mined.text) or mined.text, text=mined.text, category=UNSORTED)
