"""Opening the synthesiser that a recipe names: who makes it, which workers it wants, what else changes its sound."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from shoptalk.core import config
from shoptalk.core.examples import content_digests
from shoptalk.core.files import digest
from shoptalk.core.languages import ENGLISH
from shoptalk.core.protocols import Tts, Workers
from shoptalk.core.recipe import effective
from shoptalk.stages.run import StageRun
from shoptalk.stages.threads import Threads
from shoptalk.stages.workers import workers_of


class Synthesiser(NamedTuple):
    """A synthesiser of the recipe."""

    make: Callable[[], Tts]
    """Can be pickled; called once in each process."""
    workers: Workers
    identity: str
    """What changes its sound beside voice, speed and text; a part of every recording's name. Kokoro's is empty."""


def synthesiser(run: StageRun) -> Synthesiser:
    """The synthesiser of `speech.tts`; models of the store are fetched."""
    section = run.recipe.speech
    if section.tts == "kokoro":
        from shoptalk.integrations import kokoro

        kokoro.prepare()
        language = run.recipe.language
        make = kokoro.load if language == ENGLISH else partial(kokoro.load, language)
        return Synthesiser(make, workers_of(run, count=section.workers), "" if language == ENGLISH else language)
    if section.tts == "espeak":
        from shoptalk.integrations.tts_espeak import EspeakTts

        languages = section.voices.languages
        return Synthesiser(partial(EspeakTts, languages), workers_of(run, count=section.workers), digest(languages))
    if section.tts == "piper" and section.piper_voices:
        from shoptalk.integrations.tts_piper import PiperTts

        folder = run.resolve(section.piper_voices)
        identity = digest(content_digests(folder, "*"))
        workers = workers_of(run, count=section.workers, reads=(folder,))
        return Synthesiser(partial(PiperTts, folder), workers, identity)
    service = section.service
    identity = digest(effective(service))
    return Synthesiser(_service(run), Threads(service.concurrency), identity)


def _service(run: StageRun) -> Callable[[], Tts]:
    section = run.recipe.speech
    service = section.service
    languages = section.voices.languages
    limit = service.requests_per_minute
    if section.tts == "openai":
        from shoptalk.integrations.tts_openai import OpenAiTts

        key = config.api_key("OPENAI_API_KEY")
        return partial(OpenAiTts, service.base_url, model=service.model, api_key=key, requests_per_minute=limit)
    if section.tts == "polly":
        from shoptalk.integrations.tts_polly import PollyTts

        return partial(PollyTts, languages, model=service.model, region=service.region, requests_per_minute=limit)
    from shoptalk.integrations.tts_riva import RivaTts

    key = config.api_key("NVIDIA_API_KEY")
    return partial(RivaTts, service.base_url, languages, api_key=key, requests_per_minute=limit)
