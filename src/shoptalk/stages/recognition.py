"""What a recogniser makes of test recordings: resumed from what is on disk, with the time that it took."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from shoptalk.core import files
from shoptalk.core.files import digest
from shoptalk.core.progress import progress
from shoptalk.core.protocols import Recognizer
from shoptalk.core.records import Hypothesis
from shoptalk.stages.products import once
from shoptalk.testsets.clips import Clip

CHUNK = 64
CHUNK_S = 900.0
"""So many utterances or seconds are decoded together; hypotheses are on disk after each."""


def recognize(
    path: Path, clips: Sequence[Clip], start: Callable[[], Recognizer], *, signature: Sequence[object]
) -> list[Hypothesis]:
    """A recogniser's hypotheses, resumed from what is on disk; `start` is called only if recordings are left.

    What is on disk counts only for the same recordings, by their content.
    """

    def recognized(done: frozenset[str]) -> Iterator[Hypothesis]:
        recognizer = start()
        if not done:
            _times(path).unlink(missing_ok=True)
        for chunk in _chunks(clips):
            if all(clip.asked.id in done for clip in chunk):
                continue
            # The whole chunk again: in other batches the rounding differs, and so might a word.
            recordings = [clip.load() for clip in chunk]
            began = time.perf_counter()
            recognitions = recognizer.recognize(recordings)
            seconds = time.perf_counter() - began
            _add_time(path, seconds=seconds, audio_s=sum(clip.asked.duration_s for clip in chunk))
            for clip, recognition in zip(chunk, recognitions, strict=True):
                if clip.asked.id not in done:
                    yield clip.asked.model_copy(update={"heard": recognition.text, "words": recognition.words})

    asked = [[clip.asked.model_dump(mode="json"), clip.content] for clip in clips]
    full = digest([*signature, asked])

    def shown(done: frozenset[str]) -> Iterator[Hypothesis]:
        return progress(recognized(done), f"recognize {path.stem}", total=len(clips), done=len(done))

    once(path, shown, signature=full)
    return list(files.read(path, Hypothesis))


def _chunks(clips: Sequence[Clip]) -> Iterator[list[Clip]]:
    chunk: list[Clip] = []
    for clip in clips:
        chunk_s = sum(member.asked.duration_s for member in chunk)
        is_full = len(chunk) == CHUNK or chunk_s + clip.asked.duration_s > CHUNK_S
        if chunk and is_full:
            yield chunk
            chunk = []
        chunk.append(clip)
    if chunk:
        yield chunk


def _times(path: Path) -> Path:
    return path.with_suffix(".seconds.json")


def _add_time(path: Path, *, seconds: float, audio_s: float) -> None:
    held = {"seconds": 0.0, "audio_s": 0.0}
    if _times(path).is_file():
        held = json.loads(_times(path).read_text())
    total = {"seconds": round(held["seconds"] + seconds, 6), "audio_s": round(held["audio_s"] + audio_s, 3)}
    files.write_text(_times(path), json.dumps(total) + "\n")


def measured_speed(path: Path) -> float | None:
    """Audio seconds recognised per second, loading of the model and of the audio left out."""
    seconds, audio_s = measured_time(path)
    return round(audio_s / seconds, 2) if seconds else None


def measured_time(path: Path) -> tuple[float, float]:
    """Seconds that recognition took, and seconds of audio; loading of the model and of the audio left out."""
    if not _times(path).is_file():
        return 0.0, 0.0
    held = json.loads(_times(path).read_text())
    return held["seconds"], held["audio_s"]
