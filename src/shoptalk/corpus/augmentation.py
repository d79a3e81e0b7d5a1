"""Product 40: all utterances as they are, for each training utterance copies as a microphone would record them, and
recordings without words."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shoptalk.core import effects as effect
from shoptalk.core.audio import SAMPLE_RATE_HZ, decode, write_flac
from shoptalk.core.draws import CONDITIONS as CONDITIONS
from shoptalk.core.draws import Draw, apply, draw, length_factor, planned, require_noise
from shoptalk.core.errors import AudioError
from shoptalk.core.files import file_digest
from shoptalk.core.noise import Noise, NoiseSet, read_noise
from shoptalk.core.protocols import Workers
from shoptalk.core.recipe import AugmentSection
from shoptalk.core.records import Samples, Utterance

AUGMENT_VERSION = 2
"""Part of every audio file's name; raise it when the same draw would now sound otherwise."""
SILENT_S = (1.0, 12.0)
SILENT_LEVELS_DB = (-65.0, -25.0)
"""RMS against full scale of a recording without words: from a quiet microphone to about as loud as speech."""
DIGITAL_SILENCE = 0.2
WHITE_NOISE = 0.2
"""Parts of the recordings without words; the rest are recordings of noise."""


class Task(NamedTuple):
    utterance: Utterance
    copy_id: str
    draw: Draw
    source: Path
    target: Path


class Wordless(NamedTuple):
    """A recording in which nobody speaks; `effects` is what its record says."""

    id: str
    effects: Mapping[str, float | str]
    target: Path


Step = Task | Wordless | Utterance

_noise: dict[str, tuple[Noise, Path]] = {}
"""The noises of this process by id, each with the folder of its manifest; set by `_start`."""


def augment(
    utterances: Iterable[Utterance],
    config: AugmentSection,
    *,
    noise: NoiseSet,
    source_folder: Path,
    folder: Path,
    seed: int,
    done: frozenset[str],
    workers: Workers,
) -> Iterator[Utterance]:
    """Yield each utterance, then `config.copies` augmented copies of it if it is for training, skipping ids in `done`.

    Behind all come the recordings without words. Audio of `utterances` is relative to `source_folder`; what is made
    goes below `folder`, and all paths yielded are relative to `folder`'s parent. What is drawn depends on (seed, id)
    alone, and for babble on which training utterances there are.
    """
    steps = _steps(list(utterances), config, noise.recordings, source_folder, folder, seed)
    wanted = (step for step in steps if _id(step) not in done)
    yield from workers.map(_augment, wanted, start=_start, arguments=(noise,))


def count(utterances: Sequence[Utterance], config: AugmentSection) -> int:
    """How many recordings `augment` yields."""
    training = sum(utterance.split == "train" for utterance in utterances)
    return len(utterances) + config.copies * training + wordless_count(utterances, config)


def wordless_count(utterances: Sequence[Utterance], config: AugmentSection) -> int:
    """How many recordings without words `augment` yields."""
    training = sum(utterance.split == "train" for utterance in utterances)
    return round(config.wordless * training)


def _id(step: Step) -> str:
    return step.copy_id if isinstance(step, Task) else step.id


def _steps(
    utterances: Sequence[Utterance],
    config: AugmentSection,
    noise: Sequence[Noise],
    source_folder: Path,
    folder: Path,
    seed: int,
) -> Iterator[Step]:
    usable = [record for record in noise if record.split == "train"]
    pinned = {record.id: record.sha256 for record in noise}
    training = [utterance for utterance in utterances if utterance.split == "train"]
    require_noise(config, usable, {utterance.condition for utterance in training} if config.copies else set())
    sources = [source_folder / utterance.audio for utterance in training]
    for utterance in utterances:
        source = source_folder / utterance.audio
        yield utterance.model_copy(update={"audio": Path(os.path.relpath(source, folder.parent)).as_posix()})
        if utterance.split != "train":
            continue
        for copy in range(config.copies):
            copy_id = f"{utterance.id}+{copy + 1}"
            section = planned(config, utterance.condition)
            drawn = draw(copy_id, section, usable, seed=seed, speech=sources, own=source)
            content = [file_digest(source), *(pinned[name] for name in _noises_of(drawn))]
            content += [file_digest(voice) for voice in drawn.voices]
            target = folder / utterance.split / _name(Path(utterance.audio).stem, copy_id, drawn, content)
            yield Task(utterance, copy_id, drawn, source, target)
    for number in range(wordless_count(utterances, config)):
        yield _wordless(f"wordless-{number + 1:05}", usable, pinned, folder, seed)


def _wordless(wordless_id: str, noise: Sequence[Noise], pinned: Mapping[str, str], folder: Path, seed: int) -> Wordless:
    rng = np.random.default_rng([seed, *wordless_id.encode()])
    effects: dict[str, float | str] = {"seconds": round(float(rng.uniform(*SILENT_S)), 2)}
    recordings = [record.id for record in noise if record.kind == "noise"]
    kind = float(rng.random())
    if kind >= DIGITAL_SILENCE:
        effects["level_db"] = round(float(rng.uniform(*SILENT_LEVELS_DB)), 1)
        is_white = kind < DIGITAL_SILENCE + WHITE_NOISE or not recordings
        effects["noise"] = "white" if is_white else str(rng.choice(recordings))
        effects["start"] = round(float(rng.random()), 4)
    what = json.dumps([AUGMENT_VERSION, seed, wordless_id, effects, pinned.get(str(effects.get("noise")))])
    digest = hashlib.sha256(what.encode()).hexdigest()[:8]
    return Wordless(wordless_id, effects, folder / "train" / f"{wordless_id}-{digest}.flac")


def _start(noise: NoiseSet) -> None:
    _noise.clear()
    for record in noise.recordings:
        _noise[record.id] = (record, noise.folder)
    _load.cache_clear()


@lru_cache(maxsize=64)
def _load(noise_id: str) -> Samples:
    record, folder = _noise[noise_id]
    return read_noise(record, folder)


def _noises_of(drawn: Draw) -> list[str]:
    """The ids of the recordings of noise and rooms in a draw."""
    recorded = [] if drawn.voices else ["noise"]
    if not drawn.room:
        recorded.append("room")
    return [str(drawn.effects[kind]) for kind in recorded if kind in drawn.effects]


def _name(stem: str, copy_id: str, drawn: Draw, content: Sequence[str]) -> str:
    """A file name that changes with everything that changes the audio, `content` being sha256 of all recordings."""
    what = json.dumps([AUGMENT_VERSION, copy_id, content, dict(drawn.effects), drawn.noise_offset, drawn.room])
    copy_number = copy_id.rpartition("+")[2]
    digest = hashlib.sha256(what.encode()).hexdigest()[:8]
    return f"{stem}-{copy_number}-{digest}.flac"


def _augment(step: Step) -> Utterance:
    if isinstance(step, Utterance):
        return step
    if isinstance(step, Wordless):
        return _silent(step)
    if not step.target.is_file():
        try:
            write_flac(step.target, apply(decode(step.source), step.draw, _load))
        except AudioError as error:
            raise AudioError(f"{step.copy_id}: {error}") from error
    factor = length_factor(step.draw.effects)
    words = []
    for word, start_s, end_s in step.utterance.words:
        words.append((word, round(start_s / factor, 4), round(end_s / factor, 4)))
    changed = {"id": step.copy_id, "effects": dict(step.draw.effects), "words": tuple(words), **_file(step.target)}
    return step.utterance.model_copy(update=changed)


def _silent(step: Wordless) -> Utterance:
    if not step.target.is_file():
        write_flac(step.target, _without_words(step))
    return Utterance(
        id=step.id,
        transcript_id=step.id,
        text="",
        term_ids=(),
        carrier="",
        split="train",
        voice="",
        kind="wordless",
        effects=dict(step.effects),
        **_file(step.target),
    )


def _without_words(step: Wordless) -> Samples:
    effects = step.effects
    size = round(float(effects["seconds"]) * SAMPLE_RATE_HZ)
    if "noise" not in effects:
        return np.zeros(size, np.float32)
    level_db = float(effects["level_db"])
    if effects["noise"] == "white":
        rng = np.random.default_rng([*step.id.encode(), round(1e4 * float(effects["start"]))])
        return effect.white_noise(rng, size=size, level_db=level_db)
    noise_T = _load(str(effects["noise"]))
    from_start_T = np.roll(noise_T, -round(float(effects["start"]) * noise_T.size))
    return effect.lowered(effect.at_level(np.resize(from_start_T, size), level_db=level_db))


def _file(path: Path) -> dict[str, Any]:
    """What a record says of its audio."""
    import soundfile

    duration_s = round(soundfile.info(path).frames / SAMPLE_RATE_HZ, 4)
    return {"audio": path.relative_to(path.parents[2]).as_posix(), "duration_s": duration_s}
