"""The plan of a corpus against one worked by hand, and laws that every plan keeps."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.cli import main
from shoptalk.core.errors import CapacityError
from shoptalk.release import corpus_plan
from shoptalk.release.capacity import Fleet
from shoptalk.release.corpus_plan import Measured

MEASURED = Measured(
    command="python benchmarks/corpus.py",
    date="2026-11-27",
    cpu="a CPU",
    speech_s_per_wall_s={1: 2.6, 2: 5.0},
    core_s_per_speech_s={"speech": 0.3, "augment": 0.05},
)


def values(hours: float, fleet: Fleet, *, within_days: float | None = None) -> dict[str, float]:
    plan = corpus_plan.plan(hours, fleet, MEASURED, source="a file", within_days=within_days)
    return {line.name: line.value for line in plan.lines}


def test_a_thousand_hours_by_hand() -> None:
    """2 cores make 5 h in an hour: 1,000 h take 200 hours of both, which are 400 core-hours, or 50 of a node of 8.

    Within a day that takes 3 nodes, 16.67 h each; at 0.40 an hour of a node it costs 20.00.
    """
    told = values(1000.0, Fleet(units_per_node=8, price_per_hour=0.4), within_days=1.0)
    assert told["core-hours"] == pytest.approx(400)
    assert told["hours of one node of 8 cores"] == pytest.approx(50)
    assert told["nodes"] == 3 and told["hours of each"] == pytest.approx(50 / 3)
    assert told["cost"] == pytest.approx(20.0) and told["cost of an hour of speech"] == pytest.approx(0.02)
    assert told["CPU time of speech, for a second of speech"] == 0.3


@given(
    hours=st.floats(0.1, 1e6),
    more=st.floats(1.0, 10.0),
    cores=st.integers(1, 192),
    days=st.floats(0.01, 400.0),
    price=st.floats(0.001, 100.0),
)
@settings(max_examples=50)
def test_every_plan_fits_its_time_and_more_hours_cost_more(
    hours: float, more: float, cores: int, days: float, price: float
) -> None:
    fleet = Fleet(units_per_node=cores, price_per_hour=price)
    told, larger = values(hours, fleet, within_days=days), values(hours * more, fleet, within_days=days)
    assert told["hours of each"] <= days * 24 * (1 + 1e-6)
    assert larger["nodes"] >= told["nodes"]
    assert larger["cost"] == pytest.approx(told["cost"] * more)
    bare = values(hours, Fleet())
    assert bare["core-hours"] == pytest.approx(told["core-hours"]), "whatever the nodes"
    assert "cost" not in bare and "nodes" not in bare


@pytest.fixture
def figures(tmp_path: Path) -> Path:
    path = tmp_path / "corpus_speed.json"
    content = {**MEASURED.model_dump(mode="json"), "rounds": [], "speed_ratio_to_plain": 2.4}
    path.write_text(json.dumps(content))
    return path


def test_the_command_line_prints_the_plan(figures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["capacity", "--corpus-hours", "1000", "--figures", str(figures), "--node", "8", "--price-per-hour", "0.4"]
    assert main(asked) == 0
    printed = capsys.readouterr().out
    assert "2 cores a CPU" in printed and "corpus_speed.json" in printed
    assert main([*asked, "--within-days", "1", "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)["corpus"]
    assert told["cost"]["value"] == pytest.approx(20.0) and told["core-hours"]["origin"] == "calculated"
    assert told["speech of 2 cores, in a second"] == {
        "value": 5.0,
        "unit": "s",
        "origin": "measured",
        "from": "corpus_speed.json, `python benchmarks/corpus.py`, 2026-11-27",
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--corpus-hours", "0"], "above 0"),
        (["--corpus-hours", "nan"], "above 0"),
        (["--corpus-hours", "inf"], "up to"),
        (["--corpus-hours", "10", "--within-days", "-1"], "above 0"),
        (["--corpus-hours", "10", "--p95", "2"], "request_p95_s"),
        (["--corpus-hours", "10", "--device", "cpu-tiny", "--for", "jobs"], "device, ways"),
        (["--corpus-hours", "10", "--price-per-hour", "0"], "price per hour"),
        (["--within-days", "3", "--audio-hours-per-day", "9"], "--corpus-hours"),
    ],
)
def test_what_belongs_to_no_corpus_is_refused_by_name(
    arguments: list[str], told: str, figures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["capacity", "--figures", str(figures), *arguments]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"speech_s_per_wall_s": {"2": -1}}', '{"paths": {}}'])
def test_a_file_that_holds_no_figures_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    with pytest.raises(CapacityError, match="figures.json"):
        corpus_plan.measured(path)
    path.write_text(content)
    with pytest.raises(CapacityError, match="figures.json"):
        corpus_plan.measured(path)
