"""How often the bootstrap's 95 % intervals hold the truth, on simulated test sets; writes JSON.

    OPENBLAS_NUM_THREADS=1 python benchmarks/bootstrap_coverage.py [TARGET] [--rounds 2000] [--draws 1000]

A set has clusters (carriers or speakers), each with its own difficulty, its own number of utterances (2 to 8), and each
utterance its own length (5 to 25 words) or its own number of terms said (1 to 3). The second recogniser finds half of
the clusters as hard as the first does and has its own luck. tests/scoring/test_bootstrap.py uses the same. Also: what a
call costs; in one thread, since threads wait for each other on a busy machine.
"""

import argparse
import json
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shoptalk.core import device, files
from shoptalk.scoring import bootstrap

COMMAND = "OPENBLAS_NUM_THREADS=1 python benchmarks/bootstrap_coverage.py"
Floats = npt.NDArray[np.float64]
CLUSTERS = (2, 4, 8, 15, 40, 120)
CONFIDENCE = 0.95
ALIKE = 0.5
"""The part of the clusters that are as hard for the second recogniser as for the first, in proportion."""


@dataclass(frozen=True)
class Case:
    """A rate before and after; `concentration` is that of the beta distribution which clusters' rates come from."""

    kind: bootstrap.Kind
    before: float
    after: float
    concentration: float


CASES = {
    "wer_25_to_15": Case("ratio", 0.25, 0.15, 12),
    "wer_06_to_05": Case("ratio", 0.06, 0.05, 12),
    "recall_50_to_70": Case("proportion", 0.5, 0.7, 4),
    "recall_90_to_95": Case("proportion", 0.9, 0.95, 4),
    "recall_10_to_30": Case("proportion", 0.1, 0.3, 4),
}


@dataclass(frozen=True)
class Simulated:
    clusters: list[str]
    before: tuple[bootstrap.Counts, bootstrap.Counts]
    after: tuple[bootstrap.Counts, bootstrap.Counts]


def simulate(case: Case, clusters: int, rng: np.random.Generator) -> Simulated:
    """One test set, whose true rates are those of the case."""
    size_C = rng.integers(2, 9, clusters)
    place_N = np.repeat(np.arange(clusters), size_C)
    of_N = rng.integers(*((5, 26) if case.kind == "ratio" else (1, 4)), len(place_N))

    def drawn(rate: float) -> Floats:
        return rng.beta(rate * case.concentration, (1 - rate) * case.concentration, clusters)

    before_C = drawn(case.before)
    if case.after <= case.before:
        alike_C = before_C * case.after / case.before
    else:
        alike_C = 1 - (1 - before_C) * (1 - case.after) / (1 - case.before)
    after_C = np.where(rng.random(clusters) < ALIKE, alike_C, drawn(case.after))
    before_N = rng.binomial(of_N, before_C[place_N])
    after_N = rng.binomial(of_N, after_C[place_N])
    names = [str(place) for place in place_N]
    return Simulated(names, (before_N, of_N), (after_N, of_N))


def coverage(case: Case, clusters: int, *, rounds: int, draws: int, seed: int) -> dict[str, float]:
    """The parts of the rounds in which the intervals before, after and of the difference held the truth."""
    rng = np.random.default_rng([seed, clusters])
    truths = {"before": case.before, "after": case.after, "difference": case.after - case.before}
    held = dict.fromkeys(truths, 0)
    for number in range(rounds):
        sample = simulate(case, clusters, rng)
        drawn = bootstrap.draw(sample.clusters, draws=draws, confidence=CONFIDENCE, seed=number)
        intervals = bootstrap.paired(sample.before, sample.after, drawn, kind=case.kind)
        for (name, truth), one in zip(truths.items(), intervals, strict=True):
            held[name] += one.low is not None and one.high is not None and one.low <= truth <= one.high
    return {name: round(count / rounds, 4) for name, count in held.items()}


def milliseconds(clusters: int, draws: int, utterances: int, calls: int = 200) -> float:
    """Of processor time of one call of `paired`, the draws being cached as in an evaluation; the median."""
    rng = np.random.default_rng(1)
    names = [str(number % clusters) for number in range(utterances)]
    drawn = bootstrap.draw(names, draws=draws, confidence=CONFIDENCE, seed=1)
    words_N = rng.integers(5, 26, utterances)
    spent = []
    for _ in range(calls):
        before_N, after_N = rng.binomial(words_N, 0.25), rng.binomial(words_N, 0.15)
        begin = time.process_time()
        bootstrap.paired((before_N, words_N), (after_N, words_N), drawn)
        spent.append(1_000 * (time.process_time() - begin))
    return round(float(np.median(spent)), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/bootstrap_coverage.json"))
    parser.add_argument("--rounds", type=int, default=2_000)
    parser.add_argument("--draws", type=int, default=1_000)
    arguments = parser.parse_args()
    covered: dict[str, Any] = {}
    for name, case in CASES.items():
        covered[name] = {}
        for clusters in CLUSTERS:
            found = coverage(case, clusters, rounds=arguments.rounds, draws=arguments.draws, seed=1)
            covered[name][str(clusters)] = found
            print(name, clusters, found, flush=True)
    result = {
        "command": f"{COMMAND} --rounds {arguments.rounds} --draws {arguments.draws}",
        "date": f"{date.today()}",
        "machine": device.machine(),
        "confidence": CONFIDENCE,
        "standard_error": round((CONFIDENCE * (1 - CONFIDENCE) / arguments.rounds) ** 0.5, 4),
        "coverage_by_clusters": covered,
        "cpu_milliseconds_of_a_call": {
            f"{clusters} clusters, {utterances} utterances, 2000 draws": milliseconds(clusters, 2_000, utterances)
            for clusters, utterances in ((100, 1_000), (500, 2_500))
        },
    }
    files.write_text(arguments.target, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
