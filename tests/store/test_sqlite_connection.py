"""Work handed over promptly has begun before the event loop goes on; nothing can keep the loop from going on."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from actorium.store.sqlite import connection
from actorium.store.sqlite.connection import Connection, connect


@pytest_asyncio.fixture
async def db(tmp_path: Path) -> AsyncIterator[Connection]:
    opened = await connect(str(tmp_path / "log.db"), read_only=False, busy_timeout_s=0)
    yield opened
    await opened.close()


@pytest.mark.asyncio
async def test_prompt_work_begins_before_the_loop_goes_on(db: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_BEGINS_WITHIN_S", 60)
    seen: list[str] = []
    asyncio.get_running_loop().call_soon(seen.append, "the loop went on")

    def work(db: sqlite3.Connection) -> int:
        seen.append("the work began")
        return int(db.execute("SELECT 1").fetchone()[0])

    assert await db.run(work, promptly=True) == 1
    assert seen == ["the work began", "the loop went on"]


@pytest.mark.parametrize("promptly", [True, False])
@pytest.mark.asyncio
async def test_what_work_raises_comes_out_of_it(db: Connection, promptly: bool) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table: none"):
        await db.run(lambda db: db.execute("SELECT * FROM none"), promptly=promptly)


@pytest.mark.parametrize("promptly", [True, False])
@pytest.mark.asyncio
async def test_a_caller_that_leaves_neither_stops_the_work_nor_disturbs_what_follows(
    db: Connection, promptly: bool
) -> None:
    may_end = threading.Event()

    def write(db: sqlite3.Connection) -> None:
        may_end.wait()
        db.execute("CREATE TABLE written (id)")

    leaving = asyncio.ensure_future(db.run(write, promptly=promptly))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    may_end.set()
    count = await db.run(lambda db: db.execute("SELECT count(*) FROM written").fetchone(), promptly=promptly)
    assert count == (0,)


@pytest.mark.asyncio
async def test_a_thread_that_does_not_come_to_prompt_work_holds_up_nobody_else(db: Connection) -> None:
    loop_went_on = threading.Event()
    first = asyncio.ensure_future(db.run(lambda db: loop_went_on.wait()))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(loop_went_on.set)
    assert await db.run(lambda db: "second", promptly=True) == "second"
    assert await first
