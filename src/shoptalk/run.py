"""The run folder: the table of stages, where their products lie, and what signature each must carry."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from shoptalk.config import Recipe
from shoptalk.errors import RecipeError


@dataclass(frozen=True)
class Stage:
    """One step of the flow, as the map in docs/DESIGN.md names it."""

    number: int
    name: str
    product: str
    """File or folder in the run folder; the last thing a stage makes there."""
    inputs: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    """Recipe sections that can change the product; `seed` always can."""
    code_version: int = 1
    """Raise it when the same recipe would now make another product."""


STAGES = (
    Stage(10, "lexicon", "10-lexicon.jsonl", (), ("lexicon",)),
    Stage(20, "transcripts", "20-transcripts.jsonl", ("lexicon",), ("transcripts",)),
    Stage(30, "speech", "30-speech.jsonl", ("transcripts",), ("speech",)),
    Stage(40, "augment", "40-augment.jsonl", ("speech",), ("augment",)),
    Stage(50, "dataset", "50-dataset", ("augment",), ("dataset",)),
    Stage(60, "train", "60-train", ("dataset",), ("train",)),
    Stage(70, "evaluate", "70-scores", ("train",), ("evaluate",)),
    Stage(80, "package", "80-bundle", ("train", "evaluate"), ("package",)),
)
BY_NAME = {stage.name: stage for stage in STAGES}


@dataclass(frozen=True)
class Run:
    """A run folder and the recipe it follows."""

    folder: Path
    recipe: Recipe
    recipe_folder: Path

    def product(self, name: str) -> Path:
        """Where the product of a stage lies, or the user's own that stands in for it."""
        own = self.recipe.products.get(name)
        return self.resolve(own) if own else self.folder / BY_NAME[name].product

    def resolve(self, path: Path) -> Path:
        """A path of the recipe: absolute, else relative to the recipe's folder, its parent, or the working folder."""
        tried = [path] if path.is_absolute() else [base / path for base in self._bases]
        for candidate in tried:
            if candidate.exists():
                return candidate
        raise RecipeError(f"{path}: not found; looked for {', '.join(map(str, tried))}")

    @cached_property
    def _bases(self) -> tuple[Path, ...]:
        return (self.recipe_folder, self.recipe_folder.parent, Path.cwd())

    def signature(self, name: str) -> str:
        """What the product of a stage depends on: recipe sections, files they name, inputs, code version."""
        own = self.recipe.products.get(name)
        if own:
            return _digest(["own", _file_digests(self.resolve(own))])
        stage = BY_NAME[name]
        sections = [getattr(self.recipe, section) for section in stage.sections]
        content = [section.model_dump(mode="json") for section in sections]
        files = [self._files(value) for section in sections for value in dict(section).values()]
        return _digest(
            [name, stage.code_version, self.recipe.seed, content, files, [self.signature(i) for i in stage.inputs]]
        )

    def _files(self, value: object) -> list[str]:
        paths = [v for v in (value if isinstance(value, tuple) else (value,)) if isinstance(v, Path)]
        return [digest for path in paths for digest in _file_digests(self.resolve(path))]

    def is_current(self, name: str) -> bool:
        """True if the product is there, whole, and made from what the recipe says now."""
        if name in self.recipe.products:
            return True
        note = self._note(name)
        return self.product(name).exists() and note.is_file() and note.read_text() == self.signature(name)

    def mark_current(self, name: str) -> None:
        """Record the signature beside a finished product."""
        self._note(name).write_text(self.signature(name))

    def _note(self, name: str) -> Path:
        return self.folder / f"{BY_NAME[name].number}-{name}.signature"


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _file_digests(path: Path) -> list[str]:
    """sha256 of a file, or of the manifests of a folder (audio is named by them and counts by its path)."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
