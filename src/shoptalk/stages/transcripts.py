"""Transcripts of many recordings: recognised in batches that files share, rendered, and kept in a folder.

A group of recordings is recognised while the next one is decoded. No more than two groups are in memory.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from shoptalk import __version__
from shoptalk.core import files, review, segments, subtitles
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.bundle import CHECKSUMS
from shoptalk.core.errors import AudioError, RecipeError
from shoptalk.core.protocols import Options, Recognizer
from shoptalk.core.recipe import EngineSection
from shoptalk.core.records import Recognition, Samples
from shoptalk.stages.transcribing import STANDARD_INPUT, Recording, read_channels

Form = Literal["text", "json", "srt", "vtt"]
ENDING_OF: dict[Form, str] = {"text": ".txt", "json": ".json", "srt": ".srt", "vtt": ".vtt"}
GROUP_S = 1_200.0
"""Audio of a group of recordings; one that is longer is a group of its own."""
GROUP = 64
"""Recordings of a group, at most."""
JOURNAL = ".shoptalk-transcripts.jsonl"
"""In a folder of transcripts: what each was made of."""


@dataclass(frozen=True)
class Wish:
    """What is wanted of each transcript."""

    form: Form = "text"
    each_channel: bool = False
    """Every channel is recognised for itself, and told apart."""
    channel_names: tuple[str, ...] = ()
    review_below: float = review.CONFIDENCE
    """Words of lower confidence are to be looked at."""
    review: bool = False
    """json tells the places to look at."""
    options: Options = Options()


@dataclass(frozen=True)
class Done:
    """A recording that was recognised, one recognition for each channel; or why it was not."""

    recording: Recording
    recognitions: tuple[Recognition, ...] = ()
    duration_s: float = 0.0
    error: AudioError | None = None


@dataclass(frozen=True)
class _Loaded:
    recording: Recording
    channels: tuple[Samples, ...] = ()
    error: AudioError | None = None

    @property
    def samples(self) -> int:
        return sum(samples_T.size for samples_T in self.channels)


def recognise(recordings: Iterable[Recording], recognizer: Recognizer, wish: Wish) -> Iterator[Done]:
    """Every recording in order; those of a group are recognised together, so that their windows share batches."""
    groups = _groups(recordings, each=wish.each_channel)
    reader = ThreadPoolExecutor(1, thread_name_prefix="reader")
    try:
        upcoming = reader.submit(next, groups, None)
        while group := upcoming.result():
            upcoming = reader.submit(next, groups, None)
            yield from _recognised(group, recognizer, wish.options)
    finally:
        reader.shutdown(wait=False, cancel_futures=True)


def _groups(recordings: Iterable[Recording], *, each: bool) -> Iterator[list[_Loaded]]:
    group: list[_Loaded] = []
    samples = 0
    for recording in recordings:
        loaded = _load(recording, each=each)
        is_full = len(group) == GROUP or samples + loaded.samples > GROUP_S * SAMPLE_RATE_HZ
        if group and is_full:
            yield group
            group, samples = [], 0
        group.append(loaded)
        samples += loaded.samples
    if group:
        yield group


def _load(recording: Recording, *, each: bool) -> _Loaded:
    try:
        return _Loaded(recording, read_channels(recording.name, each=each))
    except AudioError as error:
        return _Loaded(recording, error=error)


def _recognised(group: Sequence[_Loaded], recognizer: Recognizer, options: Options) -> Iterator[Done]:
    audio = [samples_T for loaded in group for samples_T in loaded.channels]
    recognitions = iter(recognizer.recognize(audio, [options] * len(audio)) if audio else ())
    for loaded in group:
        if loaded.error:
            yield Done(loaded.recording, error=loaded.error)
            continue
        own = tuple(next(recognitions) for _ in loaded.channels)
        yield Done(loaded.recording, own, loaded.channels[0].size / SAMPLE_RATE_HZ)


# ---- rendering


def rendered(done: Done, wish: Wish, watch: review.Watch) -> str:
    """A transcript in the form that is wished for, with a line break at its end; of silence a text may be empty."""
    names = segments.names_of(len(done.recognitions), wish.channel_names)
    if wish.form == "json":
        return json.dumps(fields(done, wish, watch), ensure_ascii=False) + "\n"
    if wish.form == "text":
        return segments.text_of(done.recognitions, names, done.duration_s) + "\n"
    cues = subtitles.of_recording(done.recognitions, names, done.duration_s)
    return subtitles.srt(cues) if wish.form == "srt" else subtitles.vtt(cues)


def fields(done: Done, wish: Wish, watch: review.Watch) -> dict[str, Any]:
    """What a JSON line tells; of several channels, what is told of each stands in `channels`."""
    names = segments.names_of(len(done.recognitions), wish.channel_names)
    each = [_fields_of(recognition, wish, watch) for recognition in done.recognitions]
    told: dict[str, Any] = {"audio": done.recording.name}
    if not wish.each_channel:
        return told | each[0]
    told["text"] = segments.text_of(done.recognitions, names, done.duration_s)
    numbered = enumerate(zip(names, each, strict=True))
    told["channels"] = [{"channel": channel, "speaker": name, **own} for channel, (name, own) in numbered]
    return told


def _fields_of(recognition: Recognition, wish: Wish, watch: review.Watch) -> dict[str, Any]:
    """Those of one recognition; gaps also under the name that they had before."""
    told = recognition.model_dump(exclude_defaults=True)
    told["text"] = recognition.text
    if wish.review:
        places = review.places(recognition, watch, below=wish.review_below)
        told["review"] = [review.fields(place) for place in places]
    return told | {"unheard": told["gaps"]} if "gaps" in told else told


# ---- a folder of transcripts


class Folder:
    """A folder of transcripts, each whole or absent; a journal tells of what each was made, so that work goes on."""

    def __init__(self, folder: Path, recordings: Sequence[Recording], form: Form, *, made_by: str):
        """`made_by` is a digest of all but the recording that a transcript depends on.

        `RecipeError` if two recordings would have one transcript.
        """
        self._folder = folder
        self._made_by = made_by
        self._places = _places(recordings, ENDING_OF[form])
        folder.mkdir(parents=True, exist_ok=True)
        self._journal = folder / JOURNAL
        self._known = {line["transcript"]: line for line in _lines(self._journal)}

    def path(self, recording: Recording) -> Path:
        return self._folder / self._places[recording]

    def is_made(self, recording: Recording) -> bool:
        """Whether its transcript is there, unchanged, and would become the same again."""
        place = str(self._places[recording])
        path = self._folder / place
        line = self._known.get(place)
        if line is None or not path.is_file() or not Path(recording.name).is_file():
            return False
        is_same = (line["made_by"], line["recording"]) == (self._made_by, files.file_digest(Path(recording.name)))
        return is_same and line["sha256"] == files.file_sha256(path)

    def write(self, recording: Recording, text: str) -> None:
        """Write a transcript whole, and note of what it was made."""
        path = self.path(recording)
        files.write_text(path, text)
        if recording.name == STANDARD_INPUT:
            return
        line = {
            "transcript": str(self._places[recording]),
            "recording": files.file_digest(Path(recording.name)),
            "made_by": self._made_by,
            "sha256": files.file_sha256(path),
        }
        with self._journal.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(line) + "\n")


def _lines(journal: Path) -> list[dict[str, Any]]:
    """The lines of a journal; what a process that was killed left of a line is cut."""
    if not journal.is_file():
        return []
    content = journal.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) != len(content):
        with journal.open("r+b") as file:
            file.truncate(len(whole))
    return files.read_lines(journal)


def _places(recordings: Sequence[Recording], ending: str) -> dict[Recording, Path]:
    """Where each transcript goes: the recording's place with another ending, behind its own where two would be one."""
    by_stem: dict[Path, list[Recording]] = {}
    for recording in dict.fromkeys(recordings):
        by_stem.setdefault(recording.place.with_suffix(ending), []).append(recording)
    places: dict[Recording, Path] = {}
    owners: dict[Path, Recording] = {}
    for stem, own in by_stem.items():
        for recording in own:
            place = stem if len(own) == 1 else recording.place.with_name(recording.place.name + ending)
            other = owners.setdefault(place, recording)
            if other != recording:
                raise RecipeError(
                    f"{recording.name} and {other.name} would both be written to {place}; give each a --to of its own"
                )
            places[recording] = place
    return places


def made_by(model: Path, engine: EngineSection, wish: Wish) -> str:
    """A digest of all that can change a transcript, its recording aside."""
    identity = model / CHECKSUMS if model.is_dir() else model
    return files.digest([__version__, files.file_digest(identity), engine.model_dump(mode="json"), asdict(wish)])


class Tally:
    """How much audio was transcribed, and how fast; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._began = clock()
        self._audio_s = 0.0

    def add(self, duration_s: float) -> None:
        self._audio_s += duration_s

    def note(self) -> str:
        """As ``1.25 h of audio, 380x real time``."""
        passed_s = max(1e-3, self._clock() - self._began)
        return f"{self._audio_s / 3600:.2f} h of audio, {self._audio_s / passed_s:.0f}x real time"
