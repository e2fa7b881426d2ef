"""The tables of the log in SQLite, and their history as numbered migrations.

Migration n turns schema n - 1 into schema n; `PRAGMA user_version` holds the number. A released migration is never
edited: a change is a new migration at the end.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache

from actorium.store.errors import CorruptStore, UnsupportedSchema
from actorium.store.guard import is_foreign
from actorium.store.sql.checkpoints import CHECKSUMS_SCHEMA, DEAD_LETTERS_SCHEMA
from actorium.store.sql.own_sql import OWN_TABLES, OWN_TABLES_SCHEMA

# "Acto": marks the file as ours for the `file` command and for us.
APPLICATION_ID = 0x4163746F

_LOG_VIEW = """CREATE VIEW log AS
SELECT
    events.position AS position,
    streams.type AS stream_type,
    streams.name AS stream_id,
    events.version AS version,
    event_types.name AS type,
    event_types.schema_version AS schema_version,
    events.payload AS payload,
    events.metadata AS metadata,
    strftime('%Y-%m-%dT%H:%M:%S', events.recorded_us / 1000000, 'unixepoch')
        || printf('.%06dZ', events.recorded_us % 1000000) AS recorded_at
FROM events
LEFT JOIN streams ON streams.id = events.stream
LEFT JOIN event_types ON event_types.id = events.type;
"""

# The last event of a command carries the command. That costs one more index entry, but the events of a whole batch with
# their commands are a single statement, which is a complete transaction.
_FIRST = f"""
CREATE TABLE streams (
    id INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (type, name)
);
CREATE TABLE event_types (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    schema_version INTEGER NOT NULL,
    UNIQUE (name, schema_version)
);
CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    version INTEGER NOT NULL,
    type INTEGER NOT NULL,
    payload TEXT NOT NULL,
    metadata TEXT NOT NULL,
    recorded_us INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    command_id TEXT,
    command_events INTEGER,
    command_fingerprint INTEGER,
    UNIQUE (stream, version)
);
CREATE UNIQUE INDEX commands ON events (command_id) WHERE command_id IS NOT NULL;
CREATE TABLE checkpoints (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE snapshots (
    stream INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (stream, fingerprint)
);
{_LOG_VIEW}"""

# From here on the marks of commands have a checksum, in the column that counts their events.
_MARKS = ""

# From here on a type is written in the transaction of its first event; before, it could exist without events.
_FIRST_POSITIONS = """
ALTER TABLE event_types ADD COLUMN first_position INTEGER;
UPDATE event_types SET first_position = firsts.position
    FROM (SELECT type, min(position) AS position FROM events GROUP BY type) AS firsts
    WHERE firsts.type = event_types.id;
DELETE FROM event_types WHERE first_position IS NULL
"""

# Indexes of the flow that an event's command belongs to, and of the event that caused it. A command that names neither
# has no entry and costs nothing. The text search comes first because it is faster than parsing JSON. Damaged JSON has
# no entry, so that an index can be checked and rebuilt.
LINKED = {
    name: f"""instr(metadata, '"{name}":"') AND json_valid(metadata) AND json_extract(metadata, '$.{name}')"""
    for name in ("causation_id", "correlation_id")
}
_LINKS = ";\n".join(
    f"CREATE INDEX by_{name} ON events (json_extract(metadata, '$.{name}')) "
    f"""WHERE instr(metadata, '"{name}":"') AND json_valid(metadata)"""
    for name in LINKED
)

# From here on the index of streams is a table that is written later than the events (see streams/index.py). The table
# of events is written anew, because a UNIQUE constraint cannot be dropped. `complement` protects the mark's position.
_STREAM_VERSIONS = f"""
CREATE TABLE stream_versions (
    stream INTEGER NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (stream, version)
) WITHOUT ROWID;
CREATE TABLE stream_versions_mark (
    position INTEGER NOT NULL,
    complement INTEGER NOT NULL
);
INSERT INTO stream_versions (stream, version, position)
    SELECT stream, version, position FROM events ORDER BY stream, version;
INSERT INTO stream_versions_mark (position, complement)
    SELECT coalesce(max(position), 0), ~coalesce(max(position), 0) FROM events;
DROP VIEW log;
CREATE TABLE events_of_schema_8 (
    position INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    version INTEGER NOT NULL,
    type INTEGER NOT NULL,
    payload TEXT NOT NULL,
    metadata TEXT NOT NULL,
    recorded_us INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    command_id TEXT,
    command_events INTEGER,
    command_fingerprint INTEGER
);
INSERT INTO events_of_schema_8 SELECT * FROM events ORDER BY position;
DROP TABLE events;
ALTER TABLE events_of_schema_8 RENAME TO events;
CREATE UNIQUE INDEX commands ON events (command_id) WHERE command_id IS NOT NULL;
{_LINKS};
{_LOG_VIEW}"""

MIGRATIONS = (
    _FIRST,
    DEAD_LETTERS_SCHEMA,
    CHECKSUMS_SCHEMA,
    _MARKS,
    OWN_TABLES_SCHEMA,
    _FIRST_POSITIONS,
    _LINKS,
    _STREAM_VERSIONS,
)

# The names that a projection may have given to a view before they became those of tables.
_TAKEN_LATER = OWN_TABLES | {"stream_versions", "stream_versions_mark"}


def refuse_foreign(db: sqlite3.Connection, path: str) -> None:
    """Raise UnsupportedSchema if the database is not ours, or is from a newer Actorium; nothing is written."""
    found = _schema_version(db)
    application_id = db.execute("PRAGMA application_id").fetchone()[0]
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    if (names or found) and application_id != APPLICATION_ID:
        raise UnsupportedSchema(
            f"{path} is not an Actorium log: it has other tables ({', '.join(names[:3]) or 'none'}); give the store "
            "its own file"
        )
    if found > len(MIGRATIONS):
        raise UnsupportedSchema(
            f"{path} has schema {found}, but this Actorium reads schemas up to {len(MIGRATIONS)}: it was written by a "
            "newer version; upgrade Actorium"
        )


def migrate(db: sqlite3.Connection, path: str) -> None:
    """Migrate the database to the newest schema in one transaction.

    Raises CorruptStore if the database defines one of our tables differently.
    """
    found = _schema_version(db)
    if found < len(MIGRATIONS):
        _migrate(db, found)
    _refuse_damaged(db, path)


def refuse_older(db: sqlite3.Connection, path: str) -> None:
    """Raise UnsupportedSchema if the database needs a migration, or CorruptStore as `migrate` does."""
    found = _schema_version(db)
    if found < len(MIGRATIONS):
        raise UnsupportedSchema(
            f"{path} has schema {found}, but this Actorium reads schema {len(MIGRATIONS)}, and a log opened read-only "
            "cannot be migrated; start the application on it once, or on a copy"
        )
    _refuse_damaged(db, path)


def _migrate(db: sqlite3.Connection, found: int) -> None:
    db.execute("PRAGMA legacy_alter_table = 1")  # a renaming looks at no view
    db.execute("BEGIN IMMEDIATE")
    try:
        _drop_views(db)
        for number in range(found + 1, len(MIGRATIONS) + 1):
            for statement in _statements(number):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute("COMMIT")
    except BaseException:
        db.rollback()
        raise
    finally:
        db.execute("PRAGMA legacy_alter_table = 0")


def _drop_views(db: sqlite3.Connection) -> None:
    """Drop views that use the names of our own tables: a projection may have given such a name to one of its tables."""
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'view'")]
    for name in _TAKEN_LATER.intersection(names):
        db.execute(f"DROP VIEW {name}")


def _statements(number: int) -> list[str]:
    return [statement for statement in MIGRATIONS[number - 1].split(";\n") if statement.strip()]


def _schema_version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _refuse_damaged(db: sqlite3.Connection, path: str) -> None:
    """Refuse changed definitions: SQLite trusts them, so one flipped bit can make a full table look empty."""
    found, own = _definitions(db), _own_definitions()
    for name, definition in own.items():
        if found.get(name) != definition:
            raise CorruptStore(
                f"{path} is damaged: its definition of {name} is not the one that Actorium created, so nothing in it "
                "can be trusted; restore a backup"
            )
    _refuse_additions(db, path)


def _refuse_additions(db: sqlite3.Connection, path: str) -> None:
    """Refuse a trigger, an index or a view that was not made through the store: it can change what a commit writes."""
    own = own_names()
    found = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
    additions = [
        (kind, name, f"on {table}" if kind in ("index", "trigger") else "")
        for kind, name, table, sql in found.fetchall()
        if name.lower() not in own
        and (is_foreign(kind, name, table, sql) or (kind in ("index", "trigger") and table.lower() in own))
    ]
    if additions:
        kind, name, _ = additions[0]
        raise UnsupportedSchema(
            f"{path} contains objects that Actorium did not create: "
            f"{', '.join(' '.join(one).rstrip() for one in additions[:5])}; "
            f'remove them (DROP {kind.upper()} "{name}") while no process has the file open'
        )


def _definitions(db: sqlite3.Connection) -> dict[str, str]:
    rows = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: " ".join(str(sql).split()) for name, sql in rows}


def own_names() -> frozenset[str]:
    """Return the lower-case names of everything in our schema; no user statement may change any of it."""
    return frozenset(name.lower() for name in _own_definitions())


def checked_tables() -> frozenset[str]:
    """Return the names of the tables whose rows have their own checksums, or that are compared whole."""
    return (frozenset(_own_definitions()) - OWN_TABLES) | {"sqlite_schema"}


@cache
def _own_definitions() -> dict[str, str]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        _migrate(db, 0)
        return _definitions(db)
