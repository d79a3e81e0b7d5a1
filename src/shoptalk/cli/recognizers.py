"""Opening recognisers: the engine, and others for the same test as `evaluate.others` names them."""

from pathlib import Path
from typing import TYPE_CHECKING

from shoptalk import models
from shoptalk.config import cores, environment
from shoptalk.errors import ModelError
from shoptalk.protocols import Recognizer
from shoptalk.recipe import EngineSection, OtherSection

if TYPE_CHECKING:
    from shoptalk.engine.recognizer import Engine


def open_engine(path: Path, section: EngineSection, *, batch: int) -> "Engine":
    """The engine with a bundle or a `.nemo`, and a VAD if no speech may pass in silence."""
    from shoptalk.doors import vad_silero
    from shoptalk.engine.recognizer import Engine

    if not path.exists():
        raise ModelError(f"{path}: no such bundle or .nemo; make one with `shoptalk package`")
    vad = vad_silero.load() if section.fill_holes else None
    return Engine(path, batch=batch, precision=section.precision, beam=section.beam, vad=vad)


def open_recognizer(section: OtherSection, *, batch: int) -> Recognizer:
    """The recogniser of a section, its model fetched if need be; an endpoint gets up to `batch` requests at once."""
    if section.kind == "openai":
        from shoptalk.doors.asr_openai import OpenAiRecognizer

        key = environment("OPENAI_API_KEY")
        return OpenAiRecognizer(section.base_url, name=section.model, api_key=key, at_once=min(batch, 4))
    folder = models.path(section.model)
    if section.kind == "whisper":
        from shoptalk.doors.asr_whisper import WhisperRecognizer

        return WhisperRecognizer(folder, threads=cores())
    from shoptalk.doors.asr_moonshine import MoonshineRecognizer

    return MoonshineRecognizer(folder, threads=cores())


def title(section: OtherSection) -> str:
    """Its name in the report, e.g. ``whisper-base``: the model's without the folder and the form of its weights."""
    return section.model.rpartition("/")[2].removesuffix("-ct2").removesuffix("-en")
