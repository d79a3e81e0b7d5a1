"""What jobs and corrections share: a database, a folder for large things, the key that encrypts both, and the clock.

The database is SQLite in the folder, or PostgreSQL by its address, which several servers may share; they then share the
folder too. SQLAlchemy is imported only where a store is opened: a service without one needs none of it.

What was spoken is sealed before it is stored (`Store.seal`, `Store.write`): the database and the folder have it only
encrypted. Methods block for the disk or the network; call them in threads.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoptalk.core import files
from shoptalk.core.errors import StoreError
from shoptalk.service.problems import Problem
from shoptalk.service.sealing import Seal, read_key
from shoptalk.service.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, MetaData

DATABASE_NAME = "store.sqlite"
IDENTITY = "store.id"
"""File that tells which database the folder belongs to, sealed."""
BUSY_S = 30.0
"""How long a transaction waits for others in SQLite before it fails."""
LOCK = 7_368_711
"""Number of the lock in PostgreSQL of `Store.begin_alone`; any number that nobody else takes."""
_READS = "shoptalk_reads"


class Store:
    """A database and a folder; safe between threads."""

    def __init__(self, engine: Engine, folder: Path, key: bytes, now: Callable[[], datetime]) -> None:
        """`key` has `sealing.KEY_BYTES` bytes. `open_store` makes one of the settings."""
        self.engine = engine
        self.folder = folder
        self.now = now
        self._seal = Seal(key)

    @property
    def now_s(self) -> float:
        """Now, in Unix seconds, as tables have times."""
        return self.now().timestamp()

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    # ---- what was spoken

    def seal(self, content: bytes, context: str) -> bytes:
        """The content, encrypted; `context` names its place, such as ``corrections.text corr_1``."""
        return self._seal.close(content, context)

    def unseal(self, sealed: bytes, context: str) -> bytes:
        """What `seal` was given; `EncryptionKeyError` for another key or context."""
        return self._seal.open(sealed, context)

    def token(self, text: str, context: str) -> str:
        """What stands for a text, such as a request id, where only whoever knows it shall find it again."""
        return self._seal.token(text, context)

    def write(self, name: str, content: bytes) -> None:
        """A file of the folder, encrypted, whole or absent; `name` may have folders. `DiskFullError` on a full disk."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write_bytes(path, self.seal(content, name))

    def read(self, name: str) -> bytes:
        """What `write` was given; `FileNotFoundError` where it is not there."""
        return self.unseal((self.folder / name).read_bytes(), name)

    def delete(self, name: str) -> bool:
        """Delete a file of the folder; whether it was there."""
        try:
            (self.folder / name).unlink()
        except FileNotFoundError:
            return False
        return True

    def delete_folder(self, name: str) -> None:
        """Delete a folder of the folder with all that is in it, if it is there."""
        shutil.rmtree(self.folder / name, ignore_errors=True)

    # ---- the database

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that writes: committed at the end of the block, undone by an error.

        SQLite lets one such transaction run at a time, others wait. `StoreError` if the database does not answer.
        """
        with _named(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads, and waits for nobody; `StoreError` if the database does not answer."""
        with _named(), self.engine.connect().execution_options(**{_READS: True}) as connection, connection.begin():
            yield connection

    def create(self, metadata: MetaData) -> None:
        """Make the tables that are not there yet; several servers may do so at once."""
        with self.begin_alone() as connection:
            metadata.create_all(connection)

    @contextmanager
    def begin_alone(self) -> Iterator[Connection]:
        """As `begin`, while no other server is in such a block: for what is done once for a database."""
        from sqlalchemy import text

        with self.begin() as connection:
            if not self.is_sqlite:  # there one transaction writes at a time
                connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": LOCK})
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def open_store(settings: Settings, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Store | None:
    """The store that the settings ask for, None if they name no `store_dir`.

    `StoreError` names what is missing, `EncryptionKeyError` a key that is none or not the store's.
    """
    if settings.store_dir is None:
        if settings.database:
            raise StoreError("serve.database: jobs and corrections need a folder too; name one in serve.store_dir")
        return None
    if settings.store_key is None:
        message = "serve.store_dir: what was spoken is stored encrypted; name a key in serve.store_key"
        raise StoreError(f"{message}, which `openssl rand -base64 32 > FILE` makes")
    key = read_key(settings.store_key)
    folder = settings.store_dir.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror}; name another folder in serve.store_dir") from None
    store = Store(_engine(settings.database, folder), folder, key, now)
    _check_identity(store)
    return store


def missing(what: str) -> Problem:
    """What is answered where there is no store: 404; `what` is jobs, or corrections."""
    cure = "whoever runs it names a folder in serve.store_dir and a key in serve.store_key"
    return Problem(404, f"this server has no {what}: {cure}", code="no_store")


def _engine(database: str, folder: Path) -> Engine:
    try:
        import sqlalchemy
    except ImportError:
        raise StoreError("SQLAlchemy is not installed; run `pip install 'shoptalk[store]'`") from None
    try:
        url = sqlalchemy.make_url(database or f"sqlite:///{folder / DATABASE_NAME}")
    except sqlalchemy.exc.ArgumentError:
        raise StoreError("serve.database: is no address such as postgresql://user@host/shoptalk") from None
    kind = url.get_backend_name()
    if kind in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
        options: dict[str, Any] = {"pool_pre_ping": True, "pool_size": 10, "max_overflow": 20}
    elif kind == "sqlite":
        options = {"connect_args": {"timeout": BUSY_S}}
    else:
        raise StoreError(f"serve.database: {kind} is not supported; use SQLite or PostgreSQL")
    try:
        # errors must not repeat what a statement was given
        engine = sqlalchemy.create_engine(url, hide_parameters=True, **options)
    except ImportError:
        raise StoreError("psycopg is not installed; run `pip install 'shoptalk[store]'`") from None
    if kind == "sqlite":
        _prepare_sqlite(engine)
    return engine


def _prepare_sqlite(engine: Engine) -> None:
    """Transactions as written here, of which one writes at a time, and readers that do not wait for it."""
    from sqlalchemy import event

    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # Python's module would begin transactions by itself
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    def begun(connection: Connection) -> None:
        is_reading = connection.get_execution_options().get(_READS)
        connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)


@contextmanager
def _named() -> Iterator[None]:
    """A database that does not answer, as a `StoreError` without the statement."""
    from sqlalchemy.exc import DBAPIError, IntegrityError
    from sqlalchemy.exc import TimeoutError as PoolTimeoutError

    try:
        yield
    except IntegrityError:
        raise  # whoever breaks a rule of a table knows it
    except (DBAPIError, PoolTimeoutError) as error:
        cause = type(getattr(error, "orig", None) or error).__name__
        raise StoreError(f"the database of jobs and corrections does not answer ({cause}); try again later") from None


def _check_identity(store: Store) -> None:
    """Hold folder, key and database against each other: a folder that servers do not share would lose recordings."""
    from sqlalchemy import Column, MetaData, String, Table, insert, select

    metadata = MetaData()
    table = Table("store", metadata, Column("id", String(32), primary_key=True))
    store.create(metadata)
    identity = _identity(store)
    with store.begin_alone() as connection:
        known = connection.execute(select(table.c.id)).scalars().first()
        if known is None:
            connection.execute(insert(table).values(id=identity))
        elif known != identity:
            cure = "servers that share a database share the folder; give the one that belongs to it, or a new database"
            raise StoreError(f"{store.folder}: belongs to another database than serve.database; {cure}")


def _identity(store: Store) -> str:
    """The folder's own random name, made once, whoever comes first."""
    path = store.folder / IDENTITY
    if not path.exists():
        made = f"{IDENTITY}.{secrets.token_hex(8)}"
        files.write_bytes(store.folder / made, store.seal(secrets.token_hex(16).encode(), IDENTITY))
        try:
            os.link(store.folder / made, path)
        except FileExistsError:
            pass
        finally:
            store.delete(made)
    return store.read(IDENTITY).decode()
