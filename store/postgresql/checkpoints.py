"""Tables beside the log: checkpoints with their statements, dead letters, and snapshots.

Invariant: a checkpoint and everything that belongs to it are written together or not at all, and only while this node
is not fenced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from actorium.store.errors import CorruptRow, Fenced, StatementFailed
from actorium.store.event_store import DeadLetter, SaveCheckpoint, SaveFailure, Snapshot
from actorium.store.postgresql.connections.sessions import Connection
from actorium.store.postgresql.own_tables import write_changes
from actorium.store.postgresql.ownership import HOLD_FOLLOWERS, HOLD_NODE
from actorium.store.postgresql.schema import storable
from actorium.store.postgresql.statement_batches import BatchFailed, StatementBatches
from actorium.store.postgresql.statements import change_rows, run_statements
from actorium.store.sql.row_checksums import dead_letter_values, row_checksum, snapshot_checksum, verified_letters

_SAVE = """
INSERT INTO checkpoints SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[])
ON CONFLICT (name) DO UPDATE SET position = excluded.position, checksum = excluded.checksum
RETURNING name, xmin::text"""
_LOAD = "SELECT position, checksum FROM checkpoints WHERE name = $1"
_LIST_CHECKPOINTS = "SELECT name, position, checksum FROM checkpoints ORDER BY name"
_SETTLE = "DELETE FROM dead_letters WHERE processor = $1 AND position = ANY ($2::bigint[])"
_PARK = """
INSERT INTO dead_letters VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (processor, position) DO UPDATE SET
    stream_type = excluded.stream_type, stream_id = excluded.stream_id, version = excluded.version,
    event_type = excluded.event_type, error = excluded.error, traceback = excluded.traceback,
    attempts = excluded.attempts, parked_us = excluded.parked_us, discarded = excluded.discarded,
    checksum = excluded.checksum"""
_LIST_LETTERS = """
SELECT processor, stream_type, stream_id, version, position, event_type, error, traceback, attempts, parked_us,
    discarded, checksum
FROM dead_letters ORDER BY position, processor"""
_SNAPSHOTS = """
INSERT INTO snapshots
SELECT DISTINCT ON (stream_type, stream_id, fingerprint) stream_type, stream_id, fingerprint, version, checksum, state
FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::bigint[], $6::text[]) WITH ORDINALITY
    AS new (stream_type, stream_id, fingerprint, version, checksum, state, n)
WHERE EXISTS (
    SELECT FROM events
    WHERE events.stream_type = new.stream_type AND events.stream_id = new.stream_id AND events.version = new.version
) ORDER BY stream_type, stream_id, fingerprint, version DESC, n DESC
ON CONFLICT (stream_type, stream_id, fingerprint) DO UPDATE
SET version = excluded.version, checksum = excluded.checksum, state = excluded.state
WHERE excluded.version >= snapshots.version"""
# A crashed server forgets a transaction whose commit it had not flushed, and gives its id to another one. So its status
# alone proves nothing: the row that it wrote last must be there.
_STATUS = """
SELECT pg_xact_status($1::text::xid8), EXISTS (SELECT FROM checkpoints WHERE name = $2 AND xmin::text = $3)"""


class Saving:
    """One call of `EventStore.save`, which can be repeated until its outcome is known."""

    def __init__(self, checkpoints: Sequence[SaveCheckpoint], node: int, batches: StatementBatches) -> None:
        self._checkpoints = checkpoints
        self._node = node
        self._batches = batches
        self._transaction_id = ""  # of an attempt whose commit was not answered
        self._mark: _Mark | None = None  # the row that an attempt wrote last
        self._failed: dict[int, SaveFailure] = {}

    @property
    def is_in_doubt(self) -> bool:
        """Whether a commit was sent and not answered."""
        return bool(self._transaction_id)

    async def attempt(self, connection: Connection) -> Mapping[int, SaveFailure]:
        """Write the checkpoints, unless an earlier attempt did; return by index why some were not written."""
        if self._transaction_id and await _has_committed(connection, self._transaction_id, self._mark):
            return self._failed
        self._transaction_id, self._mark, self._failed = "", None, {}
        transaction = connection.transaction()
        await transaction.start()
        try:
            held = await connection.fetchval(HOLD_NODE, self._node)
            if held is None:
                raise Fenced("another runtime has taken over the log; no checkpoint was written: stop this runtime")
            await self._write(connection)
        except BaseException:
            if not connection.is_closed():
                await transaction.rollback()
            raise
        self._transaction_id = held
        await transaction.commit()
        self._transaction_id = ""
        return self._failed

    async def _write(self, connection: Connection) -> None:
        await self._refuse_foreign(connection)
        plain: dict[str, int] = {}  # what cannot fail alone is written in one statement
        for index, checkpoint in enumerate(self._checkpoints):
            if index in self._failed:
                continue
            has_results = checkpoint.statements or checkpoint.rows or checkpoint.changes
            if not (has_results or checkpoint.settled or checkpoint.parked):
                plain[checkpoint.name] = checkpoint.position
                continue
            if checkpoint.name in plain:
                self._mark = await _save_positions(connection, plain)
                plain = {}
            try:
                await self._save(connection, checkpoint)
            except StatementFailed as failure:
                self._failed[index] = failure
        if plain:
            self._mark = await _save_positions(connection, plain)

    async def _refuse_foreign(self, connection: Connection) -> None:
        """Do not write the checkpoints of followers that belong to other nodes."""
        names = {one.follower for one in self._checkpoints if one.follower}
        if not names:
            return
        held = {name for (name,) in await connection.fetch(HOLD_FOLLOWERS, sorted(names), self._node)}
        for index, one in enumerate(self._checkpoints):
            if one.follower and one.follower not in held:
                self._failed[index] = Fenced(f"{one.follower} belongs to another node: nothing of it was saved")

    async def _save(self, connection: Connection, checkpoint: SaveCheckpoint) -> None:
        try:
            async with connection.transaction():  # a savepoint
                mark = await _save(connection, checkpoint, self._batches)
        except BatchFailed:
            async with connection.transaction():
                mark = await _save(connection, checkpoint, None)
        self._mark = mark


class _Mark(NamedTuple):
    """A checkpoint's row as one transaction wrote it; no other transaction writes the same `writer`."""

    name: str
    writer: str


async def _has_committed(connection: Connection, transaction_id: str, mark: _Mark | None) -> bool:
    """Whether a transaction committed what it wrote; raise an error of the server while it is still running."""
    if mark is None:
        return False  # it wrote nothing
    row = await connection.fetchrow(_STATUS, transaction_id, *mark)
    assert row is not None, "a query without a table has one row"
    status, is_there = row
    if status == "in progress":
        raise TimeoutError("the transaction of the last attempt is still running")
    return bool(is_there)


async def _save(connection: Connection, checkpoint: SaveCheckpoint, batches: StatementBatches | None) -> _Mark:
    await write_changes(connection, checkpoint.changes)
    if batches is None or not await batches.run(connection, checkpoint.statements):
        await run_statements(connection, checkpoint.statements)
    await change_rows(connection, checkpoint.rows)
    if checkpoint.settled:
        await connection.execute(_SETTLE, checkpoint.name, list(checkpoint.settled))
    if checkpoint.parked:
        letters = [tuple(map(storable, dead_letter_values(letter))) for letter in checkpoint.parked]
        await connection.executemany(_PARK, [(*values, row_checksum(values)) for values in letters])
    return await _save_positions(connection, {checkpoint.name: checkpoint.position})


async def _save_positions(connection: Connection, positions: Mapping[str, int]) -> _Mark:
    checksums = [row_checksum(row) for row in positions.items()]
    rows = await connection.fetch(_SAVE, list(positions), list(positions.values()), checksums)
    return _Mark(*rows[-1])


async def load_checkpoint(connection: Connection, name: str) -> int:
    """Return the saved position of a processor, 0 if there is none; raise CorruptRow.

    If there is none, all rows are checked: the damaged value may be the name.
    """
    row = await connection.fetchrow(_LOAD, name)
    if row is not None:
        return _checked_position(name, *row)
    for other in await connection.fetch(_LIST_CHECKPOINTS):
        _checked_position(*other)
    return 0


def _checked_position(name: str, position: int, checksum: int) -> int:
    if checksum != row_checksum((name, position)):
        raise CorruptRow(
            f"the checkpoint of {name!r} does not match its checksum: a disk error or a manual edit changed it"
        )
    return position


async def dead_letters(connection: Connection, processor: str | None) -> list[DeadLetter]:
    """Return the dead letters of one processor or of all, in log order; raise CorruptRow."""
    return verified_letters(await connection.fetch(_LIST_LETTERS), processor)


async def save_snapshots(connection: Connection, snapshots: Sequence[Snapshot]) -> None:
    """Write the newest snapshot of each stream and fingerprint, except those whose event is not in the log."""
    rows: list[tuple[Any, ...]] = [
        (one.stream.type, one.stream.id, one.fingerprint, one.version, snapshot_checksum(one), one.state.decode())
        for one in snapshots
    ]
    await connection.execute(_SNAPSHOTS, *map(list, zip(*rows, strict=True)))
