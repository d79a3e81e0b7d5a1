"""Recipes: what is wrong is named, what is not said has the default, `--set` edits the recipe."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from shoptalk.core import config, yaml_text
from shoptalk.core.errors import LexiconError, PolicyError, RecipeError
from shoptalk.core.recipe import ON_A_GPU, ModelSection, Recipe, effective, named_files
from shoptalk.corpus import lexicon
from shoptalk.release.gate_policy import read_policy

RECIPES = sorted(path for path in (Path(__file__).parents[2] / "recipes").glob("*.yaml") if "gate" not in path.stem)


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_recipe_is_the_defaults(tmp_path: Path) -> None:
    assert config.load(written(tmp_path, "")) == Recipe() == config.changed(())


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_the_recipes_of_the_project_load(path: Path) -> None:
    assert config.load(path).name == path.stem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trian: {steps: 3}", "trian: no such key; did you mean train"),
        ("train: {stepz: 3}", "train.stepz: no such key; did you mean steps"),
        ("train: {steps: 0}", "train.steps: Input should be greater"),
        ("train: {model: {width: 3}}", "train.model.width"),
        ("train: {precision: fp8}", "train.precision"),
        ("train: {feature_tempo: [2, 1]}", "feature_tempo is a range, the lower number first, from 0.25 to 4"),
        ("speech: {speed: [1.2, 0.8]}", "speed is a range, the lower number first"),
        ("speech: {speed: [-1, 1]}", "speed is a range, the lower number first, from 0.25 to 4"),
        ("augment: {speed: [0, 0]}", "speed is a range"),
        ("augment: {snr_db: [.nan, 5]}", "snr_db is a range"),
        ("augment: {gain_db: [1000, 2000]}", "gain_db is a range, the lower number first, from -60 to 60"),
        ("transcripts: {min_words: 30}", "min_words is 30, above max_words, 24"),
        ("transcripts: {min_words: -3}", "transcripts.min_words: Input should be greater"),
        ("transcripts: {contexts: [' ']}", "contexts: one is empty"),
        ("train: [", "not YAML"),
        ("- train", "a recipe is a mapping of sections, this is a list"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        config.load(written(tmp_path, text))


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="train.stepz.*evaluate.batch"):
        config.load(written(tmp_path, "train: {stepz: 3}\nevaluate: {batch: 0}"))


def test_an_absent_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such recipe"):
        config.load(tmp_path / "none.yaml")


def test_changes_edit_the_recipe(tmp_path: Path) -> None:
    path = written(tmp_path, "train: {steps: 5, batch_s: 30}")
    changes = ("train.steps=7", "augment.snr_db=[3, 9]", "transcripts.llm.kind=openai", "train.model={}", "name=other")
    recipe = config.load(path, changes)
    assert (recipe.train.steps, recipe.train.batch_s, recipe.name) == (7, 30, "other")
    assert recipe.augment.snr_db == (3, 9) and recipe.transcripts.llm.kind == "openai"
    assert recipe.train.model == ModelSection()


def test_a_trade_is_one_line() -> None:
    assert config.changed(("transcripts.trade='  '",)).transcripts.trade == ""
    assert config.changed(('transcripts.trade=" a coffee\\n bar"',)).transcripts.trade == "a coffee bar"


@pytest.mark.parametrize(
    "change", ["train.steps", "=5", "train.steps=none", "train.stepz=5", "name.steps=5", "seed=[", "."]
)
def test_a_bad_change_is_named(tmp_path: Path, change: str) -> None:
    with pytest.raises(RecipeError):
        config.load(written(tmp_path, "name: mine"), (change,))


def test_a_section_that_is_left_empty_can_be_changed(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="'train' is not a section"):
        config.load(written(tmp_path, "train:"), ("train.steps=5",))


def test_recipes_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Recipe().train.steps = 3  # type: ignore[misc]


def test_the_environment_is_read_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHOPTALK_CACHE", str(tmp_path))
    assert config.cache_dir() == tmp_path
    monkeypatch.delenv("SHOPTALK_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert config.cache_dir() == tmp_path / "shoptalk"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert config.cache_dir() == Path.home() / ".cache" / "shoptalk"
    assert config.environment("SHOPTALK_NOT_SET", "else") == "else"


def test_a_key_that_occurs_twice_is_named_with_its_lines(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"r-dup\.yaml: .*the key 'lexicon' stands on lines 2 and 4; keep one"):
        config.load(Path(__file__).parents[1] / "cases" / "r-dup.yaml")
    (tmp_path / "terms.yaml").write_text("- text: metformin\n  category: drug\n  text: apixaban\n", encoding="utf-8")
    with pytest.raises(LexiconError, match=r"terms\.yaml: .*the key 'text' stands on lines 1 and 3"):
        lexicon.load([tmp_path / "terms.yaml"])
    with pytest.raises(PolicyError, match=r"gate\.yaml: .*the key 'speed' stands on lines 1 and 2"):
        read_policy("speed: {}\nspeed: {}\n", "gate.yaml")


@pytest.mark.parametrize("content", [b"name: \x81\n", b"name: 2026-13-45\n", b"[" * 5000, b"? [a]\n: b\n"])
def test_what_is_no_yaml_is_told_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"recipe\.yaml: "):
        config.load(path)


def test_a_merged_mapping_may_have_its_own_keys() -> None:
    assert yaml_text.load("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: [*a, *a]\n")["b"] == {"x": 3, "y": 2}


def test_the_environment_is_put_back_however_a_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_PORT", "1")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(KeyboardInterrupt), config.put_back(("MASTER_PORT", "LOCAL_RANK")):
        os.environ.update({"MASTER_PORT": "2", "LOCAL_RANK": "0"})
        raise KeyboardInterrupt
    assert os.environ["MASTER_PORT"] == "1" and "LOCAL_RANK" not in os.environ


@pytest.mark.parametrize("key", ["attention_kernel=true", "cuda_graphs=true", "fp8_manifest=speech.jsonl"])
def test_what_is_for_a_gpu_is_refused_on_a_cpu_by_name(key: str) -> None:
    name = key.partition("=")[0]
    with pytest.raises(RecipeError, match=f"{name} is for a GPU; add engine.device=cuda"):
        config.changed((f"engine.{key}",))
    section = config.changed((f"engine.{key}", "engine.device=cuda")).engine
    assert section.device == "cuda"


def test_a_gpu_changes_no_signature_but_8_bit_floats_do() -> None:
    plain = effective(config.changed(()).engine)
    assert effective(config.changed(("engine.device=cuda", "engine.fused_kernels=true")).engine) == plain
    on_gpu = config.changed(("engine.device=cuda", "engine.fp8_manifest=speech.jsonl")).engine
    assert effective(on_gpu) == {**plain, "fp8_manifest": "speech.jsonl"}
    assert list(named_files(on_gpu)) == [Path("speech.jsonl")]


@pytest.mark.parametrize(
    ("runs_kernels", "words", "taken"),
    [
        (True, (), {"fused_kernels", "cuda_graphs", "device_decoding"}),
        (False, (), set()),
        (True, ("engine.fused_kernels=false",), set()),
        (False, ("engine.attention_kernel=true",), {"attention_kernel", "cuda_graphs", "device_decoding"}),
        (True, ("engine.cuda_graphs=false", "engine.device_decoding=false"), {"fused_kernels"}),
    ],
)
def test_what_is_on_by_default_hangs_on_the_kernels(
    runs_kernels: bool, words: tuple[str, ...], taken: set[str]
) -> None:
    section = config.changed(("engine.device=cuda", *words)).engine
    assert {key for key in ON_A_GPU if section.on_gpu(key, runs_kernels=runs_kernels)} == taken
    assert not any(config.changed(()).engine.on_gpu(key, runs_kernels=True) for key in ON_A_GPU)
