"""`shoptalk import`: a test set of others brought into manifests and audio of ours."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple

from shoptalk.core.errors import ImportFormatError
from shoptalk.core.files import digest, file_state
from shoptalk.core.progress import progress
from shoptalk.core.quiet import quiet
from shoptalk.core.recordings import digest_of
from shoptalk.core.records import Example
from shoptalk.testsets import imported, primock57, sources
from shoptalk.testsets.catalogue import OWN_SETS, Hub, KnownSet, evaluation_only, known_sets
from shoptalk.testsets.sources import Row, Source

IMPORT_VERSION = 3
"""Part of the signature; raise it when the same source would now give another manifest."""


class Opened(NamedTuple):
    """Rows, and the folder that their paths are relative to."""

    rows: Iterable[Row]
    folder: Path
    checked_first: bool = True
    """Whether all rows are read before any audio is: not where rows bring their audio along."""


class Asked(NamedTuple):
    """What a user asks for; empty texts: not said."""

    format: str
    """One of `READERS`."""
    source: str
    folder: Path
    name: str = ""
    licence: str = ""
    origin: str = ""
    patients: bool = False
    limit: int | None = None
    replace: bool = False
    """Whether another import that is there by this name makes way."""


def bring(asked: Asked) -> tuple[Path, dict[str, Any] | None]:
    """Import what is asked for: the manifest's path, and what NAME.about.json says; None if it is there already."""
    request = _request(asked)
    path = request.folder / f"{request.name}.jsonl"
    with quiet():
        opened = READERS[asked.format](asked.source)
        utterances: Iterable[Source] = _sources(opened, asked.limit)
        total = asked.limit
        if opened.checked_first:
            utterances = list(utterances)
            total = len(utterances)
            content: list[object] = [_content(source) for source in utterances]
        else:
            content = _content_of_files(Path(asked.source))
        request = request._replace(signature=digest([request.signature, content]))
        if asked.replace:
            _make_way(path, request.signature)
        if _is_current(path, request.signature):
            return path, None

        def shown(lines: Iterable[Example], done: int) -> Iterator[Example]:
            return progress(lines, request.name, total=total, done=done)

        return path, imported.write(utterances, request, progress=shown)


def _sources(opened: Opened, limit: int | None) -> Iterator[Source]:
    if opened.checked_first:
        return islice(sources.checked(opened.rows, opened.folder), limit)
    return (sources.read(row, opened.folder) for row in islice(opened.rows, limit))


def _request(asked: Asked) -> imported.Request:
    """What is to be written; its signature does not have the content of the source yet."""
    if asked.limit is not None and asked.limit < 1:
        raise ImportFormatError(f"--limit {asked.limit}: give 1 or more")
    known = _known(asked)
    stem = Path(asked.source.partition(":")[0]).name.removesuffix(".gz")
    name = asked.name or {"open-asr": asked.source, "primock57": "primock57"}.get(asked.format, Path(stem).stem)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or name in OWN_SETS:
        raise ImportFormatError(f"{name!r} cannot be a name (or is that of a set of ours); give another with --name")
    licence = asked.licence or (known.licence if known else "")
    if not licence:
        raise ImportFormatError(f"{asked.source}: under which licence? Give its SPDX id with --licence")
    wanted = [asked.format, asked.source, name, licence, asked.origin, asked.patients, asked.limit]
    return imported.Request(
        name=name,
        folder=asked.folder,
        format=asked.format,
        licence=licence,
        origin=asked.origin or (known.page if known else ""),
        evaluation_only=evaluation_only(licence) or (known is not None and known.use == "evaluation"),
        patients=asked.patients,
        signature=digest([IMPORT_VERSION, *wanted]),
    )


def _known(asked: Asked) -> KnownSet | None:
    """The entry of the catalogue: of an open-asr set, of PriMock57, of a hub name, or of the set's given name."""
    catalogue = known_sets()
    if asked.format == "open-asr":
        _hub(asked.source)
    names = {"open-asr": asked.source, "primock57": "primock57"}
    if known := catalogue.get(names.get(asked.format) or asked.name or ""):
        return known
    if asked.format == "hf":
        hub = _hub_name(asked.source)
        for entry in catalogue.values():
            if entry.hub == hub:
                return entry
    return None


def _content(source: Source) -> list[object]:
    """What is written of an utterance: its columns, and the bytes of its audio."""
    columns = [source.id, source.text, source.offset_s, source.duration_s, source.recording, source.skip, source.more]
    if isinstance(source.audio, bytes):
        return [*columns, sha256(source.audio).hexdigest()]
    paths = [source.audio] if isinstance(source.audio, Path) else source.files
    return [*columns, [digest_of(path) for path in paths]]


def _content_of_files(path: Path) -> list[object]:
    """Names and bytes of the files of a source whose rows bring their audio along."""
    paths = sorted(path.rglob("[!.]*")) if path.is_dir() else [path]
    return [[str(file.relative_to(path)), digest_of(file)] for file in paths if file.is_file()]


def _make_way(path: Path, signature: str) -> None:
    """Remove an import of that name, with its audio, that was made from something else."""
    if path.exists() and not _carries(path, signature):
        imported.about_path(path).unlink(missing_ok=True)
        path.unlink()
        rmtree(path.with_suffix(""), ignore_errors=True)


def _carries(path: Path, signature: str) -> bool:
    try:
        return bool(json.loads(imported.about_path(path).read_text(encoding="utf-8"))["signature"] == signature)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _is_current(path: Path, signature: str) -> bool:
    """`ImportFormatError` if there is something else of that name, which is not overwritten."""
    if not path.exists():
        return False
    if not _carries(path, signature):
        raise ImportFormatError(
            f"{path}: is there, and is not this import as it would be now; remove it or give another --name"
        )
    return True


def content_digest(format_name: str, source: Path) -> str:
    """A digest of what the rows of a source say and of the bytes of their audio; for forms that are read whole first.

    Rows are read again only after a file of the source has changed.
    """
    paths = sorted(source.rglob("*")) if source.is_dir() else [source]
    states = tuple(file_state(path) for path in paths if path.is_file())
    return digest([_content(row) for row in _rows_of(format_name, str(source), states)])


@lru_cache(maxsize=8)
def _rows_of(format_name: str, source: str, states: tuple[tuple[int, ...], ...]) -> tuple[Source, ...]:
    opened = READERS[format_name](source)
    return tuple(sources.checked(opened.rows, opened.folder))


def _file(read: Callable[[Path], Iterable[Row]]) -> Callable[[str], Opened]:
    def opened(source: str) -> Opened:
        path = Path(source)
        if not path.is_file():
            raise ImportFormatError(f"{source}: no such file; give the manifest or table itself")
        return Opened(read(path), path.parent)

    return opened


def _kaldi(source: str) -> Opened:
    from shoptalk.integrations import lhotse

    return Opened(lhotse.kaldi_rows(Path(source)), Path(source))


def _lhotse(source: str) -> Opened:
    from shoptalk.integrations import lhotse

    path = Path(source)
    if not path.exists():
        raise ImportFormatError(f"{source}: no such file or folder; give a cuts file or a folder of manifests")
    return Opened(lhotse.rows(path), path.parent if path.is_file() else path)


def _hf(source: str) -> Opened:
    path = Path(source)
    hub = Hub(dataset=source) if path.exists() else _hub_name(source)
    return _of_hub(hub, path if path.is_dir() else path.parent)


def _hub_name(source: str) -> Hub:
    dataset, config, split = (*source.split(":", 2), "", "")[:3]
    return Hub(dataset=dataset, config=config or None, split=split or "test")


def _of_hub(hub: Hub, folder: Path) -> Opened:
    from shoptalk.integrations import hf_datasets

    return Opened(hf_datasets.rows(hub.dataset, config=hub.config, split=hub.split), folder, checked_first=False)


def _hub(name: str) -> Hub:
    known = known_sets().get(name)
    if known is None or known.hub is None:
        there = ", ".join(known_name for known_name, entry in known_sets().items() if entry.hub)
        raise ImportFormatError(f"{name!r} is no set of the leaderboard in the catalogue; there are {there}")
    return known.hub


READERS: Mapping[str, Callable[[str], Opened]] = {
    "nemo": _file(sources.nemo_rows),
    "csv": _file(sources.csv_rows),
    "kaldi": _kaldi,
    "lhotse": _lhotse,
    "hf": _hf,
    "primock57": lambda source: Opened(primock57.rows(Path(source)), Path(source)),
    "open-asr": lambda source: _of_hub(_hub(source), Path()),
}
