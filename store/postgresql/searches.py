"""Searches in PostgreSQL for the names that the log is indexed by.

PostgreSQL does not skip from one distinct value of an index to the next, so the searches step through it one name at a
time: a stream of a million events costs no more than one.
"""

from __future__ import annotations

from actorium.store.names import StreamName
from actorium.store.postgresql.connections.sessions import Connection
from actorium.store.tables.log_search import LAST_CHARACTER, FindEvents, FindStreams, FindStreamTypes

_STREAM_TYPES = """
WITH RECURSIVE found (type) AS (
    SELECT min(stream_type) FROM events UNION ALL
    SELECT (SELECT min(stream_type) FROM events WHERE stream_type > found.type) FROM found WHERE found.type IS NOT NULL
)
SELECT type FROM found WHERE type IS NOT NULL LIMIT $1"""
_STREAMS = """
WITH RECURSIVE found (id) AS (
    SELECT min(stream_id) FROM events
    WHERE stream_type = $1 AND stream_id > $2 AND stream_id >= $3 AND stream_id < $4
    UNION ALL
    SELECT (SELECT min(stream_id) FROM events WHERE stream_type = $1 AND stream_id > found.id AND stream_id < $4)
    FROM found WHERE found.id IS NOT NULL
)
SELECT id FROM found WHERE id IS NOT NULL LIMIT $5"""
_EVENTS = """
SELECT position FROM events WHERE position > $1 AND position < $2 AND type = ANY($3::text[])
ORDER BY position DESC LIMIT $4"""


async def find_stream_types(connection: Connection, read: FindStreamTypes) -> list[str]:
    """Return the types of streams."""
    return [type_ for (type_,) in await connection.fetch(_STREAM_TYPES, read.limit)]


async def find_streams(connection: Connection, read: FindStreams) -> list[StreamName]:
    """Return the streams of a type."""
    bounds = (read.after, read.id_prefix, read.id_prefix + LAST_CHARACTER)
    return [StreamName(read.type, id) for (id,) in await connection.fetch(_STREAMS, read.type, *bounds, read.limit)]


async def find_events(connection: Connection, read: FindEvents) -> list[int]:
    """Return the positions of events of some types."""
    values = (read.after_position, read.before_position, list(read.types), read.limit)
    return [position for (position,) in await connection.fetch(_EVENTS, *values)]
