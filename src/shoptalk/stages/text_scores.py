"""`shoptalk score`: transcripts and references read from folders and tables, paired by id, and scored."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from shoptalk.core import files
from shoptalk.core.errors import ImportFormatError, ManifestError, ScoringError
from shoptalk.core.recipe import EvaluateSection
from shoptalk.core.tables import read_text
from shoptalk.core.text import Rules
from shoptalk.corpus import lexicon
from shoptalk.scoring import equal_words, transcripts
from shoptalk.scoring.equal_words import EqualWords
from shoptalk.scoring.transcripts import Texts, TextScores, Wishes
from shoptalk.stages import timed_texts
from shoptalk.stages.timed_texts import Piece
from shoptalk.testsets.sources import NAMES, Row, csv_rows

TEXT_COLUMNS = (*NAMES["text"], "heard", "hypothesis", "pred_text")
ID_COLUMNS = (*NAMES["id"], *NAMES["audio"])
CLUSTER_COLUMNS = ("cluster", "consultation", *NAMES["speaker"])
"""What columns are called, the first that is filled being taken."""
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
        terms=terms,
        term_tables=[read_equal(asked.equal, "clinical"), read_equal(asked.equal_terms, "clinical")],
        as_listed=bool(asked.equal_terms),
    )
    texts, left_out = _texts(asked)
    scores = transcripts.score(texts, wishes, EvaluateSection(), seed=asked.seed)
    return scores.model_copy(update={"left_out": (*left_out, *scores.left_out)})


def _texts(asked: Asked) -> tuple[list[Texts], list[str]]:
    """What is scored, and what is not, a sentence each: by segment where all sides have times, else as wholes."""
    paths = (asked.reference, *asked.transcripts)
    if all(timed_texts.is_timed(path) for path in paths):
        reference, *sides = (timed_texts.read(path) for path in paths)
        if timed_texts.can_segment(reference, sides):
            return _segments(asked, reference, sides)
    reference_texts, *side_texts = (read(path) for path in paths)
    return pair(reference_texts, side_texts, common=asked.common, leave_out=asked.leave_out)


def _segments(
    asked: Asked, reference: Sequence[Piece], sides: Sequence[Sequence[Piece]]
) -> tuple[list[Texts], list[str]]:
    """The segments of the recordings that all sides have; a segment may be left out as a recording may."""
    recordings = [{piece.recording: Entry("", "") for piece in pieces} for pieces in (reference, *sides)]
    segments = {timed_texts.segment_id(piece) for piece in reference}
    whole = [name for name in asked.leave_out if name not in segments]
    paired, left_out = pair(recordings[0], recordings[1:], common=asked.common, leave_out=whole)
    names = [text.id for text in paired]
    segmented = timed_texts.by_segment(reference, sides, recordings=names, leave_out=asked.leave_out)
    return segmented.texts, [*left_out, *segmented.left_out]


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
        whole = timed_texts.joined(timed_texts.read(path), path)
        return {name: Entry(text, "") for name, text in whole.items()}
    raise ManifestError(f"{path}: texts are read from a folder of .txt files, or from .jsonl, .csv, .tsv, .stm or .ctm")


def _folder(folder: Path) -> dict[str, Entry]:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".txt")
    entries = {path.stem: Entry(read_text(path), "") for path in paths}
    if not entries:
        raise ManifestError(f"{folder}: has no .txt files; each text is a file, and its name is the id")
    if len(entries) < len(paths):
        raise ManifestError(
            f"{folder}: has {len(paths)} .txt files for {len(entries)} ids; rename those that are alike"
        )
    return entries


def _rows(rows: Iterable[Row]) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for where, columns in rows:
        try:
            name, text, cluster = _name(columns), _first(columns, TEXT_COLUMNS), _first(columns, CLUSTER_COLUMNS)
        except ValueError as error:
            raise ImportFormatError(f"{where}: {error}") from None
        if name is None:
            raise ImportFormatError(f"{where}: has no id; fill one of the columns {', '.join(ID_COLUMNS)}")
        if text is None and not any(column in columns for column in TEXT_COLUMNS):
            raise ImportFormatError(f"{where}: has no text; add one of the columns {', '.join(TEXT_COLUMNS)}")
        if name in entries:
            raise ImportFormatError(f"{where}: the id {name!r} occurs twice; make ids unique")
        entries[name] = Entry(text or "", cluster or "")
    return entries


def _name(columns: Mapping[str, object]) -> str | None:
    """The id of a row; a segment without one is called by its recording and its start, as in our manifests."""
    name = _first(columns, NAMES["id"])
    audio = _first(columns, NAMES["audio"])
    offset = _first(columns, NAMES["offset"])
    return name or (f"{audio}@{offset}" if audio and offset else audio)


def _first(columns: Mapping[str, object], names: Sequence[str]) -> str | None:
    """The first column that is filled; `ValueError` if it holds no text."""
    for name in names:
        value = columns.get(name)
        if isinstance(value, bool | list | dict):
            raise ValueError(f"{name} is {value!r:.60}; give a text")
        if value not in (None, ""):
            return str(value)
    return None


def pair(
    references: Mapping[str, Entry],
    sides: Sequence[Mapping[str, Entry]],
    *,
    common: bool = False,
    leave_out: Sequence[str] = (),
) -> tuple[list[Texts], list[str]]:
    """References and transcripts by id, and what is left out of them, a sentence each.

    `ScoringError` lists the ids that one side lacks, unless `common` is asked.
    """
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
            problems.append(f"transcripts {number} have {_some(odd)} beyond the references")
    if problems and not common:
        raise ScoringError(f"ids do not pair: {'; '.join(problems)}; `--common` scores those that all sides have")
    texts: list[Texts] = []
    for name in wanted:
        if all(name in side for side in sides):
            entry = references[name]
            texts.append(Texts(name, entry.cluster or name, entry.text, tuple(side[name].text for side in sides)))
    if not texts:
        raise ScoringError("no id stands on all sides; name the texts alike (a file's name without .txt is its id)")
    return texts, [f"--common: {problem}, which are left out" for problem in problems]


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
