"""One process per file: the second is told who the first is, and a dead one holds nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorium.store.errors import StoreInUse, StoreUnavailable
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
        with pytest.raises(StoreInUse, match=f"in use by process {holder.pid}: stop that one first") as caught:
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
    with pytest.raises(StoreInUse, match="open in this process already") as caught:
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


def test_a_lock_that_cannot_be_made_is_a_broken_store(tmp_path: Path) -> None:
    (tmp_path / "log.db.lock").mkdir()
    with pytest.raises(StoreUnavailable, match="cannot make the lock"):
        FileLock(str(tmp_path / "log.db")).acquire()


def test_a_lock_file_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    first, second = FileLock(str(tmp_path / "log.db")), FileLock(str(tmp_path / "log.db"))
    first.acquire()
    first.release()
    (tmp_path / "log.db.lock").unlink()
    second.acquire()
    assert (tmp_path / "log.db.lock").read_text() == f"{os.getpid()}\n"
    second.release()
