"""`MemoryStore`: a log in plain Python structures, for tests, simulations and data that may be lost.

Invariants, true between any two awaits (no method here waits for anything):
- `_log[p - 1]` is the event at position p, and `_marks[p - 1]` the mark of its command;
- `_streams[type][id][v - 1]`, the same object, is at version v of a stream;
- `_commands` holds every command id that took effect, with the index in `_log` of its first event;
- no snapshot is later than its stream;
- checkpoints, dead letters, the runtime's own tables and those of projections live in an SQLite database in memory,
  with no transaction open.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import cache
from heapq import nsmallest
from itertools import islice
from operator import attrgetter
from typing import Any

from actorium.store.codec import decode_metadata
from actorium.store.errors import (
    DuplicateCommand,
    StatementFailed,
    StoreInUse,
    StoreUnavailable,
    WrongExpectedVersion,
)
from actorium.store.event_store import (
    PAGE_BYTES,
    Append,
    AppendBatch,
    Appended,
    AppendOutcome,
    DeadLetter,
    Head,
    Link,
    Mark,
    SaveCheckpoint,
    Snapshot,
    StreamPage,
    StreamRead,
    require_events,
)
from actorium.store.events import EncodedRecord
from actorium.store.guard import StatementGuard
from actorium.store.names import CommandRecord, StoredEventType, StreamName
from actorium.store.personal.keys import KeyStore, MemoryKeys
from actorium.store.sql import checkpoints as saved_tables
from actorium.store.sql.own_sql import OWN_TABLES_SCHEMA, read_rows
from actorium.store.sqlite.connection import Connection, CopyConnection
from actorium.store.sqlite.queries import QueryConnections
from actorium.store.sqlite.schema import own_names
from actorium.store.tables.dialect import Dialect, SQLiteDialect
from actorium.store.tables.log_search import FindEvents, FindStreams, FindStreamTypes
from actorium.store.tables.own_rows import Row, TableRead

# A short query runs on the loop, for a few milliseconds at most; a longer one restarts in a thread.
_STEPS_PER_CALL = 50_000  # of SQLite's virtual machine
_CALLS_MAX = 10

_payload_of: Callable[[EncodedRecord], bytes] = attrgetter("payload")


class MemoryStore:
    """A log that lives as long as this object; its content survives `close` and a later `open`.

    threads: run a long query in a thread, over a copy of the tables, so that it does not block the event loop. Without
        threads it blocks the loop: a simulation has no threads.
    """

    def __init__(self, *, threads: bool = True) -> None:
        self._threads = threads
        self._long_queries: set[QueryConnections] = set()
        self._log: list[EncodedRecord] = []
        self._marks: list[Mark | None] = []
        # By type, then by id: strings cache their hashes, and a StreamName computes its own each time.
        self._streams: dict[str, dict[str, list[EncodedRecord]]] = {}
        self._commands: dict[str, int] = {}
        self._tables = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._tables.close)
        _make_tables(self._tables)
        self._guard = StatementGuard(own_names(), reads_only=False)
        self._query_guard = StatementGuard(own_names(), reads_only=True)
        self.dialect: Dialect = SQLiteDialect()
        self._snapshots: dict[tuple[StreamName, str], Snapshot] = {}
        self._recorded_us = 0
        self._is_open = False
        self.personal_keys: KeyStore = MemoryKeys(seed=None if threads else 0)  # a simulation repeats

    async def open(self) -> None:
        if self._is_open:
            raise StoreInUse("the memory store is already open: call close() before open()", pid=os.getpid())
        self._is_open = True

    async def close(self) -> None:
        self._is_open = False
        for queries in self._long_queries:
            queries.interrupt_all()

    def append(self, batch: AppendBatch) -> asyncio.Future[Appended]:
        self._require_open()
        require_events(batch)
        recorded_us = max(batch.recorded_us, self._recorded_us)
        outcomes = self._append_all(batch.appends, recorded_us)
        for snapshot in batch.snapshots:
            self._save_snapshot(snapshot)
        appended = asyncio.get_running_loop().create_future()
        appended.set_result(Appended(outcomes, recorded_us))
        return appended

    async def save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, StatementFailed]:
        self._require_open()
        failed: dict[int, StatementFailed] = {}
        for index, checkpoint in enumerate(checkpoints):
            try:
                failure = saved_tables.save_checkpoint(self._tables, checkpoint, self._guard)
            except BaseException:
                self._tables.rollback()
                raise
            if failure is not None:
                failed[index] = failure
        return failed

    async def read_streams(self, reads: Sequence[StreamRead], max_bytes: int = PAGE_BYTES) -> list[StreamPage]:
        self._require_open()
        pages: list[StreamPage] = []
        left = max_bytes
        for read in reads:
            page, size = self._read_stream(read, left, is_first=left == max_bytes)
            left -= size
            pages.append(page)
        return pages

    async def read_log(self, after_position: int, limit: int, max_bytes: int = PAGE_BYTES) -> list[EncodedRecord]:
        self._require_open()
        return _cut(self._log[after_position : after_position + limit], max_bytes, least=1)[0]

    async def head(self) -> Head:
        self._require_open()
        return Head(len(self._log), self._recorded_us)

    async def find_commands(self, command_ids: Sequence[str]) -> Mapping[str, CommandRecord]:
        self._require_open()
        firsts = self._commands
        return {id: self._effect_at(firsts[id]) for id in command_ids if id in firsts}

    async def read_linked(self, link: Link, id: str, after_position: int, limit: int) -> list[EncodedRecord]:
        self._require_open()
        log = islice(self._log, after_position, None)
        return list(islice((one for one in log if getattr(decode_metadata(one.metadata), link) == id), limit))

    async def load_checkpoint(self, name: str) -> int:
        self._require_open()
        return saved_tables.load_checkpoint(self._tables, name)

    async def dead_letters(self, processor: str | None) -> list[DeadLetter]:
        self._require_open()
        return saved_tables.dead_letters(self._tables, processor)

    async def read_rows(self, read: TableRead[Row]) -> list[Row]:
        self._require_open()
        if type(read) in _SEARCHES:
            found: list[Row] = _SEARCHES[type(read)](self, read)
            return found
        return read_rows(self._tables, read)

    async def query(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        self._require_open()
        calls = 0

        def is_long() -> bool:
            nonlocal calls
            calls += 1
            return calls > _CALLS_MAX

        self._tables.execute("PRAGMA query_only = 1")
        if self._threads:
            self._tables.set_progress_handler(is_long, _STEPS_PER_CALL)
        try:
            return saved_tables.query(self._tables, sql, parameters, self._query_guard)
        except sqlite3.OperationalError as error:
            if calls <= _CALLS_MAX:
                raise StoreUnavailable(f"the tables in memory cannot be read: {error}") from error
        finally:
            self._tables.set_progress_handler(None, 0)
            self._tables.execute("PRAGMA query_only = 0")
        return await self._query_beside(sql, parameters)

    async def _query_beside(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run a query in a thread, over a copy of the tables; cancelling the caller interrupts it."""

        async def copied() -> Connection:
            return CopyConnection(self._tables.serialize())

        queries = QueryConnections(copied)
        self._long_queries.add(queries)
        try:
            return await queries.run(lambda db, guard: saved_tables.query(db, sql, parameters, guard))
        except sqlite3.OperationalError as error:
            raise StoreUnavailable(f"the tables in memory cannot be read: {error}") from error
        finally:
            self._long_queries.discard(queries)

    async def event_types(self, *, counted: bool = False) -> list[StoredEventType]:
        self._require_open()
        counts = Counter((record.type, record.schema_version) for record in self._log)
        firsts = {(record.type, record.schema_version): record.position for record in reversed(self._log)}
        return [StoredEventType(*shape, firsts[shape], counts[shape] if counted else None) for shape in sorted(counts)]

    def describe(self) -> str:
        return "memory (nothing survives the process)"

    def _require_open(self) -> None:
        if not self._is_open:
            raise StoreUnavailable("the memory store is closed: open() it first")

    def _append_all(self, appends: Sequence[Append], recorded_us: int) -> list[AppendOutcome]:
        """Write appends; one loop over all of them, because it runs for every command."""
        streams, firsts, log, marks = self._streams, self._commands, self._log, self._marks
        outcomes: list[AppendOutcome] = []
        refused: set[StreamName] = set()
        before = position = len(log)
        stream_type, of_type = "", streams.get("")
        for append in appends:
            stream, mark = append.stream, append.command
            # A single look-up of the id finds an earlier effect or notes this one.
            if mark is not None and (first := firsts.setdefault(mark.command_id, position)) != position:
                outcomes.append(DuplicateCommand(self._effect_at(first)))
                refused.add(stream)
                continue
            if of_type is None or stream.type != stream_type:
                stream_type = stream.type
                of_type = streams.setdefault(stream_type, {})
            events = of_type.get(stream.id)
            version = 0 if events is None else len(events)
            if version != append.expected_version or (refused and stream in refused):
                outcomes.append(WrongExpectedVersion(stream, expected=append.expected_version, actual=version))
                refused.add(stream)
                if mark is not None:
                    del firsts[mark.command_id]
                continue
            if events is None:
                events = of_type[stream.id] = []
            kept = None if mark is None else mark.kept()
            outcomes.append(position + 1)
            for event in append.events:
                version += 1
                position += 1
                record = EncodedRecord(
                    stream,
                    version,
                    position,
                    recorded_us,
                    event.type,
                    event.schema_version,
                    event.payload,
                    event.metadata,
                )
                events.append(record)
                log.append(record)
                marks.append(kept)
        if position > before:
            self._recorded_us = recorded_us
        return outcomes

    def _effect_at(self, index: int) -> CommandRecord:
        """Return the effect of the command whose first event has an index."""
        first, mark = self._log[index], self._marks[index]
        assert mark is not None, "it has a command"
        last = index
        while last + 1 < len(self._marks) and self._marks[last + 1] is mark:
            last += 1
        version = first.version + last - index
        return CommandRecord(mark.command_id, mark.fingerprint, first.stream, first.version, version, last + 1)

    def _save_snapshot(self, snapshot: Snapshot) -> None:
        if snapshot.version > len(self._events_of(snapshot.stream)):
            return
        key = (snapshot.stream, snapshot.fingerprint)
        newest = self._snapshots.get(key)
        if newest is None or newest.version <= snapshot.version:
            self._snapshots[key] = snapshot

    def _read_stream(self, read: StreamRead, max_bytes: int, *, is_first: bool) -> tuple[StreamPage, int]:
        """Return a page of a stream and the size of its payloads in bytes."""
        after, snapshot = read.after_version, None
        if read.snapshot_fingerprint is not None:
            snapshot = self._snapshots.get((read.stream, read.snapshot_fingerprint))
            if snapshot is not None and snapshot.version > after:
                after = snapshot.version
            else:
                snapshot = None
        events = self._events_of(read.stream)
        page, size = _cut(events[after : after + read.limit], max_bytes, least=int(is_first))
        return StreamPage(page, after + len(page) >= len(events), snapshot), size

    def _events_of(self, stream: StreamName) -> list[EncodedRecord]:
        of_type = self._streams.get(stream.type)
        return [] if of_type is None else of_type.get(stream.id, [])

    def _find_stream_types(self, read: FindStreamTypes) -> list[str]:
        return sorted(stream_type for stream_type, streams in self._streams.items() if streams)[: read.limit]

    def _find_streams(self, read: FindStreams) -> list[StreamName]:
        wanted = (id for id in self._streams.get(read.type, ()) if id > read.after and id.startswith(read.id_prefix))
        return [StreamName(read.type, id) for id in nsmallest(read.limit, wanted)]

    def _find_events(self, read: FindEvents) -> list[int]:
        newest_first = range(min(read.before_position - 1, len(self._log)), read.after_position, -1)
        return list(islice((one for one in newest_first if self._log[one - 1].type in read.types), read.limit))


@cache
def _empty_tables() -> bytes:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute(saved_tables.CHECKPOINTS_SCHEMA)
        db.execute(saved_tables.DEAD_LETTERS_SCHEMA)
        db.executescript(saved_tables.CHECKSUMS_SCHEMA)
        db.executescript(OWN_TABLES_SCHEMA)
        return db.serialize()


def _make_tables(db: sqlite3.Connection) -> None:
    """Make the tables beside the log in an empty database: a copy takes a sixth of the time of their SQL.

    It is copied page by page, because a database that was deserialized itself cannot grow beyond 1 GiB.
    """
    with closing(sqlite3.connect(":memory:")) as empty:
        empty.deserialize(_empty_tables())
        empty.backup(db)


_SEARCHES: Mapping[type[TableRead[Any]], Callable[..., list[Any]]] = {
    FindStreamTypes: MemoryStore._find_stream_types,
    FindStreams: MemoryStore._find_streams,
    FindEvents: MemoryStore._find_events,
}


def _cut(records: list[EncodedRecord], max_bytes: int, *, least: int) -> tuple[list[EncodedRecord], int]:
    """Return the first records whose payloads fit into so many bytes, at least `least` of them, and their size."""
    size = sum(map(len, map(_payload_of, records)))
    if size <= max_bytes:
        return records, size
    size = 0
    for index, record in enumerate(records):
        longer = size + len(record.payload)
        if longer > max_bytes and index >= least:
            return records[:index], size
        size = longer
    return records, size
