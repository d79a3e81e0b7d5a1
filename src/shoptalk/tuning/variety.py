"""What the effects on features are drawn from: the variety of voices, rooms, lines and noises that a synthesiser lacks.

Shapes: T mel frames (10 ms), M mel bins.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from shoptalk.core.recipe import TrainSection
from shoptalk.tuning import mel_effects
from shoptalk.tuning.features import FeatureCache, stretched

Rng = np.random.Generator
Features = npt.NDArray[np.float32]
Another = Callable[[Rng], Features]
"""Features of another recording that is drawn."""

REVERBERATION_S = (0.2, 0.8)
DIRECT_DB = (0.0, 12.0)
TILT_DB_PER_OCTAVE = (-4.0, 4.0)
GAIN_DB = (-40.0, 6.0)
CUTOFF_HZ = (2_500.0, 7_000.0)
"""27 kbit/s of MP3 leave 5.8 kHz, a telephone 3.4."""
CUT_FRAMES = 20
"""At most; Kokoro's speech has ten frames of quiet at both ends."""
ADDED_FRAMES = 100
PAUSE_FRAMES = (10, 90)
VOICES = (3, 6)
DIGITAL_SILENCE = 0.3
"""Part of the recordings without words."""


def happens(part: float, rng: Rng) -> bool:
    """True in that part of the draws; what never happens takes no draw, so that new effects change no old run."""
    return part > 0 and rng.uniform() < part


def varied(
    clean_TM: Features,
    config: TrainSection,
    rng: Rng,
    *,
    noise: FeatureCache | None,
    snr_db: tuple[float, float],
    another: Another,
) -> Features:
    """An utterance as another mouth, room, microphone, line and neighbourhood would have made it."""
    heard_TM = _other_voice(clean_TM, config, rng)
    if rng.uniform() < config.feature_room:
        reverberation_s, direct_db = rng.uniform(*REVERBERATION_S), rng.uniform(*DIRECT_DB)
        heard_TM = mel_effects.room(heard_TM, reverberation_s=reverberation_s, direct_db=direct_db)
    if happens(config.feature_level, rng):
        heard_TM = mel_effects.level(heard_TM, gain_db=rng.uniform(*GAIN_DB))
    heard_TM = _among_noises(heard_TM, config, rng, noise=noise, snr_db=snr_db, another=another)
    if happens(config.feature_low_pass, rng):
        heard_TM = mel_effects.low_pass(heard_TM, cutoff_hz=rng.uniform(*CUTOFF_HZ), rng=rng)
    return mel_effects.telephone(heard_TM, rng) if rng.uniform() < config.feature_telephone else heard_TM


def _other_voice(clean_TM: Features, config: TrainSection, rng: Rng) -> Features:
    low, high = config.feature_tempo
    if low < high:
        clean_TM = stretched(clean_TM, rng.uniform(low, high))
    if happens(config.feature_ends, rng):
        clean_TM = _with_other_ends(clean_TM, rng)
    if happens(config.feature_warp, rng):
        clean_TM = mel_effects.warp(clean_TM, rng.uniform(*config.feature_warp_factors))
    if happens(config.feature_tilt, rng):
        clean_TM = mel_effects.tilt(clean_TM, db_per_octave=rng.uniform(*TILT_DB_PER_OCTAVE))
    return clean_TM


def _with_other_ends(clean_TM: Features, rng: Rng) -> Features:
    """Each end is clipped or has quiet added, one as likely as the other."""
    clipped = rng.uniform(size=2) < 0.5
    cuts = rng.integers(0, min(CUT_FRAMES, len(clean_TM) // 8) + 1, 2) * clipped
    added = rng.integers(0, ADDED_FRAMES + 1, 2) * ~clipped
    before_TM, behind_TM = (mel_effects.pause([clean_TM], int(frames), rng) for frames in added)
    cut_TM = mel_effects.cut_ends(clean_TM, first_frames=int(cuts[0]), last_frames=int(cuts[1]))
    return np.concatenate([before_TM, cut_TM, behind_TM])


def _among_noises(
    clean_TM: Features,
    config: TrainSection,
    rng: Rng,
    *,
    noise: FeatureCache | None,
    snr_db: tuple[float, float],
    another: Another,
) -> Features:
    heard_TM, (frames, mels) = clean_TM, clean_TM.shape
    if noise is not None and rng.uniform() < config.feature_noise:
        noise_TM = noise.get(int(rng.integers(len(noise.entries)))).astype(np.float32)
        heard_TM = mel_effects.add_noise(heard_TM, noise_TM, snr_db=rng.uniform(*snr_db), rng=rng)
    if happens(config.feature_shaped_noise, rng):
        noise_TM = mel_effects.shaped_noise(frames, mels, rng)
        heard_TM = mel_effects.add_noise(heard_TM, noise_TM, snr_db=rng.uniform(*snr_db), rng=rng)
    if happens(config.feature_babble, rng):
        voices = [another(rng) for _ in range(rng.integers(VOICES[0], VOICES[1] + 1))]
        noise_TM = mel_effects.babble(voices, frames, rng)
        heard_TM = mel_effects.add_noise(heard_TM, noise_TM, snr_db=rng.uniform(*snr_db), rng=rng)
    return heard_TM


def without_words(frames: int, mels: int, rng: Rng, *, noise: FeatureCache | None) -> Features:
    """Digital silence, noise of a drawn colour or a recording of noise."""
    if rng.uniform() < DIGITAL_SILENCE:
        return mel_effects.silence(frames, mels)
    if noise is None or rng.uniform() < 0.5:
        return mel_effects.shaped_noise(frames, mels, rng)
    recorded_TM = noise.get(int(rng.integers(len(noise.entries)))).astype(np.float32)
    places = int(rng.integers(len(recorded_TM))) + np.arange(frames)
    return np.take(recorded_TM, places, axis=0, mode="wrap")
