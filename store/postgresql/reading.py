"""The reading side of the log in PostgreSQL: one page per query.

Nothing read is trusted: each event's checksum is recomputed for its expected version, and versions and positions must
be consecutive.

The server limits the bytes of a page. It returns the events whose predecessors do not fill it, so the last one may
cross the limit; that one is dropped here, and is the first of the next page.

A page of one stream is first requested as a single row, which costs client and server less than a row per event. There
is none if the page would be too large, and it is not used if it cannot be taken apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from actorium.store.errors import CorruptEvent, VersionGap
from actorium.store.event_store import PAGE_BYTES, Head, Link, Snapshot, StreamPage, StreamRead
from actorium.store.events import CHECKSUM_MASK, CHECKSUM_SPREAD, EncodedRecord, kind_bytes, stream_checksum
from actorium.store.names import StoredEventType, StreamName
from actorium.store.postgresql.connections.sessions import Connection
from actorium.store.postgresql.plan import folded
from actorium.store.sql.row_checksums import snapshot_checksum
from actorium.store.sql.stream_heads import StreamHead, StreamHeads

_INTEGERS = msgspec.json.Decoder(list[int])
_CHANGED = "it does not match its checksum: a disk error or a manual edit changed it"
_INT_MAX = 2**31 - 1
_BIGINT_MAX = 2**63 - 1

# Bytes, not texts: Python would decode them only to encode them again.
_BYTES = "convert_to(payload, 'UTF8') AS payload, convert_to(metadata, 'UTF8') AS metadata"
_EVENT = f"version, position, recorded_us, type, schema_version, checksum, {_BYTES}"
_SIZE = "octet_length(payload)"
# ROWS: each event adds its size to the sum before it, whatever the order's ties.
_BEFORE = "coalesce(sum({size}) OVER (ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)"
_OF_STREAM = "FROM events WHERE stream_type = $1 AND stream_id = $2 AND version > $3"
_SEPARATOR = "\x1f"  # JSON does not contain it
_PACKED = f"""
SELECT EXISTS (SELECT {_OF_STREAM}), count(*), max(version), string_agg(position::text, ','),
    string_agg(recorded_us::text, ','), string_agg(schema_version::text, ','), string_agg(checksum::text, ','),
    string_agg(type, '{_SEPARATOR}'), convert_to(string_agg(payload, '{_SEPARATOR}'), 'UTF8'),
    convert_to(string_agg(metadata, '{_SEPARATOR}'), 'UTF8')
FROM (
    SELECT version, position, recorded_us, schema_version, checksum, type, payload, metadata {_OF_STREAM}
    ORDER BY version LIMIT $4
) AS page
WHERE (SELECT sum({_SIZE}) FROM (SELECT payload {_OF_STREAM} ORDER BY version LIMIT $4) AS sized) <= $5"""
_STREAM = f"""
SELECT {_EVENT} FROM (
    SELECT *, {_BEFORE.format(size=_SIZE, order="version")} AS size_before FROM (
        SELECT * FROM events WHERE stream_type = $1 AND stream_id = $2 AND version > $3 ORDER BY version LIMIT $4
    ) AS page
) AS sized WHERE size_before <= $5 ORDER BY version"""
_STREAMS = f"""
SELECT n, {_EVENT} FROM (
    SELECT *, {_BEFORE.format(size=_SIZE, order="n, version")} AS size_before FROM (
        SELECT wanted.n, found.*
        FROM unnest($1::text[], $2::text[], $3::int[], $4::int[]) WITH ORDINALITY
            AS wanted (stream_type, stream_id, after, most, n)
        CROSS JOIN LATERAL (
            SELECT * FROM events WHERE events.stream_type = wanted.stream_type
            AND events.stream_id = wanted.stream_id AND version > after ORDER BY version LIMIT most
        ) AS found
    ) AS page
) AS sized WHERE size_before <= $5 ORDER BY n, version"""
_LOG = f"""
SELECT stream_type, stream_id, {_EVENT} FROM (
    SELECT *, {_BEFORE.format(size=_SIZE, order="position")} AS size_before FROM (
        SELECT * FROM events WHERE position > $1 ORDER BY position LIMIT $2
    ) AS page
) AS sized WHERE size_before <= $3 ORDER BY position"""
# Each record has its place in the page, which says whether events before it are missing.
_WANTED = f"""
SELECT stream_type, stream_id, {_EVENT}, place FROM (
    SELECT *, {_BEFORE.format(size=f"CASE WHEN is_wanted THEN {_SIZE} ELSE 0 END", order="position")} AS size_before
    FROM (
        SELECT *, type || '/' || schema_version <> ALL ($4::text[]) AS is_wanted,
            row_number() OVER (ORDER BY position) AS place, max(position) OVER () AS last
        FROM (SELECT * FROM events WHERE position > $1 ORDER BY position LIMIT $2) AS read
    ) AS page
) AS sized WHERE size_before <= $3 AND (is_wanted OR position = last) ORDER BY position"""
_LINKED = f"""
SELECT stream_type, stream_id, {_EVENT} FROM (
    SELECT *, {_BEFORE.format(size=_SIZE, order="position")} AS size_before FROM (
        SELECT * FROM events WHERE hashtextextended({{link}}, 0) = hashtextextended($1, 0) AND {{link}} = $1
        AND position > $2 ORDER BY position LIMIT $3
    ) AS page
) AS sized WHERE size_before <= $4 ORDER BY position"""
_SNAPSHOTS = """
SELECT n, version, checksum, convert_to(state, 'UTF8'), (
    SELECT max(version) FROM events
    WHERE events.stream_type = wanted.stream_type AND events.stream_id = wanted.stream_id
)
FROM unnest($1::text[], $2::text[], $3::text[], $4::int[]) WITH ORDINALITY
    AS wanted (stream_type, stream_id, fingerprint, after, n)
JOIN snapshots USING (stream_type, stream_id, fingerprint) WHERE version > after"""
_HEAD = "SELECT position, recorded_us FROM log"
_TYPES = "SELECT name, schema_version, first_position, NULL FROM event_types ORDER BY name, schema_version"
_COUNTED_TYPES = (
    "SELECT type, schema_version, min(position), count(*) FROM events "
    "GROUP BY type, schema_version ORDER BY type, schema_version"
)

Kind = tuple[str, int]
"""The name and schema version of a type of event."""


class _Start(NamedTuple):
    """Where a read begins: after its snapshot, if there is one."""

    after: int
    snapshot: Snapshot | None


async def read_streams(
    connection: Connection, reads: Sequence[StreamRead], max_bytes: int, heads: StreamHeads | None
) -> list[StreamPage]:
    """Read one page per read; the last ones are empty if the first ones fill `max_bytes`."""
    starts = await _starts(connection, reads)
    if len(reads) == 1:
        (read,), (start,) = reads, starts
        stream = read.stream
        wanted = (stream.type, stream.id, start.after, read.limit, max_bytes)
        unpacked = _unpacked(start, await connection.fetchrow(_PACKED, *wanted))
        numbered: dict[int, Any] = {1: await connection.fetch(_STREAM, *wanted) if unpacked is None else unpacked}
    else:
        names = [read.stream for read in reads]
        rows = await connection.fetch(
            _STREAMS,
            [name.type for name in names],
            [name.id for name in names],
            [start.after for start in starts],
            [min(read.limit, _INT_MAX) for read in reads],
            max_bytes,
        )
        numbered = {}
        for number, *row in rows:
            numbered.setdefault(number, []).append(row)
    pages: list[StreamPage] = []
    left = max_bytes
    for number, (read, start) in enumerate(zip(reads, starts, strict=True), 1):
        records = _stream_records(read.stream, start, numbered.get(number, ()))
        page, left = _cut(records, left, is_first=left == max_bytes)
        is_whole = len(page) == len(records) and left >= 0
        is_last = is_whole and len(page) < read.limit
        pages.append(StreamPage(page, is_last, start.snapshot))
        if is_last and heads is not None and (page or start.snapshot is not None):
            heads.offer(read.stream, StreamHead(0, start.after + len(page), stream_checksum(read.stream)))
    return pages


def _unpacked(start: _Start, packed: Any) -> Iterable[tuple[Any, ...]] | None:
    """Return the rows of a page that was read as one row; None if they must be read one by one."""
    exists, count, newest, *columns = packed
    if count == 0:
        return None if exists else ()
    *numbers, types, payloads, metadatas = columns
    positions, times, schema_versions, checksums = (_INTEGERS.decode(f"[{column}]") for column in numbers)
    separator = _SEPARATOR.encode()
    texts = (types.split(_SEPARATOR), payloads.split(separator), metadatas.split(separator))
    if newest != start.after + count or any(len(text) != count for text in texts):
        return None  # events are missing, or a text contains the separator
    versions = range(start.after + 1, newest + 1)
    return zip(versions, positions, times, texts[0], schema_versions, checksums, *texts[1:], strict=True)


def _cut(records: list[EncodedRecord], left: int, *, is_first: bool) -> tuple[list[EncodedRecord], int]:
    """Return the first records that fit into the bytes left, and what is left then: below 0 once the page is full.

    The first page gets at least one record.
    """
    for index, record in enumerate(records):
        left -= len(record.payload)
        if left < 0 and not (is_first and index == 0):
            return records[:index], -1
    return records, left


async def _starts(connection: Connection, reads: Sequence[StreamRead]) -> list[_Start]:
    """Return where each read begins; a damaged snapshot counts as missing, because the events hold the same state.

    Raises VersionGap for a snapshot after the end of its stream.
    """
    starts = [_Start(min(read.after_version, _INT_MAX), None) for read in reads]
    wanted = [index for index, read in enumerate(reads) if read.snapshot_fingerprint is not None]
    if not wanted:
        return starts
    rows = await connection.fetch(
        _SNAPSHOTS,
        [reads[index].stream.type for index in wanted],
        [reads[index].stream.id for index in wanted],
        [reads[index].snapshot_fingerprint for index in wanted],
        [starts[index].after for index in wanted],
    )
    for number, version, crc, state, newest in rows:
        index = wanted[number - 1]
        snapshot = Snapshot(reads[index].stream, version, reads[index].snapshot_fingerprint or "", state)
        if snapshot_checksum(snapshot) != crc:
            continue
        if version > (newest or 0):
            raise VersionGap(
                f"a snapshot has this version, but the stream ends at {newest or 0}: events were removed from the log",
                stream=snapshot.stream,
                version=version,
                event_type="a snapshot",
            )
        starts[index] = _Start(version, snapshot)
    return starts


def _stream_records(stream: StreamName, start: _Start, rows: Iterable[Any]) -> list[EncodedRecord]:
    """Check the events of one stream, which follow `start`."""
    stream_crc = stream_checksum(stream)
    kinds: dict[Kind, int] = {}
    records: list[EncodedRecord] = []
    expected = start.after
    last_type = ""
    last_schema_version = kind = 0
    for version, position, recorded_us, type_, schema_version, crc, payload, metadata in rows:
        expected += 1
        if version != expected:
            raise VersionGap(
                f"it follows version {expected - 1}: events were removed from the log",
                stream=stream,
                version=version,
                event_type=type_,
            )
        if type_ != last_type or schema_version != last_schema_version:
            last_type, last_schema_version = type_, schema_version
            kind = kinds.get((type_, schema_version), 0)
            if not kind:
                kind = kinds[type_, schema_version] = crc32(kind_bytes(type_, schema_version), stream_crc)
        # `events.checksum` with a time of 0, and `folded`, inlined: most of a page's cost in Python.
        seed = kind ^ ((version * CHECKSUM_SPREAD) & CHECKSUM_MASK)
        if crc32(payload, crc32(metadata, seed)) ^ ((recorded_us ^ recorded_us >> 32) & CHECKSUM_MASK) != crc:
            raise CorruptEvent(_CHANGED, stream=stream, version=version, event_type=type_)
        # Consecutive events share the text of their type: whoever replays them compares it by identity.
        record = EncodedRecord(stream, version, position, recorded_us, last_type, schema_version, payload, metadata)
        records.append(record)
    return records


async def read_log(connection: Connection, after_position: int, limit: int, max_bytes: int) -> list[EncodedRecord]:
    """Read the log after a position."""
    rows = await connection.fetch(_LOG, min(after_position, _BIGINT_MAX), limit, max_bytes)
    records = _log_records(rows, after_position)
    return _cut(records, max_bytes, is_first=True)[0]


async def read_wanted(
    connection: Connection, after_position: int, limit: int, left_out: Collection[str]
) -> list[EncodedRecord]:
    """Read the log after a position without most of the events of some shapes."""
    rows = await connection.fetch(_WANTED, min(after_position, _BIGINT_MAX), limit, PAGE_BYTES, list(left_out))
    records = _log_records(([*row][:-1] for row in rows), None)
    for record, row in zip(records, rows, strict=True):
        if record.position != after_position + row["place"]:
            raise VersionGap(
                f"position {record.position} is the event number {row['place']} after position {after_position} of "
                "the log: events were removed from it",
                stream=record.stream,
                version=record.version,
                event_type=record.type,
                position=record.position,
            )
    return _cut(records, PAGE_BYTES, is_first=True)[0]


async def read_linked(
    connection: Connection, link: Link, id: str, after_position: int, limit: int, max_bytes: int
) -> list[EncodedRecord]:
    """Read the events after a position whose metadata names an id."""
    rows = await connection.fetch(_LINKED.format(link=link), id, after_position, limit, max_bytes)
    return _cut(_log_records(rows, None), max_bytes, is_first=True)[0]


def _log_records(rows: Iterable[Any], after_position: int | None) -> list[EncodedRecord]:
    """Check events of many streams; with `after_position`, their positions must follow it without a gap."""
    streams: dict[tuple[str, str], tuple[StreamName, int]] = {}
    kinds: dict[Kind, bytes] = {}
    records: list[EncodedRecord] = []
    expected = after_position
    for stream_type, stream_id, version, position, recorded_us, type_, schema_version, crc, payload, metadata in rows:
        known = streams.get((stream_type, stream_id))
        if known is None:
            stream = StreamName(stream_type, stream_id)
            known = streams[stream_type, stream_id] = (stream, stream_checksum(stream))
        stream, stream_crc = known
        if expected is not None:
            expected += 1
            if position != expected:
                raise VersionGap(
                    f"position {position} follows position {expected - 1} in the log: events were removed from it",
                    stream=stream,
                    version=version,
                    event_type=type_,
                    position=position,
                )
        kind = kinds.get((type_, schema_version))
        if kind is None:
            kind = kinds[type_, schema_version] = kind_bytes(type_, schema_version)
        seed = crc32(kind, stream_crc) ^ ((version * CHECKSUM_SPREAD) & CHECKSUM_MASK)
        if crc32(payload, crc32(metadata, seed)) ^ folded(recorded_us) != crc:
            raise CorruptEvent(_CHANGED, stream=stream, version=version, event_type=type_)
        records.append(EncodedRecord(stream, version, position, recorded_us, type_, schema_version, payload, metadata))
    return records


async def head(connection: Connection) -> Head:
    """Read the end of the log."""
    row = await connection.fetchrow(_HEAD)
    assert row is not None, "the log has one row"
    return Head(*row)


async def event_types(connection: Connection, *, counted: bool) -> list[StoredEventType]:
    """Read the shapes of event in the log."""
    return [StoredEventType(*row) for row in await connection.fetch(_COUNTED_TYPES if counted else _TYPES)]
