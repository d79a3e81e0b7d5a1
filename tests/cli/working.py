"""Stages that write a line instead of hours of work, so that the command line can be tried in a blink."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from shoptalk.cli import main
from shoptalk.stages import dataset_report, execution, preflight
from shoptalk.stages.run import StageRun
from shoptalk.stages.table import STAGES

ROOT = Path(__file__).parents[2]
NAMES = [stage.name for stage in STAGES]

RECIPE = """
name: small
lexicon: {files: [terms.yaml]}
transcripts: {carrier_files: []}
augment: {noise_manifest: noise.jsonl}
dataset: {general: general}
train: {init: base.nemo}
"""


def recipe(folder: Path) -> Path:
    """A recipe with every file that it names."""
    (folder / "general").mkdir()
    for name in ("terms.yaml", "noise.jsonl", "base.nemo", "general/test.jsonl"):
        (folder / name).write_text("{}\n")
    (folder / "small.yaml").write_text(RECIPE)
    return folder / "small.yaml"


def fakes(made: list[str]) -> Mapping[str, Callable[[StageRun], None]]:
    """A maker for each stage that notes its name in `made` and writes a product."""

    def maker(name: str) -> Callable[[StageRun], None]:
        def make(run: StageRun) -> None:
            made.append(name)
            product = run.product(name)
            if product.suffix:
                product.write_text(json.dumps({"id": name}) + "\n")
            else:
                product.mkdir(exist_ok=True)

        return make

    return {name: maker(name) for name in NAMES}


def shoptalk(*arguments: object) -> int:
    """Exit status of a command line, argparse's own exits too."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as ended:
        return int(ended.code or 0)


def without_preflight(monkeypatch: pytest.MonkeyPatch, made: list[str]) -> None:
    """Let the stages be `fakes`; what only real ones need is not looked for."""
    monkeypatch.setattr(execution, "MAKE", fakes(made))
    monkeypatch.setattr(preflight, "check", lambda run, names: None)
    monkeypatch.setattr(execution, "fetch_models", lambda run, names: None)
    monkeypatch.setattr(dataset_report, "write", lambda run: run.folder / dataset_report.PAGE)
