"""Reading documents: their code blocks, the commands in these, and the names that their prose mentions."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "models" / "README.md",
    *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "LOG.md"),
]
"""Every page that says what is now true; the log tells what was."""

_COMMENT = re.compile(r"<!-- (not run|file): (.*) -->")
_PASTED = re.compile(r"<!-- (help|keys|models|sets|results):.*?<!-- /.*?-->", re.DOTALL)
_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    A comment before it may say why it is not run (``<!-- not run: REASON -->``), or under which name the commands of
    the page find it (``<!-- file: NAME -->``).
    """

    page: Path
    line: int
    language: str
    content: str
    not_run: str = ""
    file: str = ""

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    comments: dict[str, str] = {}
    language, content, start = "", [], 0
    is_inside = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("```") and is_inside:
            found.append(
                Block(
                    page=page,
                    line=start,
                    language=language,
                    content="\n".join(content) + "\n",
                    not_run=comments.get("not run", ""),
                    file=comments.get("file", ""),
                )
            )
            is_inside, comments = False, {}
        elif line.startswith("```"):
            is_inside, language, content, start = True, line[3:].strip(), [], number
        elif is_inside:
            content.append(line)
        elif comment := _COMMENT.fullmatch(line):
            comments[comment.group(1)] = comment.group(2)
        elif line.strip():
            comments = {}
    return found


def commands_of(script: str) -> list[list[str]]:
    """The commands of a shell script as lists of words, without comments and without variables set before them.

    The commands of a pipe are separate.
    """
    commands = []
    for line in script.replace("\\\n", " ").splitlines():
        command: list[str] = []
        for word in shlex.split(line, comments=True):
            is_variable = not command and re.fullmatch(r"[A-Z_]+=.*", word) is not None
            if word == "|":
                commands.append(command)
                command = []
            elif not is_variable:
                command.append(word)
        if command:
            commands.append(command)
    return commands


def dialogue_of(console: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block (lines after ``$``), each with the output that the page shows."""
    for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def pattern_of(output: str) -> str:
    """A regular expression for an output in which ``…`` stands for what the page leaves out."""
    lines = [".*" if line.strip() == "…" else re.escape(line).replace("…", "[^\n]*") for line in output.splitlines()]
    return "\n".join(lines) + "\n?"


def code_spans(page: Path) -> list[str]:
    """What stands between backquotes in a page's prose and tables."""
    return re.findall(r"`([^`\n]+)`", _prose(page))


def links(page: Path) -> list[str]:
    """The targets of a page's links and pictures."""
    return re.findall(r"\]\(([^)\s]+)\)", _prose(page))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", _FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def long_lines(page: Path, *, most: int) -> list[str]:
    """Lines of prose that are longer than `most`; tables, blocks, pictures and pasted parts aside."""
    text = _FENCED.sub("", _PASTED.sub("", page.read_text(encoding="utf-8")))
    lines = [line for line in text.splitlines() if not line.startswith(("|", "![", "<!--"))]
    return [line for line in lines if len(line) > most]


def _prose(page: Path) -> str:
    return _FENCED.sub("", _PASTED.sub("", page.read_text(encoding="utf-8")))
