"""What devices were measured to do: the figures of results/, or of a file of the user's.

Files of the benchmarks are read as they are, ours or those that the same commands wrote elsewhere:

| file | command | what is taken of it |
|---|---|---|
| service.json | `make bench-service` | audio a second at each p95, and with 32 clients that never pause |
| live.json | `benchmarks/service/streams.py` | concurrent streams of a core, and the p95 of their finalisation delay |
| engine_gpu.json | `scripts/gpu_check.sh` | audio a second of the engine alone, by batch |
| engine-cpu.json | `benchmarks/engine/cpu.py` | the same on a CPU |

Any other measurement is a JSON file in the form of `Device`, or a list of these.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shoptalk.core.errors import CapacityError
from shoptalk.core.files import first_problem
from shoptalk.core.resources import locate

RESULTS = tuple(Path("results", name) for name in ("service.json", "live.json", "engine_gpu.json", "engine-cpu.json"))
LONGEST_CLIP_S = 30.0
"""Of the clips that `make bench-service` sends, and of a window of the engine."""
GPU_PATHS = ("fused", "graphs", "plain")
"""Of engine_gpu.json: what the engine takes on a GPU, the first one that was measured."""
ENGINE_VARIANTS = ("shoptalk int8", "shoptalk bf16", "shoptalk fp32")
"""Of engine-cpu.json; the fastest one that keeps the texts is served."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Part(BaseModel):
    """Immutable; an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Trial(Part):
    """Poisson arrivals at one rate that were answered without errors."""

    audio_s_per_s: Positive
    p95_s: Positive


class Streams(Part):
    """So many streams at the same time."""

    streams: Positive
    finalisation_p95_s: Positive


class Device(Part):
    """What a device does with one model; figures are those of all its `units` together, None where not measured."""

    name: str = Field(min_length=1)
    """By which `shoptalk capacity --device` chooses it."""
    what: str = ""
    """The machine and the model, for people."""
    unit: Literal["core", "GPU"]
    units: int = Field(default=1, ge=1)
    """Cores or GPUs that gave these figures."""
    clip_s: Positive = 10.0
    """Mean length of the clips that were sent."""
    longest_clip_s: Positive = LONGEST_CLIP_S
    requests: tuple[Trial, ...] = ()
    saturated_audio_s_per_s: Positive | None = None
    """Of the service, with as many requests as it takes."""
    streams: tuple[Streams, ...] = ()
    batches: Mapping[int, Positive] = {}
    """Of the engine alone: audio seconds a second by batch, for clips of `batch_clip_s`."""
    batch_clip_s: Positive = 10.0
    offline_audio_s_per_s: Positive | None = None
    """Of the engine alone, in the run that measured the service."""
    sources: Mapping[str, str] = {}
    """Where each group of figures comes from: ``requests``, ``streams``, ``batches``; ``""`` for all others."""

    def source(self, group: str) -> str:
        """Where a group of figures comes from."""
        return self.sources.get(group) or self.sources.get("", "")

    @property
    def service_share(self) -> float | None:
        """The service's rate as a share of the engine's own; None where not both were measured."""
        if self.saturated_audio_s_per_s is None or self.offline_audio_s_per_s is None:
            return None
        return self.saturated_audio_s_per_s / self.offline_audio_s_per_s


def devices(files: Sequence[Path] = ()) -> dict[str, Device]:
    """The devices of these files, or of results/ without any, by name; `CapacityError` names what cannot be read.

    Figures of the same device from several files are joined.
    """
    paths = files or [path for path in map(locate, RESULTS) if path.is_file()]
    if not paths:
        names = ", ".join(map(str, RESULTS))
        raise CapacityError(f"there are no measured figures here ({names}); give your own with --figures FILE")
    joined: dict[str, Device] = {}
    for path in paths:
        for device in read(path):
            known = joined.get(device.name)
            joined[device.name] = _joined(known, device) if known else device
    return joined


def read(path: Path) -> list[Device]:
    """The devices of one file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CapacityError(f"{path}: {error.strerror}; give a file of measured figures") from None
    except ValueError:
        raise CapacityError(f"{path}: no JSON; docs/capacity.md says what a file of figures holds") from None
    if isinstance(content, Mapping) and "jobs_lost_after_kills" in content and "finalisation_p95_s" not in content:
        return []  # live.json before streams were measured: kills of jobs stand in the same file
    try:
        known = list(_of_content(content, path.name))
    except ValidationError as error:
        raise CapacityError(f"{path}: {first_problem(error)}; docs/capacity.md says what a file holds") from None
    except (KeyError, TypeError, AttributeError, ValueError, StopIteration):
        known = []
    if not known:
        raise CapacityError(f"{path}: lacks figures that its kind has; make it anew with its benchmark")
    return known


def _of_content(content: Any, name: str) -> Iterable[Device]:
    if isinstance(content, Mapping):
        if "throughput_ratio_to_locked_nemo" in content or "tiny" in content or "0.6b" in content:
            return _of_service(content, name)
        if "finalisation_p95_s" in content:
            return [_of_live(content, name)]
        if "paths" in content:
            return [_of_gpu(content, name)]
        if "parakeet" in content and "threads" in content:
            return [_of_cpu_engine(content, name)]
    written = content if isinstance(content, list) else [content]
    read_as = TypeAdapter(list[Device]).validate_python(written)
    return [device if device.sources else device.model_copy(update={"sources": {"": name}}) for device in read_as]


def _of_service(content: Mapping[str, Any], name: str) -> Iterator[Device]:
    for size in ("tiny", "0.6b"):
        measured = content.get(size)
        ours = measured["servers"].get("ours") if measured else None
        if not measured or not ours:
            continue
        about = measured.get("run", content)
        yield Device(
            name=f"cpu-{size}",
            what=f"{_machine(about)}, {size} model",
            unit="core",
            units=about["machine"]["cores"],
            clip_s=measured["clips"]["mean_s"],
            requests=_trials([*ours["trials"], ours["half"]]),
            saturated_audio_s_per_s=ours["saturated"]["audio_s_per_s"],
            offline_audio_s_per_s=measured["offline"]["audio_s_per_s"],
            sources={"requests": _source(about, name)},
        )


def _trials(measured: Iterable[Mapping[str, Any] | None]) -> tuple[Trial, ...]:
    """The trials without errors of which every request was answered, by their rate."""
    whole = [trial for trial in measured if trial and not trial["errors"] and trial["answered"] == trial["planned"]]
    trials = [Trial(audio_s_per_s=trial["audio_s_per_s"], p95_s=trial["p95_ms"] / 1000) for trial in whole]
    return tuple(sorted(trials, key=lambda trial: trial.audio_s_per_s))


def _of_live(content: Mapping[str, Any], name: str) -> Device:
    """`streams` of live.json are those of one core."""
    held = Streams(streams=content["streams"], finalisation_p95_s=content["finalisation_p95_s"])
    source = _source(content, name)
    return Device(name="cpu-tiny", unit="core", units=1, streams=(held,), sources={"streams": source})


def _of_gpu(content: Mapping[str, Any], name: str) -> Device:
    path = next(path for path in GPU_PATHS if path in content["paths"])
    batches = {int(batch): rate for batch, rate in content["paths"][path]["outer"].items()}
    card = re.search(r"[A-Z]+\d+", content["device"])
    return Device(
        name=f"{card.group(0).lower() if card else 'gpu'}-{content['size']}",
        what=f"{content['device']}, {content['size']} model",
        unit="GPU",
        batches=batches,
        batch_clip_s=content["clip_s"],
        sources={"batches": f"{_source(content, name)}, path {path}"},
    )


def _of_cpu_engine(content: Mapping[str, Any], name: str) -> Device:
    measured = content["parakeet"]
    variant = next(variant for variant in ENGINE_VARIANTS if "loads" in measured.get(variant, {}))
    batches = {}
    for load, figures in measured[variant]["loads"].items():
        size, length = re.fullmatch(r"(\d+) x (\d+) s", load).groups()  # type: ignore[union-attr]
        if length == "10":
            batches[int(size)] = figures["rtfx"]
    return Device(
        name="cpu-0.6b",
        what=f"{_machine(content)}, 0.6b model",
        unit="core",
        units=content["threads"],
        batches=batches,
        sources={"batches": f"{_source(content, name)}, {variant}, {content['isa']}"},
    )


def _joined(known: Device, further: Device) -> Device:
    """One device with the figures of both; those of the first where both have the same ones."""
    if known.unit != further.unit:
        raise CapacityError(f"{known.name} counts {known.unit}s in one file and {further.unit}s in another; rename one")
    scale = known.units / further.units
    update: dict[str, Any] = {}
    if not known.requests:
        scaled = [trial.model_copy(update={"audio_s_per_s": trial.audio_s_per_s * scale}) for trial in further.requests]
        update |= {"requests": tuple(scaled), "clip_s": further.clip_s, "longest_clip_s": further.longest_clip_s}
    if not known.streams:
        update["streams"] = tuple(held.model_copy(update={"streams": held.streams * scale}) for held in further.streams)
    if not known.batches:
        update["batches"] = {batch: rate * scale for batch, rate in further.batches.items()}
        update["batch_clip_s"] = further.batch_clip_s
    if known.service_share is None and further.service_share is not None:
        for name in ("saturated_audio_s_per_s", "offline_audio_s_per_s"):
            update[name] = getattr(further, name) * scale
    return known.model_copy(update={**update, "sources": {**further.sources, **known.sources}})


def _machine(content: Mapping[str, Any]) -> str:
    return f"{content['machine']['cores']} cores {content['machine']['cpu']}"


def _source(content: Mapping[str, Any], name: str) -> str:
    return f"{name}, `{content['command'].strip()}`, {content['date']}"
