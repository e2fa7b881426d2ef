"""The reading side of the log in SQLite.

Everything here runs on the reader connection's thread. Nothing that is read is believed: every event's checksum is
computed anew, versions and positions must follow each other without a gap, and what does not hold is an error that
names the event.

Invariant: what is remembered here (names of streams, kinds of events) is never changed in the database once written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any
from zlib import crc32

from actorium.store.errors import CorruptEvent, UnreadableEvent, VersionGap
from actorium.store.event_store import CommandRecord, Head, Snapshot, StreamPage, StreamRead
from actorium.store.events import CHECKSUM_MASK, CHECKSUM_SPREAD, EncodedRecord, StreamName, kind_checksum
from actorium.store.sqlite.rows import RowStatement
from actorium.store.sqlite.snapshots import snapshot_checksum

# About 300 bytes each.
STREAM_NAMES_MAX = 50_000

_READ_STREAM = (
    "SELECT version, position, recorded_us, events.type, checksum, payload, metadata "
    "FROM streams JOIN events ON events.stream = streams.id "
    "WHERE streams.type = ? AND streams.name = ? AND version > ? ORDER BY version LIMIT ?"
)
_READ_SNAPSHOT = (
    "SELECT version, state, checksum, (SELECT max(version) FROM events WHERE events.stream = streams.id) "
    "FROM streams JOIN snapshots ON snapshots.stream = streams.id "
    "WHERE streams.type = ? AND streams.name = ? AND fingerprint = ? AND version > ?"
)
_READ_LOG = (
    "SELECT version, position, recorded_us, type, checksum, payload, metadata, stream "
    "FROM events WHERE position > ? ORDER BY position LIMIT ?"
)
_READ_STREAM_NAMES = "SELECT id, type, name FROM streams WHERE id IN (VALUES {rows})"
_FIND_COMMAND = (
    "SELECT command_fingerprint, streams.type, streams.name, command_events, version, position "
    "FROM events JOIN streams ON streams.id = events.stream WHERE command_id = ?"
)

Kind = tuple[int, str, int]
"""The checksum of a kind of event in one stream, its type's name and schema version."""


class Reading:
    """Queries over the log, and the names they have met."""

    __slots__ = ("_find_names", "_names", "_types")

    def __init__(self, db: sqlite3.Connection) -> None:
        db.text_factory = bytes  # payloads are passed on as bytes, and damaged text must not fail to decode
        self._find_names = RowStatement(_READ_STREAM_NAMES, 1, db=db)
        self._types: dict[int, tuple[str, int]] = {}
        self._names: dict[int, StreamName] = {}

    def streams(self, db: sqlite3.Connection, reads: Sequence[StreamRead]) -> list[StreamPage]:
        """Read a page per read."""
        return [self._stream(db, read) for read in reads]

    def _stream(self, db: sqlite3.Connection, read: StreamRead) -> StreamPage:
        stream = read.stream
        snapshot = _snapshot(db, read) if read.snapshot_fingerprint is not None else None
        expected = snapshot.version if snapshot is not None else read.after_version
        rows = db.execute(_READ_STREAM, (stream.type, stream.id, expected, read.limit)).fetchall()
        kinds: dict[int, Kind] = {}
        records: list[EncodedRecord] = []
        add = records.append
        version: Any = None
        type_id: Any = None
        try:
            for version, position, recorded_us, type_id, crc, payload, metadata in rows:
                expected += 1
                kind = kinds.get(type_id)
                if kind is None:
                    kind = kinds[type_id] = self._kind(db, stream, type_id, version)
                kind_crc, event_type, schema_version = kind
                # What `events.checksum` does, written out: a call would cost as much as the rest of the loop.
                seed = kind_crc ^ ((version * CHECKSUM_SPREAD + recorded_us) & CHECKSUM_MASK)
                if version != expected or crc32(payload, crc32(metadata, seed)) != crc:
                    break
                add(
                    EncodedRecord(stream, version, position, recorded_us, event_type, schema_version, payload, metadata)
                )
            else:
                return StreamPage(records, snapshot)
        except TypeError:  # text where a number was written, or the other way round
            pass
        raise self._damage(db, stream, type_id, version, expected)

    def log(self, db: sqlite3.Connection, after_position: int, limit: int) -> list[EncodedRecord]:
        """Read the log after a position."""
        rows = db.execute(_READ_LOG, (after_position, limit)).fetchall()
        self._learn_names(db, rows)
        names = self._names
        kinds: dict[tuple[int, int], Kind] = {}
        records: list[EncodedRecord] = []
        position = after_position
        stream_id: Any = None
        version: Any = None
        type_id: Any = None
        try:
            for version, found, recorded_us, type_id, crc, payload, metadata, stream_id in rows:
                position += 1
                stream = names[stream_id]
                kind = kinds.get((stream_id, type_id))
                if kind is None:
                    kind = kinds[stream_id, type_id] = self._kind(db, stream, type_id, version)
                if found != position:
                    raise VersionGap(
                        f"position {found} follows {position - 1} in the log: events were taken out of it",
                        stream=stream,
                        version=version,
                        event_type=kind[1],
                    )
                seed = kind[0] ^ ((version * CHECKSUM_SPREAD + recorded_us) & CHECKSUM_MASK)
                if crc32(payload, crc32(metadata, seed)) != crc:
                    break
                records.append(
                    EncodedRecord(stream, version, position, recorded_us, kind[1], kind[2], payload, metadata)
                )
            else:
                return records
        except (TypeError, KeyError):  # text where a number was written; a stream without a name
            pass
        stream = names.get(stream_id) or StreamName("?", f"stream {stream_id}")
        raise self._damage(db, stream, type_id, version, version)

    def head(self, db: sqlite3.Connection) -> Head:
        """Read the end of the log."""
        row = db.execute("SELECT position, recorded_us FROM events ORDER BY position DESC LIMIT 1").fetchone()
        return Head(*row) if row else Head(0, 0)

    def command(self, db: sqlite3.Connection, command_id: str) -> CommandRecord | None:
        """Find where a command took effect."""
        row = db.execute(_FIND_COMMAND, (command_id,)).fetchone()
        if row is None:
            return None
        fingerprint, type_, name, count, version, position = row
        stream = StreamName(type_.decode(), name.decode())
        return CommandRecord(command_id, fingerprint, stream, version - count + 1, version, position)

    def checkpoint(self, db: sqlite3.Connection, name: str) -> int:
        """Read a subscription's saved position."""
        row = db.execute("SELECT position FROM checkpoints WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def _kind(self, db: sqlite3.Connection, stream: StreamName, type_id: int, version: int) -> Kind:
        found = self._types.get(type_id)
        if found is None:
            query = "SELECT name, schema_version FROM event_types WHERE id = ?"
            row = db.execute(query, (type_id,)).fetchone()
            if row is None:
                raise CorruptEvent(
                    "its event type is not in the table of types: the disk or a hand changed it",
                    stream=stream,
                    version=version,
                    event_type=f"type {type_id}",
                )
            found = self._types[type_id] = (row[0].decode(errors="replace"), row[1])
        return kind_checksum(stream, *found), *found

    def _learn_names(self, db: sqlite3.Connection, rows: Sequence[Any]) -> None:
        names = self._names
        unknown = list(dict.fromkeys(row[-1] for row in rows if row[-1] not in names))
        if not unknown:
            return
        if len(names) + len(unknown) > STREAM_NAMES_MAX:
            names.clear()
            unknown = list(dict.fromkeys(row[-1] for row in rows))
        for stream_id, type_, name in self._find_names.fetch(db, unknown):
            names[stream_id] = StreamName(type_.decode(errors="replace"), name.decode(errors="replace"))

    def _damage(
        self, db: sqlite3.Connection, stream: StreamName, type_id: Any, version: Any, expected: int
    ) -> UnreadableEvent:
        event_type = self._kind(db, stream, type_id, version)[1]
        if isinstance(version, int) and version != expected:
            return VersionGap(
                f"it follows version {expected - 1}: events were taken out of the log",
                stream=stream,
                version=version,
                event_type=event_type,
            )
        return CorruptEvent(
            "it does not match its checksum: the disk or a hand changed it",
            stream=stream,
            version=version if isinstance(version, int) else expected,
            event_type=event_type,
        )


def _snapshot(db: sqlite3.Connection, read: StreamRead) -> Snapshot | None:
    """Return the snapshot to begin at; a damaged one is as good as none, for the events say it all again."""
    stream, fingerprint = read.stream, read.snapshot_fingerprint
    assert fingerprint is not None
    row = db.execute(_READ_SNAPSHOT, (stream.type, stream.id, fingerprint, read.after_version)).fetchone()
    if row is None:
        return None
    version, state, crc, newest = row
    try:
        snapshot = Snapshot(stream, version, fingerprint, state)
        if snapshot_checksum(snapshot) != crc:
            return None
    except TypeError:
        return None
    if version > (newest or 0):
        raise VersionGap(
            f"a snapshot stands at version {version}, but the stream ends at {newest or 0}: "
            f"events were taken out of the log",
            stream=stream,
            version=version,
            event_type="snapshot",
        )
    return snapshot
