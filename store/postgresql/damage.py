"""Finds what is wrong with a log in PostgreSQL as a whole, and rebuilds what follows from its events.

The server finds damage in its own files when it reads them (with data checksums). What is checked here is whether the
tables still say the same as the events.
"""

from __future__ import annotations

from actorium.store.errors import CorruptStore
from actorium.store.postgresql.connections.sessions import Connection
from actorium.store.postgresql.plan import linked_ids
from actorium.store.tables.dialect import quoted
from actorium.store.wording import counted

_PAGE_EVENTS = 1_000

_END = "SELECT position, (SELECT coalesce(max(position), 0) FROM events), (SELECT count(*) FROM events) FROM log"
_MISPLACED = "SELECT count(*), min(position) FROM events WHERE position < 1"
_GAPS = """
SELECT stream_type, stream_id FROM events GROUP BY stream_type, stream_id
HAVING count(*) <> max(version) OR min(version) <> 1 ORDER BY 1, 2 LIMIT 10"""
_MARKS = """
SELECT command_id FROM events
WHERE command_id IS NOT NULL AND NOT coalesce(command_events BETWEEN 1 AND version, false) ORDER BY 1 LIMIT 10"""
_FIRST_POSITIONS = "SELECT type, schema_version, min(position) FROM events GROUP BY type, schema_version"
_TYPES = f"""
SELECT coalesce(name, type), coalesce(event_types.schema_version, found.schema_version) FROM event_types
FULL JOIN ({_FIRST_POSITIONS}) AS found (type, schema_version, first)
    ON name = type AND event_types.schema_version = found.schema_version
WHERE first_position IS DISTINCT FROM first ORDER BY 1, 2"""
_LINKS = """
SELECT position, convert_to(metadata, 'UTF8'), causation_id, correlation_id FROM events
WHERE position > $1 ORDER BY position LIMIT $2"""
_RELINK = "UPDATE events SET causation_id = $2, correlation_id = $3 WHERE position = $1"


async def damage(connection: Connection) -> list[str]:
    """Return the damage in the whole log apart from its events, one line each; this reads everything."""
    found = []
    position, last, count = await connection.fetchrow(_END) or (0, 0, 0)
    if position != last:
        found.append(f"the log ends at position {position}, but its last event has position {last}")
    below, lowest = await connection.fetchrow(_MISPLACED) or (0, None)
    if below:
        found.append(
            f"the log has events below position 1 ({below}, the lowest at {lowest}): a manual edit changed them"
        )
    if count != last and not below:
        found.append(f"the log has {counted(count, 'event')} up to position {last}: events were removed from it")
    for stream_type, stream_id in await connection.fetch(_GAPS):
        found.append(f"the versions of {stream_type}<{stream_id}> are not 1, 2, 3 …: events were removed from the log")
    for (command_id,) in await connection.fetch(_MARKS):
        found.append(f"the mark of command {command_id!r} is damaged: a disk error or a manual edit changed it")
    for name, schema_version in await connection.fetch(_TYPES):
        found.append(f"the first position of {name} (schema version {schema_version}) is wrong: repair the log")
    for place in await _wrong_links(connection):
        found.append(f"the causation or correlation id at position {place} does not match its metadata: repair the log")
    return found


async def _wrong_links(connection: Connection, *, repair: bool = False) -> list[int]:
    """Return the positions whose ids differ from their metadata; with `repair`, correct them."""
    wrong = []
    position = 0
    while rows := await connection.fetch(_LINKS, position, _PAGE_EVENTS):
        for position, metadata, causation_id, correlation_id in rows:
            ids = tuple(id or None for id in linked_ids(metadata))
            if ids != (causation_id, correlation_id):
                wrong.append(position)
                if repair:
                    await connection.execute(_RELINK, position, *ids)
    return wrong


async def repair(connection: Connection, schema: str) -> list[str]:
    """Rebuild the indexes, the types of event and the links from the events; return the remaining damage.

    Raises CorruptStore, and changes nothing, if the last events are missing: only a backup restores them.
    """
    position, last, _ = await connection.fetchrow(_END) or (0, 0, 0)
    if last < position:
        raise CorruptStore(
            f"schema {schema} cannot be repaired: its events end at position {last}, but position {position} was "
            "written; restore a backup"
        )
    async with connection.transaction():
        await connection.execute("DELETE FROM event_types")
        await connection.execute(f"INSERT INTO event_types {_FIRST_POSITIONS}")
        await _wrong_links(connection, repair=True)
        await connection.execute("UPDATE log SET position = $1", last)
    await connection.execute(f"REINDEX SCHEMA {quoted(schema)}")
    return await damage(connection)
