"""What is drawn for an augmented copy of speech, and the copy that comes of it.

Stage 40 writes such copies, and a training makes them anew each time. A draw depends on (seed, id of the copy) alone.
The order is that of life: the voice, the room, the noise in it, the microphone, its level, the line, the network.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shoptalk.core import effects as effect
from shoptalk.core import voice_effects
from shoptalk.core.audio import decode
from shoptalk.core.errors import AudioError, ManifestError, RecipeError
from shoptalk.core.noise import Noise
from shoptalk.core.recipe import AugmentSection
from shoptalk.core.records import Samples

CHANCES = ("room", "noise", "microphone", "telephone", "codec", "packet_loss")
"""The keys of the recipe that say which part of the copies gets an effect."""
BABBLE = "babble"
"""The class of noise that is made of the corpus's own training speech, unless the manifest has recordings of it."""
CONDITIONS: Mapping[str, frozenset[str]] = {
    "clean": frozenset(),
    "room": frozenset({"room"}),
    "noise": frozenset({"noise"}),
    "noisy-room": frozenset({"room", "noise"}),
    "babble": frozenset({"noise"}),
    "microphone": frozenset({"microphone"}),
    "telephone": frozenset({"telephone"}),
    "codec": frozenset({"codec"}),
    "packet-loss": frozenset({"codec", "packet_loss"}),
}
"""What a design may ask of the copies of an utterance, each with the effects that it always has.

The other effects of `CHANCES` are then left out; what belongs to the voice and the level is drawn as ever.
"""
RECORDED_ROOMS = 0.3
"""Part of the rooms that are recorded ones: few are there, so most rooms are simulated."""
VOICES = (3, 6)
"""People in a babble: with fewer, single words of them can be understood."""
MICROPHONE_LOW_HZ = (50.0, 300.0)
"""Where a microphone begins: 50 Hz of G.722's wide band, 300 Hz of a telephone's handset."""
MICROPHONE_HIGH_HZ = (3_400.0, 7_800.0)
"""Where it ends: between a telephone's band and nearly all that 16 kHz carry."""
MICROPHONE_TILT_DB = (-3.0, 3.0)
"""Each octave: a microphone behind cloth is dull, a small one is thin."""
BURST_PACKETS = (1.0, 4.0)
"""Mean length of a burst of lost packets, 20 to 80 ms."""


class _Speech(NamedTuple):
    """What babble is made of: the training recordings, and that which the babble is added to."""

    recordings: Sequence[Path]
    own: Path | None


class Draw(NamedTuple):
    """What was drawn for one copy; `effects` is what its record says."""

    effects: Mapping[str, float | str]
    room: effect.Room | None
    noise_offset: float
    voices: tuple[Path, ...] = ()
    """The recordings of which a babble is made."""


def planned(config: AugmentSection, condition: str) -> AugmentSection:
    """The recipe's section for copies of which the design asks `condition`; empty: as it is."""
    if not condition:
        return config
    if condition not in CONDITIONS:
        known = ", ".join(CONDITIONS)
        raise ManifestError(f"{condition!r} is no condition of a copy; the transcripts may ask for {known}")
    changes: dict[str, Any] = {key: float(key in CONDITIONS[condition]) for key in CHANCES}
    if condition == BABBLE:
        changes["noise_classes"] = {BABBLE: 1.0}
    return config.model_copy(update=changes)


def require_noise(config: AugmentSection, noise: Sequence[Noise], conditions: Set[str]) -> None:
    """`RecipeError` says which class of `augment.noise_classes`, or what for a planned condition, is not there."""
    recordings = [record for record in noise if record.kind == "noise"]
    there = {record.sound for record in recordings}
    missing = sorted(set(config.noise_classes) - there - {BABBLE})
    if missing:
        raise RecipeError(
            f"augment.noise_classes: the noise manifest has no training recording of class {', '.join(missing)}; "
            f"it has {', '.join(sorted(there - {''})) or 'no class at all'}, and {BABBLE} is made of the speech"
        )
    noisy = sorted(name for name in conditions & {"noise", "noisy-room"})
    if noisy and not recordings and not config.noise_classes:
        raise RecipeError(
            f"transcripts are planned under the condition {noisy[0]!r}, but augment.noise_manifest has no training "
            "recording of noise; add some, or plan without it"
        )


def draw(
    copy_id: str,
    config: AugmentSection,
    noise: Sequence[Noise],
    *,
    seed: int,
    speech: Sequence[Path] = (),
    own: Path | None = None,
) -> Draw:
    """The effects of one copy, in the order in which they are applied.

    `noise` are recordings for training. `speech` are recordings of training voices, `own` among them, for babble.
    """
    rng = np.random.default_rng([seed, *copy_id.encode()])
    effects: dict[str, float | str] = {"speed": round(float(rng.uniform(*config.speed)), 3)}
    effects |= _other_voice(copy_id, config, seed)
    noise_offset = round(float(rng.random()), 4)
    room: effect.Room | None = None
    voices: tuple[Path, ...] = ()
    if rng.random() < config.room:
        responses = [record.id for record in noise if record.kind == "rir"]
        if responses and rng.random() < RECORDED_ROOMS:
            effects["room"] = str(rng.choice(responses))
        else:
            room = effect.draw_room(rng)
            effects["room"] = str(room)
    recordings = [record.id for record in noise if record.kind == "noise"]
    if (recordings or config.noise_classes) and rng.random() < config.noise:
        effects["noise"] = str(rng.choice(recordings or [BABBLE]))
        effects["snr_db"] = round(float(rng.uniform(*config.snr_db)), 2)
        if config.noise_classes:
            effects["noise"], voices = _of_a_class(copy_id, config, noise, _Speech(speech, own), seed)
    if _happens("microphone", copy_id, config, seed):
        effects |= _microphone(copy_id, seed)
    effects["gain_db"] = round(float(rng.uniform(*config.gain_db)), 2)
    if rng.random() < config.telephone:
        effects["telephone"] = "g711"
        if config.telephone_laws != ("mu",):
            law = str(_rng(seed, copy_id, "telephone_laws").choice(config.telephone_laws))
            effects["telephone"] = f"g711-{law}"
    if rng.random() < config.codec:
        name = config.codecs[int(rng.random() * len(config.codecs))]
        effects["codec"] = name
        effects["bit_rate"] = float(rng.choice(effect.CODEC_BIT_RATES[name]))
    if _happens("packet_loss", copy_id, config, seed):
        effects |= _packet_loss(copy_id, config, seed)
    return Draw(effects, room, noise_offset, voices)


def _rng(seed: int, copy_id: str, key: str) -> np.random.Generator:
    """Chance for one effect alone, so that it changes nothing of the others."""
    return np.random.default_rng([seed, *copy_id.encode(), 256, *key.encode()])


def _happens(key: str, copy_id: str, config: AugmentSection, seed: int) -> bool:
    chance: float = getattr(config, key)
    return float(_rng(seed, copy_id, f"{key}?").random()) < chance


def _other_voice(copy_id: str, config: AugmentSection, seed: int) -> dict[str, float | str]:
    """Tempo, pitch and vocal tract, each if its range in the recipe is one."""
    drawn: dict[str, float | str] = {}
    ranges = {"tempo": config.tempo, "semitones": config.pitch_semitones, "vocal_tract": config.vocal_tract}
    for name, (low, high) in ranges.items():
        if (low, high) != ((0.0, 0.0) if name == "semitones" else (1.0, 1.0)):
            drawn[name] = round(float(_rng(seed, copy_id, name).uniform(low, high)), 3)
    return drawn


def _of_a_class(
    copy_id: str, config: AugmentSection, noise: Sequence[Noise], speech: _Speech, seed: int
) -> tuple[str, tuple[Path, ...]]:
    """A recording of a class that is drawn by the weights of the recipe, or voices for a babble."""
    rng = _rng(seed, copy_id, "noise_classes")
    classes = sorted(config.noise_classes)
    weights = np.array([config.noise_classes[name] for name in classes])
    chosen = str(rng.choice(classes, p=weights / weights.sum()))
    recordings = [record.id for record in noise if record.kind == "noise" and record.sound == chosen]
    if recordings:
        return str(rng.choice(recordings)), ()
    if chosen != BABBLE:
        raise RecipeError(f"augment.noise_classes: no training recording has the class {chosen!r}")
    return BABBLE, _voices(speech, rng)


def _voices(speech: _Speech, rng: np.random.Generator) -> tuple[Path, ...]:
    """Three to six other recordings; of the recording itself there is none among them."""
    most = min(VOICES[1], len(speech.recordings) - 1)
    if most < VOICES[0]:
        raise RecipeError(
            f"augment.noise_classes: {BABBLE} needs {VOICES[0]} training recordings beside the one that it is added "
            f"to; there are {max(most, 0)}. Make more sentences, or leave {BABBLE} out"
        )
    count = int(rng.integers(VOICES[0], most + 1))
    places = rng.choice(len(speech.recordings), size=count + 1, replace=False)
    others = [speech.recordings[int(place)] for place in places if speech.recordings[int(place)] != speech.own]
    return tuple(others[:count])


def _microphone(copy_id: str, seed: int) -> dict[str, float | str]:
    rng = _rng(seed, copy_id, "microphone")
    return {
        "microphone_low_hz": round(float(rng.uniform(*MICROPHONE_LOW_HZ)), 1),
        "microphone_high_hz": round(float(rng.uniform(*MICROPHONE_HIGH_HZ)), 1),
        "microphone_tilt_db": round(float(rng.uniform(*MICROPHONE_TILT_DB)), 2),
    }


def _packet_loss(copy_id: str, config: AugmentSection, seed: int) -> dict[str, float | str]:
    rng = _rng(seed, copy_id, "packet_loss")
    return {
        "packet_loss": round(float(rng.uniform(*config.packet_loss_part)), 4),
        "burst_packets": round(float(rng.uniform(*BURST_PACKETS)), 2),
        "concealment": str(rng.choice(["zero", "repeat"])),
        "losses": float(rng.integers(2**31)),
    }


def apply(samples_T: Samples, drawn: Draw, load: Callable[[str], Samples]) -> Samples:
    """The effects of a draw, and the level lowered where they would clip; `load` reads a noise by its id."""
    effects = drawn.effects
    samples_T = _spoken_otherwise(samples_T, effects)
    if "room" in effects:
        rir_T = effect.simulated_room(drawn.room) if drawn.room else load(str(effects["room"]))
        samples_T = effect.room(samples_T, rir_T)
    if "noise" in effects:
        noise_T = _noise(drawn, samples_T.size, load)
        samples_T = effect.add_noise(samples_T, noise_T, snr_db=float(effects["snr_db"]))
    if "microphone_low_hz" in effects:
        samples_T = effect.microphone(
            samples_T,
            low_hz=float(effects["microphone_low_hz"]),
            high_hz=float(effects["microphone_high_hz"]),
            tilt_db_per_octave=float(effects["microphone_tilt_db"]),
        )
    samples_T = effect.gain(samples_T, gain_db=float(effects["gain_db"]))
    samples_T = _over_the_line(effect.lowered(samples_T), effects)
    if not np.isfinite(samples_T).all():
        raise AudioError(f"the effects {dict(effects)} gave samples that are not numbers; the recording may be broken")
    return effect.lowered(samples_T)


def _spoken_otherwise(samples_T: Samples, effects: Mapping[str, float | str]) -> Samples:
    samples_T = voice_effects.change_speed(samples_T, factor=float(effects["speed"]))
    if "tempo" in effects:
        samples_T = voice_effects.change_tempo(samples_T, factor=float(effects["tempo"]))
    if "semitones" in effects:
        samples_T = voice_effects.change_pitch(samples_T, semitones=float(effects["semitones"]))
    if "vocal_tract" in effects:
        samples_T = voice_effects.change_vocal_tract(samples_T, factor=float(effects["vocal_tract"]))
    return samples_T


def _noise(drawn: Draw, size: int, load: Callable[[str], Samples]) -> Samples:
    if drawn.voices:
        starts = [(drawn.noise_offset + number / len(drawn.voices)) % 1 for number in range(len(drawn.voices))]
        return effect.babble([decode(path) for path in drawn.voices], size=size, starts=starts)
    noise_T = load(str(drawn.effects["noise"]))
    return np.roll(noise_T, -round(drawn.noise_offset * noise_T.size))


def _over_the_line(samples_T: Samples, effects: Mapping[str, float | str]) -> Samples:
    if "telephone" in effects:
        samples_T = effect.telephone(samples_T, law="a" if effects["telephone"] == "g711-a" else "mu")
    if "codec" in effects:
        name = effect.codec_named(str(effects["codec"]))
        samples_T = effect.codec(effect.lowered(samples_T), name=name, bit_rate=int(effects["bit_rate"]))
    if "packet_loss" in effects:
        lost_P = effect.draw_losses(
            np.random.default_rng(int(effects["losses"])),
            size=samples_T.size,
            part=float(effects["packet_loss"]),
            burst_packets=float(effects["burst_packets"]),
        )
        concealment: effect.Concealment = "zero" if effects["concealment"] == "zero" else "repeat"
        samples_T = effect.packet_loss(samples_T, lost_P, concealment=concealment)
    return samples_T


def length_factor(effects: Mapping[str, float | str]) -> float:
    """How many times as short a copy is as what it was made of."""
    return float(effects.get("speed", 1.0)) * float(effects.get("tempo", 1.0))
