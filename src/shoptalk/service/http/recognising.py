"""What is made of a decoded recording, whoever sent it: its recognitions, and what is noted and kept of them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from shoptalk.core.audio import SAMPLE_RATE_HZ, Decoded
from shoptalk.core.protocols import Phrase
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.service.access.access import Access
from shoptalk.service.access.callers import Caller
from shoptalk.service.account import Account
from shoptalk.service.http.answers import Transcript
from shoptalk.service.http.fields import Wanted
from shoptalk.service.http.intake import Intake
from shoptalk.service.http.phrases import Boosted
from shoptalk.service.model.models import Models
from shoptalk.service.model.served import Served
from shoptalk.service.model.work import Work
from shoptalk.service.problems import Problem
from shoptalk.service.settings import Settings
from shoptalk.service.telemetry.watching import Telemetry

WARNING = "X-Shoptalk-Warning"
"""Header of an answer to a recording of which something had to be left out or changed."""
WARNING_CHARACTERS = 1000
"""Of that header at most."""
BACKGROUND_S = 24 * 3600.0
"""So long work may wait that gives way to all other."""


@dataclass(frozen=True)
class Entrance:
    """What a request passes on its way."""

    models: Models
    settings: Settings
    access: Access
    intake: Intake
    telemetry: Telemetry


@dataclass(frozen=True)
class Taken:
    """A recording, and what is wanted of it."""

    wanted: Wanted
    model: Served
    boosted: Boosted
    decoded: Decoded
    warnings: list[str]
    review_below: float
    """Words of lower confidence are told where a review is asked for."""

    def transcript(self, recognitions: Sequence[Recognition]) -> Transcript:
        """What is answered about."""
        return Transcript(recognitions, self.duration_s, self.model.watch, self.review_below)

    @property
    def channels(self) -> tuple[Samples, ...]:
        return self.decoded.channels or (self.decoded.samples_T,)

    @property
    def duration_s(self) -> float:
        return self.decoded.samples_T.size / SAMPLE_RATE_HZ

    @property
    def headers(self) -> dict[str, str]:
        told = "; ".join([*self.warnings, *self.decoded.warnings])
        return {WARNING: told[:WARNING_CHARACTERS]} if told else {}


async def recognise(
    entrance: Entrance,
    account: Account,
    caller: Caller,
    taken: Taken,
    *,
    on_words: Callable[[Sequence[Word]], None] | None = None,
    background: bool = False,
) -> list[Recognition]:
    """The recognition of each channel, and what is noted and kept of it; `Problem` if there is none.

    Of phrases that the model cannot write, those of the prompt are left out: clients send prose there. Work in the
    `background` gives way to all other, and has `BACKGROUND_S` to do so.
    """

    async def transcribed(boost: tuple[Phrase, ...]) -> list[Recognition]:
        work = Work(
            taken.channels[0],
            taken.wanted.asked.options(boost),
            caller.id,
            BACKGROUND_S if background else entrance.models.time_allowed_s(taken.duration_s * len(taken.channels)),
            background=background,
            on_words=on_words,
        )
        return await _transcribe(entrance, account, taken, work)

    try:
        recognitions = await transcribed(taken.boosted.all)
    except Problem as problem:
        if problem.code != "invalid_phrase":
            raise
        if not taken.boosted.of_prompt:
            raise Problem(400, problem.message, code=problem.code, param="keywords") from None
        taken.warnings.append("the model cannot write a phrase of the prompt, which has no effect")
        recognitions = await transcribed(taken.boosted.asked)
    for samples_T, recognition in zip(taken.channels, recognitions, strict=True):
        account.recognised(taken.model.name, taken.duration_s, recognition)
        await entrance.access.keep(caller, account, samples_T, recognition)
    entrance.access.answered(account)
    return recognitions


async def _transcribe(entrance: Entrance, account: Account, taken: Taken, work: Work) -> list[Recognition]:
    """The recognition of each channel; if one fails, or nobody waits any more, the others are withdrawn.

    `work` is that of the first channel.
    """
    model = taken.model
    audio_s = taken.duration_s * len(taken.channels)
    tasks = []
    try:
        with entrance.telemetry.stage(account, "recognise", model=model.name, audio_s=audio_s):
            on_begun = entrance.telemetry.queue(account)
            for samples_T in taken.channels:
                own = replace(work, samples_T=samples_T, on_begun=on_begun)
                tasks.append(asyncio.ensure_future(model.transcribe(own)))
            return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
