"""How many devices a load needs, and what an hour of audio costs, for requests, streams and jobs. Arithmetic alone.

**Requests.** Where the service was measured, a device takes the highest rate of audio at which it kept the p95, as it
did at every lower rate. A random part of a Poisson stream is one again. So each device sees what was measured, whatever
their number, and nothing is gained by a common queue.

Where only the engine was measured, it is slowed down to the service's share of the engine's rate on a device that has
both. Then the cheaper of two ways is planned: in batches, where two of them take no longer than the p95; or one at a
time on whichever node is free (Erlang C).

**Streams** that are open at the same time are the erlangs of the load. Enough places are planned that few are refused
(Erlang B). Where streams were not measured on a device, it takes the share of the service's rate that streams reach on
a device with both.

**Jobs** are what fits into the hours, at the rate of a service that is never idle.

All is planned at the peak, within a share of the rate that devices can do (`Target.most_use`), and with spare nodes.
Cores, GPUs and nodes are taken to add up.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

from shoptalk.core.errors import CapacityError
from shoptalk.release import queueing
from shoptalk.release.measured import Device

Origin = Literal["given", "assumed", "measured", "calculated"]
Way = Literal["requests", "streams", "jobs"]
WAYS: tuple[Way, ...] = ("requests", "streams", "jobs")
HOURS_A_WEEK = 168.0
LATE = 0.05
"""Share of the answers that may take longer than a p95."""
CERTAINTY = 0.99
"""With which no more requests arrive during a batch than the next one takes."""
MOST_ERLANGS = 5e6
"""Concurrent seconds of audio; a larger load is a slip of the pen."""
ROUNDING = 1e-9
"""A need that lies above a whole number by no more is that number."""


@dataclass(frozen=True)
class Load:
    """Audio in a week, and how it falls on its hours."""

    audio_hours_per_week: float
    peak_factor: float = 2.0
    """The busiest time as a multiple of the mean in opening hours."""
    days_per_week: float = 5.0
    hours_per_day: float = 10.0
    """Opening hours."""

    def __post_init__(self) -> None:
        _check_positive(self)
        if self.peak_factor < 1:
            raise CapacityError(
                f"a peak factor of {self.peak_factor:g}: the peak is no less than the mean; give 1 or more"
            )
        if self.days_per_week > 7 or self.hours_per_day > 24:
            raise CapacityError("a week has 7 days, and a day 24 hours; give no more")
        if self.peak_erlangs > MOST_ERLANGS:
            raise CapacityError(f"{self.peak_erlangs:,.0f} people would speak at the same time; give a smaller load")

    @property
    def open_hours(self) -> float:
        """In a week."""
        return self.days_per_week * self.hours_per_day

    @property
    def peak_erlangs(self) -> float:
        """Audio seconds a second at the peak, which is the mean number of people who speak at the same time."""
        return self.audio_hours_per_week / self.open_hours * self.peak_factor


@dataclass(frozen=True)
class Target:
    """What is promised, and how close to the limit devices may run."""

    request_p95_s: float = 2.0
    finalisation_p95_s: float = 2.0
    """Of streams: from the end of a sentence to its last words."""
    job_hours: float = 8.0
    """A day's audio is done within so many hours of the night."""
    most_refused: float = 0.001
    """Share of the streams that may find no place at the peak."""
    most_use: float = 0.8
    """Share of the measured rate that is planned for."""
    clip_s: float | None = None
    """Mean length of a request; that of the measurement without."""

    def __post_init__(self) -> None:
        _check_positive(self)
        if self.most_use > 1:
            raise CapacityError(f"a use of {self.most_use:g}: no device does more than it can; give at most 1")
        if self.most_refused >= 1:
            raise CapacityError(f"a share of {self.most_refused:g} refused: give less than 1")
        if self.job_hours > 24:
            raise CapacityError(f"{self.job_hours:g} hours for a day's jobs: they would never be done; give at most 24")


@dataclass(frozen=True)
class Fleet:
    """How devices are bought."""

    units_per_node: int | None = None
    """Cores or GPUs of a node; as many as were measured without."""
    spare_nodes: int = 1
    """So many nodes may fail at the peak."""
    price_per_hour: float | None = None
    """Of a node, in any currency."""

    def __post_init__(self) -> None:
        _check_positive(self, besides=("spare_nodes",))
        if self.spare_nodes < 0:
            raise CapacityError("there is no negative number of spare nodes; give 0 or more")


class Line(NamedTuple):
    """A figure of a plan."""

    name: str
    value: float
    unit: str
    origin: Origin
    source: str = ""
    """Of a measured one: file, command and date. Of others: what it follows from."""


class Rate(NamedTuple):
    """What one unit can do for a way of working, in audio seconds a second or in streams."""

    value: float
    lines: tuple[Line, ...] = ()
    """How it comes about."""
    least_units: int = 1
    """Whatever the rate says, so many are needed."""
    batch: int = 0
    """Of the engine; 0 where the service was measured."""


class Plan(NamedTuple):
    """The figures of each part; a part without measurements has the reason instead."""

    parts: Mapping[str, Sequence[Line]]
    absent: Mapping[str, str]


def of_consultations(number_per_week: float, minutes: float) -> float:
    """Audio hours a week."""
    return number_per_week * minutes / 60


def of_requests(peak_per_s: float, clip_s: float, falls: Load) -> float:
    """Audio hours a week of so many requests a second at the peak; `falls` says how it falls on the week's hours."""
    return peak_per_s * clip_s / falls.peak_factor * falls.open_hours


def plan(
    load: Load,
    target: Target,
    device: Device,
    fleet: Fleet,
    *,
    ways: Sequence[Way] = WAYS,
    others: Sequence[Device] = (),
) -> Plan:
    """What each way of working needs of one kind of device; `others` lend shares that were not measured on it.

    `CapacityError` if nothing of it was measured, or the target can never be kept.
    """
    parts: dict[str, Sequence[Line]] = {"load": _load_lines(load)}
    absent: dict[str, str] = {}
    asked = _Asked(load, target, device, fleet, (device, *others))
    for way in ways:
        try:
            parts[way] = _PLANNED[way](asked)
        except _NotMeasuredError as error:
            absent[way] = str(error)
    if len(parts) == 1:
        raise CapacityError(f"{device.name}: {'; '.join(absent.values())}")
    return Plan(parts, absent)


class _NotMeasuredError(Exception):
    pass


class _Asked(NamedTuple):
    load: Load
    target: Target
    device: Device
    fleet: Fleet
    known: Sequence[Device]
    """The device, and those that lend it shares."""


# ---- the three ways of working


def _requests(asked: _Asked) -> list[Line]:
    target, device = asked.target, asked.device
    clip_s = target.clip_s or device.clip_s
    if clip_s > device.longest_clip_s:
        raise CapacityError(
            f"requests of {clip_s:g} s: the p95 was measured up to {device.longest_clip_s:g} s; give shorter ones, or "
            "plan such recordings as streams or jobs"
        )
    rate = _served_rate(target, device) if device.requests else _engine_rate(asked, clip_s)
    needed = asked.load.peak_erlangs
    arrive = needed / clip_s
    return [
        Line("p95 of an answer, at most", target.request_p95_s, "s", _origin(target, "request_p95_s")),
        Line("mean length of a request", clip_s, "s", _origin(target, "clip_s")),
        Line("requests at the peak", arrive, "requests/s", "calculated"),
        Line("under way at the peak, at most", arrive * target.request_p95_s, "requests", "calculated", "Little's law"),
        *rate.lines,
        *_fleet_lines(asked, needed, rate, asked.load.open_hours),
    ]


def _streams(asked: _Asked) -> list[Line]:
    target = asked.target
    rate = _stream_rate(target, asked.device, asked.known)
    places = queueing.places_for(asked.load.peak_erlangs, target.most_refused)
    delay, refused = target.finalisation_p95_s, target.most_refused
    return [
        Line("p95 of the finalisation delay, at most", delay, "s", _origin(target, "finalisation_p95_s")),
        Line("streams that find no place, at most", refused, "of 1", _origin(target, "most_refused")),
        Line("streams at the peak, on average", asked.load.peak_erlangs, "streams", "calculated"),
        Line("places for streams", places, "streams", "calculated", "Erlang B"),
        *rate.lines,
        *_fleet_lines(asked, places, rate, asked.load.open_hours),
    ]


def _jobs(asked: _Asked) -> list[Line]:
    load, hours = asked.load, asked.target.job_hours
    rate = _full_rate(asked.device, asked.known)
    audio_hours = load.audio_hours_per_week / load.days_per_week
    needed = audio_hours / hours
    return [
        Line("audio of a day", audio_hours, "h", "calculated"),
        Line("time for it", hours, "h", _origin(asked.target, "job_hours")),
        Line("audio to be done", needed, "audio s/s", "calculated"),
        *rate.lines,
        *_fleet_lines(asked, needed, rate, hours * load.days_per_week),
    ]


_PLANNED = {"requests": _requests, "streams": _streams, "jobs": _jobs}


# ---- what a unit can do


def _served_rate(target: Target, device: Device) -> Rate:
    """The highest measured rate that keeps the p95, as all lower ones do."""
    best = None
    for trial in sorted(device.requests, key=lambda trial: trial.audio_s_per_s):
        if trial.p95_s > target.request_p95_s:
            break
        best = trial
    if best is None:
        lowest_s = min(trial.p95_s for trial in device.requests)
        raise CapacityError(
            f"{device.name}: a p95 of {target.request_p95_s:g} s was kept at no rate; the lowest is {lowest_s:g} s"
        )
    value = best.audio_s_per_s / device.units
    what = f"{device.units} {_many(device, device.units)} at a p95 of {best.p95_s:.3g} s"
    lines = (
        Line(f"rate of {what}", best.audio_s_per_s, "audio s/s", "measured", device.source("requests")),
        Line(f"rate of one {device.unit}", value, "audio s/s", "calculated", f"the same for each {device.unit}"),
    )
    return Rate(value, lines)


def _engine_rate(asked: _Asked, clip_s: float) -> Rate:
    """In batches or one at a time, whichever needs fewer units."""
    device, p95_s = asked.device, asked.target.request_p95_s
    share = _service_share(device, asked.known)
    batches = {batch: rate * share.value for batch, rate in _batches(device).items()}
    ways = [way for way in (_in_batches(asked, batches, clip_s), _one_by_one(asked, batches, clip_s)) if way]
    if not ways:
        batch, rate = min(batches.items(), key=lambda item: item[0] / item[1])
        least_s = -math.log(LATE) * clip_s * batch / rate
        raise CapacityError(
            f"{device.name}: 5 % of the requests, which are {clip_s:g} s long on average, alone take more than "
            f"{least_s:.3g} s; give a longer p95 than {p95_s:g} s, or shorter requests"
        )
    way = min(ways, key=lambda way: _units(asked, asked.load.peak_erlangs, way))
    engine = Line(f"engine alone, batch of {way.batch}", device.batches[way.batch], "audio s/s", "measured")
    lines = (engine._replace(source=device.source("batches")), *share.lines, *way.lines)
    return way._replace(lines=lines)


def _in_batches(asked: _Asked, batches: Mapping[int, float], clip_s: float) -> Rate | None:
    """The highest rate at which two batches take no longer than the p95."""
    best: Rate | None = None
    for batch, batch_rate in batches.items():
        if queueing.two_batches(batch, 1 - LATE) * clip_s / batch_rate > asked.target.request_p95_s:
            continue
        value = queueing.arrivals_for(batch, CERTAINTY) / batch * batch_rate / asked.device.units
        if best is None or value > best.value:
            best = Rate(value, batch=batch)
    if best is None:
        return None
    name = f"rate of one {asked.device.unit}"
    return best._replace(lines=(Line(name, best.value, "audio s/s", "calculated", "two batches within the p95"),))


def _one_by_one(asked: _Asked, batches: Mapping[int, float], clip_s: float) -> Rate | None:
    """The rate of devices that take one request at a time, and the fewest with which the p95 is kept."""
    if 1 not in batches:
        return None
    device, alone_s = asked.device, clip_s / batches[1]
    erlangs = asked.load.peak_erlangs / batches[1]
    servers = queueing.servers_for(erlangs, asked.target.request_p95_s / alone_s, LATE)
    if servers is None:
        return None
    value = batches[1] / device.units
    lines = (
        Line(f"rate of one {device.unit}, one request at a time", value, "audio s/s", "calculated"),
        Line(f"{device.unit}s for the p95", servers * device.units, f"{device.unit}s", "calculated", "Erlang C"),
    )
    return Rate(value, lines, servers * device.units, batch=1)


def _full_rate(device: Device, known: Sequence[Device]) -> Rate:
    """The rate of a service that always has work."""
    if device.saturated_audio_s_per_s is not None:
        value = device.saturated_audio_s_per_s / device.units
        what = f"rate of {device.units} {_many(device, device.units)}, never idle"
        source = device.source("requests")
        return Rate(value, (Line(what, device.saturated_audio_s_per_s, "audio s/s", "measured", source),))
    share = _service_share(device, known)
    batch, engine_rate = max(_batches(device).items(), key=lambda item: item[1])
    value = engine_rate * share.value / device.units
    lines = (
        Line(f"engine alone, batch of {batch}", engine_rate, "audio s/s", "measured", device.source("batches")),
        *share.lines,
        Line(f"rate of one {device.unit}, never idle", value, "audio s/s", "calculated"),
    )
    return Rate(value, lines)


def _stream_rate(target: Target, device: Device, known: Sequence[Device]) -> Rate:
    """Concurrent streams of one unit."""
    if device.streams:
        value = _held_streams(target, device) / device.units
        what = f"streams of {device.units} {_many(device, device.units)}"
        line = Line(what, value * device.units, "streams", "measured", device.source("streams"))
        return Rate(value, (line, Line(f"streams of one {device.unit}", value, "streams", "calculated")))
    lender = next((other for other in known if other.streams and other.saturated_audio_s_per_s), None)
    if lender is None or lender.saturated_audio_s_per_s is None:
        raise _NotMeasuredError("streams were measured on no device; run benchmarks/service/streams.py, or --figures")
    share = _held_streams(target, lender) / lender.saturated_audio_s_per_s
    rate = _full_rate(device, known)
    value = rate.value * share
    lines = (
        *rate.lines,
        Line(f"streams for each audio s/s, of {lender.name}", share, "streams", "measured", lender.source("streams")),
        Line(f"streams of one {device.unit}", value, "streams", "calculated"),
    )
    return Rate(value, lines)


def _held_streams(target: Target, device: Device) -> float:
    """The highest measured number that keeps the delay, as all lower ones do."""
    held = 0.0
    for measured in sorted(device.streams, key=lambda measured: measured.streams):
        if measured.finalisation_p95_s > target.finalisation_p95_s:
            break
        held = measured.streams
    if not held:
        lowest_s = min(measured.finalisation_p95_s for measured in device.streams)
        raise CapacityError(
            f"{device.name}: a finalisation delay of {target.finalisation_p95_s:g} s was kept by no number of streams; "
            f"the lowest is {lowest_s:g} s"
        )
    return held


def _batches(device: Device) -> Mapping[int, float]:
    if not device.batches:
        raise _NotMeasuredError(f"neither the service nor the engine was measured on {device.name}")
    return device.batches


def _service_share(device: Device, known: Sequence[Device]) -> Rate:
    """What the service makes of the engine's rate, measured on this device or on another one."""
    lender = next((other for other in (device, *known) if other.service_share is not None), None)
    if lender is None or lender.service_share is None:
        raise _NotMeasuredError("the service's share of the engine's rate was measured on no device")
    name = f"the service's share of the engine's rate, of {lender.name}"
    return Rate(lender.service_share, (Line(name, lender.service_share, "", "measured", lender.source("requests")),))


# ---- nodes and money


def _units(asked: _Asked, needed: float, rate: Rate) -> int:
    """How many cores or GPUs; `needed` and `rate` are of the same kind."""
    return max(rate.least_units, math.ceil(needed / (rate.value * asked.target.most_use) - ROUNDING))


def _fleet_lines(asked: _Asked, needed: float, rate: Rate, hours_on: float) -> list[Line]:
    """Units, nodes, their use, and the cost of an hour of audio; `needed` and `rate` are of the same kind."""
    device, fleet, most_use = asked.device, asked.fleet, asked.target.most_use
    per_node = fleet.units_per_node or device.units
    units = _units(asked, needed, rate)
    nodes = math.ceil(units / per_node)
    everything = nodes + fleet.spare_nodes
    many = f"{device.unit}s"
    lines = [
        Line("share of their rate that is planned for", most_use, "of 1", _origin(asked.target, "most_use")),
        Line(f"{many} needed", units, many, "calculated"),
        Line(f"nodes of {per_node} {_many(device, per_node)}", nodes, "nodes", "calculated"),
        Line(f"nodes with {fleet.spare_nodes} spare", everything, "nodes", "calculated"),
        Line("use, all nodes", needed / (rate.value * per_node * everything), "of 1", "calculated"),
        Line("use, spare nodes lost", needed / (rate.value * per_node * nodes), "of 1", "calculated"),
    ]
    if fleet.price_per_hour is not None:
        hourly = everything * fleet.price_per_hour / asked.load.audio_hours_per_week
        unit = "per audio hour"
        lines += [
            Line("price of a node", fleet.price_per_hour, "per hour", "given"),
            Line("cost, nodes always on", hourly * HOURS_A_WEEK, unit, "calculated", "all nodes, 168 hours a week"),
            Line("cost, nodes on when they work", hourly * hours_on, unit, "calculated", f"{hours_on:g} hours a week"),
        ]
    return lines


def _load_lines(load: Load) -> list[Line]:
    return [
        Line("audio", load.audio_hours_per_week, "h a week", "given"),
        Line("peak factor", load.peak_factor, "", _origin(load, "peak_factor")),
        Line("opening days", load.days_per_week, "a week", _origin(load, "days_per_week")),
        Line("opening hours", load.hours_per_day, "a day", _origin(load, "hours_per_day")),
        Line("audio at the peak", load.peak_erlangs, "audio s/s", "calculated"),
    ]


def _origin(record: Load | Target, name: str) -> Origin:
    """`given` where it differs from the default."""
    default = next(field.default for field in fields(record) if field.name == name)
    return "assumed" if getattr(record, name) == default else "given"


def _many(device: Device, count: int) -> str:
    return device.unit if count == 1 else f"{device.unit}s"


def _check_positive(record: Load | Target | Fleet, besides: Sequence[str] = ()) -> None:
    """`CapacityError` for a field that is no number above 0; one that is None was left out."""
    for field in fields(record):
        value = getattr(record, field.name)
        if value is None or field.name in besides:
            continue
        if not math.isfinite(value) or value <= 0:
            raise CapacityError(f"{field.name.replace('_', ' ')} of {value:g}: give a number above 0")
