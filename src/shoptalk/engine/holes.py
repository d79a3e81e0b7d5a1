"""No silent holes: speech that gave no word is heard again, cut differently, and told as a gap if that fails.

T = samples. A stretch is (start, end) in seconds.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import Vad
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.engine.long_form import CONTEXT_S, LONGEST_S, NEXT_S, heard_as, merge, moved, same, windows

Stretch = tuple[float, float]

SPEECH_S = 1.0
"""So much speech without a word is a hole; a recogniser that drops one short word is wrong, not silent."""
MARGIN_S = 0.2
"""Behind a word its sound may go on for so long, and before one it may have begun: TDT tells when it was sure."""
LEAD_S = 0.5
"""What the VAD listens to before and behind a stretch, to know what it is in."""
LOUD, MOST_GAIN, QUIET = 0.1, 30.0, 1e-5
"""A gap is made so loud before the VAD listens to it, by no more than 30 dB: it may hold whoever stands far away."""
TRIES = ((0.2, 0.2), (1.5, 0.5), (0.5, 1.5))
"""Seconds before and behind a hole with which it is heard again. Features are normalised over what is heard together,
so a hole nearly alone makes quiet speech as loud as any; a gain would change nothing."""


def fill(
    samples_T: Samples, heard: Recognition, vad: Vad, recognize: Callable[[Sequence[Samples]], list[Recognition]]
) -> Recognition:
    """`heard` with the words of its holes, as far as hearing them again gives any; the others are its `gaps`.

    The VAD listens only where no words are. A transcript without word times is returned as it is.
    """
    if heard.text and not heard.words:
        return heard
    duration_s = samples_T.size / SAMPLE_RATE_HZ
    speech = list(_listened(samples_T, gaps(heard, duration_s), vad))
    for around_s in TRIES:
        if holes := find(heard, speech, duration_s):
            heard = _with(heard, holes, _again(samples_T, holes, around_s, recognize))
    return heard.model_copy(update={"gaps": tuple(find(heard, speech, duration_s))})


def find(heard: Recognition, speech: Sequence[Stretch], duration_s: float) -> list[Stretch]:
    """Stretches without a word that hold `SPEECH_S` of the speech spans or more, from the first speech to the last."""
    holes = []
    for start_s, end_s in gaps(heard, duration_s):
        inside = [(max(one[0], start_s), min(one[1], end_s)) for one in speech if one[0] < end_s and one[1] > start_s]
        inside = [one for one in inside if not _belongs_to_a_word(one, (start_s, end_s))]
        if sum(end - start for start, end in inside) >= SPEECH_S:
            holes.append((round(inside[0][0], 3), round(inside[-1][1], 3)))
    return holes


def _belongs_to_a_word(one: Stretch, gap: Stretch) -> bool:
    """Whether speech is the rest of the word before a gap, or the beginning of the word behind it."""
    return one[1] - one[0] < SPEECH_S and (one[0] <= gap[0] or one[1] >= gap[1])


def gaps(heard: Recognition, duration_s: float) -> Iterator[Stretch]:
    """Stretches of `SPEECH_S` or more between words, and before and behind them all, each `MARGIN_S` off its words."""
    from_s = 0.0
    for word in heard.words:
        if word.start_s - MARGIN_S - from_s >= SPEECH_S:
            yield from_s, word.start_s - MARGIN_S
        from_s = max(from_s, _said_until_s(word) + MARGIN_S)
    if duration_s - from_s >= SPEECH_S:
        yield from_s, duration_s


def _said_until_s(word: Word) -> float:
    """When a word is over: a model may write its last piece, and so end it, only behind the hole."""
    return min(word.end_s, word.start_s + 0.5 + 0.1 * len(word.word))


def _listened(samples_T: Samples, stretches: Iterable[Stretch], vad: Vad) -> Iterator[Stretch]:
    for start_s, end_s in stretches:
        first_s = max(0.0, start_s - LEAD_S)
        gap_T = _part(samples_T, start_s, end_s)
        gain = min(MOST_GAIN, LOUD / max(float(np.percentile(np.abs(gap_T), 95)), QUIET))
        listened_T = np.clip(_part(samples_T, first_s, end_s + LEAD_S) * np.float32(max(gain, 1.0)), -1.0, 1.0)
        for one_s, other_s in vad.speech(listened_T):
            if first_s + other_s > start_s and first_s + one_s < end_s:
                yield max(start_s, first_s + one_s), min(end_s, first_s + other_s)


def _again(
    samples_T: Samples,
    holes: Sequence[Stretch],
    around_s: tuple[float, float],
    recognize: Callable[[Sequence[Samples]], list[Recognition]],
) -> list[list[Word]]:
    """What is heard in each hole and around it, all holes in one call; words in the time of the whole audio."""
    starts = [max(0.0, start_s - around_s[0]) for start_s, _ in holes]
    parts = [_part(samples_T, first_s, hole[1] + around_s[1]) for first_s, hole in zip(starts, holes, strict=True)]
    cut = [list(windows(part_T, longest_s=LONGEST_S, context_s=CONTEXT_S)) for part_T in parts]
    heard = iter(recognize([window.samples_T for some in cut for window in some]))
    found = [merge((window, next(heard)) for window in some) for some in cut]
    return [[moved(word, by_s) for word in one.words] for one, by_s in zip(found, starts, strict=True)]


def _with(heard: Recognition, holes: Sequence[Stretch], found: Sequence[Sequence[Word]]) -> Recognition:
    """`heard` with those of the found words that are said in a hole and are not its neighbours heard once more."""
    words = list(heard.words)
    for (start_s, end_s), some in zip(holes, found, strict=True):
        known = [word for word in heard.words if start_s - 3 < word.start_s < end_s + 3]
        doubled = {j for _, j in same(known, some)}
        words += [
            word
            for j, word in enumerate(some)
            if j not in doubled
            and start_s - NEXT_S <= word.start_s <= end_s
            and all(abs(word.start_s - other.start_s) > NEXT_S for other in known)
        ]
    return heard_as(sorted(words, key=lambda word: word.start_s)) if len(words) > len(heard.words) else heard


def _part(samples_T: Samples, start_s: float, end_s: float) -> Samples:
    return samples_T[round(start_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ)]
