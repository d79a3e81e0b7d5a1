"""Settings come from a recipe, a file and the command line, each before the last, and a wrong key is named."""

from pathlib import Path

import pytest

from shoptalk.core import config
from shoptalk.core.errors import RecipeError
from shoptalk.service import settings
from shoptalk.service.settings import Settings


def test_the_file_goes_before_the_recipe_and_a_change_before_both(tmp_path: Path) -> None:
    recipe, own = tmp_path / "recipe.yaml", tmp_path / "service.yaml"
    recipe.write_text("serve: {port: 1, queue: 1, batch: 1}")
    own.write_text("port: 2\nqueue: 2")
    loaded = config.load(recipe, ("serve.port=3",), settings=settings.read(own))
    assert settings.of_recipe(loaded) == Settings(port=3, queue=2, batch=1)
    assert settings.of_recipe(config.changed((), settings=settings.read(own))) == Settings(port=2, queue=2)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("prot: 1", "service.yaml: prot: no such key; did you mean port?"),
        ("port: many", "service.yaml: port: Input should be a valid integer"),
        ("- port", "settings are a mapping of keys, this is a list"),
        ("port: 1\nport: 2", "the key 'port' stands on lines 1 and 2"),
    ],
)
def test_a_wrong_settings_file_is_told(tmp_path: Path, content: str, told: str) -> None:
    own = tmp_path / "service.yaml"
    own.write_text(content)
    with pytest.raises(RecipeError) as error:
        settings.read(own)
    assert told in str(error.value)
    with pytest.raises(RecipeError, match="no such file"):
        settings.read(tmp_path / "none.yaml")


def test_a_wrong_key_of_the_recipe_is_told_below_its_section() -> None:
    with pytest.raises(RecipeError, match=r"serve\.timeout_s: Input should be greater than 0"):
        settings.of_recipe(config.changed(("serve.timeout_s=0",)))
