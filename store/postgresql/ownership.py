"""Who may write the log: leases say when a writer may be replaced, the log's row says who may append.

A writer that is replaced is no longer named in the row. Its append finds no row then and writes nothing, however late
it arrives. Its node's row is deleted in the same transaction, which stops its checkpoints in the same way: saving one
locks that row (`HOLD_NODE`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import asyncpg

from actorium.store.errors import Fenced
from actorium.store.postgresql.connections.sessions import Connection

NEXT_WRITER = "SELECT nextval('writer_numbers')"
_ENTER = """
INSERT INTO nodes (writer, name, expires, session_pid, session_started)
SELECT $1, $2, clock_timestamp() + $3 * interval '1 second', pid, backend_start
FROM pg_stat_activity WHERE pid = pg_backend_pid() RETURNING id"""
# Other roles' sessions show no `backend_start`; their process id has to do.
_LOOK = """
SELECT writers, string_agg(nodes.name, ', ' ORDER BY nodes.id) AS name, bool_or(EXISTS (
    SELECT FROM pg_stat_activity
    WHERE pid = session_pid AND coalesce(backend_start, session_started) = session_started
)) AS has_session
FROM log LEFT JOIN nodes ON nodes.writer = ANY (log.writers) AND expires > clock_timestamp()
GROUP BY writers"""
_TAKE = "UPDATE log SET writers = ARRAY[$1::bigint] WHERE writers = $2::bigint[]"
_REMOVE_OTHERS = "DELETE FROM nodes WHERE id <> $1"
_WAIT_FOR_SAVES = "SET LOCAL lock_timeout = '500ms'"
# The sessions that hold a node. A process that is frozen between two messages of a save would keep its node for ever:
# the server's time limits apply only while it is waiting for a new statement, or working on one.
_END_SAVES = """
SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'relation' AND relation = 'nodes'::regclass AND mode = 'RowShareLock' AND granted
    AND datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"""
_REPLACE = "UPDATE log SET writers = array_replace(writers, $1::bigint, $2::bigint) WHERE $1 = ANY (writers)"
_WRITER_OF = "SELECT writer FROM nodes WHERE id = $1"
_RENUMBER = "UPDATE nodes SET writer = $2 WHERE id = $1"
_RENEW = """
UPDATE nodes SET expires = clock_timestamp() + $2 * interval '1 second', session_pid = pid,
    session_started = backend_start
FROM pg_stat_activity WHERE id = $1 AND pid = pg_backend_pid()"""
_LEAVE = "UPDATE log SET writers = array_remove(writers, $1::bigint)"
_REMOVE = "DELETE FROM nodes WHERE id = $1"

HOLD_NODE = "SELECT pg_current_xact_id()::text FROM nodes WHERE id = $1 FOR KEY SHARE"
"""Returns the transaction's id, and keeps the node from being fenced until it ends; no row if it already was."""

HOLD_FOLLOWERS = "SELECT name FROM followers WHERE name = ANY ($1::text[]) AND owner = $2 FOR SHARE"
"""Returns the followers among these that a node owns, and keeps them its own until the transaction ends."""


class Holding(NamedTuple):
    """Who may write the log at one moment.

    writers: what the log's row names.
    name: the runtime or the nodes that hold the log; empty if none does, or only one whose lease has run out.
    has_session: a connection of theirs is there. It ends with the process, so a killed runtime loses it at once.
    """

    writers: Sequence[int]
    name: str
    has_session: bool


class Ownership(NamedTuple):
    """What makes a store the owner of the log: its node, and the number of its writer."""

    node: int
    writer: int


async def look(connection: Connection) -> Holding:
    """Return who holds the log."""
    row = await connection.fetchrow(_LOOK)
    assert row is not None, "the log has one row"
    return Holding(row["writers"], row["name"] or "", row["has_session"])


async def take(connection: Connection, before: Holding, name: str, lease_s: float) -> Ownership | None:
    """Take the log, and fence whoever held it; return None if its writers are not those of `before` any more."""
    async with connection.transaction():
        writer = await connection.fetchval(NEXT_WRITER)
        if _count(await connection.execute(_TAKE, writer, before.writers)) == 0:
            return None
        node = await connection.fetchval(_ENTER, writer, name, lease_s)
        await _remove_others(connection, node)
    return Ownership(node, writer)


async def _remove_others(connection: Connection, node: int) -> None:
    """Remove the former holder's node, which waits for a save that is under way, but not for one that stands still."""
    try:
        async with connection.transaction():
            await connection.execute(_WAIT_FOR_SAVES)
            await connection.execute(_REMOVE_OTHERS, node)
    except asyncpg.LockNotAvailableError:
        await connection.execute(_END_SAVES)
        await connection.execute(_REMOVE_OTHERS, node)


async def renew(connection: Connection, owned: Ownership, lease_s: float) -> bool:
    """Extend the lease; return False if the log was taken over."""
    return _count(await connection.execute(_RENEW, owned.node, lease_s)) == 1


async def replace(connection: Connection, owned: Ownership) -> Ownership:
    """Continue under another writer number, so that nothing that the old one sent can be written any more.

    It waits for an append of the old number that is under way. Raises Fenced if the log was taken over.
    """
    async with connection.transaction():
        # By the node's row: an earlier call may have committed without an answer.
        current = await connection.fetchval(_WRITER_OF, owned.node)
        writer = await connection.fetchval(NEXT_WRITER)
        if current is None or _count(await connection.execute(_REPLACE, current, writer)) == 0:
            raise fenced(owned.writer)
        await connection.execute(_RENUMBER, owned.node, writer)
    return owned._replace(writer=writer)


async def give_back(connection: Connection, owned: Ownership) -> None:
    """Leave the log to the next one."""
    async with connection.transaction():
        await connection.execute(_LEAVE, owned.writer)
        await connection.execute(_REMOVE, owned.node)


def fenced(writer: int) -> Fenced:
    """Return the error of a writer that the log does not name any more."""
    return Fenced(
        f"writer {writer} lost the log to another runtime, and nothing was written: stop this runtime; if it is "
        "started again, it stands by"
    )


def _count(status: Any) -> int:
    """Return the number of rows in the status of a statement, such as `UPDATE 1`."""
    return int(str(status).rpartition(" ")[2])
