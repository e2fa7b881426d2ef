"""Reads the log row by row, to find exactly which event is wrong, if any.

`Reading` reads a whole page and detects only that something in it is wrong. Then the page is read again here: the
result is either an error that names the event, or the page itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from actorium.store.errors import CorruptEvent, VersionGap
from actorium.store.event_store import Snapshot, StreamPage, StreamRead
from actorium.store.events import EncodedRecord, checksum, kind_checksum
from actorium.store.names import StreamName
from actorium.store.sql.row_checksums import snapshot_checksum
from actorium.store.sqlite.streams.recent import Tail

_COLUMNS = "events.version, events.position, recorded_us, events.type, events.checksum, payload, metadata"
_READ_INDEXED = (
    f"SELECT {_COLUMNS} FROM streams JOIN stream_versions AS known ON known.stream = streams.id "
    "LEFT JOIN events ON events.position = known.position "
    "WHERE streams.type = ? AND streams.name = ? AND known.version > ? AND known.version <= ? ORDER BY known.version"
)
_READ_RECENT = f"SELECT {_COLUMNS} FROM events WHERE position = ? AND stream = ? AND version = ?"
_READ_LOG = (
    f"SELECT {_COLUMNS}, stream, streams.type, streams.name "
    "FROM events LEFT JOIN streams ON streams.id = events.stream "
    "WHERE position > ? ORDER BY position LIMIT ?"
)
_READ_SNAPSHOT = (
    "SELECT version, state, checksum, (SELECT max(version) FROM stream_versions WHERE stream = streams.id) "
    "FROM streams JOIN snapshots ON snapshots.stream = streams.id "
    "WHERE streams.type = ? AND streams.name = ? AND fingerprint = ? AND version > ?"
)
_NO_ROW: tuple[Any, ...] = (None,) * 7
_READ_TYPE = "SELECT name, schema_version FROM event_types WHERE id = ?"


def examine_stream(
    db: sqlite3.Connection, read: StreamRead, max_bytes: int, tail: Tail | None, certain: int
) -> StreamPage:
    """Return the page of a read, or raise CorruptEvent or VersionGap for the first wrong event.

    tail: the events of the stream that its index does not hold; those up to position `certain` are committed.
    """
    stream = read.stream
    snapshot = _examine_snapshot(db, read, tail)
    before = snapshot.version if snapshot is not None else read.after_version
    records: list[EncodedRecord] = []
    size = 0
    for row in _rows_of(db, stream, before, before + read.limit, tail, certain):
        size += _size_bytes(row)
        if records and size > max_bytes:
            break
        version, position = row[:2]
        if position is None or (isinstance(version, int) and version != before + 1):
            raise VersionGap(
                "it was removed from the log",
                stream=stream,
                version=before + 1,
                event_type=_type_name(db, row) if position is not None else "an event",
            )
        before += 1
        records.append(_examine_event(db, stream, row, version=before))
    return StreamPage(records, len(records) < read.limit and size <= max_bytes, snapshot)


def _rows_of(
    db: sqlite3.Connection, stream: StreamName, before: int, until: int, tail: Tail | None, certain: int
) -> Iterator[tuple[Any, ...]]:
    """Return the rows of a stream's events by version; a row of NULLs for one that is missing."""
    indexed_until = until if tail is None else min(until, tail.after_version)
    missing = indexed_until - before
    for row in db.execute(_READ_INDEXED, (stream.type, stream.id, before, indexed_until)):
        missing -= 1
        yield row
    if tail is None:
        return
    yield from [_NO_ROW] * missing
    for version, position in enumerate(tail.positions, tail.after_version + 1):
        if before < version <= until:
            row = db.execute(_READ_RECENT, (position, tail.id, version)).fetchone()
            if row is None and position > certain:
                return  # it was not committed
            yield row or _NO_ROW


def examine_log(db: sqlite3.Connection, after_position: int, limit: int, max_bytes: int) -> list[EncodedRecord]:
    """Return the page of the log, or raise CorruptEvent or VersionGap for the first wrong event."""
    records: list[EncodedRecord] = []
    before = after_position
    size = 0
    for row in db.execute(_READ_LOG, (after_position, limit)):
        size += _size_bytes(row)
        if records and size > max_bytes:
            break
        version, position = row[:2]
        stream = _stream_name(*row[-3:])
        if position != before + 1:
            raise VersionGap(
                f"position {position} follows position {before} in the log: events were removed from it",
                stream=stream,
                version=version,
                event_type=_type_name(db, row),
                position=position,
            )
        before += 1
        records.append(_examine_event(db, stream, row, version=version))
    return records


def _size_bytes(row: tuple[Any, ...]) -> int:
    payload = row[5]
    return len(payload) if isinstance(payload, bytes) else 0


def _examine_snapshot(db: sqlite3.Connection, read: StreamRead, tail: Tail | None) -> Snapshot | None:
    """Return the snapshot to start at; a damaged one counts as missing, because the events hold the same state."""
    stream, fingerprint = read.stream, read.snapshot_fingerprint
    if fingerprint is None:
        return None
    row = db.execute(_READ_SNAPSHOT, (stream.type, stream.id, fingerprint, read.after_version)).fetchone()
    if row is None:
        return None
    version, state, crc, indexed = row
    newest = tail.version if tail is not None else indexed
    if not isinstance(version, int) or not isinstance(state, bytes):
        return None
    snapshot = Snapshot(stream, version, fingerprint, state)
    if snapshot_checksum(snapshot) != crc:
        return None
    if version > (newest or 0):
        raise VersionGap(
            f"a snapshot has this version, but the stream ends at {newest or 0}: events were removed from the log",
            stream=stream,
            version=version,
            event_type="a snapshot",
        )
    return snapshot


def _examine_event(db: sqlite3.Connection, stream: StreamName, row: tuple[Any, ...], *, version: Any) -> EncodedRecord:
    found_version, position, recorded_us, type_id, crc, payload, metadata = row[:7]
    type_row = db.execute(_READ_TYPE, (type_id,)).fetchone()
    event_type = _text(type_row[0]) if type_row is not None else f"event type {type_id!r}"
    reason = "it does not match its checksum: a disk error or a manual edit changed it"
    if type_row is None:
        reason = "its type is not in the table of event types: a disk error or a manual edit changed it"
    elif not (isinstance(found_version, int) and isinstance(recorded_us, int)):
        reason = "its version or its time is not a number: a disk error or a manual edit changed it"
    elif isinstance(payload, bytes) and isinstance(metadata, bytes):
        schema_version = type_row[1]
        kind = kind_checksum(stream, event_type, schema_version)
        if checksum(kind, version, recorded_us, payload, metadata) == crc:
            return EncodedRecord(stream, version, position, recorded_us, event_type, schema_version, payload, metadata)
    raise CorruptEvent(reason, stream=stream, version=version if isinstance(version, int) else 0, event_type=event_type)


def _type_name(db: sqlite3.Connection, row: tuple[Any, ...]) -> str:
    found = db.execute(_READ_TYPE, (row[3],)).fetchone()
    return _text(found[0]) if found is not None else f"event type {row[3]!r}"


def _stream_name(stream_id: Any, type_: Any, name: Any) -> StreamName:
    if type_ is None or name is None:
        return StreamName("?", f"stream {stream_id!r}")
    return StreamName(_text(type_), _text(name))


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
