"""Which windows are transcribed together next: continuous batches by turn and deadline, shared fairly.

Callers take turns by the audio that was taken from each so far (fair queueing by finish times, as of Demers, Keshav and
Shenker 1989), and so do the recordings of one caller. Whoever comes anew starts level with the others, so a clip does
not wait until a long recording is over. Every `URGENT_EVERY`-th batch that a caller leads starts with the window that
is due first: the time that a recording is allowed is spread over its windows. So no recording starves behind ever new
ones. A batch puts no caller ahead of another one by more than a batch.

Windows of unlike length share a batch: the encoder computes no padding, and small batches cost a model a third more for
each window. But a clip that leads is not held up by windows of long recordings, which are longer.

Times are seconds of any clock that never goes back.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

URGENT_EVERY = 4
"""In one of so many batches that a caller leads, the time when a window is due counts instead of fairness."""
LIKE = 0.6
"""A window of a long recording joins a batch only if the longest before it has at least this share of its length."""


@dataclass(frozen=True)
class Claim:
    """What is known of a recording that asks for its turn."""

    caller: str
    came_s: float
    deadline_s: float
    background: bool = False
    """It is taken only where no other window waits."""
    alone: bool = False
    """Its windows share no batch with other recordings'."""


@dataclass(frozen=True)
class Limits:
    """Of one batch."""

    windows: int = 16
    audio_s: float = 480.0
    """With padding: its longest window times their number. One window is always taken."""


class Taken(NamedTuple):
    """A window of a batch."""

    recording: int
    number: int
    audio_s: float
    waited_s: float


class _Waiting(NamedTuple):
    number: int
    audio_s: float
    since_s: float


@dataclass
class _Recording:
    id: int
    claim: Claim
    windows: deque[_Waiting] = field(default_factory=deque)
    taken_s: float = 0.0
    """Audio seconds of its windows that were taken, on the scale of its caller."""
    taken: int = 0
    """So many windows were."""

    @property
    def is_clip(self) -> bool:
        """Whether its next window is its only one."""
        return self.taken + len(self.windows) == 1

    def due_s(self) -> float:
        """When its next window should be taken, so that all of them are by the deadline."""
        share = (self.taken + 1) / (self.taken + len(self.windows))
        return self.claim.came_s + share * (self.claim.deadline_s - self.claim.came_s)

    def finish_s(self) -> float:
        """What its `taken_s` would be after its next window."""
        return self.taken_s + self.windows[0].audio_s


@dataclass
class _Caller:
    recordings: dict[int, _Recording] = field(default_factory=dict)
    taken_s: float = 0.0
    """Audio seconds that were taken from it, on the scale of all callers."""
    level_s: float = 0.0
    """The `taken_s` of its recording that was served last, before it was served: where new ones start."""
    batches: int = 0
    """So many it led."""

    def next(self, may: Callable[[_Recording], bool]) -> _Recording | None:
        """Whose turn it is among its recordings that may be taken."""
        candidates = [recording for recording in self.recordings.values() if recording.windows and may(recording)]
        return min(candidates, key=_Recording.finish_s, default=None)

    def leader(self) -> _Recording:
        """Whose turn it is to lead a batch; the caller has windows that wait."""
        self.batches += 1
        key = _Recording.due_s if self.batches % URGENT_EVERY == 0 else _Recording.finish_s
        return min((recording for recording in self.recordings.values() if recording.windows), key=key)


class Scheduler:
    """Windows that wait; it knows their lengths alone, and neither audio nor model."""

    def __init__(self) -> None:
        self._recordings: dict[int, _Recording] = {}
        self._callers: dict[tuple[bool, str], _Caller] = {}
        self._level_s = {False: 0.0, True: 0.0}

    @property
    def waiting(self) -> int:
        """So many windows wait."""
        return sum(len(recording.windows) for recording in self._recordings.values())

    @property
    def has_foreground(self) -> bool:
        """Whether any window waits that is not background."""
        return any(own.windows for own in self._recordings.values() if not own.claim.background)

    @property
    def next_deadline_s(self) -> float | None:
        """When the next recording expires; None without recordings."""
        return min((recording.claim.deadline_s for recording in self._recordings.values()), default=None)

    def add(self, recording: int, claim: Claim) -> None:
        """A new recording; `more` gives its windows."""
        key = claim.background, claim.caller
        caller = self._callers.setdefault(key, _Caller(taken_s=self._level_s[claim.background]))
        if not _has_windows(caller):
            caller.taken_s = max(caller.taken_s, self._level_s[claim.background])
        added = _Recording(recording, claim, taken_s=caller.level_s)
        self._recordings[recording] = added
        caller.recordings[recording] = added

    def more(self, recording: int, lengths_s: Iterable[tuple[int, float]], now_s: float) -> None:
        """Further windows of a recording as (number, audio seconds); they are taken in this order."""
        own = self._recordings[recording]
        caller = self._caller(own)
        if not _has_windows(caller):
            caller.taken_s = max(caller.taken_s, self._level_s[own.claim.background])
        if not own.windows:
            own.taken_s = max(own.taken_s, caller.level_s)
        own.windows.extend(_Waiting(number, audio_s, now_s) for number, audio_s in lengths_s)

    def remove(self, recording: int) -> None:
        """Forget a recording that ended or was withdrawn, and its windows that wait; unknown ones are ignored."""
        own = self._recordings.pop(recording, None)
        if own is None:
            return
        del self._caller(own).recordings[recording]
        for key, caller in list(self._callers.items()):
            if not caller.recordings and caller.taken_s <= self._level_s[key[0]]:
                del self._callers[key]  # it would start at the same place again

    def expire(self, now_s: float) -> list[int]:
        """Remove the recordings whose deadline has passed; their ids."""
        expired = [own.id for own in self._recordings.values() if own.claim.deadline_s <= now_s]
        for recording in expired:
            self.remove(recording)
        return expired

    def take(self, now_s: float, limits: Limits) -> list[Taken]:
        """The windows of the next batch, which then wait no more; none if none wait."""
        batch: list[Taken] = []
        first = self._next(lambda own: True)
        if first is None:
            return batch
        first = self._caller(first).leader()
        background = first.claim.background
        least_taken_s = min(
            caller.taken_s for key, caller in self._callers.items() if key[0] == background and _has_windows(caller)
        )
        longest_s = first.windows[0].audio_s
        chosen: _Recording | None = first

        def fits(own: _Recording) -> bool:
            audio_s = own.windows[0].audio_s
            most_s = max(longest_s, audio_s)
            may_share = own is first or not (own.claim.alone or first.claim.alone)
            is_of_kind = own.claim.background == background
            holds_nobody_up = longest_s >= LIKE * audio_s or own.is_clip
            is_fair = self._caller(own).taken_s + audio_s <= least_taken_s + limits.audio_s
            return (
                may_share and is_of_kind and holds_nobody_up and is_fair and most_s * (len(batch) + 1) <= limits.audio_s
            )

        while chosen is not None:
            taken = self._take(chosen, now_s)
            batch.append(taken)
            longest_s = max(longest_s, taken.audio_s)
            chosen = self._next(fits) if len(batch) < limits.windows else None
        return batch

    def _next(self, may: Callable[[_Recording], bool]) -> _Recording | None:
        """Whose turn it is among recordings that may be taken; background only where no other window waits."""
        has_foreground = self.has_foreground
        best: tuple[float, _Recording] | None = None
        for (background, _), caller in self._callers.items():
            if background and has_foreground:
                continue
            own = caller.next(may)
            if own is None:
                continue
            finish_s = caller.taken_s + own.windows[0].audio_s
            if best is None or finish_s < best[0]:
                best = finish_s, own
        return best[1] if best else None

    def _take(self, own: _Recording, now_s: float) -> Taken:
        window = own.windows.popleft()
        caller = self._caller(own)
        background = own.claim.background
        self._level_s[background] = max(self._level_s[background], caller.taken_s)
        caller.level_s = max(caller.level_s, own.taken_s)
        caller.taken_s += window.audio_s
        own.taken_s += window.audio_s
        own.taken += 1
        return Taken(own.id, window.number, window.audio_s, now_s - window.since_s)

    def _caller(self, own: _Recording) -> _Caller:
        return self._callers[own.claim.background, own.claim.caller]


def _has_windows(caller: _Caller) -> bool:
    return any(recording.windows for recording in caller.recordings.values())
