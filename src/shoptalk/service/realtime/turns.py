"""Where a speaker's turns begin and end, from the probability of speech in each frame."""

from dataclasses import dataclass
from enum import Enum

STARTS_S = 0.09
"""So long must speech last before a turn begins: shorter sounds are clicks."""
HYSTERESIS = 0.15
"""Speech goes on down to so much below the threshold, so that a turn does not flutter (snakers4/silero-vad)."""
LEAST = 0.01
"""The lowest probability at which speech can end."""


@dataclass(frozen=True)
class Rules:
    """What a client asks of turn detection."""

    threshold: float = 0.5
    prefix_s: float = 0.3
    """Audio before the speech that belongs to the turn."""
    silence_s: float = 0.5
    """The turn ends after so much silence."""


class Change(Enum):
    """What a frame changes."""

    START = "start"
    """Speech began with the first of the last `Turns.frames_to_start` frames."""
    STOP = "stop"


class Turns:
    """Goes through the frames of a recording."""

    def __init__(self, rules: Rules, frame_s: float) -> None:
        self.rules = rules
        self.is_speech = False
        self.frames_to_start = max(1, round(STARTS_S / frame_s))
        self._frames_to_stop = max(1, round(rules.silence_s / frame_s))
        self._run = 0
        """Frames in a row, up to now, that speak for a change: of speech in silence, of silence in speech."""

    def step(self, probability: float) -> Change | None:
        """Whether this frame begins or ends a turn."""
        if self.is_speech:
            speaks_for_it = probability < max(LEAST, self.rules.threshold - HYSTERESIS)
        else:
            speaks_for_it = probability >= self.rules.threshold
        self._run = self._run + 1 if speaks_for_it else 0
        if self._run < (self._frames_to_stop if self.is_speech else self.frames_to_start):
            return None
        self.reset(is_speech=not self.is_speech)
        return Change.START if self.is_speech else Change.STOP

    def reset(self, *, is_speech: bool = False) -> None:
        """Somebody speaks from now on, or nobody."""
        self.is_speech = is_speech
        self._run = 0
