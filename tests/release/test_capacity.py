"""Capacity against plans worked by hand, and laws that every plan keeps."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.cli import main
from shoptalk.core.errors import CapacityError
from shoptalk.release import capacity, measured
from shoptalk.release.capacity import Fleet, Line, Load, Plan, Target
from shoptalk.release.measured import Device, Streams, Trial

ROOT = Path(__file__).parents[2]

SERVED = Device(
    name="cpu",
    unit="core",
    units=2,
    clip_s=8.0,
    requests=(
        Trial(audio_s_per_s=100.0, p95_s=0.5),
        Trial(audio_s_per_s=200.0, p95_s=1.5),
        Trial(audio_s_per_s=250.0, p95_s=3.0),
        Trial(audio_s_per_s=300.0, p95_s=1.9),
    ),
    saturated_audio_s_per_s=240.0,
    offline_audio_s_per_s=320.0,
    streams=(Streams(streams=20.0, finalisation_p95_s=0.9), Streams(streams=40.0, finalisation_p95_s=1.8)),
)
ENGINE = Device(name="gpu", unit="GPU", batches={1: 400.0, 16: 4_000.0, 64: 8_000.0})


def lines_of(plan: Plan, part: str) -> dict[str, Line]:
    return {line.name: line for line in plan.parts[part]}


def units_of(load: Load, target: Target, device: Device, part: str) -> float:
    plan = capacity.plan(load, target, device, Fleet(), others=[SERVED])
    return lines_of(plan, part)[f"{device.unit}s needed"].value


def test_requests_by_hand() -> None:
    """5,000 h in 50 h are 100 audio s/s, 300 at a peak of 3. Two cores keep 2 s at 200 (not at 300: 250 fails before).

    80 % of 100 per core: 3.75, so 4 cores, 2 nodes of 2, 3 with a spare one. 300 of 600 audio s/s is half. Three nodes
    at 0.50 for 168 h are 252.00, for 5,000 h of audio.
    """
    load = Load(5_000.0, peak_factor=3.0)
    told = lines_of(capacity.plan(load, Target(), SERVED, Fleet(price_per_hour=0.5)), "requests")
    values = {name: line.value for name, line in told.items()}
    assert values["rate of 2 cores at a p95 of 1.5 s"] == 200.0
    assert values["requests at the peak"] == pytest.approx(300 / 8)
    assert values["under way at the peak, at most"] == pytest.approx(75)
    assert values["cores needed"] == 4
    assert values["nodes of 2 cores"] == 2
    assert values["nodes with 1 spare"] == 3
    assert values["use, all nodes"] == pytest.approx(0.5)
    assert values["use, spare nodes lost"] == pytest.approx(0.75)
    assert values["cost, nodes always on"] == pytest.approx(252 / 5_000)
    assert values["cost, nodes on when they work"] == pytest.approx(3 * 0.5 * 50 / 5_000)


def test_streams_by_hand() -> None:
    """10 people speak at a time: 21 places (Erlang B, 0.1 %). Two cores hold 40 streams: 80 % of 20 each is 16."""
    load = Load(500.0, peak_factor=1.0)
    told = lines_of(capacity.plan(load, Target(), SERVED, Fleet()), "streams")
    assert told["places for streams"].value == 21
    assert told["streams of 2 cores"].value == 40
    assert told["cores needed"].value == 2
    strict = lines_of(capacity.plan(load, Target(finalisation_p95_s=1.0), SERVED, Fleet()), "streams")
    assert strict["streams of 2 cores"].value == 20 and strict["cores needed"].value == 3


def test_jobs_by_hand() -> None:
    """1,000 h a day within 8 h are 125 audio s/s; 80 % of 120 per core: 1.3, so 2 cores, in one node."""
    load = Load(5_000.0)
    told = lines_of(capacity.plan(load, Target(), SERVED, Fleet(spare_nodes=0, price_per_hour=2.0)), "jobs")
    assert told["audio to be done"].value == 125
    assert told["cores needed"].value == 2
    assert told["use, all nodes"].value == pytest.approx(125 / 240)
    assert told["cost, nodes on when they work"].value == pytest.approx(2.0 * 40 / 5_000)


def test_an_engine_is_slowed_to_the_service_by_hand() -> None:
    """The service keeps 240 / 320 of the engine. Jobs on the GPU: 6,000 audio s/s; streams: 40 / 240 for each of it."""
    load = Load(500_000.0)
    plan = capacity.plan(load, Target(), ENGINE, Fleet(), others=[SERVED])
    assert lines_of(plan, "jobs")["rate of one GPU, never idle"].value == pytest.approx(6_000)
    assert lines_of(plan, "streams")["streams of one GPU"].value == pytest.approx(1_000)
    rate = lines_of(plan, "requests")["rate of one GPU"].value
    assert 4_000 < rate < 6_000  # batches of 64, which may not overflow


def test_one_request_at_a_time_where_batches_take_too_long() -> None:
    """A request takes 10 / (400 × 0.75) = 33 ms alone, and two of them 158 ms at most; with Erlang C 150 ms do."""
    device = ENGINE.model_copy(update={"batches": {1: 400.0}})
    plan = capacity.plan(Load(5_000.0), Target(request_p95_s=0.15), device, Fleet(), others=[SERVED])
    told = lines_of(plan, "requests")
    assert told["GPUs for the p95"].source == "Erlang C"
    assert told["rate of one GPU, one request at a time"].value == pytest.approx(300)
    assert told["GPUs needed"].value >= told["GPUs for the p95"].value


@pytest.mark.parametrize(
    ("target", "device", "words"),
    [
        (Target(request_p95_s=0.4), SERVED, "at no rate; the lowest is 0.5 s"),
        (Target(finalisation_p95_s=0.5), SERVED, "the lowest is 0.9 s"),
        (Target(clip_s=600.0), SERVED, "up to 30 s"),
        (Target(request_p95_s=0.01), ENGINE, "give a longer p95"),
        (Target(), Device(name="empty", unit="core"), "neither the service nor the engine was measured"),
    ],
)
def test_what_cannot_be_kept_is_refused(target: Target, device: Device, words: str) -> None:
    with pytest.raises(CapacityError, match=words):
        capacity.plan(Load(1_000.0), target, device, Fleet(), others=[SERVED])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Load(0.0), "audio hours per week of 0"),
        (lambda: Load(float("nan")), "a number above 0"),
        (lambda: Load(1.0, peak_factor=0.5), "no less than the mean"),
        (lambda: Load(1.0, days_per_week=8), "7 days"),
        (lambda: Load(1.0, hours_per_day=25), "24 hours"),
        (lambda: Load(1e12), "at the same time"),
        (lambda: Target(most_use=1.2), "at most 1"),
        (lambda: Target(most_refused=1.0), "less than 1"),
        (lambda: Target(job_hours=30.0), "never be done"),
        (lambda: Target(request_p95_s=-1.0), "request p95 s of -1"),
        (lambda: Fleet(price_per_hour=0.0), "price per hour of 0"),
        (lambda: Fleet(units_per_node=0), "units per node of 0"),
        (lambda: Fleet(spare_nodes=-1), "0 or more"),
    ],
)
def test_nonsense_is_refused_by_name(make: Callable[[], object], words: str) -> None:
    with pytest.raises(CapacityError, match=words):
        make()


def test_what_was_not_measured_is_told() -> None:
    plan = capacity.plan(Load(100.0), Target(), SERVED.model_copy(update={"streams": ()}), Fleet())
    assert set(plan.parts) == {"load", "requests", "jobs"} and "streams" in plan.absent


loads = st.floats(0.1, 1e5)
devices = st.sampled_from([SERVED, ENGINE])
parts = st.sampled_from(capacity.WAYS)


@settings(max_examples=60, deadline=None)
@given(loads, loads, devices, parts)
def test_more_load_never_needs_fewer(first: float, second: float, device: Device, part: str) -> None:
    less, more = sorted((first, second))
    assert units_of(Load(less), Target(), device, part) <= units_of(Load(more), Target(), device, part)


@settings(max_examples=60, deadline=None)
@given(loads, st.floats(1.0, 10.0), st.floats(1.0, 10.0), devices, parts)
def test_a_higher_peak_never_needs_fewer(hours: float, first: float, second: float, device: Device, part: str) -> None:
    low, high = sorted((first, second))
    flat, steep = Load(hours, peak_factor=low), Load(hours, peak_factor=high)
    assert units_of(flat, Target(), device, part) <= units_of(steep, Target(), device, part)


@settings(max_examples=60, deadline=None)
@given(loads, st.floats(1.0, 20.0), st.floats(1.0, 20.0), devices)
def test_more_patience_never_needs_more(hours: float, first: float, second: float, device: Device) -> None:
    short, long = sorted((first, second))
    hurried = Target(request_p95_s=short, finalisation_p95_s=short, job_hours=short)
    patient = Target(request_p95_s=long, finalisation_p95_s=long, job_hours=long)
    for part in capacity.WAYS:
        assert units_of(Load(hours), patient, device, part) <= units_of(Load(hours), hurried, device, part)


@settings(max_examples=60, deadline=None)
@given(loads, st.floats(0.1, 1.0), st.integers(0, 3), st.integers(1, 64), devices, parts)
def test_use_stays_below_what_is_planned(
    hours: float, most_use: float, spare: int, per_node: int, device: Device, part: str
) -> None:
    fleet = Fleet(units_per_node=per_node, spare_nodes=spare, price_per_hour=1.0)
    plan = capacity.plan(Load(hours), Target(most_use=most_use), device, fleet, others=[SERVED])
    told = lines_of(plan, part)
    assert told["use, all nodes"].value <= told["use, spare nodes lost"].value <= most_use + 1e-6
    assert told["cost, nodes on when they work"].value <= told["cost, nodes always on"].value
    assert told[f"nodes with {spare} spare"].value * per_node >= told[f"{device.unit}s needed"].value


@settings(max_examples=30, deadline=None)
@given(loads, st.floats(0.01, 100), st.floats(0.01, 100))
def test_costs_grow_with_the_price(hours: float, first: float, second: float) -> None:
    costs = []
    for price in (first, second):
        plan = capacity.plan(Load(hours), Target(), SERVED, Fleet(price_per_hour=price))
        costs.append(lines_of(plan, "requests")["cost, nodes always on"].value / price)
    assert costs[0] == pytest.approx(costs[1])


# ---- measured figures


def test_the_figures_of_results_are_read() -> None:
    known = measured.devices([ROOT / path for path in measured.RESULTS if (ROOT / path).is_file()])
    tiny = json.loads((ROOT / "results/service.json").read_text())["tiny"]
    ours = tiny["servers"]["ours"]
    device = known["cpu-tiny"]
    assert max(trial.audio_s_per_s for trial in device.requests if trial.p95_s <= 2) == ours["at_rate"]["audio_s_per_s"]
    assert device.service_share == ours["saturated"]["audio_s_per_s"] / tiny["offline"]["audio_s_per_s"]
    gpu = json.loads((ROOT / "results/engine_gpu.json").read_text())
    assert known["h100-0.6b"].batches[32] == gpu["paths"]["fused"]["outer"]["32"]
    engine = json.loads((ROOT / "results/engine-cpu.json").read_text())
    assert known["cpu-0.6b"].batches[16] == engine["parakeet"]["shoptalk int8"]["loads"]["16 x 10 s"]["rtfx"]


def test_streams_of_a_core_are_joined_with_requests_of_two(tmp_path: Path) -> None:
    """As results/live.json has them, beside results/service.json, which was measured on two cores."""
    live = tmp_path / "live.json"
    about = {"command": "python benchmarks/service/streams.py", "date": "2026-11-27"}
    live.write_text(json.dumps({"streams": 12, "finalisation_p95_s": 1.5, "wer_difference": {}, **about}))
    known = measured.devices([ROOT / "results/service.json", live])["cpu-tiny"]
    assert known.units == 2 and known.streams == (Streams(streams=24.0, finalisation_p95_s=1.5),)
    assert known.source("streams") == "live.json, `python benchmarks/service/streams.py`, 2026-11-27"


def test_a_live_json_with_jobs_alone_tells_of_no_device(tmp_path: Path) -> None:
    live = tmp_path / "live.json"
    live.write_text(json.dumps({"jobs_lost_after_kills": 0, "jobs": {}}))
    known = measured.devices([ROOT / "results/service.json", live])
    assert not known["cpu-tiny"].streams


def test_trials_with_errors_do_not_count() -> None:
    content = json.loads((ROOT / "results/service.json").read_text())
    for trial in content["tiny"]["servers"]["ours"]["trials"]:
        trial["errors"] = 1
    [device] = [device for device in measured._of_content(content, "service.json") if device.name == "cpu-tiny"]
    assert len(device.requests) == 1  # that at half of the rate


def test_figures_of_several_files_are_joined_by_unit(tmp_path: Path) -> None:
    """Streams that four cores held are two times those of the two cores that answered requests."""
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    first.write_text(SERVED.model_copy(update={"streams": ()}).model_dump_json())
    four = Device(name="cpu", unit="core", units=4, streams=(Streams(streams=80.0, finalisation_p95_s=1.0),))
    second.write_text(json.dumps([four.model_dump(mode="json")]))
    joined = measured.devices([first, second])["cpu"]
    assert joined.requests == SERVED.requests
    assert joined.streams == (Streams(streams=40.0, finalisation_p95_s=1.0),)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("nothing", "no JSON"),
        ("{}", "name"),
        ('{"name": "x", "unit": "core", "speed": 3}', "speed"),
        ('{"name": "x", "unit": "core", "requests": [{"audio_s_per_s": -1, "p95_s": 1}]}', "audio_s_per_s"),
        ('{"tiny": {}}', "make it anew"),
        ('{"paths": {}}', "make it anew"),
        ("[3]", "docs/capacity.md"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "figures.json"
    path.write_text(content)
    with pytest.raises(CapacityError, match=words):
        measured.devices([path])


def test_no_figures_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(measured, "RESULTS", (tmp_path / "absent.json",))
    with pytest.raises(CapacityError, match="--figures"):
        measured.devices()
    with pytest.raises(CapacityError, match="No such file"):
        measured.devices([tmp_path / "absent.json"])


# ---- the command


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["capacity", *arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_the_three_loads_agree(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """1,200 visits a week of 10 minutes are 200 h a week, 40 a day, and 8 audio s/s at the peak: one request of 8 s."""
    path = tmp_path / "own.json"
    path.write_text(SERVED.model_dump_json())
    common = ("--figures", str(path), "--json")
    answers = []
    for load in (
        ("--consultations-per-week", "1200", "--minutes", "10"),
        ("--audio-hours-per-day", "40"),
        ("--requests-per-second", "1"),
    ):
        status, out, _ = run(capsys, *load, *common)
        assert status == 0
        answers.append(json.loads(out))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["load"]["audio at the peak"]["value"] == 8


def test_every_line_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    load = ("--audio-hours-per-day", "100", "--device", "h100-0.6b", "--price-per-hour", "3")
    status, out, _ = run(capsys, *load)
    assert status == 0
    figures = [line for line in out.splitlines() if line.startswith("  ") and "not measured" not in line]
    assert len(figures) > 20
    assert all(
        any(f" {origin}" in line for origin in ("given", "assumed", "measured [", "calculated")) for line in figures
    )
    _, out, _ = run(capsys, *load, "--json", "--for", "jobs")
    told = json.loads(out)
    assert set(told) == {"device", "what", "load", "jobs", "not_measured"}
    assert {line["origin"] for line in told["jobs"].values()} == {"given", "assumed", "measured", "calculated"}
    assert all(line["from"] for line in told["jobs"].values() if line["origin"] == "measured")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--device NAME: choose what was measured: cpu-tiny"),
        (("--device", "abacus"), "--device abacus: choose"),
        (("--device", "cpu-tiny"), "give one load"),
        (("--device", "cpu-tiny", "--audio-hours-per-day", "1", "--requests-per-second", "1"), "give one load"),
        (("--device", "cpu-tiny", "--consultations-per-week", "10"), "belong together"),
        (("--device", "cpu-tiny", "--audio-hours-per-day", "-1"), "audio hours per week of -5"),
    ],
)
def test_a_wrong_command_is_refused(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str) -> None:
    status, _, err = run(capsys, *arguments)
    assert status == 2 and "CapacityError" in err and words in err


def test_the_plan_of_a_device_holds_for_a_longer_week() -> None:
    """The same audio on more hours needs no more devices."""
    week = Load(10_000.0)
    longer = replace(week, days_per_week=7.0, hours_per_day=12.0)
    for part in capacity.WAYS:
        assert units_of(longer, Target(), SERVED, part) <= units_of(week, Target(), SERVED, part)
