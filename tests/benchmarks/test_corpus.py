"""What the corpus benchmark makes of its rounds, worked by hand."""

import sys
from pathlib import Path

import pytest

from shoptalk.release.corpus_plan import Measured

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import corpus


def stages(speech: float, augment: float, dataset: float, wall_s: float) -> dict[str, dict[str, float]]:
    core_s = {"speech": speech, "augment": augment, "dataset": dataset}
    return {stage: {"core_s": spent, "wall_s": wall_s / 3} for stage, spent in core_s.items()}


def test_ratios_are_of_sums_over_rounds() -> None:
    """Plain: 100 s of speech in 60 core-seconds. Two cores: 400 s in 80, within 45 s; one core needs 84."""
    rounds = [
        {
            "plain": {"speech_s": 40.0, "core_s": 20.0},
            "road": {
                1: {"speech_s": 200.0, "copies": 1, "stages": stages(30, 8, 2, wall_s=42.0)},
                2: {"speech_s": 200.0, "copies": 1, "stages": stages(28, 8, 2, wall_s=21.0)},
            },
        },
        {
            "plain": {"speech_s": 60.0, "core_s": 40.0},
            "road": {
                1: {"speech_s": 200.0, "copies": 1, "stages": stages(30, 8, 2, wall_s=42.0)},
                2: {"speech_s": 200.0, "copies": 1, "stages": stages(32, 8, 2, wall_s=24.0)},
            },
        },
    ]
    told = corpus.summary(rounds)
    assert told["speed_ratio_to_plain"] == pytest.approx(5.0 / (100 / 60), abs=0.005)
    assert told["two_core_ratio"] == pytest.approx(84 / 45, abs=0.005)
    assert told["speech_s_per_wall_s"] == {1: pytest.approx(400 / 84, abs=1e-3), 2: pytest.approx(400 / 45, abs=1e-3)}
    assert told["core_s_per_speech_s"] == {"speech": 0.15, "augment": 0.04, "dataset": 0.01}
    figures = Measured.model_validate({**told, "command": "a command", "date": "a day", "cpu": "a CPU"})
    assert figures.copies == 1, "a plan reads what the benchmark writes"
