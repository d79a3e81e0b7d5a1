"""Taking, listing, expiring and deleting corrections. Methods block; call them in threads.

A correction is of a whole request, or of a part of its time. A new one takes the place of those that it overlaps, whose
texts are deleted at once: there is no history. A part of what was corrected as a whole is refused.

With consent, the recording that was kept of the request is kept as long as the correction. Without it, it expires as
any other.
"""

import json
import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, Select, Table, and_, delete, insert, or_, select
from sqlalchemy.exc import IntegrityError

from shoptalk.core.errors import StoreError
from shoptalk.service.access.kept import Keeper
from shoptalk.service.corrections.answered import HOUR_S, Answered
from shoptalk.service.corrections.changes import changed_words
from shoptalk.service.corrections.records import Asked, Correction, Export, Place, Sent, Taken
from shoptalk.service.corrections.tables import ANSWERED, CORRECTIONS, EXPORTED, FORGOTTEN, METADATA
from shoptalk.service.problems import Problem
from shoptalk.service.settings import Settings
from shoptalk.service.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

DAY_S = 24 * HOUR_S
PAST_END_S = 1.0
"""By so much a part may end behind its recording, whose length clients round."""
MOST_PARTS = 1_000
"""Corrections of one request."""
ANYONE = ""
"""Instead of a caller, where whoever runs the service deleted a request."""
PAGE = 100
"""Corrections that are read at once."""

log = logging.getLogger(__name__)


class Corrections:
    """The corrections of a store."""

    def __init__(self, store: Store, settings: Settings, keeper: Keeper | None) -> None:
        self.store = store
        self.keeper = keeper
        self.answered = Answered(store, settings)
        self._lifetime_s = settings.corrections_days * DAY_S
        store.create(METADATA)

    # ---- taking

    def take(self, caller: str, sent: Sent) -> Taken:
        """Store a correction; `Problem` 404 for a request that this caller was not answered, 400 and 409 for parts."""
        self.answered.flush()
        with self.store.begin() as connection:
            request = self.answered.newest(connection, sent.request_id, caller)
            if request is None:
                message = (
                    "no request with this id was answered to this API key, or it is too long ago; send the "
                    "x-request-id of the answer"
                )
                raise Problem(404, message, code="request_not_found", param="request_id")
            now_s = self.store.now_s
            expires_s = now_s + self._lifetime_s
            others = [row for row in self._of_requests(connection, [request.id]) if row.expires_s > now_s]
            replaced = _replaced(sent, others, request.audio_s)
            used_before = [other.expires_s for other in others if other.consent]
            used = [other.expires_s for other in others if other.consent and other.id not in replaced]
            used += [expires_s] if sent.consent else []
            recordings = request.recordings.split()
            if used or used_before:
                recordings = self._keep_recordings(recordings, max(used, default=None))
            self.answered.prolong(connection, request.id, expires_s, recordings)
            self._delete(connection, replaced)
            correction = Correction(
                id=f"corr_{secrets.token_hex(16)}",
                request_id=sent.request_id,
                caller=caller,
                model=request.model,
                text=sent.text,
                original=sent.original,
                consent=sent.consent,
                start_s=sent.start_s,
                end_s=sent.end_s,
                at_s=now_s,
                expires_s=expires_s,
                recordings=tuple(recordings),
            )
            connection.execute(insert(CORRECTIONS).values(**self._row(correction, request.id)))
        original = sent.original if sent.original is not None else self._recognised(correction)
        changed = None if original is None else changed_words(original, sent.text)
        return Taken(correction, replaced, sent.consent and bool(recordings), changed)

    def _keep_recordings(self, names: Sequence[str], until_s: float | None) -> list[str]:
        """Keep recordings until then, or as if nobody had corrected them; the new names of those that are there."""
        if self.keeper is None:
            return list(names)
        until = None if until_s is None else datetime.fromtimestamp(until_s, UTC)
        moved = [self.keeper.expire_at(name, until) for name in names]
        return [name for name in moved if name]

    def _recognised(self, correction: Correction) -> str | None:
        """What the recogniser wrote, of a whole request whose recording is kept."""
        if self.keeper is None or len(correction.recordings) != 1 or correction.start_s is not None:
            return None
        kept = self.keeper.read(correction.recordings[0])
        return kept.recognition.text if kept else None

    def _row(self, correction: Correction, answered_id: int) -> dict[str, Any]:
        spoken = json.dumps({"text": correction.text, "original": correction.original}).encode()
        return {
            "id": correction.id,
            "answered_id": answered_id,
            "at_s": correction.at_s,
            "expires_s": correction.expires_s,
            "consent": correction.consent,
            "start_s": correction.start_s,
            "end_s": correction.end_s,
            "sealed": self.store.seal(spoken, _context(correction.id)),
        }

    # ---- listing

    def page(self, asked: Asked, after: Place | None, limit: int) -> list[Correction]:
        """Corrections that have not expired, the oldest first, behind a place; as many as `limit`."""
        rows = _all().where(CORRECTIONS.c.expires_s > self.store.now_s)
        if asked.caller is not None:
            rows = rows.where(ANSWERED.c.caller == asked.caller)
        if asked.request_id is not None:
            rows = rows.where(ANSWERED.c.request_id == asked.request_id)
        if asked.consent is not None:
            rows = rows.where(CORRECTIONS.c.consent == asked.consent)
        if after is not None:
            at_s, id_ = after
            later = and_(CORRECTIONS.c.at_s == at_s, CORRECTIONS.c.id > id_)
            rows = rows.where(or_(CORRECTIONS.c.at_s > at_s, later))
        with self.store.reading() as connection:
            read = connection.execute(rows.limit(limit)).all()
        return [self._opened(row) for row in read]

    def place_of(self, id_: str) -> Place:
        """Where a correction stands among the others; `Problem` 400 if it is not there any more."""
        with self.store.reading() as connection:
            at_s = connection.execute(select(CORRECTIONS.c.at_s).where(CORRECTIONS.c.id == id_)).scalar()
        if at_s is None:
            message = "there is no such correction any more; begin without `after`"
            raise Problem(400, message, code="invalid_value", param="after")
        return float(at_s), id_

    def all(self, asked: Asked) -> Iterator[Correction]:
        """All corrections that have not expired, the oldest first, read a page at a time."""
        after: Place | None = None
        while page := self.page(asked, after, PAGE):
            yield from page
            after = page[-1].at_s, page[-1].id

    def expired(self) -> list[str]:
        """Ids of corrections that have expired and were not deleted yet."""
        with self.store.reading() as connection:
            asked = select(CORRECTIONS.c.id).where(CORRECTIONS.c.expires_s <= self.store.now_s)
            return list(connection.execute(asked.order_by(CORRECTIONS.c.id)).scalars())

    def _opened(self, row: Row[Any]) -> Correction:
        spoken = json.loads(self.store.unseal(row.sealed, _context(row.id)))
        return Correction(
            id=row.id,
            request_id=row.request_id,
            caller=row.caller,
            model=row.model,
            text=spoken["text"],
            original=spoken["original"],
            consent=row.consent,
            start_s=row.start_s,
            end_s=row.end_s,
            at_s=row.at_s,
            expires_s=row.expires_s,
            recordings=tuple(row.recordings.split()),
        )

    # ---- expiry and deletion

    def sweep(self) -> int:
        """Delete what has expired; how many corrections."""
        with self.store.begin() as connection:
            old = delete(CORRECTIONS).where(CORRECTIONS.c.expires_s <= self.store.now_s)
            count = connection.execute(old).rowcount
            self.answered.sweep(connection)
        return count

    def try_sweep(self) -> None:
        """`sweep`, where nobody waits for it: a database that does not answer is logged, and tried again."""
        try:
            self.sweep()
        except StoreError as error:
            log.error("expired corrections: %s", error)

    def ids_of(self, request_id: str, caller: str | None) -> tuple[str, ...]:
        """Ids of all corrections that a request ever had and that still exist, here or as an exported copy."""
        self.answered.flush()
        token = self._token(request_id)
        with self.store.reading() as connection:
            stored = select(CORRECTIONS.c.id).join(ANSWERED).where(ANSWERED.c.request_id == request_id)
            copied = select(EXPORTED.c.correction_id).where(EXPORTED.c.token == token)
            if caller is not None:
                stored = stored.where(ANSWERED.c.caller == caller)
                copied = copied.where(EXPORTED.c.caller == caller)
            known = [*connection.execute(stored).scalars(), *connection.execute(copied).scalars()]
        return tuple(sorted(set(known)))

    def forget_recordings(self, request_id: str, caller: str | None) -> int:
        """Delete the kept recordings of a request; how many. To be called before `forget`."""
        if self.keeper is None:
            return 0
        self.answered.flush()
        with self.store.reading() as connection:
            asked = select(ANSWERED.c.recordings).where(ANSWERED.c.request_id == request_id)
            if caller is not None:
                asked = asked.where(ANSWERED.c.caller == caller)
            rows = connection.execute(asked).scalars().all()
        names = [name for row in rows for name in row.split()]
        deleted = [self.keeper.delete(name) for name in names]
        if rows and all(deleted):
            return len(names)
        return sum(deleted) + self.keeper.forget(request_id, caller)

    def forget(self, request_id: str, caller: str | None) -> int:
        """Delete the corrections of a request; how many."""
        with self.store.begin() as connection:
            requests = self.answered.of_request(connection, request_id, caller)
            known = self._of_requests(connection, [request.id for request in requests])
            self._delete(connection, [row.id for row in known])
        return len(known)

    def forget_request(self, request_id: str, caller: str | None) -> int:
        """Delete that a request was answered; how many. To be called after `forget`."""
        with self.store.begin() as connection:
            requests = self.answered.of_request(connection, request_id, caller)
            ids = [request.id for request in requests]
            self._delete(connection, [row.id for row in self._of_requests(connection, ids)])  # one that came meanwhile
            self.answered.delete(connection, ids)
            for owner in {request.caller for request in requests}:
                self._remember(connection, request_id, owner)
        return len(requests)

    def remember(self, request_id: str, caller: str | None) -> None:
        """A request of a caller, or of anyone, was deleted: another deletion is answered as this one."""
        with self.store.begin() as connection:
            self._remember(connection, request_id, ANYONE if caller is None else caller)

    def was_deleted(self, request_id: str, caller: str | None) -> bool:
        """Whether a request of a caller, or of anyone, was deleted before."""
        asked = select(FORGOTTEN.c.token).where(FORGOTTEN.c.token == self._token(request_id))
        if caller is not None:
            asked = asked.where(FORGOTTEN.c.caller.in_([caller, ANYONE]))
        with self.store.reading() as connection:
            return connection.execute(asked).first() is not None

    def _remember(self, connection: "Connection", request_id: str, caller: str) -> None:
        row = {"token": self._token(request_id), "caller": caller, "at_s": self.store.now_s}
        _insert_once(connection, FORGOTTEN, row)

    def _of_requests(self, connection: "Connection", answered_ids: Sequence[int]) -> Sequence[Row[Any]]:
        asked = select(CORRECTIONS).where(CORRECTIONS.c.answered_id.in_(answered_ids))
        return connection.execute(asked.order_by(CORRECTIONS.c.at_s)).all()

    def _delete(self, connection: "Connection", ids: Sequence[str]) -> None:
        connection.execute(delete(CORRECTIONS).where(CORRECTIONS.c.id.in_(ids)))

    # ---- exported copies

    def note_export(self, corrections: Sequence[Correction], folder: str) -> None:
        """Copies of corrections go to a folder; to be called before they do."""
        with self.store.begin() as connection:
            for correction in corrections:
                row = {
                    "correction_id": correction.id,
                    "folder": folder,
                    "token": self._token(correction.request_id),
                    "caller": correction.caller,
                    "at_s": self.store.now_s,
                }
                _insert_once(connection, EXPORTED, row)

    def exports(self, correction_ids: Sequence[str]) -> list[Export]:
        """Where copies of these corrections went."""
        asked = select(EXPORTED).where(EXPORTED.c.correction_id.in_(correction_ids)).order_by(EXPORTED.c.at_s)
        with self.store.reading() as connection:
            return [Export(row.correction_id, row.folder, row.at_s) for row in connection.execute(asked)]

    def _token(self, request_id: str) -> str:
        return self.store.token(request_id, "request")


def _insert_once(connection: "Connection", table: Table, row: Mapping[str, Any]) -> None:
    """Insert a row, unless one with its primary key is there."""
    try:
        with connection.begin_nested():
            connection.execute(insert(table).values(**row))
    except IntegrityError:
        pass


def _all() -> Select[Any]:
    """Corrections with what is known of their requests, the oldest first."""
    of_request = (ANSWERED.c.request_id, ANSWERED.c.caller, ANSWERED.c.model, ANSWERED.c.recordings)
    return select(CORRECTIONS, *of_request).join(ANSWERED).order_by(CORRECTIONS.c.at_s, CORRECTIONS.c.id)


def _context(id_: str) -> str:
    return f"corrections.sealed {id_}"


def _replaced(sent: Sent, others: Sequence[Row[Any]], audio_s: float) -> tuple[str, ...]:
    """Ids of the corrections whose place this one takes; `Problem` where it cannot stand beside them."""
    if sent.start_s is None or sent.end_s is None:
        return tuple(other.id for other in others)
    if sent.end_s > audio_s + PAST_END_S:
        message = f"the part ends behind the recording of {audio_s:.2f} s; send seconds from its start"
        raise Problem(400, message, code="invalid_value", param="end_s")
    if any(other.start_s is None for other in others):
        message = "the whole of this request was corrected already; send its whole text again"
        raise Problem(409, message, code="corrected_as_a_whole", param="start_s", headers={"x-should-retry": "false"})
    overlapped = tuple(other.id for other in others if other.start_s < sent.end_s and sent.start_s < other.end_s)
    if len(others) - len(overlapped) >= MOST_PARTS:
        raise Problem(
            400, f"a request has {MOST_PARTS} corrections at most; send its whole text", code="too_many_parts"
        )
    return overlapped
