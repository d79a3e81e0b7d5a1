"""`/v1/realtime`: drives a `Session` with what its WebSocket, its detector and its items tell."""

import asyncio
import logging
import time
import uuid
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter
from starlette.websockets import WebSocket

from shoptalk.core.errors import ShoptalkError
from shoptalk.core.protocols import LIVE_FRAME, LiveVad, Partial
from shoptalk.core.records import Samples
from shoptalk.service.connections import GOING_AWAY
from shoptalk.service.model.models import Models
from shoptalk.service.problems import Problem
from shoptalk.service.realtime import client_events, configuration, doors
from shoptalk.service.realtime.channel import Channel
from shoptalk.service.realtime.client_events import Append, ClientEvent
from shoptalk.service.realtime.configuration import Configuration
from shoptalk.service.realtime.doors import Handle
from shoptalk.service.realtime.live import Live, LiveItem, LiveService
from shoptalk.service.realtime.session import Detect, Drop, Effect, Feed, Finish, Open, Send, Session

REALTIME = "/v1/realtime"
PIECE_S = 2.0
"""Audio of one message is taken in such pieces, so that others have their turn meanwhile."""
LARGE = 64 * 1024
"""Characters of a message from which it is read in a thread."""
MOST_UNFINISHED = 4
"""Items of a session that may be under way at the same time; then no more is taken."""
CONVERSATION_MODELS = ("gpt-realtime", "gpt-4o-realtime", "gpt-4o-mini-realtime")
"""What clients write into the address for OpenAI, which says nothing of who transcribes; not `gpt-realtime-whisper`."""

log = logging.getLogger(__name__)


def router(service: LiveService) -> APIRouter:
    """The route of realtime transcription sessions."""
    routes = APIRouter()

    @routes.websocket(REALTIME)
    async def realtime(websocket: WebSocket) -> None:
        def prepare() -> Handle:
            set_to = configuration.with_model(_model_of(websocket, service))
            service.models.resolve(set_to.model)
            return lambda live, channel: _Driver(live, channel, set_to).run()

        await doors.serve(service, websocket, prepare)

    return routes


def _model_of(websocket: WebSocket, service: LiveService) -> str | None:
    name = websocket.query_params.get("model")
    is_conversation = name is not None and name.startswith(CONVERSATION_MODELS) and "whisper" not in name
    return None if is_conversation and not service.settings.strict_models else name


class _Driver:
    """Carries out the effects of a session, in their order."""

    def __init__(self, live: Live, channel: Channel, set_to: Configuration) -> None:
        self._live = live
        self._channel = channel
        self._vad: LiveVad | None = None
        self._is_deaf = False
        """Whether there is no detector of speech."""
        self._items: dict[str, LiveItem] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ended = asyncio.Event()
        """Set whenever an item ends."""
        self._session = Session(set_to, new_id=_new_id, check=partial(_check_model, live.service.models))

    async def run(self) -> int:
        """To the end of the connection; returns the close code."""
        expires_at = round(time.time() + self._live.service.settings.live_max_s)
        try:
            await self._carry_out(self._session.start(expires_at))
            while (message := await self._channel.receive()) is not None:
                await self._take(await _read(message))
            await self._carry_out(self._session.finish(self._reason()))
            await self._until_unfinished(0)
            return GOING_AWAY
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _take(self, event: ClientEvent) -> None:
        """An event, and then no other before there is room for it."""
        piece_bytes = round(PIECE_S * self._session.configuration.format.bytes_per_s)
        for piece in _pieces(event, piece_bytes):
            await self._carry_out(self._session.receive(piece))
            await self._until_unfinished(MOST_UNFINISHED)
            for item in tuple(self._items.values()):
                await item.room()
            await self._channel.room()
            await self._live.allowance()

    async def _carry_out(self, effects: Sequence[Effect]) -> None:
        """Nothing but the detector is waited for here, so that no event of an item comes between those of a commit."""
        for effect in effects:
            match effect:
                case Send(event):
                    self._channel.send(event)
                case Detect(samples_S):
                    await self._carry_out(self._session.detected(await self._speech(samples_S)))
                case Open(item_id, set_to):
                    self._open(item_id, set_to)
                case Feed(item_id, samples_S) if item_id in self._items:
                    self._items[item_id].feed(samples_S)
                case Finish(item_id) if item_id in self._items:
                    self._items[item_id].finish()
                case Drop(item_id) if item_id in self._tasks:
                    self._tasks[item_id].cancel()

    async def _speech(self, samples_S: Samples) -> npt.NDArray[np.float32]:
        """The probability of speech in each frame, (N,); 0 where there is no detector, which is told once."""
        if self._vad is None and not self._is_deaf:
            try:
                self._vad = await asyncio.to_thread(self._live.service.new_vad)
            except ShoptalkError as error:
                self._is_deaf = True
                log.error("turns cannot be told: %s: %s", type(error).__name__, error)
                message = "this server cannot tell turns now; send `turn_detection` null, and commit"
                self._send_all([self._session.error(Problem(503, message, code="no_turn_detection"))])
        if self._vad is None:
            return np.zeros(samples_S.size // LIVE_FRAME, np.float32)
        return await asyncio.to_thread(self._vad.probabilities, samples_S)

    def _open(self, item_id: str, set_to: Configuration) -> None:
        def told(partial: Partial) -> None:
            self._send_all(self._session.words(item_id, partial.final))
            self._send_all(self._session.tentative(item_id, partial.tentative))

        item = self._live.item(item_id, set_to.wanted, told)
        self._items[item_id] = item
        self._tasks[item_id] = asyncio.create_task(self._run(item_id, item))

    async def _run(self, item_id: str, item: LiveItem) -> None:
        try:
            await item.run()
        except Problem as problem:
            self._send_all(self._session.failed(item_id, problem))
        else:
            self._send_all(self._session.completed(item_id))
        finally:
            del self._items[item_id], self._tasks[item_id]
            self._ended.set()

    def _send_all(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self._channel.send(effect.event)

    async def _until_unfinished(self, most: int) -> None:
        """Returns when no more items than that were committed and are under way."""
        while len(self._session.unfinished) > most:
            self._ended.clear()
            await self._ended.wait()

    def _reason(self) -> Problem | None:
        if not self._channel.is_expired:
            return None
        most_s = self._live.service.settings.live_max_s
        return Problem(400, f"a session lasts {most_s:.0f} s at most; open another one", code="session_expired")


def _check_model(models: Models, changed: Configuration) -> None:
    """`Problem` for a model that is not there."""
    try:
        models.resolve(changed.model)
    except Problem as problem:
        where = "session.audio.input.transcription.model"
        raise Problem(problem.status, problem.message, code=problem.code, param=where) from None


async def _read(message: str | bytes) -> ClientEvent:
    if len(message) < LARGE:
        return client_events.read(message)
    return await asyncio.to_thread(client_events.read, message)


def _pieces(event: ClientEvent, size: int) -> Iterator[ClientEvent]:
    """The event; audio in pieces of some bytes."""
    if not isinstance(event, Append) or len(event.content) <= size:
        yield event
        return
    for start in range(0, len(event.content), size):
        yield Append(event.content[start : start + size])


def _new_id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex}"
