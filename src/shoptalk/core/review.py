"""What of a recognition a person should look at: words of low confidence, and high-risk terms or what sounds like them.

Each place comes with what else may stand there: other readings of the recogniser, and terms of the lexicon that sound
alike.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from shoptalk.core.records import Alternative, Recognition, Term, Word
from shoptalk.core.terms import Index, index_of, mentions, nearest_of_each, sounds_of
from shoptalk.core.text import words_unkept

Reason = Literal["low_confidence", "high_risk_term", "sounds_like_high_risk_term"]

CONFIDENCE = 0.7
"""A word of lower confidence is looked at (results/review.json has what other thresholds find)."""
NEAR = 0.3
"""Phonetic distance to a high-risk term up to which other words may be that term (results/review.json)."""
ALIKE = 0.5
"""Phonetic distance up to which a term of the lexicon is offered for a place."""
OFFERED = 3
"""Terms of the lexicon that are offered for a place, at most."""
LETTERS = 5
"""Shorter words sound like too much else to be told as taken for a term."""
READINGS = 4
"""Other readings that a recogniser is asked for where a review is wanted, at least."""


@dataclass(frozen=True)
class Watch:
    """The lexicon of a model, ready to be looked for."""

    terms: tuple[Term, ...]
    index: Index
    tokens: tuple[tuple[str, ...], ...]
    """The words of each term, as they are compared."""
    sounds: tuple[str, ...]
    """How each term sounds."""

    @classmethod
    def of(cls, terms: Iterable[Term]) -> "Watch":
        """`TermError`: nothing is left of a term once it is reduced to words."""
        known = tuple(terms)
        tokens = tuple(tuple(words_unkept(term.text)) for term in known)
        return cls(known, index_of(known), tokens, tuple(sounds_of(own) for own in tokens))


NOTHING = Watch.of(())
"""Of a model whose lexicon nobody knows: only confidences count."""


@dataclass(frozen=True)
class Candidate:
    """What else may stand at a place."""

    text: str
    source: Literal["reading", "term"]
    probability: float | None = None
    """Of the likeliest other reading that has it, the text itself being 1; None for a term."""
    distance: float | None = None
    """How unlike a term sounds, 0 to 1; None for a reading."""
    risk: str | None = None
    """Of a term."""


@dataclass(frozen=True)
class Place:
    """Words to be looked at."""

    text: str
    start_s: float
    end_s: float
    confidence: float | None
    """The lowest of its words; None where the recogniser tells none."""
    reasons: tuple[Reason, ...]
    candidates: tuple[Candidate, ...]


Span = tuple[int, int]
"""Half-open, over the words of a recognition."""


def places(recognition: Recognition, watch: Watch, *, below: float = CONFIDENCE) -> list[Place]:
    """The places to look at, in order of time, none overlapping another; none where the words have no times.

    Nothing that was recognised is kept in a cache.
    """
    words = recognition.words
    tokens_of = _tokens_of(words)
    reasons_of: dict[Span, list[Reason]] = _of_terms(words, tokens_of, watch)
    covered = {number for first, last in reasons_of for number in range(first, last)}
    for number, word in enumerate(words):
        if number not in covered and _is_low(word, below):
            reasons_of[number, number + 1] = []
    spans = sorted(reasons_of)
    terms_of = _terms_like([_joined(tokens_of, span) for span in spans], watch)
    places_there = []
    for (first, last), terms in zip(spans, terms_of, strict=True):
        own = words[first:last]
        is_low = any(_is_low(word, below) for word in own)
        low: list[Reason] = ["low_confidence"] if is_low else []
        confidences = [word.confidence for word in own if word.confidence is not None]
        candidates = [*_readings(recognition, (first, last)), *terms]
        places_there.append(
            Place(
                text=" ".join(word.word for word in own),
                start_s=own[0].start_s,
                end_s=own[-1].end_s,
                confidence=min(confidences, default=None),
                reasons=(*low, *reasons_of[first, last]),
                candidates=tuple(candidates),
            )
        )
    return places_there


def fields(place: Place) -> dict[str, Any]:
    """A place as JSON tells it; what has no value is left out."""
    told: dict[str, Any] = {"text": place.text, "start": place.start_s, "end": place.end_s}
    if place.confidence is not None:
        told["confidence"] = place.confidence
    told["reasons"] = list(place.reasons)
    told["alternatives"] = []
    for candidate in place.candidates:
        own = {key: value for key, value in asdict(candidate).items() if value is not None}
        told["alternatives"].append(own)
    return told


def _is_low(word: Word, below: float) -> bool:
    return word.confidence is not None and word.confidence < below


def _tokens_of(recognised: Sequence[Word]) -> list[tuple[str, ...]]:
    """Each word as it is compared: mostly one token, of a hyphenated word several."""
    known: dict[str, tuple[str, ...]] = {}
    for word in recognised:
        if word.word not in known:
            known[word.word] = tuple(words_unkept(word.word))
    return [known[word.word] for word in recognised]


def _joined(tokens_of: Sequence[tuple[str, ...]], span: Span) -> tuple[str, ...]:
    first, last = span
    return tuple(token for tokens in tokens_of[first:last] for token in tokens)


def _of_terms(
    recognised: Sequence[Word], tokens_of: Sequence[tuple[str, ...]], watch: Watch
) -> dict[Span, list[Reason]]:
    """Where high-risk terms stand, and words that sound like one without being any term."""
    high = [place for place, term in enumerate(watch.terms) if term.risk == "high"]
    if not high:
        return {}
    tokens: list[str] = []
    owner: list[int] = []  # the word of each token
    for number, own in enumerate(tokens_of):
        tokens += own
        owner += [number] * len(own)
    reasons_of: dict[Span, list[Reason]] = {}
    known: set[int] = set()  # words that belong to any term
    for mention in mentions(watch.index, tokens):
        first, last = owner[mention.start], owner[mention.end - 1] + 1
        known.update(range(first, last))
        if watch.terms[mention.term].risk == "high":
            reasons_of[first, last] = ["high_risk_term"]
    sounds = [watch.sounds[place] for place in high]
    spans = _taken_for(_spans(recognised, known), tokens_of, sounds)
    return reasons_of | {span: ["sounds_like_high_risk_term"] for span in spans}


def _spans(recognised: Sequence[Word], known: set[int]) -> list[Span]:
    """Spans of one to three words that are long enough to sound like a term, and belong to none."""
    spans: list[Span] = []
    for first in range(len(recognised)):
        letters = 0
        for last in range(first + 1, min(first + 4, len(recognised) + 1)):
            if last - 1 in known:
                break
            letters += sum(letter.isalpha() for letter in recognised[last - 1].word)
            if letters >= LETTERS:
                spans.append((first, last))
    return spans


def _taken_for(spans: Sequence[Span], tokens_of: Sequence[tuple[str, ...]], terms: Sequence[str]) -> list[Span]:
    """The spans that sound like a term, the nearest first chosen, none overlapping; terms by their sounds."""
    texts = [sounds_of(_joined(tokens_of, span)) for span in spans]
    nearest = nearest_of_each(texts, terms, at_most=NEAR)
    near = [(own[0][0], span) for own, span in zip(nearest, spans, strict=True) if own]
    chosen: list[Span] = []
    taken: set[int] = set()
    for _, (first, last) in sorted(near):
        if taken.isdisjoint(range(first, last)):
            taken.update(range(first, last))
            chosen.append((first, last))
    return chosen


def _terms_like(texts: Sequence[tuple[str, ...]], watch: Watch) -> list[list[Candidate]]:
    """For each text, given by its tokens, the terms of the lexicon that sound like it and are not it."""
    offered = []
    nearest = nearest_of_each([sounds_of(text) for text in texts], watch.sounds, at_most=ALIKE)
    for text, near in zip(texts, nearest, strict=True):
        others = [(distance, place) for distance, place in near if watch.tokens[place] != text]
        offered.append(
            [
                Candidate(watch.terms[place].text, "term", distance=round(distance, 3), risk=watch.terms[place].risk)
                for distance, place in others[:OFFERED]
            ]
        )
    return offered


# ---- other readings of a place


def _readings(recognition: Recognition, span: Span) -> list[Candidate]:
    """What other readings have in the place of these words, the likeliest first, without other writings of them."""
    if not recognition.alternatives:
        return []
    probability_of: dict[str, float] = {}
    there = recognition.words[span[0] : span[1]]
    own = words_unkept(" ".join(word.word for word in there))
    for alternative in recognition.alternatives:
        text = _in_place(recognition.words, alternative, span)
        if words_unkept(text) != own:
            probability_of[text] = max(alternative.probability, probability_of.get(text, 0.0))
    by_probability = sorted(probability_of.items(), key=lambda pair: -pair[1])
    return [Candidate(text, "reading", probability=probability) for text, probability in by_probability]


def _in_place(recognised: Sequence[Word], alternative: Alternative, span: Span) -> str:
    """The words of a reading that stand where the span stands in the text; empty where it has none there."""
    others = alternative.text.split()
    names = [word.word.casefold() for word in recognised]
    matcher = SequenceMatcher(None, names, [other.casefold() for other in others], autojunk=False)
    first, last = span
    start, end = len(others), 0
    for _, i1, i2, j1, j2 in matcher.get_opcodes():
        if i2 <= first or i1 >= last:
            continue
        is_alike = i2 - i1 == j2 - j1
        start = min(start, j1 + max(0, first - i1) if is_alike else j1)
        end = max(end, j2 - max(0, i2 - last) if is_alike else j2)
    return " ".join(others[start:end])
