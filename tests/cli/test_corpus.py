"""`shoptalk corpus`: stages 10 to 50, from a recipe or a bare list, taken up again."""

from pathlib import Path

import pytest
from tests.cli.working import NAMES, recipe, shoptalk, without_preflight
from tests.corpus import fake_tts
from tests.corpus.fake_llm import FakeLlm
from tests.stages.test_wiring import general

from shoptalk.core import config
from shoptalk.core.examples import read_manifest
from shoptalk.corpus import lexicon
from shoptalk.integrations import kokoro
from shoptalk.stages import corpus, execution

CORPUS = NAMES[: NAMES.index("dataset") + 1]
MENU = "flat white\ncortado\ncafé au lait\n"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages that were made so far."""
    names: list[str] = []
    without_preflight(monkeypatch, names)
    return names


def from_list(folder: Path, *more: object) -> int:
    return shoptalk("corpus", "--terms", folder / "menu.txt", "--run", folder / "run", *more)


def texts(folder: Path) -> list[str]:
    return [term.text for term in lexicon.load([folder / "run" / "terms.yaml"])]


def test_a_recipe_goes_to_the_dataset_and_no_further(made: list[str], tmp_path: Path) -> None:
    options = ["--recipe", recipe(tmp_path), "--run", tmp_path / "run"]
    (tmp_path / "base.nemo").unlink()
    assert shoptalk("corpus", *options) == 0
    assert made == CORPUS
    assert shoptalk("corpus", *options) == 0
    assert made == CORPUS
    assert shoptalk("corpus", *options, "--set", "augment.copies=2") == 0
    assert made == [*CORPUS, "augment", "dataset"]


def test_a_bare_list_is_enough_and_the_same_command_goes_on(made: list[str], tmp_path: Path) -> None:
    (tmp_path / "menu.txt").write_text(MENU)
    assert from_list(tmp_path, "--trade", "a coffee bar", "--set", "transcripts.train_per_term=2") == 0
    assert made == CORPUS
    assert config.load(tmp_path / "run" / "recipe.yaml").transcripts.trade == "a coffee bar"
    assert texts(tmp_path) == MENU.split("\n")[:3]
    made.clear()
    assert from_list(tmp_path, "--set", "transcripts.train_per_term=2") == 0
    assert made == []
    (tmp_path / "menu.txt").write_text("# the same\n" + MENU.replace("\n", "\r\n"))
    assert from_list(tmp_path, "--set", "transcripts.train_per_term=2") == 0
    assert made == []


def test_a_changed_list_is_taken_up(made: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "menu.txt").write_text(MENU)
    assert from_list(tmp_path) == 0
    (tmp_path / "menu.txt").write_text(MENU.replace("cortado", "chai latte"))
    made.clear()
    assert from_list(tmp_path) == 0
    assert "(new: chai latte; gone: cortado)" in capsys.readouterr().err
    assert texts(tmp_path) == ["flat white", "chai latte", "café au lait"]
    assert made == CORPUS


def test_an_edited_lexicon_counts_and_is_never_overwritten(
    made: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "menu.txt").write_text(MENU)
    assert from_list(tmp_path) == 0
    edited = "- {text: flat white, category: drink}\n- cortado\n"
    (tmp_path / "run" / "terms.yaml").write_text(edited)
    made.clear()
    assert from_list(tmp_path) == 0
    assert made == CORPUS
    (tmp_path / "menu.txt").write_text(MENU + "chai latte\n")
    assert from_list(tmp_path) == 2
    told = capsys.readouterr().err
    assert "menu.txt was changed since" in told
    assert "new: café au lait, chai latte" in told
    assert f"`shoptalk corpus --recipe {tmp_path / 'run' / 'recipe.yaml'} --run {tmp_path / 'run'}`" in told
    assert (tmp_path / "run" / "terms.yaml").read_text() == edited
    (tmp_path / "run" / "terms.yaml").write_text("- flat white\n- cortado\n- café au lait\n- chai latte\n")
    assert from_list(tmp_path) == 0, "the edited lexicon has come to the list's terms"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "corpus needs --run"),
        (("--run", "run"), "either --recipe, or --terms"),
        (("--run", "run", "--recipe", "r.yaml", "--terms", "menu.txt"), "either --recipe, or --terms"),
        (("--run", "run", "--recipe", "r.yaml", "--trade", "law"), "--trade goes with --terms"),
        (("--run", "run", "--terms", "none.txt"), "none.txt"),
        (("--run", "run", "--terms", "few.txt"), "1 term; give at least 2"),
        (("--run", "menu.txt", "--terms", "menu.txt"), "a file, not a folder"),
        (("--run", "taken", "--terms", "menu.txt"), "has recipe.yaml already"),
        (("--run", "run", "--terms", "menu.txt", "--set", "speech.tss=piper"), "speech.tss"),
    ],
)
def test_wrong_arguments_are_told_by_name(
    made: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("menu.txt").write_text(MENU)
    Path("few.txt").write_text("flat white\n")
    Path("taken").mkdir()
    Path("taken/recipe.yaml").write_text("name: other\n")
    assert shoptalk("corpus", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("shoptalk: ") or "\nshoptalk: " in error
    assert told in error
    assert "Traceback" not in error
    assert made == []


def test_another_trade_and_a_lost_recipe_are_told(
    made: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "menu.txt").write_text(MENU)
    assert from_list(tmp_path, "--trade", "a coffee bar") == 0
    assert from_list(tmp_path, "--trade", "a law firm") == 2
    assert "is for the trade 'a coffee bar', not 'a law firm'" in capsys.readouterr().err
    (tmp_path / "run" / "recipe.yaml").unlink()
    assert from_list(tmp_path) == 2
    assert "recipe.yaml: is no longer there" in capsys.readouterr().err


SIGNALS = {
    "semaphore": "signal", "distant signal": "signal", "small": "size", "buffer stop": "track", "turnout": "track",
    "crossover": "track", "pantograph": "engine", "tender": "engine", "bogie": "engine",
}  # fmt: skip


def test_a_new_trade_goes_from_its_list_to_a_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With models that answer at once: no line but the list's is written by hand, and a stop costs nothing."""
    pytest.importorskip("spellchecker")
    monkeypatch.setattr(execution, "fetch_models", lambda run, names: None)
    monkeypatch.setattr(kokoro, "load", fake_tts.make())
    (tmp_path / "menu.txt").write_text("\n".join(SIGNALS))
    smaller = ["transcripts.train_per_term=3", "transcripts.test_per_term=2", "speech.workers=1", "augment.copies=0"]
    smaller += [f"dataset.general={general(tmp_path)}", "dataset.general_test_utterances=2"]
    options = [part for change in smaller for part in ("--set", change)]
    for dies_after, status in ((12, 130), (10**9, 0)):
        llm = FakeLlm(trade="a railway", kinds=SIGNALS, dies_after=dies_after)
        monkeypatch.setattr(corpus, "_llm", lambda section, folder, language, llm=llm: llm)
        assert from_list(tmp_path, *options) == status, capsys.readouterr().err
    folder = tmp_path / "run" / "50-dataset"
    lines = {path.stem: read_manifest(path) for path in folder.glob("*.jsonl")}
    said = {id_ for name in ("train", "test-taught", "test-untaught") for line in lines[name] for id_ in line.term_ids}
    assert said == {text.replace(" ", "-") for text in SIGNALS}
    assert "small" in {id_ for line in lines["train"] for id_ in line.term_ids}, "it is rehearsed, so it is no control"
    page = (tmp_path / "run" / "50-report.html").read_text(encoding="utf-8")
    assert "pantograph" in page
    assert "Refused answers of the language model" in page
    page_path = tmp_path / "run" / "50-report.html"
    assert capsys.readouterr().out.endswith(f"dataset: {folder}\npage: {page_path}\n")
    page_path.unlink()
    assert from_list(tmp_path, *options) == 0
    assert page_path.read_text(encoding="utf-8") == page
