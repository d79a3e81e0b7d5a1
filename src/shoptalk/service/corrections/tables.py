"""The tables of corrections. Times are Unix seconds. What was spoken is sealed; nothing else of it is here.

Only what has a store imports this module, because SQLAlchemy may not be installed elsewhere.
"""

from sqlalchemy import Boolean, Column, Double, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table, Text

METADATA = MetaData()

ANSWERED = Table(
    "answered",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("caller", String(128), nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("model", String(256), nullable=False),
    Column("at_s", Double, nullable=False),
    Column("correctable_s", Double, nullable=False),
    Column("expires_s", Double, nullable=False, index=True),
    Column("audio_s", Double, nullable=False),
    Column("recordings", Text, nullable=False),
    Index("answered_by_request", "request_id", "caller"),
    comment="Requests that were answered; several may have the same id, which clients may choose",
)
"""`recordings` has the names of the kept files, a blank between them."""

CORRECTIONS = Table(
    "corrections",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("answered_id", Integer, ForeignKey("answered.id"), nullable=False, index=True),
    Column("at_s", Double, nullable=False, index=True),
    Column("expires_s", Double, nullable=False, index=True),
    Column("consent", Boolean, nullable=False),
    Column("start_s", Double),
    Column("end_s", Double),
    Column("sealed", LargeBinary, nullable=False),
    comment="The corrected text of a request, or of a part of it",
)

EXPORTED = Table(
    "exported_corrections",
    METADATA,
    Column("correction_id", String(64), primary_key=True),
    Column("folder", String(1024), primary_key=True),
    Column("token", String(64), nullable=False, index=True),
    Column("caller", String(128), nullable=False),
    Column("at_s", Double, nullable=False),
    comment="Where copies of corrections went; it does not expire, because what was trained on them does not",
)
"""`token` stands for the request id, which cannot be told from it."""

FORGOTTEN = Table(
    "forgotten_requests",
    METADATA,
    Column("token", String(64), primary_key=True),
    Column("caller", String(128), primary_key=True),
    Column("at_s", Double, nullable=False),
    comment="Requests that were deleted, so that another deletion is answered as the first one was",
)
