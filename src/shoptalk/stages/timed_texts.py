"""Transcripts with times: STM and CTM read, and recognised words put into the segments of a reference, as sclite does.

A word belongs to the segment in which its middle lies. Segments marked ``ignore_time_segment_in_scoring`` are left out
with the words in them, and so are words that lie in no segment; both are counted.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from shoptalk.core import files
from shoptalk.core.errors import ImportFormatError
from shoptalk.scoring.transcripts import Texts
from shoptalk.testsets.sources import UNSCORED

STM, CTM = "FILE CHANNEL SPEAKER START END [<LABEL>] TEXT", "FILE CHANNEL START LENGTH WORD"
SAME_S = 0.01
"""Segments whose times differ by no more are the same."""
Place = tuple[str, int]
"""A recording, and which of its segments."""


class Piece(NamedTuple):
    """A word (CTM) or a segment (STM) of a recording."""

    recording: str
    """FILE-CHANNEL."""
    start_s: float
    end_s: float
    text: str
    speaker: str
    """Empty for a word."""

    @property
    def is_ignored(self) -> bool:
        return "_".join(self.text.lower().strip("<>").split()) == UNSCORED

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2


@dataclass(frozen=True)
class Segmented:
    """The segments of a reference with the words that fall into them."""

    texts: list[Texts]
    left_out: list[str]
    """What is not scored, a sentence each."""


def is_timed(path: Path) -> bool:
    """Whether this is a file whose name says that it holds times."""
    return path.is_file() and path.suffix.lower() in (".stm", ".ctm")


def read(path: Path) -> list[Piece]:
    """The pieces of a file; `ImportFormatError` names a line of another form."""
    is_stm = path.suffix.lower() == ".stm"
    parse: Callable[[str], Piece] = _stm_line if is_stm else _ctm_line
    pieces: list[Piece] = []
    for number, line in files.numbered_lines(path):
        if line.startswith(";;"):
            continue
        try:
            piece = parse(line)
        except (ValueError, IndexError):
            form = STM if is_stm else CTM
            raise ImportFormatError(f"{path}:{number}: is no line of the form `{form}`; correct it") from None
        if is_stm and re.search(r"[{}]", piece.text):
            raise ImportFormatError(f"{path}:{number}: alternatives in braces are not scored; write one of them")
        pieces.append(piece)
    return pieces


def _stm_line(line: str) -> Piece:
    recording, channel, speaker, start, end, *rest = line.split(maxsplit=5)
    text = re.sub(r"^<[^>]*>\s*(?=\S)", "", rest[0] if rest else "")
    return _piece(recording, channel, float(start), float(end), text, speaker)


def _ctm_line(line: str) -> Piece:
    recording, channel, start, length, word, *_ = line.split()
    return _piece(recording, channel, float(start), float(start) + float(length), word, "")


def _piece(recording: str, channel: str, start_s: float, end_s: float, text: str, speaker: str) -> Piece:
    if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s <= end_s):
        raise ValueError("no times")
    return Piece(f"{recording}-{channel}", start_s, end_s, text, speaker)


def joined(pieces: Sequence[Piece], path: Path) -> dict[str, str]:
    """The text of each recording, its pieces in the order of time."""
    by_recording = _by_recording(pieces)
    if any(piece.is_ignored for piece in pieces):
        raise ImportFormatError(
            f"{path}: {UNSCORED} needs words with times on the other side (.ctm), or the same segments (.stm)"
        )
    return {name: " ".join(piece.text for piece in own) for name, own in by_recording.items()}


def _by_recording(pieces: Sequence[Piece]) -> dict[str, list[Piece]]:
    by_recording: dict[str, list[Piece]] = defaultdict(list)
    for piece in sorted(pieces, key=lambda piece: piece.start_s):
        by_recording[piece.recording].append(piece)
    return by_recording


def can_segment(reference: Sequence[Piece], sides: Sequence[Sequence[Piece]]) -> bool:
    """Whether every side has words with times, or the segments of the reference."""
    if not reference or any(not piece.speaker for piece in reference):
        return False
    ends = _by_recording(reference)
    for side in sides:
        for piece in side:
            if piece.speaker and not any(_is_same(piece, segment) for segment in ends.get(piece.recording, ())):
                return False
    return True


def segment_id(segment: Piece) -> str:
    """FILE-CHANNEL-START."""
    return f"{segment.recording}-{segment.start_s:g}"


def _is_same(piece: Piece, segment: Piece) -> bool:
    return abs(piece.start_s - segment.start_s) <= SAME_S and abs(piece.end_s - segment.end_s) <= SAME_S


def by_segment(
    reference: Sequence[Piece], sides: Sequence[Sequence[Piece]], *, recordings: Sequence[str], leave_out: Sequence[str]
) -> Segmented:
    """Each segment of the `recordings` as a text; the speakers are the clusters."""
    segments = {name: own for name, own in _by_recording(reference).items() if name in recordings}
    held = [_held(segments, side) for side in sides]
    texts: list[Texts] = []
    ignored: list[Place] = []
    for recording, own in segments.items():
        for place, segment in enumerate(own):
            name = segment_id(segment)
            if segment.is_ignored:
                ignored.append((recording, place))
            if segment.is_ignored or name in leave_out:
                continue
            recognised = tuple(" ".join(words.get((recording, place), ())) for words, _ in held)
            texts.append(Texts(name, segment.speaker, segment.text, recognised, recording))
    left_out: list[str] = []
    for number, (_, outside) in enumerate(held, start=1):
        if outside:
            left_out.append(f"transcripts {number}: {outside} words lie in no segment")
    if ignored:
        counts = [str(sum(len(words.get(place, ())) for place in ignored)) for words, _ in held]
        left_out.append(f"segments to be ignored: {len(ignored)}, with {' and '.join(counts)} words in them")
    return Segmented(texts, left_out)


def _held(segments: Mapping[str, Sequence[Piece]], side: Sequence[Piece]) -> tuple[dict[Place, list[str]], int]:
    """The words in each segment, and how many lie in none."""
    held: dict[Place, list[str]] = defaultdict(list)
    outside = 0
    for recording, pieces in _by_recording(side).items():
        own = segments.get(recording)
        if own is None:
            continue
        first = 0
        for piece in sorted(pieces, key=lambda piece: piece.middle_s):
            while first < len(own) and own[first].end_s < piece.middle_s:
                first += 1
            place = _segment_of(piece, own, first)
            if place is None:
                outside += len(piece.text.split())
            else:
                held[recording, place] += piece.text.split()
    return held, outside


def _segment_of(piece: Piece, segments: Sequence[Piece], first: int) -> int | None:
    """The first segment, from `first` on, in which the middle of a piece lies."""
    for place in range(first, len(segments)):
        if segments[place].start_s > piece.middle_s:
            return None
        if piece.middle_s <= segments[place].end_s:
            return place
    return None
