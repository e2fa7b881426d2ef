"""A log matches its own heads, whatever holds it, and no other log's; the report says where it differs."""

import asyncio
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from support.backups import bring_back, fill, take
from support.postgres import new_log, run_sql, schema_of
from support.stores import whole_log
from support.tables import cut_off, run_on
from support.verifying import ChainedStore, forge, head, reading, store_chain, verified

from actorium.backup import BackupFolder
from actorium.copying import copy_events, copy_tables
from actorium.errors import ConfigurationError, DamagedLog
from actorium.simulation.disk.tampering import Tampering
from actorium.store.chain import CHAIN, SEGMENT_EVENTS
from actorium.store.events import EncodedRecord
from actorium.store.urls import open_store
from actorium.verification import head_of

COMMANDS = 300  # of three events each
EVENTS = 3 * COMMANDS
LINKED = EVENTS // SEGMENT_EVENTS * SEGMENT_EVENTS
CHANGES = 100


@pytest.fixture
def log(log_url: str) -> str:
    """A closed log with a stored chain."""
    asyncio.run(fill(log_url, 0, COMMANDS))
    asyncio.run(store_chain(log_url))
    return log_url


@pytest.fixture
def database() -> Iterator[str]:
    """The URL of a new log in PostgreSQL."""
    with new_log() as url:
        yield url


def change(log: str, *statements: str) -> None:
    asyncio.run(run_on(log, *statements))


@pytest.mark.about("sqlite", "the command that it tests changes a file; another test changes a log on a server")
@pytest.mark.asyncio
async def test_changes_of_every_kind_are_found_and_placed(tmp_path: Path) -> None:
    tampering = Tampering(tmp_path, seed=7)
    await tampering.prepare()
    for _ in range(CHANGES):
        await tampering.change_one()
    assert tampering.missed == []
    assert sum(kind.made for kind in tampering.kinds.values()) == CHANGES
    assert all(kind.made == kind.found == kind.placed > 0 for kind in tampering.kinds.values())


@pytest.mark.asyncio
async def test_the_hash_is_the_one_that_the_manual_defines(log: str) -> None:
    async with reading(log) as store:
        records = await whole_log(store)
        found = await head_of(store)
    link = sha256(b"actorium chain 1").digest()
    for start in range(0, EVENTS, 256):
        segment = b"".join(packed(record) for record in records[start : start + 256])
        link = sha256(link + segment).digest()
    assert found.hash == link.hex()
    assert found.log == sha256(sha256(b"actorium chain 1").digest() + packed(records[0])).hexdigest()
    # A released definition never changes: heads are kept for years.
    assert found.hash == "533c36685f920cb5b22cd5b88e161d4587f1a3e2b5af74b82102de1c86505729"


def packed(record: EncodedRecord) -> bytes:
    """The nine values of an event in MessagePack."""
    stream = (record.stream.type, record.stream.id, record.version)
    shape = (record.type, record.schema_version)
    return msgspec.msgpack.encode(
        [record.position, *stream, record.recorded_us, *shape, record.payload, record.metadata]
    )


@pytest.mark.asyncio
async def test_copies_and_restored_backups_have_the_same_head(
    new_log_url: Callable[[str], str], tmp_path: Path, database: str
) -> None:
    log, restored, folder = new_log_url("log"), new_log_url("restored"), BackupFolder(tmp_path / "backup")
    await fill(log, 0, COMMANDS)
    await store_chain(log)
    found = await head(log)
    await take(log, folder)
    await bring_back(folder, restored)
    source, target = open_store(log), open_store(database)
    await source.open()
    await target.open()
    try:
        await copy_events(source, target, lambda position: None)
        await copy_tables(source, target)
        assert await target.load_checkpoint(CHAIN) == 0  # the application stores its own
    finally:
        await target.close()
        await source.close()
    for copy in (restored, database):
        assert await head(copy) == found
        result = await verified(copy, found)
        assert (result.problem, result.covered, result.linked) == ("", EVENTS, 0)


@pytest.mark.asyncio
async def test_a_log_that_has_grown_matches_its_earlier_heads(log: str) -> None:
    before = await head(log)
    await fill(log, COMMANDS, 10)
    now = await head(log, after=before)
    assert (before.log, now.position) == (now.log, EVENTS + 30)
    result = await verified(log, now, before)
    assert (result.problem, result.end, result.covered, result.linked) == ("", EVENTS + 30, EVENTS + 30, LINKED)


@pytest.mark.asyncio
async def test_with_a_stored_chain_a_head_takes_a_read_of_the_newest_events(log: str) -> None:
    store = ChainedStore(open_store(log))
    await store.open()
    try:
        found = await head_of(store)
        assert store.read_events == 1 + EVENTS - (LINKED - SEGMENT_EVENTS)
    finally:
        await store.close()
    await run_on(log, "DELETE FROM checkpoints")
    assert await head(log) == found


def test_the_stored_chain_narrows_down_where_an_event_has_changed(log: str) -> None:
    found = asyncio.run(head(log))
    asyncio.run(forge(log, 300))
    for heads in ([], [found]):
        result = asyncio.run(verified(log, *heads))
        assert "does not match" in result.problem
        assert (result.first, result.last, result.linked) == (257, 512, 256)


def test_several_heads_narrow_it_down_without_a_chain(log: str) -> None:
    heads = [asyncio.run(head(log))]
    for n in range(2):
        asyncio.run(fill(log, COMMANDS + n, 1))
        heads.append(asyncio.run(head(log)))
    change(log, "DELETE FROM projection_states", "DELETE FROM checkpoints")
    asyncio.run(forge(log, EVENTS + 5))
    result = asyncio.run(verified(log, *heads))
    assert "does not match the head at position 906" in result.problem
    assert (result.covered, result.first, result.last) == (EVENTS + 3, EVENTS + 4, EVENTS + 6)


def test_an_event_that_does_not_match_its_checksum_is_named(log: str) -> None:
    found = asyncio.run(head(log))
    change(log, "UPDATE events SET payload = '{}' WHERE position = 700")
    result = asyncio.run(verified(log, found))
    assert "does not match its checksum" in result.problem
    assert (result.first, result.last) == (700, 700)


def test_removed_events_are_found_at_the_end_and_in_between(log: str) -> None:
    found = asyncio.run(head(log))
    asyncio.run(cut_off(log, after_position=EVENTS - 5))
    result = asyncio.run(verified(log, found))
    assert f"ends at position {EVENTS - 5}, before the head" in result.problem
    assert result.first <= EVENTS - 4 <= result.last
    asyncio.run(cut_off(log, after_position=LINKED - 5))
    result = asyncio.run(verified(log))
    assert "before the end of the stored chain" in result.problem
    change(log, "DELETE FROM events WHERE position BETWEEN 20 AND 30")
    result = asyncio.run(verified(log, found))
    assert "events were removed" in result.problem
    assert (result.first, result.last) == (20, 30)


@pytest.mark.parametrize("update", ["SET state = '\"00\"'", "SET state = replace(state, 'a', 'b')"])
def test_a_changed_link_is_told_from_a_changed_event(log: str, update: str) -> None:
    found = asyncio.run(head(log))
    change(log, f"UPDATE projection_states {update} WHERE position = 512")
    for heads in ([], [found]):
        result = asyncio.run(verified(log, *heads))
        assert result.problem == "the stored link at position 512 has changed, but no event before it"
        assert (result.first, result.last) == (0, 0)


def test_a_head_is_not_built_on_a_changed_link(log: str) -> None:
    change(log, "UPDATE projection_states SET state = replace(state, 'a', 'b') WHERE position = 512")
    with pytest.raises(DamagedLog, match="does not match the link of the stored chain at position 768"):
        asyncio.run(head(log))


def test_a_head_follows_only_from_an_earlier_head_that_still_matches(log: str) -> None:
    before = asyncio.run(head(log))
    asyncio.run(cut_off(log, after_position=EVENTS - 3))
    with pytest.raises(DamagedLog, match="before the earlier head at 900"):
        asyncio.run(head(log, after=before))
    asyncio.run(fill(log, 5 * COMMANDS, 2))
    with pytest.raises(DamagedLog, match="does not match the earlier head at position 900"):
        asyncio.run(head(log, after=before))


@pytest.mark.asyncio
async def test_another_log_is_recognized(log: str, new_log_url: Callable[[str], str]) -> None:
    other = new_log_url("other")
    await fill(other, 1, COMMANDS)
    found = await head(other)
    result = await verified(log, found)
    assert (result.problem.split(",")[0], result.first) == ("the head is of another log", 1)
    with pytest.raises(DamagedLog, match="of another log"):
        await head(log, after=found)


@pytest.mark.asyncio
async def test_there_must_be_something_to_compare_and_something_to_hash(log_url: str) -> None:
    await fill(log_url, 0, 0)
    with pytest.raises(ConfigurationError, match="is empty"):
        await head(log_url)
    await fill(log_url, 0, 1)
    with pytest.raises(ConfigurationError, match="hash_chain=True"):
        await verified(log_url)


@pytest.mark.asyncio
async def test_changes_of_a_log_in_postgresql_are_found(database: str) -> None:
    await fill(database, 0, COMMANDS)
    await store_chain(database)
    found = await head(database)
    assert (await verified(database, found)).problem == ""
    schema = f'"{schema_of(database)}"'

    async def change_it(sql: str) -> None:
        await run_sql(database, sql.format(schema=schema))

    await change_it("UPDATE {schema}.events SET payload = '{{}}' WHERE position = 700")
    assert (await verified(database, found)).first == 700
    await change_it("DELETE FROM {schema}.events WHERE position = 700")
    result = await verified(database, found)
    assert (result.first, result.last) == (700, 700)
    await change_it("DELETE FROM {schema}.events WHERE position > 600")
    result = await verified(database, found)
    assert "the events after position 600 are missing" in result.problem
    await change_it("UPDATE {schema}.log SET position = 600")
    result = await verified(database, found)
    assert "before the head at position 900" in result.problem
    async with reading(database) as store:
        with pytest.raises(DamagedLog, match="before"):
            await head_of(store)
