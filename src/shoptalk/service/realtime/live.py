"""A connection that was let in: its items get streams of a model, within the key's limits, and are accounted for."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import ModelError
from shoptalk.core.protocols import LiveVad, Options, Partial, Phrase
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.service.access.access import Access
from shoptalk.service.access.callers import Caller
from shoptalk.service.account import Account
from shoptalk.service.http import phrases
from shoptalk.service.http.fields import Wanted
from shoptalk.service.model.models import Models
from shoptalk.service.model.work import LiveStream
from shoptalk.service.problems import Problem
from shoptalk.service.realtime.item import Item
from shoptalk.service.settings import Settings
from shoptalk.service.telemetry.watching import Telemetry, place_of

MOST_KEPT_S = 1800.0
"""Of an item that is kept for a key that agreed; a longer one is not kept."""
LOOK_S = 1.0
"""So often it is looked whether the key has audio left."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LiveService:
    """What live sessions need of the service."""

    models: Models
    settings: Settings
    access: Access
    telemetry: Telemetry
    new_vad: Callable[[], LiveVad]
    """Makes a detector of speech for a session, in a thread: it may load a model. `ShoptalkError` if there is none."""
    stopping: Callable[[], bool]
    """Whether the server was told to stop."""


def no_vad() -> LiveVad:
    """Where nothing detects speech: `ModelError`."""
    raise ModelError("this server has no detector of speech")


class Live:
    """One connection of a caller."""

    def __init__(self, service: LiveService, caller: Caller, account: Account) -> None:
        """`account` is the connection's; it tells which request the items belong to."""
        self.service = service
        self.caller = caller
        self.account = account

    async def open_stream(self, wanted: Wanted) -> tuple[str, LiveStream]:
        """The name of the model that is wanted, and a stream of it; `Problem` if there is none.

        Of phrases that the model cannot write, those of the prompt are left out: clients send prose there.
        """
        service = self.service
        model = service.models.resolve(wanted.model)
        stored = await service.access.phrases(self.caller, wanted.vocabularies)
        # of a long prompt it takes a third of a second
        boosted, _ = await asyncio.to_thread(phrases.boosted, wanted, stored, model.watch, service.settings)

        async def opened(boost: tuple[Phrase, ...]) -> LiveStream:
            return await model.open_stream(Options(boost), caller=self.caller.id)

        try:
            return model.name, await opened(boosted.all)
        except Problem as problem:
            if problem.code != "invalid_phrase" or not boosted.of_prompt:
                raise
            return model.name, await opened(boosted.asked)

    def item(self, item_id: str, wanted: Wanted, on_partial: Callable[[Partial], None]) -> "LiveItem":
        """An item that is to be transcribed as `wanted`; its words go to `on_partial`."""
        return LiveItem(self, item_id, wanted, on_partial)

    async def allowance(self) -> None:
        """Returns when the key has audio left: who sends more than its key may is slowed down."""
        while wait_s := self.service.access.audio_wait_s(self.caller):
            await asyncio.sleep(min(wait_s, LOOK_S))


class LiveItem:
    """One item of a connection: transcribed, counted, kept if its key agreed, and written into the audit log."""

    def __init__(self, live: Live, item_id: str, wanted: Wanted, on_partial: Callable[[Partial], None]) -> None:
        self._live = live
        self._wanted = wanted
        self._on_partial = on_partial
        connection = live.account
        self._account = Account(
            request_id=item_id,
            trace_id=connection.trace_id,
            method=connection.method,
            route=connection.route,
            address=connection.address,
            caller=connection.caller,
        )
        settings = live.service.settings
        self._item = Item(self._open, self._take, most_s=settings.live_backlog_s, within_s=settings.timeout_s)
        self._words: list[Word] = []
        self._samples = 0
        self._kept_S: list[Samples] = []
        self._is_kept = live.service.access.keeps(live.caller)
        self._finished_s: float | None = None

    def feed(self, samples_S: Samples) -> None:
        """The item goes on; `room` says when there is room for more."""
        self._item.feed(samples_S)
        self._samples += samples_S.size
        audio_s = samples_S.size / SAMPLE_RATE_HZ
        self._account.audio_s += audio_s
        self._live.service.access.count_audio(self._live.caller, audio_s)
        if self._is_kept:
            self._kept_S.append(samples_S)
            if self._samples > MOST_KEPT_S * SAMPLE_RATE_HZ:
                self._is_kept = False
                self._kept_S.clear()

    def finish(self) -> None:
        """All its audio is there."""
        self._finished_s = time.perf_counter()
        self._item.finish()

    async def room(self) -> None:
        """Returns when not too much audio waits, or the item is over."""
        await self._item.room()

    async def run(self) -> None:
        """To the end of the item; `Problem` if its words cannot be had. Cancelling frees the stream at once."""
        telemetry = self._live.service.telemetry
        account = self._account
        started_s = time.perf_counter()
        account.status = 499  # what nginx writes where the client is gone
        try:
            with telemetry.stage(account, "live"):
                await self._item.run()
            account.status = 200
            await self._keep()
            self._live.service.access.answered(account)
        except Problem as problem:
            account.status, account.code = problem.status, problem.code
            raise
        except Exception as error:  # noqa: BLE001 - whatever a stream does not expect; its message is kept from all logs
            log.error("item %s failed: %s", account.request_id, place_of(error))
            account.status, account.code = 500, "internal_error"
            raise Problem(500, "the server failed; try again", code="internal_error") from None
        finally:
            self._kept_S.clear()
            now_s = time.perf_counter()
            account.seconds = now_s - started_s
            delay_s = None if self._finished_s is None else now_s - self._finished_s
            telemetry.metrics.item_ended(account, delay_s)
            self._live.service.access.note(account)

    async def _open(self) -> LiveStream:
        name, stream = await self._live.open_stream(self._wanted)
        self._account.model = name
        return stream

    def _take(self, partial: Partial) -> None:
        self._words += partial.final
        self._on_partial(partial)

    async def _keep(self) -> None:
        recognition = Recognition(text=" ".join(word.word for word in self._words), words=tuple(self._words))
        audio_s, self._account.audio_s = self._account.audio_s, 0.0
        self._account.recognised(self._account.model, audio_s, recognition)
        if self._is_kept and self._kept_S:
            samples_S = np.concatenate(self._kept_S)
            await self._live.service.access.keep(self._live.caller, self._account, samples_S, recognition)
        self._live.service.access.answered(self._account)
