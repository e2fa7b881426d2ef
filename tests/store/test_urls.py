"""A URL names a store, or the error says what is wrong with it."""

from pathlib import Path
from typing import Any

import pytest
from support.transfers import Account

from actorium import Runtime
from actorium.store.errors import ConfigurationError
from actorium.store.memory import MemoryStore
from actorium.store.sqlite import SQLiteStore
from actorium.store.urls import open_store


def test_memory() -> None:
    assert isinstance(open_store("memory://"), MemoryStore)


def test_a_relative_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///some%20folder/bank.db")
    assert isinstance(store, SQLiteStore)
    assert f"{tmp_path}/some folder/bank.db (WAL, synchronous=FULL" in store.describe()


def test_an_absolute_file_with_options() -> None:
    options = "synchronous=normal&cache_mb=8&wal_autocheckpoint_pages=100&busy_timeout_s=0.5"
    text = open_store(f"sqlite:////srv/bank.db?{options}").describe()
    assert "/srv/bank.db (WAL, synchronous=NORMAL" in text
    assert "a power cut may lose the last ones" in text


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sqlite:///acme#1.db", "acme#1.db"),
        ("sqlite:///what%3F.db", "what?.db"),
        ("sqlite:///a b.db", "a b.db"),
        ("sqlite:///50%.db", "50%.db"),
        ("sqlite:///a%2520.db", "a%20.db"),
        ("sqlite:///two%0Alines.db", "two\nlines.db"),
        ("SQLITE:///up.db?cache_mb=8", "up.db"),
    ],
)
@pytest.mark.asyncio
async def test_exactly_the_named_file_is_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store(url)
    assert isinstance(store, SQLiteStore)
    await store.open()
    await store.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, f"{name}.lock", f"{name}.seal"])


@pytest.mark.parametrize("store", [Path("bank.db"), None, 5, b"sqlite:///bank.db"])
def test_a_value_that_is_neither_a_url_nor_a_store_is_refused(store: Any) -> None:
    with pytest.raises(ConfigurationError, match="is neither a URL nor an EventStore"):
        Runtime([Account], store=store)


def test_an_error_for_a_path_shows_its_url() -> None:
    with pytest.raises(ConfigurationError, match=r"write 'sqlite:///some/bank\.db'"):
        open_store(Path("some/bank.db"))  # type: ignore[arg-type]


@pytest.mark.asyncio
async def test_options_reach_the_database(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/bank.db?synchronous=OFF&cache_mb=8&wal_autocheckpoint_pages=100")
    assert isinstance(store, SQLiteStore)
    await store.open()
    try:
        writer = store._connections[0]
        for pragma, value in (("synchronous", 0), ("cache_size", -8 * 1024), ("wal_autocheckpoint", 100)):
            assert await writer.run(lambda db, name=pragma: db.execute(f"PRAGMA {name}").fetchone()) == (value,)
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://host/bank", "no known scheme; URLs are memory://, sqlite:///relative.db, sqlite:////absolute.db"),
        ("bank.db", "for the file 'bank.db' write 'sqlite:///bank.db'"),
        ("/data/bank.db", "; for the file '/data/bank.db' write 'sqlite:////data/bank.db'"),
        ("", "no known scheme"),
        ("sqlite://bank.db", "names no file; write three slashes"),
        ("sqlite:bank.db", "no known scheme"),
        ("sqlite+aiosqlite:///bank.db", "no known scheme"),
        ("sqlite:///a\nb.db", "contains a line break"),
        ("sqlite:///a%00b.db", "contains a NUL"),
        ("sqlite:///a%ff.db", "are not valid UTF-8"),
        ("sqlite:///what?.db", "write a question mark in a file's name as %3F"),
        ("sqlite:///file:bank.db?mode=ro", "no option 'mode'"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "for memory use memory://"),
        ("memory://here", "has no path; write memory://"),
        ("memory://?cache_mb=8", "no option 'cache_mb'; options: none"),
        ("sqlite:///a.db?cash_mb=8", "no option 'cash_mb'; options: synchronous, cache_mb"),
        ("sqlite:///a.db?cache_mb=much", "cache_mb='much' is not a valid int"),
        ("sqlite:///a.db?cache_mb=", "cache_mb='' is not a valid int"),
        ("sqlite:///a.db?cache_mb=0", "cache_mb=0 is not between 1 and"),
        ("sqlite:///a.db?wal_autocheckpoint_pages=-1", "wal_autocheckpoint_pages=-1 is not between"),
        ("sqlite:///a.db?busy_timeout_s=-1", "busy_timeout_s=-1.0 is not between 0 and"),
        ("sqlite:///a.db?busy_timeout_s=nan", "busy_timeout_s=nan is not between 0 and"),
        ("sqlite:///a.db?synchronous=MAYBE", "synchronous='MAYBE' is not one of OFF, NORMAL, FULL, EXTRA"),
        ("sqlite:///a.db?cache_mb=8&cache_mb=9", "cache_mb is given twice"),
    ],
)
def test_errors_name_the_mistake(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_store(url)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://me:secret@host/db?schemas=x", "store 'postgresql://host/db': no option 'schemas'"),
        ("postgresql://me:secret@host/db?lease_s=x", "store 'postgresql://host/db': lease_s='x'"),
        (
            "postgresql://host/db?password=secret&schema=a&schema=b",
            "store 'postgresql://host/db': schema is given twice",
        ),
        ("postgrsql://me:secret@host/db", "store 'postgrsql://host/db' has no known scheme"),
        ("postgresql:/me:secret@host/db", "store 'postgresql:host/db' has no known scheme; URLs are"),
        ("postgresql://me:secret@host/db\n", "contains a line break"),
        ("postgresql://me:secret@host:x/db", "the server 'host:x' of a log: its port must be a number from 1 to 65535"),
        ("postgresql://me:secret@one:5432,[::1]:99999/db", "the server '[::1]:99999' of a log: its port"),
    ],
)
def test_errors_about_the_url_of_a_server_hold_no_password(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_store(url)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "for the file" not in str(caught.value)
