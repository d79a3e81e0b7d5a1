"""What the front process and a worker process tell each other; every message can be pickled.

Audio goes beside its `Transcribe`, as the descriptor of shared memory. Further kinds of work are further messages.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from shoptalk.core.protocols import Options, WindowedRecognizer
from shoptalk.core.records import Recognition, Word

Opening = Callable[[], WindowedRecognizer[Any]]
"""Builds the recogniser in the worker process; it can be pickled. `WorkerModel.start` raises its `ShoptalkError`s."""

Reason = Literal["failed", "memory", "phrases", "options", "expired"]
"""Why a recording has no recognition: `failed` where nothing more is known."""


@dataclass(frozen=True)
class Batching:
    """How windows are put together."""

    windows: int = 16
    """Of one batch, at most."""
    wait_s: float = 0.0
    """So long the first window waits for others where the model is idle."""
    aim_s: float = 0.5
    """A batch should take no longer, so that what comes meanwhile has its turn soon."""


# ---- to the worker


@dataclass(frozen=True)
class Start:
    """The first message."""

    opening: Opening
    batching: Batching


@dataclass(frozen=True)
class Transcribe:
    """A recording; the descriptor of its samples follows."""

    id: int
    size: int
    """Samples."""
    options: Options
    caller: str
    within_s: float
    background: bool
    alone: bool
    """A worker died with it: it shares no batch."""
    wants_words: bool
    """As soon as they are final."""


@dataclass(frozen=True)
class Withdraw:
    """Nobody waits for a recording any more."""

    id: int


# ---- from the worker


@dataclass(frozen=True)
class Refused:
    """The recogniser could not be opened."""

    error: str
    """Name of its class."""
    message: str


@dataclass(frozen=True)
class Ready:
    """It has warmed up."""

    seconds: Mapping[str, float]
    """What its start took, part by part."""


@dataclass(frozen=True)
class Began:
    """Something that takes time: if it kills the process, one of these recordings did."""

    ids: Sequence[int]
    audio_s: float


@dataclass(frozen=True)
class BatchFigures:
    """What is told of a batch, and nothing that was spoken."""

    windows: int
    audio_s: float
    padded_s: float
    seconds: float
    waited_s: Sequence[float] = field(default=())
    """How long each window waited for its turn."""
    waiting: int = 0
    """So many windows wait now."""


@dataclass(frozen=True)
class Ended:
    """What began is over; there are figures if it was a batch."""

    figures: BatchFigures | None = None


@dataclass(frozen=True)
class FurtherWords:
    """Words of a recording that never change."""

    id: int
    words: Sequence[Word]


@dataclass(frozen=True)
class Done:
    """A recording's recognition."""

    id: int
    recognition: Recognition


@dataclass(frozen=True)
class Failed:
    """A recording has no recognition."""

    id: int
    reason: Reason
