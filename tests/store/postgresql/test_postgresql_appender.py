"""The append in one statement: the same as in memory for one writer; gapless and in order for up to eight."""

import asyncio
import random
from collections.abc import Sequence

import asyncpg
import pytest
from support.postgres import run_sql, schema_of

from actorium.store.errors import DuplicateCommand, Fenced, WrongExpectedVersion
from actorium.store.event_store import (
    Append,
    AppendBatch,
    Appended,
    AppendOutcome,
    CommandMark,
    Snapshot,
    StreamRead,
)
from actorium.store.events import EncodedEvent, EncodedRecord
from actorium.store.memory import MemoryStore
from actorium.store.names import CommandRecord, StreamName
from actorium.store.postgresql import PostgreSQLStore
from actorium.store.postgresql.appender import Appender
from actorium.store.tables.dialect import quoted
from actorium.testing.contract_words import ALICE, BOB, append, versions

STREAMS = [StreamName("Account", f"a{number}") for number in range(6)]
EVER = 10**6


def plain(outcome: AppendOutcome) -> object:
    """An outcome that compares by its values."""
    if isinstance(outcome, DuplicateCommand):
        return outcome.record
    if isinstance(outcome, WrongExpectedVersion):
        return (outcome.stream, outcome.expected, outcome.actual)
    return outcome


class Callers:
    """Random batches of callers who mostly know how far a stream is, and sometimes repeat a command."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.versions: dict[StreamName, int] = {}
        self.ids: list[str] = []
        self.now_us = 1_000

    def batch(self) -> AppendBatch:
        chance, guess = self.chance, dict(self.versions)
        self.now_us += chance.choice((0, 5, -3))
        appends = []
        for _ in range(chance.randrange(7)):
            stream = chance.choice(STREAMS)
            expected = max(0, guess.get(stream, 0) + chance.choice((0, 0, 0, 0, 0, 1, -1)))
            events = tuple(self._event() for _ in range(chance.randrange(1, 4)))
            appends.append(Append(stream, expected, events, self._mark()))
            if expected == guess.get(stream, 0):
                guess[stream] = expected + len(events)
        snapshots = [
            Snapshot(chance.choice(STREAMS), chance.randrange(1, 12), chance.choice("fg"), b"{}")
            for _ in range(chance.randrange(3))
        ]
        return AppendBatch(self.now_us, appends, snapshots)

    def _event(self) -> EncodedEvent:
        shape = self.chance.choice("XYZ"), self.chance.randrange(1, 3)
        metadata = self.chance.choice((b"{}", b'{"causation_id":"a","correlation_id":"f"}'))
        return EncodedEvent(*shape, b'{"n":%d}' % self.chance.randrange(99), metadata)

    def _mark(self) -> CommandMark | None:
        if self.chance.random() < 0.3:
            return None
        if self.ids and self.chance.random() < 0.2:
            id = self.chance.choice(self.ids)
        else:
            id = f"c{len(self.ids)}"
            self.ids.append(id)
        return CommandMark(id, self.chance.randrange(9), self.chance.random() < 0.5)

    def learn(self, batch: AppendBatch, outcomes: Sequence[AppendOutcome]) -> None:
        for one, outcome in zip(batch.appends, outcomes, strict=True):
            if isinstance(outcome, int):
                self.versions[one.stream] = one.expected_version + len(one.events)

    def reads(self) -> list[StreamRead]:
        chance = self.chance
        return [
            StreamRead(chance.choice(STREAMS), chance.randrange(8), chance.randrange(1, 9), chance.choice((None, "f")))
            for _ in range(3)
        ]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.asyncio
async def test_one_writer_does_as_the_store_in_memory(opened: PostgreSQLStore, seed: int) -> None:
    callers, model = Callers(seed), MemoryStore()
    await model.open()
    for number in range(60):
        batch = callers.batch()
        expected, found = await model.append(batch), await opened.append(batch)
        assert [*map(plain, found.outcomes)] == [*map(plain, expected.outcomes)], number
        if any(isinstance(outcome, int) for outcome in found.outcomes):
            assert found.recorded_us == expected.recorded_us
        callers.learn(batch, found.outcomes)
        if callers.chance.random() < 0.1:  # what was remembered is gone, as after a restart
            await opened.close()
            await opened.open()
        reads = callers.reads()
        model_pages, pages = await model.read_streams(reads), await opened.read_streams(reads)
        for read, ours, theirs in zip(reads, pages, model_pages, strict=True):
            assert (ours.snapshot, ours.events) == (theirs.snapshot, theirs.events), read
            assert theirs.is_last or not ours.is_last
    assert await opened.read_log(0, EVER) == await model.read_log(0, EVER)
    assert await opened.head() == await model.head()
    assert await opened.event_types(counted=True) == await model.event_types(counted=True)
    linked = ("causation_id", "a", 0, EVER)
    assert await opened.read_linked(*linked) == await model.read_linked(*linked)
    for id in callers.ids:
        assert (await opened.find_commands([id])).get(id) == (await model.find_commands([id])).get(id)


class Writer:
    """A writer of its own connection, beside others."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", number: int) -> None:
        self.connection = connection
        self.number = number
        self.appender = Appender(silence_s=30.0)

    async def append(self, batch: AppendBatch) -> Appended:
        return await self.appender.append(self.connection, batch, self.number)


async def new_writer(url: str, number: int) -> Writer:
    settings = {"search_path": quoted(schema_of(url)), "lock_timeout": "20s"}
    connection = await asyncpg.connect(url.partition("?")[0], server_settings=settings)
    await connection.execute("UPDATE log SET writers = array_append(writers, $1::bigint)", number)
    return Writer(connection, number)


def check_outcome(append: Append, outcome: AppendOutcome, log: Sequence[EncodedRecord]) -> None:
    """Check that an outcome is true of the log as it is in the end."""
    if isinstance(outcome, int):
        written = log[outcome - 1 : outcome - 1 + len(append.events)]
        assert [(record.stream, record.version) for record in written] == [
            (append.stream, append.expected_version + n) for n in range(1, len(append.events) + 1)
        ]
        assert [(record.type, record.payload) for record in written] == [(e.type, e.payload) for e in append.events]
    elif isinstance(outcome, WrongExpectedVersion):
        assert outcome.actual <= sum(record.stream == append.stream for record in log)
    else:
        last = log[outcome.record.position - 1]
        assert (last.stream, last.version) == (outcome.record.stream, outcome.record.version)


@pytest.mark.parametrize(("writers", "seed"), [(2, 1), (3, 2), (8, 3), (8, 4)])
@pytest.mark.asyncio
async def test_many_writers_leave_no_gap_and_repeat_no_command(
    opened: PostgreSQLStore, url: str, writers: int, seed: int
) -> None:
    alongside = [await new_writer(url, 1_000 + number) for number in range(writers)]
    done: list[tuple[Append, AppendOutcome]] = []

    async def write(me: int) -> None:
        callers = Callers(seed * 100 + me)  # all use the same ids for their commands
        for _ in range(30):
            batch = callers.batch()
            appended = await alongside[me].append(batch)
            done.extend(zip(batch.appends, appended.outcomes, strict=True))
            callers.learn(batch, appended.outcomes)
            for outcome in appended.outcomes:
                if isinstance(outcome, WrongExpectedVersion):
                    callers.versions[outcome.stream] = outcome.actual

    await asyncio.gather(*(write(me) for me in range(writers)))
    log = await opened.read_log(0, EVER)
    assert [record.position for record in log] == list(range(1, len(log) + 1))
    assert [record.recorded_us for record in log] == sorted(record.recorded_us for record in log)
    for stream in STREAMS:
        found = [record.version for record in log if record.stream == stream]
        assert found == list(range(1, len(found) + 1))
    for one, outcome in done:
        check_outcome(one, outcome, log)
    effects: dict[str, CommandRecord] = {}
    for one, outcome in done:
        if one.command is not None and isinstance(outcome, int):
            assert one.command.command_id not in effects, "a command took effect twice"
            record = (await opened.find_commands([one.command.command_id])).get(one.command.command_id)
            assert record is not None
            assert record.position == outcome + len(one.events) - 1
            effects[one.command.command_id] = record
    for _, outcome in done:
        if isinstance(outcome, DuplicateCommand):
            assert outcome.record == effects[outcome.record.command_id]
    for writer in alongside:
        await writer.connection.close()


@pytest.mark.asyncio
async def test_a_writer_that_the_log_does_not_name_writes_nothing(opened: PostgreSQLStore, url: str) -> None:
    writer = await new_writer(url, 7)
    await writer.append(AppendBatch(1, [append(ALICE, 0)]))
    await run_sql(url, f'UPDATE "{schema_of(url)}".log SET writers = array_remove(writers, 7)')
    # In one statement, and under the row's lock because it repeats a command.
    again = append(BOB, 0, command="c")
    for batch in (AppendBatch(1, [append(ALICE, 1)]), AppendBatch(1, [again, again]), AppendBatch(1, [append(BOB, 3)])):
        with pytest.raises(Fenced, match="writer 7 lost the log to another runtime, and nothing was written"):
            await writer.append(batch)
    assert (await opened.head()).position == 1
    assert await versions(opened, ALICE) == [1]
    await writer.connection.close()


@pytest.mark.asyncio
async def test_of_a_batch_that_another_writer_overtook_only_the_stale_append_fails(
    opened: PostgreSQLStore, url: str
) -> None:
    writer = await new_writer(url, 7)
    assert (await opened.append(AppendBatch(1, [append(ALICE, 0), append(BOB, 0, command="c")]))).outcomes == [1, 2]
    assert (await writer.append(AppendBatch(1, [append(ALICE, 1)]))).outcomes == [3]
    appended = await opened.append(AppendBatch(1, [append(ALICE, 1), append(BOB, 1, command="d")]))
    assert [*map(plain, appended.outcomes)] == [(ALICE, 1, 2), 4]
    appended = await writer.append(AppendBatch(1, [append(ALICE, 2), append(BOB, 2, command="c")]))
    assert [*map(plain, appended.outcomes)] == [5, CommandRecord("c", 7, BOB, 1, 1, 2)]
    await writer.connection.close()
