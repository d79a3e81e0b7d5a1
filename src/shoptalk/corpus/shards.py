"""A dataset as shards, which training reads front to back: tar files of recordings, each with a manifest of its own.

The shards of a list have as many examples, but for one, and each is a fair draw of the list: examples are dealt by the
sha256 of their id. The same list always gives the same bytes.

Forms: ``tar`` is NeMo's (``audio_0.tar``, ``sharded_manifests/manifest_0.json``, ``tarred_audio_manifest.json``), whose
tar files webdataset reads, too. ``shar`` is Lhotse Shar (``cuts.000000.jsonl.gz``, ``recording.000000.tar``).
"""

import gzip
import hashlib
import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from shoptalk.core.audio import SAMPLE_RATE_HZ, flac
from shoptalk.core.errors import ManifestError
from shoptalk.core.examples import row_of
from shoptalk.core.recordings import FEATURES, load
from shoptalk.core.records import Example

SHARDS_VERSION = 1
"""Raise it when the same list would now give other bytes."""

Form = Literal["tar", "shar"]
FORMS: tuple[Form, ...] = ("tar", "shar")


class Recorded(NamedTuple):
    """An example with its sound."""

    name: str
    """In the tar file, without ending; no dot in it, at which webdataset would end the name."""
    example: Example
    flac: bytes
    samples: int


Described = Callable[[Recorded], tuple[dict[str, Any], dict[str, Any]]]
"""What Lhotse says of an example: its cut and its recording, both without the sound."""


class File(NamedTuple):
    name: str
    content: bytes


@dataclass(frozen=True)
class Shard:
    """Some examples of a list, and their place among its shards."""

    number: int
    examples: Sequence[Example]

    def names(self, form: Form) -> tuple[str, str]:
        """Of its tar file and of its manifest."""
        if form == "tar":
            return f"audio_{self.number}.tar", f"sharded_manifests/manifest_{self.number}.json"
        return f"recording.{self.number:06d}.tar", f"cuts.{self.number:06d}.jsonl.gz"


def dealt(examples: Sequence[Example], most: int) -> list[Shard]:
    """A list as shards of at most so many examples; `ManifestError` for ids that are there twice."""
    twice = [name for name, count in Counter(example.id for example in examples).items() if count > 1]
    if twice:
        raise ManifestError(f"{len(twice)} ids are there twice ({', '.join(twice[:5])}); each example needs its own")
    ranked = sorted(examples, key=lambda example: _sha256(example.id))
    count = -(-len(ranked) // most)
    return [Shard(number, ranked[number::count]) for number in range(count)]


def made(shard: Shard, form: Form, described: Described) -> Iterator[File]:
    """The files of a shard: the tar file, then its manifest. `AudioError`, `ManifestError`: of a recording."""
    recorded = [_recorded(example) for example in shard.examples]
    tar_name, manifest_name = shard.names(form)
    members: list[File] = []
    lines: list[dict[str, Any]] = []
    for item in recorded:
        members.append(File(f"{item.name}.flac", item.flac))
        if form == "shar":
            cut, recording = described(item)
            members.append(File(f"{item.name}.json", _json(recording).encode()))
            lines.append(cut)
    if form == "tar":
        lines = nemo_lines(shard)
    text = "".join(f"{_json(line)}\n" for line in lines).encode()
    yield File(tar_name, _tar(members))
    yield File(manifest_name, gzip.compress(text, mtime=0) if form == "shar" else text)


def whole_manifest(shards: Sequence[Shard]) -> File:
    """NeMo's manifest of all shards of a list."""
    lines = [f"{_json(line)}\n" for shard in shards for line in nemo_lines(shard)]
    return File("tarred_audio_manifest.json", "".join(lines).encode())


def nemo_lines(shard: Shard) -> list[dict[str, Any]]:
    """The lines of a shard: `audio_filepath` names its place in the tar file, `shard_id` the tar file."""
    lines = []
    for example in shard.examples:
        whole = example.model_copy(update={"offset_s": None})
        lines.append({**row_of(whole, f"{_name(example)}.flac"), "shard_id": shard.number})
    return lines


def _recorded(example: Example) -> Recorded:
    import soundfile

    if example.audio.suffix == FEATURES:
        raise ManifestError(f"{example.id}: {example.audio} holds features; shards hold recordings")
    content = _as_it_is(example)
    if content is None:
        content = flac(load(example))
    return Recorded(_name(example), example, content, int(soundfile.info(io.BytesIO(content)).frames))


def _as_it_is(example: Example) -> bytes | None:
    """The bytes of a recording that is what shards hold: mono FLAC at 16 kHz, and no segment of a longer one."""
    import soundfile

    if example.offset_s is not None or example.audio.suffix != ".flac" or not example.audio.is_file():
        return None
    content = example.audio.read_bytes()
    try:
        form = soundfile.info(io.BytesIO(content))
    except soundfile.LibsndfileError:
        return None
    is_fit = (form.format, form.samplerate, form.channels) == ("FLAC", SAMPLE_RATE_HZ, 1)
    return content if is_fit else None


def _name(example: Example) -> str:
    readable = re.sub(r"[^\w-]+", "_", example.id, flags=re.ASCII)[:80]
    return f"{readable}-{_sha256(example.id)[:8]}"


def _tar(members: Sequence[File]) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for member in members:
            entry = tarfile.TarInfo(member.name)  # its time is 0, its owner nobody
            entry.size = len(member.content)
            tar.addfile(entry, io.BytesIO(member.content))
    return held.getvalue()


def _json(content: object) -> str:
    return json.dumps(content, ensure_ascii=False)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
