"""What a new user types: help, typing errors, things that are not there; one clear line and status 2."""

import shlex
import socket
from pathlib import Path

import pytest
from tests.cli.working import NAMES, ROOT, recipe, shoptalk

from shoptalk import __version__
from shoptalk.core.models import store


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a wrong command is answered with."""
    assert shoptalk(*arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "Traceback" not in told.err
    lines = told.err.splitlines()
    assert len(lines) == 1 or lines[0].startswith("usage: ")
    return lines[-1]


def test_help_lists_the_stages_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert shoptalk("--help") == 0
    shown = capsys.readouterr().out
    places = [shown.index(f"\n    {name}") for name in [*NAMES, "serve"]]
    assert places == sorted(places)
    numbers = [shown.index(f"{number} ") for number in range(10, 100, 10)]
    assert numbers == sorted(numbers)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert shoptalk("--version") == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "--help"),
        ("trian", "invalid choice: 'trian'"),
        ("run", "required: --recipe, --run"),
        ("run --recipe nosuch.yaml --run R", "nosuch.yaml: no such recipe"),
        ("models", "action"),
        ("models fetch nosuch", "it has kokoro"),
        ("models verify nosuch", "it has kokoro"),
        ("serve R/nosuch", "make one with `shoptalk package`"),
        ("serve R", "not a bundle"),
        ("serve R --set serve.host=0.0.0.0", "set SHOPTALK_API_KEY"),
        ("serve R --set serve.prot=1", "serve.prot: no such key; did you mean port?"),
        ("serve R --recipe nosuch.yaml", "nosuch.yaml: no such recipe"),
        ("results publish R", "not a run folder"),
        ("results publish nosuch", "not a run folder"),
    ],
)
def test_wrong_commands(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, told: str
) -> None:
    monkeypatch.delenv("SHOPTALK_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "R").mkdir()
    assert told in refused(capsys, *line.split())


def test_what_is_no_bundle_is_told_before_anything_is_fetched(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOPTALK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SHOPTALK_HUB", "off")
    assert "not a bundle" in refused(capsys, "serve", tmp_path)
    assert "not a bundle" in refused(capsys, "transcribe", "a.wav", "--model", tmp_path)
    assert "not a bundle" in refused(capsys, "export", tmp_path, "--to", tmp_path / "graphs")
    assert not (tmp_path / "cache").exists() and not (tmp_path / "graphs").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("train.stpes=3", "train.stpes: no such key; did you mean steps?"),
        ("trian.steps=3", "trian: no such key; did you mean train?"),
        ("train.model.d_modle=3", "train.model.d_modle: no such key; did you mean d_model?"),
        ("serve.xyzzy=3", "serve.xyzzy: no such key; there are host, port"),
        ("train.steps=many", "train.steps: Input should be a valid integer"),
        ("train.steps=0", "train.steps: Input should be greater than or equal to 1"),
        ("train.steps=[1", "the value is not YAML"),
        ("train.steps", "write it as section.key=value"),
        ("=3", "write it as section.key=value"),
        ("name.x=3", "'name' is not a section"),
    ],
)
def test_wrong_changes(capsys: pytest.CaptureFixture[str], tmp_path: Path, change: str, told: str) -> None:
    options = ["--recipe", recipe(tmp_path), "--run", tmp_path / "run"]
    assert told in refused(capsys, "lexicon", *options, "--set", change)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"train: {stpes: 3}", "train.stpes: no such key; did you mean steps?"),
        (b"train: {steps", "not YAML"),
        (b"\xff\xfe\x00", "it starts as UTF-16, but line 1 is not; save the file as UTF-8"),
        (b"- a\n- b", "a recipe is a mapping of sections, this is a list"),
        (b"train: 3", "train: Input should be"),
        (b"products: {speach: here}", "products.speach: no such stage"),
    ],
)
def test_wrong_recipes(capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_bytes(content)
    assert told in refused(capsys, "run", "--recipe", path, "--run", tmp_path / "run")


def test_a_run_folder_that_cannot_be_made(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = recipe(tmp_path)
    told = refused(capsys, "lexicon", "--recipe", path, "--run", tmp_path / "terms.yaml")
    assert "no folder can be made there" in told


def test_models_are_listed(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPTALK_CACHE", str(tmp_path))
    assert shoptalk("models", "list") == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown] == [entry.name for entry in store.list_models()]
    assert all("absent" in line and "Apache" in line or "MIT" in line for line in shown)
    assert shoptalk("models", "list", "silero-vad") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert "run `shoptalk models fetch silero-vad`" in refused(capsys, "models", "verify", "silero-vad")


def test_a_port_that_is_taken_is_told_before_the_model_is_loaded(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = refused(capsys, "serve", tmp_path, "--set", f"serve.port={port}")
    assert f"127.0.0.1:{port}: Address already in use" in told


def test_init_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shoptalk("init", "--to", "my trade") == 0
    command = shlex.split(capsys.readouterr().out.rpartition("then: shoptalk ")[2])
    assert command == ["run", "--recipe", "my trade/recipe.yaml", "--run", "my trade/runs/first"]
    assert shoptalk("lexicon", *command[1:]) == 0
    capsys.readouterr()
    assert "has recipe.yaml, terms.yaml, gate.yaml already" in refused(capsys, "init", "--to", "my trade")


def test_the_shipped_recipes_are_valid() -> None:
    from shoptalk.core import config

    for path in sorted(set((ROOT / "recipes").glob("*.yaml")) - set((ROOT / "recipes").glob("gate*.yaml"))):
        assert config.load(path).name == path.stem


def test_the_real_lexicon_stage_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert shoptalk("lexicon", "--recipe", ROOT / "recipes" / "ci.yaml", "--run", tmp_path) == 0
    assert "4 terms, 1 of them held out" in capsys.readouterr().err
    assert (tmp_path / "10-lexicon.signature").is_file()
