"""Who speaks: Kokoro's 54 voices, which of them are kept apart for dev and test, and the draw for each transcript.

The recipe names the voices of other engines (`speech.voices`).
"""

from typing import Literal, NamedTuple

import numpy as np

from shoptalk.core.recipe import SpeechSection
from shoptalk.core.records import Split


class Voice(NamedTuple):
    name: str
    language: str
    gender: Literal["female", "male"]


_LANGUAGES = {
    "a": "en-us",
    "b": "en-gb",
    "e": "es",
    "f": "fr",
    "h": "hi",
    "i": "it",
    "j": "ja",
    "p": "pt-br",
    "z": "zh",
}
"""First letter of a voice's name; the second is f or m."""

_NAMES = """
    af_alloy af_aoede af_bella af_heart af_jessica af_kore af_nicole af_nova af_river af_sarah af_sky
    am_adam am_echo am_eric am_fenrir am_liam am_michael am_onyx am_puck am_santa
    bf_alice bf_emma bf_isabella bf_lily bm_daniel bm_fable bm_george bm_lewis
    ef_dora em_alex em_santa ff_siwis hf_alpha hf_beta hm_omega hm_psi if_sara im_nicola
    jf_alpha jf_gongitsune jf_nezumi jf_tebukuro jm_kumo pf_dora pm_alex pm_santa
    zf_xiaobei zf_xiaoni zf_xiaoxiao zf_xiaoyi zm_yunjian zm_yunxi zm_yunxia zm_yunyang
"""


def _voice(name: str) -> Voice:
    return Voice(name, _LANGUAGES[name[0]], "female" if name[1] == "f" else "male")


VOICES = tuple(_voice(name) for name in sorted(_NAMES.split()))
TEST_VOICES = ("af_kore", "am_liam", "bf_lily", "bm_lewis")
"""In no training and no dev recording, alone or blended; of this and of every model trained on our corpora."""
DEV_VOICES = ("af_nova", "am_puck", "bm_daniel")
TRAIN_VOICES = tuple(
    voice.name for voice in VOICES if voice.language[:2] == "en" and voice.name not in TEST_VOICES + DEV_VOICES
)
ACCENT_VOICES = tuple(voice.name for voice in VOICES if voice.language[:2] != "en")
"""Voices of other languages on English phonemes: an accent, in training only."""


def parts(voice: str) -> tuple[str, ...]:
    """The names in a voice or a blend: ``af_sky*0.4+am_eric*0.6`` → (af_sky, am_eric)."""
    return tuple(part.partition("*")[0] for part in voice.split("+"))


def full_name(tts: str, name: str) -> str:
    """A voice as records name it: ``polly:Joanna``; Kokoro's stand alone, as they always did."""
    return name if tts == "kokoro" else f"{tts}:{name}"


def name_at_engine(tts: str, voice: str) -> str:
    """The voice as its engine calls it."""
    return voice if tts == "kokoro" else voice.removeprefix(f"{tts}:")


_ACCENTS = {voice.name: voice.language for voice in VOICES}


def accent(voice: str) -> str:
    """The language that a voice of ours is of, e.g. ``en-gb``; empty for a speaker of a recording."""
    return _ACCENTS.get(voice, "")


def draw_voice(transcript_id: str, split: Split, config: SpeechSection, *, seed: int) -> tuple[str, float]:
    """Voice (or blend) and speed of a transcript; a draw from (seed, id) alone, whatever else is spoken."""
    rng = np.random.default_rng([seed, *transcript_id.encode()])
    if given := config.voices.of(split):
        name = str(rng.choice(sorted(given)))
        is_paced = split == "train" and config.takes_speed
        return full_name(config.tts, name), round(float(rng.uniform(*config.speed)), 2) if is_paced else 1.0
    if split != "train":
        kept_apart = TEST_VOICES if split == "test" else DEV_VOICES
        return str(rng.choice(kept_apart)), 1.0
    speed = round(float(rng.uniform(*config.speed)), 2)
    if rng.random() < config.accents:
        return str(rng.choice(ACCENT_VOICES)), speed
    if rng.random() >= config.blend:
        return str(rng.choice(TRAIN_VOICES)), speed
    first, second = rng.choice(TRAIN_VOICES, size=2, replace=False)
    weight = round(float(rng.uniform(0.3, 0.7)), 2)  # nearer to 0 or 1 the blend would be a single voice again
    return f"{first}*{weight:g}+{second}*{round(1 - weight, 2):g}", speed
