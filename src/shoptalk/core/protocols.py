"""What Shoptalk asks of third parties, in one to three methods each; integrations provide it, and fakes in tests."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from shoptalk.core.errors import BoostError, RecognitionError
from shoptalk.core.records import Recognition, Samples, Word


class Llm(Protocol):
    """A language model that answers chat messages."""

    name: str
    """Written as the source of what it wrote, e.g. ``qwen2.5-coder-0.5b-instruct``."""

    def complete(self, messages: Sequence[Mapping[str, str]], *, seed: int, max_tokens: int) -> str:
        """The assistant's answer to ``[{"role": ..., "content": ...}, ...]``; the same seed gives the same answer.

        `LlmAnswerError` for an answer that is none; `LlmError` where no further one can be had.
        """


class Tts(Protocol):
    """A speech synthesiser; asked by several threads at once where it is a service."""

    def speak(self, spoken: str, *, voice: str, speed: float, pronunciations: Mapping[str, str]) -> Samples:
        """Samples at `audio.SAMPLE_RATE_HZ`.

        `voice` is a name or a blend ``a*0.4+b*0.6``; `pronunciations` maps words of `spoken` to IPA.
        """


@runtime_checkable
class TimedTts(Tts, Protocol):
    """A speech synthesiser that knows when it says which word."""

    def speak_timed(
        self, spoken: str, *, voice: str, speed: float, pronunciations: Mapping[str, str]
    ) -> tuple[Samples, tuple[Word, ...]]:
        """The samples of `speak`, and where in them each word of `spoken` (as it stands between spaces) lies."""


MAX_WEIGHT = 4.0
"""Of a phrase. Of more, most phrases that a transcript then contains were made up."""
MAX_CHARACTERS = 200
"""Of a phrase."""
MAX_ALTERNATIVES = 16
"""Other readings that can be asked for."""


@dataclass(frozen=True)
class Phrase:
    """A word or some words to be recognised more readily; `BoostError` for a text or a weight that cannot be used."""

    text: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise BoostError("a phrase to boost is empty; leave it out")
        if len(self.text) > MAX_CHARACTERS:
            cure = f"give its telling words, at most {MAX_CHARACTERS} characters"
            raise BoostError(f"{self.text[:20]!r}… has {len(self.text)} characters; {cure}")
        if not 0 < self.weight <= MAX_WEIGHT or math.isnan(self.weight):
            raise BoostError(f"{self.text!r} has weight {self.weight:g}; give one above 0, {MAX_WEIGHT:g} at most")


@dataclass(frozen=True)
class Options:
    """What a request asks for beside its transcript."""

    phrases: tuple[Phrase, ...] = ()
    """What counts for more than else."""
    alternatives: int = 0
    """So many other readings at most; only for audio that is recognised in one window."""
    timestamps: bool = True
    """Words with their times; without, a recogniser may leave the words out where that saves time."""


PLAIN = Options()
"""A transcript, its words and their times, and nothing else."""


class Recognizer(Protocol):
    """A speech recogniser; not required to be thread-safe: it has one owner."""

    def recognize(self, audio: Sequence[Samples], options: Sequence[Options] = ()) -> list[Recognition]:
        """One `Recognition` for each audio, in order.

        `options` are those of each audio; none at all: the defaults. `RecognitionError` for what it cannot give.
        """


def options_of_each(options: Sequence[Options], audio: Sequence[Samples]) -> Sequence[Options]:
    """The options of each audio: the defaults where none are given; `RecognitionError` for another number of them."""
    if options and len(options) != len(audio):
        raise RecognitionError(f"{len(options)} options for {len(audio)} recordings; give one for each, or none")
    return options or [PLAIN] * len(audio)


class PendingWindow(NamedTuple):
    """A stretch of a recording that is to be transcribed alone, in a batch with any others."""

    samples_T: Samples
    options: Options = PLAIN


@dataclass(frozen=True)
class Step:
    """How a recording went on."""

    windows: Sequence[PendingWindow] = ()
    """Further windows to transcribe; they are numbered on from those that the recording had before."""
    words: Sequence[Word] = ()
    """Further words that never change; those of all steps are the words of the recognition."""
    recognition: Recognition | None = None
    """The end: there are no further steps."""


Recording = TypeVar("Recording")
"""A recording that is under way; only the recogniser that began it knows what is in it."""


class WindowedRecognizer(Recognizer, Protocol[Recording]):
    """A recogniser of windows: whoever calls it decides which windows, of which recordings, make a batch, and when."""

    name: str

    def begin(self, samples_T: Samples, options: Options = PLAIN) -> tuple[Recording, list[PendingWindow]]:
        """A recording with its first windows, numbered from 0; `RecognitionError` for options that it cannot give."""

    def recognize_windows(self, windows: Sequence[PendingWindow]) -> list[Recognition]:
        """One `Recognition` for each window, in order; it does not depend on what else is in the batch."""

    def go_on(self, news: Sequence[tuple[Recording, Mapping[int, Recognition]]]) -> list[Step]:
        """Take recognitions of windows by their numbers, in any order; one `Step` for each recording, in order.

        What comes out in the end does not depend on how the windows were dealt out to calls. A recording without
        windows goes on with an empty mapping.
        """


def in_windows(
    recognizer: WindowedRecognizer[Recording], audio: Sequence[Samples], options: Sequence[Options]
) -> list[Recognition]:
    """`Recognizer.recognize` by means of windows: all windows that are known are transcribed together."""
    recordings: dict[int, Recording] = {}
    pending: dict[int, list[PendingWindow]] = {}
    for place, (samples_T, own) in enumerate(zip(audio, options, strict=True)):
        recordings[place], pending[place] = recognizer.begin(samples_T, own)
    counts = dict.fromkeys(recordings, 0)
    recognitions: dict[int, Recognition] = {}
    while recordings:
        windows = [window for place in recordings for window in pending[place]]
        results = iter(recognizer.recognize_windows(windows) if windows else ())
        news: list[tuple[Recording, dict[int, Recognition]]] = []
        for place, recording in recordings.items():
            numbers = range(counts[place], counts[place] + len(pending[place]))
            news.append((recording, {number: next(results) for number in numbers}))
            counts[place] = numbers.stop
        for place, step in zip(list(recordings), recognizer.go_on(news), strict=True):
            pending[place] = list(step.windows)
            if step.recognition is not None:
                recognitions[place] = step.recognition
                del recordings[place]
    return [recognitions[place] for place in range(len(audio))]


def refuse_extras(options: Sequence[Options], recognizer: str) -> None:
    """`RecognitionError` if phrases or alternatives are asked of a recogniser that has neither."""
    if any(own.phrases or own.alternatives for own in options):
        raise RecognitionError(f"{recognizer} has neither phrases nor alternatives; leave them out")


Stream = TypeVar("Stream")
"""One recording under way; only the recogniser that opened it knows what is in it."""


class Feed(NamedTuple, Generic[Stream]):
    """The next samples of a stream, as many as there are; `last` ends it."""

    stream: Stream
    samples_S: Samples
    last: bool = False


@dataclass(frozen=True)
class Partial:
    """What a stream says after a feed."""

    final: tuple[Word, ...]
    """Words that this feed added; they never change, and those of all feeds in order are the transcript."""
    tentative: tuple[Word, ...]
    """What follows so far; it replaces what was tentative before."""


class StreamingRecognizer(Protocol[Stream]):
    """A recogniser of recordings while they are made, any number at once; not required to be thread-safe."""

    def open(self, options: Options = PLAIN) -> Stream:
        """A stream that has no samples yet; `RecognitionError` for options that it cannot give."""

    def feed(self, feeds: Sequence[Feed[Stream]]) -> list[Partial]:
        """Go on with some streams, each named once; one `Partial` for each feed, in order."""

    def wanted(self, stream: Stream) -> int:
        """Samples that a stream needs until it says anything further, 1 at least; its end needs none."""

    def save(self, stream: Stream) -> bytes:
        """A stream that goes on, from which `restore` makes it again: in another process, with the same weights."""

    def restore(self, saved: bytes) -> Stream:
        """The stream as it was saved; only what `save` gave is safe to be read."""


T = TypeVar("T")
R = TypeVar("R")


class Workers(Protocol):
    """A pool that spreads work over processes, of this machine or of a cluster."""

    def map(
        self, work: Callable[[T], R], items: Iterable[T], *, start: Callable[..., None], arguments: tuple[Any, ...]
    ) -> Iterator[R]:
        """Yield `work(item)` for each item, in the order of the items.

        `start(*arguments)` runs once in each process before any work. Both functions, the arguments, items and results
        can be pickled. An error that `work` raises reaches the caller.
        """


IsEnough = Callable[[int, npt.NDArray[np.float32]], bool]
"""Whether the probabilities of the first frames of an audio, which is named by its place, are all that is needed."""


class Vad(Protocol):
    """A detector of speech; not required to be thread-safe."""

    frame_s: float
    """Length of a frame in seconds."""

    def speech(self, samples_T: Samples) -> list[tuple[float, float]]:
        """Where speech is, as (start, end) in seconds from the start of the samples: in order, none overlapping."""

    def probabilities_of_each(
        self, audio: Sequence[Samples], is_enough: IsEnough | None = None
    ) -> list[npt.NDArray[np.float32]]:
        """The probability of speech in each frame of `frame_s`, (N,), for each audio; they are read side by side.

        An audio may be read no further once `is_enough` says so; it then has the frames until there.
        """


LIVE_FRAME = 512
"""Samples of a frame of a `LiveVad`: 32 ms."""


class LiveVad(Protocol):
    """A detector of speech in one recording while it is made; not required to be thread-safe."""

    def probabilities(self, samples_S: Samples) -> npt.NDArray[np.float32]:
        """The probability of speech in each of the next frames, (N,); `samples_S` are N whole frames of `LIVE_FRAME`.

        Each frame is judged by itself and what came before, so the result does not depend on how they are dealt out.
        """


class Object(NamedTuple):
    """What an object store has at an address."""

    address: str
    bytes: int


class ObjectStore(Protocol):
    """A store of objects with addresses such as ``s3://BUCKET/KEY``; safe between threads.

    `ObjectStoreUnreachableError` where it does not answer, `ObjectStoreError` where it refuses. No message has a key:
    names of recordings may tell who speaks.
    """

    def listed(self, address: str, most: int) -> list[Object]:
        """The object of an address, or with a / at its end so many of those below it, in order; none if none is there.

        Objects that only stand for folders are left out.
        """

    def read(self, address: str, most_bytes: int) -> bytes:
        """An object; of a larger one more than `most_bytes`, but not all."""

    def write(self, address: str, content: bytes, media_type: str) -> None:
        """Write an object, in the place of one that is there."""
