"""The nodes of a log, and its placement: the statements that join, renew, fence and place.

`nodes` has a row for each node; `log.writers` names the writer of each. `placement` has one row, which is only replaced
as a whole, from the version that the writer has seen. `followers` has a row for each follower that a node owns: saving
a checkpoint of a follower locks it, so no other node gets it in the middle of a save.

A node that is not in `nodes` is gone for ever: its number is not used again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from actorium.store.errors import StoreInUse
from actorium.store.postgresql.connections.sessions import Connection
from actorium.store.postgresql.ownership import NEXT_WRITER, Ownership, fenced
from actorium.store.shared import NODES_MAX, SHARDS, Member, Members, Placement

_HAS_SESSION = """EXISTS (
    SELECT FROM pg_stat_activity
    WHERE pid = session_pid AND coalesce(backend_start, session_started) = session_started
)"""
_LOCK_LOG = "SELECT FROM log FOR UPDATE"
# Who keeps a node from joining: another with its name, or a runtime that holds the log without a cluster.
_OBSTACLES = f"""
SELECT id, name, expires > clock_timestamp() AS has_lease, {_HAS_SESSION} AS has_session
FROM nodes WHERE name = $1 OR NOT is_shared ORDER BY id"""
_REMOVE = "DELETE FROM nodes WHERE id = ANY ($1::bigint[])"
_COUNT = "SELECT count(*) FROM nodes"
_ENTER = """
INSERT INTO nodes (writer, name, code, about, is_shared, is_passive, expires, session_pid, session_started)
SELECT $1, $2, $3, $5, true, true, clock_timestamp() + $4 * interval '1 second', pid, backend_start
FROM pg_stat_activity WHERE pid = pg_backend_pid() RETURNING id"""
_NAME_WRITERS = "UPDATE log SET writers = (SELECT coalesce(array_agg(writer ORDER BY id), '{}') FROM nodes)"
# One statement, so that the members and the version of the placement belong together.
_RENEW = f"""
WITH renewed AS (
    UPDATE nodes SET expires = clock_timestamp() + $2 * interval '1 second', session_pid = pid,
        session_started = backend_start, is_passive = $3
    FROM pg_stat_activity WHERE id = $1 AND pid = pg_backend_pid() RETURNING id
)
SELECT id, name, code, CASE WHEN id <> ALL ($4::bigint[]) THEN about END, expires > clock_timestamp(), {_HAS_SESSION},
    is_passive, (SELECT version FROM placement) AS version, (SELECT count(*) FROM renewed) AS renewed
FROM nodes WHERE is_shared ORDER BY id"""
_MEMBERS = f"""
SELECT id, name, code, about, expires > clock_timestamp(), {_HAS_SESSION}, is_passive
FROM nodes WHERE is_shared ORDER BY id"""
_HOLD = "SELECT writer FROM nodes WHERE id = $1 FOR KEY SHARE"
_FENCE = f"""
DELETE FROM nodes WHERE id = $1 AND is_shared AND (expires <= clock_timestamp() OR NOT {_HAS_SESSION})
RETURNING writer"""
_TAKE_OUT = "UPDATE log SET writers = array_remove(writers, $1::bigint)"
# One statement, so that one round trip and one look at the tables.
_PLACEMENT = """
SELECT version, shards,
    ARRAY (SELECT name FROM followers ORDER BY name), ARRAY (SELECT owner FROM followers ORDER BY name)
FROM placement"""
# Several nodes hand over at once, so each writes quickly, or learns quickly that another was first. The first row keeps
# this node from being fenced meanwhile. The version that is replaced was read, so this statement sees its followers.
_PLACE = """
WITH me AS (SELECT id FROM nodes WHERE id = $1 FOR KEY SHARE),
placed AS (
    UPDATE placement SET version = $2, shards = $3 WHERE version = $2 - 1 AND EXISTS (SELECT FROM me) RETURNING version
),
dropped AS (DELETE FROM followers WHERE name <> ALL ($4::text[]) AND EXISTS (SELECT FROM placed)),
put AS (
    INSERT INTO followers SELECT * FROM unnest($4::text[], $5::bigint[]) WHERE EXISTS (SELECT FROM placed)
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner WHERE followers.owner <> excluded.owner
)
SELECT EXISTS (SELECT FROM me) AS is_member, EXISTS (SELECT FROM placed) AS is_placed"""

# Who is second waits for the first and begins with what that one has written, so nobody has to try again.
_PASS_ON = """
WITH me AS (SELECT id FROM nodes WHERE id = $1 FOR KEY SHARE),
placed AS (
    UPDATE placement SET version = version + 1, shards = ARRAY (
        SELECT CASE WHEN owner = $1 AND given <> 0 THEN given ELSE owner END
        FROM unnest(shards, $2::bigint[]) WITH ORDINALITY AS each (owner, given, n) ORDER BY n
    )
    WHERE EXISTS (SELECT FROM me) RETURNING version
)
SELECT EXISTS (SELECT FROM placed)"""


class Obstacle(NamedTuple):
    """A node that keeps another from joining, while it has a lease and a session."""

    id: int
    name: str
    has_lease: bool
    has_session: bool


async def obstacles(connection: Connection, name: str) -> list[Obstacle]:
    """Return what keeps a node with this name from joining."""
    return [Obstacle(*row) for row in await connection.fetch(_OBSTACLES, name)]


async def enter(
    connection: Connection, name: str, code: str, about: str, lease_s: float, gone: list[Obstacle]
) -> Ownership | None:
    """Make a node a member and fence those that are gone; return None if somebody else joined meanwhile.

    Raises StoreInUse if there are too many nodes.
    """
    async with connection.transaction():
        await connection.execute(_LOCK_LOG)
        if [one.id for one in await obstacles(connection, name)] != [one.id for one in gone]:
            return None
        await connection.execute(_REMOVE, [one.id for one in gone])
        if await connection.fetchval(_COUNT) >= NODES_MAX:
            raise StoreInUse(f"the log has {NODES_MAX} nodes already: stop one of them first")
        writer = await connection.fetchval(NEXT_WRITER)
        node = await connection.fetchval(_ENTER, writer, name, code, lease_s, about)
        await connection.execute(_NAME_WRITERS)
    return Ownership(node, writer)


async def renew(
    connection: Connection, owned: Ownership, lease_s: float, known: Mapping[int, str], *, is_passive: bool
) -> Members:
    """Extend the lease of a node and return all nodes; raise Fenced if it is not a member.

    known: what nodes said of themselves when they joined; it is not read again.
    """
    rows = await connection.fetch(_RENEW, owned.node, lease_s, is_passive, [*known])
    if not rows or not rows[0]["renewed"]:
        raise fenced(owned.writer)
    nodes: list[Member] = []
    for id, name, code, about, has_lease, has_session, leaves, *_ in rows:
        is_me = id == owned.node  # the row as it was before this statement
        signs = (has_lease or is_me, has_session or is_me, is_passive if is_me else leaves)
        nodes.append(Member(id, name, code, known.get(id, about), *signs))
    return Members(tuple(nodes), rows[0]["version"])


async def fence(connection: Connection, owned: Ownership, node: int) -> bool:
    """Remove a node that is gone; return False if it is not gone, or not there."""
    async with connection.transaction():
        await _hold(connection, owned)
        writer = await connection.fetchval(_FENCE, node)
        if writer is None:
            return False
        await connection.execute(_TAKE_OUT, writer)
    return True


async def state(connection: Connection) -> tuple[Members, Placement]:
    """Return the nodes and the placement."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        nodes = [Member(*row) for row in await connection.fetch(_MEMBERS)]
        found = await placement(connection)
    return Members(tuple(nodes), found.version), found


async def placement(connection: Connection) -> Placement:
    """Return the current placement."""
    row = await connection.fetchrow(_PLACEMENT)
    assert row is not None, "the placement has one row"
    version, shards, names, owners = row
    return Placement(version, tuple(shards), dict(zip(names, owners, strict=True)))


async def place(connection: Connection, owned: Ownership, after: Placement) -> bool:
    """Replace the placement, unless its version has changed; raise Fenced if the node is not a member."""
    owners = {name: owner for name, owner in after.followers.items() if owner}
    written = (list(after.shards), list(owners), list(owners.values()))
    row = await connection.fetchrow(_PLACE, owned.node, after.version, *written)
    assert row is not None, "it says what became of the statement"
    if not row["is_member"]:
        raise fenced(owned.writer)
    return bool(row["is_placed"])


async def pass_on(connection: Connection, owned: Ownership, shards: Mapping[int, int]) -> None:
    """Give shards of a node to others; raise Fenced if the node is not a member."""
    if not await connection.fetchval(_PASS_ON, owned.node, [shards.get(shard, 0) for shard in range(SHARDS)]):
        raise fenced(owned.writer)


async def _hold(connection: Connection, owned: Ownership) -> None:
    """Keep this node from being fenced until the transaction ends; raise Fenced if it was."""
    if await connection.fetchval(_HOLD, owned.node) is None:
        raise fenced(owned.writer)
