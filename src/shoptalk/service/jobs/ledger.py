"""What happens to jobs and their files, each step a transaction of the database; several servers may share one.

A file waits, is claimed by a worker, which holds a lease on it, and ends. A worker that is silent for longer than its
lease loses the file to another one. Who lost it can end it no more: so each file has one result, which is stored in the
transaction that ends the file, and announced by an event that the same transaction writes.

Files take turns (start-time fair queueing): a job's first file comes level with what is served now, behind its owner's
own files. So a small job does not wait until a large one is over. A file with which a server died comes after all that
were not tried yet.

Each transaction locks the job before its files; so no two wait for each other.
"""

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Connection, Row, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from shoptalk.service.jobs import records
from shoptalk.service.jobs.records import (
    OPEN,
    PENDING,
    Claimed,
    Event,
    Figures,
    Job,
    JobFile,
    NewFile,
    NewJob,
    Options,
    Place,
    Result,
    State,
    Status,
)
from shoptalk.service.jobs.tables import EVENTS, FILES, JOBS, METADATA
from shoptalk.service.problems import Problem, busy
from shoptalk.service.settings import Settings
from shoptalk.service.store import Store

DAY_S = 86_400.0
ATTEMPTS = 10
"""A file with which so many claims ended without a result has failed."""
EVENT_LEASE_S = 120.0
"""Who claimed an event has so long to send it."""
DELETED = "deleted"
"""The code of a file that was forgotten."""
SUCCEEDED_EVENT, REFUSED_EVENT, WAITING_EVENT = "taken", "given up", "waiting"


def new_id(prefix: str) -> str:
    """A name that nobody can guess."""
    return f"{prefix}_{secrets.token_hex(16)}"


class Ledger:
    """The jobs of a store; every method is one transaction, blocks, and is safe between threads."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self._settings = settings
        store.create(METADATA)

    # ---- what clients do

    def submit(self, job: NewJob) -> tuple[Job, bool]:
        """Take a job; whether it is new. The one that its idempotency key names already is given again.

        `Problem` 409 if that one was another, 429 if the owner has too many jobs that are not over.
        """
        try:
            with self.store.begin() as connection:
                known = self._known(connection, job)
                if known is None:
                    self._require_room(connection, job.owner)
                    self._insert(connection, job)
                return self._job(connection, job.owner, known or job.id), known is None
        except IntegrityError:  # another request with the same key was faster
            with self.store.reading() as connection:
                known = self._known(connection, job)
                if known is None:
                    raise
                return self._job(connection, job.owner, known), False

    def get(self, owner: str, job_id: str) -> Job:
        """A job of its owner; `Problem` 404 if there is none."""
        with self.store.reading() as connection:
            return self._job(connection, owner, job_id)

    def listed(self, owner: str, limit: int, after: str = "") -> tuple[list[Job], bool]:
        """Jobs of an owner, the newest first, after the one that is named; and whether there are more."""
        query = select(JOBS).where(JOBS.c.owner == owner).order_by(JOBS.c.created_s.desc(), JOBS.c.id.desc())
        with self.store.reading() as connection:
            if after:
                last = self._job(connection, owner, after)
                is_older = and_(JOBS.c.created_s == last.created_s, JOBS.c.id < last.id)
                query = query.where(or_(JOBS.c.created_s < last.created_s, is_older))
            rows = connection.execute(query.limit(limit + 1)).all()
            running = self._running(connection, [row.id for row in rows])
        return [_job_of(row, running.get(row.id, 0)) for row in rows[:limit]], len(rows) > limit

    def files(self, job_id: str, limit: int, after: str = "") -> tuple[list[JobFile], bool]:
        """Files of a job by their numbers, after the one that is named; and whether there are more."""
        rows, has_more = self._file_rows(_ABOUT_FILES, job_id, limit, after)
        return [self._file_of(row) for row in rows], has_more

    def results(self, job_id: str, limit: int, after: str = "") -> tuple[list[tuple[JobFile, Result | None]], bool]:
        """As `files`, with their results; None for a file without one."""
        rows, has_more = self._file_rows(FILES.c, job_id, limit, after)
        return [(self._file_of(row), self._result_of(row)) for row in rows], has_more

    def result(self, job_id: str, file_id: str) -> tuple[JobFile, Result | None]:
        """A file of a job and its result; `Problem` 404 if there is no such file."""
        with self.store.reading() as connection:
            row = connection.execute(select(FILES).where(FILES.c.id == file_id, FILES.c.job_id == job_id)).first()
        if row is None:
            raise Problem(404, "this job has no file of that id; GET the job for its files", code="file_not_found")
        return self._file_of(row), self._result_of(row)

    def form(self, job_id: str) -> str:
        """The form of a job's results, one of `answers.FORMS`."""
        with self.store.reading() as connection:
            sealed = connection.execute(select(JOBS.c.options).where(JOBS.c.id == job_id)).scalar_one()
        return dict(self._options_of(job_id, sealed).fields).get("response_format") or "json"

    def cancel(self, owner: str, job_id: str) -> Job:
        """End a job now: what is not transcribed yet will not be. A job that is over stays as it is."""
        with self.store.begin() as connection:
            row = self._locked(connection, job_id, owner)
            if row is None:
                raise _no_job()
            if row.status in OPEN:
                self._cancel(connection, row)
            return self._job(connection, owner, job_id)

    def delete(self, owner: str, job_id: str) -> None:
        """Cancel a job, and forget it with its results."""
        with self.store.begin() as connection:
            if self._locked(connection, job_id, owner) is None:
                raise _no_job()
            connection.execute(delete(JOBS).where(JOBS.c.id == job_id))

    def forget(self, request_id: str, owner: str | None) -> int:
        """Delete the result, the recording and the name of a file by its id; how many files that were: 1, or 0.

        `owner`: None for all.
        """
        with self.store.begin() as connection:
            job_id = connection.execute(select(FILES.c.job_id).where(FILES.c.id == request_id)).scalar()
            row = self._locked(connection, job_id, owner) if job_id else None
            if row is None:
                return 0
            file = connection.execute(select(*_ABOUT_FILES).where(FILES.c.id == request_id)).one()
            if file.state in PENDING:
                self._end_file(connection, row, request_id, State.CANCELLED)
            nothing = self._sealed_place(request_id, Place("", "", "", 0))
            gone = {"result": None, "place": nothing, "code": DELETED, "message": "it was deleted by its request id"}
            connection.execute(update(FILES).where(FILES.c.id == request_id).values(**gone))
            connection.execute(delete(EVENTS).where(EVENTS.c.job_id == row.id, EVENTS.c.subject == request_id))
        self.store.delete(upload_name(row.id, request_id))
        return 0 if file.code == DELETED else 1

    # ---- what workers do

    def claim(self, worker: str, count: int) -> list[Claimed]:
        """Take up to so many files that wait, or whose worker is silent; the worker holds a lease on each."""
        now_s = self.store.now_s
        ready = and_(FILES.c.state == State.WAITING, FILES.c.not_before_s <= now_s)
        silent = and_(FILES.c.state == State.RUNNING, FILES.c.lease_s < now_s)
        order = FILES.c.attempts, FILES.c.turn, FILES.c.id
        with self.store.begin() as connection:
            candidates: list[Any] = []
            for condition in (ready, silent):  # each by the index of its state
                columns = select(FILES.c.id, FILES.c.job_id, *order[:2])
                candidates += connection.execute(columns.where(condition).order_by(*order).limit(count)).all()
            candidates = sorted(candidates, key=lambda row: (row.attempts, row.turn, row.id))[:count]
            if not candidates:
                return []
            job_ids = {row.job_id for row in candidates}
            jobs = select(JOBS).where(JOBS.c.id.in_(job_ids)).order_by(JOBS.c.id).with_for_update()
            by_id = {row.id: row for row in connection.execute(jobs)}
            own = FILES.c.id.in_([row.id for row in candidates])
            files = select(FILES).where(own, or_(ready, silent)).order_by(*order).with_for_update(skip_locked=True)
            rows = [row for row in connection.execute(files).all() if row.job_id in by_id]
            return [claimed for row in rows if (claimed := self._claim(connection, by_id[row.job_id], row, worker))]

    def renew(self, worker: str, file_ids: Iterable[str]) -> set[str]:
        """Hold the leases for longer; the files that the worker still holds."""
        own = and_(FILES.c.id.in_(list(file_ids)), FILES.c.worker == worker, FILES.c.state == State.RUNNING)
        with self.store.begin() as connection:
            connection.execute(update(FILES).where(own).values(lease_s=self._lease_end_s))
            return set(connection.execute(select(FILES.c.id).where(own)).scalars())

    def succeed(self, claimed: Claimed, result: Result, audio_s: float) -> bool:
        """Store the result of a file; False if the worker holds it no more, and nothing is stored."""
        head = json.dumps({"media_type": result.media_type, "headers": dict(result.headers)}).encode()
        content = len(head).to_bytes(4, "big") + head + result.body
        sealed = self.store.seal(content, _result_context(claimed.file.id))
        values = {"result": sealed, "audio_s": round(audio_s, 3)}
        return self._end_claimed(claimed, State.SUCCEEDED, values, result)

    def fail(self, claimed: Claimed, code: str, message: str) -> bool:
        """The file cannot be transcribed, and will not be tried again; False as for `succeed`."""
        return self._end_claimed(claimed, State.FAILED, {"code": code[:64], "message": message[:400]})

    def release(self, claimed: Claimed, *, wait_s: float = 0.0, is_blamed: bool = False) -> bool:
        """Give a file back, which then waits for so long; a file that `is_blamed` is not tried for ever."""
        values: dict[str, Any] = {"state": State.WAITING, "worker": None, "lease_s": None}
        values["not_before_s"] = self.store.now_s + wait_s
        if not is_blamed:
            values["attempts"] = FILES.c.attempts - 1
        with self.store.begin() as connection:
            return connection.execute(update(FILES).where(_held(claimed)).values(**values)).rowcount == 1

    # ---- news

    def claim_event(self) -> Event | None:
        """News that are due, if there are any; who claims them sends them and says what came of it."""
        now_s = self.store.now_s
        query = select(EVENTS, JOBS.c.options).join(JOBS, JOBS.c.id == EVENTS.c.job_id)
        query = query.where(EVENTS.c.next_s <= now_s).order_by(EVENTS.c.next_s).limit(1)
        with self.store.begin() as connection:
            row = connection.execute(query.with_for_update(skip_locked=True, of=EVENTS)).first()
            if row is None:
                return None
            changes = {"next_s": now_s + EVENT_LEASE_S, "attempts": row.attempts + 1}
            connection.execute(update(EVENTS).where(EVENTS.c.id == row.id).values(**changes))
        payload = self.store.unseal(row.payload, _event_context(row.id))
        return Event(row.id, self._options_of(row.job_id, row.options).webhook_url, payload, row.attempts + 1)

    def event_was_taken(self, event: Event) -> None:
        """The target answered that it has the news."""
        self._change_event(event, next_s=None, outcome=SUCCEEDED_EVENT)

    def event_was_refused(self, event: Event, wait_s: float | None) -> None:
        """The target did not take the news; they are sent again after so long, or never."""
        if wait_s is None:
            self._change_event(event, next_s=None, outcome=REFUSED_EVENT)
        else:
            self._change_event(event, next_s=self.store.now_s + wait_s)

    # ---- housekeeping

    def expire(self) -> list[str]:
        """Delete jobs whose time is over, with their results; their ids."""
        now_s = self.store.now_s
        with self.store.begin() as connection:
            query = select(JOBS.c.id).where(JOBS.c.expires_s <= now_s).order_by(JOBS.c.id).limit(100)
            expired = list(connection.execute(query.with_for_update(skip_locked=True)).scalars())
            if expired:
                connection.execute(delete(JOBS).where(JOBS.c.id.in_(expired)))
        return expired

    def states(self, file_ids: Sequence[str]) -> dict[str, State]:
        """How these files stand; unknown ones are left out."""
        query = select(FILES.c.id, FILES.c.state).where(FILES.c.id.in_(file_ids))
        with self.store.reading() as connection:
            return {row.id: State(row.state) for row in connection.execute(query)}

    def figures(self) -> Figures:
        """Counts of all owners' jobs."""
        with self.store.reading() as connection:
            jobs = connection.execute(select(JOBS.c.status, func.count()).group_by(JOBS.c.status)).all()
            files = connection.execute(select(FILES.c.state, func.count()).group_by(FILES.c.state)).all()
            audio_s = connection.execute(select(func.sum(JOBS.c.audio_s))).scalar() or 0.0
            waiting = select(func.min(JOBS.c.created_s)).join(FILES, FILES.c.job_id == JOBS.c.id)
            oldest_s = connection.execute(waiting.where(FILES.c.state == State.WAITING)).scalar()
            news = connection.execute(select(func.count()).where(EVENTS.c.next_s.is_not(None))).scalar() or 0
        waited_s = 0.0 if oldest_s is None else max(0.0, self.store.now_s - oldest_s)
        return Figures({row[0]: row[1] for row in jobs}, {row[0]: row[1] for row in files}, audio_s, waited_s, news)

    # ---- steps within a transaction

    def _known(self, connection: Connection, job: NewJob) -> str | None:
        """The job that has the idempotency key already."""
        if not job.idempotency_key:
            return None
        query = select(JOBS.c.id, JOBS.c.options)
        query = query.where(JOBS.c.owner == job.owner, JOBS.c.idempotency == job.idempotency_key)
        row = connection.execute(query).first()
        if row is None:
            return None
        if self._options_of(row.id, row.options).digest != job.options.digest:
            message = "this Idempotency-Key was sent with another job; send a new key, or the same job"
            raise Problem(409, message, code="idempotency_key_reused", headers={"x-should-retry": "false"})
        return str(row.id)

    def _require_room(self, connection: Connection, owner: str) -> None:
        query = select(func.count()).where(JOBS.c.owner == owner, JOBS.c.status.in_(OPEN))
        count = connection.execute(query).scalar() or 0
        if count >= self._settings.jobs_per_key:
            raise busy(f"{count} jobs of this key are not over")

    def _insert(self, connection: Connection, job: NewJob) -> None:
        now_s = self.store.now_s
        row = {
            "id": job.id,
            "owner": job.owner,
            "keeps_audio": job.keeps_audio,
            "idempotency": job.idempotency_key or None,
            "status": Status.QUEUED,
            "created_s": now_s,
            "expires_s": now_s + self._settings.jobs_days * DAY_S,
            "model": job.model,
            "options": self.store.seal(json.dumps(asdict(job.options)).encode(), _options_context(job.id)),
            "has_webhook": bool(job.options.webhook_url),
            "tells_files": job.tells_files,
            "tells_text": job.tells_text,
            "files": len(job.files),
            "succeeded": 0,
            "failed": 0,
            "cancelled": 0,
            "bytes": sum(file.place.bytes for file in job.files),
            "bytes_ended": 0,
            "audio_s": 0.0,
        }
        first = self._first_turn(connection, job.owner)
        connection.execute(insert(JOBS), row)
        connection.execute(
            insert(FILES), [self._file_row(job.id, place, file, first) for place, file in enumerate(job.files)]
        )

    def _file_row(self, job_id: str, place: int, file: NewFile, first_turn: int) -> dict[str, Any]:
        return {
            "id": file.id,
            "job_id": job_id,
            "number": place + 1,
            "state": State.WAITING,
            "turn": first_turn + place,
            "not_before_s": 0.0,
            "place": self._sealed_place(file.id, file.place),
            "bytes": file.place.bytes,
            "attempts": 0,
        }

    def _first_turn(self, connection: Connection, owner: str) -> int:
        """Level with the file whose turn is next, and behind the owner's own files."""
        fresh = and_(FILES.c.state == State.WAITING, FILES.c.attempts == 0)
        served = connection.execute(select(func.min(FILES.c.turn)).where(fresh)).scalar() or 0
        query = select(func.max(FILES.c.turn)).join(JOBS, JOBS.c.id == FILES.c.job_id)
        own = connection.execute(query.where(fresh, JOBS.c.owner == owner)).scalar()
        return int(served if own is None else max(served, own + 1))

    def _locked(self, connection: Connection, job_id: str, owner: str | None = None) -> Row[Any] | None:
        query = select(JOBS).where(JOBS.c.id == job_id).with_for_update()
        row = connection.execute(query).first()
        return row if row is not None and owner in (None, row.owner) else None

    def _claim(self, connection: Connection, job: Row[Any], file: Row[Any], worker: str) -> Claimed | None:
        now_s = self.store.now_s
        if file.attempts >= ATTEMPTS:
            message = f"the server failed {ATTEMPTS} times while it was at this file; send it alone"
            self._end_file(connection, job, file.id, State.FAILED, {"code": "gave_up", "message": message})
            return None
        changes = {
            "state": State.RUNNING,
            "worker": worker,
            "lease_s": self._lease_end_s,
            "attempts": file.attempts + 1,
        }
        connection.execute(update(FILES).where(FILES.c.id == file.id).values(**changes))
        begun = {"status": Status.RUNNING, "started_s": now_s}
        connection.execute(update(JOBS).where(JOBS.c.id == job.id, JOBS.c.status == Status.QUEUED).values(**begun))
        return Claimed(
            self._file_of(file), _job_of(job, 0), self._options_of(job.id, job.options), worker, file.attempts + 1
        )

    @property
    def _lease_end_s(self) -> float:
        return self.store.now_s + self._settings.jobs_lease_s

    def _end_claimed(
        self, claimed: Claimed, state: State, values: dict[str, Any], result: Result | None = None
    ) -> bool:
        with self.store.begin() as connection:
            job = self._locked(connection, claimed.job.id)
            held = select(FILES.c.id).where(_held(claimed))
            if job is None or connection.execute(held).first() is None:
                return False
            self._end_file(connection, job, claimed.file.id, state, values, result)
        return True

    def _end_file(
        self,
        connection: Connection,
        job: Row[Any],
        file_id: str,
        state: State,
        values: dict[str, Any] | None = None,
        result: Result | None = None,
    ) -> None:
        """End a file of a job that is locked, and the job with its last file; both are announced."""
        now_s = self.store.now_s
        changes = {"state": state, "ended_s": now_s, "worker": None, "lease_s": None, **(values or {})}
        connection.execute(update(FILES).where(FILES.c.id == file_id).values(**changes))
        file = connection.execute(select(*_ABOUT_FILES).where(FILES.c.id == file_id)).one()
        counter = JOBS.c[state.value]
        progress = {
            counter.name: counter + 1,
            "bytes_ended": JOBS.c.bytes_ended + file.bytes,
            "audio_s": JOBS.c.audio_s + (file.audio_s or 0.0),
            "progress_s": now_s,
            "expires_s": now_s + self._settings.jobs_days * DAY_S,
        }
        connection.execute(update(JOBS).where(JOBS.c.id == job.id).values(**progress))
        if job.has_webhook and job.tells_files:
            told = records.file_as_json(self._file_of(file), with_name=job.tells_text)
            if job.tells_text and result is not None:
                told["result"] = result_as_json(result)
            self._announce(connection, job.id, file_id, f"transcription.job.file.{state}", {"job_id": job.id, **told})
        self._end_if_over(connection, job)

    def _end_if_over(self, connection: Connection, job: Row[Any]) -> None:
        now = connection.execute(select(JOBS).where(JOBS.c.id == job.id)).one()
        if now.status not in OPEN or now.succeeded + now.failed + now.cancelled < now.files:
            return
        if now.succeeded == now.files:
            status = Status.SUCCEEDED
        elif now.succeeded:
            status = Status.PARTLY_FAILED
        else:
            status = Status.FAILED if now.failed else Status.CANCELLED
        self._end_job(connection, now, status)

    def _cancel(self, connection: Connection, job: Row[Any]) -> None:
        pending = and_(FILES.c.job_id == job.id, FILES.c.state.in_(PENDING))
        changes = {"state": State.CANCELLED, "ended_s": self.store.now_s, "worker": None, "lease_s": None}
        count = connection.execute(update(FILES).where(pending).values(**changes)).rowcount
        connection.execute(update(JOBS).where(JOBS.c.id == job.id).values(cancelled=JOBS.c.cancelled + count))
        self._end_job(connection, job, Status.CANCELLED)

    def _end_job(self, connection: Connection, job: Row[Any], status: Status) -> None:
        now_s = self.store.now_s
        changes = {"status": status, "ended_s": now_s, "expires_s": now_s + self._settings.jobs_days * DAY_S}
        connection.execute(update(JOBS).where(JOBS.c.id == job.id).values(**changes))
        if job.has_webhook:
            told = records.as_json(self._job(connection, job.owner, job.id), now_s)
            self._announce(connection, job.id, job.id, f"transcription.job.{status}", told)

    def _announce(self, connection: Connection, job_id: str, subject: str, kind: str, data: dict[str, Any]) -> None:
        event_id = new_id("msg")
        at = datetime.fromtimestamp(self.store.now_s, UTC).isoformat(timespec="milliseconds")
        payload = json.dumps({"type": kind, "timestamp": at, "data": data}, ensure_ascii=False).encode()
        row = {
            "id": event_id,
            "job_id": job_id,
            "subject": subject,
            "payload": self.store.seal(payload, _event_context(event_id)),
            "attempts": 0,
            "next_s": self.store.now_s,
            "outcome": WAITING_EVENT,
        }
        connection.execute(insert(EVENTS), row)

    def _change_event(self, event: Event, **changes: Any) -> None:
        with self.store.begin() as connection:
            connection.execute(update(EVENTS).where(EVENTS.c.id == event.id).values(**changes))

    # ---- from rows to values

    def _job(self, connection: Connection, owner: str, job_id: str) -> Job:
        row = connection.execute(select(JOBS).where(JOBS.c.id == job_id, JOBS.c.owner == owner)).first()
        if row is None:
            raise _no_job()
        return _job_of(row, self._running(connection, [job_id]).get(job_id, 0))

    def _running(self, connection: Connection, job_ids: Sequence[str]) -> dict[str, int]:
        """Files that workers have, by job."""
        query = select(FILES.c.job_id, func.count()).where(FILES.c.job_id.in_(job_ids), FILES.c.state == State.RUNNING)
        return {row[0]: row[1] for row in connection.execute(query.group_by(FILES.c.job_id))}

    def _file_rows(
        self, columns: Iterable[Column[Any]], job_id: str, limit: int, after: str
    ) -> tuple[Sequence[Row[Any]], bool]:
        query = select(*columns).where(FILES.c.job_id == job_id).order_by(FILES.c.number)
        with self.store.reading() as connection:
            if after:
                last = select(FILES.c.number).where(FILES.c.id == after, FILES.c.job_id == job_id)
                query = query.where(FILES.c.number > (connection.execute(last).scalar() or 0))
            rows = connection.execute(query.limit(limit + 1)).all()
        return rows[:limit], len(rows) > limit

    def _file_of(self, row: Row[Any]) -> JobFile:
        place = Place(**json.loads(self.store.unseal(row.place, _place_context(row.id))))
        return JobFile(row.id, row.number, State(row.state), place, row.audio_s, row.ended_s, row.code, row.message)

    def _result_of(self, row: Row[Any]) -> Result | None:
        if row.result is None:
            return None
        content = self.store.unseal(row.result, _result_context(row.id))
        end = 4 + int.from_bytes(content[:4], "big")
        head = json.loads(content[4:end])
        return Result(content[end:], head["media_type"], head["headers"])

    def _options_of(self, job_id: str, sealed: bytes) -> Options:
        told = json.loads(self.store.unseal(sealed, _options_context(job_id)))
        pairs = {name: tuple(map(tuple, told[name])) for name in ("fields", "phrases", "of_prompt")}
        return Options(**{**told, **pairs, "warnings": tuple(told["warnings"])})

    def _sealed_place(self, file_id: str, place: Place) -> bytes:
        return self.store.seal(json.dumps(asdict(place)).encode(), _place_context(file_id))


def upload_name(job_id: str, file_id: str) -> str:
    """Where the store's folder has a recording that was uploaded."""
    return f"jobs/{job_id}/{file_id}"


def result_as_json(result: Result) -> Any:
    """A result within JSON: as it is, or as a text."""
    return json.loads(result.body) if result.media_type.startswith("application/json") else result.body.decode()


def _held(claimed: Claimed) -> Any:
    """That a file is still its worker's."""
    own = FILES.c.id == claimed.file.id
    return and_(own, FILES.c.worker == claimed.worker, FILES.c.state == State.RUNNING)


def _job_of(row: Row[Any], running: int) -> Job:
    kept = {name: getattr(row, name) for name in _OF_A_ROW}
    return Job(**{**kept, "status": Status(row.status), "running": running})


_ABOUT_FILES = [column for column in FILES.c if column.name != "result"]
"""Results may be large."""
_OF_A_ROW = [name for name in Job.__dataclass_fields__ if name != "running"]


def _options_context(job_id: str) -> str:
    return f"jobs.options {job_id}"


def _place_context(file_id: str) -> str:
    return f"job_files.place {file_id}"


def _result_context(file_id: str) -> str:
    return f"job_files.result {file_id}"


def _event_context(event_id: str) -> str:
    return f"job_events.payload {event_id}"


def _no_job() -> Problem:
    message = "this key has no job of that id; GET /v1/jobs lists those it has"
    return Problem(404, message, code="job_not_found", param="job_id")
