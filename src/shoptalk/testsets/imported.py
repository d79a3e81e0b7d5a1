"""Writing an imported test set: manifest, audio and a note of what it is."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from shoptalk.core import examples, files, recordings
from shoptalk.core.audio import SAMPLE_RATE_HZ, read_and_warn, write_flac
from shoptalk.core.errors import AudioError, ImportFormatError, LeakError
from shoptalk.core.files import file_digest
from shoptalk.core.records import Example, Samples
from shoptalk.testsets.sources import Source, twice

SHORTEST_S = 0.1


class Request(NamedTuple):
    """What is to be written where; `signature` tells a partial import of the same from another."""

    name: str
    folder: Path
    format: str
    licence: str
    origin: str
    evaluation_only: bool
    patients: bool
    signature: str


def write(
    sources: Iterable[Source], request: Request, *, progress: Callable[[Iterable[Example], int], Iterable[Example]]
) -> dict[str, Any]:
    """Write NAME.jsonl, the audio below NAME/ and NAME.about.json, and return what the last says.

    An interrupted import is taken up again by id. What cannot be scored is skipped, and named with the reason in
    NAME.about.json; `ImportFormatError` if nothing else is there. `progress` gets the lines and how many there were.
    """
    path = request.folder / f"{request.name}.jsonl"
    skipped: list[dict[str, str]] = []

    def lines(done: frozenset[str]) -> Iterable[Example]:
        return progress(_lines(sources, request, done, skipped), len(done))

    examples.write_resumed(path, lines, signature=request.signature)
    about = _about(path, request, skipped)
    files.write_text(about_path(path), json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    return about


def about_path(path: Path) -> Path:
    return path.with_suffix(".about.json")


def require_trainable(path: Path) -> None:
    """`LeakError` for a manifest that was imported under a licence by which it may be scored, never trained on."""
    about = about_path(path)
    if about.is_file() and json.loads(about.read_text(encoding="utf-8"))["evaluation_only"]:
        raise LeakError(f"{path}: may be scored, never trained on, by its licence ({about}); train on something else")


def _lines(
    sources: Iterable[Source], request: Request, done: frozenset[str], skipped: list[dict[str, str]]
) -> Iterator[Example]:
    seen: dict[str, str] = {}
    for source in sources:
        if source.id in seen:
            raise ImportFormatError(f"{source.where}: {twice(source.id, seen[source.id])}")
        seen[source.id] = source.where
        if source.id in done:
            continue
        try:
            yield _line(source, request)
        except _Skip as reason:
            skipped.append({"id": source.id, "where": source.where, "reason": str(reason)})
    if len(skipped) == len(seen):
        first = "; give a source that has some"
        if skipped:
            first = f"; the first is {skipped[0]['where']}: {skipped[0]['reason']}; correct or replace them"
        raise ImportFormatError(f"{request.name}: none of {len(seen)} utterances can be scored{first}")


class _Skip(Exception):
    """An utterance cannot be scored; the message says why."""


def _line(source: Source, request: Request) -> Example:
    if source.skip:
        raise _Skip(source.skip)
    samples_T = _samples(source)
    target = request.folder / request.name / f"{_file_name(source.id)}.flac"
    write_flac(target, samples_T)
    more = {**source.more, "patient": request.patients or source.more["patient"]}
    return Example(
        id=source.id,
        audio=target,
        duration_s=round(samples_T.size / SAMPLE_RATE_HZ, 4),
        text=source.text,
        set=request.name,
        voice=more["speaker"],
        cluster=more["speaker"] or source.recording or source.id,
        **more,
    )


def _samples(source: Source) -> Samples:
    try:
        samples_T = _whole(source)
        if source.offset_s is not None:
            samples_T = recordings.segment(samples_T, source.offset_s, source.duration_s)
    except (AudioError, ImportFormatError) as error:
        raise _Skip(str(error)) from None
    if samples_T.size < SHORTEST_S * SAMPLE_RATE_HZ:
        raise _Skip(f"is shorter than {SHORTEST_S:g} s")
    length_s = samples_T.size / SAMPLE_RATE_HZ
    if source.offset_s is None and length_s < (source.duration_s or 0.0) - recordings.PAST_END_S:
        raise _Skip(f"has {length_s:.2f} s of audio where its row says {source.duration_s:.2f} s")
    return samples_T


def _whole(source: Source) -> Samples:
    """The recording that an utterance is in; skipped if it cannot be decoded whole."""
    if callable(source.audio):
        return source.audio()
    decoded = recordings.decode_kept(source.audio) if isinstance(source.audio, Path) else read_and_warn(source.audio)
    if decoded.lost_s > recordings.PAST_END_S:
        raise _Skip(f"{decoded.lost_s:.2f} s of its recording could not be decoded")
    return decoded.samples_T


def _file_name(name: str) -> str:
    """The id where that is a plain file name; else made plain, with a digest that keeps it unique."""
    plain = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip(".-")[:80]
    if plain == name:
        return plain
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{plain}-{digest}"


def _about(path: Path, request: Request, skipped: list[dict[str, str]]) -> dict[str, Any]:
    lines = examples.read_manifest(path)
    audio = hashlib.sha256()
    for line in lines:
        audio.update(f"{file_digest(line.audio)}  {examples.name_below(line.audio, path.parent)}\n".encode())
    return {
        "name": request.name,
        "licence": request.licence,
        "origin": request.origin,
        "format": request.format,
        "evaluation_only": request.evaluation_only,
        "patients": any(line.patient for line in lines),
        "utterances": len(lines),
        "minutes": round(sum(line.duration_s for line in lines) / 60, 2),
        "speakers": len({line.speaker for line in lines if line.speaker}),
        "sha256": {"manifest": file_digest(path), "audio": audio.hexdigest()},
        "skipped": skipped,
        "signature": request.signature,
    }
