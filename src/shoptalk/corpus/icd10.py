"""Names of conditions from ICD-10-CM: the order file and the code file of CMS, and the tabular list as text."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from shoptalk.core.errors import ImportFormatError
from shoptalk.core.tables import read_text
from shoptalk.corpus.term_files import Row

MOST_WORDS = 4
"""Longer names are left out unless asked: nobody says them in one piece."""

_CODE = re.compile(r"[A-Z]\d[0-9A-Z](?:\.?[0-9A-Z]{1,4})?")
_ORDER = re.compile(r"\d{5} ([A-Z]\d[0-9A-Z]{1,5}) +[01] .{60} (.+)")
"""A line of the order file: number, code, whether it is billable, short and long description, in fixed columns."""
_CODED = re.compile(rf"({_CODE.pattern})[ \t]+(\S.*)")
"""A line of the code file or of the tabular list."""
_NOTE = re.compile(
    r"(?i)\s*(excludes\s*[12]?|use additional|code (?:first|also)|note|includes?|inclusion terms?)\b:?(.*)"
)
_HEADING = re.compile(r"(?i)\s*(?:chapter\b.*|.*\([A-Z]\d\w-[A-Z]\d\w\).*)")
_NOT_SAID = re.compile(r"(?i)\s*(?:,|;| due to | with(?:out)? | following | not elsewhere | associated with ).*")
"""From here on, a description says what nobody says in a sentence."""
_NO_CONDITION = re.compile(
    r"(?i)(?:other|encounter|personal history|family history|contact with|presence of|acquired absence|see)\b"
)
_OUTSIDE = frozenset("UVWXYZ")
"""Letters of codes that name no conditions: external causes, contacts with health services, codes kept free."""


def is_icd10(text: str) -> bool:
    """Whether a text looks like one of the files: most of its first lines with a code at the left."""
    lines = [line for line in text.split("\n")[:60] if line.strip()]
    coded = sum(bool(_ORDER.match(line) or _CODED.match(line)) for line in lines)
    ordered = sum(bool(_ORDER.match(line)) for line in lines)
    dotted = any("." in line.split()[0] for line in lines if _CODED.match(line))
    return bool(lines) and (ordered > len(lines) / 2 or coded > len(lines) / 2 or (coded >= 2 and dotted))


def read(path: Path, *, codes: Sequence[str] = (), most_words: int = MOST_WORDS) -> Iterator[Row]:
    """The conditions of a file, each once; codes are not terms. `ImportFormatError`: the file has none.

    A description is cut to what people say ("Cholera due to …" is "cholera"), and left out if it names no condition
    ("Other …") or has more words. `codes` keeps those that begin so; without them external causes and contacts with
    health services (U to Z) are left out.
    """
    text = read_text(path)
    entries = list(_entries(path, text.split("\n")))
    if not entries:
        raise ImportFormatError(f"{path}: no line begins with a code of ICD-10-CM; take the order file of CMS")
    capitals = _proper(description for _, _, description in entries)
    done: set[str] = set()
    for where, code, description in entries:
        is_wanted = code.startswith(tuple(codes)) if codes else code[0] not in _OUTSIDE
        name = _said(description, capitals) if is_wanted else ""
        if name and len(name.split()) <= most_words and name.casefold() not in done:
            done.add(name.casefold())
            yield where, {"text": name, "category": "condition"}


def _entries(path: Path, lines: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Where a description stands, its code without a point, and itself; inclusion terms under the code above."""
    code = ""
    takes_terms = False
    for number, line in enumerate(lines, start=1):
        where = f"{path}:{number}"
        coded = _ORDER.match(line) or _CODED.match(line)
        note = _NOTE.match(line)
        if coded:
            code, takes_terms = coded.group(1).replace(".", ""), True
            yield where, code, coded.group(2).strip()
        elif note:
            takes_terms = note.group(1).lower().startswith("inclu")
            if takes_terms and note.group(2).strip():
                yield where, code, note.group(2).strip()
        elif code and takes_terms and line.strip() and not _HEADING.match(line):
            yield where, code, line.strip()


def _said(description: str, capitals: frozenset[str]) -> str:
    """What people say of a description; empty if that is no condition."""
    plain = re.sub(r"\s*[\[(][^\])]*[\])]?", "", description)
    name = _NOT_SAID.sub("", plain).strip(" .:-")
    name = re.sub(r"(?i)^unspecified |\bNOS$|\bunspecified$", "", name).strip()
    if not name or _NO_CONDITION.match(name):
        return ""
    first, _, rest = name.partition(" ")
    is_proper = first in capitals or not first[1:].islower() or "'" in first or "’" in first
    return name if is_proper else f"{first.lower()} {rest}".strip()


def _proper(descriptions: Iterator[str]) -> frozenset[str]:
    """Words that keep their capital within a description, such as those named after people."""
    inside: Counter[str] = Counter()
    for description in descriptions:
        inside.update(re.findall(r"(?<=[a-z,] )[A-Za-z][\w'’-]*", description))
    return frozenset(word for word, count in inside.items() if word[0].isupper() and count > inside[word.lower()])
