"""Where a term stands in a text, in whatever way it is written there, and how alike two words sound."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from shoptalk.core.errors import TermError
from shoptalk.core.records import Term
from shoptalk.core.text import words

_ZERO_IS_O = str.maketrans("0", "o")  # `words` reads the letter o as a zero: "c o p d" → "c 0 p d"
_RAW_WORD = re.compile(r"[^\s\-‐‑–/]+")
_SPELLED = re.compile(r"\d+|[^\W\d_]")


@dataclass(frozen=True)
class _Pattern:
    """One way to write a term: its letters run together, and where a space or hyphen may stand among them."""

    key: str
    cuts: frozenset[int]


def occurrences(term: Term, text: str) -> list[tuple[int, int]]:
    """Half-open spans over ``words(text)`` where the term stands, in order, never overlapping; the longest wins."""
    return _find(_patterns(term.id, term.text, term.variants, term.spoken), _layout(text))


def occurring(terms: Sequence[Term], texts: Iterable[str]) -> frozenset[str]:
    """Ids of the terms that stand in any of the texts, e.g. in what a base model was trained on."""
    missing = {term.id: _patterns(term.id, term.text, term.variants, term.spoken) for term in terms}
    for text in texts:
        layout = _layout(text)
        for term_id, patterns in list(missing.items()):
            if _find(patterns, layout):
                del missing[term_id]
    return frozenset(term.id for term in terms) - missing.keys()


def _find(patterns: tuple[_Pattern, ...], layout: tuple[str, dict[int, int]]) -> list[tuple[int, int]]:
    run, starts = layout
    spans: list[tuple[int, int]] = []
    for pattern in patterns:
        if pattern.key in run:
            spans += _spans(pattern, run, starts)
    chosen: list[tuple[int, int]] = []
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not chosen or start >= chosen[-1][1]:
            chosen.append((start, end))
    return chosen


@lru_cache(maxsize=16_384)
def _layout(text: str) -> tuple[str, dict[int, int]]:
    """The words of a text run together, and where in that run each word starts (and the last ends)."""
    parts = words(text)
    starts: dict[int, int] = {}
    length = 0
    for place, part in enumerate(parts):
        starts[length] = place
        length += len(part)
    starts[length] = len(parts)
    return "".join(parts).translate(_ZERO_IS_O), starts


def _spans(pattern: _Pattern, run: str, starts: dict[int, int]) -> Iterable[tuple[int, int]]:
    at = run.find(pattern.key)
    while at >= 0:
        end = at + len(pattern.key)
        if at in starts and end in starts:
            inner = {place - at for place in range(at + 1, end) if place in starts}
            if inner <= pattern.cuts:
                yield starts[at], starts[end]
        at = run.find(pattern.key, at + 1)


@lru_cache(maxsize=16_384)
def _patterns(term_id: str, text: str, variants: tuple[str, ...], spoken: tuple[str, ...]) -> tuple[_Pattern, ...]:
    patterns = {}
    for parts in _variants(term_id, text, variants, spoken):
        key = "".join(parts).translate(_ZERO_IS_O)
        cuts = frozenset(sum(map(len, parts[:count])) for count in range(1, len(parts)))
        patterns[key, cuts] = _Pattern(key, cuts)
    return tuple(patterns.values())


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
