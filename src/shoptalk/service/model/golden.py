"""The golden recording: what tells a wrong model from a live one, at the start and now and then."""

from dataclasses import dataclass

from shoptalk.core.records import Samples
from shoptalk.service import clock
from shoptalk.service.model.differences import Compare
from shoptalk.service.model.work import Transcriber, Work

CALLER = "golden recording"
"""The caller that the recording is transcribed for."""
WITHIN_S = 60.0
"""The time allowed for it, also on a busy machine."""


@dataclass(frozen=True)
class Golden:
    """A recording that no patient spoke, and what the right model makes of it."""

    samples_T: Samples
    text: str
    max_wer: float
    """Differing words per word of the text; more of them say that the model is a wrong one."""


async def distance(golden: Golden, transcriber: Transcriber, compare: Compare) -> float:
    """How far the transcript is from the expected one, in differing words per word.

    `Problem` if there is none, `TimeoutError` if it does not come within `WITHIN_S`.
    """
    work = Work(golden.samples_T, caller=CALLER, within_s=WITHIN_S)
    async with clock.timeout(WITHIN_S):
        recognition = await transcriber.transcribe(work)
    return compare(golden.text, recognition.text).rate
