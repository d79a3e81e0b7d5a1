"""The whole road on the shrunken demo: real NeMo, real Kokoro, a real LLM, the real server, and real kills."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shoptalk.core import config
from shoptalk.stages.run import Run
from shoptalk.stages.table import STAGES

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes" / "ci.yaml"
KILL_WITHIN_S = 240.0

pytestmark = pytest.mark.slow


class Road:
    """A run folder and the command line that works in it."""

    def __init__(self, folder: Path):
        self.folder = folder

    def command(self, name: str, *changes: str) -> list[str]:
        options = [part for change in changes for part in ("--set", change)]
        place = ["--recipe", str(RECIPE), "--run", str(self.folder)]
        return [sys.executable, "-m", "shoptalk.cli", name, *place, *options]

    def shoptalk(self, name: str, *changes: str) -> str:
        done = subprocess.run(
            self.command(name, *changes), capture_output=True, text=True, check=False, cwd=ROOT, env=_environment()
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def kill(self, name: str, when: Callable[[], bool]) -> None:
        """Start a stage and kill its process group as soon as `when` holds, while it is still at work."""
        with (self.folder / "killed.log").open("w") as log:
            process = subprocess.Popen(
                self.command(name), stdout=log, stderr=log, cwd=ROOT, env=_environment(), start_new_session=True
            )
            until = time.monotonic() + KILL_WITHIN_S
            while not when() and process.poll() is None and time.monotonic() < until:
                time.sleep(0.01)
            assert process.poll() is None, f"{name} ended before it could be killed:\n{Path(log.name).read_text()}"
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert when(), f"nothing of {name} was there after {KILL_WITHIN_S:.0f} s"

    def copy(self, folder: Path) -> "Road":
        """The same road in a folder beside."""
        shutil.copytree(self.folder, folder)
        return Road(folder)

    def digests(self, *names: str) -> dict[str, str]:
        """sha256 of the files below some parts of the run folder."""
        files = [file for name in names for file in [self.folder / name, *(self.folder / name).rglob("*")]]
        return {
            str(file.relative_to(self.folder)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in files
            if file.is_file()
        }


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Road, str]:
    """The road, gone once without interruption, and what it printed."""
    road = Road(tmp_path_factory.mktemp("road") / "whole")
    return road, road.shoptalk("demo")


def test_the_demo_goes_the_whole_road(demo: tuple[Road, str]) -> None:
    road, printed = demo
    missing = [stage.product for stage in STAGES if not (road.folder / stage.product).exists()]
    assert not missing
    assert not list(road.folder.rglob("*.partial"))
    for expected in ("before", "after", "Trained terms missed", "Held-out terms missed", "Word errors, general speech"):
        assert expected in printed
    report = re.search(r"^report: (.*)$", printed, re.MULTILINE)
    assert report and "<html" in Path(report.group(1)).read_text(encoding="utf-8")
    reference = re.search(r"^  reference:  (.*)$", printed, re.MULTILINE)
    hypothesis = re.search(r"^  hypothesis: ?(.*)$", printed, re.MULTILINE)
    first = _lines(road.folder / "70-scores" / "after.jsonl")[0]
    assert reference and hypothesis
    assert reference.group(1) == first["reference"]
    assert hypothesis.group(1).strip() == first["heard"], "the server answers what was scored"
    sources = {line["source"] for line in _lines(road.folder / "20-transcripts.jsonl")}
    assert any(source.startswith("llm:") for source in sources)


def test_a_second_call_makes_nothing_again(demo: tuple[Road, str]) -> None:
    road, _ = demo
    before = {path: path.stat().st_mtime_ns for path in road.folder.rglob("*") if path.is_file()}
    printed = road.shoptalk("run")
    assert printed.splitlines() == [f"{stage.number} {stage.name}: current" for stage in STAGES]
    after = {path: path.stat().st_mtime_ns for path in road.folder.rglob("*") if path.is_file()}
    assert {path.name for path in after if before.get(path) != after[path]} == {"recipe.json"}


def test_the_bundle_hears_what_the_tuned_model_heard(demo: tuple[Road, str]) -> None:
    from shoptalk.core.bundle import open_bundle
    from shoptalk.stages.evaluation import clips_of
    from shoptalk.stages.recognizers import open_engine

    road, _ = demo
    run = Run(road.folder, config.load(RECIPE), RECIPE.parent)
    clips = clips_of(run)
    recognizer = open_engine(open_bundle(road.folder / "80-bundle").nemo, run.recipe.engine, batch=16)
    heard = recognizer.recognize([clip.load() for clip in clips])
    scored = _lines(road.folder / "70-scores" / "after.jsonl")
    assert {line["set"] for line in scored} == {"taught", "untaught", "general", "noisy", "silence", "long"}
    assert [line["id"] for line in scored] == [clip.asked.id for clip in clips]
    assert [line["heard"] for line in scored] == [one.text for one in heard]
    assert any(one.text for one in heard)


def test_other_training_steps_leave_the_corpus_alone(demo: tuple[Road, str]) -> None:
    road = demo[0].copy(demo[0].folder.with_name("longer"))
    corpus = [stage.product for stage in STAGES if stage.number <= 50]
    before, base = road.digests(*corpus), (road.folder / "70-scores" / "before.jsonl").stat().st_mtime_ns
    printed = road.shoptalk("run", "train.steps=6")
    made = [stage.name for stage in STAGES if f"{stage.number} {stage.name}: current" not in printed.splitlines()]
    assert made == ["train", "evaluate", "package"]
    assert road.digests(*corpus) == before
    assert [row["step"] for row in json.loads((road.folder / "60-train" / "history.json").read_text())] == [4, 6]
    assert (road.folder / "70-scores" / "before.jsonl").stat().st_mtime_ns == base, "the base was asked again"


@pytest.mark.parametrize(("stage", "product"), [("speech", "30-speech"), ("augment", "40-augment")])
def test_a_killed_corpus_stage_goes_on_where_it_was(demo: tuple[Road, str], stage: str, product: str) -> None:
    whole = demo[0]
    road = whole.copy(whole.folder.with_name(f"killed-{stage}"))
    manifest, partial = road.folder / f"{product}.jsonl", road.folder / f"{product}.jsonl.partial"
    shutil.rmtree(road.folder / product)
    manifest.unlink()
    road.kill(stage, lambda: partial.is_file() and partial.stat().st_size > 0)
    assert not manifest.exists()
    spoken = {path: path.stat().st_mtime_ns for path in (road.folder / product).rglob("*.flac")}
    road.shoptalk(stage)
    assert road.digests(product, manifest.name) == whole.digests(product, manifest.name)
    assert all(path.stat().st_mtime_ns == at for path, at in spoken.items()), "work was done twice"


def test_killed_training_goes_on_from_its_checkpoint(demo: tuple[Road, str]) -> None:
    import torch

    from shoptalk.core import checkpoint

    whole = demo[0]
    road = whole.copy(whole.folder.with_name("killed-train"))
    folder = road.folder / "60-train"
    shutil.rmtree(folder)
    road.kill("train", (folder / "last.ckpt").exists)
    before = json.loads((folder / "history.json").read_text())
    assert not (folder / "tuned.nemo").exists()
    road.shoptalk("train")
    after = json.loads((folder / "history.json").read_text())
    assert before and len(after) > len(before)
    assert after[: len(before)] == before
    assert after == json.loads((whole.folder / "60-train" / "history.json").read_text())
    tuned, wanted = (
        checkpoint.read_weights(checkpoint.inspect(one / "60-train" / "tuned.nemo"))
        for one in (road.folder, whole.folder)
    )
    assert all(torch.equal(tuned[name], wanted[name]) for name in wanted), "a resumed training came to other weights"
