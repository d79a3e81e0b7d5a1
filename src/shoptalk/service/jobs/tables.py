"""The tables of jobs: what was spoken, and names of files and addresses, stand in them sealed.

Times are Unix seconds. `turn` orders the files of all jobs: see `ledger`.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

METADATA = MetaData()

JOBS = Table(
    "jobs",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("owner", String(80), nullable=False),
    Column("keeps_audio", Boolean, nullable=False),
    Column("idempotency", String(64)),
    Column("status", String(16), nullable=False),
    Column("created_s", Float(53), nullable=False),
    Column("started_s", Float(53)),
    Column("ended_s", Float(53)),
    Column("progress_s", Float(53)),
    Column("expires_s", Float(53), nullable=False),
    Column("model", String(200), nullable=False),
    Column("options", LargeBinary, nullable=False),
    Column("has_webhook", Boolean, nullable=False),
    Column("tells_files", Boolean, nullable=False),
    Column("tells_text", Boolean, nullable=False),
    Column("files", Integer, nullable=False),
    Column("succeeded", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("cancelled", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("bytes_ended", BigInteger, nullable=False),
    Column("audio_s", Float(53), nullable=False),
    UniqueConstraint("owner", "idempotency"),
    Index("jobs_of_owner", "owner", "created_s", "id"),
    Index("jobs_expiry", "expires_s"),
)

FILES = Table(
    "job_files",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("job_id", String(40), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("turn", BigInteger, nullable=False),
    Column("not_before_s", Float(53), nullable=False),
    Column("place", LargeBinary, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("worker", String(40)),
    Column("lease_s", Float(53)),
    Column("attempts", Integer, nullable=False),
    Column("ended_s", Float(53)),
    Column("audio_s", Float(53)),
    Column("code", String(64)),
    Column("message", String(400)),
    Column("result", LargeBinary),
    UniqueConstraint("job_id", "number"),
    Index("job_files_turn", "state", "attempts", "turn"),
)

EVENTS = Table(
    "job_events",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("job_id", String(40), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("subject", String(40), nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_s", Float(53)),
    Column("outcome", String(16), nullable=False),
    UniqueConstraint("job_id", "subject"),
    Index("job_events_next", "next_s"),
)
"""`subject` is the job's or a file's id: each end is announced by one event. `next_s`: None when it is over."""
