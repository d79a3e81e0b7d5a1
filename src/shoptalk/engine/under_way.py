"""A recording under way: its windows are transcribed in any order and company, and words come out as they are final.

Words pass through four stations, each of which holds back what later words may change: the seams of windows are
merged, gaps are filled, loops end, and words that no speech carries go. What comes out does not depend on when which
window was transcribed, so a recording that is transcribed at once has the same words.

Shapes: T samples.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import Options, PendingWindow, Vad
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.core.tokens import placed
from shoptalk.engine.gap_filler import Cluster, GapFiller
from shoptalk.engine.invented import Doubtful, Loops, Question
from shoptalk.engine.long_form import CONTEXT_S, SAME_S, Merger, Window, of_words, windows


@dataclass
class _Awaited:
    """Windows of a cluster of gaps, by their numbers."""

    cluster: Cluster
    recognitions: dict[int, Recognition | None] = field(default_factory=dict)


class UnderWay:
    """One recording; whoever calls asks the VAD between `take` and `settle`."""

    def __init__(
        self, samples_T: Samples, options: Options, *, longest_s: float, gap_vad: Vad | None, needs_speech: bool
    ) -> None:
        self.samples_T = samples_T
        self._again = Options(options.phrases)  # alternatives are for recordings of one window, recognised once
        self._windows: list[Window] = list(windows(samples_T, longest_s=longest_s, context_s=CONTEXT_S))
        self.first_windows = [PendingWindow(window.samples_T, options) for window in self._windows]
        self._asked = len(self._windows)
        self._recognitions: dict[int, Recognition] = {}
        """Of windows that wait for one before them."""
        self._whole: Recognition | None = None
        """That of the only window, where there is one."""
        self._merged = 0
        self._merger = Merger()
        self._gaps = GapFiller(samples_T, gap_vad) if gap_vad else None
        self._awaited: list[_Awaited] = []
        self._loops = Loops()
        self._doubtful = Doubtful(samples_T) if needs_speech else None
        self._spoken: list[Word] = []
        """Words that passed all stations, as the recogniser timed them."""
        self._told: list[Word] = []
        """The words of them that were told, with their final times."""
        self._is_over = False
        self._decided: list[Word] = []

    def take(self, news: Mapping[int, Recognition]) -> list[PendingWindow]:
        """Take recognitions of windows by their numbers; gives the windows of gaps that are to be transcribed next."""
        asked: list[PendingWindow] = []
        for awaited in list(self._awaited):
            awaited.recognitions |= {number: news[number] for number in awaited.recognitions if number in news}
            results = [result for result in awaited.recognitions.values() if result is not None]
            if self._gaps and len(results) == len(awaited.recognitions):
                self._awaited.remove(awaited)
                asked += self._ask(awaited.cluster, self._gaps.go_on(awaited.cluster, results))
        self._recognitions |= {number: news[number] for number in news if number < len(self._windows)}
        while self._merged < len(self._windows) and self._merged in self._recognitions:
            asked += self._merge(self._recognitions.pop(self._merged))
        if not self._windows and self._gaps:
            self._gaps.feed((), math.inf)
        return asked

    def questions(self) -> list[Question]:
        """What the VAD is to be asked before `settle`."""
        words = self._decided
        self._decided = []
        self._is_over = self._merged == len(self._windows) and (self._gaps is None or self._gaps.is_over)
        if self._gaps:
            words = self._gaps.given()
        kept = [word for word, is_looped in self._loops.feed(words, last=self._is_over) if not is_looped]
        if self._doubtful:
            return self._doubtful.feed(kept, last=self._is_over)
        self._spoken += kept
        return []

    def settle(self, silent: set[int]) -> list[Word]:
        """Leave out the words that no speech carries, by their places in the questions; gives further final words.

        The last word waits for the one behind it, which may end it.
        """
        if self._doubtful:
            self._spoken += self._doubtful.given(silent)
        words = self._spoken[len(self._told) :]
        from_s = self._told[-1].end_s if self._told else 0.0
        in_time = list(placed(words, until_s=self.samples_T.size / SAMPLE_RATE_HZ, from_s=from_s))
        further = in_time if self._is_over else in_time[:-1]
        self._told += further
        return further

    def recognition(self) -> Recognition | None:
        """What was recognised, with the recogniser's own times; None before the end.

        Without alternatives where words were left out or filled in: they may still have them, or not yet.
        """
        if not self._is_over:
            return None
        gaps = tuple(self._gaps.gaps) if self._gaps else ()
        whole = self._whole
        if whole is not None and list(whole.words) == self._spoken:
            return whole.model_copy(update={"gaps": gaps})
        return of_words(self._spoken).model_copy(update={"gaps": gaps})

    def _merge(self, recognition: Recognition) -> list[PendingWindow]:
        """Take the next window's words, and pass on those that it settles."""
        if len(self._windows) == 1:
            self._whole = recognition
        self._merger.add(self._windows[self._merged], recognition)
        self._merged += 1
        is_last = self._merged == len(self._windows)
        next_start_s = math.inf if is_last else self._windows[self._merged].start_s
        settled = self._merger.settled(next_start_s)
        if not self._gaps:
            self._decided += settled
            return []
        asked: list[PendingWindow] = []
        for cluster, audio in self._gaps.feed(settled, next_start_s - SAME_S):
            asked += self._ask(cluster, audio)
        return asked

    def _ask(self, cluster: Cluster, audio: Sequence[Samples]) -> list[PendingWindow]:
        if not audio:
            return []
        numbers = range(self._asked, self._asked + len(audio))
        self._asked = numbers.stop
        self._awaited.append(_Awaited(cluster, dict.fromkeys(numbers)))
        return [PendingWindow(samples_T, self._again) for samples_T in audio]
