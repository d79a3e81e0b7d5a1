"""Opening recognisers: the engine, and others for the same test as `evaluate.others` names them."""

from pathlib import Path
from typing import TYPE_CHECKING

from shoptalk.core import device, recordings, runtime
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.bundle import require_bundle
from shoptalk.core.config import api_key
from shoptalk.core.device import cores
from shoptalk.core.errors import ManifestError, ModelError
from shoptalk.core.examples import read_manifest
from shoptalk.core.models import store
from shoptalk.core.protocols import Recognizer
from shoptalk.core.recipe import ON_A_GPU, EngineSection, OtherSection
from shoptalk.core.records import Samples
from shoptalk.core.resources import locate

if TYPE_CHECKING:
    from shoptalk.engine.recognizer import Engine
    from shoptalk.engine.streaming import Streamer

CALIBRATION = 64
"""Recordings of a manifest that choose the scales of 8-bit floats, the first ones."""
CALIBRATION_S = 30.0
"""Of each, at most."""


def open_engine(path: Path, section: EngineSection, *, batch: int) -> "Engine":
    """The engine with a bundle or a `.nemo`, and a VAD where the section asks for what needs one.

    A VAD that the store cannot give is an error: no check that was asked for is left out silently. The process is set
    up for the engine: it is the engine's from then on.
    """
    process = runtime.start(device=section.device, gpu=gpu_use(section))
    from shoptalk.engine.recognizer import Engine, VadUse
    from shoptalk.integrations import vad_silero

    path = locate(path)
    if not path.exists():
        raise ModelError(f"{path}: no such bundle or .nemo; make one with `shoptalk package`")
    if path.is_dir():
        require_bundle(path)  # told before anything is fetched
    vad = None
    if section.needs_vad:
        vad = VadUse(vad_silero.load(), fill_gaps=section.fill_holes, require_speech=section.speech_only)
    engine = Engine(
        path,
        batch=batch,
        precision=section.precision,
        beam=section.beam,
        vad=vad,
        runtime=process,
    )
    runtime.give_back_memory()  # what loading needed
    return engine


def gpu_use(section: EngineSection) -> runtime.GpuUse:
    """The paths of a GPU that a section asks for; `ManifestError` for a manifest of 8-bit floats without lines."""
    speech: tuple[Samples, ...] = ()
    if section.device == "cuda" and section.fp8_manifest:
        examples = read_manifest(locate(section.fp8_manifest))[:CALIBRATION]
        if not examples:
            raise ManifestError(f"{section.fp8_manifest}: has no lines; give recordings that choose the scales")
        longest = round(CALIBRATION_S * SAMPLE_RATE_HZ)
        speech = tuple(recordings.load(example)[:longest] for example in examples)
    runs_kernels = device.runs_kernels(device.accelerator()) if section.device == "cuda" else False
    paths = {key: section.on_gpu(key, runs_kernels=runs_kernels) for key in ON_A_GPU}
    return runtime.GpuUse(**paths, fp8_recordings=speech)


def open_streamer(path: Path, section: EngineSection) -> "Streamer":
    """The engine with a bundle or a `.nemo` for streams, which have no filled gaps."""
    from shoptalk.engine.streaming import Streamer, StreamSetting

    # What is not asked for stays off: nothing of it has run in a stream on a GPU, and graphs would hold memory in vain.
    unasked = {key: False for key in ON_A_GPU if getattr(section, key) is None}
    changes = {"fill_holes": False, "require_speech": section.speech_only, **unasked}
    plain = section.model_copy(update=changes)
    return Streamer(open_engine(path, plain, batch=1), StreamSetting())


def open_both(path: Path, section: EngineSection, *, batch: int) -> "tuple[Engine, Streamer]":
    """The engine, and streams on the same engine: the weights are in memory once."""
    from shoptalk.engine.streaming import Streamer, StreamSetting

    engine = open_engine(path, section, batch=batch)
    return engine, Streamer(engine, StreamSetting())


def open_recognizer(section: OtherSection, *, batch: int) -> Recognizer:
    """The recogniser of a section, its model fetched if need be; an endpoint gets up to `batch` requests at once."""
    if section.kind == "openai":
        from shoptalk.integrations.asr_openai import OpenAiRecognizer

        key = api_key("OPENAI_API_KEY")
        return OpenAiRecognizer(section.base_url, name=section.model, api_key=key, at_once=min(batch, 4))
    folder = store.path(section.model)
    if section.kind == "whisper":
        from shoptalk.integrations.asr_whisper import WhisperRecognizer

        return WhisperRecognizer(folder, threads=cores())
    from shoptalk.integrations.asr_moonshine import MoonshineRecognizer

    return MoonshineRecognizer(folder, threads=cores())


def title(section: OtherSection) -> str:
    """Its name in the report, e.g. ``whisper-base``: the model's without the folder and the form of its weights."""
    return section.model.rpartition("/")[2].removesuffix("-ct2").removesuffix("-en")
