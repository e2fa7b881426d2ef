"""Reading pages of streams: one or two queries, for any number of streams.

A stream is in two places: the index on the disk, and the recent events in memory (`recent.py`). The recent ones are
taken first, then the index is read up to them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

from actorium.store.event_store import Snapshot, StreamPage, StreamRead
from actorium.store.events import CHECKSUM_MASK, CHECKSUM_SPREAD, EncodedRecord, stream_checksum
from actorium.store.names import StreamName
from actorium.store.sql.row_checksums import snapshot_checksum
from actorium.store.sql.stream_heads import StreamHead, StreamHeads
from actorium.store.sqlite.packed import InDoubt, integers, rows, texts
from actorium.store.sqlite.rows import RowStatement
from actorium.store.sqlite.streams.examination import examine_stream
from actorium.store.sqlite.streams.kinds import EventTypes, packed_events, unpacked_events
from actorium.store.sqlite.streams.recent import RecentEvents, Tail

# Two things in one statement, for each costs a wait for the interpreter lock: the events, each with the number of its
# read; and once per stream, beside its first event or beside none, its id and its head, which the LIMIT keeps SQLite
# from looking up for every event.
_READ_STREAMS = (
    "SELECT group_concat(CASE WHEN known.version > before + 1 THEN NULL ELSE number || ',' || id || ',' || head END), "
    f"group_concat(CASE WHEN known.version THEN number END), {packed_events('events')} "
    "FROM (SELECT column1 AS number, column4 AS before, column5 AS until, streams.id AS id, "
    "(SELECT coalesce(max(version), 0) FROM stream_versions WHERE stream = streams.id) AS head "
    "FROM (SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL) AS wanted "
    "CROSS JOIN streams ON streams.type = wanted.column2 AND streams.name = wanted.column3 LIMIT -1) "
    "LEFT JOIN stream_versions AS known ON known.stream = id AND known.version > before AND known.version <= until "
    "LEFT JOIN events ON events.position = known.position"
)
# A position may be that of an event that was not committed, and then of another one.
_READ_RECENT = (
    f"SELECT group_concat(column1), {packed_events('events')} "
    "FROM (SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL) "
    "CROSS JOIN events ON events.position = column2 AND stream = column3 AND version = column4"
)
_READ_SNAPSHOTS = (
    "SELECT group_concat(column1), group_concat(version), group_concat(checksum), group_concat(state, char(10)) "
    "FROM (SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL) AS wanted "
    "CROSS JOIN streams ON streams.type = wanted.column2 AND streams.name = wanted.column3 "
    "CROSS JOIN snapshots ON snapshots.stream = streams.id AND fingerprint = wanted.column4 "
    "AND version > wanted.column5"
)


class StreamPages:
    """Queries for the events of streams.

    recent: the events that the index does not hold.
    heads: the writer's cache of streams, if there is a writer; heads found here are offered to it.
    """

    __slots__ = ("_heads", "_read_recent", "_read_snapshots", "_read_streams", "_recent", "_types")

    def __init__(
        self, db: sqlite3.Connection, types: EventTypes, recent: RecentEvents, heads: StreamHeads | None
    ) -> None:
        self._types = types
        self._recent = recent
        self._heads = heads
        self._read_snapshots = RowStatement(_READ_SNAPSHOTS, 5, db=db)
        self._read_streams = RowStatement(_READ_STREAMS, 5, db=db)
        self._read_recent = RowStatement(_READ_RECENT, 4, db=db)

    def examine(self, db: sqlite3.Connection, read: StreamRead, max_bytes: int) -> StreamPage:
        """Return the page of a read, or raise CorruptEvent or VersionGap for the first wrong event."""
        certain = self._recent.certain
        return examine_stream(db, read, max_bytes, self._recent.tail(read.stream), certain)

    def read(self, db: sqlite3.Connection, reads: Sequence[StreamRead]) -> list[StreamPage]:
        """Return one page per read; raise InDoubt if something in one of them is wrong."""
        snapshots = self._find_snapshots(db, reads)
        pages: list[list[EncodedRecord]] = [[] for _ in reads]
        befores = [read.after_version for read in reads]
        for index, snapshot in snapshots.items():
            befores[index] = snapshot.version
        certain = self._recent.certain
        tails: dict[int, Tail] = {}
        indexed: list[Any] = []
        recent: list[int] = []
        for index, (read, before) in enumerate(zip(reads, befores, strict=True)):
            until, stream = before + read.limit, read.stream
            tail = self._recent.tail(stream)
            if tail is not None:
                tails[index] = tail
                recent += _wanted(index, tail, before, until)
                until = min(until, tail.after_version)
            if before < until:
                indexed += (index, stream.type, stream.id, before, until)
        ends = self._read_indexed(db, reads, befores, pages, indexed, tails)
        if recent:
            size_bytes = sum(len(record.payload) for page in pages for record in page)
            for columns in self._read_recent.fetch(db, recent):
                if columns[0] is not None:
                    self._fill(db, reads, befores, pages, columns)
                    size_bytes += len(columns[-2])
                    if size_bytes > db.getlimit(sqlite3.SQLITE_LIMIT_LENGTH):
                        raise sqlite3.DataError("the events are too long for one page")
        for index, tail in tails.items():
            ends[index] = _end(reads[index], befores[index], len(pages[index]), tail, certain)
        if any(ends.get(index, 0) < snapshot.version for index, snapshot in snapshots.items()):
            raise InDoubt("a stream ends before its snapshot")
        return [
            StreamPage(page, befores[index] + len(page) >= ends.get(index, 0), snapshots.get(index))
            for index, page in enumerate(pages)
        ]

    def _read_indexed(
        self,
        db: sqlite3.Connection,
        reads: Sequence[StreamRead],
        befores: Sequence[int],
        pages: Sequence[list[EncodedRecord]],
        wanted: Sequence[Any],
        tails: Mapping[int, Tail],
    ) -> dict[int, int]:
        """Add the indexed events to their pages; return the newest version of each stream that has no recent ones."""
        heads: list[int] = []
        for found, *columns in self._read_streams.fetch(db, wanted):
            if found is not None:
                heads += integers(found)
            if columns[0] is not None:
                self._fill(db, reads, befores, pages, columns)
        ends: dict[int, int] = {}  # an unknown stream has none
        for index, stream_id, head in rows(heads[0::3], heads[1::3], heads[2::3]):
            if index in tails:
                continue
            # The page holds fewer events than the stream: the last ones are missing, or there is a gap.
            if len(pages[index]) < min(reads[index].limit, head - befores[index]):
                raise InDoubt
            ends[index] = head
            if self._heads is not None:
                stream = reads[index].stream
                self._heads.offer(stream, StreamHead(stream_id, head, stream_checksum(stream)))
        return ends

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
        known: int | None = None  # the type of the event before it, if that is of the same stream
        kind_crc, event_type, schema_version = 0, "", 0
        add = pages[0].append
        indexes, *others = columns
        types = self._types
        for index, position, recorded_us, type_id, crc, payload, metadata in rows(
            integers(indexes), *unpacked_events(others)
        ):
            if index != current:
                current, version, stream = index, befores[index] + len(pages[index]), reads[index].stream
                stream_crc, known, add = stream_checksum(stream), None, pages[index].append
            version += 1
            if type_id != known:
                event_type, schema_version, type_bytes = types.get(type_id) or types.learn(db, type_id)
                kind_crc, known = crc32(type_bytes, stream_crc), type_id
            # `events.checksum`, inlined: a call would add a fifth to the cost.
            seed = kind_crc ^ ((version * CHECKSUM_SPREAD + recorded_us) & CHECKSUM_MASK)
            if crc32(payload, crc32(metadata, seed)) != crc:
                raise InDoubt
            add(EncodedRecord(stream, version, position, recorded_us, event_type, schema_version, payload, metadata))


def _wanted(index: int, tail: Tail, before: int, until: int) -> list[int]:
    """Return the rows that ask for the recent events of one read."""
    skipped = max(0, before - tail.after_version)
    positions = tail.positions[skipped : max(0, until - tail.after_version)]
    wanted: list[int] = []
    for version, position in enumerate(positions, tail.after_version + skipped + 1):
        wanted += (index, position, tail.id, version)
    return wanted


def _end(read: StreamRead, before: int, found: int, tail: Tail, certain: int) -> int:
    """Return the newest version of a stream with recent events; raise InDoubt if committed ones were not found.

    found: the number of events in the page.
    """
    uncertain = sum(position > certain for position in tail.positions)
    if found < min(read.limit, tail.version - uncertain - before):
        raise InDoubt
    # A full page may end before events that were not looked for: the next page shows whether they are committed.
    return tail.version if found == read.limit else before + found
