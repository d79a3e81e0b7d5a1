"""Recordings to be recognised for a test: of manifests, under noise, without speech, and joined to long ones."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from shoptalk.core import audio
from shoptalk.core.errors import AudioError, ManifestError, ScoringError
from shoptalk.core.examples import listed as problems_listed
from shoptalk.core.examples import numbered_manifest
from shoptalk.core.noise import NoiseSet, read_noise
from shoptalk.core.recipe import effective
from shoptalk.core.recordings import content_of, load, problem_of_audio
from shoptalk.core.records import Example, Hypothesis, Samples, Word
from shoptalk.core.sets import LONG, NOISY, SILENCE, TEST_LISTS, TESTS, condition_set, digest, noisy_id
from shoptalk.core.tokens import FRAME_S
from shoptalk.testsets import conditions

Accent = Callable[[str], str]
"""From the name of a voice to its language, e.g. ``en-gb``; empty where it has none."""


@dataclass(frozen=True)
class Clip:
    """A recording to be recognised: its hypothesis, still without a text, and how to get its samples."""

    asked: Hypothesis
    load: Callable[[], Samples]
    content: object
    """What its samples depend on, as JSON can hold it."""


def fixed_lists(dataset: Path) -> dict[str, str]:
    """The sha256 of each fixed list of stage 50, by name: those of `TESTS`, then those of the user's own recordings."""
    if not (dataset / TEST_LISTS).is_file():
        raise ScoringError(f"{dataset}: has no {TEST_LISTS}; make the dataset with `shoptalk dataset`")
    return dict(json.loads((dataset / TEST_LISTS).read_text(encoding="utf-8")))


def listed(dataset: Path, accent: Accent) -> list[Clip]:
    """The fixed test lists of stage 50; `ScoringError` if a list was changed since."""
    fixed = fixed_lists(dataset)
    clips: list[Clip] = []
    for name in dict.fromkeys((*TESTS, *fixed)):
        path = dataset / f"test-{name}.jsonl"
        examples = _checked(path)
        if digest(examples) != fixed.get(name):
            raise ScoringError(f"{path} was changed after it was fixed; remove {dataset}, run `shoptalk dataset`")
        clips += _clips(examples, name, accent)
    return clips


def dev(dataset: Path, accent: Accent) -> list[Clip]:
    """What the temperature of word confidence is fitted on: the domain's sentences, and general speech if kept."""
    clips: list[Clip] = []
    for path in (dataset / "dev.jsonl", dataset / "dev-general.jsonl"):
        if path.is_file():
            clips += read(path, "dev", accent)
    return clips


def read(path: Path, name: str, accent: Accent) -> list[Clip]:
    """A manifest of stage 50 or of `shoptalk import` as the test set `name`.

    `ManifestError` has the lines whose recordings are not there, or shorter than the lines say or than a frame.
    """
    return _clips(_checked(path), name, accent)


def require_distinct(clips: Iterable[Clip]) -> None:
    """`ScoringError` that names both test sets and the id if two recordings have one id."""
    set_of: dict[str, str] = {}
    for clip in clips:
        asked = clip.asked
        if asked.id in set_of:
            raise ScoringError(
                f"the sets {set_of[asked.id]!r} and {asked.set!r} share the id {asked.id!r}; import one of them again "
                "with other ids"
            )
        set_of[asked.id] = asked.set


def _checked(path: Path) -> list[Example]:
    examples: list[Example] = []
    problems: list[str] = []
    lengths: dict[Path, float] = {}
    for number, example in numbered_manifest(path):
        examples.append(example)
        if problem := problem_of_audio(example, FRAME_S, lengths):
            problems.append(f"line {number}: {problem}")
    if problems:
        raise ManifestError(
            f"{path}: {len(problems)} lines cannot be scored; correct them:\n{problems_listed(problems)}"
        )
    return examples


def _clips(examples: Iterable[Example], name: str, accent: Accent) -> list[Clip]:
    clips = []
    for example in examples:
        clips.append(Clip(_asked(example, name, accent), partial(load, example), content_of(example)))
    return clips


def _asked(example: Example, name: str, accent: Accent) -> Hypothesis:
    return Hypothesis(
        id=example.id,
        reference=example.text,
        heard="",
        set=name,
        term_ids=example.term_ids,
        cluster=example.cluster,
        voice=example.voice,
        accent=example.accent or accent(example.voice),
        context=example.context,
        duration_s=example.duration_s,
        patient=example.patient,
        said=tuple(Word(word=word, start_s=start_s, end_s=end_s) for word, start_s, end_s in example.words),
    )


def under_noise(
    clip: Clip, noise: Sequence[tuple[str, Samples]], snr_db: float, seed: int, *, noise_content: object
) -> Clip:
    """The clip again, as the set ``noisy`` at an SNR; `noise_content` stands for the samples of `noise`."""
    name = noisy_id(clip.asked.id, snr_db)
    asked = clip.asked.model_copy(update={"id": name, "set": NOISY, "snr_db": snr_db})
    content = [clip.content, noise_content, snr_db, seed]

    def made() -> Samples:
        return conditions.under_noise(clip.asked.id, clip.load(), noise, snr_db, seed)

    return Clip(asked, partial(_named, name, made), content)


def under_condition(clip: Clip, condition: str, noise: NoiseSet, seed: int, *, noise_content: object) -> Clip:
    """The clip again, in a set of its own, as a condition of `draws.CONDITIONS` has it."""
    usable = [record for record in noise.recordings if record.split == "test"]
    by_id = {record.id: record for record in usable}
    asked = clip.asked.model_copy(update={"id": f"{clip.asked.id}@{condition}", "set": condition_set(condition)})

    def load_noise(noise_id: str) -> Samples:
        return read_noise(by_id[noise_id], noise.folder)

    def made() -> Samples:
        return conditions.under_condition(clip.asked.id, clip.load(), condition, usable, load_noise, seed)

    content = [clip.content, noise_content, condition, seed, effective(conditions.TESTED)]
    return Clip(asked, partial(_named, asked.id, made), content)


def _named(name: str, make: Callable[[], Samples]) -> Samples:
    """What `make` gives; an `AudioError` of it tells of which recording it is."""
    try:
        return make()
    except AudioError as error:
        raise AudioError(f"{name}: {error}") from error


def silent(name: str, samples_T: Samples) -> Clip:
    """A recording in which nobody speaks."""
    duration_s = samples_T.size / audio.SAMPLE_RATE_HZ
    asked = Hypothesis(id=name, reference="", heard="", set=SILENCE, duration_s=duration_s)
    return Clip(asked, lambda: samples_T, sha256(samples_T.tobytes()).hexdigest())


def long(clips: Sequence[Clip], seconds: float, seed: int) -> Iterator[Clip]:
    """Recordings joined from many."""
    by_id = {clip.asked.id: clip for clip in clips}
    lines = []
    for clip in clips:
        lines.append({"id": clip.asked.id, "text": clip.asked.reference, "duration": clip.asked.duration_s})
    for form in conditions.long_forms(lines, seconds, seed):
        asked = Hypothesis(id=form.id, reference=form.text, heard="", set=LONG, duration_s=form.duration_s)
        content = [form.offsets_s, seed, [by_id[name].content for name in form.ids]]
        yield Clip(asked, partial(conditions.join, form, lambda name: by_id[name].load(), seed), content)
