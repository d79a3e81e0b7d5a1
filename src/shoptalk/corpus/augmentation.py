"""Product 40: all utterances as they are, and for each training utterance copies as a microphone would record them."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shoptalk.core import effects as effect
from shoptalk.core.audio import SAMPLE_RATE_HZ, decode, write_flac
from shoptalk.core.errors import ManifestError
from shoptalk.core.files import file_digest
from shoptalk.core.noise import Noise, NoiseSet, read_noise
from shoptalk.core.protocols import Workers
from shoptalk.core.recipe import AugmentSection
from shoptalk.core.records import Samples, Utterance

AUGMENT_VERSION = 1
"""Part of every audio file's name; raise it when the same draw would now sound otherwise."""
PEAK = 0.99
CONDITIONS: Mapping[str, frozenset[str]] = {
    "clean": frozenset(),
    "room": frozenset({"room"}),
    "noise": frozenset({"noise"}),
    "noisy-room": frozenset({"room", "noise"}),
    "telephone": frozenset({"telephone"}),
    "codec": frozenset({"codec"}),
}
"""What a design may ask of the copies of an utterance, each with the effects that it always has.

The other effects of `CHANCES` are then left out; what belongs to the voice and the level is drawn as ever.
"""
CHANCES = ("room", "noise", "telephone", "codec")
"""The keys of the recipe that say which part of the copies gets an effect."""


class Draw(NamedTuple):
    """What was drawn for one copy; `effects` is what its record says."""

    effects: Mapping[str, float | str]
    room: effect.Room | None
    noise_offset: float


class Task(NamedTuple):
    utterance: Utterance
    copy_id: str
    draw: Draw
    source: Path
    target: Path


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

    Audio of `utterances` is relative to `source_folder`; that of the copies goes below `folder`, and all paths yielded
    are relative to `folder`'s parent. The draw of a copy depends on (seed, id of the copy) alone.
    """
    steps = _steps(utterances, config, noise.recordings, source_folder, folder, seed)
    wanted = (step for step in steps if _id(step) not in done)
    yield from workers.map(_augment, wanted, start=_start, arguments=(noise,))


def _id(step: Task | Utterance) -> str:
    return step.copy_id if isinstance(step, Task) else step.id


def _steps(
    utterances: Iterable[Utterance],
    config: AugmentSection,
    noise: Sequence[Noise],
    source_folder: Path,
    folder: Path,
    seed: int,
) -> Iterator[Task | Utterance]:
    usable = [record for record in noise if record.split == "train"]
    pinned = {record.id: record.sha256 for record in noise}
    for utterance in utterances:
        source = source_folder / utterance.audio
        yield utterance.model_copy(update={"audio": Path(os.path.relpath(source, folder.parent)).as_posix()})
        if utterance.split != "train":
            continue
        for copy in range(config.copies):
            copy_id = f"{utterance.id}+{copy + 1}"
            drawn = draw(copy_id, planned(config, utterance.condition), usable, seed=seed)
            content = [file_digest(source), *(pinned[name] for name in _noises_of(drawn))]
            target = folder / utterance.split / _name(Path(utterance.audio).stem, copy_id, drawn, content)
            yield Task(utterance, copy_id, drawn, source, target)


def planned(config: AugmentSection, condition: str) -> AugmentSection:
    """The recipe's section for copies of which the design asks `condition`; empty: as it is."""
    if not condition:
        return config
    if condition not in CONDITIONS:
        known = ", ".join(CONDITIONS)
        raise ManifestError(f"{condition!r} is no condition of a copy; the transcripts may ask for {known}")
    return config.model_copy(update={key: float(key in CONDITIONS[condition]) for key in CHANCES})


def draw(copy_id: str, config: AugmentSection, noise: Sequence[Noise], *, seed: int) -> Draw:
    """The effects of one copy, in the order in which they are applied."""
    rng = np.random.default_rng([seed, *copy_id.encode()])
    effects: dict[str, float | str] = {"speed": round(float(rng.uniform(*config.speed)), 3)}
    noise_offset = round(float(rng.random()), 4)
    room: effect.Room | None = None
    if rng.random() < config.room:
        responses = [record.id for record in noise if record.kind == "rir"]
        if responses and rng.random() < 0.3:  # few are real: most rooms are simulated
            effects["room"] = str(rng.choice(responses))
        else:
            room = effect.draw_room(rng)
            effects["room"] = str(room)
    recordings = [record.id for record in noise if record.kind == "noise"]
    if recordings and rng.random() < config.noise:
        effects["noise"] = str(rng.choice(recordings))
        effects["snr_db"] = round(float(rng.uniform(*config.snr_db)), 2)
    effects["gain_db"] = round(float(rng.uniform(*config.gain_db)), 2)
    if rng.random() < config.telephone:
        effects["telephone"] = "g711"
    if rng.random() < config.codec:
        name: effect.Codec = "opus" if rng.random() < 0.5 else "mp3"
        effects["codec"] = name
        effects["bit_rate"] = float(rng.choice(effect.CODEC_BIT_RATES[name]))
    return Draw(effects, room, noise_offset)


def apply(samples_T: Samples, drawn: Draw) -> Samples:
    """The effects of a draw, and the level lowered where they would clip."""
    effects = drawn.effects
    samples_T = effect.change_speed(samples_T, factor=float(effects["speed"]))
    if "room" in effects:
        rir_T = effect.simulated_room(drawn.room) if drawn.room else _load(str(effects["room"]))
        samples_T = effect.room(samples_T, rir_T)
    if "noise" in effects:
        noise_T = _load(str(effects["noise"]))
        noise_T = np.roll(noise_T, -round(drawn.noise_offset * noise_T.size))
        samples_T = effect.add_noise(samples_T, noise_T, snr_db=float(effects["snr_db"]))
    samples_T = effect.gain(samples_T, gain_db=float(effects["gain_db"]))
    if "telephone" in effects:
        samples_T = effect.telephone(samples_T)
    if "codec" in effects:
        name: effect.Codec = "opus" if effects["codec"] == "opus" else "mp3"
        samples_T = effect.codec(samples_T, name=name, bit_rate=int(effects["bit_rate"]))
    peak = max(float(np.abs(samples_T).max()), 1e-9)
    return samples_T * np.float32(min(1.0, PEAK / peak))


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
    recorded = ["noise"] if drawn.room else ["noise", "room"]
    return [str(drawn.effects[kind]) for kind in recorded if kind in drawn.effects]


def _name(stem: str, copy_id: str, drawn: Draw, content: Sequence[str]) -> str:
    """A file name that changes with everything that changes the audio, `content` being sha256 of all recordings."""
    what = json.dumps([AUGMENT_VERSION, copy_id, content, dict(drawn.effects), drawn.noise_offset, drawn.room])
    copy_number = copy_id.rpartition("+")[2]
    digest = hashlib.sha256(what.encode()).hexdigest()[:8]
    return f"{stem}-{copy_number}-{digest}.flac"


def _augment(step: Task | Utterance) -> Utterance:
    import soundfile

    if isinstance(step, Utterance):
        return step
    if not step.target.is_file():
        write_flac(step.target, apply(decode(step.source), step.draw))
    changed = {
        "id": step.copy_id,
        "audio": step.target.relative_to(step.target.parents[2]).as_posix(),
        "duration_s": round(soundfile.info(step.target).frames / SAMPLE_RATE_HZ, 4),
        "effects": dict(step.draw.effects),
    }
    return step.utterance.model_copy(update=changed)
