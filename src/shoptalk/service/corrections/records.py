"""Corrections as they are sent, stored and answered."""

from dataclasses import dataclass

Place = tuple[float, str]
"""Of a correction among all: its time and its id."""


@dataclass(frozen=True)
class Sent:
    """What a client corrects."""

    request_id: str
    text: str
    consent: bool
    original: str | None = None
    """What the recogniser wrote there."""
    start_s: float | None = None
    """Of a part, with `end_s`; None: the whole request."""
    end_s: float | None = None


@dataclass(frozen=True)
class Asked:
    """Which corrections are asked for; None: all."""

    caller: str | None = None
    request_id: str | None = None
    consent: bool | None = None


@dataclass(frozen=True)
class Correction:
    """A correction as it is stored."""

    id: str
    request_id: str
    caller: str
    model: str
    text: str
    original: str | None
    consent: bool
    start_s: float | None
    end_s: float | None
    at_s: float
    expires_s: float
    recordings: tuple[str, ...]
    """Names of the kept recordings of its request."""


@dataclass(frozen=True)
class Taken:
    """What became of a correction that was sent."""

    correction: Correction
    replaced: tuple[str, ...]
    """Ids of the corrections whose place it took."""
    has_audio: bool
    """Whether a recording is kept with it."""
    changed_words: int | None
    """None where the original is not known."""


@dataclass(frozen=True)
class Export:
    """A copy of a correction that was exported."""

    correction_id: str
    folder: str
    at_s: float
