"""Damage that somebody did to the tables is found, and what follows from the events is rebuilt."""

import asyncio

import pytest
from support.command_line import output
from support.postgres import run_sql, schema_of

from actorium.store.errors import CorruptEvent, CorruptRow, CorruptStore, VersionGap
from actorium.store.event_store import AppendBatch, Examinable, SaveCheckpoint, Snapshot, StreamRead
from actorium.store.postgresql import PostgreSQLStore
from actorium.store.urls import open_store
from actorium.testing.contract_words import ALICE, BOB, append, dead_letter, linked


async def fill(store: PostgreSQLStore) -> None:
    appends = [append(ALICE, 0, 3, command="c"), linked(BOB, 0, causation_id="Account/alice/1")]
    await store.append(AppendBatch(5, appends, [Snapshot(ALICE, 2, "f", b"{}")]))
    await store.save([SaveCheckpoint("p", 4, parked=[dead_letter(3)])])


async def change(url: str, sql: str) -> None:
    """Run a statement as somebody would who edits the tables by hand."""
    for name in ("events", "event_types", "checkpoints", "dead_letters", "snapshots", "log"):
        sql = sql.replace(f" {name} ", f' "{schema_of(url)}".{name} ', 1)
    await run_sql(url, sql)


@pytest.mark.parametrize(
    "column",
    [
        "payload = '{\"amount\":2}'",
        "metadata = '{}'",
        "type = 'Other'",
        "schema_version = 2",
        "recorded_us = 6",
        "recorded_us = recorded_us + 4294967296",
        "checksum = 1",
        "stream_id = 'bob2'",
    ],
)
@pytest.mark.asyncio
async def test_a_changed_event_is_not_returned(opened: PostgreSQLStore, url: str, column: str) -> None:
    await fill(opened)
    await change(url, f"UPDATE events SET {column} WHERE position = 1")
    with pytest.raises(CorruptEvent, match="does not match its checksum"):
        await opened.read_log(0, 1)


@pytest.mark.asyncio
async def test_a_missing_event_is_a_gap(opened: PostgreSQLStore, url: str) -> None:
    await fill(opened)
    await change(url, "DELETE FROM events WHERE position = 2")
    with pytest.raises(VersionGap, match="position 3 follows position 1"):
        await opened.read_log(0, 9)
    with pytest.raises(VersionGap, match="position 4 is the event number 3 after position 0"):
        await opened.read_wanted(0, 9, ["Deposited/1"])
    with pytest.raises(VersionGap, match="it follows version 1"):
        await opened.read_streams([StreamRead(ALICE)])
    with pytest.raises(VersionGap):
        await opened.read_streams([StreamRead(BOB), StreamRead(ALICE, limit=2)])
    assert (
        await opened.damage()
        == [
            "the log has 3 events up to position 4: events were removed from it",
            "the versions of Account<alice> are not 1, 2, 3 …: events were removed from the log",
            "the mark of command 'c' is damaged: a disk error or a manual edit changed it",
        ][:2]
    )


@pytest.mark.asyncio
async def test_a_snapshot_after_the_end_of_its_stream_is_no_state(opened: PostgreSQLStore, url: str) -> None:
    await fill(opened)
    await change(url, "DELETE FROM events WHERE position > 1")
    reads = [StreamRead(BOB), StreamRead(ALICE, snapshot_fingerprint="f")]
    with pytest.raises(VersionGap, match="a snapshot has this version, but the stream ends at 1") as raised:
        await opened.read_streams(reads)
    assert (raised.value.stream, raised.value.version) == (ALICE, 2)
    await change(url, "DELETE FROM events WHERE position = 1")
    with pytest.raises(VersionGap, match="the stream ends at 0"):
        await opened.read_streams(reads)


@pytest.mark.asyncio
async def test_changed_rows_beside_the_log_are_not_returned(opened: PostgreSQLStore, url: str) -> None:
    await fill(opened)
    await change(url, "UPDATE checkpoints SET position = 9")
    await change(url, "UPDATE dead_letters SET attempts = 9")
    await change(url, "UPDATE snapshots SET state = '[]'")
    with pytest.raises(CorruptRow, match="the checkpoint of 'p' does not match its checksum"):
        await opened.load_checkpoint("p")
    with pytest.raises(CorruptRow, match="a dead letter of 'p', at position 3, does not match"):
        await opened.dead_letters(None)
    (page,) = await opened.read_streams([StreamRead(ALICE, snapshot_fingerprint="f")])
    assert (page.snapshot, len(page.events)) == (None, 3)


@pytest.mark.asyncio
async def test_what_follows_from_the_events_is_rebuilt(opened: PostgreSQLStore, url: str) -> None:
    assert isinstance(opened, Examinable)
    await fill(opened)
    assert await opened.damage() == []
    await opened.close()
    await opened.open()  # which forgets what was acknowledged: a shorter log would be refused
    await change(url, "UPDATE event_types SET first_position = 3")
    await change(url, "UPDATE events SET causation_id = 'x' WHERE position = 4")
    await change(url, "UPDATE log SET position = 2")
    assert await opened.damage() == [
        "the log ends at position 2, but its last event has position 4",
        "the first position of Deposited (schema version 1) is wrong: repair the log",
        "the causation or correlation id at position 4 does not match its metadata: repair the log",
    ]
    await opened.close()
    assert await opened.repair() == []
    await opened.open()
    assert await opened.damage() == []
    assert (await opened.append(AppendBatch(1, [append(BOB, 1)]))).outcomes == [5]


@pytest.mark.asyncio
async def test_a_log_that_lost_its_end_is_not_repaired(opened: PostgreSQLStore, url: str) -> None:
    await fill(opened)
    await opened.close()
    assert await opened.exists()
    await change(url, "DELETE FROM events WHERE position = 4")
    with pytest.raises(CorruptStore, match="its events end at position 3, but position 4 was written; restore"):
        await opened.repair()


async def _created(url: str) -> None:
    store = open_store(url)
    await store.open()
    await store.close()


def test_the_command_repairs_a_log_by_its_url(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(_created(url))
    code, out, _ = output(capsys, "repair", url)
    assert code == 0
    assert out.endswith(": all indexes rebuilt\n")
    code, _, err = output(capsys, "repair", "memory://")
    assert code == 2
    assert "has no indexes to rebuild" in err


def test_a_wrong_schema_in_the_url_is_not_created(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = url.replace("schema=", "schema=wrong_").replace("postgres@", "postgres:secret@")
    for _ in range(2):
        code, out, err = output(capsys, "repair", elsewhere)
        assert (code, out) == (2, "")
        assert "there is no log: postgresql" in err
        assert "secret" not in err
