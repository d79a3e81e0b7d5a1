"""The run folder: where the products of stages lie, and what signature each must carry."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from shoptalk.core.errors import RecipeError
from shoptalk.core.files import digest, file_digests, write_text
from shoptalk.core.recipe import Recipe, Section, TrainSection
from shoptalk.stages.table import BY_NAME

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
        """A path of the recipe: absolute, else relative to the recipe's folder, its parent, or the working folder."""
        tried = [path] if path.is_absolute() else [base / path for base in self._bases]
        for candidate in tried:
            if candidate.exists():
                return candidate
        raise RecipeError(f"{path}: not found; looked for {', '.join(map(str, tried))}")

    @cached_property
    def _bases(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys((self.recipe_folder, self.recipe_folder.parent, Path.cwd())))

    def signature(self, name: str) -> str:
        """What the product of a stage depends on: recipe sections, files they name, inputs, code version."""
        own = self.recipe.products.get(name)
        if own:
            return digest(["own", file_digests(self.resolve(own))])
        stage = BY_NAME[name]
        sections = [getattr(self.recipe, section) for section in stage.sections]
        content = [section.model_dump(mode="json") for section in sections]
        files = [self._files(section) for section in sections]
        return digest(
            [name, stage.code_version, self.recipe.seed, content, files, [self.signature(i) for i in self.inputs(name)]]
        )

    def inputs(self, name: str) -> tuple[str, ...]:
        """The stages whose products a stage reads; training on manifests of the recipe's own reads none."""
        return () if name == "train" and self.recipe.train.manifests else BY_NAME[name].inputs

    def _files(self, section: Section) -> list[str]:
        """Digests of the files that a section names; a model from scratch starts from none."""
        from_scratch = isinstance(section, TrainSection) and section.model is not None
        named = [value for key, value in dict(section).items() if not (from_scratch and key == "init")]
        values = [one for value in named for one in (value if isinstance(value, tuple) else (value,))]
        paths = [Path(str(one)) for one in values if isinstance(one, Path) or str(one).endswith(".nemo")]
        return [found for path in paths for found in file_digests(self.resolve(path))]

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
