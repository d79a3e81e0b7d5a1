"""The gaps of a recording under way: found and filled while its words come in, the same however they come.

Gaps are filled in clusters. A gap far from all others changes nothing for them, and they change nothing for it. So a
cluster begins as soon as the words around it are known, and the words before it need not wait.

Shapes: T samples.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import Vad
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.engine.gaps import (
    AROUND_S,
    LISTEN_S,
    MARGIN_S,
    SPEECH_S,
    Asking,
    Stretch,
    add_speech,
    filling_by,
    gap_in,
    speech_in,
    spoken_until_s,
)
from shoptalk.engine.long_form import NEXT_S, of_words

APART_S = AROUND_S + 1.0
"""Gaps this far apart do not change each other: the words of one are no neighbours of the other."""
BESIDE_S = 10.0
"""Words that matter to a gap start at most so far from the words that it lies between."""


@dataclass
class _Between:
    """What lies between two words."""

    start_s: float
    speech: list[Stretch] = field(default_factory=list)
    listened_until_s: float = 0.0


@dataclass
class Cluster:
    """Gaps less than `APART_S` apart."""

    words_s: Stretch
    """The words around it start in this stretch."""
    gaps_s: Stretch
    """From the beginning of the first gap to the end of the last one."""
    speech: list[Stretch]
    words: tuple[Word, ...] = ()
    asking: Asking[Recognition] | None = None
    """None before all words around it are known."""


class GapFiller:
    """The gaps of one recording."""

    def __init__(self, samples_T: Samples, vad: Vad) -> None:
        self.gaps: list[Stretch] = []
        """Those that could not be filled, by now."""
        self._samples_T = samples_T
        self._vad = vad
        self._words: list[Word] = []
        self._between = _Between(0.0)
        self._until_s = 0.0
        self._clusters: list[Cluster] = []
        """Those that are not filled yet."""
        self._filled: list[Word] = []
        """Words of gaps that were not given on yet."""
        self._given = 0
        """So many of the words were given on."""

    @property
    def is_over(self) -> bool:
        """Whether all words are known and given on."""
        return self._until_s == math.inf and not self._clusters

    def feed(self, words: Sequence[Word], until_s: float) -> list[tuple[Cluster, list[Samples]]]:
        """Take further words, in order; all that follow start at `until_s` or later, and infinity ends them.

        Gives clusters that begin, each with the audio that is to be transcribed for it.
        """
        for word in words:
            self._close(word.start_s - MARGIN_S)
            self._between = _Between(max(self._between.start_s, spoken_until_s(word) + MARGIN_S))
        self._words += words
        self._until_s = until_s
        if until_s == math.inf:
            self._close(self._samples_T.size / SAMPLE_RATE_HZ)
            self._between = _Between(math.inf)
        else:
            self._listen(until_s - MARGIN_S)
        return self._begin()

    def go_on(self, cluster: Cluster, recognitions: list[Recognition]) -> list[Samples]:
        """What is to be transcribed next for a cluster; nothing when it is filled."""
        asking = cluster.asking
        try:
            return asking.send(recognitions) if asking else []
        except StopIteration as end:
            self._end(cluster, end.value)
            return []

    def given(self) -> list[Word]:
        """Further words, in order, among which no gap will be filled any more."""
        until_s = min([self._until_s, self._between.start_s - NEXT_S])
        for cluster in self._clusters:
            until_s = min(until_s, cluster.gaps_s[0] - NEXT_S)
        known = bisect_left(self._words, until_s, lo=self._given, key=lambda word: word.start_s)
        words = self._words[self._given : known]
        self._given = known
        words += [word for word in self._filled if word.start_s < until_s]
        self._filled = [word for word in self._filled if word.start_s >= until_s]
        return sorted(words, key=lambda word: word.start_s)

    def _listen(self, until_s: float, *, to_the_end: bool = False) -> None:
        """Let the VAD listen on between two words, in pieces of `LISTEN_S`; the last piece is what remains."""
        between = self._between
        start_s = max(between.start_s, between.listened_until_s)
        while start_s + LISTEN_S <= until_s or (to_the_end and start_s < until_s):
            piece = start_s, min(start_s + LISTEN_S, until_s)
            add_speech(between.speech, speech_in(self._samples_T, piece, self._vad))
            start_s += LISTEN_S
            between.listened_until_s = start_s

    def _close(self, end_s: float) -> None:
        """What is between two words is known: a gap in it joins the last cluster, or makes a new one."""
        start_s = self._between.start_s
        if end_s - start_s < SPEECH_S:
            return
        self._listen(end_s, to_the_end=True)
        speech = self._between.speech
        gap = gap_in((start_s, end_s), speech)
        if gap is None:
            return
        last = self._clusters[-1] if self._clusters else None
        if last and not last.asking and gap[0] - last.gaps_s[1] < APART_S:
            last.words_s = last.words_s[0], end_s + BESIDE_S
            last.gaps_s = last.gaps_s[0], gap[1]
            last.speech += speech
        else:
            self._clusters.append(Cluster((start_s - BESIDE_S, end_s + BESIDE_S), gap, speech))

    def _begin(self) -> list[tuple[Cluster, list[Samples]]]:
        """The clusters that no further gap can join, and around which all words are known."""
        begun: list[tuple[Cluster, list[Samples]]] = []
        for cluster in list(self._clusters):
            is_apart = self._between.start_s - cluster.gaps_s[1] >= APART_S
            if cluster.asking or not is_apart or cluster.words_s[1] > self._until_s:
                continue
            first, end = (bisect_left(self._words, time_s, key=lambda word: word.start_s) for time_s in cluster.words_s)
            cluster.words = tuple(self._words[first:end])
            cluster.asking = filling_by(self._samples_T, of_words(cluster.words), cluster.speech)
            begun.append((cluster, next(cluster.asking)))
        return begun

    def _end(self, cluster: Cluster, filled: Recognition) -> None:
        known = {id(word) for word in cluster.words}
        self._filled += [word for word in filled.words if id(word) not in known]
        self.gaps = sorted([*self.gaps, *filled.gaps])
        self._clusters.remove(cluster)
