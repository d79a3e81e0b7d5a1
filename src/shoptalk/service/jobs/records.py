"""A job, its files, and what came of them, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """Of a job. `PARTLY_FAILED`: some of its files failed, others did not."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PARTLY_FAILED = "partly_failed"
    CANCELLED = "cancelled"


class State(StrEnum):
    """Of a file of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = (Status.QUEUED, Status.RUNNING)
"""A job that is not over."""
PENDING = (State.WAITING, State.RUNNING)
"""A file that is not over."""


@dataclass(frozen=True)
class Place:
    """Where a recording lies, and what its owner calls it."""

    kind: str
    """``upload``, ``folder`` or ``s3``: a key of `sources`."""
    at: str
    """Its name there: in the store, below `Settings.jobs_folder`, or ``s3://BUCKET/KEY``."""
    name: str
    """As it is told in answers."""
    bytes: int


@dataclass(frozen=True)
class NewFile:
    """A file of a job that is handed in."""

    id: str
    place: Place


@dataclass(frozen=True)
class Options:
    """What a job asks for; sealed in the database."""

    fields: tuple[tuple[str, str], ...] = ()
    """Of a transcription, as a form has them."""
    phrases: tuple[tuple[str, float], ...] = ()
    """Of its keywords and vocabularies, with weights, as they were when it was handed in."""
    of_prompt: tuple[tuple[str, float], ...] = ()
    warnings: tuple[str, ...] = ()
    output: str = ""
    """Where results are also written: ``beside``, or ``s3://BUCKET/PREFIX/``."""
    webhook_url: str = ""
    digest: str = ""
    """Of all that was sent, for a client that sends it again."""


@dataclass(frozen=True)
class NewJob:
    """A job that is handed in."""

    id: str
    owner: str
    """Id of the API key."""
    keeps_audio: bool
    model: str
    options: Options
    files: tuple[NewFile, ...]
    tells_files: bool = False
    """The webhook gets news of each file too."""
    tells_text: bool = False
    """These news have the file's result."""
    idempotency_key: str = ""


@dataclass(frozen=True)
class Job:
    """A job as it stands."""

    id: str
    owner: str
    status: Status
    created_s: float
    started_s: float | None
    ended_s: float | None
    progress_s: float | None
    """When a file of it ended last."""
    expires_s: float
    model: str
    keeps_audio: bool
    files: int
    succeeded: int
    failed: int
    cancelled: int
    bytes: int
    bytes_ended: int
    audio_s: float
    """Seconds of audio of the files that succeeded."""
    running: int = 0

    @property
    def waiting(self) -> int:
        return self.files - self.succeeded - self.failed - self.cancelled - self.running

    def left_s(self, now_s: float) -> float | None:
        """How long it will take from now on, by the bytes that are left; None before anything can be said."""
        if self.status not in OPEN or self.started_s is None or not self.bytes_ended:
            return None
        passed_s = max(now_s - self.started_s, 1e-3)
        return (self.bytes - self.bytes_ended) * passed_s / self.bytes_ended


@dataclass(frozen=True)
class JobFile:
    """A file of a job as it stands; its id is the id of its request."""

    id: str
    number: int
    state: State
    place: Place
    audio_s: float | None = None
    ended_s: float | None = None
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class Claimed:
    """A file that a worker is to transcribe, and whose lease it holds."""

    file: JobFile
    job: Job
    options: Options
    worker: str
    attempts: int
    """With this one."""


@dataclass(frozen=True)
class Result:
    """An answer as a request would have got it."""

    body: bytes
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """News for a webhook."""

    id: str
    url: str
    payload: bytes
    attempts: int
    """With this one."""


@dataclass(frozen=True)
class Figures:
    """Of all jobs in the database."""

    jobs: Mapping[str, int] = field(default_factory=dict)
    """By status."""
    files: Mapping[str, int] = field(default_factory=dict)
    """By state."""
    audio_s: float = 0.0
    oldest_waiting_s: float = 0.0
    """How long the file has waited that waits longest."""
    events_waiting: int = 0


def as_json(job: Job, now_s: float) -> dict[str, Any]:
    """The job as it is answered and announced; nothing that was spoken is in it."""
    left_s = job.left_s(now_s)
    return {
        "id": job.id,
        "object": "transcription.job",
        "status": job.status.value,
        "model": job.model,
        "created_at": int(job.created_s),
        "started_at": _whole(job.started_s),
        "ended_at": _whole(job.ended_s),
        "expires_at": int(job.expires_s),
        "file_counts": {
            "total": job.files,
            State.WAITING.value: job.waiting,
            State.RUNNING.value: job.running,
            State.SUCCEEDED.value: job.succeeded,
            State.FAILED.value: job.failed,
            State.CANCELLED.value: job.cancelled,
        },
        "audio_seconds": round(job.audio_s, 3),
        "seconds_left": None if left_s is None else round(left_s),
    }


def file_as_json(file: JobFile, *, with_name: bool) -> dict[str, Any]:
    """A file as it is answered and announced; its name may tell who speaks."""
    told: dict[str, Any] = {
        "id": file.id,
        "object": "transcription.job.file",
        "number": file.number,
        "status": file.state.value,
        "request_id": file.id,
        "audio_seconds": file.audio_s,
        "ended_at": _whole(file.ended_s),
        "error": {"code": file.code, "message": file.message} if file.code else None,
    }
    return {**told, "name": file.place.name} if with_name else told


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)
