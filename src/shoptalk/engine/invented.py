"""Invented words: those that no speech in the audio carries are left out.

A transducer writes words on silence, noise and music, because it was trained on recordings that all hold speech. Three
rules end that, each with what it needs:

- `speech_only`: a word stays where a VAD detects speech around it. The surer the recogniser is of the word, the less
  the VAD must be of the speech: a word goes if both doubt it, or if the VAD is sure that nobody speaks.
- `without_loops`: a word or some words that come again and again, each time unlikely, are a loop of the decoder.
- `where_words_stand`: boosted phrases replace words, or complete them; they write none far from all that would be
  recognised without them.

Shapes: T samples, N frames of the VAD. A stretch is (start, end) in seconds.
"""

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import Vad
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.engine.gaps import Stretch, amplified, part_of, spoken_until_s
from shoptalk.engine.long_form import bare, of_words

MARGIN_S = 0.3
"""Speech may be so far from its word: TDT tells when it was sure, not when the sound began."""
LEAD_S = 0.5
"""What the VAD listens to before a stretch, to know what it is in."""
SPEECH = 0.65
"""Probability of speech from which a word stays, however unsure of it the recogniser is."""
LEAST_SPEECH = 0.1
"""Probability of speech below which a word goes, however sure of it the recogniser is.

A pure tone at 6.65 kHz gave "you" with a confidence of 0.99, where the VAD gave 0.02. Of 531 words of speech that the
VAD was asked about (-20 and -50 dB, SNR 10 and 5), none that stayed had less than 0.3.
"""
SURE_WORDS = 3
SURE = 0.7
"""So many words in a row whose mean confidence is so high are speech, without asking a VAD.

In noise, tones and music the mean of three words in a row was at most 0.57 (tiny base, and tuned; greedy and beam).
"""
PHRASE_WORDS = 5
"""Longest loop, in words."""
REPEATS = 2
"""So often in a row a word or some words may stand, however unlikely they are."""
CHANGEABLE_WORDS = (REPEATS + 1) * PHRASE_WORDS
"""So many words at the end may still turn out to be a loop."""
LIKELY = 0.3
"""Mean confidence from which a further repetition stays: people do say "no no no no"."""
NEAR_S = 0.5
"""A boosted word may start so long before, or after, the words that are recognised without phrases."""
BETWEEN_S = 1.0
"""It may also stand between two such words that are at most so far apart."""


LONGEST_DOUBT_S = 30.0
"""The VAD listens to no longer stretch of doubtful words at once."""


class Doubt(NamedTuple):
    """Doubtful words, by their places, that the VAD is asked about together."""

    words: tuple[int, ...]
    stretch: Stretch


class Question(NamedTuple):
    """What the VAD is asked: whether speech carries the words of a doubt."""

    samples_T: Samples
    words: Sequence[Word]
    doubt: Doubt


class _Mark(NamedTuple):
    """Around a doubtful word: VAD frames from `first` to before `end`, and the `least` speech with which it stays."""

    first: int
    end: int
    least: float


def speech_only(audio: Sequence[Samples], recognitions: Sequence[Recognition], vad: Vad) -> list[Recognition]:
    """The recognitions without the words around which the VAD detects no speech; see `unspoken`."""
    places_of_each = unspoken(audio, [recognition.words for recognition in recognitions], vad)
    return [_without(recognition, places) for recognition, places in zip(recognitions, places_of_each, strict=True)]


def unspoken(audio: Sequence[Samples], words_of_each: Sequence[Sequence[Word]], vad: Vad) -> list[set[int]]:
    """For each audio the places of the words around which the VAD detects no speech.

    Confidences must be the recogniser's own, before any temperature. The VAD listens around doubtful words only, to
    those of all recordings side by side, and no longer than until all of them are decided.
    """
    questions: list[Question] = []
    recordings: list[int] = []
    for recording, (samples_T, words) in enumerate(zip(audio, words_of_each, strict=True)):
        own_doubts = doubts(words, samples_T.size / SAMPLE_RATE_HZ, range(len(words)))
        questions += [Question(samples_T, words, doubt) for doubt in own_doubts]
        recordings += [recording] * len(own_doubts)
    places_of_each: list[set[int]] = [set() for _ in audio]
    for recording, places in zip(recordings, answers(questions, vad), strict=True):
        places_of_each[recording] |= places
    return places_of_each


def answers(questions: Sequence[Question], vad: Vad) -> list[set[int]]:
    """The places of words that no speech carries, for each question; the VAD listens for all of them side by side."""
    listened: list[Samples] = []
    for question in questions:
        part_T = part_of(question.samples_T, *question.doubt.stretch)
        listened.append(amplified(part_T, like_T=part_T))

    waiting = [_marks(question, vad.frame_s) for question in questions]

    def is_enough(number: int, speech_N: npt.NDArray[np.float32]) -> bool:
        """Whether all words of a doubt are decided; it looks at the last ones first, which are undecided longest."""
        own = waiting[number]
        while own and _is_decided(own[-1], speech_N):
            own.pop()
        return not own

    silent: list[set[int]] = []
    for question, speech_N in zip(questions, vad.probabilities_of_each(listened, is_enough), strict=True):
        marked = zip(question.doubt.words, _marks(question, vad.frame_s), strict=True)
        silent.append({place for place, mark in marked if not _is_spoken(mark, speech_N)})
    return silent


def _marks(question: Question, frame_s: float) -> list[_Mark]:
    """What is asked of the VAD for each word of a doubt."""
    _, words, doubt = question
    marks = []
    for place in doubt.words:
        start_s, end_s = _around(words[place])
        first = max(0, int((start_s - doubt.stretch[0]) / frame_s))
        end = max(0, int((end_s - doubt.stretch[0]) / frame_s) + 1)
        least = min(SPEECH, max(LEAST_SPEECH, 1 - _confidence(words[place])))
        marks.append(_Mark(first, end, least))
    return marks


def _is_decided(mark: _Mark, speech_N: npt.NDArray[np.float32]) -> bool:
    """Whether more frames than these would change nothing for a word."""
    return mark.end <= len(speech_N) or _is_spoken(mark, speech_N)


def _is_spoken(mark: _Mark, speech_N: npt.NDArray[np.float32]) -> bool:
    """Whether a word stays, by the highest probability of speech around it."""
    return float(speech_N[mark.first : mark.end].max(initial=0.0)) >= mark.least


def doubts(words: Sequence[Word], duration_s: float, places: range) -> list[Doubt]:
    """The doubtful words at some places; those whose stretches meet are asked about together."""
    doubts: list[Doubt] = []
    sure = _sure(words)
    for place in places:
        if place in sure:
            continue
        around_s = _around(words[place])
        start_s, end_s = max(0.0, around_s[0] - LEAD_S), min(duration_s, around_s[1])
        last = doubts[-1] if doubts else None
        if last and start_s <= last.stretch[1] and end_s - last.stretch[0] <= LONGEST_DOUBT_S:
            stretch = last.stretch[0], max(last.stretch[1], end_s)
            doubts[-1] = Doubt((*last.words, place), stretch)
        else:
            doubts.append(Doubt((place,), (start_s, max(start_s, end_s))))
    return doubts


class Doubtful:
    """Words of a recording under way, until it is known which of them speech carries."""

    def __init__(self, samples_T: Samples) -> None:
        self._samples_T = samples_T
        self._words: list[Word] = []
        """First some that were given on already, because they may make those behind them sure."""
        self._given = 0
        self._decidable = 0
        """The words before this place can be decided now."""

    def feed(self, words: Sequence[Word], *, last: bool) -> list[Question]:
        """Take further words, in order; the questions whose answers `given` needs."""
        self._words += words
        known = len(self._words) if last else max(self._given, len(self._words) - SURE_WORDS + 1)
        own_doubts = doubts(self._words, self._samples_T.size / SAMPLE_RATE_HZ, range(self._given, known))
        self._decidable = known
        if own_doubts and not last:
            following_s = self._words[known].start_s - MARGIN_S - LEAD_S
            if following_s <= own_doubts[-1].stretch[1]:
                self._decidable = own_doubts.pop().words[0]  # the next word may be one of its
        return [Question(self._samples_T, self._words, doubt) for doubt in own_doubts]

    def given(self, silent: set[int]) -> list[Word]:
        """The words that could be decided, without those that no speech carries."""
        decidable = self._decidable
        words = [self._words[place] for place in range(self._given, decidable) if place not in silent]
        first = max(0, decidable - SURE_WORDS + 1)
        self._words = self._words[first:]
        self._given = self._decidable = decidable - first
        return words


def _sure(words: Sequence[Word]) -> set[int]:
    """The places of words that need no VAD: in a row, each at most `MARGIN_S` behind the one before."""
    sure: set[int] = set()
    for first in range(len(words) - SURE_WORDS + 1):
        row = words[first : first + SURE_WORDS]
        is_close = all(
            following.start_s - spoken_until_s(word) <= MARGIN_S for word, following in zip(row, row[1:], strict=False)
        )
        if is_close and fmean(_confidence(word) for word in row) >= SURE:
            sure.update(range(first, first + SURE_WORDS))
    return sure


def _around(word: Word) -> Stretch:
    return word.start_s - MARGIN_S, spoken_until_s(word) + MARGIN_S


def _confidence(word: Word) -> float:
    return word.confidence or 0.0


def without_loops(recognition: Recognition) -> Recognition:
    """The recognition without the words that `loops` finds."""
    return _without(recognition, loops(recognition.words))


def loops(words: Sequence[Word]) -> set[int]:
    """The places of words that unlikely repeat what already stands `REPEATS` times in a row."""
    return {place for place, (_, is_looped) in enumerate(Loops().feed(words, last=True)) if is_looped}


class _Kept(NamedTuple):
    number: int
    name: str
    confidence: float


class Loops:
    """Words of a recording under way, until it is known which of them are a loop."""

    def __init__(self) -> None:
        self._words: list[Word] = []
        """Those that were not given yet."""
        self._looped: set[int] = set()
        """The numbers of those of them that are looped; words are numbered from the first one on."""
        self._given = 0
        self._kept: list[_Kept] = []
        """The last words that stand."""
        self._fixed = 0
        """Words before this number are looped no more."""

    def feed(self, words: Sequence[Word], *, last: bool) -> list[tuple[Word, bool]]:
        """Take further words, in order; gives those of which is known whether they are looped."""
        for word in words:
            self._kept.append(_Kept(self._given + len(self._words), bare(word.word), _confidence(word)))
            self._words.append(word)
            length = _repeated(self._kept, self._fixed)
            if length:
                self._looped |= {kept.number for kept in self._kept[-length:]}
                del self._kept[-length:]
            if len(self._kept) > CHANGEABLE_WORDS:
                self._fixed = max(self._fixed, self._kept[-CHANGEABLE_WORDS].number)
            self._kept = self._kept[-2 * CHANGEABLE_WORDS :]
        until = self._given + len(self._words) if last else self._fixed
        given = [(word, number in self._looped) for number, word in enumerate(self._words, start=self._given)]
        given = given[: until - self._given]
        self._words = self._words[len(given) :]
        self._given = until
        return given


def _repeated(kept: Sequence[_Kept], fixed: int) -> int:
    """How many words at the end, none of them fixed, unlikely repeat what stands `REPEATS` times before; 0 for none."""
    for length in range(1, PHRASE_WORDS + 1):
        run = [word.name for word in kept[-(REPEATS + 1) * length :]]
        is_repeated = len(run) == (REPEATS + 1) * length and run == run[:length] * (REPEATS + 1)
        if is_repeated and kept[-length].number >= fixed and fmean(word.confidence for word in kept[-length:]) < LIKELY:
            return length
    return 0


def where_words_stand(boosted: Recognition, plain: Recognition) -> Recognition:
    """The boosted recognition without the words that stand far from all words of the plain one."""
    return _without(boosted, far_from(plain.words, boosted.words))


def far_from(plain: Sequence[Word], boosted: Sequence[Word]) -> set[int]:
    """The places of the boosted words that stand far from all plain ones."""
    stretches = _near(plain)
    return {
        place
        for place, word in enumerate(boosted)
        if not any(start_s <= word.start_s <= end_s for start_s, end_s in stretches)
    }


def _near(words: Sequence[Word]) -> list[Stretch]:
    """Where a boosted word may start."""
    stretches: list[Stretch] = []
    for word in words:
        end_s = spoken_until_s(word) + NEAR_S
        if stretches and word.start_s - (stretches[-1][1] - NEAR_S) <= BETWEEN_S:
            stretches[-1] = stretches[-1][0], max(stretches[-1][1], end_s)
        else:
            stretches.append((word.start_s - NEAR_S, end_s))
    return stretches


def _without(recognition: Recognition, places: set[int]) -> Recognition:
    """The recognition without the words at some places; then also without alternatives, which may still have them."""
    if not places:
        return recognition
    words = [word for place, word in enumerate(recognition.words) if place not in places]
    return of_words(words).model_copy(update={"gaps": recognition.gaps})
