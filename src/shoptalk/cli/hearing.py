"""What is asked of a recogniser in stage 70, and what it heard: on disk as it goes, resumed, timed."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from shoptalk import audio, manifest
from shoptalk.cli.stages import once, progress
from shoptalk.corpus import test_sets
from shoptalk.corpus.dataset import TEST_LISTS, TESTS, digest
from shoptalk.corpus.voices import accent
from shoptalk.errors import ScoringError
from shoptalk.manifest import read_lines
from shoptalk.protocols import Recognizer
from shoptalk.records import Hypothesis, Samples, Word
from shoptalk.run import Run
from shoptalk.run import digest as digest_of
from shoptalk.scoring.evaluate import LONG, NOISY, SILENCE
from shoptalk.scoring.slices import noisy_id

CHUNK = 64
CHUNK_S = 900.0
"""So many utterances or seconds are decoded together; hypotheses are on disk after each."""


@dataclass(frozen=True)
class Clip:
    """A recording to be heard: its hypothesis without what is heard, and how to get its samples."""

    asked: Hypothesis
    load: Callable[[], Samples]


def listed(dataset: Path) -> list[Clip]:
    """The fixed test lists of stage 50; `ScoringError` if a list is not the one that was fixed."""
    if not (dataset / TEST_LISTS).is_file():
        raise ScoringError(f"{dataset}: has no {TEST_LISTS}; make the dataset with `shoptalk dataset`")
    fixed = json.loads((dataset / TEST_LISTS).read_text(encoding="utf-8"))
    found: list[Clip] = []
    for name in TESTS:
        path = dataset / f"test-{name}.jsonl"
        lines = read_lines(path)
        if digest(lines) != fixed.get(name):
            raise ScoringError(f"{path} was changed after it was fixed; remove {dataset}, run `shoptalk dataset`")
        found += _clips(lines, dataset, name)
    return found


def dev(dataset: Path) -> list[Clip]:
    """What the temperature of word confidence is fitted on: the trade's sentences, and general speech if kept."""
    paths = [dataset / "dev.jsonl", dataset / "dev-general.jsonl"]
    return [clip for path in paths if path.is_file() for clip in read(path, "dev")]


def read(path: Path, name: str) -> list[Clip]:
    """A manifest of stage 50 or of `shoptalk import` as the test set `name`."""
    return _clips(read_lines(path), path.parent, name)


def _clips(lines: Iterable[Mapping[str, Any]], folder: Path, name: str) -> list[Clip]:
    return [Clip(_asked(line, name), partial(audio.decode, folder / line["audio_filepath"])) for line in lines]


def _asked(line: Mapping[str, Any], name: str) -> Hypothesis:
    voice = line.get("voice", "")
    return Hypothesis(
        id=line["id"], reference=line["text"], heard="", set=name, term_ids=tuple(line.get("term_ids", ())),
        cluster=line.get("cluster", ""), voice=voice, accent=line.get("accent") or accent(voice),
        context=line.get("context", ""), duration_s=line["duration"], patient=line.get("patient", False),
        said=tuple(Word(word=word, start_s=start_s, end_s=end_s) for word, start_s, end_s in line.get("words", ())),
    )  # fmt: skip


def further(run: Run, clips: Sequence[Clip]) -> list[Clip]:
    """The sets that the recipe asks for beside the fixed lists: imported, noisy, long, silence."""
    section, seed = run.recipe.evaluate, run.recipe.seed
    found = [clip for path in section.tests for clip in read(run.resolve(path), path.stem)]
    taught = [clip for clip in clips if clip.asked.set == "taught"]
    if section.snr_db or section.silence_s:
        noise = test_sets.noise_recordings(run.resolve(run.recipe.augment.noise_manifest))
    if section.snr_db:
        chosen = sorted(taught, key=lambda clip: sha256(clip.asked.id.encode()).digest())[: section.noisy_utterances]
        found += [_under_noise(clip, noise, snr_db, seed) for snr_db in section.snr_db for clip in chosen]
    if section.silence_s:
        found += [_silent(name, samples_T) for name, samples_T in test_sets.silence(noise, section.silence_s, seed)]
    if section.long_form_s:
        found += _long(taught + [clip for clip in clips if clip.asked.set == "general"], section.long_form_s, seed)
    return found


def _under_noise(clip: Clip, noise: Sequence[tuple[str, Samples]], snr_db: float, seed: int) -> Clip:
    name = noisy_id(clip.asked.id, snr_db)
    asked = clip.asked.model_copy(update={"id": name, "set": NOISY, "snr_db": snr_db})
    return Clip(asked, lambda: test_sets.under_noise(clip.asked.id, clip.load(), noise, snr_db, seed))


def _silent(name: str, samples_T: Samples) -> Clip:
    duration_s = samples_T.size / audio.SAMPLE_RATE_HZ
    return Clip(Hypothesis(id=name, reference="", heard="", set=SILENCE, duration_s=duration_s), lambda: samples_T)


def _long(clips: Sequence[Clip], seconds: float, seed: int) -> Iterator[Clip]:
    """Recordings joined from many."""
    by_id = {clip.asked.id: clip for clip in clips}
    lines = [{"id": one.asked.id, "text": one.asked.reference, "duration": one.asked.duration_s} for one in clips]
    for form in test_sets.long_forms(lines, seconds, seed):
        asked = Hypothesis(id=form.id, reference=form.text, heard="", set=LONG, duration_s=form.duration_s)
        yield Clip(asked, partial(test_sets.join, form, lambda name: by_id[name].load(), seed))


def hear(
    path: Path, clips: Sequence[Clip], start: Callable[[], Recognizer], *, signature: Sequence[object]
) -> list[Hypothesis]:
    """What a recogniser hears, resumed from what is on disk; `start` is called only if there is something to hear."""

    def heard(done: frozenset[str]) -> Iterator[Hypothesis]:
        recognizer = start()
        if not done:
            _times(path).unlink(missing_ok=True)
        for chunk in _chunks(clips):
            if all(clip.asked.id in done for clip in chunk):
                continue
            # The whole chunk again: in other batches the rounding differs, and so might a word.
            spoken = [clip.load() for clip in chunk]
            began = time.perf_counter()
            results = recognizer.recognize(spoken)
            _add_time(path, seconds=time.perf_counter() - began, audio_s=sum(clip.asked.duration_s for clip in chunk))
            for clip, one in zip(chunk, results, strict=True):
                if clip.asked.id not in done:
                    yield clip.asked.model_copy(update={"heard": one.text, "words": one.words})

    full = digest_of([*signature, [clip.asked.model_dump(mode="json") for clip in clips]])
    once(path, lambda done: progress(heard(done), f"hear {path.stem}", len(clips), len(done)), signature=full)
    return list(manifest.read(path, Hypothesis))


def _chunks(clips: Sequence[Clip]) -> Iterator[list[Clip]]:
    chunk: list[Clip] = []
    for clip in clips:
        if chunk and (
            len(chunk) == CHUNK or sum(one.asked.duration_s for one in chunk) + clip.asked.duration_s > CHUNK_S
        ):
            yield chunk
            chunk = []
        chunk.append(clip)
    if chunk:
        yield chunk


def _times(path: Path) -> Path:
    return path.with_suffix(".seconds.json")


def _add_time(path: Path, *, seconds: float, audio_s: float) -> None:
    held = json.loads(_times(path).read_text()) if _times(path).is_file() else {"seconds": 0.0, "audio_s": 0.0}
    total = {"seconds": round(held["seconds"] + seconds, 6), "audio_s": round(held["audio_s"] + audio_s, 3)}
    manifest.write_text(_times(path), json.dumps(total) + "\n")


def speed(path: Path) -> float | None:
    """Audio seconds recognised per second, loading of the model and of the audio left out."""
    if not _times(path).is_file():
        return None
    held = json.loads(_times(path).read_text())
    return round(held["audio_s"] / held["seconds"], 2) if held["seconds"] else None
