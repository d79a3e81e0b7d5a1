"""What the front process and a worker process tell each other; every message can be pickled.

A recording's audio goes beside its `Transcribe`, as the descriptor of shared memory; a stream's few seconds are in
its `FeedStream`. Recordings and streams are numbered together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from shoptalk.core.protocols import Options, Partial, StreamingRecognizer, WindowedRecognizer
from shoptalk.core.records import Recognition, Samples, Word


class Opened(NamedTuple):
    """A model that was loaded, as both of what it is asked for; one thread calls them."""

    windows: WindowedRecognizer[Any]
    streams: StreamingRecognizer[Any]


Opening = Callable[[], Opened]
"""Loads the model in the worker process; it can be pickled. `WorkerModel.start` raises its `ShoptalkError`s."""

Reason = Literal["failed", "memory", "phrases", "options", "expired"]
"""Why a recording has no recognition, or a stream ended: `failed` where nothing more is known."""


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
class OpenStream:
    """A stream begins, or goes on from where an earlier process saved it."""

    id: int
    options: Options
    saved: bytes | None = None


@dataclass(frozen=True)
class FeedStream:
    """The next samples of a stream; there is one such message at a time for each stream."""

    id: int
    samples_S: Samples
    last: bool
    alone: bool
    """A worker died with these samples, or failed: they share no batch."""


@dataclass(frozen=True)
class Withdraw:
    """Nobody waits for a recording or a stream any more."""

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
class StreamFigures:
    """What is told of streams that were fed together, and nothing that was spoken."""

    streams: int
    audio_s: float
    seconds: float
    delays_s: Sequence[float] = field(default=())
    """How long after it came each feed was answered."""


@dataclass(frozen=True)
class Ended:
    """What began is over; there are figures if it was a batch, or streams were fed."""

    figures: BatchFigures | StreamFigures | None = None


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
class StreamOpened:
    """A stream is there."""

    id: int
    wanted: int
    """Samples that it needs until it says anything."""


@dataclass(frozen=True)
class StreamWords:
    """The answer to a `FeedStream`."""

    id: int
    partial: Partial
    wanted: int
    """Samples that it needs until it says anything further."""
    saved: bytes | None = None
    """The stream behind all that it was fed, now and then."""


@dataclass(frozen=True)
class StreamLost:
    """A stream that was fed together with one that failed: it is to be opened again, and fed alone."""

    id: int


@dataclass(frozen=True)
class Failed:
    """A recording has no recognition, or a stream cannot go on."""

    id: int
    reason: Reason
