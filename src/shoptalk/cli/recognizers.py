"""Other recognisers for the same test: opened as `evaluate.others` names them."""

from shoptalk import models
from shoptalk.config import cores, environment
from shoptalk.protocols import Recognizer
from shoptalk.recipe import OtherSection


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
