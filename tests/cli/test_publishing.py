"""From a run's scores to results/NAME.json and the table of the README."""

import json
from pathlib import Path

import pytest
from tests.cli.working import recipe, shoptalk
from tests.scoring.sample import sample_scores

from shoptalk.core import config
from shoptalk.stages.run import Run

README = """# A title
<!-- results:small -->
an old table
<!-- /results:small -->
between
<!-- results:other -->
not ours
<!-- /results:other -->
"""


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run folder that was scored by `shoptalk run`, in a working folder with a README."""
    monkeypatch.chdir(tmp_path)
    path = recipe(tmp_path)
    run = Run(Path("runs/small"), config.load(path), path.parent)
    run.product("evaluate").mkdir(parents=True)
    (run.product("evaluate") / "scores.json").write_text(sample_scores().model_dump_json())
    run.mark_current("evaluate", run.signature("evaluate"))
    run.add_seconds(run.signature("evaluate"), 90.0)
    note = {"recipe": "small.yaml", "set": [], "command": "demo --recipe small.yaml --run runs/small"}
    (run.folder / "recipe.json").write_text(json.dumps(note))
    (tmp_path / "README.md").write_text(README)
    return run


def test_figures_and_table_are_written(scored: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert shoptalk("results", "publish", scored.folder) == 0
    assert capsys.readouterr().out.split() == ["results/small.json", "README.md"]
    figures = json.loads(Path("results/small.json").read_text())
    assert figures["command"] == "shoptalk demo --recipe small.yaml --run runs/small"
    assert figures["seconds"] == 90.0
    assert figures["test_utterances"] == 10
    for name in ("term_error", "general_wer"):
        assert figures[name].keys() == {"before", "after"}
        assert figures[name]["after"].keys() == {"value", "low", "high"}
    assert figures["machine"]["cores"] >= 1
    readme = Path("README.md").read_text()
    assert "an old table" not in readme
    assert "| Trained terms missed |" in readme
    assert "By `shoptalk demo --recipe small.yaml --run runs/small` in 1.5 minutes." in readme
    assert readme.startswith("# A title\n<!-- results:small -->\n|")
    assert readme.endswith(README[README.index("<!-- /results:small -->") :]), "the rest is as it was"


def test_published_twice_it_is_the_same(scored: Run) -> None:
    assert shoptalk("results", "publish", scored.folder) == 0
    first = Path("README.md").read_text()
    assert shoptalk("results", "publish", scored.folder) == 0
    assert Path("README.md").read_text() == first


def test_another_name_and_no_marks(scored: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert shoptalk("results", "publish", scored.folder, "--name", "elsewhere") == 0
    assert capsys.readouterr().out.split() == ["results/elsewhere.json"]
    assert Path("README.md").read_text() == README


def test_scores_of_another_recipe_are_not_published(scored: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("small.yaml").write_text(Path("small.yaml").read_text() + "evaluate: {bootstrap: 300}\n")
    assert shoptalk("results", "publish", scored.folder) == 2
    assert "the recipe was changed since" in capsys.readouterr().err
    assert not Path("results").exists()


def test_a_beginning_without_an_end_is_told(scored: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("README.md").write_text("<!-- results:small -->\nno end\n")
    assert shoptalk("results", "publish", scored.folder) == 2
    assert "<!-- /results:small -->" in capsys.readouterr().err


def test_a_broken_note_is_told(scored: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (scored.folder / "recipe.json").write_text("{")
    assert shoptalk("results", "publish", scored.folder) == 2
    assert "recipe.json" in capsys.readouterr().err
