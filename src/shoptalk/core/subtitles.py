"""Words in time as subtitles: which words stand together, on which lines, for how long; written as SRT or WebVTT.

A cue is at most `LINES` lines of `LINE` characters. `cues` chooses all cuts of a recording together, by dynamic
programming over what a cut costs (`_cut_cost`) and what a cue costs (`_Costs.cue`): first come ends of sentences and
pauses, then commas, then conjunctions. The rules are those of broadcasters (BBC Subtitle Guidelines; Netflix Timed Text
Style Guide: 42 characters, 2 lines, 5/6 s to 7 s, 17 to 20 characters a second).

WebVTT: https://www.w3.org/TR/webvtt1/. SRT has no standard; what is written is what all players read.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from shoptalk.core.records import Recognition, Word
from shoptalk.core.tokens import placed

LINE = 42
"""Characters of a line, at most."""
LINES = 2
LEAST_S = 1.0
"""A cue is shown so long at least, where the next one leaves the time."""
MOST_S = 7.0
"""A cue is shown so long at most."""
READABLE = 17.0
"""Characters a second: a cue stays until it was read at this speed, where the next one leaves the time."""
FASTEST = 20.0
"""Characters a second above which a cue is hard to follow; cuts avoid it."""
PAUSE_S = 0.5
"""A pause this long is as good a place for a cut as the end of a sentence."""
BREATH_S = 0.25
"""A pause this long is as good as a comma."""
SILENCE_S = 2.0
"""No cue goes on across a pause this long, unless it would be shown too shortly without."""
FRAME_MS = 40
"""Least time between the starts of two cues: a frame of television."""
NAME = 24
"""Characters of a speaker's name that an SRT cue shows."""

SENTENCE_END = re.compile(r"[.?!…][\"'”’)\]]*$")
CLAUSE_END = re.compile(r"[,;:–—][\"'”’)\]]*$")
OPENS_A_CLAUSE = frozenset("and but or nor so because although while when where which who if unless until then".split())
BELONGS_TO_THE_NEXT = frozenset(
    "a an the this that these those my your his her its our their of to in on at by for with from as is are was".split()
)
CUE_COST = 0.8
"""Of each cue, so that cues are not shorter than need be."""


@dataclass(frozen=True)
class Cue:
    """What is shown from one time to another."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    speaker: str = ""

    @property
    def text(self) -> str:
        return " ".join(self.lines)


@dataclass(frozen=True)
class _Piece:
    """A word, or of one that is longer than a line a part."""

    text: str
    start_s: float
    end_s: float


def cues(words: Sequence[Word], *, prefix: str = "") -> list[Cue]:
    """The cues of one speaker's words, in order, none overlapping the next.

    A cue starts with its first word. It lasts until its last word ends, `LEAST_S` and the time to read it at `READABLE`
    where the next cue leaves so much, and never longer than `MOST_S`. The first line leaves room for `prefix`.
    """
    pieces = _pieces(words, longest=LINE - len(prefix))
    spoken: list[Cue] = []
    for first, last in _cut(pieces, len(prefix)):
        texts = [piece.text for piece in pieces[first:last]]
        start_ms, end_ms = round(1000 * pieces[first].start_s), round(1000 * pieces[last - 1].end_s)
        spoken.append(Cue(start_ms, end_ms, _lines(texts, len(prefix))))
    return in_order(spoken)


def of_recording(recognitions: Sequence[Recognition], names: Sequence[str], duration_s: float) -> list[Cue]:
    """The cues of a recording: of several channels each with the name of one, in the order of time.

    The first line of a cue leaves room for the name, which SRT writes there.
    """
    is_named = len(recognitions) > 1
    together: list[Cue] = []
    for recognition, name in zip(recognitions, names, strict=True):
        words = recognition.words or spread(recognition.text, duration_s)
        own_cues = cues(words, prefix=_prefix(name) if is_named else "")
        together += [replace(cue, speaker=name if is_named else "") for cue in own_cues]
    return _begun_by(in_order(together), round(1000 * duration_s))


def spread(text: str, duration_s: float) -> list[Word]:
    """The words of a text whose times nobody knows, spread over the audio by their letters."""
    texts = text.split()
    ends = list(accumulate(len(word) for word in texts))
    scale = duration_s / ends[-1] if ends else 0.0
    return [
        Word(word=word, start_s=(end - len(word)) * scale, end_s=end * scale)
        for word, end in zip(texts, ends, strict=True)
    ]


def srt(subtitles: Sequence[Cue]) -> str:
    """SRT; a cue with a speaker starts with the name and a colon."""
    written = []
    for number, cue in enumerate(subtitles, start=1):
        text = "\n".join(cue.lines).replace("-->", "→")
        written.append(f"{number}\n{_times(cue, ',')}\n{_prefix(cue.speaker)}{text}\n\n")
    return "".join(written)


def vtt(subtitles: Sequence[Cue]) -> str:
    """WebVTT; a cue with a speaker has a voice tag."""
    written = ["WEBVTT\n\n"]
    for cue in subtitles:
        tag = f"<v {_escaped(' '.join(cue.speaker.split()))}>" if cue.speaker else ""
        written.append(f"{_times(cue, '.')}\n{tag}{_escaped(chr(10).join(cue.lines))}\n\n")
    return "".join(written)


def _prefix(name: str) -> str:
    """What stands before the words of a named speaker in SRT."""
    short = " ".join(name.split())
    if len(short) > NAME:
        short = short[: NAME - 1] + "…"
    return f"{short}: " if short else ""


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _times(cue: Cue, point: str) -> str:
    return f"{_clock(cue.start_ms, point)} --> {_clock(cue.end_ms, point)}"


def _clock(time_ms: int, point: str) -> str:
    seconds, milliseconds = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}"


# ---- words to pieces, pieces to lines


def _pieces(words: Sequence[Word], *, longest: int) -> list[_Piece]:
    """Words in order of time without overlaps; what is longer than a line in parts that share its time."""
    until_s = max((word.end_s for word in words), default=0.0)
    pieces: list[_Piece] = []
    for word in placed(words, until_s=until_s):
        parts: list[str] = []
        for text in _printable(word.word).split():
            parts += [text[start : start + longest] for start in range(0, len(text), longest)]
        share_s = (word.end_s - word.start_s) / max(1, len(parts))
        for number, part in enumerate(parts):
            start_s = word.start_s + number * share_s
            pieces.append(_Piece(part, start_s, start_s + share_s))
    return pieces


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _lines(texts: Sequence[str], prefix: int) -> tuple[str, ...]:
    """One line where that suffices, else two of like length; a little more is accepted for a better place."""
    whole = " ".join(texts)
    if prefix + len(whole) <= LINE:
        return (whole,)
    best_cost = math.inf
    best: tuple[str, ...] = (whole,)
    for cut in range(1, len(texts)):
        upper, lower = " ".join(texts[:cut]), " ".join(texts[cut:])
        if prefix + len(upper) > LINE or len(lower) > LINE:
            continue
        cost = abs(prefix + len(upper) - len(lower)) + 3 * _join_cost(texts[cut - 1], texts[cut])
        if cost < best_cost:
            best_cost, best = cost, (upper, lower)
    return best


def _join_cost(before: str, behind: str) -> float:
    """How bad a cut between two words is, by what they are: 0 behind a sentence to 4 behind an article."""
    if SENTENCE_END.search(before):
        return 0.0
    if CLAUSE_END.search(before):
        return 1.0
    if before.lower() in BELONGS_TO_THE_NEXT:
        return 4.0
    return 2.0 if behind.lower() in OPENS_A_CLAUSE else 3.0


# ---- where to cut


def _cut(pieces: Sequence[_Piece], prefix: int) -> list[tuple[int, int]]:
    """The cues, as (first, behind the last) piece, whose cost is least in all."""
    costs = _Costs(pieces, prefix)
    best = [0.0] + [math.inf] * len(pieces)
    begins = [0] * (len(pieces) + 1)
    for last in range(1, len(pieces) + 1):
        for first in range(last - 1, -1, -1):
            if not costs.may_be_one(first, last):
                break
            cost = best[first] + costs.cue(first, last)
            if cost < best[last]:
                best[last], begins[last] = cost, first
    spans: list[tuple[int, int]] = []
    last = len(pieces)
    while last:
        spans.append((begins[last], last))
        last = begins[last]
    return spans[::-1]


class _Costs:
    """What cues of some pieces cost; sums are made once, so that each cue is asked about quickly."""

    def __init__(self, pieces: Sequence[_Piece], prefix: int):
        self._pieces = pieces
        self._prefix = prefix
        self._ends = [0, *accumulate(len(piece.text) + 1 for piece in pieces)]
        cuts = [_cut_cost(*pair) for pair in zip(pieces, pieces[1:], strict=False)]
        self._cut_at = [0.0, *cuts, 0.0]  # by the piece behind the cut
        inner = [_inner_cost(*pair) for pair in zip(pieces, pieces[1:], strict=False)]
        self._inner_until = [0.0, *accumulate(inner, initial=0.0)]

    def may_be_one(self, first: int, last: int) -> bool:
        """Whether the pieces fit on the lines and into the time; a single piece always may."""
        if last - first == 1:
            return True
        if self._pieces[last - 1].end_s - self._pieces[first].start_s > MOST_S:
            return False
        return self._fits(first, last)

    def cue(self, first: int, last: int) -> float:
        letters = self._length(first, last)
        start_s = self._pieces[first].start_s
        shown_s = MOST_S
        if last < len(self._pieces):
            shown_s = min(MOST_S, self._pieces[last].start_s - start_s)
        too_short_s = max(0.0, LEAST_S - shown_s)
        too_fast = max(0.0, letters / max(shown_s, 0.1) / FASTEST - 1.0)
        inner = self._inner_until[last] - self._inner_until[first + 1]
        return CUE_COST + self._cut_at[last] + inner + 8 * too_short_s + min(4.0, 2 * too_fast)

    def _length(self, first: int, last: int) -> int:
        """Characters of the pieces with the spaces between them."""
        return self._ends[last] - self._ends[first] - 1

    def _fits(self, first: int, last: int) -> bool:
        length = self._prefix + self._length(first, last)
        if length <= LINE:
            return True
        if length > LINES * LINE + 1:
            return False
        for cut in range(last - 1, first, -1):
            if self._length(cut, last) > LINE:
                return False
            if self._prefix + self._length(first, cut) <= LINE:
                return True
        return False


def _cut_cost(before: _Piece, behind: _Piece) -> float:
    """How bad it is that a cue ends here."""
    pause_s = behind.start_s - before.end_s
    cost = _join_cost(before.text, behind.text)
    if pause_s >= PAUSE_S:
        return 0.0
    return min(cost, 1.0) if pause_s >= BREATH_S else cost


def _inner_cost(before: _Piece, behind: _Piece) -> float:
    """How bad it is that a cue goes on here."""
    pause_s = behind.start_s - before.end_s
    if pause_s >= SILENCE_S:
        return 10.0
    if pause_s >= PAUSE_S:
        return 2.0
    return 1.0 if SENTENCE_END.search(before.text) else 0.0


# ---- when each is shown


def in_order(spoken: Iterable[Cue]) -> list[Cue]:
    """Cues by their start, none overlapping the next; their times are those of the words until then.

    Where two speak at once, the later cue waits until the one before was read, and `LEAST_S` at least.
    """
    ordered = sorted(spoken, key=lambda cue: (cue.start_ms, cue.end_ms))
    shown: list[Cue] = []
    for cue in ordered:
        start_ms = cue.start_ms
        if shown:
            start_ms = max(start_ms, _free_ms(shown[-1], start_ms))
        spoken_ms = max(0, cue.end_ms - cue.start_ms)
        shown.append(replace(cue, start_ms=start_ms, end_ms=start_ms + spoken_ms))
    in_time: list[Cue] = []
    for number, cue in enumerate(shown):
        until_ms = cue.start_ms + round(1000 * MOST_S)
        if number + 1 < len(shown):
            until_ms = min(until_ms, shown[number + 1].start_ms)
        end_ms = max(cue.end_ms, cue.start_ms + _wanted_ms(cue, READABLE))
        in_time.append(replace(cue, end_ms=min(end_ms, until_ms)))
    return in_time


def _begun_by(shown: Sequence[Cue], last_ms: int) -> list[Cue]:
    """No cue starts after the recording ends: where words crowd at its end, their cues are shown earlier or shorter."""
    begun: list[Cue] = []
    next_ms: int | None = None
    for cue in reversed(shown):
        start_ms = min(cue.start_ms, last_ms if next_ms is None else next_ms)
        end_ms = cue.end_ms if next_ms is None else min(cue.end_ms, next_ms)
        begun.append(replace(cue, start_ms=start_ms, end_ms=end_ms))
        next_ms = start_ms
    return begun[::-1]


def _free_ms(cue: Cue, next_ms: int) -> int:
    """When the next cue may take the place of this one."""
    if next_ms >= cue.end_ms:
        return cue.start_ms + FRAME_MS
    return max(cue.start_ms + FRAME_MS, min(cue.end_ms, cue.start_ms + _wanted_ms(cue, FASTEST)))


def _wanted_ms(cue: Cue, letters_per_s: float) -> int:
    """How long it takes to read a cue, within what a cue may last."""
    return round(1000 * min(MOST_S, max(LEAST_S, len(cue.text) / letters_per_s)))
