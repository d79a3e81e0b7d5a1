"""Where terms stand in a text, in whatever way they are written there, and how alike two words sound.

`mentions` reads a text against the whole lexicon, for counting. **Each mention belongs to exactly one term**:

1. The mention with the most words: in ``insulin glargine`` there is no mention of ``insulin``.
2. Of equally long ones, the one that is nearest to its term: its own text, a variant, another number.
3. Of equally near ones, that of the term that comes first in the lexicon.

Terms that are written forms of each other (``antibiotic`` and ``antibiotics``) are **one term for counting**, the
first of them; `folded` names the others. `occurrences` and `occurring` say where a term's words stand, also within a
longer term: a sentence with ``insulin glargine`` leaks a held-out ``insulin``.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from shoptalk.core.errors import TermError
from shoptalk.core.records import Term
from shoptalk.core.text import words

_ZERO_IS_O = str.maketrans("0", "o")  # `words` reads the letter o as a zero: "c o p d" → "c 0 p d"
_RAW_WORD = re.compile(r"[^\s\-‐‑–/]+")
_SPELLED = re.compile(r"\d+|[^\W\d_]")


Span = tuple[int, int]
"""Half-open, over the words of a text."""
_Spelling = tuple[str, str, tuple[str, ...], tuple[str, ...]]
"""What of a term says how it is written: id, text, variants, spoken."""
Reader = Callable[[str], Sequence[str]]
"""What makes the words of a text; `text.words`, perhaps with words that are taken as equal."""
_OWN, _GIVEN, _INFLECTED = range(3)
"""How near a form is to the term: its text; a variant, or another writing of either; another number of these."""


class Mention(NamedTuple):
    """A term at its place in a text."""

    term: int
    """The term's place in the lexicon."""
    start: int
    """Its first word."""
    end: int
    """The word behind its last one."""


class _Form(NamedTuple):
    """One way to write a term."""

    term: int
    rank: int
    cuts: frozenset[int]
    """Where a space or hyphen may stand among the letters."""


class _Stands(NamedTuple):
    """A form of a term in a text."""

    start: int
    end: int
    rank: int
    term: int


@dataclass(frozen=True)
class Index:
    """All ways to write many terms, so that one pass over a text finds them, however many terms there are.

    A way to write a term is a run of letters, and the places in it where a space or hyphen may stand.
    """

    ids: tuple[str, ...]
    """Of the terms, in the order of the list."""
    forms: Mapping[str, tuple[_Form, ...]]
    """For a run of letters the terms that are written so, by their place in the list."""
    beginnings: frozenset[str]
    """The runs up to each cut: no term goes on from a word whose run is none of these."""
    counted_as: tuple[int, ...]
    """For each term the place of the one that it is counted as: the first that it is a form of, mostly itself."""


def index_of(terms: Sequence[Term]) -> Index:
    """The index of these terms. `TermError`: nothing is left of one once it is reduced to words."""
    return _index(tuple(_spelling(term) for term in terms))


def index_as_listed(terms: Sequence[Term], read: Reader) -> Index:
    """An index of texts and variants as the lexicon lists them, without other forms, each in the words of `read`."""
    forms_of: list[dict[tuple[str, ...], int]] = []
    for term in terms:
        ways = {tuple(read(variant)): _GIVEN for variant in term.variants}
        ways[tuple(read(term.text))] = _OWN
        ways.pop((), None)
        forms_of.append(ways)
    return _indexed([term.id for term in terms], forms_of)


def folded(known: Index) -> dict[int, int]:
    """Of the terms that are counted as another one: their places, and the place of that one."""
    return {place: other for place, other in enumerate(known.counted_as) if place != other}


def mentions(known: Index, text_words: Sequence[str]) -> list[Mention]:
    """The mentions in the words of a text, in order; no word is in two. A folded term's are its first term's."""
    chosen: list[Mention] = []
    taken: set[int] = set()
    for form in sorted(_standing(known, text_words), key=_nearest_first):
        span = range(form.start, form.end)
        if taken.isdisjoint(span):
            taken.update(span)
            chosen.append(Mention(known.counted_as[form.term], form.start, form.end))
    return sorted(chosen, key=lambda mention: mention.start)


def _nearest_first(form: _Stands) -> tuple[int, int, int, int]:
    return form.start - form.end, form.rank, form.start, form.term


def counted_occurrences(known: Index, text_words: Sequence[str]) -> dict[int, list[Span]]:
    """The spans of each term's mentions, and where it stands within longer terms; those of one term never overlap."""
    spans: dict[int, list[Span]] = {}
    for mention in mentions(known, text_words):
        spans.setdefault(mention.term, []).append((mention.start, mention.end))
    for form in sorted(_standing(known, text_words), key=_nearest_first):
        own = spans.setdefault(known.counted_as[form.term], [])
        if all(form.end <= start or form.start >= end for start, end in own):
            own.append((form.start, form.end))
    return {place: sorted(own) for place, own in spans.items()}


def occurrences(term: Term, text: str) -> list[Span]:
    """Where the term stands over ``words(text)``, in order, never overlapping; the longest wins."""
    return occurrences_of_all(_index((_spelling(term),)), text).get(0, [])


def occurrences_of_all(known: Index, text: str) -> dict[int, list[Span]]:
    """The `occurrences` of each term that the text has, by the term's place in the list that was indexed."""
    spans: dict[int, list[Span]] = {}
    for form in _standing(known, words(text)):
        spans.setdefault(form.term, []).append((form.start, form.end))
    return {place: _without_overlaps(spans[place]) for place in sorted(spans)}


def occurring(terms: Sequence[Term], texts: Iterable[str]) -> frozenset[str]:
    """Ids of the terms that stand in any of the texts, e.g. in what a base model was trained on."""
    known = index_of(terms)
    places: set[int] = set()
    for text in texts:
        places.update(occurrences_of_all(known, text))
    return frozenset(known.ids[place] for place in places)


def _spelling(term: Term) -> _Spelling:
    return term.id, term.text, term.variants, term.spoken


def _standing(known: Index, text_words: Sequence[str]) -> Iterator[_Stands]:
    """Every form of every term that stands in the words of a text."""
    runs = [word.translate(_ZERO_IS_O) for word in text_words]
    for start in range(len(runs)):
        yield from _written_from(start, runs, known)


def _written_from(start: int, runs: Sequence[str], known: Index) -> Iterator[_Stands]:
    """The forms that are written from this word on."""
    run = ""
    inner: list[int] = []  # where words of the text begin within the run
    for word in range(start, len(runs)):
        run += runs[word]
        for form in known.forms.get(run, ()):
            if form.cuts.issuperset(inner):
                yield _Stands(start, word + 1, form.rank, form.term)
        if run not in known.beginnings:
            return
        inner.append(len(run))


def _without_overlaps(spans: Iterable[Span]) -> list[Span]:
    chosen: list[Span] = []
    for start, end in sorted(set(spans), key=lambda span: (span[0], -span[1])):
        if not chosen or start >= chosen[-1][1]:
            chosen.append((start, end))
    return chosen


@lru_cache(maxsize=16_384)
def _index(spellings: tuple[_Spelling, ...]) -> Index:
    forms_of = [_variants(*spelling) for spelling in spellings]
    return _indexed([term_id for term_id, *_ in spellings], forms_of)


def _indexed(ids: Sequence[str], forms_of: Sequence[Mapping[tuple[str, ...], int]]) -> Index:
    """The index of the forms of each term, each with its rank."""
    by_run: dict[str, list[_Form]] = {}
    beginnings: set[str] = set()
    for place, ways in enumerate(forms_of):
        for parts, rank in ways.items():
            run = "".join(parts).translate(_ZERO_IS_O)
            ends = list(accumulate(len(part) for part in parts))
            cuts = frozenset(ends[:-1])
            beginnings.update(run[:cut] for cut in cuts)
            by_run.setdefault(run, []).append(_Form(place, rank, cuts))
    forms = {run: tuple(own) for run, own in by_run.items()}
    return Index(tuple(ids), forms, frozenset(beginnings), _counted_as(len(ids), forms.values()))


def _counted_as(terms: int, forms: Iterable[tuple[_Form, ...]]) -> tuple[int, ...]:
    """Each term's group: terms of which one's text or variant is a form of the other."""
    earlier = list(range(terms))

    def first(place: int) -> int:
        while earlier[place] != place:
            place = earlier[place]
        return place

    for same_run in forms:
        for form in same_run:
            for other in same_run:
                if form.rank < _INFLECTED and form.cuts <= other.cuts:
                    low, high = sorted((first(form.term), first(other.term)))
                    earlier[high] = low
    return tuple(first(place) for place in range(terms))


@lru_cache(maxsize=16_384)
def _variants(
    term_id: str, text: str, variants: tuple[str, ...], spoken: tuple[str, ...]
) -> Mapping[tuple[str, ...], int]:
    """The ways to write a term that count as the term, each as its smallest parts, with its rank.

    They come from `text` and `variants`, in plural and possessive; acronyms and letters with digits (``MRI``,
    ``A1c``) also spelled out. A space or hyphen may stand, or not, between parts and nowhere else: ``beta-blocker`` may
    be written ``betablocker``, but ``warfarin`` not ``war far in``. What people say for an acronym (`spoken`) counts as
    written too; for an ordinary word `spoken` is a respelling for the synthesiser, and does not.
    `TermError`: nothing is left of the term once it is reduced to words.
    """
    says_letters = any(_is_spelled(raw) for raw in _RAW_WORD.findall(text))
    forms = [text, *variants]
    if says_letters:
        forms += spoken
    ways: dict[tuple[str, ...], int] = {}
    for form in forms:
        if not words(form):
            raise TermError(f"term {term_id!r}: {form!r} has no words to match; write it in letters or digits")
        without_possessive = re.sub(r"['’]s\b", "", form)
        with_plain_s = re.sub(r"['’]s\b", "s", form)
        rank = _OWN if form == text else _GIVEN
        _add_numbers(ways, tuple(words(form)), rank)
        for written in (without_possessive, with_plain_s):
            _add_numbers(ways, tuple(words(written)), _GIVEN)
        _add_numbers(ways, _spelled(form), rank)
    return ways


def _add_numbers(ways: dict[tuple[str, ...], int], parts: tuple[str, ...], rank: int) -> None:
    """Add the parts with their rank, and in the other number, unless there are none."""
    if not parts:
        return
    ways[parts] = min(rank, ways.get(parts, rank))
    for numbered in _numbers(parts):
        ways.setdefault(numbered, _INFLECTED)


def _is_spelled(raw: str) -> bool:
    """True for MRI, SpO2, A1c: what is read letter by letter."""
    letters = "".join(filter(str.isalpha, raw))
    digits = any(map(str.isdigit, raw))
    return 1 < len(raw) <= 6 and bool(letters) and (digits or (len(letters) > 1 and letters.isupper()))


def _spelled(form: str) -> tuple[str, ...]:
    parts: list[str] = []
    for raw in _RAW_WORD.findall(form):
        if _is_spelled(raw):
            parts += _SPELLED.findall(raw.lower())
        elif re.fullmatch(r"[A-Z]{2,5}s", raw):
            parts += list(raw[:-2].lower()) + [raw[-2:].lower()]
        else:
            parts += words(raw)
    return tuple(parts)


def _numbers(parts: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
    """The parts with the last word in the other number."""
    *front, last = parts
    others: list[str] = []
    if last.isalpha():
        others.append(last + ("es" if re.search(r"(s|x|z|ch|sh)$", last) else "s"))
        if re.search(r"[^aeiou]y$", last):
            others.append(last[:-1] + "ies")
        if last.endswith("is"):
            others.append(last[:-2] + "es")
        if last.endswith("us"):
            others.append(last[:-2] + "i")
        if len(last) > 4 and re.search(r"[^aiosu]s$", last):
            others.append(last[:-1])
    return [(*front, other) for other in others]


# --- how alike words sound -------------------------------------------------------------------------------------

_SOUNDS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        (r"\b[pkg](?=n)|\bp(?=s)|\bw(?=r)|\bm(?=n)", ""),
        (r"\bx", "z"),
        (r"[st]ion|cian", "Sn"),
        (r"tch", "C"),
        (r"sch", "sk"),
        (r"ph", "f"),
        (r"sh", "S"),
        (r"th", "T"),
        (r"ch", "C"),
        (r"rrh|rh", "r"),
        (r"(?<=[aeiou])gh", ""),
        (r"ck", "k"),
        (r"dg(?=[eiy])|g(?=[eiy])", "j"),
        (r"cc(?=[eiy])|x", "ks"),
        (r"c(?=[eiy])", "s"),
        (r"c|qu?", "k"),
        (r"\by(?=[aeiou])", "Y"),
        (r"ee|ea|ie|ei|ae|oe|y", "i"),
        (r"oo|ou|ew", "u"),
        (r"ai|ay|ey", "e"),
        (r"au|aw|ow", "o"),
        (r"(?<=[a-zCST])e\b", ""),
        (r"(.)\1+", r"\1"),
    )
)
_PAIRS = 50_000
"""So many distances are computed together at most, in some 50 MB."""
_VOWELS = frozenset("aeiou")
_NEAR = frozenset(
    frozenset(pair)
    for pair in ("bp", "dt", "gk", "vf", "zs", "jC", "Ss", "SC", "Tt", "Tf", "mn", "lr", "kC", "Sj", "gj")
)


def phonetic_distance(a: str, b: str) -> float:
    """How unlike two English spellings sound: 0 for the same sounds, 1 for nothing in common; symmetric.

    A weighted edit distance over sounds read off the spelling (ph = f, c before e = s …), in which vowels and
    consonants of one place or manner (b/p, m/n …) cost less. Spaces do not count: ``met forming`` is near
    ``metformin``. Good for ordering recognised words, not for phonology.
    """
    return _distance(*sorted((_sounds(a), _sounds(b))))


def sounds_of(tokens: Iterable[str]) -> str:
    """How words, as of `text.words`, sound; a character for each sound. No cache keeps them."""
    text = " ".join(tokens)
    for pattern, sound in _SOUNDS:
        text = pattern.sub(sound, text)
    return text.replace(" ", "")


def nearest_of_each(texts: Sequence[str], others: Sequence[str], *, at_most: float) -> list[list[tuple[float, int]]]:
    """For each text the `others` whose `phonetic_distance` is at most so much: (distance, place), the nearest first.

    Texts and others are given by their `sounds_of`. All pairs are computed together:
    an hour of speech has 30,000 spans of up to three words.
    """
    if not others:
        return [[] for _ in texts]
    distinct = list(dict.fromkeys(texts))
    near_of: dict[str, list[tuple[float, int]]] = {}
    at_once = max(1, _PAIRS // len(others))
    for start in range(0, len(distinct), at_once):
        some = distinct[start : start + at_once]
        near_of.update(zip(some, _nearest(some, others, at_most), strict=True))
    return [near_of[text] for text in texts]


def _nearest(texts: Sequence[str], others: Sequence[str], at_most: float) -> list[list[tuple[float, int]]]:
    """`nearest_of_each` for so many texts as go together. Shapes: T texts, O others, P pairs, L sounds."""
    alphabet = sorted({sound for text in (*texts, *others) for sound in text})
    weights = np.array([0.0, *map(_weight, alphabet)])
    swaps = np.zeros((len(weights), len(weights)))
    swaps[0], swaps[:, 0] = weights, weights
    swaps[1:, 1:] = [[_swap(left, right) for right in alphabet] for left in alphabet]
    texts_TL, others_OL = _coded(texts, alphabet), _coded(others, alphabet)
    weights_T, weights_O = weights[texts_TL].sum(axis=1), weights[others_OL].sum(axis=1)
    most_TO = np.maximum.outer(weights_T, weights_O)
    # what one has more would have to be left out, which alone costs as much
    rows_P, places_P = np.nonzero(np.abs(np.subtract.outer(weights_T, weights_O)) <= at_most * most_TO)
    costs_P = _costs(texts_TL[rows_P], others_OL[places_P], weights, swaps)
    near: list[list[tuple[float, int]]] = [[] for _ in texts]
    pairs = zip(rows_P.tolist(), places_P.tolist(), costs_P.tolist(), most_TO[rows_P, places_P].tolist(), strict=True)
    for row, place, cost, most in pairs:
        distance = _rounded(cost / most) if most else 0.0
        if distance <= at_most:
            near[row].append((distance, place))
    return [sorted(own) for own in near]


def _coded(texts: Sequence[str], alphabet: Sequence[str]) -> "np.ndarray[Any, np.dtype[np.intp]]":
    """Texts as rows of numbers from 1 on, filled up with 0, a sound of no weight."""
    number_of = {sound: number for number, sound in enumerate(alphabet, start=1)}
    rows = np.zeros((len(texts), max(map(len, texts))), np.intp)
    for row, text in zip(rows, texts, strict=True):
        row[: len(text)] = [number_of[sound] for sound in text]
    return rows


def _costs(
    left_PL: "np.ndarray[Any, np.dtype[np.intp]]",
    right_PL: "np.ndarray[Any, np.dtype[np.intp]]",
    weights: "np.ndarray[Any, np.dtype[np.float64]]",
    swaps: "np.ndarray[Any, np.dtype[np.float64]]",
) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """What it costs to turn each left text into the right one, as in `_distance`, which does one pair."""
    passed_PL = np.pad(np.cumsum(weights[right_PL], axis=1), ((0, 0), (1, 0)))
    costs_PL = passed_PL
    for sound_P in left_PL.T:
        least_PL = costs_PL + weights[sound_P][:, None]
        swapped_PL = costs_PL[:, :-1] + swaps[sound_P[:, None], right_PL]
        np.minimum(least_PL[:, 1:], swapped_PL, out=least_PL[:, 1:])
        costs_PL = passed_PL + np.minimum.accumulate(least_PL - passed_PL, axis=1)
    last_P: np.ndarray[Any, np.dtype[np.float64]] = costs_PL[:, -1]
    return last_P


def _rounded(share: float) -> float:
    """A distance that does not hang on the order in which its costs were summed."""
    return min(1.0, round(share, 9))


@lru_cache(maxsize=65_536)
def _total_weight(sounds: str) -> float:
    return sum(map(_weight, sounds))


@lru_cache(maxsize=65_536)
def _sounds(text: str) -> str:
    return sounds_of(words(text))


@lru_cache(maxsize=65_536)
def _distance(a: str, b: str) -> float:
    most = max(_total_weight(a), _total_weight(b))
    if most == 0.0:
        return 0.0
    costs = [0.0]
    for sound in b:
        costs.append(costs[-1] + _weight(sound))
    for left in a:
        previous, costs = costs, [costs[0] + _weight(left)]
        for place, right in enumerate(b):
            costs.append(
                min(
                    previous[place] + _swap(left, right),
                    previous[place + 1] + _weight(left),
                    costs[place] + _weight(right),
                )
            )
    return _rounded(costs[-1] / most)


def _weight(sound: str) -> float:
    return 0.5 if sound in _VOWELS or sound == "h" else 1.0


def _swap(left: str, right: str) -> float:
    if left == right:
        return 0.0
    if left in _VOWELS and right in _VOWELS:
        return 0.25
    return 0.4 if frozenset((left, right)) in _NEAR else 1.0
