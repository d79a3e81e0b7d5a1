"""`shoptalk score`: transcripts and references read from folders and tables, paired by id, and scored."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from shoptalk.core import files
from shoptalk.core.errors import ImportFormatError, ManifestError, ScoringError
from shoptalk.core.recipe import EvaluateSection
from shoptalk.core.text import Rules
from shoptalk.corpus import lexicon
from shoptalk.scoring import equal_words, transcripts
from shoptalk.scoring.equal_words import EqualWords
from shoptalk.scoring.transcripts import Texts, TextScores, Wishes
from shoptalk.testsets.sources import NAMES, Row, csv_rows

TEXT_COLUMNS = (*NAMES["text"], "heard", "hypothesis", "pred_text")
ID_COLUMNS = (*NAMES["id"], *NAMES["audio"])
CLUSTER_COLUMNS = ("cluster", "consultation", *NAMES["speaker"])
"""What columns are called, the first that is filled being taken."""
STM, CTM = "FILE CHANNEL SPEAKER START END [<LABEL>] TEXT", "FILE CHANNEL START LENGTH WORD"
SHOWN = 10


class Entry(NamedTuple):
    """A transcript or a reference."""

    text: str
    cluster: str
    """Empty where the file does not say."""


@dataclass(frozen=True)
class Asked:
    """What a user asks for."""

    reference: Path
    transcripts: tuple[Path, ...]
    """One, or two to be compared."""
    lexicon: tuple[Path, ...] = ()
    equal: tuple[Path, ...] = ()
    equal_terms: tuple[Path, ...] = ()
    rules: Rules = "leaderboard"
    common: bool = False
    """Score what all sides have, instead of refusing where one lacks a text."""
    leave_out: tuple[str, ...] = ()
    seed: int = 7


def score(asked: Asked) -> TextScores:
    """Read everything and score it; a `ShoptalkError` names file, line and cure."""
    terms = lexicon.load(asked.lexicon) if asked.lexicon else []
    wishes = Wishes(
        rules=asked.rules,
        equal=read_equal(asked.equal, asked.rules) if asked.equal else None,
        equal_terms=read_equal(asked.equal_terms, asked.rules),
        terms=terms,
    )
    sides = [read(path) for path in asked.transcripts]
    texts = pair(read(asked.reference), sides, common=asked.common, leave_out=asked.leave_out)
    return transcripts.score(texts, wishes, EvaluateSection(), seed=asked.seed)


def read(path: Path) -> dict[str, Entry]:
    """Texts by id: a folder of .txt files, JSON Lines, a table with a header (.csv, .tsv), .stm or .ctm."""
    if path.is_dir():
        return _folder(path)
    kind = path.suffix.lower()
    if not path.exists():
        raise ManifestError(f"{path}: no such file or folder; give one that is there")
    if kind in (".jsonl", ".json"):
        return _rows((f"{path}:{number}", row) for number, row in files.read_objects(path))
    if kind in (".csv", ".tsv"):
        return _rows(csv_rows(path))
    if kind in (".stm", ".ctm"):
        return _timed(path, _stm_line if kind == ".stm" else _ctm_line)
    raise ManifestError(f"{path}: texts are read from a folder of .txt files, or from .jsonl, .csv, .tsv, .stm or .ctm")


def _folder(folder: Path) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for path in sorted(folder.glob("*.txt")):
        try:
            entries[path.stem] = Entry(path.read_text(encoding="utf-8-sig"), "")
        except UnicodeDecodeError as error:
            raise ManifestError(f"{path}: not in UTF-8 ({error.reason}); save it as such") from None
    if not entries:
        raise ManifestError(f"{folder}: has no .txt files; each text is a file, and its name is the id")
    return entries


def _rows(rows: Iterable[Row]) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for where, columns in rows:
        name = _first(columns, ID_COLUMNS)
        if name is None:
            raise ImportFormatError(f"{where}: has no id; fill one of the columns {', '.join(ID_COLUMNS)}")
        text = _first(columns, TEXT_COLUMNS)
        if text is None and not any(column in columns for column in TEXT_COLUMNS):
            raise ImportFormatError(f"{where}: has no text; add one of the columns {', '.join(TEXT_COLUMNS)}")
        if name in entries:
            raise ImportFormatError(f"{where}: the id {name!r} occurs twice; make ids unique")
        entries[name] = Entry(text or "", _first(columns, CLUSTER_COLUMNS) or "")
    return entries


def _first(columns: Mapping[str, object], names: Sequence[str]) -> str | None:
    for name in names:
        if columns.get(name) not in (None, ""):
            return str(columns[name])
    return None


class _Timed(NamedTuple):
    """A piece of a recording."""

    name: str
    start_s: float
    text: str


def _timed(path: Path, parse: Callable[[str], _Timed]) -> dict[str, Entry]:
    """The pieces of each recording and channel in the order of time, as one text."""
    pieces: dict[str, list[_Timed]] = {}
    for number, line in files.numbered_lines(path):
        if line.startswith(";;"):
            continue
        try:
            piece = parse(line)
        except (ValueError, IndexError):
            form = STM if parse is _stm_line else CTM
            raise ImportFormatError(f"{path}:{number}: is no line of the form `{form}`; correct it") from None
        if "ignore_time_segment_in_scoring" in piece.text.lower():
            raise ImportFormatError(f"{path}:{number}: a segment cannot be left out; remove it on both sides")
        pieces.setdefault(piece.name, []).append(piece)
    entries: dict[str, Entry] = {}
    for name, own in pieces.items():
        own.sort(key=lambda piece: piece.start_s)
        entries[name] = Entry(" ".join(piece.text for piece in own), "")
    return entries


def _stm_line(line: str) -> _Timed:
    recording, channel, _, start, end, *rest = line.split(maxsplit=5)
    float(end)
    text = re.sub(r"^<[^>]*>\s*", "", rest[0] if rest else "")
    return _Timed(f"{recording}-{channel}", float(start), text)


def _ctm_line(line: str) -> _Timed:
    recording, channel, start, length, word, *_ = line.split()
    float(length)
    return _Timed(f"{recording}-{channel}", float(start), word)


def pair(
    references: Mapping[str, Entry],
    sides: Sequence[Mapping[str, Entry]],
    *,
    common: bool = False,
    leave_out: Sequence[str] = (),
) -> list[Texts]:
    """References and transcripts by id; `ScoringError` lists the ids that one side lacks, unless `common` is asked."""
    unknown = sorted(set(leave_out) - references.keys())
    if unknown:
        raise ScoringError(f"no reference has the id {_some(unknown)}, which is to be left out; correct it")
    wanted = [name for name in references if name not in leave_out]
    problems: list[str] = []
    for number, side in enumerate(sides, start=1):
        lacking = [name for name in wanted if name not in side]
        if lacking:
            problems.append(f"transcripts {number} lack {_some(lacking)}")
        odd = [name for name in side if name not in references]
        if odd:
            problems.append(f"transcripts {number} have {_some(odd)}, which no reference has")
    if problems and not common:
        raise ScoringError(f"ids do not pair: {'; '.join(problems)}; `--common` scores those that all sides have")
    texts: list[Texts] = []
    for name in wanted:
        if all(name in side for side in sides):
            entry = references[name]
            texts.append(Texts(name, entry.cluster or name, entry.text, tuple(side[name].text for side in sides)))
    if not texts:
        raise ScoringError("no id stands on all sides; name the texts alike (a file's name without .txt is its id)")
    return texts


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:SHOWN]) + (f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else "")


def read_equal(paths: Sequence[Path], rules: Rules) -> EqualWords:
    """Tables with the columns ``written``, ``counts_as`` and, if wanted, ``side`` (both, reference), as one."""
    rows: list[equal_words.Row] = []
    for path in paths:
        if not path.is_file():
            raise ScoringError(f"{path}: no such file; give a table with the columns written,counts_as")
        for where, columns in csv_rows(path):
            written, counts_as = columns.get("written"), columns.get("counts_as")
            if not written or not counts_as:
                raise ScoringError(f"{where}: a row needs the columns written and counts_as; fill both")
            named = columns.get("side") or "both"
            if named not in ("both", "reference"):
                raise ScoringError(f"{where}: side is {named!r}; write both or reference")
            side: equal_words.Side = "reference" if named == "reference" else "both"
            rows.append(equal_words.Row(where, written, counts_as, side))
    return equal_words.build(rows, rules)
