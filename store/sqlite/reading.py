"""The reading side of the log in SQLite: one page per query.

Everything here runs on the reading connection's thread. Results come back as one row (see packed.py), for any number of
streams and events: beside a busy loop that was 60,000 events/s against 3,000.

Nothing read is trusted: each event's checksum is recomputed for its expected version, and positions must be
consecutive. If a check fails, `examination` reads the page again and says what is wrong.

SQLite itself limits the bytes of a page, by rejecting a text that becomes too long. The page is then read again with
fewer events, and the next page starts with the number that fitted.

Invariant: the names of streams and types of events remembered here never change in the database once written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar
from zlib import crc32

import msgspec

from actorium.store.event_store import Head, Link, Snapshot, StreamPage, StreamRead
from actorium.store.events import CHECKSUM_MASK, CHECKSUM_SPREAD, EncodedRecord, kind_bytes, stream_checksum
from actorium.store.names import CommandRecord, StoredEventType, StreamName
from actorium.store.sqlite.heads import StreamHead, StreamHeads
from actorium.store.sqlite.integrity.examination import examine_log, examine_stream
from actorium.store.sqlite.marks import command_record
from actorium.store.sqlite.packed import InDoubt, integers, last_event, name_of, rows, texts
from actorium.store.sqlite.rows import RowStatement
from actorium.store.sqlite.schema import LINKED
from actorium.store.sqlite.snapshots import snapshot_checksum

# About 300 bytes each.
STREAM_NAMES_MAX = 50_000
_MARGIN = 1.25  # events differ in size, and a page that is too long is read twice
_LONGEST = 1_000_000_000  # the text that SQLite can make

_EVENTS = (
    "group_concat(position), group_concat(recorded_us), group_concat(type), group_concat(checksum), "
    "group_concat(payload, char(10)), group_concat(metadata, char(10))"
)
# Two things in one statement, for each costs a wait for the interpreter lock: the events, each with the number of its
# read; and once per stream, beside its first event or beside none, its id and its head, which the LIMIT keeps SQLite
# from looking up for every event.
_READ_STREAMS = (
    "SELECT group_concat(CASE WHEN version > before + 1 THEN NULL ELSE number || ',' || id || ',' || head END), "
    f"group_concat(CASE WHEN version THEN number END), {_EVENTS} "
    "FROM (SELECT column1 AS number, column4 AS before, column5 AS until, streams.id AS id, "
    "(SELECT coalesce(max(version), 0) FROM events WHERE events.stream = streams.id) AS head "
    "FROM (SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL) AS wanted "
    "CROSS JOIN streams ON streams.type = wanted.column2 AND streams.name = wanted.column3 LIMIT -1) "
    "LEFT JOIN events ON events.stream = id AND version > before AND version <= until"
)
_READ_SNAPSHOTS = (
    "SELECT group_concat(column1), group_concat(version), group_concat(checksum), group_concat(state, char(10)) "
    "FROM (SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL) AS wanted "
    "CROSS JOIN streams ON streams.type = wanted.column2 AND streams.name = wanted.column3 "
    "CROSS JOIN snapshots ON snapshots.stream = streams.id AND fingerprint = wanted.column4 "
    "AND version > wanted.column5"
)
_READ_LOG = (
    f"SELECT group_concat(stream), group_concat(version), {_EVENTS} "
    "FROM (SELECT * FROM events WHERE position > ? ORDER BY position LIMIT ?)"
)
# Force the index: a scan of the log would delay all readers.
_READ_LINKED = {
    link: f"SELECT position FROM events INDEXED BY by_{link} WHERE {linked} = ? AND position > ? "
    "ORDER BY position LIMIT ?"
    for link, linked in LINKED.items()
}
_READ_NAMES = "SELECT id, type, name FROM streams WHERE id IN (VALUES {rows})"
_FIND_COMMAND = (
    "SELECT command_fingerprint, streams.type, streams.name, command_events, version, position "
    "FROM events JOIN streams ON streams.id = events.stream WHERE command_id = ?"
)
_READ_TYPES = (
    "SELECT name, schema_version, first_position, NULL FROM event_types WHERE first_position IS NOT NULL "
    "ORDER BY name, schema_version"
)
_COUNT_TYPES = (
    "SELECT name, schema_version, first, events "
    "FROM (SELECT type, min(position) AS first, count(*) AS events FROM events GROUP BY type) AS counted "
    "JOIN event_types ON event_types.id = counted.type ORDER BY name, schema_version"
)

T = TypeVar("T")

EventType = tuple[str, int, bytes]
"""The name and schema version of a type of event, and `kind_bytes` of them."""

Kind = tuple[int, str, int]
"""The checksum of a kind of event in one stream, and its type's name and schema version."""


class LogQueries:
    """Queries over the log, and the names they have read.

    heads: the writer's cache of streams, if there is a writer; heads found here are offered to it.
    """

    __slots__ = ("_event_bytes", "_heads", "_names", "_read_names", "_read_snapshots", "_read_streams", "_types")

    def __init__(self, db: sqlite3.Connection, heads: StreamHeads | None = None) -> None:
        self._heads = heads
        self._event_bytes = 1.0  # the average size of an event in the last page
        db.text_factory = bytes  # payloads stay bytes, so damaged text does not fail to decode
        self._read_snapshots = RowStatement(_READ_SNAPSHOTS, 5, db=db)
        self._read_streams = RowStatement(_READ_STREAMS, 5, db=db)
        self._read_names = RowStatement(_READ_NAMES, 1, db=db)
        self._types: dict[int, EventType] = {}
        self._names: dict[int, StreamName] = {}

    def streams(self, db: sqlite3.Connection, reads: Sequence[StreamRead], max_bytes: int) -> list[StreamPage]:
        """Read one page per read; the last ones are empty if the first ones fill `max_bytes`."""
        if len(reads) == 1:
            (read,) = reads
            return self._fitted(
                db,
                read.limit,
                max_bytes,
                lambda count: self._streams(db, [msgspec.structs.replace(read, limit=count)]),
                lambda: [examine_stream(db, read, max_bytes)],
                lambda pages: [len(record.payload) for page in pages for record in page.events],
            )
        try:
            return _within(db, max_bytes, lambda: self._streams(db, reads))
        except InDoubt:
            pass  # read each one alone to find which
        except sqlite3.DataError:
            half = len(reads) // 2
            return [*self.streams(db, reads[:half], max_bytes), *[StreamPage([], False)] * (len(reads) - half)]
        return [examine_stream(db, read, max_bytes // len(reads)) for read in reads]

    def log(self, db: sqlite3.Connection, after_position: int, limit: int, max_bytes: int) -> list[EncodedRecord]:
        """Read the log after a position."""
        return self._fitted(
            db,
            limit,
            max_bytes,
            lambda count: self._log(db, after_position, count),
            lambda: examine_log(db, after_position, limit, max_bytes),
            lambda records: [len(record.payload) for record in records],
        )

    def _fitted(
        self,
        db: sqlite3.Connection,
        limit: int,
        max_bytes: int,
        read: Callable[[int], list[T]],
        examine: Callable[[], list[T]],
        size_of: Callable[[list[T]], list[int]],
    ) -> list[T]:
        """Read as many events as fit into `max_bytes`, at most `limit`."""
        count = max(1, min(limit, int(max_bytes / self._event_bytes)))
        while True:
            try:
                found = _within(db, max_bytes if count > 1 else _LONGEST, partial(read, count))
            except InDoubt:
                return examine()
            except sqlite3.DataError:
                if count <= 1:
                    return examine()
                count //= 2
            else:
                if sizes := size_of(found):
                    self._event_bytes = _MARGIN * sum(sizes) / len(sizes)
                return found

    def linked(
        self, db: sqlite3.Connection, link: Link, id: str, after_position: int, limit: int, max_bytes: int
    ) -> list[EncodedRecord]:
        """Read the events after a position whose metadata names an id, as many as fit into `max_bytes`."""
        records: list[EncodedRecord] = []
        size_bytes = 0
        for (position,) in db.execute(_READ_LINKED[link], (id, after_position, limit)).fetchall():
            if size_bytes >= max_bytes:
                break
            records += self.log(db, position - 1, 1, max_bytes)
            size_bytes += len(records[-1].payload)
        return records

    def head(self, db: sqlite3.Connection) -> Head:
        """Read the end of the log."""
        return last_event(db)

    def command(self, db: sqlite3.Connection, command_id: str) -> CommandRecord | None:
        """Find where a command took effect."""
        row = db.execute(_FIND_COMMAND, (command_id,)).fetchone()
        if row is None:
            return None
        return command_record(command_id, *row)

    def event_types(self, db: sqlite3.Connection, *, counted: bool) -> list[StoredEventType]:
        """Read the shapes of events in the log."""
        rows = db.execute(_COUNT_TYPES if counted else _READ_TYPES).fetchall()
        return [StoredEventType(name_of(name), version, first, count) for name, version, first, count in rows]

    def _streams(self, db: sqlite3.Connection, reads: Sequence[StreamRead]) -> list[StreamPage]:
        snapshots = self._find_snapshots(db, reads)
        pages: list[list[EncodedRecord]] = [[] for _ in reads]
        befores = [read.after_version for read in reads]
        for index, snapshot in snapshots.items():
            befores[index] = snapshot.version
        wanted: list[Any] = []
        for index, (read, before) in enumerate(zip(reads, befores, strict=True)):
            wanted += (index, read.stream.type, read.stream.id, before, before + read.limit)
        heads: list[int] = []
        for found, *columns in self._read_streams.fetch(db, wanted):
            if found is not None:
                heads += integers(found)
            if columns[0] is not None:
                self._fill(db, reads, befores, pages, columns)
        for index, stream_id, head in rows(heads[0::3], heads[1::3], heads[2::3]):
            before, stream = befores[index], reads[index].stream
            if head < before and index in snapshots:
                raise InDoubt("the stream ends before its snapshot")
            # The page holds fewer events than the stream: the last ones are missing, or there is a gap.
            if len(pages[index]) < min(reads[index].limit, head - before):
                raise InDoubt
            if self._heads is not None:
                self._heads.offer(stream, StreamHead(stream_id, head, stream_checksum(stream)))
        ends = dict(zip(heads[0::3], heads[2::3], strict=True))  # an unknown stream has none
        return [
            StreamPage(page, befores[index] + len(page) >= ends.get(index, 0), snapshots.get(index))
            for index, page in enumerate(pages)
        ]

    def _find_snapshots(self, db: sqlite3.Connection, reads: Sequence[StreamRead]) -> dict[int, Snapshot]:
        """Return the snapshot for each read, by the read's index; a damaged one counts as missing."""
        values: list[Any] = []
        for index, read in enumerate(reads):
            if read.snapshot_fingerprint is not None:
                values += (index, read.stream.type, read.stream.id, read.snapshot_fingerprint, read.after_version)
        found: dict[int, Snapshot] = {}
        for indexes, versions, checksums, states in self._read_snapshots.fetch(db, values):
            if indexes is None:
                continue
            columns = (integers(indexes), integers(versions), integers(checksums), texts(states))
            for index, version, crc, state in rows(*columns):
                fingerprint = reads[index].snapshot_fingerprint
                assert fingerprint is not None
                snapshot = Snapshot(reads[index].stream, version, fingerprint, state)
                if snapshot_checksum(snapshot) == crc:
                    found[index] = snapshot
        return found

    def _fill(
        self,
        db: sqlite3.Connection,
        reads: Sequence[StreamRead],
        befores: Sequence[int],
        pages: Sequence[list[EncodedRecord]],
        columns: Sequence[bytes],
    ) -> None:
        """Check the events of many streams and add each to its page."""
        current, version, stream_crc = -1, 0, 0
        stream = StreamName("", "")
        kinds: dict[int, Kind] = {}
        add = pages[0].append
        indexes, *others = columns
        for index, position, recorded_us, type_id, crc, payload, metadata in rows(integers(indexes), *_events(others)):
            if index != current:
                current, version, stream = index, befores[index], reads[index].stream
                stream_crc, kinds, add = stream_checksum(stream), {}, pages[index].append
            version += 1
            kind = kinds.get(type_id)
            if kind is None:
                name, schema_version, type_bytes = self._types.get(type_id) or self._learn_type(db, type_id)
                kind = kinds[type_id] = (crc32(type_bytes, stream_crc), name, schema_version)
            kind_crc, event_type, schema_version = kind
            # `events.checksum`, inlined: a call would add a fifth to the cost.
            seed = kind_crc ^ ((version * CHECKSUM_SPREAD + recorded_us) & CHECKSUM_MASK)
            if crc32(payload, crc32(metadata, seed)) != crc:
                raise InDoubt
            add(EncodedRecord(stream, version, position, recorded_us, event_type, schema_version, payload, metadata))

    def _log(self, db: sqlite3.Connection, after_position: int, limit: int) -> list[EncodedRecord]:
        ((stream_ids, versions, *others),) = db.execute(_READ_LOG, (after_position, limit)).fetchall()
        if stream_ids is None:
            return []
        ids = integers(stream_ids)
        names = self._names_of(db, ids)
        kinds: dict[tuple[int, int], Kind] = {}
        records: list[EncodedRecord] = []
        expected = after_position
        for stream_id, version, position, recorded_us, type_id, crc, payload, metadata in rows(
            ids, integers(versions), *_events(others)
        ):
            expected += 1
            kind = kinds.get((stream_id, type_id))
            if kind is None:
                name, schema_version, type_bytes = self._types.get(type_id) or self._learn_type(db, type_id)
                kind_crc = crc32(type_bytes, stream_checksum(names[stream_id]))
                kind = kinds[stream_id, type_id] = (kind_crc, name, schema_version)
            kind_crc, event_type, schema_version = kind
            seed = kind_crc ^ ((version * CHECKSUM_SPREAD + recorded_us) & CHECKSUM_MASK)
            if position != expected or crc32(payload, crc32(metadata, seed)) != crc:
                raise InDoubt
            records.append(
                EncodedRecord(
                    names[stream_id],
                    version,
                    position,
                    recorded_us,
                    event_type,
                    schema_version,
                    payload,
                    metadata,
                )
            )
        return records

    def _learn_type(self, db: sqlite3.Connection, type_id: int) -> EventType:
        row = db.execute("SELECT name, schema_version FROM event_types WHERE id = ?", (type_id,)).fetchone()
        if row is None or not isinstance(row[0], bytes) or not isinstance(row[1], int):
            raise InDoubt
        name, schema_version = row[0].decode(errors="replace"), row[1]
        learned = self._types[type_id] = (name, schema_version, kind_bytes(name, schema_version))
        return learned

    def _names_of(self, db: sqlite3.Connection, stream_ids: list[int]) -> dict[int, StreamName]:
        """Return a table with at least the names of these streams."""
        names = self._names
        unknown = set(stream_ids).difference(names)
        if unknown:
            if len(names) + len(unknown) > STREAM_NAMES_MAX:
                names = self._names = {}
                unknown = set(stream_ids)
            for stream_id, type_, name in self._read_names.fetch(db, sorted(unknown)):
                names[stream_id] = StreamName(name_of(type_), name_of(name))
            if not unknown.issubset(names):
                raise InDoubt
        return names


def _within(db: sqlite3.Connection, max_bytes: int, read: Callable[[], T]) -> T:
    """Return the result of `read`; raise sqlite3.DataError if one of its columns exceeds `max_bytes`."""
    before = db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(max_bytes, _LONGEST))
    try:
        return read()
    finally:
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, before)


def _events(columns: Sequence[bytes | None]) -> tuple[list[Any], ...]:
    *numbers, payloads, metadata = columns
    return *map(integers, numbers), texts(payloads), texts(metadata)
