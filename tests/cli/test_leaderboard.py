"""`shoptalk leaderboard` with the tiny base on local folders of the sets' form."""

import json
from pathlib import Path
from statistics import mean
from typing import Any

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from tests.cli import imported
from whisper_normalizer.english import EnglishTextNormalizer

from shoptalk.cli import main
from shoptalk.core.files import read, read_lines
from shoptalk.core.records import Hypothesis
from shoptalk.scoring.leaderboard import SETS, average, set_figures
from shoptalk.stages import leaderboard
from shoptalk.testsets.catalogue import known_sets

BASE = str(Path(__file__).parents[2] / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo")
normalise = EnglishTextNormalizer()


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three utterances in each set; TED-LIUM has two more that are not scored."""
    folder = tmp_path_factory.mktemp("esb")
    lines = imported.utterances(3 * len(SETS))
    for number, name in enumerate(SETS):
        own = lines[3 * number : 3 * number + 3]
        if name == "tedlium":
            own += [
                own[0] | {"id": "unscored", "text": "ignore_time_segment_in_scoring"},
                own[1] | {"id": "noise", "text": "[noise] uh"},
            ]
        (folder / name).mkdir()
        parquet.write_table(imported.arrow(own), folder / name / "test-00000-of-00001.parquet")
    return folder


@pytest.fixture(scope="module")
def scored(sets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scored")
    assert main(["leaderboard", BASE, "--to", str(folder), "--sets", str(sets)]) == 0
    return folder


def figures(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / leaderboard.RESULTS).read_text())
    return content


def test_every_set_is_scored_as_jiwer_scores_normalised_texts(scored: Path) -> None:
    content = figures(scored)
    wers = []
    for name in SETS:
        hypotheses = [row for row in read(scored / f"{name}.jsonl", Hypothesis) if normalise(row.reference)]
        references = [normalise(row.reference) for row in hypotheses]
        wers.append(jiwer.wer(references, [normalise(row.heard) for row in hypotheses]))
        assert content["sets"][name]["wer"] == pytest.approx(wers[-1], abs=1e-5)
        assert content["sets"][name]["utterances"] == 3
        assert content["sets"][name]["rtfx"] > 0
    assert content["average_wer"] == pytest.approx(mean(wers), abs=1e-5)
    assert content["rtfx"] > 0 and content["engine"]["beam"] == 1 and content["model"] == BASE


def test_what_the_leaderboard_leaves_out_is_left_out_and_counted(scored: Path) -> None:
    of_set = figures(scored)["sets"]["tedlium"]
    assert (of_set["utterances"], of_set["left_out"], of_set["skipped"]) == (3, 1, 1)


def test_the_same_command_goes_on_where_it_was(
    sets: Path, scored: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = figures(scored)
    opened = []
    really = leaderboard.open_engine

    def open_engine(*arguments: Any, **options: Any) -> Any:
        opened.append(arguments)
        return really(*arguments, **options)

    monkeypatch.setattr(leaderboard, "open_engine", open_engine)
    (scored / "ami.jsonl").unlink()  # as if it had been interrupted there
    (scored / leaderboard.RESULTS).unlink()
    assert main(["leaderboard", BASE, "--to", str(scored), "--sets", str(sets)]) == 0
    assert len(opened) == 1
    again = figures(scored)
    assert again["average_wer"] == before["average_wer"]
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown] == [*SETS, "average"]
    assert shown[-1].endswith(f"{100 * before['average_wer']:.2f} %")


def test_some_sets_have_no_average(sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--sets", str(sets), "--only", "voxpopuli", "--limit", "2"]
    assert main(["leaderboard", BASE, "--to", str(tmp_path), *asked]) == 0
    content = figures(tmp_path)
    assert content["average_wer"] is None and content["limit"] == 2
    assert content["sets"]["voxpopuli"]["utterances"] == 2
    assert "1 of 8 sets: no average" in capsys.readouterr().err
    assert len(read_lines(tmp_path / "sets-first-2" / "voxpopuli.jsonl")) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "commonvoice"], "--only commonvoice: no set of the leaderboard; there are ami, "),
        (["--sets", "."], "has no folder ami, earnings22"),
        (["--sets", ".", "--only", "tedlium"], "has no folder tedlium; add them"),
    ],
)
def test_what_is_not_there_is_told_at_once(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["leaderboard", BASE, "--to", "to", *arguments]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "to").exists()


def test_where_no_hub_is_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHOPTALK_HUB", "off")
    assert main(["leaderboard", BASE, "--to", str(tmp_path)]) == 2
    assert "HubUnreachableError" in capsys.readouterr().err


def test_the_sets_are_in_the_catalogue_with_their_hub_names() -> None:
    for name in SETS:
        hub = known_sets()[name].hub
        assert hub and hub.dataset == "hf-audio/esb-datasets-test-only-sorted"


texts = st.lists(st.sampled_from("the cat, sat uh [noise] 20 twenty don't".split()), max_size=6).map(" ".join)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_a_sets_rate_agrees_with_jiwer(pairs: list[tuple[str, str]]) -> None:
    rows = []
    for number, (reference, heard) in enumerate(pairs):
        rows.append(Hypothesis(id=str(number), reference=reference, heard=heard, set="ami"))
    kept = [pair for pair in pairs if normalise(pair[0])]
    found = set_figures(rows)
    if not kept:
        assert found is None
        return
    assert found and found.left_out == len(pairs) - len(kept)
    expected = jiwer.wer([normalise(pair[0]) for pair in kept], [normalise(pair[1]) for pair in kept])
    assert found.wer == pytest.approx(expected)


def test_the_average_counts_each_set_alike_and_needs_all() -> None:
    rates = {name: number / 100 for number, name in enumerate(SETS)}
    assert average(rates) == pytest.approx(0.035)
    assert average({name: 0.1 for name in SETS[1:]}) is None
