"""Pronunciations that people listened to: the file `pronunciations.yaml`, written by `shoptalk audition` or by hand.

An entry has the text of a term, its pronunciation as `ipa` or `respelling`, a `verdict`, and who listened when:

    - text: metformin
      respelling: met-FOR-min
      verdict: right
      verified_by: A. Nurse
      verified_on: 2026-11-27

A text with several right entries has several accepted pronunciations, the first one being the usual one.
"""

import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from shoptalk.core import files, tables, yaml_text
from shoptalk.core.errors import LexiconError, TextError
from shoptalk.corpus import respelling
from shoptalk.corpus.pronunciation import check_ipa

HEADER = """\
# Pronunciations that people listened to. `shoptalk audition` writes this file; it may be edited by hand.
"""


class Override(BaseModel):
    """What somebody found of one pronunciation of a term."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    """Of the term, as the lexicon writes it."""
    ipa: str = ""
    respelling: str = ""
    verdict: Literal["right", "wrong"] = "right"
    verified_by: str = ""
    """Who listened; empty: nobody did, and the entry counts but is not verified."""
    verified_on: datetime.date | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> "Override":
        if not self.text.strip():
            raise ValueError("text is empty; write the term as the lexicon does")
        if bool(self.ipa) == bool(self.respelling):
            raise ValueError(f"{self.text!r} needs either ipa or respelling")
        check_ipa(self.sound)
        return self

    @property
    def sound(self) -> str:
        """Its pronunciation in IPA."""
        return self.ipa or respelling.to_ipa(self.respelling)


def read(path: Path) -> list[Override]:
    """The entries of a file in order; `LexiconError` lists each that is wrong, with its line."""
    return [override for override, _ in _numbered(path, _text_of(path))]


def put(path: Path, override: Override) -> None:
    """Write an entry in place of that of the same term and sound, or behind all others; the rest stays as it is."""
    _edit(path, override.text, override.sound, _lines_of(override))


def remove(path: Path, text: str, sound: str) -> None:
    """Remove what is said of this pronunciation of a term, if anything is."""
    _edit(path, text, sound, [])


def by_text(overrides: Iterable[Override]) -> dict[str, list[Override]]:
    """The entries of each term, by its text in lower case."""
    entries: dict[str, list[Override]] = {}
    for override in overrides:
        entries.setdefault(override.text.casefold(), []).append(override)
    return entries


def _edit(path: Path, text: str, sound: str, new: list[str]) -> None:
    content = _text_of(path) if path.is_file() else HEADER
    lines = content.splitlines()
    entries = _numbered(path, content)
    indent = _indent(path, lines, [start for _, (start, _) in entries])
    new = [indent + line for line in new]
    places = []
    for override, place in entries:
        if override.text.casefold() == text.casefold() and override.sound == sound:
            places.append(place)
    if not places:
        lines += new
    for start, end in reversed(places):
        lines[start:end] = new if start == places[0][0] else []
    files.write_text(path, "".join(f"{line}\n" for line in lines))


def _indent(path: Path, lines: Sequence[str], starts: Sequence[int]) -> str:
    """What stands before the dashes of all entries; `LexiconError` if entries do not have lines of their own."""
    for start in starts:
        if not lines[start].lstrip().startswith("-") or starts.count(start) > 1:
            raise LexiconError(f"{path}:{start + 1}: begin each entry with a dash, on a line of its own")
    return lines[starts[0]].partition("-")[0] if starts else ""


def _lines_of(override: Override) -> list[str]:
    content = override.model_dump(exclude={"ipa", "respelling", "verdict", "verified_by", "verified_on"})
    for key in ("ipa", "respelling", "verdict", "verified_by", "verified_on"):
        value = getattr(override, key)
        if value:
            content[key] = value
    return yaml.safe_dump([content], allow_unicode=True, sort_keys=False, width=1000).splitlines()


def _text_of(path: Path) -> str:
    try:
        return tables.read_text(path)
    except TextError as error:
        raise LexiconError(str(error)) from None
    except OSError as error:
        raise LexiconError(f"{path}: cannot be read ({error.strerror})") from None


def _numbered(path: Path, content: str) -> list[tuple[Override, tuple[int, int]]]:
    """The entries, each with its first line and the line past its last, counted from 0."""
    try:
        items, node = yaml_text.load_node(content)
    except yaml.YAMLError as error:
        raise LexiconError(f"{path}: not YAML: {error}") from None
    if items is None:
        return []
    if not isinstance(items, list) or not isinstance(node, yaml.SequenceNode):
        raise LexiconError(f"{path}: a file of pronunciations is a list of entries with text and ipa or respelling")
    lines = content.splitlines()
    entries = []
    problems = []
    for item, place in zip(items, node.value, strict=True):
        start = place.start_mark.line
        try:
            override = Override.model_validate(item)
        except ValidationError as error:
            problems.append(f"{path}:{start + 1}: {files.first_problem(error)}")
            continue
        entries.append((override, (start, _end(lines, start, place.end_mark.line))))
    if problems:
        raise LexiconError("these pronunciations cannot be used; mend them:\n  " + "\n  ".join(problems))
    return entries


def _end(lines: Sequence[str], start: int, end: int) -> int:
    """The line past an entry, without the blank lines and comments behind it; YAML counts these as part of it."""
    end = max(end, start + 1)
    while end > start + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    return end
