"""A recording under way: its windows are transcribed in any order and company, and its transcript is made of them.

Shapes: T samples.
"""

from collections.abc import Mapping, Sequence

from shoptalk.core.protocols import Options, PendingWindow, Vad
from shoptalk.core.records import Recognition, Samples
from shoptalk.engine.gaps import Asking, filling
from shoptalk.engine.invented import without_loops
from shoptalk.engine.long_form import CONTEXT_S, merge, windows


class UnderWay:
    """One recording; `engine.recognizer` begins it and ends it."""

    def __init__(self, samples_T: Samples, options: Options, *, longest_s: float, vad: Vad | None) -> None:
        self.samples_T = samples_T
        self._again = Options(options.phrases)  # alternatives are for recordings of one window, recognised once
        self._asking = _transcribing(samples_T, longest_s, vad)
        self._asked = 0
        self._awaited: dict[int, Recognition | None] = {}
        self.first_windows = self._ask(next(self._asking), options)

    def take(self, news: Mapping[int, Recognition]) -> list[PendingWindow] | Recognition:
        """The windows that are needed next, none while some of the last ones are missing; or the transcript."""
        self._awaited |= news
        results = [result for result in self._awaited.values() if result is not None]
        if len(results) < len(self._awaited):
            return []
        try:
            return self._ask(self._asking.send(results), self._again)
        except StopIteration as end:
            recognition: Recognition = end.value
            return recognition

    def _ask(self, audio: Sequence[Samples], options: Options) -> list[PendingWindow]:
        numbers = range(self._asked, self._asked + len(audio))
        self._awaited = dict.fromkeys(numbers)
        self._asked = numbers.stop
        return [PendingWindow(samples_T, options) for samples_T in audio]


def _transcribing(samples_T: Samples, longest_s: float, vad: Vad | None) -> Asking[Recognition]:
    """The windows, and then the gaps."""
    own_windows = list(windows(samples_T, longest_s=longest_s, context_s=CONTEXT_S))
    recognitions = yield [window.samples_T for window in own_windows]
    is_whole = len(own_windows) == 1
    recognition = recognitions[0] if is_whole else merge(zip(own_windows, recognitions, strict=True))
    if vad:
        recognition = yield from filling(samples_T, recognition, vad)
    return without_loops(recognition)
