"""What ships is found by the name that it has in a clone, after whatever the user has under that name."""

from pathlib import Path

import pytest

from shoptalk.core import config, resources
from shoptalk.core.errors import RecipeError
from shoptalk.core.recipe import Recipe

ROOT = Path(__file__).parents[2]


def test_in_a_clone_the_top_folder_holds_what_ships() -> None:
    assert resources.root() == ROOT


def test_an_installed_package_holds_what_ships(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "shoptalk"
    (package / "resources").mkdir(parents=True)
    monkeypatch.setattr("shoptalk.__file__", str(package / "__init__.py"))
    assert resources.root.__wrapped__() == package / "resources"


def test_the_users_own_file_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    name = Path("recipes/ci.yaml")
    assert resources.locate(name) == ROOT / name
    (tmp_path / "recipes").mkdir()
    (tmp_path / name).write_text("name: mine")
    assert resources.locate(name) == name
    assert config.load(name).name == "mine"


def test_what_is_nowhere_keeps_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert resources.locate(Path("recipes/none.yaml")) == Path("recipes/none.yaml")
    assert resources.locate(tmp_path / "none.yaml") == tmp_path / "none.yaml"
    with pytest.raises(RecipeError, match="recipes/none.yaml: no such recipe; `shoptalk init` writes one"):
        config.load(Path("recipes/none.yaml"))


def test_every_default_that_names_a_file_ships() -> None:
    defaults = Recipe()
    named = [
        *defaults.lexicon.files,
        *defaults.transcripts.carrier_files,
        *defaults.transcripts.frame_files,
        defaults.augment.noise_manifest,
        defaults.dataset.general,
        Path(defaults.train.init),
    ]
    assert all(resources.locate(path).exists() for path in named)
