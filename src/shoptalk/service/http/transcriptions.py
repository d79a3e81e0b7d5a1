"""`POST /v1/audio/transcriptions`: a recording comes in, is decoded, transcribed, and answered."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from shoptalk.core.audio import Decoded
from shoptalk.core.records import Recognition, Word
from shoptalk.service.access.callers import Caller
from shoptalk.service.account import account_of
from shoptalk.service.http import answers, description, events, fields, phrases, uploads
from shoptalk.service.http.answers import Asked, Transcript
from shoptalk.service.http.intake import Share
from shoptalk.service.http.recognising import Entrance, Taken, recognise
from shoptalk.service.problems import Problem

TRANSCRIPTIONS = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"
CLIENT_GONE = 499  # what nginx writes for it; nobody reads it, but it is counted
EARLY_S = 2.0
"""A stream begins when there are words, and after so long in any case; what fails before is an answer with a status."""

_News = asyncio.Queue[Sequence[Word] | None]
"""Words that will not change, as they come; None: no more come."""


def router(entrance: Entrance) -> APIRouter:
    """The routes below ``/v1/audio``."""
    routes = APIRouter()
    may_transcribe = Depends(entrance.access.require("transcribe"))

    @routes.post(TRANSCRIPTIONS, openapi_extra=description.TRANSCRIPTION, response_class=Response)
    async def transcribe(request: Request, caller: Annotated[Caller, may_transcribe]) -> Response:
        """The text of a recording."""
        try:
            async with AsyncExitStack() as held:
                return await _answer(entrance, request, caller, held)
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)

    @routes.post(TRANSLATIONS, dependencies=[may_transcribe], response_class=Response)
    async def translate() -> Response:
        """Not offered: always an error that says so."""
        message = (
            f"translation is not offered: this server understands English and writes English; use {TRANSCRIPTIONS}"
        )
        raise Problem(404, message, code="unsupported_endpoint")

    return routes


async def _answer(entrance: Entrance, request: Request, caller: Caller, held: AsyncExitStack) -> Response:
    """The response; what the request holds is in `held`, which a stream takes over."""
    held.enter_context(entrance.access.recording(caller))
    share = held.enter_context(entrance.intake.audio.share())
    taken = await _take_in(entrance, request, caller, share)
    if taken.wanted.stream:
        return await _streamed(entrance, request, caller, taken, held)
    recognising = asyncio.ensure_future(recognise(entrance, account_of(request), caller, taken))
    recognitions = await events.unless_gone(request.receive, recognising)
    asked = taken.wanted.asked
    with entrance.telemetry.stage(account_of(request), "answer", form=asked.form):
        transcript = taken.transcript(recognitions)
        answer = await asyncio.to_thread(answers.render, transcript, asked)
    answer.headers.update(taken.headers)
    return answer


async def _take_in(entrance: Entrance, request: Request, caller: Caller, share: Share) -> Taken:
    """Read, check and decode a request, in one of the places for that."""
    settings, telemetry, account = entrance.settings, entrance.telemetry, account_of(request)
    _refuse_query(request)
    async with AsyncExitStack() as held:
        held.enter_context(entrance.intake.place())
        bytes_held = held.enter_context(entrance.intake.uploads.share())
        entrance.models.require_any_room()
        with telemetry.stage(account, "upload"):
            upload = await held.enter_async_context(uploads.read_form(request, settings, bytes_held))
        wanted = fields.read(upload.fields, is_strict=settings.strict_fields)
        model = entrance.models.resolve(wanted.model)
        account.model = model.name
        model.require_room()
        stored = await entrance.access.phrases(caller, wanted.vocabularies)
        # of a long prompt it takes a third of a second
        boosted, warnings = await asyncio.to_thread(phrases.boosted, wanted, stored, model.watch, settings)
        with telemetry.stage(account, "decode"):
            decoding = entrance.intake.decode(upload.file, share, separate=wanted.asked.each_channel)
            decoded: Decoded = await events.unless_gone(request.receive, asyncio.ensure_future(decoding))
    taken = Taken(wanted, model, boosted, decoded, [*wanted.warnings, *warnings], settings.review_confidence)
    entrance.access.count_audio(caller, taken.duration_s * len(taken.channels))
    return taken


def _refuse_query(request: Request) -> None:
    """`Problem` for a field in the address, where nobody would look for it."""
    known = fields.SINGLE | fields.LISTS
    for name in request.query_params:
        if name.removesuffix("[]") in known:
            raise Problem(400, f"send `{name}` as a field of the form", code="invalid_value", param=name)


# ---- stream=true


async def _streamed(
    entrance: Entrance, request: Request, caller: Caller, taken: Taken, held: AsyncExitStack
) -> Response:
    """Events, from the first words on; what fails before that is an answer with a status of its own."""
    news: _News = asyncio.Queue()
    # the text of several channels is one of turns, which are known in the end
    on_words = news.put_nowait if len(taken.channels) == 1 else None
    recognising = asyncio.ensure_future(recognise(entrance, account_of(request), caller, taken, on_words=on_words))
    recognising.add_done_callback(lambda _: news.put_nowait(None))
    held.push_async_callback(_withdraw, recognising)
    first = await events.unless_gone(request.receive, asyncio.ensure_future(_next(news, EARLY_S)))
    if recognising.done():
        recognising.result()
    return events.EventStream(_events(taken, recognising, first, news), held.pop_all(), taken.headers)


async def _withdraw(recognising: "asyncio.Future[list[Recognition]]") -> None:
    recognising.cancel()
    await asyncio.gather(recognising, return_exceptions=True)


async def _next(news: "_News", wait_s: float) -> Sequence[Word] | None:
    """Further words, none at all if none came in time; None when all is recognised."""
    try:
        async with asyncio.timeout(wait_s):
            return await news.get()
    except TimeoutError:
        return ()


async def _events(
    taken: Taken,
    recognising: "asyncio.Future[list[Recognition]]",
    words: Sequence[Word] | None,
    news: "_News",
) -> AsyncIterator[bytes]:
    """All events but the last; `Problem` if the recognition fails on the way."""
    sent: list[Word] = []
    while words is not None:
        if words:
            delta = answers.delta_event(words, taken.wanted.asked, is_first=not sent)
            sent += words
            yield events.event(delta)
        else:
            yield events.ALIVE
        words = await _next(news, events.ALIVE_S)
    transcript = taken.transcript(recognising.result())
    for event in await asyncio.to_thread(_last_events, transcript, taken.wanted.asked, sent):
        yield event


def _last_events(transcript: Transcript, asked: Asked, sent: Sequence[Word]) -> list[bytes]:
    """The text that was not sent yet, segments of channels where they are asked for, and the end."""
    done = answers.done_event(transcript, asked)
    own = answers.segment_events(transcript, asked) if asked.form == "diarized_json" else []
    words = transcript.recognitions[0].words if len(transcript.recognitions) == 1 else ()
    if " ".join(word.word for word in words) == done["text"]:
        rest = words[len(sent) :]
        deltas = [answers.delta_event(rest, asked, is_first=not sent)] if rest else []
    else:  # words without times, or the turns of several channels
        known = " ".join(word.word for word in sent)
        text = done["text"].removeprefix(known) if done["text"].startswith(known) else ""
        deltas = [{"type": "transcript.text.delta", "delta": text}] if text else []
    return [events.event(content) for content in (*deltas, *own, done)]
