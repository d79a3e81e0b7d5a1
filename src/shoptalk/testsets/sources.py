"""Utterances of other people's test sets: rows of NeMo manifests, of CSV, and of integrations, read and checked."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from shoptalk.core import files, tables
from shoptalk.core.errors import ImportFormatError
from shoptalk.core.records import Samples

Row = tuple[str, Mapping[str, Any]]
"""Where it stands, for messages, and its columns: those of `NAMES`, ``recording``, ``words``, ``patient``, ``skip``."""
NAMES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "utt_id", "utterance_id", "segment_id", "row"),
    "audio": ("audio_filepath", "audio", "path", "file", "file_name", "filename", "wav"),
    "text": ("text", "transcript", "transcription", "sentence", "normalized_text", "reference"),
    "speaker": ("speaker", "speaker_id", "client_id", "voice"),
    "accent": ("accent", "accents", "dialect"),
    "context": ("context", "section"),
    "offset": ("offset",),
    "duration": ("duration",),
}
"""What columns are called, the first that is filled being taken. `duration` (s) counts only beside an `offset` (s)."""
SHOWN = 20
UNSCORED = "ignore_time_segment_in_scoring"
"""TED-LIUM's text for what is not transcribed."""


class Source(NamedTuple):
    """An utterance of someone else's set, its audio not read yet."""

    id: str
    where: str
    text: str
    audio: Path | bytes | Callable[[], Samples]
    offset_s: float | None
    """None: the whole recording."""
    duration_s: float | None
    """From the offset; None: to the end."""
    recording: str
    skip: str
    """Why it cannot be scored; empty where it can."""
    more: Mapping[str, Any]
    """Speaker, accent, context, words and patient, as in `Example`."""


def nemo_rows(path: Path) -> Iterator[Row]:
    """The lines of a NeMo manifest."""
    yield from ((f"{path}:{number}", row) for number, row in files.read_objects(path))


def csv_rows(path: Path) -> Iterator[Row]:
    """The rows of a table with a header, parted by commas, semicolons or tabs."""
    problems: list[str] = []
    rows = list(tables.read_table(path, problems))
    if problems:
        raise ImportFormatError(_listed(problems))
    yield from ((f"{path}:{number}", row) for number, row in rows)


def checked(rows: Iterable[Row], folder: Path) -> list[Source]:
    """All rows read, or one `ImportFormatError` that names the bad ones by line; paths are relative to `folder`."""
    found: dict[str, Source] = {}
    problems: list[str] = []
    for row in rows:
        try:
            source = read(row, folder)
        except ImportFormatError as error:
            problems.append(str(error))
            continue
        if source.id in found:
            problems.append(f"{source.where}: {twice(source.id, found[source.id].where)}")
        found[source.id] = source
    if problems:
        raise ImportFormatError(_listed(problems))
    return list(found.values())


def _listed(problems: list[str]) -> str:
    more = f"\n… and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return "\n".join([f"{len(problems)} bad rows:", *problems[:SHOWN]]) + more


def twice(name: str, where: str) -> str:
    return f"the id {name!r} is that of {where} too; make ids unique, or remove the column"


def read(row: Row, folder: Path) -> Source:
    """One row; `ImportFormatError` names it and what it lacks."""
    where, columns = row
    audio = _named(columns, "audio")
    if audio is None:
        raise ImportFormatError(f"{where}: names no audio; fill one of the columns {', '.join(NAMES['audio'])}")
    if not any(name in columns for name in NAMES["text"]):
        raise ImportFormatError(f"{where}: has no text; add one of the columns {', '.join(NAMES['text'])}")
    offset_s, duration_s = (_seconds(columns, kind, where) for kind in ("offset", "duration"))
    stem = Path(audio).with_suffix("").as_posix() if isinstance(audio, str | Path) else ""
    name = _text(columns, "id") or (stem if offset_s is None else f"{stem}-{offset_s:g}")
    text = _text(columns, "text").strip()
    unsaid = "nothing is said" if not text or "_".join(text.lower().strip("<>").split()) == UNSCORED else ""
    return Source(
        id=name,
        where=where,
        text=text,
        audio=_beside(folder, audio) if isinstance(audio, str | Path) else audio,
        offset_s=offset_s,
        duration_s=duration_s,
        recording=str(columns.get("recording") or (stem if offset_s is not None else "")),
        skip=str(columns.get("skip") or unsaid),
        more={kind: _text(columns, kind) for kind in ("speaker", "accent", "context")}
        | {"words": _words(columns.get("words") or (), where), "patient": bool(columns.get("patient"))},
    )


def _named(columns: Mapping[str, Any], kind: str) -> Any:
    return next((columns[name] for name in NAMES[kind] if columns.get(name) not in (None, "")), None)


def _text(columns: Mapping[str, Any], kind: str) -> str:
    value = _named(columns, kind)
    return "" if value is None else str(value)


def _seconds(columns: Mapping[str, Any], kind: str, where: str) -> float | None:
    value = _named(columns, kind)
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        raise ImportFormatError(f"{where}: {kind} is {value!r}; give seconds") from None


def _words(words: Iterable[Any], where: str) -> tuple[tuple[str, float, float], ...]:
    try:
        return tuple((str(word), round(float(start), 4), round(float(end), 4)) for word, start, end in words)
    except (TypeError, ValueError):
        raise ImportFormatError(
            f"{where}: `words` is no list of [word, start_s, end_s]; correct or remove it"
        ) from None


def _beside(folder: Path, audio: str | Path) -> Path:
    """A path relative to the manifest, or else to the working folder."""
    return Path(audio) if not (folder / audio).is_file() and Path(audio).is_file() else folder / audio
