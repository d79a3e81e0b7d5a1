"""Four short real recordings of the general set, and a manifest of them."""

from pathlib import Path

from shoptalk.core.examples import read_manifest, write_manifest
from shoptalk.core.records import Example

GENERAL = Path(__file__).parents[2] / "assets" / "general"


def entries() -> list[Example]:
    """The four shortest utterances of two seconds or more, real and synthetic."""
    return sorted((one for one in read_manifest(GENERAL / "rehearsal.jsonl") if one.duration_s >= 2), key=_size)[:4]


def _size(entry: Example) -> tuple[float, str]:
    return entry.duration_s, entry.id


def manifest(folder: Path) -> Path:
    """A NeMo manifest of them in `folder`."""
    path = folder / "four.jsonl"
    write_manifest(path, entries())
    return path
