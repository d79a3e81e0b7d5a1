"""Signatures change with what can change a product, and with nothing else."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from shoptalk.core import config
from shoptalk.core.errors import RecipeError
from shoptalk.core.recipe import Recipe
from shoptalk.stages import run
from shoptalk.stages.run import Run, UndeclaredError
from shoptalk.stages.table import BY_NAME, STAGES

DOWNSTREAM = {
    "lexicon": set(BY_NAME),
    "transcripts": set(BY_NAME) - {"lexicon"},
    "speech": {"speech", "augment", "dataset", "train", "evaluate", "package"},
    "augment": {"augment", "dataset", "train", "evaluate", "package"},
    "dataset": {"dataset", "train", "evaluate", "package"},
    "train": {"train", "evaluate", "package"},
    "evaluate": {"evaluate", "package"},
    "package": {"package"},
}
FILES = ("terms.csv", "carriers.jsonl", "noise.jsonl", "base.nemo", "general/test.jsonl")
CHANGES = {
    "lexicon": "lexicon.untaught=0.3",
    "transcripts": "transcripts.train_per_term=3",
    "speech": "speech.blend=0.1",
    "augment": "augment.room=0.1",
    "dataset": "dataset.general_test_utterances=5",
    "train": "train.steps=3",
    "evaluate": "evaluate.bootstrap=300",
    "package": "package.name=mine",
}


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Recipe]:
    """A recipe whose files all lie in `tmp_path`, with changes."""
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    own = (
        "lexicon.files=[terms.csv]", "transcripts.carrier_files=[carriers.jsonl]",
        "augment.noise_manifest=noise.jsonl", "train.init=base.nemo", "dataset.general=general",
    )  # fmt: skip
    return lambda *changes: config.changed((*own, *changes))


def signatures(folder: Path, recipe: Recipe) -> dict[str, str]:
    opened = Run(folder / "run", recipe, folder)
    return {stage.name: opened.signature(stage.name) for stage in STAGES}


def differing(one: dict[str, str], other: dict[str, str]) -> set[str]:
    return {name for name in one if one[name] != other[name]}


@pytest.mark.parametrize("section", CHANGES)
def test_a_section_changes_its_stage_and_what_follows(
    section: str, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    before, after = signatures(tmp_path, recipe()), signatures(tmp_path, recipe(CHANGES[section]))
    assert differing(before, after) == DOWNSTREAM[section]


def test_the_service_changes_nothing_and_the_seed_everything(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    before = signatures(tmp_path, recipe())
    assert not differing(before, signatures(tmp_path, recipe("serve.port=1")))
    assert differing(before, signatures(tmp_path, recipe("seed=8"))) == set(BY_NAME)


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("terms.csv", "lexicon"), ("carriers.jsonl", "transcripts"), ("noise.jsonl", "augment"),
        ("general/test.jsonl", "dataset"), ("base.nemo", "train"),
    ],
)  # fmt: skip
def test_a_file_changes_the_stage_that_reads_it(
    file: str, stage: str, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    before = signatures(tmp_path, recipe())
    (tmp_path / file).write_text("changed")
    assert differing(before, signatures(tmp_path, recipe())) == DOWNSTREAM[stage]


def test_the_code_version_counts(
    recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signatures(tmp_path, recipe())
    monkeypatch.setitem(run.BY_NAME, "speech", replace(BY_NAME["speech"], code_version=99))
    assert differing(before, signatures(tmp_path, recipe())) == DOWNSTREAM["speech"]


def test_a_product_of_the_users_own_stands_in(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    mine = tmp_path / "mine.jsonl"
    mine.write_text("{}")
    own = recipe(f"products.transcripts={mine}")
    opened = Run(tmp_path / "run", own, tmp_path)
    assert opened.product("transcripts") == mine and opened.is_current("transcripts")
    assert opened.product("speech") == tmp_path / "run" / "30-speech.jsonl"
    before = signatures(tmp_path, own)
    assert not differing(before, signatures(tmp_path, recipe(f"products.transcripts={mine}", CHANGES["transcripts"])))
    mine.write_text("{ }")
    assert differing(before, signatures(tmp_path, own)) == DOWNSTREAM["transcripts"]


def test_training_on_own_manifests_needs_no_corpus(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text("{}")
    own = "train.manifests=[own.jsonl]"
    before = signatures(tmp_path, recipe(own))
    assert "train" not in differing(before, signatures(tmp_path, recipe(own, CHANGES["lexicon"])))
    (tmp_path / "own.jsonl").write_text("{ }")
    assert "train" in differing(before, signatures(tmp_path, recipe(own)))


def test_a_product_is_current_only_if_it_is_there_and_signed(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    opened = Run(tmp_path / "run", recipe(), tmp_path)
    product = opened.product("lexicon")
    product.parent.mkdir()
    assert not opened.is_current("lexicon")
    product.write_text("")
    assert not opened.is_current("lexicon")
    opened.mark_current("lexicon", opened.signature("lexicon"))
    assert opened.is_current("lexicon")
    opened.mark_stale("lexicon")
    assert not opened.is_current("lexicon")
    opened.mark_current("lexicon", opened.signature("lexicon"))
    assert not Run(opened.folder, recipe(CHANGES["lexicon"]), tmp_path).is_current("lexicon")
    product.unlink()
    assert not opened.is_current("lexicon")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    opened = Run(tmp_path / "run", config.changed(("lexicon.files=[none.csv]",)), tmp_path)
    with pytest.raises(RecipeError, match=r"none.csv: not found; looked for"):
        opened.signature("lexicon")


def test_the_first_stale_stage_is_found(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    opened = Run(tmp_path, recipe(), tmp_path)
    assert opened.first_stale("train") == "lexicon" and opened.first_stale("lexicon") is None
    for name in ("lexicon", "transcripts"):
        opened.product(name).write_text("")
        opened.mark_current(name, opened.signature(name))
    assert opened.first_stale("train") == "speech" and opened.first_stale("speech") is None


def test_products_of_unknown_stages_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="products.specch: no such stage"):
        Run(tmp_path, config.changed(("products.specch=a.jsonl",)), tmp_path)


def test_seconds_add_up_for_the_recipe_as_it_is(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    opened = Run(tmp_path, recipe(), tmp_path)
    assert opened.seconds() == 0
    for name, seconds in (("speech", 1.5), ("speech", 2.0), ("train", 1.0)):
        opened.add_seconds(opened.signature(name), seconds)
    assert opened.seconds() == 4.5
    assert Run(tmp_path, recipe(CHANGES["train"]), tmp_path).seconds() == 3.5


def test_manifests_that_grow_are_taken_as_they_are_there_and_leave_the_signature(
    recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    opened = Run(tmp_path / "run", recipe("train.growing_manifests=['parts/???-features.jsonl']"), tmp_path)
    (pattern,) = opened.recipe.train.growing_manifests
    before = opened.signature("train")
    assert opened.matching(pattern) == []
    (tmp_path / "parts").mkdir()
    for name in ("001-features.jsonl", "000-features.jsonl", "002-features.jsonl.partial", "002.jsonl"):
        (tmp_path / "parts" / name).write_text("")
    expected = [tmp_path / "parts" / name for name in ("000-features.jsonl", "001-features.jsonl")]
    assert opened.matching(pattern) == opened.matching(str(tmp_path / pattern)) == expected
    seen_by_stage = opened.of_stage("train")
    assert seen_by_stage.matching(pattern) == expected
    with pytest.raises(UndeclaredError, match=r"growing_manifests"):
        seen_by_stage.matching("other/*.jsonl")
    assert opened.signature("train") == before


def test_a_text_that_is_not_there_may_be_there_compressed(tmp_path: Path) -> None:
    made = Run(tmp_path / "run", Recipe(name="small"), tmp_path)
    (tmp_path / "texts.txt.xz").touch()
    assert made.resolve(Path("texts.txt")) == tmp_path / "texts.txt.xz"
    (tmp_path / "texts.txt").touch()
    assert made.resolve(Path("texts.txt")) == tmp_path / "texts.txt"
