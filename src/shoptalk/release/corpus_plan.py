"""How many core-hours a corpus of spoken sentences takes, and what they cost, from the measured stages 30 to 50.

What was measured on some cores is taken to add up: each of them speaks sentences of its own.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shoptalk.core.errors import CapacityError
from shoptalk.core.files import first_problem
from shoptalk.core.resources import locate
from shoptalk.release.capacity import Fleet, Line

RESULTS = (Path("results", "corpus_speed.json"), Path("results", "corpus.json"))
"""The first one that is there is read."""
HOURS_A_DAY = 24.0
MOST_HOURS = 1e7
"""Of speech; a thousand years are a slip of the pen."""
ROUNDING = 1e-9

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Measured(BaseModel):
    """What `benchmarks/corpus.py` measured; its other fields are not read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    command: str
    date: str
    cpu: str
    speech_s_per_wall_s: Annotated[Mapping[int, Positive], Field(min_length=1)]
    """Seconds of speech made in a second of wall time, by the number of cores."""
    core_s_per_speech_s: Mapping[str, Positive] = {}
    """CPU time for a second of speech, by stage."""
    copies: Annotated[int, Field(ge=0)] = 1
    """Augmented copies of each training recording, made within that time."""


class Plan(NamedTuple):
    """The figures of a plan, and the machine that they come from."""

    machine: str
    lines: tuple[Line, ...]


def measured(file: Path | None = None) -> tuple[Measured, str]:
    """The measured figures and the file's name; `CapacityError` where there are none."""
    path = file or next((path for path in map(locate, RESULTS) if path.is_file()), None)
    if path is None:
        raise CapacityError(
            "there are no measured figures here; run `python benchmarks/corpus.py` or give --figures FILE"
        )
    try:
        return Measured.model_validate(json.loads(path.read_text(encoding="utf-8"))), path.name
    except OSError as error:
        raise CapacityError(f"{path}: {error.strerror}; give a file of measured figures") from None
    except ValidationError as error:
        raise CapacityError(f"{path}: {first_problem(error)}; make it anew with benchmarks/corpus.py") from None
    except ValueError:
        raise CapacityError(f"{path}: no JSON; make it anew with benchmarks/corpus.py") from None


def plan(hours: float, fleet: Fleet, figures: Measured, *, source: str, within_days: float | None = None) -> Plan:
    """Core-hours, node-hours, nodes for the time that is given, and cost; `CapacityError`: a number that is none."""
    if not 0 < hours <= MOST_HOURS:
        raise CapacityError(f"a corpus of {hours:g} hours: give a number above 0 and up to {MOST_HOURS:,.0f}")
    if within_days is not None and not (math.isfinite(within_days) and within_days > 0):
        raise CapacityError(f"{within_days:g} days: give a number above 0")
    cores, rate = max(figures.speech_s_per_wall_s.items())
    origin = f"{source}, `{figures.command}`, {figures.date}"
    per_node = fleet.units_per_node or cores
    core_hours = hours * cores / rate
    node_hours = core_hours / per_node
    lines = [
        Line("speech", hours, "h", "given"),
        Line("augmented copies of each recording that trains", figures.copies, "", "measured", origin),
    ]
    for stage, seconds in figures.core_s_per_speech_s.items():
        lines.append(Line(f"CPU time of {stage}, for a second of speech", seconds, "s", "measured", origin))
    lines += [
        Line(f"speech of {cores} {_many(cores, 'core')}, in a second", rate, "s", "measured", origin),
        Line("core-hours", core_hours, "h", "calculated", "the same for each core"),
        Line(f"hours of one node of {per_node} {_many(per_node, 'core')}", node_hours, "h", "calculated"),
    ]
    if within_days is not None:
        nodes = math.ceil(node_hours / (within_days * HOURS_A_DAY) - ROUNDING)
        lines += [
            Line("time for it", within_days, "days", "given"),
            Line("nodes", nodes, "nodes", "calculated"),
            Line("hours of each", node_hours / nodes, "h", "calculated"),
        ]
    if fleet.price_per_hour is not None:
        cost = node_hours * fleet.price_per_hour
        lines += [
            Line("price of a node", fleet.price_per_hour, "per hour", "given"),
            Line("cost", cost, "in all", "calculated"),
            Line("cost of an hour of speech", cost / hours, "per hour", "calculated"),
        ]
    return Plan(f"{cores} {_many(cores, 'core')} {figures.cpu}", tuple(lines))


def _many(count: int, unit: str) -> str:
    return unit if count == 1 else f"{unit}s"
