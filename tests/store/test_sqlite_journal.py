"""The caches and query plans that make the SQLite adapter fast."""

import sqlite3
from collections.abc import Iterator, Sequence

import pytest

from actorium.store.errors import DuplicateCommand, WrongExpectedVersion
from actorium.store.event_store import Append, AppendBatch, CommandMark
from actorium.store.events import EncodedEvent, stream_checksum
from actorium.store.names import StreamName
from actorium.store.sql.stream_heads import OFFERS_MAX, StreamHead, StreamHeads
from actorium.store.sqlite import marks, packed, reading
from actorium.store.sqlite.journal import Journal
from actorium.store.sqlite.packed import HeadQuery
from actorium.store.sqlite.rows import RowStatement, rows_max
from actorium.store.sqlite.schema import migrate
from actorium.store.sqlite.streams import index as stream_index
from actorium.store.sqlite.streams import pages
from actorium.testing.contract_words import append, event

NAMES = [StreamName("Account", str(number)) for number in range(30)]


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, ":memory:")
    yield connection
    connection.close()


def test_heads_of_streams_are_forgotten_over_the_limit_and_found_again(db: sqlite3.Connection) -> None:
    writer = Journal(db, stream_heads_max=8)
    position = 1
    for version in range(3):
        for name in NAMES:
            assert writer.commit(db, AppendBatch(1, [append(name, version)])).appended.outcomes == [position]
            position += 1
            assert len(writer.heads) <= 8 + 2


def test_frequently_used_streams_stay_cached() -> None:
    heads = StreamHeads(8)
    for number, name in enumerate(NAMES):
        heads.add(name, StreamHead(number, 1, stream_checksum(name)))
        assert heads.get(NAMES[0]) is not None
        heads.forget()
    assert heads.get(NAMES[1]) is None
    heads.clear()
    assert heads.get(NAMES[0]) is None


def test_a_type_of_event_is_written_with_its_first_event_or_not_at_all(db: sqlite3.Connection) -> None:
    writer = Journal(db)
    mark = CommandMark("c", 1, fresh=True)
    writer.commit(db, AppendBatch(1, [Append(NAMES[0], 0, (event(),), mark)]))
    closed = EncodedEvent("Closed", 1, b"{}", b"{}")
    # The id is not fresh: the database refuses the whole batch, which is then written without the append at fault.
    (refused, position) = writer.commit(
        db, AppendBatch(1, [Append(NAMES[1], 0, (closed,), mark), append(NAMES[2], 0)])
    ).appended.outcomes
    assert (type(refused), position) == (DuplicateCommand, 2)
    types = "SELECT name, first_position FROM event_types ORDER BY id"
    assert db.execute(types).fetchall() == [("Deposited", 1)]
    writer.commit(db, AppendBatch(1, [append(NAMES[2], 1), Append(NAMES[1], 0, (closed, closed))]))
    assert db.execute(types).fetchall() == [("Deposited", 1), ("Closed", 4)]


def test_a_batch_of_events_is_one_statement(db: sqlite3.Connection) -> None:
    writer = Journal(db)
    writer.commit(db, AppendBatch(1, [append(name, 0) for name in NAMES]))
    statements: list[str] = []
    db.set_trace_callback(statements.append)
    fresh = [Append(name, 1, (event(),), CommandMark(f"c{name.id}", 1, fresh=True)) for name in NAMES]
    writer.commit(db, AppendBatch(1, fresh))
    assert [statement.split(" (")[0] for statement in statements] == ["INSERT INTO events"]


def given_indexed(db: sqlite3.Connection, *appends: Append) -> None:
    """Appends of a process that ended: the index of streams has their events, and no memory does."""
    writer = Journal(db)
    writer.commit(db, AppendBatch(1, appends))
    writer.close(db)


def test_an_append_uses_the_head_that_a_reader_offered(db: sqlite3.Connection) -> None:
    given_indexed(db, *[append(name, 0) for name in NAMES])
    writer = Journal(db)
    writer.commit(db, AppendBatch(1, [append(StreamName("Account", "other"), 0)]))
    offer(writer, db, NAMES)
    statements: list[str] = []
    db.set_trace_callback(statements.append)
    appends = [Append(name, 1 + more, (event(),)) for name in NAMES for more in range(2)]
    assert writer.commit(db, AppendBatch(1, appends)).appended.outcomes == list(range(32, 92))
    assert [statement.split(" (")[0] for statement in statements] == ["SELECT 1 FROM", "INSERT INTO events"]


@pytest.mark.parametrize("expected_version", [0, 1, 2, 3, 4])
def test_an_offered_head_that_is_behind_changes_no_outcome(db: sqlite3.Connection, expected_version: int) -> None:
    stream, *others = NAMES[:3]
    given_indexed(db, append(stream, 0))
    writer = Journal(db)
    writer.commit(db, AppendBatch(1, [append(others[0], 0)]))
    offer(writer, db, [stream])
    other_writer = Journal(db)
    other_writer.commit(db, AppendBatch(1, [append(stream, 1, 2)]))
    written = writer.commit(db, AppendBatch(1, [append(stream, expected_version), append(others[1], 0)]))
    outcomes = written.appended.outcomes
    if expected_version == 3:
        assert outcomes == [5, 6]
    else:
        assert isinstance(outcomes[0], WrongExpectedVersion)
        assert (outcomes[0].actual, outcomes[1]) == (3, 5)
    versions = db.execute("SELECT version FROM events WHERE stream = 1 ORDER BY version").fetchall()
    assert [version for (version,) in versions] == list(range(1, len(versions) + 1))


def test_an_offered_head_is_dropped_with_an_append_that_was_refused(db: sqlite3.Connection) -> None:
    stream, other = NAMES[:2]
    known = CommandMark("known", 1)
    given_indexed(db, Append(stream, 0, (event(),), known))
    writer = Journal(db)
    writer.commit(db, AppendBatch(1, [append(other, 0)]))
    offer(writer, db, [stream])
    other_writer = Journal(db)
    other_writer.commit(db, AppendBatch(1, [append(stream, 1)]))
    (refused,) = writer.commit(db, AppendBatch(1, [Append(stream, 1, (event(),), known)])).appended.outcomes
    assert isinstance(refused, DuplicateCommand)
    assert writer.commit(db, AppendBatch(1, [append(other, 1), append(stream, 2)])).appended.outcomes == [4, 5]


def test_offers_that_no_append_takes_are_dropped_over_the_limit() -> None:
    heads = StreamHeads(8)
    for number in range(OFFERS_MAX + 1):
        heads.offer(StreamName("Account", str(number)), StreamHead(number, 1, 0))
    assert heads.take(StreamName("Account", "0"), 1) is None
    assert heads.take(StreamName("Account", str(OFFERS_MAX)), 1) is not None


def offer(writer: Journal, db: sqlite3.Connection, streams: Sequence[StreamName]) -> None:
    for index, stream_id, version in HeadQuery(db).find(db, streams):
        writer.heads.offer(streams[index], StreamHead(stream_id, version, stream_checksum(streams[index])))


@pytest.mark.parametrize("count", [1, 2, 5, 7, 511, 512, 513, 1_500])
def test_rows_are_padded_to_few_sizes_and_the_padding_is_not_written(db: sqlite3.Connection, count: int) -> None:
    db.execute("CREATE TABLE pairs (a INTEGER, b INTEGER)")
    template = "INSERT INTO pairs SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
    statement = RowStatement(template, 2, db=db)
    statement.execute(db, [value for number in range(count) for value in (number, -number)])
    assert db.execute("SELECT count(*), sum(a), sum(b) FROM pairs").fetchone() == (
        count,
        count * (count - 1) // 2,
        -count * (count - 1) // 2,
    )


def test_statements_respect_the_limit_of_the_database(db: sqlite3.Connection) -> None:
    assert rows_max(db, 11) == 512
    db.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)
    assert rows_max(db, 11) == 64
    writer = Journal(db)
    writer.commit(db, AppendBatch(1, [append(name, 0, 10) for name in NAMES]))
    assert db.execute("SELECT count(*), max(position) FROM events").fetchone() == (300, 300)


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        (packed._FIND_HEADS, 3),
        (marks.FIND_COMMANDS, 1),
        (pages._READ_STREAMS, 5),
        (pages._READ_RECENT, 4),
        (pages._READ_SNAPSHOTS, 5),
        (stream_index._FIND_STALE, 2),
        (reading._READ_NAMES, 1),
        (reading._READ_LOG, 0),
    ],
)
def test_no_query_scans_a_table(db: sqlite3.Connection, query: str, columns: int) -> None:
    rows = ", ".join([f"({', '.join('?' * columns)})"] * 3)
    sql = query.format(rows=rows)
    steps = [step for *_, step in db.execute("EXPLAIN QUERY PLAN " + sql, [None] * sql.count("?"))]
    tables = ("streams", "stream_versions", "known", "events", "snapshots")
    assert not [step for step in steps if step.startswith(tuple(f"SCAN {table}" for table in tables))], steps
