"""Documents say what the code does: pasted parts are current, and packages name their modules."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "shoptalk"
PACKAGES = sorted(path.parent for path in SOURCE.rglob("__init__.py"))


def test_pasted_help_and_keys_are_current() -> None:
    command = [sys.executable, "scripts/paste_docs.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(SOURCE.parent)))
def test_a_package_names_its_modules(package: Path) -> None:
    """The docstring of a package is its table of contents: every file and every package in it, and nothing else."""
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    modules = {path.stem for path in package.glob("*.py")}
    modules |= {path.parent.name for path in package.glob("*/__init__.py")}
    missing = sorted(name for name in modules - {"__init__", "__main__"} if f"`{name}`" not in docstring)
    assert not missing, f"{package.relative_to(ROOT)}/__init__.py: give each of these a line: {missing}"
    named = {line.split("`")[1] for line in docstring.splitlines() if line.startswith("- `")}
    assert named <= modules, f"{package.relative_to(ROOT)}/__init__.py names what is not there: {named - modules}"
