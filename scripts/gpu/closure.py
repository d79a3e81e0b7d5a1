"""Print the distributions that the check on a GPU machine imports, one a line, by their normalised names.

    python -m scripts.gpu.closure

It imports what the steps import, NeMo's modules among them by opening the base, and what functions of the modules that
are loaded then import when they are called (`named`). It looks which packages were loaded.
"""

import ast
import importlib
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OWN = {"shoptalk", "scripts", "benchmarks", "tests"}
NOT_RUN = {
    "sqlalchemy": "no step keeps jobs or corrections",
}
"""Packages that are named in modules which the check loads, but imported by no step, and why."""
MODULES = (
    "benchmarks.engine.gpu", "scripts.gpu.correctness", "scripts.gpu.service", "scripts.gpu.speed",
    "scripts.gpu.training", "shoptalk.engine.recognizer", "shoptalk.service.app", "shoptalk.service.server",
    "shoptalk.tuning.trainer", "av", "httpx", "hypothesis", "jiwer", "multipart", "pytest", "soundfile", "soxr",
    "transformers", "uvicorn", "whisper_normalizer.english",
)  # fmt: skip
BASE = "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"


def normalised(name: str) -> str:
    """A distribution's name as PyPA's specification compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported() -> set[str]:
    """The distributions of all packages that are loaded in this process, but for this project's own."""
    distributions = importlib.metadata.packages_distributions()
    names = set()
    for top in {module.partition(".")[0] for module in sys.modules}:
        names.update(normalised(name) for name in distributions.get(top, ()))
    return names - {"shoptalk"}


def named(files: Iterator[Path]) -> set[str]:
    """The packages of others that files import, also in functions; not what only types need, nor `NOT_RUN`."""
    names = {name for file in files for name in _imports(ast.parse(file.read_text(encoding="utf-8")))}
    tops = {name.partition(".")[0] for name in names}
    return tops - OWN - set(sys.stdlib_module_names) - set(NOT_RUN)


def _imports(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
    for child in ast.iter_child_nodes(node):
        yield from _imports(child)


def own_files() -> Iterator[Path]:
    """The files of this project's modules that are loaded in this process."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in OWN and getattr(module, "__file__", None):
            yield Path(str(module.__file__))


def main() -> None:
    for module in MODULES:
        importlib.import_module(module)
    from shoptalk.integrations import nemo

    nemo.restore(BASE)
    for package in named(own_files()):
        importlib.import_module(package)
    print("\n".join(sorted(imported())))


if __name__ == "__main__":
    main()
