"""A runtime on a failing disk: nothing is acknowledged falsely, the error names the problem, and service resumes.

`test_sqlite_faults.py` has the store's part; here commands go through actors, group commit and pipelining on top of it.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bank import Add, Tally
from support.troubled_disks import (
    fill,
    immutable,
    locked_by_another_process,
    no_larger_files,
    small_disk,
)

from actorium import Ack, Runtime
from actorium.errors import StoreInUse, StoreUnavailable, UnsupportedSchema
from actorium.store.errors import Transient
from actorium.store.sqlite import SQLiteStore
from actorium.store.sqlite.schema import MIGRATIONS

COMMANDS = 60
NOTE = "x" * 20_000  # of the large commands: a few of them are more than the room that is left


class Bank:
    """Tallies on one file, the commands that were sent to them, and what was acknowledged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.acks: dict[int, Ack] = {}
        self.errors: list[Transient] = []

    def runtime(self) -> Runtime:
        return Runtime([Tally], store=SQLiteStore(self.path, busy_timeout_s=0))

    async def send_all(self, runtime: Runtime, numbers: range, *, large: bool = False) -> None:
        """Send commands concurrently; keep acknowledgements, which never change, and errors."""

        async def send(number: int) -> None:
            events = 200 if large else 1
            try:
                ack = await runtime.send(Add(f"t{number % 5}", number, events=events), command_id=f"c{number}")
            except Transient as error:
                self.errors.append(error)
                return
            earlier = self.acks.setdefault(number, ack)
            assert (ack.version, ack.position) == (earlier.version, earlier.position)

        await asyncio.gather(*map(send, numbers))

    async def expect_each_once(self, runtime: Runtime, numbers: range) -> None:
        """Every command of a range is in the log, once; every acknowledged one where it was acknowledged."""
        last: dict[str, int] = {}
        events: dict[str, int] = {}
        head = runtime.statistics().position
        async for recorded in runtime.events():
            id = recorded.metadata.command_id
            last[id] = recorded.position
            events[id] = events.get(id, 0) + 1
            if recorded.position == head:
                break
        assert set(last) == {f"c{number}" for number in numbers}
        assert {id: len(self.acks[int(id[1:])].events) for id in last} == events
        assert {number: last[f"c{number}"] for number in self.acks} == {
            number: ack.position for number, ack in self.acks.items()
        }


@contextlib.contextmanager
def full_disk(path: Path) -> Iterator[None]:
    filler = fill(path.parent, free_bytes=40_000)
    yield
    filler.unlink()


@contextlib.contextmanager
def no_room_in_the_file(path: Path) -> Iterator[None]:
    with no_larger_files(Path(f"{path}-wal").stat().st_size + 30_000):
        yield


@contextlib.contextmanager
def read_only_journal(path: Path) -> Iterator[None]:
    with immutable(Path(f"{path}-wal")):
        yield


TROUBLES = {
    "a full disk": (full_disk, "is full"),
    "a file that may not grow": (no_room_in_the_file, "disk I/O error|is full"),
    "a read-only journal": (read_only_journal, "readonly|I/O error"),
    "a lock of another process": (locked_by_another_process, "is locked"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.asyncio
async def test_failures_cause_no_false_acknowledgement_and_service_resumes_by_itself(
    tmp_path: Path, trouble: str
) -> None:
    begin, words = TROUBLES[trouble]
    with small_disk(tmp_path / "disk") if begin is full_disk else contextlib.nullcontext(tmp_path) as disk:
        bank = Bank(disk / "log.db")
        async with bank.runtime() as runtime:
            await bank.send_all(runtime, range(20))
            assert not bank.errors
            with begin(bank.path):
                await bank.send_all(runtime, range(COMMANDS))
                await bank.send_all(runtime, range(COMMANDS, COMMANDS + 20), large=True)
            assert bank.errors
            for error in bank.errors:
                assert error.__cause__ is not None
                assert "log.db" in str(error)
                assert "send its commands again with the same command_id" in str(error)
            with pytest.raises(Transient, match=words):
                raise bank.errors[-1]
            await bank.send_all(runtime, range(COMMANDS))
            await bank.send_all(runtime, range(COMMANDS, COMMANDS + 20), large=True)
            assert len(bank.acks) == COMMANDS + 20
            await bank.expect_each_once(runtime, range(COMMANDS + 20))
        async with bank.runtime() as again:
            await bank.expect_each_once(again, range(COMMANDS + 20))


@pytest.mark.parametrize("name", ["log.db", "log.db-wal"])
@pytest.mark.asyncio
async def test_a_removed_file_ends_all_acknowledgements(tmp_path: Path, name: str) -> None:
    bank = Bank(tmp_path / "log.db")
    async with bank.runtime() as runtime:
        await bank.send_all(runtime, range(20))
        (tmp_path / name).unlink()
        for _ in range(2):
            await bank.send_all(runtime, range(20, 40))
        assert len(bank.acks) == 20
        assert len(bank.errors) == 40
        for error in bank.errors:
            assert "was removed while the store was open, so no more events can be stored: stop the process" in str(
                error
            )


@pytest.mark.asyncio
async def test_a_full_disk_refuses_the_opening_until_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        bank = Bank(disk / "log.db")
        filler = fill(disk, free_bytes=8_192)
        with pytest.raises(StoreUnavailable, match=r"log\.db: .*(full|I/O error|No space left)"):
            await bank.runtime().start()
        filler.unlink()
        async with bank.runtime() as runtime:
            await bank.send_all(runtime, range(5))
            await bank.expect_each_once(runtime, range(5))


@pytest.mark.asyncio
async def test_a_full_disk_at_the_stop_loses_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        bank = Bank(disk / "log.db")
        async with bank.runtime() as runtime:
            await bank.send_all(runtime, range(COMMANDS), large=True)
            filler = fill(disk, free_bytes=0)
        async with bank.runtime() as runtime:
            await bank.expect_each_once(runtime, range(COMMANDS))
        filler.unlink()


@pytest.mark.asyncio
async def test_a_read_only_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    bank = Bank(tmp_path / "folder" / "log.db")
    with immutable(tmp_path / "folder"), pytest.raises(StoreUnavailable, match=r"lock of .*folder/log\.db: "):
        await bank.runtime().start()
    async with bank.runtime() as runtime:
        await bank.send_all(runtime, range(5))
    assert len(bank.acks) == 5


@pytest.mark.asyncio
async def test_a_second_runtime_and_a_newer_file_are_refused_without_harm(tmp_path: Path) -> None:
    bank = Bank(tmp_path / "log.db")
    async with bank.runtime() as runtime:
        await bank.send_all(runtime, range(5))
        with pytest.raises(StoreInUse, match="already open in this process"):
            await bank.runtime().start()
        await bank.send_all(runtime, range(5, 10))
        await bank.expect_each_once(runtime, range(10))

    with contextlib.closing(sqlite3.connect(bank.path, isolation_level=None)) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(UnsupportedSchema, match="written by a newer version; upgrade Actorium"):
        await bank.runtime().start()
