"""Rows of other people's lists made terms that a lexicon accepts; what it would refuse is left out and counted."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shoptalk.core import tables
from shoptalk.core.errors import ImportFormatError
from shoptalk.core.records import Term
from shoptalk.corpus import term_files
from shoptalk.corpus.lexicon import read_term
from shoptalk.corpus.term_files import Row

SHOWN = 3


@dataclass
class Imported:
    """Terms of a source, and what of it is none."""

    terms: list[Term] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """A sentence for each row that cannot be a term, with its place."""
    repeated: int = 0
    """Rows and variants that came before."""


def usable(rows: Iterable[Row]) -> Imported:
    """The rows that can stand together in a lexicon; of a variant that cannot, only the variant is left out."""
    done = Imported()
    names: set[str] = set()
    ids: Counter[str] = Counter()
    for where, columns in rows:
        term = _read(where, columns | {"variants": _speakable(where, columns, done)}, done)
        if term is None:
            continue
        if term.text.casefold() in names or ids[term.id.casefold()]:
            done.repeated += 1
            continue
        names.add(term.text.casefold())
        ids[term.id.casefold()] += 1
        new = [variant for variant in term.variants if variant.casefold() not in names]
        done.repeated += len(term.variants) - len(new)
        names.update(variant.casefold() for variant in new)
        content = term.model_dump(include=term.model_fields_set) | {"variants": tuple(new)}
        done.terms.append(Term.model_validate(content))
    return done


def table_rows(path: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    """The rows of a table whose columns have names of the user's own: `columns` says what they are for a lexicon.

    Other columns are left out. `ImportFormatError`: a column is not there, or the table cannot be read.
    """
    wanted = {name: header.casefold() for name, header in columns.items()}
    unknown = sorted(set(wanted) - {*term_files.COLUMNS, *term_files.FACTS})
    if unknown:
        known = ", ".join((*term_files.COLUMNS, *term_files.FACTS))
        raise ImportFormatError(f"--column {unknown[0]}=…: a lexicon has no such column; it has {known}")
    problems: list[str] = []
    for number, cells in tables.read_table(path, problems):
        missing = sorted(set(wanted.values()) - set(cells))
        if missing:
            raise ImportFormatError(
                f"{path}:1: has no column {', '.join(missing)}; its columns are {', '.join(cells)} (--column text=NAME)"
            )
        named = {name: cells[header] for name, header in wanted.items() if cells[header]}
        if named:
            yield f"{path}:{number}", term_files.from_cells(named)
    if problems:
        raise ImportFormatError("\n  ".join(["the table cannot be read; mend these rows:", *problems]))


def told(done: Imported) -> list[str]:
    """What was left out, a sentence each."""
    sentences = []
    if done.repeated:
        sentences.append(f"{done.repeated} names that occur twice are left out")
    if done.refused:
        sentences.append(f"{len(done.refused)} rows cannot be terms and are left out, such as:")
        sentences += [f"  {refusal}" for refusal in done.refused[:SHOWN]]
    return sentences


def _speakable(where: str, columns: Mapping[str, Any], done: Imported) -> list[str]:
    """The variants that can be spoken; the others are refused by themselves."""
    return [variant for variant in columns.get("variants", ()) if _read(where, {"text": variant}, done)]


def _read(where: str, columns: dict[str, Any], done: Imported) -> Term | None:
    """The term of a row, or None after the first thing that is wrong with it was noted."""
    problems: list[str] = []
    term = read_term(where, columns, problems)
    done.refused += problems[:1]
    return term
