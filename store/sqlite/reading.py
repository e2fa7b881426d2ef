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
from typing import TypeVar
from zlib import crc32

import msgspec

from actorium.store.errors import CorruptStore, UnreadableEvent
from actorium.store.event_store import PAGE_BYTES, Head, Link, StreamPage, StreamRead
from actorium.store.events import CHECKSUM_MASK, CHECKSUM_SPREAD, EncodedRecord, stream_checksum
from actorium.store.names import CommandRecord, StoredEventType, StreamName
from actorium.store.sql.stream_heads import StreamHeads
from actorium.store.sqlite.marks import FIND_COMMANDS, command_record
from actorium.store.sqlite.packed import InDoubt, integers, last_event, name_of, rows
from actorium.store.sqlite.rows import RowStatement
from actorium.store.sqlite.schema import LINKED
from actorium.store.sqlite.streams.examination import examine_log
from actorium.store.sqlite.streams.index import read_mark
from actorium.store.sqlite.streams.kinds import EventTypes, Kind, packed_events, unpacked_events
from actorium.store.sqlite.streams.pages import StreamPages
from actorium.store.sqlite.streams.recent import RecentEvents

# About 300 bytes each.
STREAM_NAMES_MAX = 50_000
_MARGIN = 1.25  # events differ in size, and a page that is too long is read twice
_VERIFIED_AT_ONCE = 1_000
_LONGEST = 1_000_000_000  # the text that SQLite can make

_READ_LOG = (
    f"SELECT group_concat(stream), group_concat(version), {packed_events('page')} "
    "FROM (SELECT * FROM events WHERE position > ? ORDER BY position LIMIT ?) AS page"
)
# Force the index: a scan of the log would delay all readers.
_READ_LINKED = {
    link: f"SELECT position FROM events INDEXED BY by_{link} WHERE {linked} = ? AND position > ? "
    "ORDER BY position LIMIT ?"
    for link, linked in LINKED.items()
}
_READ_NAMES = "SELECT id, type, name FROM streams WHERE id IN (VALUES {rows})"
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


class LogQueries:
    """Queries over the log, and the names they have read.

    writes: the recent events and the cache of streams of the file's writer; None if this only reads the file.
    is_lenient: read as much as possible of a damaged file.
    """

    __slots__ = (
        "_event_bytes",
        "_find_commands",
        "_follows",
        "_is_lenient",
        "_names",
        "_pages",
        "_read_names",
        "_recent",
        "_types",
    )

    def __init__(
        self,
        db: sqlite3.Connection,
        writes: tuple[RecentEvents, StreamHeads] | None = None,
        *,
        is_lenient: bool = False,
    ) -> None:
        self._event_bytes = 1.0  # the average size of an event in the last page
        db.text_factory = bytes  # payloads stay bytes, so damaged text does not fail to decode
        self._read_names = RowStatement(_READ_NAMES, 1, db=db)
        self._find_commands = RowStatement(FIND_COMMANDS, 1, db=db)
        self._types = EventTypes()
        self._names: dict[int, StreamName] = {}
        self._is_lenient = is_lenient
        self._follows = writes is None
        self._recent, heads = (RecentEvents(is_lenient=is_lenient), None) if writes is None else writes
        self._pages = StreamPages(db, self._types, self._recent, heads)

    def streams(self, db: sqlite3.Connection, reads: Sequence[StreamRead], max_bytes: int) -> list[StreamPage]:
        """Read one page per read; the last ones are empty if the first ones fill `max_bytes`."""
        if self._follows:
            self._follow(db)
        if len(reads) == 1:
            (read,) = reads
            return self._fitted(
                db,
                read.limit,
                max_bytes,
                lambda count: self._pages.read(db, [msgspec.structs.replace(read, limit=count)]),
                lambda: [self._pages.examine(db, read, max_bytes)],
                lambda pages: [len(record.payload) for page in pages for record in page.events],
            )
        try:
            return _within(db, max_bytes, lambda: self._pages.read(db, reads))
        except InDoubt:
            pass  # read each one alone to find which
        except sqlite3.DataError:
            half = len(reads) // 2
            return [*self.streams(db, reads[:half], max_bytes), *[StreamPage([], False)] * (len(reads) - half)]
        return [self._pages.examine(db, read, max_bytes // len(reads)) for read in reads]

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
        while count:
            try:
                found = _within(db, max_bytes, partial(read, count))
            except InDoubt:
                break
            except sqlite3.DataError:
                count //= 2
            else:
                if sizes := size_of(found):
                    self._event_bytes = _MARGIN * sum(sizes) / len(sizes)
                return found
        return examine()  # also an event longer than `max_bytes`: it is copied once

    def verify(self, db: sqlite3.Connection, after_position: int, until_position: int) -> None:
        """Raise CorruptStore if an event after one position, until another, is damaged or missing.

        The index of streams does not hold these events: if one were read with a wrong stream or version, nothing else
        would tell.
        """
        try:
            while after_position < until_position:
                records = self.log(db, after_position, _VERIFIED_AT_ONCE, PAGE_BYTES)
                after_position = records[-1].position
        except UnreadableEvent as error:
            raise CorruptStore(
                f"an event that is not in the index of streams yet is damaged: {error}; copy the "
                f"file, then run `actorium repair` on it, or restore a backup"
            ) from error

    def _follow(self, db: sqlite3.Connection) -> None:
        """Learn what another process has committed and merged meanwhile."""
        recent, mark = self._recent, read_mark(db, is_lenient=self._is_lenient)
        end = recent.end
        if mark != recent.begin or not end:
            recent.begin_after(db, mark)
            end = mark
        else:
            recent.follow(db)
        if not self._is_lenient:
            self.verify(db, end, recent.end)

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

    def commands(self, db: sqlite3.Connection, command_ids: Sequence[str]) -> dict[str, CommandRecord]:
        """Find where commands took effect."""
        records = [command_record(id.decode(), *mark) for id, *mark in self._find_commands.fetch(db, command_ids)]
        return {record.command_id: record for record in records}

    def event_types(self, db: sqlite3.Connection, *, counted: bool) -> list[StoredEventType]:
        """Read the shapes of events in the log."""
        rows = db.execute(_COUNT_TYPES if counted else _READ_TYPES).fetchall()
        return [StoredEventType(name_of(name), version, first, count) for name, version, first, count in rows]

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
            ids, integers(versions), *unpacked_events(others)
        ):
            expected += 1
            kind = kinds.get((stream_id, type_id))
            if kind is None:
                name, schema_version, type_bytes = self._types.get(type_id) or self._types.learn(db, type_id)
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
