"""The tables of the log in PostgreSQL, and their history as numbered migrations.

Migration n turns schema n - 1 into schema n; `log.schema_version` holds the number. A released migration is never
edited: a change is a new migration at the end.

`log` has one row. An append moves its `position` and holds its row lock until the commit, so positions have no gap and
follow the order of commits, whoever writes. The row also names the writers that may append (docs/decisions/0051).

Keys sort by bytes (COLLATE "C"): the database's own collation is slower, and an upgrade of the operating system can
change it under an index. An index holds at most 2,704 bytes per row: ids and names have limits, and the ids that link
events are indexed by a hash.
"""

from __future__ import annotations

from typing import Any

from actorium.store.errors import StoreUnavailable, UnsupportedSchema
from actorium.store.postgresql.connections.sessions import Connection
from actorium.store.tables.dialect import quoted

_FIRST = """
CREATE TABLE log (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    schema_version int NOT NULL,
    position bigint NOT NULL DEFAULT 0,
    recorded_us bigint NOT NULL DEFAULT 0,
    writers bigint[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 10);
CREATE SEQUENCE writer_numbers;
CREATE TABLE nodes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    writer bigint NOT NULL,
    name text NOT NULL,
    code text NOT NULL DEFAULT '',
    is_shared boolean NOT NULL DEFAULT false,
    is_passive boolean NOT NULL DEFAULT false,
    expires timestamptz NOT NULL,
    session_pid int NOT NULL,
    session_started timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE placement (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    version bigint NOT NULL DEFAULT 0,
    shards bigint[] NOT NULL
);
CREATE TABLE followers (
    name text COLLATE "C" PRIMARY KEY,
    owner bigint NOT NULL
);
CREATE TABLE event_types (
    name text COLLATE "C" NOT NULL,
    schema_version int NOT NULL,
    first_position bigint NOT NULL,
    PRIMARY KEY (name, schema_version)
);
CREATE TABLE events (
    position bigint PRIMARY KEY,
    recorded_us bigint NOT NULL,
    checksum bigint NOT NULL,
    command_fingerprint bigint,
    version int NOT NULL,
    schema_version int NOT NULL,
    command_events int,
    stream_type text COLLATE "C" NOT NULL,
    stream_id text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    command_id text COLLATE "C",
    causation_id text COLLATE "C",
    correlation_id text COLLATE "C",
    payload text NOT NULL,
    metadata text NOT NULL
);
CREATE UNIQUE INDEX events_by_stream ON events (stream_type, stream_id, version);
CREATE UNIQUE INDEX events_by_command ON events (command_id) WHERE command_id IS NOT NULL;
CREATE INDEX events_by_causation ON events (hashtextextended(causation_id, 0), position)
    WHERE causation_id IS NOT NULL;
CREATE INDEX events_by_correlation ON events (hashtextextended(correlation_id, 0), position)
    WHERE correlation_id IS NOT NULL;
CREATE TABLE snapshots (
    stream_type text COLLATE "C" NOT NULL,
    stream_id text COLLATE "C" NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    version int NOT NULL,
    checksum bigint NOT NULL,
    state text NOT NULL,
    PRIMARY KEY (stream_type, stream_id, fingerprint)
);
CREATE TABLE checkpoints (
    name text COLLATE "C" PRIMARY KEY,
    position bigint NOT NULL,
    checksum bigint NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE dead_letters (
    processor text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    stream_type text NOT NULL,
    stream_id text NOT NULL,
    version int NOT NULL,
    event_type text NOT NULL,
    error text NOT NULL,
    traceback text NOT NULL,
    attempts int NOT NULL,
    parked_us bigint NOT NULL,
    discarded text NOT NULL,
    checksum bigint NOT NULL,
    PRIMARY KEY (processor, position)
);
CREATE TABLE agenda (
    owner text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    what text COLLATE "C" NOT NULL,
    due_us bigint NOT NULL,
    PRIMARY KEY (owner, id, key, what)
);
CREATE INDEX agenda_by_time ON agenda (due_us, owner, id, key, what);
CREATE TABLE sagas (
    type text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    status text COLLATE "C",
    step text COLLATE "C",
    reason text,
    started_us bigint,
    updated_us bigint NOT NULL,
    PRIMARY KEY (type, id)
);
CREATE INDEX sagas_by_status ON sagas (status, type, id) WHERE status <> 'completed';
CREATE TABLE submissions (
    id text COLLATE "C" PRIMARY KEY,
    type text NOT NULL,
    status text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    due_us bigint NOT NULL,
    submitted_us bigint NOT NULL,
    ended_us bigint NOT NULL
);
CREATE INDEX submissions_by_status ON submissions (status, id) WHERE status <> 'done';
CREATE TABLE projection_states (
    name text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    position bigint NOT NULL,
    state text NOT NULL
);
INSERT INTO placement (shards) VALUES (array_fill(0::bigint, ARRAY[1024]));
INSERT INTO log (schema_version) VALUES (0)"""

_WHAT_NODES_SAY = "ALTER TABLE nodes ADD COLUMN about text NOT NULL DEFAULT ''"

# The share of a row is four bits of the CRC-32 of its owner, a zero byte and its id (`share_of`). The server has no
# CRC-32, so this function computes it once for the existing rows, four bits at a time.
_SHARES_OF_THE_AGENDA = """
CREATE FUNCTION share_of(owner text, id text) RETURNS smallint LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    steps CONSTANT bigint[] := ARRAY[
        0, 498536548, 997073096, 651767980, 1994146192, 1802195444, 1303535960, 1342533948,
        3988292384, 4027552580, 3604390888, 3412177804, 2607071920, 2262029012, 2685067896, 3183342108];
    bytes CONSTANT bytea := convert_to(owner, 'UTF8') || '\\x00'::bytea || convert_to(id, 'UTF8');
    crc bigint := 4294967295;
    byte int;
BEGIN
    FOR n IN 0 .. length(bytes) - 1 LOOP
        byte := get_byte(bytes, n);
        crc := steps[((crc # byte) & 15) + 1] # (crc >> 4);
        crc := steps[((crc # (byte >> 4)) & 15) + 1] # (crc >> 4);
    END LOOP;
    RETURN ((crc # 1023) >> 6) & 15;
END $$;
ALTER TABLE agenda ADD COLUMN share smallint;
UPDATE agenda SET share = share_of(owner, id);
ALTER TABLE agenda ALTER COLUMN share SET NOT NULL;
CREATE INDEX agenda_by_share ON agenda (share, due_us, owner, id, key, what);
DROP FUNCTION share_of"""

MIGRATIONS = (_FIRST, _WHAT_NODES_SAY, _SHARES_OF_THE_AGENDA)

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('actorium ' || $1, 0))"
_HAS_SCHEMA = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)"
# By the catalogue, because a missing table is not an error then.
_HAS_LOG = "SELECT to_regclass(format('%I.log', $1::text)) IS NOT NULL"


async def found_version(connection: Connection, schema: str) -> int:
    """Return the number of the schema's last migration, 0 if it holds no log."""
    if not await connection.fetchval(_HAS_LOG, schema):
        return 0
    return int(await connection.fetchval("SELECT schema_version FROM log") or 0)


async def migrate(connection: Connection, schema: str) -> None:
    """Migrate the schema to the newest version in one transaction; raise UnsupportedSchema for a newer one."""
    async with connection.transaction():
        await connection.execute(_LOCK, schema)  # two that start at once; it ends with the transaction
        if not await connection.fetchval(_HAS_SCHEMA, schema):
            await connection.execute(f"CREATE SCHEMA {quoted(schema)}")
        found = await found_version(connection, schema)
        _refuse_newer(found, schema)
        for number in range(found + 1, len(MIGRATIONS) + 1):
            await connection.execute(MIGRATIONS[number - 1])
        if found < len(MIGRATIONS):
            await connection.execute("UPDATE log SET schema_version = $1", len(MIGRATIONS))


async def refuse_other(connection: Connection, schema: str) -> None:
    """Raise UnsupportedSchema unless the schema has the newest version."""
    found = await found_version(connection, schema)
    _refuse_newer(found, schema)
    if found == 0:
        raise StoreUnavailable(f"schema {schema} holds no log: start the application that writes it first")
    if found < len(MIGRATIONS):
        raise UnsupportedSchema(
            f"schema {schema} has version {found}, and this Actorium reads version {len(MIGRATIONS)}, but a log "
            "opened read-only cannot be migrated; start the application on it once"
        )


def _refuse_newer(found: int, schema: str) -> None:
    if found > len(MIGRATIONS):
        raise UnsupportedSchema(
            f"schema {schema} has version {found}, and this Actorium reads versions up to {len(MIGRATIONS)}: "
            "it was written by a newer version; upgrade Actorium"
        )


def storable(value: Any) -> Any:
    """Return a value with U+2400, the symbol for NUL, in place of NUL, which PostgreSQL's text cannot hold.

    For messages of errors, which may contain anything.
    """
    return value.replace("\0", "\u2400") if isinstance(value, str) and "\0" in value else value


OWN_TABLES = frozenset(
    {"log", "nodes", "event_types", "events", "snapshots", "checkpoints", "dead_letters", "agenda", "sagas"}
    | {"submissions", "projection_states", "writer_numbers", "placement", "followers"}
)
"""The names of our own tables, which the statements of projections may only read."""
