"""`/v1/stream`: raw PCM in, words out, over a plain WebSocket; the settings are in the address."""

import asyncio
import json
import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.datastructures import QueryParams
from starlette.websockets import WebSocket

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import Partial
from shoptalk.core.records import Word
from shoptalk.service.connections import GOING_AWAY
from shoptalk.service.http import fields
from shoptalk.service.http.fields import FALSE, TRUE, Wanted
from shoptalk.service.problems import Problem, content
from shoptalk.service.realtime import doors
from shoptalk.service.realtime.channel import Channel
from shoptalk.service.realtime.doors import Handle
from shoptalk.service.realtime.formats import G711_RATE_HZ, LEAST_RATE_HZ, MOST_RATE_HZ, Decoder, Format, Kind
from shoptalk.service.realtime.live import Live, LiveService

STREAM = "/v1/stream"
FORMATS: dict[str, Kind] = {
    "pcm": "audio/pcm",
    "pcm_s16le": "audio/pcm",
    "audio/pcm": "audio/pcm",
    "pcmu": "audio/pcmu",
    "audio/pcmu": "audio/pcmu",
    "pcma": "audio/pcma",
    "audio/pcma": "audio/pcma",
}
KNOWN = ("rate", "format", "model", "language", "keywords", "prompt", "vocabulary", "partials")
PIECE_S = 2.0
"""Audio of one message is taken in such pieces, so that others have their turn meanwhile."""
NORMAL = 1000
"""The close code after all words."""
FAILED = 1011
"""The close code where there will be no more words."""


@dataclass(frozen=True)
class Address:
    """What an address asks for."""

    form: Format
    wanted: Wanted
    partials: bool

    @classmethod
    def of(cls, query: QueryParams) -> "Address":
        """`Problem` 400 names the parameter that is wrong."""
        for name in query:
            if name.removesuffix("[]") not in KNOWN:
                known = ", ".join(KNOWN)
                message = f"the parameter {name[:40]!r} is unknown; there is {known}"
                raise Problem(400, message, code="unknown_field", param=name[:40])
        fields.check_languages("language", [query.get("language", "")])
        partials = query.get("partials", "true").lower()
        if partials not in TRUE | FALSE:
            raise _wrong("partials", "is 'true' or 'false'")
        wanted = Wanted(
            model=query.get("model") or None,
            keywords=_list(query, "keywords"),
            prompt=query.get("prompt", ""),
            vocabularies=tuple(dict.fromkeys(_list(query, "vocabulary"))),
        )
        return cls(_format(query), wanted, partials in TRUE)


def router(service: LiveService) -> APIRouter:
    """The route of plain streams."""
    routes = APIRouter()

    @routes.websocket(STREAM)
    async def stream(websocket: WebSocket) -> None:
        def prepare() -> Handle:
            address = Address.of(websocket.query_params)
            service.models.resolve(address.wanted.model)
            return lambda live, channel: _Streaming(live, channel, address).run()

        await doors.serve(service, websocket, prepare)

    return routes


class _Streaming:
    """One connection, which has one item."""

    def __init__(self, live: Live, channel: Channel, address: Address) -> None:
        self._live = live
        self._channel = channel
        self._address = address
        self._decoder = Decoder(address.form)
        self._item = live.item(f"item_{uuid.uuid4().hex}", address.wanted, self._told)
        self._samples = 0
        self._words: list[Word] = []
        self._tentative: tuple[Word, ...] = ()

    async def run(self) -> int:
        """To the end of the connection; returns the close code."""
        running = asyncio.create_task(self._item.run())
        taking = asyncio.create_task(self._take_all())
        try:
            await asyncio.wait([running, taking], return_when=asyncio.FIRST_COMPLETED)
            if taking.done():
                taking.result()
            await running
        except Problem as problem:
            self._error(problem)
            return FAILED
        finally:
            for task in (running, taking):
                task.cancel()
            await asyncio.gather(running, taking, return_exceptions=True)
        self._channel.send(self._done())
        return GOING_AWAY if self._channel.was_ended else NORMAL

    async def _take_all(self) -> None:
        """Take what the client sends, to its end."""
        size = round(PIECE_S * self._address.form.bytes_per_s)
        while (message := await self._channel.receive()) is not None:
            if isinstance(message, str):
                if _is_end(message):
                    break
                problem = Problem(400, 'send audio as binary, and {"type": "end"} after it', code="invalid_value")
                self._error(problem)
                continue
            for start in range(0, len(message), size):
                self._feed(message[start : start + size])
                await self._item.room()
                await self._channel.room()
                await self._live.allowance()
        rest_S = self._decoder.flush()
        self._samples += rest_S.size
        self._item.feed(rest_S)
        self._item.finish()

    def _feed(self, audio: bytes) -> None:
        samples_S = self._decoder.feed(audio)
        self._samples += samples_S.size
        self._item.feed(samples_S)

    def _told(self, partial: Partial) -> None:
        if partial.final:
            self._words += partial.final
            self._channel.send(_words("final", partial.final))
        if self._address.partials and partial.tentative != self._tentative:
            self._tentative = partial.tentative
            self._channel.send(_words("partial", partial.tentative))

    def _error(self, problem: Problem) -> None:
        self._channel.send({"type": "error", **content(problem)})

    def _done(self) -> dict[str, Any]:
        duration_s = self._samples / SAMPLE_RATE_HZ
        return {
            **_words("done", self._words),
            "duration": round(duration_s, 3),
            "usage": {"type": "duration", "seconds": math.ceil(duration_s)},
        }


def _words(kind: str, words: Sequence[Word]) -> dict[str, Any]:
    told = []
    for word in words:
        shown: dict[str, Any] = {"word": word.word, "start": word.start_s, "end": word.end_s}
        told.append(shown if word.confidence is None else {**shown, "confidence": word.confidence})
    return {"type": kind, "text": " ".join(word.word for word in words), "words": told}


def _is_end(message: str) -> bool:
    try:
        told = json.loads(message)
    except (ValueError, RecursionError):
        return False
    return isinstance(told, dict) and told.get("type") == "end"


def _format(query: QueryParams) -> Format:
    name = query.get("format", "pcm")
    if name not in FORMATS:
        raise _wrong("format", "is pcm, pcmu or pcma")
    kind = FORMATS[name]
    usual_hz = SAMPLE_RATE_HZ if kind == "audio/pcm" else G711_RATE_HZ
    rate = query.get("rate") or str(usual_hz)
    is_number = rate.isascii() and rate.isdigit() and len(rate) <= 6
    if not is_number or not LEAST_RATE_HZ <= int(rate) <= MOST_RATE_HZ:
        raise _wrong("rate", f"is a whole number from {LEAST_RATE_HZ} to {MOST_RATE_HZ}")
    return Format(kind, int(rate))


def _list(query: QueryParams, name: str) -> tuple[str, ...]:
    """Several times the same parameter, or with commas."""
    given = [*query.getlist(name), *query.getlist(f"{name}[]")]
    return tuple(item.strip() for value in given for item in value.split(",") if item.strip())


def _wrong(name: str, message: str) -> Problem:
    return Problem(400, f"`{name}` {message}", code="invalid_value", param=name)
