"""Test sets that are made from what is there: speech under noise, recordings without speech, and long recordings.

All is drawn from (seed, id) alone. T = samples at 16 kHz.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shoptalk.core import files
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.draws import apply, draw, planned, require_noise
from shoptalk.core.effects import add_noise, at_level, white_noise
from shoptalk.core.errors import AudioError, ManifestError
from shoptalk.core.noise import Noise, read_noise
from shoptalk.core.recipe import AugmentSection
from shoptalk.core.records import Samples

FLOOR_DB = -60.0
"""RMS against full scale of the white noise that a quiet microphone makes."""
SILENT_LEVELS_DB = (-55.0, -45.0, -35.0, -25.0)
"""RMS of noise without speech, from hardly audible to about as loud as speech."""
SILENT_S = (3.0, 12.0)
PAUSE_S = (0.3, 1.5)
TESTED = AugmentSection(
    speed=(1.0, 1.0),
    gain_db=(0.0, 0.0),
    snr_db=(5.0, 20.0),
    telephone_laws=("mu", "a"),
    codecs=("opus", "mp3", "aac"),
)
"""What is drawn for test speech under a condition, whatever the recipe trains with."""
SPEECH = ("babble", "speech", "voice", "crowd")
"""Noises whose ids say so hold speech. Of the noises that ship none does: silero-vad gives at most 0.15 to those of
``test``."""
MOST_LATE_S = 0.25


class LongForm(NamedTuple):
    """A recording to be joined from utterances; their samples are asked for by `join` only."""

    id: str
    ids: tuple[str, ...]
    text: str
    offsets_s: tuple[float, ...]
    """Where each utterance starts."""
    durations_s: tuple[float, ...]
    """How long each is, by its manifest."""
    duration_s: float


def noise_recordings(path: Path) -> list[tuple[str, Samples]]:
    """The ids and samples of a noise manifest that no training uses: of split ``test`` and kind ``noise``."""
    records = [record for record in files.read(path, Noise) if record.split == "test" and record.kind == "noise"]
    if not records:
        raise ManifestError(f"{path}: has no noise of split `test`; mark some, or test without noise")
    return [(record.id, read_noise(record, path.parent)) for record in records]


def under_noise(
    utterance_id: str, samples_T: Samples, noise: Sequence[tuple[str, Samples]], snr_db: float, seed: int
) -> Samples:
    """Speech that is `snr_db` louder, where it is active, than a drawn noise; the draw is the same at every SNR."""
    rng = _rng(seed, utterance_id)
    _, noise_T = noise[int(rng.integers(len(noise)))]
    return add_noise(samples_T, np.roll(noise_T, int(rng.integers(noise_T.size))), snr_db=snr_db)


def under_condition(
    utterance_id: str,
    samples_T: Samples,
    condition: str,
    noise: Sequence[Noise],
    load: Callable[[str], Samples],
    seed: int,
) -> Samples:
    """Speech as a design's condition has it, at its own pace and level; `noise` are recordings that no training uses.

    `load` reads one of them by its id. `RecipeError` where the condition needs noise and there is none.
    """
    require_noise(TESTED, noise, {condition})
    drawn = draw(utterance_id, planned(TESTED, condition), noise, seed=seed)
    return apply(samples_T, drawn, load)


def silence(noise: Sequence[tuple[str, Samples]], seconds: float, seed: int) -> Iterator[tuple[str, Samples]]:
    """Recordings of 3 to 12 s in which nobody speaks, until there are `seconds` of them (up to 12 s more).

    Digital silence, white noise at `FLOOR_DB`, and each noise at `SILENT_LEVELS_DB`, round after round. Ids tell which:
    ``silence/digital``, ``silence/white/-60dB``, ``silence/rain-1/-35dB``, in later rounds with ``/2``, ``/3`` behind.
    """
    speechless = [(name, noise_T) for name, noise_T in noise if not _holds_speech(name)]
    made_s = 0.0
    round_number = 0
    while made_s < seconds:
        round_number += 1
        for name, samples_T, level_db in _without_speech(speechless):
            if made_s >= seconds:
                return
            if round_number > 1:
                name = f"{name}/{round_number}"
            silent_T = _silent(name, samples_T, level_db, seed)
            made_s += silent_T.size / SAMPLE_RATE_HZ
            yield name, silent_T


def _holds_speech(noise_id: str) -> bool:
    return any(word in noise_id.lower() for word in SPEECH)


def _without_speech(noise: Sequence[tuple[str, Samples]]) -> Iterator[tuple[str, Samples | None, float]]:
    """Id, noise (None: white) and level of each kind of silence."""
    yield "silence/digital", None, -np.inf
    yield f"silence/white/{FLOOR_DB:g}dB", None, FLOOR_DB
    for level_db in SILENT_LEVELS_DB:
        for name, noise_T in noise:
            yield f"silence/{name}/{level_db:g}dB", noise_T, level_db


def _silent(name: str, noise_T: Samples | None, level_db: float, seed: int) -> Samples:
    rng = _rng(seed, name)
    size = round(float(rng.uniform(*SILENT_S)) * SAMPLE_RATE_HZ)
    if noise_T is None:
        return white_noise(rng, size=size, level_db=level_db)
    long_T = np.resize(np.roll(noise_T, int(rng.integers(noise_T.size))), size)
    return at_level(long_T, level_db=level_db)


def long_forms(lines: Iterable[Mapping[str, Any]], seconds: float, seed: int) -> Iterator[LongForm]:
    """Recordings of about `seconds` each, in which every utterance of a manifest's lines comes once.

    `lines` have ``id``, ``text`` and ``duration``. The order and the pauses are drawn by (seed, id), whatever the order
    of the lines; the recordings are as many as come nearest to `seconds`, and alike in length.
    """
    drawn = sorted(lines, key=lambda line: sha256(f"{seed}:{line['id']}".encode()).digest())
    for line, next_line in pairwise(drawn):
        if line["id"] == next_line["id"]:
            raise ManifestError(f"the id {line['id']!r} occurs twice; ids must be unique")
    timed = [(line, _pause_s(line["id"], seed)) for line in drawn]
    total_s = sum(pause_s + line["duration"] for line, pause_s in timed)
    count = max(1, round(total_s / seconds))
    members: list[list[tuple[Mapping[str, Any], float]]] = [[] for _ in range(count)]
    at_s = 0.0
    for line, pause_s in timed:
        middle_s = at_s + (pause_s + line["duration"]) / 2
        place = min(count - 1, int(middle_s / total_s * count))
        members[place].append((line, pause_s))
        at_s += pause_s + line["duration"]
    filled = [part for part in members if part]
    for number, part in enumerate(filled, start=1):
        yield _long_form(f"long/{seconds:g}s/{number}", part, seed)


def _pause_s(utterance_id: str, seed: int) -> float:
    return float(_rng(seed, f"pause/{utterance_id}").uniform(*PAUSE_S))


def _long_form(name: str, members: Sequence[tuple[Mapping[str, Any], float]], seed: int) -> LongForm:
    at_s = 0.0
    offsets_s: list[float] = []
    for line, pause_s in members:
        offsets_s.append(round(at_s + pause_s, 4))
        at_s = offsets_s[-1] + line["duration"]
    return LongForm(
        id=name,
        ids=tuple(line["id"] for line, _ in members),
        text=" ".join(line["text"] for line, _ in members),
        offsets_s=tuple(offsets_s),
        durations_s=tuple(float(line["duration"]) for line, _ in members),
        duration_s=round(at_s + _pause_s(name, seed), 4),
    )


def join(long_form: LongForm, load: Callable[[str], Samples], seed: int) -> Samples:
    """The samples of a long recording, `load` giving those of an utterance by its id, one at a time.

    `AudioError` if an utterance is more than 0.25 s longer or shorter than its manifest says.
    """
    rng = _rng(seed, long_form.id)
    size = round(long_form.duration_s * SAMPLE_RATE_HZ)
    joined_T = white_noise(rng, size=size, level_db=FLOOR_DB)
    for name, offset_s, duration_s in zip(long_form.ids, long_form.offsets_s, long_form.durations_s, strict=True):
        samples_T = load(name)
        if abs(samples_T.size / SAMPLE_RATE_HZ - duration_s) > MOST_LATE_S:
            raise AudioError(
                f"{name}: {samples_T.size / SAMPLE_RATE_HZ:.2f} s of audio where the manifest says {duration_s:.2f} s; "
                "correct its `duration`"
            )
        start = round(offset_s * SAMPLE_RATE_HZ)
        joined_T[start : start + samples_T.size] += samples_T
    return joined_T


def _rng(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, *sha256(name.encode()).digest()])
