"""The gate and the registry on run folders: only what passes is promoted, and all of it is recorded."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.cli.working import recipe, shoptalk
from tests.release.gated import scores

from shoptalk.core import bundle, config
from shoptalk.integrations.registry import CHAMPION, Registry
from shoptalk.release.card import Origin
from shoptalk.release.gate import Verdict
from shoptalk.stages.run import Run

EASY = "domain: {better_by: 0.1}\n"
HARD = "domain: {better_by: 0.9}\n"
NAME = "shoptalk-tuned"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_bundle(folder: Path, weights: str) -> None:
    """A bundle as far as its checksums tell."""
    folder.mkdir(exist_ok=True)
    for name in ("model.safetensors", "tokenizer.model", "vocab.txt", "config.yaml", "model.nemo"):
        (folder / name).write_text(weights)
    about = {"format": bundle.FORMAT, "name": NAME, "title": "t", "origin": asdict(Origin("b", "CC0-1.0", (), "r"))}
    (folder / "bundle.json").write_text(json.dumps(about))
    sums = {path.name: sha256(path) for path in folder.iterdir() if path.name != bundle.CHECKSUMS}
    (folder / bundle.CHECKSUMS).write_text(json.dumps(sums))


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Run]:
    """Makes run folders, scored and packaged, by one recipe; policies lie beside them."""
    monkeypatch.chdir(tmp_path)
    path = recipe(tmp_path)
    Path("easy.yaml").write_text(EASY)
    Path("hard.yaml").write_text(HARD)

    def made(name: str) -> Run:
        run = Run(Path("runs") / name, config.load(path), path.parent)
        run.product("evaluate").mkdir(parents=True)
        (run.product("evaluate") / "scores.json").write_text(scores().model_dump_json())
        (run.product("evaluate") / "report.html").write_text("<!-- gate --><!-- /gate -->")
        write_bundle(run.product("package"), name)
        note = {"recipe": "small.yaml", "set": [], "command": f"run --recipe small.yaml --run runs/{name}"}
        (run.folder / "recipe.json").write_text(json.dumps(note))
        for stage in ("evaluate", "package"):
            run.mark_current(stage, run.signature(stage))
        return run

    return made


# --- the gate --------------------------------------------------------------------------------------------------


def test_the_verdict_is_written_and_is_the_exit_status(
    make: Callable[[str], Run], capsys: pytest.CaptureFixture[str]
) -> None:
    run = make("a")
    folder = run.product("evaluate")
    assert shoptalk("gate", run.folder, "--policy", "easy.yaml") == 0
    assert "Passed: all 1 checks met by easy.yaml" in capsys.readouterr().out
    verdict = Verdict.model_validate_json((folder / "gate.json").read_text())
    assert verdict.passed and verdict.recipe == "small" and verdict.judged_at.endswith("+00:00")
    assert verdict.policy_sha256 == sha256(Path("easy.yaml"))
    assert verdict.scores_sha256 == sha256(folder / "scores.json")
    assert shoptalk("gate", run.folder, "--policy", "hard.yaml") == 1
    assert "FAILED  Term error rate" in capsys.readouterr().out
    assert not Verdict.model_validate_json((folder / "gate.json").read_text()).passed
    assert "Refused" in (folder / "gate.html").read_text()
    assert "Refused: 1 of 1" in (folder / "report.html").read_text()


def test_what_cannot_be_judged_is_an_error(make: Callable[[str], Run], capsys: pytest.CaptureFixture[str]) -> None:
    run = make("a")

    def told(*arguments: object) -> str:
        assert shoptalk("gate", *arguments) == 2
        return capsys.readouterr().err

    assert "PolicyError: none.yaml: no such policy" in told(run.folder, "--policy", "none.yaml")
    assert "not a run folder" in told("elsewhere", "--policy", "easy.yaml")
    (run.product("evaluate") / "scores.json").write_text('{"sets": {}}')
    assert "written by another version" in told(run.folder, "--policy", "easy.yaml")
    Path("small.yaml").write_text(Path("small.yaml").read_text() + "evaluate: {bootstrap: 300}\n")
    assert "the recipe was changed since" in told(run.folder, "--policy", "easy.yaml")
    assert not (run.product("evaluate") / "gate.json").exists()


# --- the registry ----------------------------------------------------------------------------------------------


def test_through_the_gate_and_back(
    make: Callable[[str], Run], registry_uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = ("--registry", registry_uri)
    first, second = make("a"), make("b")
    assert shoptalk("registry", "register", first.folder, "--by", "ann", *there) == 0
    assert shoptalk("registry", "promote", NAME, "--policy", "easy.yaml", "--by", "ann", *there) == 0
    assert shoptalk("registry", "register", second.folder, "--by", "bob", *there) == 0
    assert shoptalk("registry", "promote", NAME, "--policy", "hard.yaml", *there) == 1
    registry = Registry(registry_uri)
    held = registry.holder(NAME, CHAMPION)
    assert held and held.number == "1" and held.tags["recipe"] == "small" and held.tags["registered_by"] == "ann"
    assert held.source == first.product("package").resolve()
    assert len(registry.history(NAME)) == 1, "refused, nothing moves"
    assert shoptalk("registry", "promote", second.folder, "--policy", "easy.yaml", "--by", "bob", *there) == 0
    assert registry.version(NAME, "2").tags["gate_sha256"] == sha256(second.product("evaluate") / "gate.json")
    assert shoptalk("registry", "rollback", NAME, "--by", "cid", "--why", "worse on the ward", *there) == 0
    capsys.readouterr()
    assert shoptalk("registry", "list", NAME, *there) == 0
    shown = capsys.readouterr().out
    assert "   1  champion" in shown and "   2  challenger" in shown
    assert "rollback 2 → 1 by cid: worse on the ward" in shown
    other = tmp_path / "other"
    write_bundle(other, "weights")
    registry.register("another-model", other, {})
    assert shoptalk("registry", "list", *there) == 0
    everything = capsys.readouterr().out
    assert "another-model\n   1  challenger" in everything
    assert f"{NAME}\n{shown}" in everything
    assert set(registry.names()) >= {"another-model", NAME}  # other tests fill the same registry
    assert shoptalk("registry", "rollback", NAME, *there) == 2
    assert "no champion before" in capsys.readouterr().err


def test_a_changed_bundle_is_neither_promoted_nor_rolled_back_to(
    make: Callable[[str], Run], registry_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    there = ("--registry", registry_uri)
    first, second = make("a"), make("b")
    for run in (first, second):
        assert shoptalk("registry", "register", run.folder, *there) == 0
        assert shoptalk("registry", "promote", NAME, "--policy", "easy.yaml", *there) == 0
    write_bundle(first.product("package"), "made again")
    capsys.readouterr()
    assert shoptalk("registry", "rollback", NAME, *there) == 2
    assert "not the bundle that was registered as shoptalk-tuned version 1" in capsys.readouterr().err
    third = make("c")
    assert shoptalk("registry", "register", third.folder, *there) == 0
    (third.product("package") / "model.nemo").write_text("tampered with")
    assert shoptalk("registry", "promote", NAME, "--policy", "easy.yaml", *there) == 2
    assert "ChecksumError" in capsys.readouterr().err
    held = Registry(registry_uri).holder(NAME, CHAMPION)
    assert held and held.number == "2"


def test_what_is_not_registered_is_not_promoted(
    make: Callable[[str], Run], registry_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    there = ("--registry", registry_uri)
    first, second = make("a"), make("b")
    assert shoptalk("registry", "register", first.folder, *there) == 0
    assert shoptalk("registry", "promote", second.folder, "--policy", "easy.yaml", *there) == 2
    assert "register this run first" in capsys.readouterr().err
    better = scores(speed_after=99.0).model_dump_json()
    (first.product("evaluate") / "scores.json").write_text(better)
    assert shoptalk("registry", "promote", NAME, "--policy", "easy.yaml", *there) == 2
    assert "not those that were registered" in capsys.readouterr().err
    assert shoptalk("registry", "register", first.folder, *there) == 0
    assert shoptalk("registry", "promote", NAME, "--policy", "easy.yaml", *there) == 0
    first.mark_stale("package")
    assert shoptalk("registry", "promote", NAME, "--policy", "easy.yaml", *there) == 2
    assert "not through stage package" in capsys.readouterr().err
    assert shoptalk("registry", "list", NAME, "--registry", "sqlite:///nowhere.db") == 2
    assert "no registry there" in capsys.readouterr().err
