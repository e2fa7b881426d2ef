"""Work handed over promptly begins before the event loop continues, and nothing can block the loop permanently."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from actorium.store.sqlite import connection
from actorium.store.sqlite.connection import (
    Connection,
    Work,
    WritingConnection,
    connect_to_read,
    connect_to_write,
)


async def run(db: WritingConnection, work: Work[Any], *, promptly: bool) -> Any:
    """Run work as a commit does."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def ended(result: Any, error: BaseException | None) -> None:
        if not future.done():
            future.set_result(result) if error is None else future.set_exception(error)

    db.run_then(work, ended, promptly=promptly)
    return await future


async def connect_either(path: Path, *, read_only: bool) -> Connection:
    connect = connect_to_read if read_only else connect_to_write
    return await connect(str(path), busy_timeout_s=0)


@pytest_asyncio.fixture
async def db(tmp_path: Path) -> AsyncIterator[WritingConnection]:
    opened = await connect_to_write(str(tmp_path / "log.db"), busy_timeout_s=0)
    yield opened
    await opened.close()


@pytest.mark.asyncio
async def test_prompt_work_begins_before_the_loop_continues(
    db: WritingConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_BEGINS_WITHIN_S", 60)
    seen: list[str] = []
    asyncio.get_running_loop().call_soon(seen.append, "the loop went on")

    def work(db: sqlite3.Connection) -> int:
        seen.append("the work began")
        return int(db.execute("SELECT 1").fetchone()[0])

    assert await run(db, work, promptly=True) == 1
    assert seen == ["the work began", "the loop went on"]


@pytest.mark.parametrize("promptly", [True, False])
@pytest.mark.asyncio
async def test_an_error_of_the_work_propagates(db: WritingConnection, promptly: bool) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table: none"):
        await run(db, lambda db: db.execute("SELECT * FROM none"), promptly=promptly)


@pytest.mark.parametrize("promptly", [True, False])
@pytest.mark.asyncio
async def test_a_cancelled_caller_neither_stops_the_work_nor_disturbs_later_work(
    db: WritingConnection, promptly: bool
) -> None:
    may_end = threading.Event()

    def write(db: sqlite3.Connection) -> None:
        may_end.wait()
        db.execute("CREATE TABLE written (id)")

    leaving = asyncio.ensure_future(run(db, write, promptly=promptly))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    may_end.set()
    count = await run(db, lambda db: db.execute("SELECT count(*) FROM written").fetchone(), promptly=promptly)
    assert count == (0,)


@pytest.mark.asyncio
async def test_a_thread_that_delays_prompt_work_blocks_nothing_else(db: WritingConnection) -> None:
    loop_went_on = threading.Event()
    first = asyncio.ensure_future(db.run(lambda db: loop_went_on.wait()))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(loop_went_on.set)
    assert await run(db, lambda db: "second", promptly=True) == "second"
    assert await first


@pytest_asyncio.fixture(params=[True, False], ids=["reads", "writes"])
async def either(request: pytest.FixtureRequest, db: WritingConnection, tmp_path: Path) -> Connection:
    """A connection of each kind to one file; the test closes it."""
    return await connect_either(tmp_path / "log.db", read_only=request.param)


@pytest.mark.asyncio
async def test_work_handed_over_before_the_close_is_done_and_nothing_after_it(either: Connection) -> None:
    first = asyncio.ensure_future(either.run(lambda db: db.execute("SELECT 1").fetchone()))
    await asyncio.sleep(0)
    await either.close()
    assert await first == (1,)
    with pytest.raises(ValueError, match=r"Connection closed|no active connection"):
        await either.run(lambda db: None)
    await either.close()


@pytest.mark.asyncio
async def test_the_thread_ends_with_its_connection(either: Connection) -> None:
    thread = await either.run(lambda db: threading.current_thread())
    await either.close()
    await asyncio.to_thread(thread.join, 60)
    assert not thread.is_alive()


@pytest.mark.asyncio
async def test_an_unclosed_connection_warns_and_ends_its_thread(tmp_path: Path) -> None:
    kept = [await connect_to_write(str(tmp_path / "log.db"), busy_timeout_s=0)]
    thread = await kept[0].run(lambda db: threading.current_thread())
    with pytest.warns(ResourceWarning, match="was not closed"):
        kept.clear()
    await asyncio.to_thread(thread.join, 60)
    assert not thread.is_alive()


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.asyncio
async def test_a_file_that_cannot_be_opened_leaves_no_thread(tmp_path: Path, read_only: bool) -> None:
    before = threading.active_count()
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        await connect_either(tmp_path / "none" / "log.db", read_only=read_only)
    assert threading.active_count() == before


@pytest.mark.parametrize("read_only", [True, False])
def test_a_process_ends_while_a_connection_is_stuck_in_its_work(tmp_path: Path, read_only: bool) -> None:
    program = f"""
import asyncio, threading
from actorium.store.sqlite.connection import connect_to_read, connect_to_write

path = {str(tmp_path / "log.db")!r}
began = threading.Event()
kept = []

def stuck(db):
    began.set()
    threading.Event().wait()

async def main():
    kept.append(await connect_to_write(path, busy_timeout_s=0))
    kept.append(await {"connect_to_read" if read_only else "connect_to_write"}(path, busy_timeout_s=0))
    kept.append(asyncio.ensure_future(kept[1].run(stuck)))
    await asyncio.to_thread(began.wait)
    print("stuck", flush=True)

asyncio.run(main())
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout) == (0, "stuck\n"), run.stderr
