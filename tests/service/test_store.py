"""What jobs and corrections share: a database, a folder, and the key that encrypts both."""

import base64
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select

from shoptalk.core.errors import EncryptionKeyError, StoreError
from shoptalk.service import store as stores
from shoptalk.service.settings import Settings
from shoptalk.service.store import Store, open_store

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
METADATA = MetaData()
WORDS = Table("words", METADATA, Column("id", Integer, primary_key=True), Column("word", String(20)))


def key_file(folder: Path, key: bytes = bytes(range(32))) -> Path:
    path = folder / "key"
    path.write_text(base64.b64encode(key).decode())
    return path


def opened(folder: Path, **changes: object) -> Store:
    settings = Settings(store_dir=folder / "store", store_key=key_file(folder)).model_copy(update=changes)
    store = open_store(settings, lambda: NOON)
    assert store is not None
    return store


def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    for count in (0, 1):
        store = opened(tmp_path)
        store.create(METADATA)
        with store.reading() as connection:
            assert connection.execute(select(func.count()).select_from(WORDS)).scalar() == count
        with store.begin() as connection:
            connection.execute(insert(WORDS).values(word="a"))
        store.close()


def test_an_error_undoes_the_transaction(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.create(METADATA)
    with pytest.raises(ZeroDivisionError), store.begin() as connection:
        connection.execute(insert(WORDS).values(word="a"))
        raise ZeroDivisionError
    with store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(WORDS)).scalar() == 0


def test_transactions_that_write_come_one_after_the_other(tmp_path: Path) -> None:
    """Two that read and then write would otherwise both count on what the other changes."""
    store = opened(tmp_path)
    store.create(METADATA)

    def count_up() -> None:
        for _ in range(20):
            with store.begin() as connection:
                highest = connection.execute(select(func.max(WORDS.c.id))).scalar() or 0
                connection.execute(insert(WORDS).values(id=highest + 1, word="a"))

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reading() as connection:
        assert connection.execute(select(func.max(WORDS.c.id))).scalar() == 80


def test_files_are_encrypted_and_bound_to_their_names(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.write("audio/a", b"canary words")
    assert store.read("audio/a") == b"canary words"
    assert b"canary" not in (store.folder / "audio" / "a").read_bytes()
    (store.folder / "audio" / "a").rename(store.folder / "audio" / "b")
    with pytest.raises(EncryptionKeyError):
        store.read("audio/b")
    assert store.delete("audio/b")
    assert not store.delete("audio/b")
    with pytest.raises(FileNotFoundError):
        store.read("audio/b")


def test_sealed_texts_are_bound_to_their_context(tmp_path: Path) -> None:
    store = opened(tmp_path)
    sealed = store.seal(b"canary", "text 1")
    assert store.unseal(sealed, "text 1") == b"canary"
    with pytest.raises(EncryptionKeyError):
        store.unseal(sealed, "text 2")


def test_another_key_is_refused_at_the_door(tmp_path: Path) -> None:
    opened(tmp_path).close()
    key = key_file(tmp_path, bytes(32))
    with pytest.raises(EncryptionKeyError, match="another key"):
        open_store(Settings(store_dir=tmp_path / "store", store_key=key), lambda: NOON)


def test_servers_that_share_a_database_share_the_folder(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'shared.sqlite'}"
    opened(tmp_path, database=database).close()
    opened(tmp_path, database=database).close()
    with pytest.raises(StoreError, match="share the folder"):
        opened(tmp_path, database=database, store_dir=tmp_path / "other")


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"store_dir": "d"}, "store_key"),
        ({"database": "sqlite:///x"}, "store_dir"),
        ({"store_dir": "d", "store_key": "key", "database": "nonsense"}, "no address"),
        ({"store_dir": "d", "store_key": "key", "database": "oracle://user:hidden@host/x"}, "oracle is not supported"),
    ],
)
def test_settings_that_lack_something_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    key_file(tmp_path)
    with pytest.raises(StoreError, match=what) as caught:
        open_store(Settings.model_validate(settings))
    assert "hidden" not in str(caught.value)


def test_a_database_that_does_not_answer_is_named_without_its_statement(tmp_path: Path) -> None:
    store = opened(tmp_path)
    with pytest.raises(StoreError, match="does not answer") as caught, store.begin() as connection:
        connection.execute(insert(WORDS).values(word="canary"))  # there is no such table yet
    assert "canary" not in str(caught.value)
    with pytest.raises(StoreError, match="does not answer"):
        opened(tmp_path, database="postgresql://nobody:hidden@127.0.0.1:1/none")


def test_without_a_store_nothing_of_it_is_imported() -> None:
    code = (
        "import sys; from shoptalk.service import app, settings, store\n"
        "assert store.open_store(settings.Settings()) is None\n"
        "sys.exit('sqlalchemy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(stores.__file__).parents[2]).returncode == 0
