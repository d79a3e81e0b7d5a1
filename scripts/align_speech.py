"""Give Kokoro recordings the times of their words: the lines of a manifest get `words`.

    python scripts/align_speech.py MANIFEST [--to TARGET]

A line is one of a training manifest with `voice` (or `speaker`) and `speed`, or an `Utterance` of stage 30. Kokoro
computes how long each phoneme lasts before it makes a sound; that part of its graph is run again. Lines with words are
left as they are, and so is a recording whose length does not fit what was computed. Without --to in place.
"""

import argparse
from itertools import islice
from pathlib import Path

from shoptalk.core import files
from shoptalk.core.examples import read_manifest, write_manifest
from shoptalk.core.models import store
from shoptalk.core.progress import progress
from shoptalk.core.records import Example, Utterance
from shoptalk.integrations.kokoro import DURATION_STEP_S, EDGE_S, BeforeVocoder
from shoptalk.stages.processes import Processes

_kokoro: list[BeforeVocoder] = []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--to", type=Path)
    arguments = parser.parse_args()
    manifest = arguments.manifest
    examples = _spoken(manifest) if _is_stage_30(manifest) else read_manifest(manifest)
    _start()  # fetches and makes what the processes share
    made = Processes().map(_aligned, examples, start=_start, arguments=())
    aligned = list(progress(made, manifest.name, total=len(examples)))
    target = arguments.to or manifest
    write_manifest(target, aligned)
    timed = sum(bool(example.words) for example in aligned)
    print(f"{target}: {timed} of {len(aligned)} recordings have the times of their words")


def _is_stage_30(manifest: Path) -> bool:
    """Whether a file holds utterances of stage 30: those name their recording `audio`."""
    return any("audio" in row for _, row in islice(files.read_objects(manifest), 1))


def _spoken(manifest: Path) -> list[Example]:
    """The utterances of stage 30 as training examples."""
    return [
        Example(
            id=utterance.id,
            audio=manifest.parent / utterance.audio,
            duration_s=utterance.duration_s,
            text=utterance.text,
            voice=utterance.voice,
            speaker=utterance.voice,
            speed=utterance.speed,
            source="synthetic",
        )
        for utterance in files.read(manifest, Utterance)
    ]


def _start() -> None:
    _kokoro[:] = [BeforeVocoder(store.path("kokoro-voices"))]


def _aligned(example: Example) -> Example:
    if example.words or example.speed is None:
        return example
    said = _kokoro[0].of(example.text, voice=example.voice, speed=example.speed)
    words, length_s = said.words, said.length_s
    shift_s = 0.0
    if abs(length_s - example.duration_s) > 2 * DURATION_STEP_S:  # silence at both ends was cut to `EDGE_S`
        shift_s = words[0].start_s - EDGE_S
        if not -0.1 <= example.duration_s - (words[-1].end_s - words[0].start_s + 2 * EDGE_S) <= 0.4:
            return example
    placed = tuple((one.word, round(one.start_s - shift_s, 3), round(one.end_s - shift_s, 3)) for one in words)
    return example.model_copy(update={"words": placed})


if __name__ == "__main__":
    main()
