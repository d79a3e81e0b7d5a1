"""`shoptalk init`: a recipe, a lexicon and a policy to edit, in the user's folder."""

from importlib import resources
from pathlib import Path

from shoptalk.core.errors import RecipeError
from shoptalk.core.files import write_text

RECIPE = "recipe.yaml"
FILES = {
    RECIPE: "one experiment",
    "terms.yaml": "the lexicon: replace its terms by yours",
    "gate.yaml": "what a tuned model must show before it is used",
}
"""What is written, and what each file is for."""


def start(folder: Path) -> list[Path]:
    """Write the files into a folder, made if need be; `RecipeError`, and nothing written, if one is there already."""
    if folder.exists() and not folder.is_dir():
        raise RecipeError(f"{folder}: a file, not a folder; name another with --to")
    there = [name for name in FILES if (folder / name).exists()]
    if there:
        raise RecipeError(f"{folder}: has {', '.join(there)} already; move it away, or name another folder with --to")
    templates = resources.files("shoptalk.stages").joinpath("start")
    for name in FILES:
        write_text(folder / name, templates.joinpath(name).read_text(encoding="utf-8"))
    return [folder / name for name in FILES]
