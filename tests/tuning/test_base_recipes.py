"""The recipes of the bases: models of the size that was asked for, and a training that goes on where it stopped."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.tuning import speech

from shoptalk.core import config
from shoptalk.core.examples import read_manifest
from shoptalk.integrations import nemo
from shoptalk.tuning.module import rate_at
from shoptalk.tuning.tokenizer import train_tokenizer
from shoptalk.tuning.trainer import ASRTrainer, TrainingData

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "recipes" / "base-small.yaml"
HALF_PRECISION_BYTES = 2


@pytest.mark.parametrize(("name", "least", "most"), [("base-tiny-start", 4.5e6, 5.5e6), ("base-small", 12e6, 15e6)])
def test_the_shape_is_as_large_as_its_name_says(name: str, least: float, most: float, tmp_path: Path) -> None:
    shape = config.load(ROOT / "recipes" / f"{name}.yaml").train.model
    assert shape
    texts = [entry.text for entry in read_manifest(ROOT / "assets" / "general" / "rehearsal.jsonl")]
    tokenizer = train_tokenizer(texts, tmp_path / "tokenizer", vocabulary=shape.vocabulary)
    parameters = sum(p.numel() for p in nemo.build(shape, tokenizer, sigma=0.02, omega=0.1).parameters())
    assert least < parameters < most and parameters * HALF_PRECISION_BYTES < 30e6


def test_tiny_goes_on_from_the_model_that_its_start_makes() -> None:
    start, tiny = (config.load(ROOT / "recipes" / f"{name}.yaml").train for name in ("base-tiny-start", "base-tiny"))
    assert tiny.model is None and tiny.init == "runs/base-tiny-start/60-train/tuned.nemo"
    assert set(start.manifests) < set(tiny.manifests) and start.dev_manifests == tiny.dev_manifests


def test_the_decay_is_the_end_of_the_long_training_on_the_same_material() -> None:
    more, decay = (config.load(ROOT / "recipes" / f"{name}.yaml") for name in ("base-tiny-more", "base-tiny-decay"))
    assert more.train.init == "runs/base-tiny/60-train/tuned.nemo" and decay.train.init == ".local/base/plateau.nemo"
    own = {"init", "steps", "decay_part"}
    assert more.train.model_dump(exclude=own) == decay.train.model_dump(exclude=own)
    assert more.augment == decay.augment
    assert rate_at(more.train.steps - 100, more.train) == 1.0
    assert rate_at(decay.train.steps // 2, decay.train) == pytest.approx(0.5, abs=0.01)


class Stop(Exception):
    pass


def stop_after_first_round(line: str) -> None:
    if line.startswith("step 2"):
        raise Stop


def test_small_trains_on_words_that_are_timed_and_goes_on_where_it_stopped(
    mlflow_database: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in speech.manifest(tmp_path).read_text().splitlines()]
    for row in rows:
        words, each_s = row["text"].split(), row["duration"] / len(row["text"].split())
        row["words"] = [[word, i * each_s, (i + 1) * each_s] for i, word in enumerate(words)]
    timed = tmp_path / "timed.jsonl"
    timed.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = config.load(SMALL, (
        "train.steps=4", "train.eval_every_steps=2", "train.aligned_rounds=1", "train.batch_s=6", "train.threads=1",
        "train.model.vocabulary=90", "train.dev_utterances=2", "train.model.layers=2",
        f"train.mlflow=sqlite:///{shutil.copy(mlflow_database, tmp_path)}",
    ))  # fmt: skip
    data = TrainingData([timed], [timed], [timed])

    def histories(folder: Path) -> object:
        return json.loads((folder / "history.json").read_text())

    whole, parts = tmp_path / "whole", tmp_path / "parts"

    def fit(folder: Path, say: Callable[[str], None]) -> Path:
        trainer = ASRTrainer(recipe, data, folder, init="", say=say)
        trainer.prepare()
        return trainer.fit()

    fit(whole, lambda line: None)
    with pytest.raises(Stop):
        fit(parts, stop_after_first_round)
    assert [row["step"] for row in histories(parts)] == [2]
    assert fit(parts, lambda line: None).is_file()
    assert histories(parts) == histories(whole)
