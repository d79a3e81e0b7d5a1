"""Which request ids were answered to whom: by them a correction is taken, and a deletion finds what to delete.

Kept of a request: its id, the key, the model, the time, the length of the audio, and the names of kept recordings.
Requests are noted in memory and written together each second, so no answer waits for the database.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, delete, insert, select, update

from shoptalk.core.errors import StoreError
from shoptalk.service.account import Account
from shoptalk.service.corrections.tables import ANSWERED
from shoptalk.service.settings import Settings
from shoptalk.service.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

HOUR_S = 3600.0
MOST_WAITING = 100_000
"""Requests that wait for a database that does not answer; older ones are dropped."""

log = logging.getLogger(__name__)


class Answered:
    """The table of answered requests; safe between threads."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._correctable_s = settings.correctable_hours * HOUR_S
        # a recording is found by its request as long as it is kept
        self._kept_s = max(self._correctable_s, settings.keep_audio_hours * HOUR_S)
        self._waiting: deque[dict[str, Any]] = deque(maxlen=MOST_WAITING)
        self._flushing = threading.Lock()
        self._is_failing = False

    def note(self, account: Account) -> None:
        """A caller gets what was recognised; returns at once."""
        at_s = self._store.now_s
        self._waiting.append(
            {
                "caller": account.caller,
                "request_id": account.request_id,
                "model": account.model,
                "at_s": at_s,
                "correctable_s": at_s + self._correctable_s,
                "expires_s": at_s + self._kept_s,
                "audio_s": account.audio_s,
                "recordings": " ".join(account.kept),
            }
        )

    def flush(self) -> None:
        """Write what waits; `StoreError` if the database does not answer, and then it waits on."""
        with self._flushing:
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if not waiting:
                return
            try:
                with self._store.begin() as connection:
                    connection.execute(insert(ANSWERED), waiting)
            except StoreError:
                room = MOST_WAITING - len(self._waiting)
                self._waiting.extendleft(reversed(waiting[-room:] if room else []))
                raise

    def try_flush(self) -> None:
        """`flush`, where nobody waits for it: a database that does not answer is logged once, and tried again."""
        try:
            self.flush()
        except StoreError as error:
            if not self._is_failing:
                log.error("answered requests: %s", error)
            self._is_failing = True
        else:
            self._is_failing = False

    def newest(self, connection: "Connection", request_id: str, caller: str) -> Row[Any] | None:
        """The newest request with an id of which a correction is taken; nobody else changes it until the end."""
        known = (
            select(ANSWERED)
            .where(ANSWERED.c.request_id == request_id, ANSWERED.c.caller == caller)
            .where(ANSWERED.c.correctable_s > self._store.now_s)
            .order_by(ANSWERED.c.at_s.desc(), ANSWERED.c.id.desc())
            .limit(1)
            .with_for_update()
        )
        return connection.execute(known).first()

    def of_request(self, connection: "Connection", request_id: str, caller: str | None) -> Sequence[Row[Any]]:
        """All requests with an id, of a caller or of all; nobody else changes them until the end."""
        known = select(ANSWERED).where(ANSWERED.c.request_id == request_id).with_for_update()
        if caller is not None:
            known = known.where(ANSWERED.c.caller == caller)
        return connection.execute(known).all()

    def prolong(self, connection: "Connection", id_: int, expires_s: float, recordings: Sequence[str]) -> None:
        """A request is kept until then, or longer, with recordings of these names."""
        changed = update(ANSWERED).where(ANSWERED.c.id == id_)
        connection.execute(changed.values(recordings=" ".join(recordings)))
        connection.execute(changed.where(ANSWERED.c.expires_s < expires_s).values(expires_s=expires_s))

    def delete(self, connection: "Connection", ids: Sequence[int]) -> None:
        """Delete requests, of which no corrections are left."""
        connection.execute(delete(ANSWERED).where(ANSWERED.c.id.in_(ids)))

    def sweep(self, connection: "Connection") -> int:
        """Delete what has expired; how many."""
        return connection.execute(delete(ANSWERED).where(ANSWERED.c.expires_s <= self._store.now_s)).rowcount
