"""Utterances of other people's test sets: rows of NeMo manifests, of CSV, and of integrations, read and checked."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from os.path import isfile  # Path.is_file raises where a name is too long
from pathlib import Path
from typing import Any, NamedTuple

from shoptalk.core import files, tables
from shoptalk.core.errors import ImportFormatError
from shoptalk.core.records import Samples

Row = tuple[str, Mapping[str, Any]]
"""Where it stands, for messages, and its columns: those of `NAMES`, ``recording``, ``words``, ``patient``, ``skip``,
``files`` (those that a callable audio reads)."""
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
"""What columns are called, the first that is filled being taken. `duration` (s) without an `offset` (s) is the length
that the recording must have at least."""
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
    """From the offset; None: to the end. Without an offset: the recording is at least so long."""
    recording: str
    skip: str
    """Why it cannot be scored; empty where it can."""
    more: Mapping[str, Any]
    """Speaker, accent, context, words and patient, as in `Example`."""
    files: tuple[Path, ...] = ()
    """What `audio` reads, if it is to be called."""


def nemo_rows(path: Path) -> Iterator[Row]:
    """The lines of a NeMo manifest."""
    for number, row in files.read_objects(path):
        yield f"{path}:{number}", row


def csv_rows(path: Path) -> Iterator[Row]:
    """The rows of a table with a header, parted by commas, semicolons or tabs."""
    problems: list[str] = []
    rows = list(tables.read_table(path, problems))
    if problems:
        raise ImportFormatError(_listed(problems))
    for number, row in rows:
        yield f"{path}:{number}", row


def checked(rows: Iterable[Row], folder: Path) -> list[Source]:
    """All rows read, or an `ImportFormatError` that names the bad ones by line; paths are relative to `folder`."""
    by_id: dict[str, Source] = {}
    problems: list[str] = []
    for row in rows:
        try:
            source = read(row, folder)
        except ImportFormatError as error:
            problems.append(str(error))
            continue
        if source.id in by_id:
            problems.append(f"{source.where}: {twice(source.id, by_id[source.id].where)}")
        by_id[source.id] = source
    if problems:
        raise ImportFormatError(_listed(problems))
    return list(by_id.values())


def _listed(problems: list[str]) -> str:
    lines = [f"{len(problems)} bad rows:", *problems[:SHOWN]]
    if len(problems) > SHOWN:
        lines.append(f"… and {len(problems) - SHOWN} more")
    return "\n".join(lines)


def twice(name: str, where: str) -> str:
    return f"the id {name!r} is that of {where} too; make ids unique, or remove the column"


def read(row: Row, folder: Path) -> Source:
    """One row; `ImportFormatError` names it and what it lacks."""
    where, columns = row
    audio = _named(columns, "audio")
    if audio is None:
        raise ImportFormatError(f"{where}: names no audio; fill one of the columns {', '.join(NAMES['audio'])}")
    if not (isinstance(audio, str | Path | bytes) or callable(audio)):
        raise ImportFormatError(f"{where}: the audio is {_short(audio)}; give the path of a recording")
    for kind in ("id", "text"):
        value = _named(columns, kind)
        if isinstance(value, bool | list | dict):
            raise ImportFormatError(f"{where}: the {kind} is {_short(value)}; give a text")
    if not any(name in columns for name in NAMES["text"]):
        raise ImportFormatError(f"{where}: has no text; add one of the columns {', '.join(NAMES['text'])}")
    offset_s = _seconds(columns, "offset", where)
    duration_s = _seconds(columns, "duration", where)
    stem = ""
    if isinstance(audio, str | Path):
        stem = (Path(audio).parent / Path(audio).stem).as_posix()
        audio = _beside(folder, audio)
    is_segment = offset_s is not None
    text = _text(columns, "text").strip()
    is_unscored = not text or "_".join(text.lower().strip("<>").split()) == UNSCORED
    more: dict[str, Any] = {kind: _text(columns, kind) for kind in ("speaker", "accent", "context")}
    more["words"] = _words(columns.get("words") or (), where)
    more["patient"] = bool(columns.get("patient"))
    return Source(
        id=_text(columns, "id") or (f"{stem}-{offset_s:g}" if is_segment else stem),
        where=where,
        text=text,
        audio=audio,
        offset_s=offset_s,
        duration_s=duration_s,
        recording=str(columns.get("recording") or (stem if is_segment else "")),
        skip=str(columns.get("skip") or ("nothing is said" if is_unscored else "")),
        more=more,
        files=tuple(columns.get("files") or ()),
    )


def _short(value: object) -> str:
    return f"{value!r:.60}"


def _named(columns: Mapping[str, Any], kind: str) -> Any:
    for name in NAMES[kind]:
        if columns.get(name) not in (None, ""):
            return columns[name]
    return None


def _text(columns: Mapping[str, Any], kind: str) -> str:
    value = _named(columns, kind)
    return "" if value is None else str(value)


def _seconds(columns: Mapping[str, Any], kind: str, where: str) -> float | None:
    value = _named(columns, kind)
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        raise ImportFormatError(f"{where}: {kind} is {_short(value)}; give seconds") from None


def _words(words: Iterable[Any], where: str) -> tuple[tuple[str, float, float], ...]:
    try:
        return tuple((str(word), round(float(start), 4), round(float(end), 4)) for word, start, end in words)
    except (TypeError, ValueError):
        raise ImportFormatError(
            f"{where}: `words` is no list of [word, start_s, end_s]; correct or remove it"
        ) from None


def _beside(folder: Path, audio: str | Path) -> Path:
    """A path relative to the manifest, or else to the working folder."""
    beside = folder / audio
    if not isfile(beside) and isfile(audio):
        return Path(audio)
    return beside
