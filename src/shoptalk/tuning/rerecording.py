"""Recordings augmented anew each time that they are drawn, by the effects of stage 40, before their features are made.

Shapes: T samples, or mel frames of 10 ms; M mel bins.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from shoptalk.core import recordings
from shoptalk.core.draws import apply, draw, require_noise
from shoptalk.core.effects import active_power
from shoptalk.core.noise import NoiseSet, read_noise
from shoptalk.core.recipe import AugmentSection
from shoptalk.core.records import Example, Samples
from shoptalk.core.voice_effects import change_speed

Features = npt.NDArray[np.float32]
Rerecord = Callable[[Example, float, np.random.Generator], Features | None]
"""Features (T, M) of a recording at a speed, otherwise each time; None where there is no sound to work on."""
NOISES_KEPT = 64


def rerecorder(
    config: AugmentSection,
    noise: NoiseSet,
    featurize: Callable[[Samples], Features],
    speech: Sequence[Example],
    *,
    seed: int,
) -> Rerecord:
    """What makes features of a recording under effects that are drawn anew; `speech` is what babble is made of.

    The speed is the one that is asked for, and the tempo stays: batches are planned by it. `RecipeError` where the
    noise manifest lacks a class that the recipe weighs.
    """
    usable = [record for record in noise.recordings if record.split == "train"]
    require_noise(config, usable, frozenset())
    by_id = {record.id: record for record in usable}
    voices = [entry.audio for entry in speech if _is_whole_sound(entry)]

    @lru_cache(maxsize=NOISES_KEPT)
    def load_noise(noise_id: str) -> Samples:
        return read_noise(by_id[noise_id], noise.folder)

    def rerecord(entry: Example, speed: float, rng: np.random.Generator) -> Features | None:
        if entry.audio.suffix == recordings.FEATURES:
            return None
        samples_T = recordings.load(entry)
        if active_power(samples_T) <= 0.0:  # silence has no SNR
            return featurize(change_speed(samples_T, factor=speed))
        section = config.model_copy(update={"speed": (speed, speed), "tempo": (1.0, 1.0)})
        copy_id = f"{entry.id}#{int(rng.integers(2**62))}"
        drawn = draw(copy_id, section, usable, seed=seed, speech=voices, own=entry.audio)
        return featurize(apply(samples_T, drawn, load_noise))

    return rerecord


def _is_whole_sound(entry: Example) -> bool:
    """Whether it is a recording of speech, and not a part of one or features."""
    is_part = entry.offset_s is not None or entry.audio.suffix == recordings.FEATURES
    return not is_part and not entry.wordless
