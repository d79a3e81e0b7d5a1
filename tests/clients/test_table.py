"""The tables of clients in the documents: each row names tests that exist, with the versions that the locks pin."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ROW = re.compile(r"^\|(?P<client>[^|]*)\|[^|]*\|(?P<tests>.*::.*)\|$", re.MULTILINE)
VERSION = r"\d+\.\d+\.\d+"
PINNED = (
    ("requirements/clients.lock", "openai"),
    ("requirements/clients-openai2.lock", "openai"),
    ("requirements/clients.lock", "litellm"),
    ("requirements/clients.lock", "pipecat-ai"),
    ("requirements/clients.lock", "livekit-plugins-openai"),
    ("tests/clients/package.json", "ai"),
    ("tests/clients/package.json", "openai"),
)
"""Where the versions in the table are pinned, in its order."""


def rows(document: str = "docs/service.md") -> list[tuple[str, str]]:
    page = (ROOT / document).read_text(encoding="utf-8")
    section = page.partition("\n## Clients\n")[2].partition("\n## ")[0]
    return [(match["client"].strip(), match["tests"]) for match in ROW.finditer(section)]


def all_rows() -> list[tuple[str, str]]:
    return rows() + rows("docs/live.md")


def test_there_are_rows() -> None:
    assert len(rows()) > 20


@pytest.mark.parametrize("client, tests", all_rows())
def test_each_row_names_tests_that_exist(client: str, tests: str) -> None:
    for file, name in re.findall(r"`([\w.]+)::([^`]+)`", tests):
        content = (HERE / file).read_text(encoding="utf-8")
        assert f"def {name}(" in content or f"{name}:" in content, f"{file} has no {name}"


def test_every_test_has_a_row() -> None:
    named = " ".join(tests for _, tests in all_rows())
    for file in HERE.glob("test_*.py"):
        if file.name != Path(__file__).name:
            for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE):
                assert f"{file.name}::{name}" in named, f"{file.name}::{name} has no row in a document"


def test_the_versions_are_those_of_the_locks() -> None:
    clients = " ".join(client for client, _ in rows())
    assert len(re.findall(VERSION, clients)) == len(PINNED)
    for version, (file, package) in zip(re.findall(VERSION, clients), PINNED, strict=True):
        pins = (f"{package}=={version} ", f'"{package}": "{version}"')
        content = (ROOT / file).read_text(encoding="utf-8")
        assert any(pin in content for pin in pins), f"{file} pins another version of {package} than {version}"
