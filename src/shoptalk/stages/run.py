"""The run folder: where the products of stages lie, and what signature each must carry."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from shoptalk.core import resources
from shoptalk.core.errors import RecipeError
from shoptalk.core.examples import content_digests
from shoptalk.core.files import digest, write_text
from shoptalk.core.languages import ENGLISH
from shoptalk.core.recipe import Recipe, Section, effective, named_files
from shoptalk.core.tables import COMPRESSED
from shoptalk.stages.importing import content_digest
from shoptalk.stages.table import BY_NAME, Stage

TIMES = "seconds.json"


@dataclass(frozen=True)
class Run:
    """A run folder and the recipe it follows."""

    folder: Path
    recipe: Recipe
    recipe_folder: Path

    def __post_init__(self) -> None:
        if unknown := self.recipe.products.keys() - BY_NAME.keys():
            raise RecipeError(f"products.{min(unknown)}: no such stage; the stages are {', '.join(BY_NAME)}")

    def product(self, name: str) -> Path:
        """Where the product of a stage lies, or the user's own that stands in for it."""
        own = self.recipe.products.get(name)
        return self.resolve(own) if own else self.folder / BY_NAME[name].product

    def resolve(self, path: Path) -> Path:
        """A path of the recipe: absolute, or below the recipe's folder, its parent, the working folder, what ships.

        A text that is not there is looked for as `NAME.xz`, which `core.tables.read_text` reads.
        """
        tried = [path] if path.is_absolute() else [base / path for base in self._bases]
        for candidate in tried:
            for there in (candidate, candidate.with_name(candidate.name + COMPRESSED)):
                if there.exists():
                    return there
        raise RecipeError(f"{path}: not found; looked for {', '.join(map(str, tried))}")

    def matching(self, pattern: str) -> list[Path]:
        """The files of a pattern with `*` and `?`, in order: of the first of the folders of `resolve` that has any."""
        bases = (Path("/"),) if Path(pattern).is_absolute() else self._bases
        relative = pattern.lstrip("/")
        for base in bases:
            paths = sorted(base.glob(relative))
            if paths:
                return paths
        return []

    @cached_property
    def _bases(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys((self.recipe_folder, self.recipe_folder.parent, Path.cwd(), resources.root())))

    def of_stage(self, name: str) -> "StageRun":
        """The run as a stage sees it."""
        return StageRun(self, BY_NAME[name])

    def signature(self, name: str) -> str:
        """What the product of a stage depends on: the keys it reads, files they name, its inputs, its code version.

        Of a manifest the bytes of its recordings count too: audio that was replaced makes the product stale.
        """
        own = self.recipe.products.get(name)
        if own:
            return digest(["own", content_digests(self.resolve(own), "*")])
        stage = BY_NAME[name]
        values = {key: self._value(key) for key in self.reads(stage)}
        if values.get("language") == ENGLISH:  # products of before there were other languages stay current
            del values["language"]
        content = {key: effective(value) for key, value in values.items()}
        files: list[object] = [content_digests(self.resolve(path)) for path in named_files(tuple(values.values()))]
        if name == "dataset":
            files += [content_digest(own.format, self.resolve(own.source)) for own in self.recipe.dataset.recordings]
        inputs = [self.signature(needed) for needed in self.inputs(name)]
        return digest([name, stage.code_version, content, files, inputs])

    def inputs(self, name: str) -> tuple[str, ...]:
        """The stages whose products a stage reads; training on manifests of the recipe's own reads none."""
        return () if name == "train" and self.recipe.train.manifests else BY_NAME[name].inputs

    def reads(self, stage: Stage) -> tuple[str, ...]:
        """The keys that a stage reads; a training that augments recordings anew reads all of `augment`."""
        if stage.name == "train" and self.recipe.train.rerecorded:
            return (*stage.reads, "augment")
        return stage.reads

    def files_of(self, stage: Stage) -> Iterator[Path]:
        """The files that the keys of a stage name, as the recipe writes them."""
        for key in self.reads(stage):
            yield from named_files(self._value(key))

    def _value(self, key: str) -> Any:
        """The value of a key such as ``train`` or ``augment.snr_db``."""
        value: Any = self.recipe
        for part in key.split("."):
            value = getattr(value, part)
        return value

    def is_current(self, name: str) -> bool:
        """True if the product is there, whole, and made from what the recipe says now."""
        if name in self.recipe.products:
            return True
        note = self._note(name)
        return self.product(name).exists() and note.is_file() and note.read_text() == self.signature(name)

    def first_stale(self, name: str) -> str | None:
        """Of the stages that a stage builds on, directly or not, the first that must be run; None: it can start."""
        for needed in self.inputs(name):
            if not self.is_current(needed):
                return self.first_stale(needed) or needed
        return None

    def mark_current(self, name: str, signature: str) -> None:
        """Record beside a finished product the signature that it was made by."""
        write_text(self._note(name), signature)

    def mark_stale(self, name: str) -> None:
        """To be called before a product is made again: what is left half-way belongs to no signature."""
        self._note(name).unlink(missing_ok=True)

    def add_seconds(self, signature: str, seconds: float) -> None:
        """Count time spent on a product, named by its signature; an interrupted stage adds up, a killed one cannot."""
        times = self._times()
        times[signature] = round(times.get(signature, 0.0) + seconds, 1)
        write_text(self.folder / TIMES, json.dumps(times, indent=1) + "\n")

    def seconds(self) -> float:
        """Time spent on the products of the recipe as it is now."""
        times = self._times()
        return sum(times.get(self.signature(name), 0.0) for name in BY_NAME if name not in self.recipe.products)

    def _times(self) -> dict[str, float]:
        path = self.folder / TIMES
        return dict(json.loads(path.read_text())) if path.is_file() else {}

    def _note(self, name: str) -> Path:
        return self.folder / f"{BY_NAME[name].number}-{name}.signature"


class UndeclaredError(RuntimeError):
    """A stage reads what the table of stages does not say of it, so that its signature would not cover it."""


@dataclass(frozen=True)
class StageRun:
    """A run as one of its stages sees it: the keys, files and inputs that the stage declares, and its own product.

    Whatever else it asks for is an `UndeclaredError` that names it.
    """

    run: Run
    stage: Stage

    @property
    def folder(self) -> Path:
        return self.run.folder

    @cached_property
    def recipe(self) -> Recipe:
        """The declared part of the recipe."""
        return cast(
            Recipe, RecipeView(self.run.recipe, (*self.run.reads(self.stage), *self.stage.shows), self.stage.name)
        )

    def product(self, name: str) -> Path:
        """Where an input of the stage lies, or its own product."""
        if name != self.stage.name and name not in self.run.inputs(self.stage.name):
            raise UndeclaredError(f"stage {self.stage.name} reads the product of {name}; add it to its `inputs`")
        return self.run.product(name)

    def resolve(self, path: Path) -> Path:
        """A file that a declared key names."""
        if path not in self.run.files_of(self.stage):
            raise UndeclaredError(f"stage {self.stage.name} reads {path}, which no key in its `reads` names")
        return self.run.resolve(path)

    def matching(self, pattern: str) -> list[Path]:
        """The files of a pattern in a declared key, as many as there are."""
        if pattern not in self.recipe.train.growing_manifests:
            raise UndeclaredError(
                f"stage {self.stage.name} reads {pattern}, which train.growing_manifests does not name"
            )
        return self.run.matching(pattern)

    def signature(self) -> str:
        """The signature that the product will carry."""
        return self.run.signature(self.stage.name)


AnyRun = Run | StageRun
"""For what stages and commands share."""


class RecipeView:
    """The keys of a recipe, or of one of its sections, that a stage declares; any other is an `UndeclaredError`."""

    def __init__(self, section: Section, keys: Collection[str], stage: str, at: str = "") -> None:
        self._section = section
        self._keys = frozenset(keys)
        self._stage = stage
        self._at = at

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):  # what copy and pickle ask every object
            raise AttributeError(key)
        value = getattr(self._section, key)
        if key in self._keys:
            return value
        below = [name.removeprefix(f"{key}.") for name in self._keys if name.startswith(f"{key}.")]
        if not below:
            raise UndeclaredError(
                f"stage {self._stage} reads {self._at}{key}; add it to its `reads` in stages/table.py"
            )
        return RecipeView(value, below, self._stage, f"{self._at}{key}.")
