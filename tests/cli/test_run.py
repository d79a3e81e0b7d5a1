"""Which stages run, when they run again, and what is told before they can."""

import json
from pathlib import Path

import pytest
from tests.cli.working import NAMES, recipe, shoptalk, without_preflight

from shoptalk.core.errors import AudioError
from shoptalk.stages import execution
from shoptalk.stages.products import once
from shoptalk.stages.run import Run, StageRun
from shoptalk.stages.table import BY_NAME


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages that were made so far."""
    names: list[str] = []
    without_preflight(monkeypatch, names)
    return names


@pytest.fixture
def options(tmp_path: Path) -> list[object]:
    return ["--recipe", recipe(tmp_path), "--run", tmp_path / "runs" / "one"]


def again(made: list[str], *arguments: object) -> list[str]:
    """What one more command makes."""
    made.clear()
    assert shoptalk(*arguments) == 0
    return made


def test_all_stages_in_order_and_then_none(
    made: list[str], options: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert again(made, "run", *options) == NAMES
    assert again(made, "run", *options) == []
    assert capsys.readouterr().err.splitlines()[-8:] == [f"{s.number} {s.name}: current" for s in BY_NAME.values()]


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ("train.steps=7", "train"),
        ("evaluate.bootstrap=300", "evaluate"),
        ("evaluate.batch=2", ""),
        ("package.title=T", "package"),
        ("speech.blend=0.1", "speech"),
        ("dataset.general_test_utterances=4", "dataset"),
        ("seed=8", "lexicon"),
        ("serve.port=9000", ""),
    ],
)
def test_a_change_runs_again_what_it_can_change(
    made: list[str], options: list[object], change: str, first: str
) -> None:
    again(made, "run", *options)
    assert again(made, "run", *options, "--set", change) == (NAMES[NAMES.index(first) :] if first else [])


@pytest.mark.parametrize(
    ("file", "first"), [("terms.yaml", "lexicon"), ("general/test.jsonl", "dataset"), ("base.nemo", "train")]
)
def test_a_changed_file_counts_as_a_change(
    made: list[str], options: list[object], tmp_path: Path, file: str, first: str
) -> None:
    again(made, "run", *options)
    (tmp_path / file).write_text("{ }\n")
    assert again(made, "run", *options) == NAMES[NAMES.index(first) :]


def test_a_stage_before_its_inputs_says_which_command_comes_first(
    made: list[str], options: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert shoptalk("train", *options, "--set", "name=a b") == 2
    told = capsys.readouterr().err
    assert "train needs lexicon" in told
    assert "`shoptalk lexicon --recipe" in told
    assert "--set 'name=a b'`" in told
    assert made == []
    assert again(made, "lexicon", *options) == ["lexicon"]
    assert shoptalk("evaluate", *options) == 2
    assert "`shoptalk transcripts " in capsys.readouterr().err


def test_stages_one_by_one_are_the_same_as_run(made: list[str], options: list[object]) -> None:
    for name in NAMES:
        assert again(made, name, *options) == [name]
    assert again(made, "run", *options) == []


def test_a_file_that_is_missing_is_told_before_anything_is_made(
    made: list[str], options: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "base.nemo").unlink()
    assert shoptalk("run", *options) == 2
    assert "base.nemo: not found" in capsys.readouterr().err
    assert made == []


def test_an_interrupted_stage_is_not_current_whatever_was_there_before(
    made: list[str], options: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(run: StageRun) -> None:
        raise AudioError("the third recording is silent")

    again(made, "run", *options)
    with monkeypatch.context() as broken:
        broken.setattr(execution, "MAKE", {**execution.MAKE, "dataset": fail})
        assert shoptalk("run", *options, "--set", "dataset.general_test_utterances=3") == 2
    assert capsys.readouterr().err.splitlines()[-1] == "shoptalk: AudioError: the third recording is silent"
    assert again(made, "run", *options) == ["dataset"], "the recipe of before; the product may be half of each"


def test_ctrl_c_tells_how_to_go_on(
    made: list[str], options: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(run: StageRun) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(execution, "MAKE", {**execution.MAKE, "speech": interrupt})
    assert shoptalk("run", *options) == 130
    assert "give the same command again" in capsys.readouterr().err
    assert made == ["lexicon", "transcripts"]


def test_own_products_stand_in_for_stages(
    made: list[str], options: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "mine.jsonl"
    own.write_text("{}\n")
    change = ["--set", f"products.speech={own}"]
    assert again(made, "run", *options, *change) == [name for name in NAMES if name != "speech"]
    own.write_text('{"id": "x"}\n')
    assert again(made, "run", *options, *change) == ["augment", "dataset", "train", "evaluate", "package"]
    assert shoptalk("run", *options, "--set", "products.speach=x") == 2
    assert "products.speach: no such stage" in capsys.readouterr().err


def test_a_model_from_scratch_on_own_manifests_needs_no_base_and_no_corpus(
    made: list[str], options: list[object], tmp_path: Path
) -> None:
    (tmp_path / "base.nemo").unlink()
    scratch = ["--set", "train.model={layers: 2}", "--set", "train.manifests=[noise.jsonl]"]
    assert again(made, "train", *options, *scratch) == ["train"]
    assert again(made, "train", *options, *scratch) == []


def test_seconds_are_those_of_the_recipe_as_it_is(made: list[str], options: list[object]) -> None:
    from shoptalk.core import config

    again(made, "run", *options)
    path, folder = Path(str(options[1])), Path(str(options[3]))

    def run(*changes: str) -> Run:
        return Run(folder, config.load(path, changes), path.parent)

    now, other = run(), run("train.steps=7")
    (folder / "seconds.json").unlink()
    now.add_seconds(now.signature("lexicon"), 2.0)
    now.add_seconds(now.signature("lexicon"), 3.0)
    now.add_seconds(now.signature("train"), 10.0)
    other.add_seconds(other.signature("train"), 20.0)
    assert (now.seconds(), other.seconds()) == (15.0, 25.0)


def test_a_part_of_a_stage_is_written_once(tmp_path: Path) -> None:
    from shoptalk.core.records import Transcript

    def make(done: frozenset[str]) -> list[Transcript]:
        calls.append(done)
        common = {"text": "a", "spoken": "a", "term_ids": (), "carrier": "a", "split": "train", "source": "s"}
        return [Transcript.model_validate({"id": "x", **common})]

    calls: list[frozenset[str]] = []
    path = tmp_path / "part.jsonl"
    for signature in ("one", "one", "two"):
        once(path, make, signature=signature)
    assert len(calls) == 2
    assert json.loads(path.read_text())["id"] == "x"
