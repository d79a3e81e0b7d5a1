"""Product 30: every transcript spoken by the voice drawn for it, as 16 kHz FLAC beside the manifest.

Beside the audio of `TIMED` lies ``NAME.words.json``, so that an interrupted run needs not speak again to know it. It
is an empty list where the synthesiser does not know when it says which word.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shoptalk.core.audio import SAMPLE_RATE_HZ, write_flac
from shoptalk.core.effects import lowered
from shoptalk.core.errors import AudioError
from shoptalk.core.files import write_text
from shoptalk.core.languages import ENGLISH
from shoptalk.core.loudness import at_loudness
from shoptalk.core.protocols import TimedTts, Tts, Workers
from shoptalk.core.recipe import SpeechSection
from shoptalk.core.records import Samples, Transcript, Utterance, Word
from shoptalk.corpus import voices
from shoptalk.corpus.pronunciation import drawn

SPEECH_VERSION = 3
"""Part of every audio file's name; raise it when the same text would now sound otherwise."""
SECONDS_PER_CHARACTER = (0.025, 0.22)
"""English read aloud takes about 0.065; beyond these, words were dropped or the synthesiser babbled."""
PEAK = 0.95
TIMED = ("dev", "test")
"""The splits whose utterances tell where their words are, if the synthesiser does: word times are scored on them."""

Task = tuple[Transcript, str, float, Path]

_tts: list[Tts] = []
"""The synthesiser of this process, set by `_start`."""
_pronunciations: list[Mapping[str, Sequence[str]]] = []
"""What the lexicon's words sound like, in order, set by `_start`: once for a process, not with each sentence."""
_engine: "list[Engine]" = []
"""What there is to know of the synthesiser, set by `_start`."""
_switched: list[Mapping[str, Mapping[str, str]]] = []
"""Pronunciations of the words of single transcripts, by their ids, set by `_start`."""
_seed: list[int] = []
"""Of the draw among several pronunciations of a word, set by `_start`."""


@dataclass(frozen=True)
class Engine:
    """What the recipe says of a synthesiser."""

    tts: str = "kokoro"
    takes_ipa: bool = True
    accents: Mapping[str, str] = field(default_factory=dict)
    """Language and accent by voice, as the engine calls it; where the recipe tells them."""
    identity: str = ""
    """What changes its sound beside voice, speed and text: the model, its address, its files. Kokoro is pinned."""
    loudness_lufs: float | None = None
    """Of every recording; None: as the synthesiser gives it."""
    is_screened: bool = False
    """Whether a recording that cannot be right is written all the same, for screening rejects it."""

    @property
    def sound(self) -> str:
        """What changes a recording beside voice, speed and text; empty: nothing."""
        if self.loudness_lufs is None:
            return self.identity
        return f"{self.identity} at {self.loudness_lufs:g} LUFS"


def engine_of(config: SpeechSection, identity: str) -> Engine:
    """The engine of a recipe."""
    voices_of = config.voices.languages
    return Engine(config.tts, config.takes_ipa, voices_of, identity, config.loudness_lufs, config.screen.enabled)


def speak(  # noqa: PLR0913 - all of it is the stage's
    transcripts: Iterable[Transcript],
    make_tts: Callable[[], Tts],
    config: SpeechSection,
    *,
    folder: Path,
    seed: int,
    done: frozenset[str],
    pronunciations: Mapping[str, Sequence[str]],
    workers: Workers,
    identity: str = "",
    attempt: int = 1,
    language: str = ENGLISH,
    switched: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[Utterance]:
    """Yield an utterance for each transcript not in `done`, in order; audio goes below `folder`.

    Audio paths are relative to the parent of `folder`. A file that is there whole, spoken by the same voice from
    the same words, is taken as it is. Of several pronunciations of a word, each is spoken in a share of the training
    transcripts, and the first in the others. `identity` is what else changes the sound (`Engine`). `language` is
    whose voices are drawn from Kokoro's table; `switched` has the pronunciations of sentences in another language, by
    their ids. `make_tts` must be picklable: each process calls it once. A further `attempt` at sentences whose
    recordings were rejected has other voices. `AudioError` names the transcript whose audio is silent, clipped,
    or too short or long for its text, unless recordings are screened.
    """

    def tasks() -> Iterator[Task]:
        for transcript in transcripts:
            if transcript.id not in done:
                group, split = transcript.voice_group, transcript.split
                voice, speed = voices.draw_for_attempt(
                    transcript.id, split, config, seed=seed, group=group, attempt=attempt, language=language
                )
                yield transcript, voice, speed, folder

    in_order = dict(sorted(pronunciations.items()))
    arguments = (make_tts, in_order, seed, engine_of(config, identity), switched or {})
    yield from workers.map(_speak, tasks(), start=_start, arguments=arguments)


def _start(
    make_tts: Callable[[], Tts],
    pronunciations: Mapping[str, Sequence[str]],
    seed: int,
    engine: Engine,
    switched: Mapping[str, Mapping[str, str]],
) -> None:
    _tts[:] = [make_tts()]
    _pronunciations[:] = [pronunciations]
    _seed[:] = [seed]
    _engine[:] = [engine]
    _switched[:] = [switched]


def _speak(task: Task) -> Utterance:
    import soundfile

    transcript, voice, speed, folder = task
    engine = _engine[0]
    spoken = transcript.spoken.casefold()
    used = {
        key: drawn(accepted, transcript.id, transcript.split, seed=_seed[0])
        for key, accepted in _pronunciations[0].items()
        if key.casefold() in spoken
    }
    used = {**_switched[0].get(transcript.id, {}), **used}
    without_ipa = () if engine.takes_ipa else tuple(used)
    if without_ipa:
        used = {}
    name_at_engine = voices.name_at_engine(engine.tts, voice)
    path = folder / transcript.split / audio_name(transcript, voice, speed, used, engine.sound)
    times = path.with_suffix(".words.json") if transcript.split in TIMED else None
    faulty = path.with_name(f"{path.stem}-faulty.flac")
    if engine.is_screened and faulty.is_file() and not path.is_file():
        path = faulty
    elif not path.is_file() or (times and not times.is_file()):
        how = {"voice": name_at_engine, "speed": speed, "pronunciations": used}
        path = _make(path, faulty, times, transcript, how)
    return Utterance(
        id=transcript.id,
        transcript_id=transcript.id,
        text=transcript.text,
        term_ids=transcript.term_ids,
        carrier=transcript.carrier,
        split=transcript.split,
        audio=path.relative_to(folder.parent).as_posix(),
        duration_s=round(soundfile.info(path).frames / SAMPLE_RATE_HZ, 4),
        voice=voice,
        accent=engine.accents.get(name_at_engine, ""),
        without_ipa=without_ipa,
        speed=speed,
        section=transcript.section,
        kind=transcript.kind,
        condition=transcript.condition,
        words=json.loads(times.read_text(encoding="utf-8")) if times else (),
    )


def _make(path: Path, faulty: Path, times: Path | None, transcript: Transcript, how: Mapping[str, Any]) -> Path:
    """Write the audio, and before it where its words are, if that is asked for; the path that was written.

    What cannot be right is written to `faulty`, as it is, if recordings are screened. Else it is an `AudioError`.
    """
    words: tuple[Word, ...] = ()
    tts = _tts[0]
    if times and isinstance(tts, TimedTts):
        samples_T, words = tts.speak_timed(transcript.spoken, **how)
    else:
        samples_T = tts.speak(transcript.spoken, **how)
    where = f"transcript {transcript.id} ({transcript.spoken!r})"
    if not samples_T.size or not np.isfinite(samples_T).all():
        raise AudioError(f"{where}: the synthesiser gave no samples, or no numbers; run `shoptalk models verify`")
    problem = problem_of(samples_T, transcript.spoken, how["speed"])
    if problem and not _engine[0].is_screened:
        told = f"{samples_T.size / SAMPLE_RATE_HZ:.2f} s of speech for {len(transcript.spoken)} characters"
        raise AudioError(f"{where}: {told}: {_CURES[problem]}")
    if times:
        timed = [[word.word, word.start_s, word.end_s] for word in words]
        write_text(times, json.dumps(timed, ensure_ascii=False) + "\n")
    if problem:
        write_flac(faulty, _at_its_level(samples_T, None))
        return faulty
    write_flac(path, _at_its_level(samples_T, _engine[0].loudness_lufs))
    return path


def _at_its_level(samples_T: Samples, lufs: float | None) -> Samples:
    """As loud as the recipe says, or as it is; quieter where a sample would be beyond `PEAK`."""
    return lowered(samples_T, peak=PEAK) if lufs is None else at_loudness(samples_T, lufs=lufs, peak=PEAK)


def audio_name(
    transcript: Transcript, voice: str, speed: float, pronunciations: Mapping[str, str], sound: str = ""
) -> str:
    """A file name that changes with everything that changes the audio."""
    made_of = [SPEECH_VERSION, transcript.id, transcript.spoken, voice, speed, dict(pronunciations)]
    content = json.dumps([*made_of, sound] if sound else made_of)
    readable = re.sub(r"[^\w.-]+", "_", transcript.id, flags=re.ASCII)[:60]
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    return f"{readable}-{digest}.flac"


_CURES = {
    "length": "it is too short or too long for its text; check its spoken form",
    "silent": "the audio is silent; check its spoken form",
    "clipped": "the audio is clipped; check the synthesiser",
}


def problem_of(samples_T: Samples, spoken: str, speed: float) -> str:
    """Why the audio cannot be this text at this speed: ``length``, ``silent`` or ``clipped``; empty where it may be."""
    duration_s = samples_T.size / SAMPLE_RATE_HZ
    low_s, high_s = (bound * len(spoken) / speed for bound in SECONDS_PER_CHARACTER)
    if not low_s <= duration_s <= high_s + 0.7:
        return "length"
    magnitude_T = np.abs(samples_T)
    peak = float(magnitude_T.max())
    if peak < 0.01:
        return "silent"
    return "clipped" if np.mean(magnitude_T >= 0.999 * peak) > 0.005 else ""
