"""Files of terms: rows of plain lists, tables, YAML and JSON Lines, and terms written so that they are read back."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from shoptalk.core import files, tables, yaml_text
from shoptalk.core.errors import LexiconError, TextError
from shoptalk.core.records import UNSORTED, Term

FACTS = ("dose", "route", "frequency", "value")
"""Columns of a table that become facts; YAML and JSONL may have any facts."""
COLUMNS = (
    *("id", "text", "category", "spoken", "ipa", "pronounced_by", "verified_by", "variants", "facts", "weight"),
    *("confused_with", "risk", "language", "taught"),
)
LISTS = ("spoken", "ipa", "variants", "confused_with", *FACTS)
"""Columns of a table with several values in a cell, parted by ``|``."""
KINDS = (".txt", ".csv", ".tsv", ".yaml", ".yml", ".jsonl")

_BULLET = re.compile(r"(?:[-*•–·]|\d{1,4}[.)])\s+")
"""What stands before a term in a list that was copied from a document."""

Row = tuple[str, dict[str, Any]]
"""Where the row stands (``file:row``), and its columns."""


# ---- reading


def rows(file: Path, problems: list[str]) -> Iterator[Row]:
    """The rows of a file by the ending of its name; what cannot be read is added to `problems`, with the cure."""
    readers = {
        ".txt": _list_rows,
        ".csv": _table_rows,
        ".tsv": _table_rows,
        ".yaml": _yaml_rows,
        ".yml": _yaml_rows,
        ".jsonl": _jsonl_rows,
    }
    reader = readers.get(file.suffix.lower())
    if reader is None:
        problems.append(f"{file}: a lexicon is a .txt, .csv, .tsv, .yaml or .jsonl file; save it as one of these")
    elif not file.is_file():
        problems.append(f"{file}: no such file; give one that is there")
    else:
        yield from reader(file, problems)


def slug(text: str) -> str:
    """The id that a term has if its row gives none."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _list_rows(file: Path, problems: list[str]) -> Iterator[Row]:
    """A plain list: a term on each line. Blank lines, lines that begin with #, and bullets are left out."""
    try:
        text = tables.read_text(file)
    except TextError as error:
        problems.append(str(error))
        return
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        if "\t" in entry:
            problems.append(
                f"{file}:{number}: a tab; a list has one term on each line, so save a table as .tsv, with the column "
                "names `text` and `category` in its first line"
            )
            continue
        entry = _BULLET.sub("", entry, count=1) if _BULLET.match(entry) else entry
        yield f"{file}:{number}", {"text": entry.rstrip(",;").rstrip()}


def _table_rows(file: Path, problems: list[str]) -> Iterator[Row]:
    for number, cells in tables.read_table(file, problems, known=(*COLUMNS, *FACTS)):
        yield f"{file}:{number}", from_cells({name: cell for name, cell in cells.items() if cell})


def from_cells(cells: Mapping[str, str]) -> dict[str, Any]:
    """The columns of a row whose cells are texts; several values in a cell are parted by ``|``."""
    columns: dict[str, Any] = {}
    for name, cell in cells.items():
        if name in LISTS:
            columns[name] = [part.strip() for part in cell.split("|")]
        else:
            columns[name] = cell
    facts = {name: columns.pop(name) for name in FACTS if name in columns}
    if facts:
        columns["facts"] = facts
    return columns


def _yaml_rows(file: Path, problems: list[str]) -> Iterator[Row]:
    """Items of a YAML list; a row number is the item's line in the file."""
    try:
        items, node = yaml_text.load_node(tables.read_text(file))
    except yaml.YAMLError as error:
        problems.append(f"{file}: not YAML: {error}")
        return
    except TextError as error:
        problems.append(str(error))
        return
    if not isinstance(items, list) or not isinstance(node, yaml.SequenceNode):
        problems.append(f"{file}:1: a YAML lexicon is a list of terms")
        return
    for item, place in zip(items, node.value, strict=True):
        where = f"{file}:{place.start_mark.line + 1}"
        if isinstance(item, dict):
            yield where, item
        elif isinstance(item, str):
            yield where, {"text": item}
        else:
            problems.append(f"{where}: a term is a text or a mapping, e.g. `- {{text: metformin, category: drug}}`")


def _jsonl_rows(file: Path, problems: list[str]) -> Iterator[Row]:
    try:
        text = tables.read_text(file)
    except TextError as error:
        problems.append(str(error))
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.append(f"{file}:{number}: not JSON: {error}")
            continue
        if isinstance(item, dict):
            yield f"{file}:{number}", item
        else:
            problems.append(f"{file}:{number}: a term is an object")


# ---- writing


def write(path: Path, terms: Sequence[Term], *, remarks: Mapping[str, str] | None = None, head: str = "") -> None:
    """Write a lexicon in the form that the ending of its name tells; `lexicon.load` reads the same terms from it.

    `remarks` has by id what a comment beside a term says, and `head` what stands above all; tables and JSON Lines
    have no comments, and leave them out. A plain list holds texts and nothing else. `LexiconError`: the name has
    another ending, or the form cannot hold a term.
    """
    require_form(path)
    beside = remarks or {}
    kind = path.suffix.lower()
    if kind in (".yaml", ".yml"):
        text = _comment(head) + "".join(_yaml_line(term, beside.get(term.id, "")) for term in terms)
    elif kind == ".jsonl":
        text = "".join(json.dumps(_filled(term), ensure_ascii=False) + "\n" for term in terms)
    elif kind in (".csv", ".tsv"):
        text = _table(path, terms, "\t" if kind == ".tsv" else ",")
    else:
        text = _comment(head) + "".join(_list_line(path, term) for term in terms)
    files.write_text(path, text)


def require_form(path: Path) -> None:
    """`LexiconError`: the ending of the name is that of no form of a lexicon."""
    if path.suffix.lower() not in KINDS:
        raise LexiconError(f"{path}: a lexicon is written as {', '.join(KINDS)}; end its name with one of these")


def _filled(term: Term) -> dict[str, Any]:
    """The columns of a term that say more than a row without them would."""
    content = term.model_dump(mode="json")
    defaults = Term(id=slug(term.text) or term.id, text=term.text, category=UNSORTED).model_dump(mode="json")
    kept = {name: value for name, value in content.items() if name == "text" or value != defaults[name]}
    if "taught" in term.model_fields_set:
        kept["taught"] = term.taught
    order = ("text", "category", *(name for name in COLUMNS if name not in ("text", "category")))
    return {name: kept[name] for name in order if name in kept}


def _comment(head: str) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for line in head.splitlines())


def _yaml_line(term: Term, remark: str) -> str:
    flow = yaml.safe_dump(_filled(term), default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**6)
    comment = f"  # {' '.join(remark.split())}" if remark else ""
    return f"- {flow.strip()}{comment}\n"


def _list_line(path: Path, term: Term) -> str:
    lost = sorted(set(_filled(term)) - {"text"})
    if lost:
        raise LexiconError(f"{path}: a plain list cannot hold the {', '.join(lost)} of {term.text!r}; write a .yaml")
    if term.text.startswith("#") or _BULLET.match(term.text):
        raise LexiconError(f"{path}: {term.text!r} would not be read as it is from a plain list; write a .yaml")
    return f"{term.text}\n"


def _table(path: Path, terms: Sequence[Term], delimiter: str) -> str:
    cells_of = [_cells(path, term, delimiter) for term in terms]
    used = {name for cells in cells_of for name in cells} | {"text"}
    columns = [name for name in (*COLUMNS, *FACTS) if name in used]
    lines = [columns, *([cells.get(name, "") for name in columns] for cells in cells_of)]
    if delimiter == "\t":  # a quotation mark is then a character as any other, see `tables.read_table`
        return "".join("\t".join(line) + "\n" for line in lines)
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()


def _cells(path: Path, term: Term, delimiter: str) -> dict[str, str]:
    content = _filled(term)
    facts = content.pop("facts", {})
    unknown = sorted(set(facts) - set(FACTS))
    if unknown:
        raise LexiconError(
            f"{path}: a table has no column for the {', '.join(unknown)} of {term.text!r}; write a .yaml"
        )
    cells: dict[str, str] = {}
    for name, value in (content | facts).items():
        values = value if isinstance(value, list) else [value]
        texts = [str(text).lower() if isinstance(text, bool) else str(text) for text in values]
        parting = ("|" if name in LISTS else "") + ("\t\r\n" if delimiter == "\t" else "")
        lost = [text for text in texts if set(parting) & set(text)]
        if lost:
            raise LexiconError(f"{path}: {lost[0]!r} of {term.text!r} cannot stand in a cell; write a .yaml")
        cells[name] = "|".join(texts)
    return cells
