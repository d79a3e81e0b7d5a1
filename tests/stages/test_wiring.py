"""Every stage runs with what the table of stages lets it read, and reads all of that: the table cannot lie."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.corpus import fake_tts

from shoptalk.core import config
from shoptalk.integrations import kokoro
from shoptalk.stages import execution, run
from shoptalk.stages.run import RecipeView, Run
from shoptalk.stages.table import STAGES

ROOT = Path(__file__).parents[2]
CHANGES = (
    "transcripts.live_carriers=0", "transcripts.train_per_term=1", "transcripts.test_per_term=1", "speech.workers=1",
    "dataset.general_test_utterances=2", "dataset.general_dev_utterances=2",
    "train.steps=1", "train.eval_every_steps=1", "train.dev_utterances=2", "train.devices=1", "train.precision=32-true",
    "evaluate.bootstrap=100", "evaluate.long_form_s=0", "evaluate.silence_s=3", "engine.fill_holes=false",
)  # fmt: skip


def general(folder: Path) -> Path:
    """A general set of twelve utterances to rehearse and two to test."""
    source, target = ROOT / "assets" / "general", folder / "general"
    target.mkdir()
    for part, count in (("rehearsal", 12), ("test", 2)):
        lines = (source / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()[:count]
        rows = [json.loads(line) for line in lines]
        moved = [{**row, "audio_filepath": str(source / row["audio_filepath"])} for row in rows]
        (target / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in moved))
    return target


@pytest.fixture
def touched(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[tuple[str, str]]]:
    """Each stage with each key that it asked for."""
    seen: set[tuple[str, str]] = set()
    ask = RecipeView.__getattr__

    def noted(view: RecipeView, key: str) -> Any:
        value = ask(view, key)
        if not isinstance(value, RecipeView) and not key.startswith("_"):
            seen.add((view._stage, f"{view._at}{key}"))
        return value

    monkeypatch.setattr(run.RecipeView, "__getattr__", noted)
    yield seen


def test_each_stage_reads_what_it_declares(
    touched: set[tuple[str, str]], tmp_path: Path, tiny_nemo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kokoro, "prepare", lambda: None)
    monkeypatch.setattr(kokoro, "load", fake_tts.make())
    changes = (*CHANGES, f"train.init={tiny_nemo}", f"dataset.general={general(tmp_path)}")
    recipe = config.load(ROOT / "recipes" / "ci.yaml", changes)
    opened = Run(tmp_path / "run", recipe, ROOT / "recipes")
    opened.folder.mkdir()
    execution.make_all(opened)
    assert all(opened.is_current(stage.name) for stage in STAGES)
    declared = {(stage.name, key) for stage in STAGES for key in (*stage.reads, *stage.shows)}
    assert touched == declared


def test_each_stage_has_its_maker() -> None:
    assert list(execution.MAKE) == [stage.name for stage in STAGES]
