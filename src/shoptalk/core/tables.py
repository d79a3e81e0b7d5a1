"""Text and tables as people save them: the one reader of CSV, TSV and semicolons, in the encodings of Excel."""

import csv
import io
import lzma
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from shoptalk.core.errors import TextError

_MARKS = (  # the longer first: UTF-32's begins as UTF-16's
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_ENCODINGS = ("utf-8", "cp1252")
"""What is tried in turn where no byte-order mark tells. Hardly any text in cp1252 is UTF-8 too, but plain ASCII."""
_DELIMITERS = ",;\t"
COMPRESSED = ".xz"
"""How the name of a compressed text ends."""

Row = tuple[int, dict[str, str]]
"""The line a row begins on, and its cells by column, stripped; columns in lower case."""


def decode(content: bytes) -> str:
    """Text, its encoding told by a byte-order mark, or else by what fits; `TextError` says why none does."""
    marked = [encoding for mark, encoding in _MARKS if content.startswith(mark)]
    if not marked and b"\0" in content:  # UTF-16 without its mark: of ASCII every other byte is 0
        marked = ["utf-16-le" if content[1::2].count(0) > content[::2].count(0) else "utf-16-be"]
    problem = ""
    for encoding in marked or _ENCODINGS:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            if marked:
                problem = f"it starts as {encoding.upper()}, but line {line} is not"
            else:
                problem = f"line {line} is neither UTF-8 nor Windows-1252"
            continue
        if "\0" not in text:
            return text
        problem = "it holds bytes that are no text"
    raise TextError(f"{problem}; save the file as UTF-8")


def read_text(path: Path) -> str:
    """The text of a user's file, which `xz` may have compressed; `TextError` names the file and the cure."""
    content = path.read_bytes()
    if path.suffix == COMPRESSED:
        try:
            content = lzma.decompress(content, lzma.FORMAT_XZ)
        except lzma.LZMAError as error:
            raise TextError(f"{path}: no file of xz ({error}); save it as plain text in UTF-8") from None
    try:
        return decode(content)
    except TextError as error:
        raise TextError(f"{path}: {error}") from None


def read_table(path: Path, problems: list[str], *, known: Collection[str] = ()) -> Iterator[Row]:
    """The rows of a table with a header; what is wrong is added to `problems`, by file and line, with the cure.

    Cells are parted by what occurs most in the header: commas, semicolons or tabs. Between tabs a quotation mark is a
    character as any other. Blank rows, and columns without a name in which nothing stands, are left out. Where `known`
    names columns, others are a problem.
    """
    try:
        text = read_text(path)
    except TextError as error:
        problems.append(str(error))
        return
    header: list[str] = []
    for number, cells in _records(path, text, problems):
        if not any(cells):
            continue
        if not header:
            header = [name.lower() for name in cells]
            wrong = _wrong_header(header, known)
            if wrong:
                problems.append(f"{path}:{number}: {wrong}")
                return
            continue
        wrong = _wrong_cells(cells, header)
        if wrong:
            problems.append(f"{path}:{number}: {wrong}")
            continue
        yield number, {name: cell for name, cell in zip(header, cells, strict=False) if name}


def _records(path: Path, text: str, problems: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The stripped cells of each record, blank ones too, with the line that the record begins on."""
    first_line = re.split(r"[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]
    delimiter = max(_DELIMITERS, key=first_line.count)
    lines = io.StringIO(text, newline="")
    if delimiter == "\t":
        reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
    number = 1
    try:
        for cells in reader:
            yield number, [cell.strip() for cell in cells]
            number = reader.line_num + 1
    except csv.Error as error:
        cure = "close the quotation mark, and write one within a cell twice"
        problems.append(f"{path}:{number}: no row of a table ({error}); {cure}")


def _wrong_header(header: list[str], known: Collection[str]) -> str:
    """What is wrong with the header; empty if nothing."""
    names = [name for name in header if name]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        return f"columns occur twice: {', '.join(twice)}; rename or remove one of each"
    unknown = sorted(set(names) - set(known))
    if known and unknown:
        return f"unknown columns {', '.join(unknown)}; known: {', '.join(known)}"
    return ""


def _wrong_cells(cells: list[str], header: list[str]) -> str:
    """What is wrong with a row; empty if nothing."""
    if len(cells) < len(header) and any(header[len(cells) :]):
        return f"{len(cells)} cells where the header has {len(header)} columns; fill in those that are missing"
    named = header + [""] * (len(cells) - len(header))
    nameless = [cell for name, cell in zip(named, cells, strict=False) if cell and not name]
    if nameless:
        cure = "name its column, or put a cell with a comma between quotation marks"
        return f"more cells than the header has columns: {nameless[0]!r} stands under no name; {cure}"
    return ""
