"""`shoptalk capacity`: devices and cost for a load or for a corpus, from measured figures."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoptalk.cli.parsing import Commands

if TYPE_CHECKING:
    from shoptalk.release.capacity import Line, Load, Plan, Target
    from shoptalk.release.measured import Device

WAYS = ("requests", "streams", "jobs")


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the parser of the command."""
    parser = commands.add_parser("capacity", help="devices and cost for a load or a corpus, from measured figures")
    load = parser.add_argument_group("load, one of the first three").add_argument
    load("--consultations-per-week", type=float, metavar="N", help="each of --minutes")
    load("--audio-hours-per-day", type=float, metavar="H")
    load("--requests-per-second", type=float, metavar="R", help="at the peak, each of --request-s")
    load("--minutes", type=float, metavar="M", help="mean length of a consultation")
    load("--request-s", dest="clip_s", type=float, metavar="S", help="mean length of a request; as measured without")
    peak = "the busiest time as a multiple of the mean in opening hours; 2 without"
    load("--peak-factor", dest="peak_factor", type=float, metavar="F", help=peak)
    load("--days", dest="days_per_week", type=float, metavar="N", help="opening days of a week; 5 without")
    load("--hours", dest="hours_per_day", type=float, metavar="H", help="opening hours of a day; 10 without")
    target = parser.add_argument_group("what is promised").add_argument
    target("--p95", dest="request_p95_s", type=float, metavar="S", help="of answers to requests; 2 s without")
    delay = "of streams, from the end of a sentence to its last words; 2 s without"
    target("--finalisation", dest="finalisation_p95_s", type=float, metavar="S", help=delay)
    target("--job-hours", dest="job_hours", type=float, metavar="H", help="for the jobs of a day; 8 without")
    target("--refused", dest="most_refused", type=float, metavar="SHARE", help="of streams, at most; 0.001 without")
    use = "share of the measured rate that is planned for; 0.8 without"
    target("--most-use", dest="most_use", type=float, metavar="SHARE", help=use)
    bought = parser.add_argument_group("what is bought").add_argument
    bought("--device", metavar="NAME", help="what was measured, such as cpu-tiny; needed where there are several")
    figures = "measured figures of your own (docs/capacity.md) instead of ours"
    bought("--figures", action="append", default=[], type=Path, metavar="FILE", help=figures)
    bought("--node", dest="units_per_node", type=int, metavar="N", help="cores or GPUs of a node; as measured without")
    bought("--spare", dest="spare_nodes", type=int, metavar="N", help="nodes that may fail at the peak; 1 without")
    bought("--price-per-hour", dest="price_per_hour", type=float, metavar="PRICE", help="of a node, in any currency")
    corpus = parser.add_argument_group("a corpus instead of a load").add_argument
    corpus("--corpus-hours", type=float, metavar="H", help="hours of speech to be made by stages 30 to 50")
    corpus("--within-days", type=float, metavar="D", help="on as many nodes as that takes")
    parser.add_argument("--for", dest="ways", action="append", choices=WAYS, help="this way of working; all without")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(call=capacity)


def capacity(parsed: argparse.Namespace) -> None:
    """Print the plan."""
    from shoptalk.core.errors import CapacityError
    from shoptalk.release import capacity as planning
    from shoptalk.release import measured

    if parsed.corpus_hours is not None:
        _corpus(parsed)
        return
    if parsed.within_days is not None:
        raise CapacityError("--within-days belongs to a corpus; give --corpus-hours")
    known = measured.devices(parsed.figures)
    device = _chosen(parsed.device, known)
    target = planning.Target(**_given(parsed, planning.Target))
    load = _load(parsed, target, device)
    others = [other for name, other in known.items() if name != device.name]
    fleet = planning.Fleet(**_given(parsed, planning.Fleet))
    plan = planning.plan(load, target, device, fleet, ways=parsed.ways or planning.WAYS, others=others)
    print(json.dumps(as_json(device, plan), indent=1) if parsed.json else as_text(device, plan))


def _corpus(parsed: argparse.Namespace) -> None:
    """Print the plan of a corpus."""
    from shoptalk.core.errors import CapacityError
    from shoptalk.release import capacity as planning
    from shoptalk.release import corpus_plan

    of_a_service = [*_given(parsed, planning.Load), *_given(parsed, planning.Target)]
    for name in ("consultations_per_week", "audio_hours_per_day", "requests_per_second", "minutes", "device", "ways"):
        if getattr(parsed, name) is not None:
            of_a_service.append(name)
    if parsed.spare_nodes is not None:
        of_a_service.append("spare_nodes")
    if of_a_service:
        raise CapacityError(
            f"--corpus-hours plans no service; leave away what is given of one: {', '.join(of_a_service)}"
        )
    if len(parsed.figures) > 1:
        raise CapacityError("--corpus-hours reads one file of figures; give --figures once")
    figures, source = corpus_plan.measured(parsed.figures[0] if parsed.figures else None)
    fleet = planning.Fleet(**_given(parsed, planning.Fleet))
    plan = corpus_plan.plan(parsed.corpus_hours, fleet, figures, source=source, within_days=parsed.within_days)
    if parsed.json:
        lines = {line.name: _line_as_json(line) for line in plan.lines}
        print(json.dumps({"what": plan.machine, "corpus": lines}, indent=1))
    else:
        print(_figures_as_text(plan.machine, {"corpus": plan.lines}))


def _chosen(name: str | None, known: "dict[str, Device]") -> "Device":
    from shoptalk.core.errors import CapacityError

    if name is None and len(known) == 1:
        return next(iter(known.values()))
    if name not in known:
        listed = "; ".join(
            f"{device.name} ({device.what})" if device.what else device.name for device in known.values()
        )
        raise CapacityError(f"--device {name or 'NAME'}: choose what was measured: {listed}")
    return known[name]


def _load(parsed: argparse.Namespace, target: "Target", device: "Device") -> "Load":
    from shoptalk.core.errors import CapacityError
    from shoptalk.release import capacity as planning

    given = [parsed.consultations_per_week, parsed.audio_hours_per_day, parsed.requests_per_second]
    if sum(value is not None for value in given) != 1:
        raise CapacityError("give one load: --consultations-per-week, --audio-hours-per-day or --requests-per-second")
    if (parsed.minutes is None) != (parsed.consultations_per_week is None):
        raise CapacityError("--consultations-per-week and --minutes, the mean length, belong together; give both")
    shape = _given(parsed, planning.Load)
    falls = planning.Load(1.0, **shape)
    if parsed.consultations_per_week is not None:
        hours = planning.of_consultations(parsed.consultations_per_week, parsed.minutes)
    elif parsed.audio_hours_per_day is not None:
        hours = parsed.audio_hours_per_day * falls.days_per_week
    else:
        hours = planning.of_requests(parsed.requests_per_second, target.clip_s or device.clip_s, falls)
    return planning.Load(hours, **shape)


def _given(parsed: argparse.Namespace, kind: type[Any]) -> dict[str, Any]:
    """The options that were given and are fields of a record, which has the defaults of all others."""
    names = [field.name for field in fields(kind)]
    return {name: getattr(parsed, name) for name in names if getattr(parsed, name, None) is not None}


def as_json(device: "Device", plan: "Plan") -> dict[str, Any]:
    """The lines of each part by their names."""
    content: dict[str, Any] = {"device": device.name, "what": device.what}
    for part, lines in plan.parts.items():
        content[part] = {line.name: _line_as_json(line) for line in lines}
    return {**content, "not_measured": dict(plan.absent)}


def _line_as_json(line: "Line") -> dict[str, Any]:
    content: dict[str, Any] = {"value": line.value, "unit": line.unit, "origin": line.origin}
    return {**content, "from": line.source} if line.source else content


def as_text(device: "Device", plan: "Plan") -> str:
    """A line for each figure, with what it is; where measured ones come from stands below."""
    heading = f"{device.name}: {device.what}" if device.what else device.name
    return _figures_as_text(heading, plan.parts, plan.absent)


def _figures_as_text(
    heading: str, parts: Mapping[str, "Sequence[Line]"], absent: Mapping[str, str] | None = None
) -> str:
    lines = [heading]
    sources: dict[str, int] = {}
    for part, figures in parts.items():
        lines += ["", part]
        for line in figures:
            behind = f"; {line.source}" if line.source else ""
            if line.origin == "measured":
                behind = f" [{sources.setdefault(line.source, len(sources) + 1)}]"
            lines.append(f"  {line.name:<58} {_shown(line.value):>9} {line.unit:<14} {line.origin}{behind}")
    lines += [f"\n{part}\n  not measured: {reason}" for part, reason in (absent or {}).items()]
    lines += ["", *(f"[{number}] {source}" for source, number in sources.items())]
    return "\n".join(lines)


def _shown(value: float) -> str:
    """Whole numbers whole, others with three digits or more."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
