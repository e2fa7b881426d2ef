"""One process per file: a second one is told which process has it open, and a dead process holds no lock."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actorium.store.errors import ConfigurationError, StoreInUse, StoreUnavailable
from actorium.store.sqlite import SQLiteStore
from actorium.store.sqlite.lock import FileLock
from actorium.testing.contract_words import ALICE, append, commit, versions

HOLD = """
import asyncio, sys
from actorium.store.sqlite import SQLiteStore
from actorium.testing.contract_words import ALICE, append, commit

async def hold():
    store = SQLiteStore(sys.argv[1])
    await store.open()
    await commit(store, append(ALICE, 0))
    print("held", flush=True)
    sys.stdin.read()
    await store.close()

asyncio.run(hold())
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that has the store open."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "log.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line == "held\n" for line in process.stdout)
        yield process
        process.kill()


@pytest.mark.asyncio
async def test_a_second_process_is_told_who_the_first_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holder: "subprocess.Popen[str]"
) -> None:
    (tmp_path / "link.db").symlink_to("log.db")
    (tmp_path / "folder").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    for path in ("log.db", "link.db", "folder/link.db", str(tmp_path / "log.db")):
        with pytest.raises(StoreInUse, match=f"in use by process {holder.pid}: .* one worker per log") as caught:
            await SQLiteStore(path).open()
        assert caught.value.pid == holder.pid


@pytest.mark.asyncio
async def test_a_killed_process_holds_nothing_and_lost_nothing(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    store = SQLiteStore(tmp_path / "log.db")
    await store.open()
    assert await versions(store, ALICE) == [1]
    assert await commit(store, append(ALICE, 1)) == [2]
    await store.close()


@pytest.mark.asyncio
async def test_a_process_that_closed_its_store_holds_nothing(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    holder.communicate()
    assert holder.returncode == 0
    store = SQLiteStore(tmp_path / "log.db")
    await store.open()
    await store.close()


@pytest.mark.asyncio
async def test_two_stores_in_one_process_are_refused_too(tmp_path: Path) -> None:
    first, second = SQLiteStore(tmp_path / "log.db"), SQLiteStore(tmp_path / "log.db")
    await first.open()
    with pytest.raises(StoreInUse, match="already open in this process") as caught:
        await second.open()
    assert caught.value.pid == os.getpid()
    await first.close()
    await second.open()
    await second.close()


def test_a_holder_whose_pid_is_not_readable_is_still_a_holder(tmp_path: Path) -> None:
    holder, second = FileLock(str(tmp_path / "log.db")), FileLock(str(tmp_path / "log.db"))
    holder.acquire()
    (tmp_path / "log.db.lock").write_text("")
    with pytest.raises(StoreInUse, match="in use by another process") as caught:
        second.acquire()
    assert caught.value.pid is None
    holder.release()
    holder.release()
    second.acquire()
    second.release()


def test_a_lock_that_cannot_be_created_makes_the_store_unavailable(tmp_path: Path) -> None:
    (tmp_path / "log.db.lock").mkdir()
    with pytest.raises(StoreUnavailable, match="cannot create the lock"):
        FileLock(str(tmp_path / "log.db")).acquire()


def test_a_removed_lock_file_is_created_again(tmp_path: Path) -> None:
    first, second = FileLock(str(tmp_path / "log.db")), FileLock(str(tmp_path / "log.db"))
    first.acquire()
    first.release()
    (tmp_path / "log.db.lock").unlink()
    second.acquire()
    assert (tmp_path / "log.db.lock").read_text() == f"{os.getpid()}\n"
    second.release()


FORK = """
import asyncio, os, signal, sys, time
from actorium.store.sqlite import SQLiteStore

async def hold():
    await SQLiteStore(sys.argv[1]).open()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, b"1")  # its functions registered with `os.register_at_fork` have run
        time.sleep(600)
    os.read(read, 1)
    print(child, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(hold())
"""

LOCK_ALONE = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def hold_file() -> Iterator[Callable[[Path], None]]:
    """Make another process lock a file, under any of its names."""
    with contextlib.ExitStack() as stack:

        def hold(path: Path) -> None:
            command = [sys.executable, "-c", LOCK_ALONE, str(path)]
            process = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"

        yield hold


@pytest.fixture
def orphan(tmp_path: Path) -> Iterator[int]:
    """The pid of a process that was forked from one that held the store, and was killed."""
    with subprocess.Popen([sys.executable, "-c", FORK, str(tmp_path / "log.db")], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.wait()
        yield child
        os.kill(child, signal.SIGKILL)


@pytest.fixture
def pid_of_the_past() -> int:
    """The pid of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        return ended.pid


@pytest.mark.asyncio
async def test_the_lock_ends_with_its_process_even_if_a_forked_child_lives(tmp_path: Path, orphan: int) -> None:
    store = SQLiteStore(tmp_path / "log.db")
    await store.open()
    assert await commit(store, append(ALICE, 0)) == [1]
    await store.close()
    os.kill(orphan, 0)  # it lives


@pytest.mark.asyncio
async def test_a_lock_left_behind_by_its_process_is_reported(
    tmp_path: Path, hold_file: Callable[[Path], None], pid_of_the_past: int
) -> None:
    hold_file(tmp_path / "log.db.lock")
    (tmp_path / "log.db.lock").write_text(f"{pid_of_the_past}\n")
    with pytest.raises(StoreInUse, match=f"process {pid_of_the_past}, which locked it, is not running here") as caught:
        await SQLiteStore(tmp_path / "log.db").open()
    assert caught.value.pid == pid_of_the_past


@pytest.mark.asyncio
async def test_a_file_with_a_hard_link_is_refused_under_both_names(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "log.db")
    await store.open()
    await commit(store, append(ALICE, 0))
    await store.close()
    os.link(tmp_path / "log.db", tmp_path / "alias.db")
    for name in ("log.db", "alias.db"):
        with pytest.raises(ConfigurationError, match=f"{name} has 2 names .* remove the other name, or use a copy"):
            await SQLiteStore(tmp_path / name).open()
    (tmp_path / "alias.db").unlink()
    await store.open()
    assert await versions(store, ALICE) == [1]
    await store.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a lock on the file would meet SQLite's own")
@pytest.mark.asyncio
async def test_a_file_in_use_under_another_name_is_refused(tmp_path: Path, hold_file: Callable[[Path], None]) -> None:
    hold_file(tmp_path / "log.db")  # as a bind mount would: the same file, without this name's lock
    with pytest.raises(StoreInUse, match="in use under another name, through a bind mount"):
        await SQLiteStore(tmp_path / "log.db").open()


def another_program_says(path: Path, sql: str) -> str:
    """Return SQLite's reply to another process that runs a statement."""
    script = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1], timeout=0).execute(sys.argv[2]).fetchone())"
    told = subprocess.run([sys.executable, "-c", script, str(path), sql], capture_output=True, text=True, check=False)
    return told.stdout + told.stderr


@pytest.mark.asyncio
async def test_a_refused_opening_leaves_sqlite_its_locks(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "log.db")
    await store.open()
    await commit(store, append(ALICE, 0))
    with pytest.raises(StoreInUse):
        await SQLiteStore(tmp_path / "log.db").open()
    # Another program could take the write-ahead log away if the locks were gone.
    assert "database is locked" in another_program_says(tmp_path / "log.db", "PRAGMA journal_mode=DELETE")
    await store.close()
    assert "delete" in another_program_says(tmp_path / "log.db", "PRAGMA journal_mode=DELETE")
