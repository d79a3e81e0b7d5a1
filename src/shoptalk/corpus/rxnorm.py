"""Names of medicines from RxNorm's RRF files: ingredients, with their brand names as variants."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from shoptalk.core import files
from shoptalk.core.errors import ImportFormatError
from shoptalk.corpus.term_files import Row

NAMES, RELATIONS = "RXNCONSO.RRF", "RXNREL.RRF"
KINDS = ("IN", "BN")
"""Term types (TTY) that are read unless others are asked: ingredients and brand names."""
SOURCE = "RXNORM"
"""The source (SAB) whose names are read unless another is asked."""
_BRAND = "BN"
_INGREDIENTS = ("IN", "PIN", "MIN")
_TRADENAMES = ("tradename_of", "has_tradename")
"""The two directions of the relation (RELA) between a brand name and its ingredient."""
_SUPPRESSED = frozenset("OYE")
"""Obsolete, suppressed by the editors, or unquantified: SUPPRESS is N where a name is in use."""

# Fields of the UMLS's Rich Release Format, counted from 0; each line ends with a bar, behind the last field.
_RXCUI, _LAT, _SAB, _TTY, _STR, _SUPPRESS = 0, 1, 11, 12, 14, 16
_NAME_FIELDS = 18
_RXCUI1, _RXCUI2, _RELA, _REL_SUPPRESS = 0, 4, 7, 14
_RELATION_FIELDS = 16


class _Name(NamedTuple):
    concept: str
    kind: str
    text: str
    where: str


def read(path: Path, *, kinds: Collection[str] = KINDS, source: str = SOURCE) -> Iterator[Row]:
    """The rows of ``RXNCONSO.RRF``, or of a folder with it; `ImportFormatError` names a line that is none of it.

    English names that are in use, of one source and some term types. A brand name is a variant of its ingredient where
    ``RXNREL.RRF`` lies beside it and gives the brand one ingredient; brands of several are terms of their own.
    """
    names_file = path / NAMES if path.is_dir() else path
    relations_file = names_file.with_name(RELATIONS)
    names = _names(names_file, kinds, source)
    ingredients = {name.concept: name for name in names if name.kind in _INGREDIENTS}
    brands = {name.concept: name for name in names if name.kind == _BRAND}
    of_brand: dict[str, set[str]] = defaultdict(set)
    if relations_file.is_file() and brands:
        for left, right in _relations(relations_file):
            for brand, ingredient in ((left, right), (right, left)):
                if brand in brands and ingredient in ingredients:
                    of_brand[brand].add(ingredient)
    variants: dict[str, list[str]] = defaultdict(list)
    for brand, of in of_brand.items():
        if len(of) == 1:
            variants[next(iter(of))].append(brands[brand].text)
    written: set[tuple[str, str]] = set()
    for name in names:
        is_variant = name.kind == _BRAND and len(of_brand[name.concept]) == 1
        if is_variant or (name.concept, name.kind) in written:
            continue
        written.add((name.concept, name.kind))
        row = {"text": name.text, "category": "drug"}
        own = variants[name.concept] if name.kind in _INGREDIENTS else []
        yield name.where, row | ({"variants": sorted(own, key=str.casefold)} if own else {})


def _names(path: Path, kinds: Collection[str], source: str) -> list[_Name]:
    names = []
    sources: set[str] = set()
    for where, fields in _lines(path, _NAME_FIELDS):
        sources.add(fields[_SAB])
        if fields[_SAB] != source or fields[_TTY] not in kinds or fields[_LAT] != "ENG":
            continue
        if fields[_SUPPRESS] not in _SUPPRESSED:
            names.append(_Name(fields[_RXCUI], fields[_TTY], fields[_STR].strip(), where))
    if not names:
        raise ImportFormatError(
            f"{path}: no name of the source {source} and the types {', '.join(sorted(kinds))} is in use; the sources "
            f"there are {', '.join(sorted(sources)) or 'none'} (--sab, --tty)"
        )
    return names


def _relations(path: Path) -> Iterator[tuple[str, str]]:
    for _, fields in _lines(path, _RELATION_FIELDS):
        if fields[_RELA] in _TRADENAMES and fields[_REL_SUPPRESS] not in _SUPPRESSED:
            yield fields[_RXCUI1], fields[_RXCUI2]


def _lines(path: Path, count: int) -> Iterator[tuple[str, Sequence[str]]]:
    if not path.is_file():
        raise ImportFormatError(f"{path}: no such file; RxNorm's download has it in the folder rrf")
    for number, line in files.numbered_lines(path):  # one by one: the relations are 7 million lines
        fields = line.split("|")
        if len(fields) not in (count, count + 1):
            raise ImportFormatError(
                f"{path}:{number}: {len(fields)} fields between bars, where {path.name} of RxNorm has {count}; take "
                "the file as it was downloaded"
            )
        yield f"{path}:{number}", fields
