"""Gaps: speech that gave no word is transcribed again, cut otherwise, and told as a gap if that gives no word either.

Shapes: T samples. A stretch is (start, end) in seconds.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import Vad
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.engine.long_form import CONTEXT_S, LONGEST_S, NEXT_S, Window, merge, moved, of_words, same, windows

Result = TypeVar("Result")
Stretch = tuple[float, float]
Recognize = Callable[[Sequence[Samples]], list[Recognition]]
Asking = Generator[list[Samples], list[Recognition], Result]
"""It yields audio that it wants to have transcribed, is sent the recognitions, and returns its result in the end."""

SPEECH_S = 1.0
"""So much speech without a word is a gap; a recogniser that drops one short word is wrong, not silent."""
MARGIN_S = 0.2
"""Behind a word its sound may go on for so long, and before one it may have begun: TDT tells when it was sure."""
LEAD_S = 0.5
"""What the VAD listens to before and behind a stretch, to know what it is in."""
LOUD = 0.1
"""What the VAD listens to is made so loud (95th percentile of samples), in case it is quiet."""
MOST_GAIN = 30.0
"""By at most so much, about 30 dB."""
QUIET = 1e-5
"""Samples below this are silence."""
TRIES = ((0.2, 0.2), (1.5, 0.5), (0.5, 1.5))
"""Seconds before and behind a gap with which it is transcribed again.

Features are normalised over what is transcribed together. So a gap nearly alone makes quiet speech as loud as any; a
gain would change nothing.
"""
AROUND_S = 3.0
"""Words that start this far around a gap may be recognised again with it."""
LISTEN_S = 30.0
"""The VAD listens to no more at once: a recording without words would hold up all others."""


def fill(samples_T: Samples, recognition: Recognition, vad: Vad, recognize: Recognize) -> Recognition:
    """`filling` with a recogniser that is called."""
    asking = filling(samples_T, recognition, vad)
    try:
        audio = next(asking)
        while True:
            audio = asking.send(recognize(audio))
    except StopIteration as end:
        filled: Recognition = end.value
        return filled


def filling(samples_T: Samples, recognition: Recognition, vad: Vad) -> Asking[Recognition]:
    """`recognition` with the words of its gaps, as far as transcribing them again gives any; the others are its `gaps`.

    The VAD listens only where no words are. A recognition without word times is returned as it is.
    """
    if recognition.text and not recognition.words:
        return recognition
    speech: list[Stretch] = []
    for stretch in between_words(recognition, samples_T.size / SAMPLE_RATE_HZ):
        for piece in pieces(stretch):
            add_speech(speech, speech_in(samples_T, piece, vad))
    return (yield from filling_by(samples_T, recognition, speech))


def filling_by(samples_T: Samples, recognition: Recognition, speech: Sequence[Stretch]) -> Asking[Recognition]:
    """`filling`, where it is known what speech is between words."""
    duration_s = samples_T.size / SAMPLE_RATE_HZ
    for around_s in TRIES:
        gaps = find_gaps(recognition, speech, duration_s)
        if gaps:
            words_of_gaps = yield from _transcribed_again(samples_T, gaps, around_s)
            recognition = _with_words(recognition, gaps, words_of_gaps)
    gaps = find_gaps(recognition, speech, duration_s)
    return recognition.model_copy(update={"gaps": tuple(gaps)})


def find_gaps(recognition: Recognition, speech: Sequence[Stretch], duration_s: float) -> list[Stretch]:
    """Stretches without a word that hold `SPEECH_S` of speech or more, each from its first speech to its last."""
    gaps = [gap_in(between, speech) for between in between_words(recognition, duration_s)]
    return [gap for gap in gaps if gap]


def gap_in(between: Stretch, speech: Sequence[Stretch]) -> Stretch | None:
    """The gap between two words; None if it holds less than `SPEECH_S` of speech."""
    inside: list[Stretch] = []
    for start_s, end_s in speech:
        if start_s < between[1] and end_s > between[0]:
            part = max(start_s, between[0]), min(end_s, between[1])
            if not _belongs_to_a_word(part, between):
                inside.append(part)
    if sum(end_s - start_s for start_s, end_s in inside) < SPEECH_S:
        return None
    return round(inside[0][0], 3), round(inside[-1][1], 3)


def _belongs_to_a_word(speech: Stretch, between: Stretch) -> bool:
    """Whether speech between words is the rest of the word before, or the beginning of the word behind."""
    is_short = speech[1] - speech[0] < SPEECH_S
    touches_a_word = speech[0] <= between[0] or speech[1] >= between[1]
    return is_short and touches_a_word


def between_words(recognition: Recognition, duration_s: float) -> Iterator[Stretch]:
    """Stretches of `SPEECH_S` or more between words, and before and behind them all, each `MARGIN_S` off its words."""
    from_s = 0.0
    for word in recognition.words:
        if word.start_s - MARGIN_S - from_s >= SPEECH_S:
            yield from_s, word.start_s - MARGIN_S
        from_s = max(from_s, spoken_until_s(word) + MARGIN_S)
    if duration_s - from_s >= SPEECH_S:
        yield from_s, duration_s


def spoken_until_s(word: Word) -> float:
    """When a word is over: a model may write its last piece, and so end it, only behind a gap."""
    return min(word.end_s, word.start_s + 0.5 + 0.1 * len(word.word))


def pieces(stretch: Stretch) -> Iterator[Stretch]:
    """A stretch in pieces of `LISTEN_S`, the last one shorter."""
    start_s, end_s = stretch
    while start_s < end_s:
        yield start_s, min(start_s + LISTEN_S, end_s)
        start_s += LISTEN_S


def add_speech(speech: list[Stretch], further: Iterable[Stretch]) -> None:
    """Add speech of a further piece; what goes on from one piece into the next is one stretch."""
    for start_s, end_s in further:
        if speech and speech[-1][1] >= start_s:
            speech[-1] = speech[-1][0], max(speech[-1][1], end_s)
        else:
            speech.append((start_s, end_s))


def speech_in(samples_T: Samples, stretch: Stretch, vad: Vad) -> Iterator[Stretch]:
    """Where speech is in a stretch, in seconds of the whole audio."""
    start_s, end_s = stretch
    first_s = max(0.0, start_s - LEAD_S)
    listened_T = amplified(part_of(samples_T, first_s, end_s + LEAD_S), like_T=part_of(samples_T, start_s, end_s))
    for speech_start_s, speech_end_s in vad.speech(listened_T):
        if first_s + speech_end_s > start_s and first_s + speech_start_s < end_s:
            yield max(start_s, first_s + speech_start_s), min(end_s, first_s + speech_end_s)


def _transcribed_again(
    samples_T: Samples, gaps: Sequence[Stretch], around_s: tuple[float, float]
) -> Asking[list[list[Word]]]:
    """The words in and around each gap, in seconds of the whole audio; all gaps are asked for together."""
    starts_s: list[float] = []
    windows_of_gaps: list[list[Window]] = []
    for start_s, end_s in gaps:
        first_s = max(0.0, start_s - around_s[0])
        part_T = part_of(samples_T, first_s, end_s + around_s[1])
        starts_s.append(first_s)
        windows_of_gaps.append(list(windows(part_T, longest_s=LONGEST_S, context_s=CONTEXT_S)))

    all_windows = [window for own in windows_of_gaps for window in own]
    recognitions = iter((yield [window.samples_T for window in all_windows]))
    words_of_gaps = []
    for first_s, own in zip(starts_s, windows_of_gaps, strict=True):
        merged = merge((window, next(recognitions)) for window in own)
        words_of_gaps.append([moved(word, first_s) for word in merged.words])
    return words_of_gaps


def _with_words(
    recognition: Recognition, gaps: Sequence[Stretch], words_of_gaps: Sequence[Sequence[Word]]
) -> Recognition:
    """`recognition` with the new words that start in a gap and are not its neighbours, recognised once more."""
    words = list(recognition.words)
    for (start_s, end_s), new in zip(gaps, words_of_gaps, strict=True):
        known = [word for word in recognition.words if start_s - AROUND_S < word.start_s < end_s + AROUND_S]
        known_again = {j for _, j in same(known, new)}
        for j, word in enumerate(new):
            starts_in_gap = start_s - NEXT_S <= word.start_s <= end_s
            if starts_in_gap and j not in known_again and not _starts_with_any(word, known):
                words.append(word)
    if len(words) == len(recognition.words):
        return recognition
    return of_words(sorted(words, key=lambda word: word.start_s))


def _starts_with_any(word: Word, others: Sequence[Word]) -> bool:
    return any(abs(word.start_s - other.start_s) <= NEXT_S for other in others)


def amplified(samples_T: Samples, *, like_T: Samples) -> Samples:
    """Samples so loud that the VAD can tell, with the gain that brings `like_T` to `LOUD`; never quieter."""
    level = _level(like_T) if like_T.size else 0.0
    gain = max(1.0, min(MOST_GAIN, LOUD / max(level, QUIET)))
    return np.clip(samples_T * np.float32(gain), -1.0, 1.0)


def _level(samples_T: Samples) -> float:
    """The 95th percentile of samples; ten times as fast as `np.percentile`, which interpolates."""
    place = round(0.95 * (samples_T.size - 1))
    return float(np.partition(np.abs(samples_T), place)[place])


def part_of(samples_T: Samples, start_s: float, end_s: float) -> Samples:
    """The samples from one time to another."""
    return samples_T[round(start_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ)]
