"""Every key store keeps one key for each subject, and destroys it for good."""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from support.customers import Customer
from support.postgres import new_log, schema_of

from actorium import Runtime
from actorium.errors import ConfigurationError, StoreUnavailable
from actorium.personal import KeyStore, MemoryKeys, SQLiteKeys
from actorium.store.personal.beside import keys_beside
from actorium.store.postgresql.connections.keys import PostgreSQLKeys
from actorium.store.urls import open_store


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyStore]:
    if request.param == "postgresql":
        with new_log() as url:
            found = keys_beside(open_store(url))
            assert isinstance(found, PostgreSQLKeys)
            assert f"schema {schema_of(url)}_keys" in found.describe()
            yield opened(found)
            found.close()
        return
    found = MemoryKeys() if request.param == "memory" else SQLiteKeys(tmp_path / "keys")
    yield opened(found)
    found.close()


def opened(keys: KeyStore) -> KeyStore:
    keys.open()
    return keys


def test_a_subject_has_one_key_and_keeps_it(keys: KeyStore) -> None:
    assert not keys.exists()
    assert keys.read("ada") is None
    assert keys.destroy("ada") is None
    assert not keys.exists()
    keys.prepare()
    keys.prepare()
    assert keys.exists()
    ada, bob, other = keys.new("ada"), keys.new("bob"), keys.new("ada")
    assert len({ada.id, bob.id, other.id}) == len({ada.key, bob.key, other.key}) == 3
    assert list(keys.create([ada, bob])) == [ada, bob]
    assert list(keys.create([other, bob])) == [ada, bob]
    assert (keys.read("ada"), keys.read("bob"), keys.read("eve")) == (ada, bob, None)
    assert repr(ada.key) not in repr(ada)


def test_a_destroyed_key_is_gone_and_the_others_stay(keys: KeyStore) -> None:
    keys.prepare()
    ada, bob = keys.create([keys.new("ada"), keys.new("bob")])
    destroyed = keys.destroy("ada")
    assert destroyed is not None
    assert (destroyed.subject, destroyed.id, destroyed.key) == ("ada", ada.id, b"")
    assert keys.read("ada") is None
    assert keys.destroy("ada") is None
    again = keys.new("ada")
    assert list(keys.create([again, bob])) == [again, bob]
    keys.close()
    keys.close()


def test_the_keys_are_there_for_the_next_process(tmp_path: Path) -> None:
    first, second, reader = SQLiteKeys(tmp_path / "keys"), SQLiteKeys(tmp_path / "keys"), SQLiteKeys(tmp_path / "keys")
    first.prepare()
    (ada,) = first.create([first.new("ada")])
    second.open()
    reader.open(read_only=True)
    assert second.read("ada") == reader.read("ada") == ada
    with pytest.raises(StoreUnavailable, match="readonly"):
        reader.create([reader.new("bob")])
    second.destroy("ada")
    assert first.read("ada") is None
    for keys in (first, second, reader):
        keys.close()
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


def test_no_byte_of_a_destroyed_key_stays_in_the_file_whatever_sqlite_moved(tmp_path: Path) -> None:
    random, path = Random(1), tmp_path / "keys"
    keys = SQLiteKeys(path)
    keys.prepare()
    alive: dict[str, bytes] = {}
    destroyed: list[bytes] = []
    for _ in range(6):
        added = [keys.new(f"{random.random()}-{'x' * random.randrange(400)}") for _ in range(60)]
        alive |= {key.subject: key.key for key in keys.create(added)}
        for subject in random.sample(sorted(alive), 10):
            keys.destroy(subject)
            destroyed.append(alive.pop(subject))
        content = path.read_bytes()
        assert [key for key in destroyed if key in content] == []
    assert all(keys.read(subject) is not None for subject in alive)
    keys.close()


def test_a_copy_of_the_key_that_is_left_elsewhere_in_the_file_is_overwritten_too(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    keys = SQLiteKeys(path)
    keys.prepare()
    ada, _ = keys.create([keys.new("ada"), keys.new("bob")])
    keys.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA secure_delete = OFF")
        db.execute("INSERT INTO keys VALUES (100, 'a copy', ?, ?)", (ada.id, ada.key))
        db.execute("DELETE FROM keys WHERE subject = 'a copy'")
    assert path.read_bytes().count(ada.key) == 2
    keys.destroy("ada")
    assert path.read_bytes().count(ada.key) == 0
    assert keys.read("bob") is not None
    keys.close()


def test_a_file_of_a_newer_release_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    keys = SQLiteKeys(tmp_path / "keys")
    keys.prepare()
    keys.close()
    with closing(sqlite3.connect(tmp_path / "keys")) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreUnavailable, match="format 99"):
        keys.read("ada")
    (tmp_path / "keys").write_bytes(b"no database" * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        keys.read("ada")


def test_a_file_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    keys = SQLiteKeys(tmp_path / "none" / "keys")
    keys.open()
    with pytest.raises(StoreUnavailable, match="none/keys cannot be created: No such file or directory"):
        keys.prepare()


@pytest.mark.parametrize("keys", ["keys.db", 5, object()])
def test_what_is_no_place_for_keys_is_refused(keys: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"is no KeyStore; for a file, write keys=SQLiteKeys\(…\)"):
        Runtime([Customer], store="memory://", keys=keys)


def test_a_server_that_cannot_be_reached_is_named() -> None:
    keys = PostgreSQLKeys("postgresql://postgres@127.0.0.1:1/nothing")
    with pytest.raises(StoreUnavailable, match=r"keys in postgresql 127\.0\.0\.1:1/nothing schema actorium_keys"):
        keys.read("ada")
    keys.close()
