"""`shoptalk init`: files that work as they are, and nothing overwritten."""

from pathlib import Path

import pytest
from tests.cli.working import shoptalk

from shoptalk.core import config
from shoptalk.core.errors import LexiconError, RecipeError
from shoptalk.core.records import UNSORTED
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


MENU = "# what we sell\nflat white\ncortado\n\ncafé au lait\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("menu.txt", MENU.encode()),
        ("menu.txt", MENU.encode("utf-16")),
        ("menu.txt", MENU.encode("cp1252")),
        ("menu.csv", "text\nflat white\ncortado\ncafé au lait\n".encode()),
        ("menu.tsv", "text\tcategory\nflat white\t\ncortado\t\ncafé au lait\t\n".encode()),
        ("menu.yaml", "- flat white\n- text: cortado\n- café au lait\n".encode()),
        ("menu.jsonl", '{"text": "flat white"}\n{"text": "cortado"}\n{"text": "café au lait"}\n'.encode()),
    ],
)
def test_a_users_list_is_the_lexicon(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    recipe_path, terms_path, _ = starting.start(tmp_path / "bar", [tmp_path / name])
    recipe = config.load(recipe_path)
    assert [recipe_path.parent / path for path in recipe.lexicon.files] == [terms_path]
    assert recipe.lexicon.weigh
    terms = lexicon.load([terms_path])
    assert [(term.text, term.category) for term in terms] == [
        ("flat white", UNSORTED),
        ("cortado", UNSORTED),
        ("café au lait", UNSORTED),
    ]


def test_what_a_lexicon_says_is_kept(tmp_path: Path) -> None:
    row = "- {text: cortado, category: drink, variants: [cortadito], risk: high, taught: true}\n- flat white\n"
    (tmp_path / "menu.yaml").write_text(row)
    _, terms_path, _ = starting.start(tmp_path / "bar", [tmp_path / "menu.yaml"])
    assert lexicon.load([terms_path]) == lexicon.load([tmp_path / "menu.yaml"])


def test_terms_that_are_rehearsed_are_no_control(tmp_path: Path) -> None:
    (tmp_path / "sizes.yaml").write_text("- small\n- cortado\n- {text: large, taught: false}\n")
    recipe_path, terms_path, _ = starting.start(tmp_path / "bar", [tmp_path / "sizes.yaml"])
    assert "- {text: small, taught: true}  # trained" in terms_path.read_text()
    terms = lexicon.hold_out(lexicon.load([terms_path]), part=0.6, seed=config.load(recipe_path).seed)
    assert {term.text: term.taught for term in terms} == {"small": True, "cortado": False, "large": False}


def test_a_lexicon_at_its_place_stays(tmp_path: Path) -> None:
    (tmp_path / "terms.yaml").write_text("# mine\n- flat white\n- cortado\n")
    starting.start(tmp_path, [tmp_path / "terms.yaml"])
    assert (tmp_path / "terms.yaml").read_text() == "# mine\n- flat white\n- cortado\n"
    assert config.load(tmp_path / "recipe.yaml").lexicon.weigh


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("flat white\ncortado\nFlat White\n", r"menu\.txt:3: text 'flat white' occurs already in .*menu\.txt:1"),
        ("flat white\n☕\n", r"menu\.txt:2: text '☕'"),
        ("flat white\n", "1 term; give at least 2"),
        ("# nothing\n", "no terms"),
    ],
)
def test_a_list_that_cannot_be_used_writes_nothing(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "menu.txt").write_text(content)
    with pytest.raises(LexiconError, match=told):
        starting.start(tmp_path / "bar", [tmp_path / "menu.txt"])
    assert not (tmp_path / "bar").exists()


@pytest.mark.parametrize("trade", ["", "a coffee bar", 'Joe\'s "bar": coffee # tea', "ein Café"])
def test_the_trade_stands_in_the_recipe(tmp_path: Path, trade: str) -> None:
    (tmp_path / "menu.txt").write_text(MENU)
    recipe_path, _, _ = starting.start(tmp_path / "bar", [tmp_path / "menu.txt"], trade=trade)
    assert config.load(recipe_path).transcripts.trade == trade


def test_from_a_list_to_stage_10(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("spellchecker")
    (tmp_path / "menu.txt").write_text(MENU)
    assert shoptalk("init", tmp_path / "menu.txt", "--trade", "a coffee bar", "--to", tmp_path / "bar") == 0
    assert "the lexicon: your terms" in capsys.readouterr().out
    assert shoptalk("lexicon", "--recipe", tmp_path / "bar" / "recipe.yaml", "--run", tmp_path / "run") == 0
    weights = {term.text: term.weight for term in lexicon.load([tmp_path / "run" / "10-lexicon.jsonl"])}
    assert weights["cortado"] > 1 > weights["flat white"], "common words get fewer sentences"
