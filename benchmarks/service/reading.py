"""From the answers of a run to its figures, and the search for the highest rate that a server holds."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BOUND_S = 2.0
"""What 95 of 100 answers take at most at a rate that a server holds."""
SHARE = 0.95


@dataclass(frozen=True)
class Figures:
    """Of one run."""

    planned: int
    answered: int
    errors: int
    """Requests without a 200 and a text where one is due."""
    statuses: Mapping[str, int]
    """How many answers had which status; 0 is no answer."""
    different: int
    """Answers whose text is not the one expected."""
    p50_ms: float
    p95_ms: float
    p99_ms: float
    audio_s_per_s: float
    """Seconds of audio that were answered, in a second of the run."""
    wall_s: float
    generator_cpu_share: float
    """Of one core."""
    generator_lag_ms: float
    """How late a request was sent at most."""

    @property
    def holds(self) -> bool:
        """Whether everything was answered without an error, and 95 % of it in time."""
        is_whole = self.answered == self.planned and not self.errors
        return is_whole and self.p95_ms <= 1e3 * BOUND_S


def read(run: Mapping[str, Any], seconds: Sequence[float], expected: Sequence[str]) -> Figures:
    """The figures of a run. `seconds` are the lengths of the clips, `expected` their texts, if they are known."""
    answers = run["answers"]
    right = [answer for answer in answers if answer["status"] == 200]
    taken_s = sorted(answer["taken_s"] for answer in right)
    audio_s = sum(seconds[answer["clip"]] for answer in right)
    different = 0
    empty = 0
    for answer in right:
        wanted = expected[answer["clip"]] if expected else answer["text"]
        different += answer["text"].strip() != wanted.strip()
        empty += bool(wanted.strip()) and not answer["text"].strip()
    return Figures(
        planned=run["planned"],
        answered=len(answers),
        errors=len(answers) - len(right) + empty,
        statuses=dict(Counter(str(answer["status"]) for answer in answers)),
        different=different,
        p50_ms=percentile_ms(taken_s, 0.50),
        p95_ms=percentile_ms(taken_s, SHARE),
        p99_ms=percentile_ms(taken_s, 0.99),
        audio_s_per_s=round(audio_s / run["wall_s"], 2),
        wall_s=round(run["wall_s"], 2),
        generator_cpu_share=round(run["generator_cpu_s"] / run["wall_s"], 3),
        generator_lag_ms=round(1e3 * run["generator_lag_s"], 1),
    )


def percentile_ms(sorted_s: Sequence[float], share: float) -> float:
    """The least of the values that so many of all do not exceed (nearest rank), in milliseconds; NaN of none."""
    if not sorted_s:
        return math.nan
    rank = max(1, math.ceil(share * len(sorted_s) - 1e-9))
    return round(1e3 * sorted_s[rank - 1], 1)


def highest(holds: Callable[[float], bool], low: float, high: float, *, steps: int) -> float:
    """The highest rate found at which `holds`, by bisection between a rate that should and one that should not.

    A lower bound that does not hold is halved, up to five times; 0 where none holds. An upper bound that holds becomes
    the lower one, and the next is a fifth higher.
    """
    if holds(high):
        while holds(1.2 * high):
            high *= 1.2
        low, high, steps = high, 1.2 * high, min(steps, 2)
        for _ in range(steps):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if holds(middle) else (low, middle)
        return low
    for _ in range(6):
        if holds(low):
            break
        low, high = low / 2, low
    else:
        return 0.0
    for _ in range(steps):
        middle = math.sqrt(low * high)
        if holds(middle):
            low = middle
        else:
            high = middle
    return low
