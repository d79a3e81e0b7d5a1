"""`shoptalk init`: files that work as they are, and nothing overwritten."""

from pathlib import Path

import pytest

from shoptalk.core import config
from shoptalk.core.errors import RecipeError
from shoptalk.corpus import lexicon
from shoptalk.release.gate_policy import read_policy
from shoptalk.stages import starting


def test_what_is_written_can_be_used(tmp_path: Path) -> None:
    recipe_path, terms_path, policy_path = starting.start(tmp_path / "new")
    recipe = config.load(recipe_path)
    assert [recipe_path.parent / path for path in recipe.lexicon.files] == [terms_path]
    assert len(lexicon.load([terms_path])) == 16
    assert read_policy(policy_path.read_text(encoding="utf-8"), str(policy_path))
    assert set(starting.FILES) == {path.name for path in (tmp_path / "new").iterdir()}


def test_nothing_is_overwritten_and_what_is_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "terms.yaml").write_text("mine")
    with pytest.raises(RecipeError, match=r"has terms\.yaml already"):
        starting.start(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["terms.yaml"]
    assert (tmp_path / "terms.yaml").read_text() == "mine"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "here").write_text("")
    with pytest.raises(RecipeError, match="a file, not a folder"):
        starting.start(tmp_path / "here")
