"""Personal data is stored encrypted, and is gone once its key is destroyed."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.backups import quiet, reader
from support.customers import Careless, Customer, Letterbox, Names, Register, Rename, Welcome, newsletter
from support.postgres import new_log, run_sql, schema_of

from actorium import Retry, Runtime, Settings
from actorium.backup import BackupFolder, back_up, restore, verified
from actorium.errors import StoreUnavailable
from actorium.inspection import still_known
from actorium.personal import FORGOTTEN, SubjectForgotten, personal
from actorium.store.personal.keys import MemoryKeys
from actorium.store.urls import open_store

SECRETS = ("Ada Lovelace", "ada@analytical.example", "Augusta King", "Dear Ada", "Countess")


def application(folder: Path, log: str = "shop.db") -> Runtime:
    """Return a shop that keeps everything in one folder."""
    parts = [Customer, Letterbox, Welcome, Names, Careless, newsletter(folder / "published")]
    settings = Settings(handler_retry=Retry(attempts=1))
    return Runtime(parts, store=f"sqlite:///{folder / log}", settings=settings)


def files_with(secrets: tuple[bytes, ...], folder: Path) -> list[tuple[str, bytes]]:
    """Return which files of a folder hold which of the secrets."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path.name, secret) for path in files for secret in secrets if secret in path.read_bytes()]


def key_of(subject: str, keys: Path) -> bytes:
    """Return the bytes of a key, past the key store."""
    with closing(sqlite3.connect(f"file:{keys}?mode=ro", uri=True)) as db:
        (key,) = db.execute("SELECT key FROM keys WHERE subject = ?", (subject,)).fetchone()
        assert isinstance(key, bytes)
        return key


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what the runtime does in the background."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  (what it waits for happens in the background)
            await asyncio.sleep(0.01)


async def back_up_and_restore(folder: Path, name: str) -> None:
    """Back the log up, and restore it as another one, in which text can be searched: a backup is compressed."""
    store = reader(f"sqlite:///{folder / 'shop.db'}")
    await store.open(read_only=True)
    try:
        await back_up(store, BackupFolder(folder / name), quiet)
    finally:
        await store.close()
    target = open_store(f"sqlite:///{folder / name}.db")
    await target.open()
    try:
        await restore(BackupFolder(folder / name), verified(BackupFolder(folder / name)), target, quiet)
    finally:
        await target.close()


def test_in_postgresql_no_table_of_the_log_holds_the_text_and_the_key_row_is_deleted() -> None:
    with new_log() as url:
        texts = asyncio.run(tables_after_forgetting(url))
    assert "Registered" in texts
    hidden = [SECRETS[0], SECRETS[0].encode().hex(), SECRETS[2], SECRETS[2].encode().hex()]
    assert [secret for secret in hidden if secret in texts] == []


async def tables_after_forgetting(url: str) -> str:
    """Let a shop remember Ada in one life and forget her in the next; return its tables as text."""
    parts = [Customer, Letterbox, Welcome, Names]
    async with Runtime(parts, store=url) as runtime:
        await runtime.send(Register("ada", personal(SECRETS[0])), wait_for=[Names])
        await runtime.send(Rename("ada", personal(SECRETS[2])))
        assert [row["subject"] for row in await key_rows(url)] == ["ada"]
    async with Runtime(parts, store=url) as runtime:
        ada = await runtime.get(Customer, "ada")
        assert [name.value for name in ada.names] == [SECRETS[0], SECRETS[2]]
        ack = await runtime.forget("ada")
        assert await runtime.query(Names.all, after=ack.position) == {"ada": FORGOTTEN}
        assert await key_rows(url) == []
    schema = schema_of(url)
    tables = await run_sql(url, "SELECT table_name FROM information_schema.tables WHERE table_schema = $1", schema)
    return "".join([str(await run_sql(url, f'SELECT t::text FROM "{schema}"."{table[0]}" t')) for table in tables])


async def key_rows(url: str) -> list[Any]:
    """Return the rows of the keys, past the key store."""
    return await run_sql(url, f'SELECT subject, id FROM "{schema_of(url)}_keys".keys')


@pytest.mark.about("sqlite", "it reads the bytes of the files; the test above reads the tables of a server")
@pytest.mark.asyncio
async def test_no_file_holds_the_text_and_after_forgetting_none_holds_the_key(tmp_path: Path) -> None:
    secrets = tuple(secret.encode() for secret in SECRETS)
    published = tmp_path / "published"
    async with application(tmp_path) as runtime:
        await runtime.send(Register("ada", personal(SECRETS[0]), personal(SECRETS[1])), wait_for=[Names])
        await runtime.send(Rename("ada", personal(f" {SECRETS[2]} ")))
        await runtime.submit(Rename("ada", personal(SECRETS[4])))
        await until(lambda: published.exists() and len(published.read_bytes().splitlines()) == 4)
        await until(lambda: len(runtime.dead_letters.list()) == 1)
        assert await runtime.query(Names.all) == {"ada": SECRETS[0]}
        ada = await runtime.get(Customer, "ada")
        assert [name.value for name in ada.names] == [SECRETS[0], SECRETS[2], SECRETS[4]]
        (letter,) = runtime.dead_letters.list()
        assert "[personal data] is not welcome, nor is Personal(ada)" in letter.error
        assert {path.name for path in tmp_path.iterdir()} >= {"shop.db", "shop.db-wal", "shop.db.keys", "published"}
        assert files_with(secrets, tmp_path) == []
    await back_up_and_restore(tmp_path, "before")
    assert files_with(secrets, tmp_path) == []
    key = key_of("ada", tmp_path / "shop.db.keys")
    assert files_with((key,), tmp_path) == [("shop.db.keys", key)]

    async with application(tmp_path) as runtime:
        await runtime.forget("ada")
        assert files_with((key, *secrets), tmp_path) == []
        assert [name.value for name in ada.names] == [FORGOTTEN] * 3
        assert await runtime.query(Names.all) == {"ada": FORGOTTEN}
        async with asyncio.timeout(30):
            async for recorded in runtime.events(after=0, types=[SubjectForgotten]):
                assert recorded.event.subject == "ada"
                break
    await back_up_and_restore(tmp_path, "after")
    assert files_with((key, *secrets), tmp_path) == []


class Unopened(MemoryKeys):
    def open(self, *, read_only: bool = False) -> None:
        raise StoreUnavailable("the keys cannot be opened")


@pytest.mark.asyncio
async def test_a_check_closes_the_log_if_the_keys_cannot_be_opened(log_url: str) -> None:
    async with Runtime([Customer], store=log_url, keys=MemoryKeys()):
        pass
    runtime = Runtime([Customer], store=log_url, keys=Unopened())
    with pytest.raises(StoreUnavailable, match="keys cannot be opened"):
        assert [line async for line in still_known(runtime)] == []
    await runtime.store.open()  # it is closed, so it can be opened
    await runtime.store.close()
