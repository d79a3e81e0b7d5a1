"""Stage 30: which recordings say what they should, by their signal and by other recognisers. T = samples.

The reasons for which a recording is rejected:

- ``length``, ``silent``, ``clipped``: as of `speech.problem_of`
- ``rate``: the speech itself, pauses at its ends left out, is too fast or too slow for its text
- ``cut``: it is loud to its very end
- ``words``: too many of the words that are no term were recognised as others
- ``term``: what was recognised in place of a term does not sound like it
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict
from rapidfuzz.distance import Levenshtein

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.effects import active_power
from shoptalk.core.recipe import ScreenSection
from shoptalk.core.records import Record, Samples, Split, Term
from shoptalk.core.terms import Span, index_of, occurrences_of_all, phonetic_distance
from shoptalk.core.text import words
from shoptalk.corpus.speech import problem_of

Reason = Literal["length", "silent", "clipped", "rate", "cut", "words", "term"]
OF_THE_SIGNAL: tuple[Reason, ...] = ("length", "silent", "clipped", "rate", "cut")
SECONDS_PER_CHARACTER = (0.035, 0.11)
"""Of a text as it is spoken, pauses at the ends left out, at speed 1. Kokoro takes 0.044 to 0.082
(`results/screening.json`)."""
FRAME_S = 0.01
QUIET_DB = 35.0
"""A frame so far below the mean power of active speech belongs to a pause."""
END_S = 0.03
CUT_DB = 30.0
"""Speech that was cut is, in its last `END_S`, less than this below its mean power. Kokoro's recordings end 40 dB below
or lower (`results/screening.json`)."""
LOST = 0.5
"""A term of which more than this part of its first recordings is rejected is told as a problem of pronunciation."""


class Opinion(NamedTuple):
    """What a recogniser's text says of a recording."""

    word_errors: float
    """Word error rate on the words that are no term; 0 where there are none."""
    term_distance: float
    """Largest phonetic distance of a term to what was recognised in its place; 0 where the sentence names none."""


class Rejected(Record):
    """A recording that was rejected (``30-rejected.jsonl``); its audio is kept."""

    transcript_id: str
    attempt: int
    reasons: tuple[Reason, ...]
    text: str
    recognized: tuple[str, ...]
    """What each recogniser made of it."""
    term_ids: tuple[str, ...]
    split: Split
    voice: str
    speed: float
    audio: str
    word_errors: float | None = None
    """Of the recogniser that agrees best; None: no recogniser was asked."""
    term_distance: float | None = None


class Lost(BaseModel):
    """How many first recordings of a term were rejected."""

    model_config = ConfigDict(frozen=True)

    recordings: int
    rejected: int


class Screening(BaseModel):
    """What screening came to (``30-screening.json``)."""

    model_config = ConfigDict(frozen=True)

    recordings: int
    """Of all attempts."""
    rejected: int
    reasons: Mapping[str, int]
    given_up: tuple[str, ...]
    """Training sentences without a recording that passed; they are in no later product."""
    doubted: tuple[str, ...]
    """Sentences of dev and test whose recordings the recognisers would have rejected; they are kept."""
    pronunciation_problems: Mapping[str, Lost]
    """Terms that lost more than half of their first recordings."""


# ---- the signal


def of_signal(samples_T: Samples, spoken: str, speed: float) -> tuple[Reason, ...]:
    """Why a recording cannot be right by its signal; empty where it may be. `spoken` is the text in words."""
    problem = problem_of(samples_T, spoken, speed)
    if problem == "silent":
        return ("silent",)
    reasons: list[Reason] = [reason for reason in OF_THE_SIGNAL if reason == problem]
    low_s, high_s = (bound * len(spoken) / speed for bound in SECONDS_PER_CHARACTER)
    if "length" not in reasons and not low_s <= speech_s(samples_T) <= high_s + 0.5:
        reasons.append("rate")
    if end_db(samples_T) > -CUT_DB:
        reasons.append("cut")
    return tuple(reasons)


def speech_s(samples_T: Samples) -> float:
    """Seconds from the first frame that is no pause to the last."""
    frame = round(FRAME_S * SAMPLE_RATE_HZ)
    frames = samples_T[: samples_T.size // frame * frame].reshape(-1, frame).astype(np.float64)
    loud = np.nonzero(np.mean(frames**2, axis=1) > active_power(samples_T) * 10 ** (-QUIET_DB / 10))[0]
    return float(loud[-1] - loud[0] + 1) * FRAME_S if loud.size else 0.0


def end_db(samples_T: Samples) -> float:
    """Power of the last `END_S` against active speech, in dB."""
    end_T = samples_T[-round(END_S * SAMPLE_RATE_HZ) :].astype(np.float64)
    ratio = float(np.mean(end_T**2)) / max(active_power(samples_T), 1e-12)
    return 10 * float(np.log10(max(ratio, 1e-12)))


# ---- the recognisers


class Judge:
    """Holds what was recognised against the text; knows where the terms stand."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self._terms = terms
        self._known = index_of(terms)
        self._place_of = {term.id: place for place, term in enumerate(terms)}

    def opinion(self, text: str, term_ids: Sequence[str], recognized: str) -> Opinion:
        """How far a recognition is from a text that names these terms. Words are those of `text.words`."""
        reference, hypothesis = words(text), words(recognized)
        placed = self._spans(text, term_ids)
        limits = _limits(reference, hypothesis)
        taken = _words_of_others(reference, hypothesis, [span for _, span in placed])
        distances, chosen, after = [], [], 0
        for place, (start, end) in placed:
            own = " ".join(reference[start:end])
            forms = dict.fromkeys((own, self._terms[place].text, *self._terms[place].spoken))
            around = range(max(after, limits[start][0] - 1), min(len(hypothesis), limits[end][1] + 2) + 1)
            distance, span = _nearest(tuple(forms), hypothesis, around, taken, limits[start][0])
            distances.append(distance)
            chosen.append(span)
            after = max(after, span[1])
        ours = _without(reference, [span for _, span in placed])
        theirs = _without(hypothesis, chosen)
        others = len(ours) - len(placed)
        errors = Levenshtein.distance(ours, theirs)
        return Opinion(errors / others if others else 0.0, max(distances, default=0.0))

    def _spans(self, text: str, term_ids: Sequence[str]) -> list[tuple[int, Span]]:
        """Where the named terms stand over the words of a text, in order, never overlapping."""
        standing = occurrences_of_all(self._known, text)
        spans = []
        for term_id in term_ids:
            place = self._place_of.get(term_id)
            for span in standing.get(place, ()) if place is not None else ():
                spans.append((place, span))
        apart: list[tuple[int, Span]] = []
        for place, span in sorted(spans, key=lambda item: (item[1][0], -item[1][1])):
            if place is not None and (not apart or span[0] >= apart[-1][1][1]):
                apart.append((place, span))
        return apart


def _limits(reference: Sequence[str], hypothesis: Sequence[str]) -> list[tuple[int, int]]:
    """For each border between words of the reference, the first and last border of the hypothesis that it may be."""
    borders = [(len(hypothesis), 0)] * (len(reference) + 1)

    def widen(place: int, border: int) -> None:
        low, high = borders[place]
        borders[place] = (min(low, border), max(high, border))

    widen(0, 0)
    for edit in Levenshtein.opcodes(reference, hypothesis):
        for place in range(edit.src_start, edit.src_end + 1):
            widen(place, min(edit.dest_start + place - edit.src_start, edit.dest_end))
        widen(edit.src_end, edit.dest_end)
    return borders


def _words_of_others(reference: Sequence[str], hypothesis: Sequence[str], spans: Sequence[Span]) -> frozenset[int]:
    """Places in the hypothesis of words that are recognised as words of the reference outside of the terms."""
    of_terms = {place for start, end in spans for place in range(start, end)}
    taken = set()
    for same in Levenshtein.editops(reference, hypothesis).as_matching_blocks():
        for step in range(same.size):
            if same.a + step not in of_terms:
                taken.add(same.b + step)
    return frozenset(taken)


def _nearest(
    forms: Sequence[str], hypothesis: Sequence[str], around: range, taken: frozenset[int], aligned: int
) -> tuple[float, Span]:
    """The phonetic distance of the nearest of a term's forms, and the span that is nearest to it.

    A span has none of the words that are `taken`. Without a span, distance 1 and an empty one where the term was
    aligned.
    """
    best: tuple[float, int, Span] = (1.0, 0, (max(aligned, around.start), max(aligned, around.start)))
    for start in around:
        for end in around:
            if end > start and taken.isdisjoint(range(start, end)):
                text = " ".join(hypothesis[start:end])
                distance = min(phonetic_distance(form, text) for form in forms)
                best = min(best, (distance, abs(start - aligned), (start, end)))
    return best[0], best[2]


def _without(tokens: Sequence[str], spans: Sequence[Span]) -> list[str]:
    """The words with a mark in place of each span."""
    left, at = [], 0
    for start, end in spans:
        left += [*tokens[at:start], "\0"]
        at = end
    return [*left, *tokens[at:]]


def best_of(opinions: Sequence[Opinion], config: ScreenSection) -> Opinion:
    """The opinion of the recogniser that agrees best: with the fewest reasons to reject, then the nearest."""

    def badness(opinion: Opinion) -> tuple[int, float]:
        return len(of_opinion(opinion, config)), opinion.word_errors + opinion.term_distance

    return min(opinions, key=badness)


def of_opinion(opinion: Opinion, config: ScreenSection) -> tuple[Reason, ...]:
    """Why a recording is rejected by what was recognised."""
    reasons: list[Reason] = []
    if opinion.word_errors > config.word_errors:
        reasons.append("words")
    if opinion.term_distance > config.term_distance:
        reasons.append("term")
    return tuple(reasons)


# ---- what it comes to


def problems_of_terms(first: Sequence[tuple[Sequence[str], bool]]) -> dict[str, Lost]:
    """Terms that lost more than `LOST` of their first recordings: of each the terms, and whether it was rejected."""
    recordings: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    for term_ids, is_rejected in first:
        recordings.update(term_ids)
        if is_rejected:
            rejected.update(term_ids)
    lost = {}
    for term_id in sorted(recordings):
        if rejected[term_id] > LOST * recordings[term_id]:
            lost[term_id] = Lost(recordings=recordings[term_id], rejected=rejected[term_id])
    return lost
