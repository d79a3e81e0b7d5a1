"""Who speaks: Kokoro's 54 voices, which of them are kept apart for dev and test, and the draw for each transcript.

The recipe names the voices of other engines (`speech.voices`).
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from shoptalk.core.errors import CoverageError, RecipeError
from shoptalk.core.languages import ENGLISH
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


class Cast(NamedTuple):
    """Who of Kokoro's voices speaks a language, in which split."""

    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]
    accents: tuple[str, ...]
    """Voices of other languages on the phonemes of this one, in training only."""


def _given_name(voice: str) -> str:
    return voice.partition("_")[2]


_SPANISH_KEPT_APART = ("ef_dora", "em_santa")
# pf_dora is ef_dora in all but its language (cosine of their styles 0.96), and so are santa's: they are kept apart too.
_KEPT_NAMES = frozenset(_given_name(name) for name in _SPANISH_KEPT_APART)
CASTS = {
    ENGLISH: Cast(TRAIN_VOICES, DEV_VOICES, TEST_VOICES, ACCENT_VOICES),
    "es": Cast(
        train=("em_alex",),
        dev=("em_santa",),
        test=("ef_dora",),
        accents=tuple(
            voice.name
            for voice in VOICES
            if voice.language != "es"
            and voice.name not in TEST_VOICES + DEV_VOICES
            and _given_name(voice.name) not in _KEPT_NAMES
        ),
    ),
}
"""By language; of others the recipe names the voices."""


def cast_of(language: str) -> Cast:
    """Kokoro's voices of a language; `RecipeError` if none has a table."""
    if language not in CASTS:
        known = ", ".join(CASTS)
        raise RecipeError(
            f"Kokoro's voices have a table for {known}, not for {language!r}; name them in speech.voices, with "
            "speech.tts=espeak for a language that Kokoro does not speak"
        )
    return CASTS[language]


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
_GENDERS = {voice.name: voice.gender for voice in VOICES}


def accent(voice: str) -> str:
    """The language that a voice of ours is of, e.g. ``en-gb``; empty for a speaker of a recording."""
    return _ACCENTS.get(voice, "")


ACCENT = "accent"
"""The group of all voices of other languages."""


def groups(config: SpeechSection, language: str = ENGLISH) -> tuple[str, ...]:
    """The groups of training voices that a design spreads sentences over, e.g. ``en-us-female``.

    Of voices that the recipe names it knows the languages only; an engine without training voices has no groups.
    """
    if config.voices.train:
        return tuple(sorted(set(config.voices.train.values())))
    if config.tts != "kokoro":
        return ()
    own = dict.fromkeys(group_of(name, language) for name in cast_of(language).train)
    return (*own, ACCENT) if config.accents else tuple(own)


def group_of(name: str, language: str = ENGLISH) -> str:
    """The group of one of Kokoro's voices: its language and gender in one word, or `ACCENT` of another language."""
    own = _ACCENTS[name]
    return f"{own}-{_GENDERS[name]}" if own.startswith(language) else ACCENT


def draw_voice(
    transcript_id: str,
    split: Split,
    config: SpeechSection,
    *,
    seed: int,
    group: str = "",
    language: str = ENGLISH,
) -> tuple[str, float]:
    """Voice (or blend) and speed of a transcript; a draw from (seed, id) alone, whatever else is spoken.

    With a `group`, a training voice is one of it, or a blend of which it is the larger part. `CoverageError`: there is
    no such group.
    """
    rng = np.random.default_rng([seed, *transcript_id.encode()])
    if given := config.voices.of(split):
        in_group = [name for name in sorted(given) if not group or split != "train" or given[name] == group]
        _require(in_group, group, config)
        name = str(rng.choice(in_group))
        is_paced = split == "train" and config.takes_speed
        return full_name(config.tts, name), round(float(rng.uniform(*config.speed)), 2) if is_paced else 1.0
    cast = cast_of(language)
    if split != "train":
        return str(rng.choice(cast.test if split == "test" else cast.dev)), 1.0
    speed = round(float(rng.uniform(*config.speed)), 2)
    if group:
        return _drawn_of(group, config, rng, language), speed
    if rng.random() < config.accents:
        return str(rng.choice(cast.accents)), speed
    if rng.random() >= config.blend:
        return str(rng.choice(cast.train)), speed
    if len(cast.train) == 1:
        return _blend(cast.train[0], str(rng.choice(cast.accents)), float(rng.uniform(0.5, 0.7))), speed
    first, second = rng.choice(cast.train, size=2, replace=False)
    return _blend(str(first), str(second), float(rng.uniform(0.3, 0.7))), speed


TRIES = 16
"""Draws at most until a sentence that is spoken anew has another voice."""


def draw_for_attempt(
    transcript_id: str,
    split: Split,
    config: SpeechSection,
    *,
    seed: int,
    group: str,
    attempt: int,
    language: str = ENGLISH,
) -> tuple[str, float]:
    """Voice and speed of the n-th attempt at a transcript: the first is `draw_voice`'s.

    Later ones have another voice than the attempts before, as far as there are others.
    """
    used: list[str] = []
    drawn = draw_voice(transcript_id, split, config, seed=seed, group=group, language=language)
    for number in range(2, attempt + 1):
        used.append(drawn[0])
        for draw in range(TRIES):
            drawn = draw_voice(
                f"{transcript_id}~{number}.{draw}", split, config, seed=seed, group=group, language=language
            )
            if drawn[0] not in used:
                break
    return drawn


def _drawn_of(group: str, config: SpeechSection, rng: np.random.Generator, language: str) -> str:
    """A voice of a group; `config.blend` of those that are no accents are blends, with any other training voice, or
    with an accent where there is no other.
    """
    cast = cast_of(language)
    members = [name for name in (*cast.train, *cast.accents) if group_of(name, language) == group]
    _require(members, group, config)
    first = str(rng.choice(members))
    if group == ACCENT or rng.random() >= config.blend:
        return first
    others = [name for name in cast.train if name != first] or cast.accents
    second = str(rng.choice(others))
    return _blend(first, second, float(rng.uniform(0.5, 0.7)))


def _require(members: Sequence[str], group: str, config: SpeechSection) -> None:
    if not members:
        raise CoverageError(f"{group!r} is no group of voices; there are {', '.join(groups(config))}")


def _blend(first: str, second: str, share: float) -> str:
    weight = round(share, 2)  # nearer to 0 or 1 the blend would be a single voice again
    return f"{first}*{weight:g}+{second}*{round(1 - weight, 2):g}"
