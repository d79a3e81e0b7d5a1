"""Where a term stands in a text, in whatever way it is written there, and how alike two words sound."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from shoptalk.core.errors import TermError
from shoptalk.core.records import Term
from shoptalk.core.text import words

_ZERO_IS_O = str.maketrans("0", "o")  # `words` reads the letter o as a zero: "c o p d" → "c 0 p d"
_RAW_WORD = re.compile(r"[^\s\-‐‑–/]+")
_SPELLED = re.compile(r"\d+|[^\W\d_]")


Span = tuple[int, int]
"""Half-open, over the words of a text."""
_Spelling = tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""What of a term says how it is written: id, text, variants, spoken."""


@dataclass(frozen=True)
class Index:
    """All ways to write many terms, so that one pass over a text finds them, however many terms there are.

    A way to write a term is a run of letters, and the places in it where a space or hyphen may stand.
    """

    ids: tuple[str, ...]
    """Of the terms, in the order of the list."""
    places: Mapping[str, tuple[tuple[int, frozenset[int]], ...]]
    """For a run of letters the terms that are written so, by their place in the list, each with its cuts."""
    beginnings: frozenset[str]
    """The runs up to each cut: no term goes on from a word whose run is none of these."""


def index_of(terms: Sequence[Term]) -> Index:
    """The index of these terms. `TermError`: nothing is left of one once it is reduced to words."""
    return _index(tuple(_spelling(term) for term in terms))


def occurrences(term: Term, text: str) -> list[Span]:
    """Where the term stands over ``words(text)``, in order, never overlapping; the longest wins."""
    return occurrences_of_all(_index((_spelling(term),)), text).get(0, [])


def occurrences_of_all(known: Index, text: str) -> dict[int, list[Span]]:
    """The `occurrences` of each term that the text has, by the term's place in the list that was indexed."""
    spans: dict[int, list[Span]] = {}
    runs = [word.translate(_ZERO_IS_O) for word in words(text)]
    for start in range(len(runs)):
        for end, place in _written_from(start, runs, known):
            spans.setdefault(place, []).append((start, end))
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


def _written_from(start: int, runs: Sequence[str], known: Index) -> Iterator[tuple[int, int]]:
    """Ends and places of the terms that are written from this word on."""
    run = ""
    inner: list[int] = []  # where words of the text begin within the run
    for word in range(start, len(runs)):
        run += runs[word]
        for place, cuts in known.places.get(run, ()):
            if cuts.issuperset(inner):
                yield word + 1, place
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
    places: dict[str, list[tuple[int, frozenset[int]]]] = {}
    beginnings: set[str] = set()
    for place, spelling in enumerate(spellings):
        for parts in _variants(*spelling):
            run = "".join(parts).translate(_ZERO_IS_O)
            ends = list(accumulate(len(part) for part in parts))
            cuts = frozenset(ends[:-1])
            beginnings.update(run[:cut] for cut in cuts)
            written = places.setdefault(run, [])
            if (place, cuts) not in written:
                written.append((place, cuts))
    ids = tuple(term_id for term_id, *_ in spellings)
    return Index(ids, {run: tuple(written) for run, written in places.items()}, frozenset(beginnings))


@lru_cache(maxsize=16_384)
def _variants(
    term_id: str, text: str, variants: tuple[str, ...], spoken: tuple[str, ...]
) -> tuple[tuple[str, ...], ...]:
    """The ways to write a term that count as the term, each as its smallest parts, without duplicates.

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
    ways: dict[tuple[str, ...], None] = {}  # a dict, because it keeps their order
    for form in forms:
        if not words(form):
            raise TermError(f"term {term_id!r}: {form!r} has no words to match; write it in letters or digits")
        without_possessive = re.sub(r"['’]s\b", "", form)
        with_plain_s = re.sub(r"['’]s\b", "s", form)
        for written in (form, without_possessive, with_plain_s):
            _add_numbers(ways, tuple(words(written)))
        _add_numbers(ways, _spelled(form))
    return tuple(ways)


def _add_numbers(ways: dict[tuple[str, ...], None], parts: tuple[str, ...]) -> None:
    """Add the parts in both numbers, unless there are none."""
    if parts:
        for numbered in _numbers(parts):
            ways.setdefault(numbered)


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
    """The parts themselves, and with the last word in the other number."""
    *front, last = parts
    others = [last]
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


@lru_cache(maxsize=65_536)
def _sounds(text: str) -> str:
    text = " ".join(words(text))
    for pattern, sound in _SOUNDS:
        text = pattern.sub(sound, text)
    return text.replace(" ", "")


@lru_cache(maxsize=65_536)
def _distance(a: str, b: str) -> float:
    most = max(sum(map(_weight, a)), sum(map(_weight, b)))
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
    return min(1.0, costs[-1] / most)


def _weight(sound: str) -> float:
    return 0.5 if sound in _VOWELS or sound == "h" else 1.0


def _swap(left: str, right: str) -> float:
    if left == right:
        return 0.0
    if left in _VOWELS and right in _VOWELS:
        return 0.25
    return 0.4 if frozenset((left, right)) in _NEAR else 1.0
