"""The store on a disk that loses power during its work: FULL loses nothing that it acknowledged."""

import asyncio
import random
import sqlite3
import sys
from itertools import islice
from pathlib import Path

import pytest

from actorium.simulation.disk import DiskError, PowerCut, SimulatedDisk, SimulatedSqliteStore
from actorium.simulation.disk.choices import every_state
from actorium.store.errors import CommitUnknown, ConfigurationError, StoreInUse, Transient
from actorium.store.event_store import EventStore
from actorium.store.sqlite import SQLiteStore
from actorium.testing.contract_words import ALICE, append, commit, read, versions

LIVES = 4


class Cuts:
    """Cuts the power at a chosen write or sync, counted from 1 over all lives of a disk."""

    def __init__(self, *at: int) -> None:
        self.at = set(at)
        self.count = 0

    def before_write(self, name: str, offset: int, size: int) -> None:
        self._tick()

    def before_sync(self, name: str) -> None:
        self._tick()

    def _tick(self) -> None:
        self.count += 1
        if self.count in self.at:
            raise PowerCut

    def disk(self) -> SimulatedDisk:
        return SimulatedDisk(before_write=self.before_write, before_sync=self.before_sync)


async def acknowledged_until_the_cut(store: EventStore, commits: int) -> int:
    """Append to alice until the power cut; return the number of acknowledged events, the first ones included."""
    await store.open()
    acknowledged = len(await read(store, ALICE))
    for version in range(acknowledged, acknowledged + commits):
        try:
            await commit(store, append(ALICE, version, command=f"c{version}"))
        except PowerCut:
            break
        acknowledged += 1
    return acknowledged


async def lost_over_lives(seed: int, synchronous: str) -> int:
    """Cut the power of a disk several times at random; return how many acknowledged events were lost."""
    chance = random.Random(seed)
    cuts = Cuts(*(chance.randrange(30, 300) * life for life in range(1, LIVES)))
    disk, lost, acknowledged = cuts.disk(), 0, 0
    for _ in range(LIVES):
        store = SimulatedSqliteStore(disk, "log.db", synchronous)
        try:
            await store.open()
            found = await versions(store, ALICE)
            assert found == list(range(1, len(found) + 1))
            assert (await store.head()).position == len(found)
            lost += max(0, acknowledged - len(found))
            await store.close()
            acknowledged = await acknowledged_until_the_cut(store, 60)
        except PowerCut:
            pass
        disk = disk.after_power_cut(lambda site, options: chance.randrange(options))
    return lost


@pytest.mark.parametrize("synchronous", ["FULL", "EXTRA"])
@pytest.mark.asyncio
async def test_no_power_cut_loses_commands_acknowledged_with_full(synchronous: str) -> None:
    assert [await lost_over_lives(seed, synchronous) for seed in range(30)] == [0] * 30


@pytest.mark.asyncio
async def test_normal_loses_acknowledged_commands() -> None:
    lossy = sum([await lost_over_lives(seed, "NORMAL") > 0 for seed in range(30)])
    assert lossy > 10, "the disk keeps what nobody synced: it simulates no power cut"


@pytest.mark.asyncio
async def test_a_commit_survives_completely_or_not_at_all() -> None:
    quiet = SimulatedDisk()
    store = SimulatedSqliteStore(quiet)
    await store.open()
    await commit(store, append(ALICE, 0))
    await store.close()
    files = {name: quiet.content(name) for name in quiet.names()}

    async def found_after_a_cut(at: int) -> set[int]:
        """The versions that alice can have after a power cut at a write or sync of the commit of her second event."""
        cuts = Cuts(at)
        disk = SimulatedDisk(files, before_write=cuts.before_write, before_sync=cuts.before_sync)
        store = SimulatedSqliteStore(disk)
        await store.open()
        with pytest.raises(PowerCut):
            await commit(store, append(ALICE, 1))
        disk.before_write = disk.before_sync = None
        found = set()
        for state in islice(every_state(disk), 300):
            survivor = SimulatedSqliteStore(state)
            await survivor.open()
            found.add(len(await versions(survivor, ALICE)))
        return found

    # The header of the new write-ahead log and its sync; the header of the only page; its content, with which the
    # commit is whole; the last sync.
    assert [await found_after_a_cut(at) for at in range(1, 6)] == [{1}] * 3 + [{1, 2}] * 2


@pytest.mark.asyncio
async def test_pythons_own_sqlite_recovers_what_is_left(tmp_path: Path) -> None:
    chance, path = random.Random(5), tmp_path / "log.db"
    for at in range(80, 440, 12):  # behind the opening
        disk = Cuts(at).disk()
        acknowledged = await acknowledged_until_the_cut(SimulatedSqliteStore(disk), 100)
        left = disk.after_power_cut(lambda site, options: chance.randrange(options))
        for old in tmp_path.iterdir():
            old.unlink()
        for name in left.names():
            (tmp_path / name).write_bytes(left.content(name))
        store = SQLiteStore(path)
        await store.open()
        assert len(await versions(store, ALICE)) >= acknowledged
        assert await commit(store, append(ALICE, len(await versions(store, ALICE))))
        await store.close()


@pytest.mark.asyncio
async def test_a_disk_without_power_raises_only_power_cut() -> None:
    disk = SimulatedDisk()
    store = SimulatedSqliteStore(disk)
    await store.open()
    await commit(store, append(ALICE, 0))
    disk.cut_power()
    for call in (lambda: commit(store, append(ALICE, 1)), store.head, lambda: store.query("SELECT 1", ())):
        with pytest.raises(PowerCut):
            await call()
    with pytest.raises(PowerCut):
        await SimulatedSqliteStore(disk).open()


@pytest.mark.asyncio
async def test_a_power_cut_while_opening_or_closing_propagates() -> None:
    for at in (1, 3, 9):
        disk = Cuts(at).disk()
        with pytest.raises(PowerCut):
            await SimulatedSqliteStore(disk).open()
        again = SimulatedSqliteStore(disk.after_power_cut(lambda site, options: 0))
        await again.open()
        assert await commit(again, append(ALICE, 0)) == [1]

    cuts = Cuts()
    store = SimulatedSqliteStore(cuts.disk())
    await store.open()
    await commit(store, append(ALICE, 0))
    cuts.at.add(cuts.count + 2)
    with pytest.raises(PowerCut):
        await store.close()


@pytest.mark.asyncio
async def test_a_killed_process_loses_nothing_even_without_syncs() -> None:
    disk = SimulatedDisk()
    for life in range(5):
        store = SimulatedSqliteStore(disk, "log.db", "OFF")
        await store.open()
        assert len(await versions(store, ALICE)) == 10 * life
        for version in range(10 * life, 10 * life + 10):
            await commit(store, append(ALICE, version))
        disk = disk.after_kill()


@pytest.mark.parametrize("error", DiskError)
@pytest.mark.asyncio
async def test_a_failing_disk_fails_the_commit_and_then_serves_again(error: DiskError) -> None:
    trouble: list[DiskError] = []
    disk = SimulatedDisk(before_write=lambda name, offset, size: trouble[0] if trouble else None)
    store = SimulatedSqliteStore(disk)
    await store.open()
    await commit(store, append(ALICE, 0))
    trouble.append(error)
    with pytest.raises(CommitUnknown) as caught:
        await commit(store, append(ALICE, 1))
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    assert await versions(store, ALICE) == [1]
    trouble.clear()
    assert await commit(store, append(ALICE, 1)) == [2]


@pytest.mark.asyncio
async def test_commands_acknowledged_after_a_failed_sync_survive_a_power_cut() -> None:
    chance = random.Random(7)
    for _ in range(40):
        disk = SimulatedDisk(before_sync=lambda name: DiskError.BROKEN if chance.random() < 0.2 else None)
        store = SimulatedSqliteStore(disk)
        acknowledged = 0
        try:
            await store.open()
            for _ in range(30):
                version = len(await versions(store, ALICE))
                try:
                    await commit(store, append(ALICE, version))
                except CommitUnknown:
                    continue
                acknowledged = version + 1
        except Transient:
            pass  # not even the opening went through
        disk.before_sync = None
        again = SimulatedSqliteStore(disk.after_power_cut(lambda site, options: chance.randrange(options)))
        await again.open()
        assert len(await versions(again, ALICE)) >= acknowledged


@pytest.mark.asyncio
async def test_damaged_text_is_read_as_bytes() -> None:
    disk = SimulatedDisk()
    store = SimulatedSqliteStore(disk)
    await store.open()
    await commit(store, append(ALICE, 0))
    await store.close()
    place = disk.content("log.db").index(b'{"amount":1}')
    disk.flip_bit("log.db", 8 * (place + 4) + 7)
    await store.open()
    with pytest.raises(Exception, match="checksum"):
        await read(store, ALICE)
    assert await commit(store, append(ALICE, 1)) == [2]


@pytest.mark.asyncio
async def test_a_file_is_open_in_one_store_at_a_time() -> None:
    disk = SimulatedDisk()
    first, second = SimulatedSqliteStore(disk), SimulatedSqliteStore(disk)
    await first.open()
    with pytest.raises(StoreInUse):
        await second.open()
    await first.close()
    await second.open()


def test_nothing_needs_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threading.Thread.start", lambda self: pytest.fail("a thread was started"))

    async def work() -> None:
        store = SimulatedSqliteStore(SimulatedDisk())
        await store.open()
        await commit(store, append(ALICE, 0))
        await store.close()

    asyncio.run(work())


def test_without_apsw_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("connection", "place", "vfs"):
        monkeypatch.delitem(sys.modules, f"actorium.simulation.disk.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "apsw", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'actorium\[simulation\]'"):
        SimulatedSqliteStore(SimulatedDisk())
