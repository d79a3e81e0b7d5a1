"""The run folder: the table of stages, where their products lie, and what signature each must carry."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from shoptalk.errors import RecipeError
from shoptalk.manifest import write_text
from shoptalk.recipe import Recipe, Section, TrainSection

TIMES = "seconds.json"


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
    Stage(30, "speech", "30-speech.jsonl", ("lexicon", "transcripts"), ("speech",), code_version=2),
    Stage(40, "augment", "40-augment.jsonl", ("speech",), ("augment",)),
    Stage(50, "dataset", "50-dataset", ("lexicon", "augment"), ("dataset",), code_version=2),
    Stage(60, "train", "60-train", ("dataset",), ("train",)),
    Stage(70, "evaluate", "70-scores", ("lexicon", "dataset", "train"), ("evaluate", "engine"), code_version=2),
    Stage(80, "package", "80-bundle", ("dataset", "train", "evaluate"), ("package",)),
)
BY_NAME = {stage.name: stage for stage in STAGES}


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
            return digest(["own", _file_digests(self.resolve(own))])
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
        return [found for path in paths for found in _file_digests(self.resolve(path))]

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


def digest(content: object) -> str:
    """A short sha256 of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _file_digests(path: Path) -> list[str]:
    """sha256 of a file, or of the manifests of a folder (audio is named by them and counts by its path)."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    return [file_digest(file) for file in files]


def file_digest(path: Path) -> str:
    """sha256 of a file; read again only after it changed."""
    stat = path.stat()
    return _read_digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=1024)
def _read_digest(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
