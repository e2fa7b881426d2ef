"""The writing side of the log in SQLite: one batch, one transaction.

Everything here runs on the writing connection's thread, so commits never overlap. Cancelling a caller changes nothing:
its commit runs to its end.

Invariants between two commits:
- no transaction is open;
- unless `_is_stale`, the positions, heads, types and recent events remembered here are those of the database. Any
  failure in a commit makes them stale, and the next commit reads them again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from actorium.store.errors import ActoriumError, CommitUnknown, CorruptStore, StatementFailed, StoreUnavailable
from actorium.store.event_store import Append, AppendBatch, Appended, SaveCheckpoint, Snapshot
from actorium.store.events import kind_bytes, stream_checksum
from actorium.store.guard import StatementGuard
from actorium.store.log import logger
from actorium.store.names import CommandRecord, StreamName
from actorium.store.sql.checkpoints import save_checkpoint
from actorium.store.sql.row_checksums import snapshot_checksum
from actorium.store.sql.stream_heads import StreamHead, StreamHeads
from actorium.store.sqlite.integrity.damage import is_damage
from actorium.store.sqlite.marks import FIND_COMMANDS, command_record
from actorium.store.sqlite.packed import PRIMARY_CODE, HeadQuery, last_event
from actorium.store.sqlite.plan import EVENT_COLUMN_COUNT, EVENT_COLUMNS, EventType, WritePlan
from actorium.store.sqlite.rows import RowStatement
from actorium.store.sqlite.schema import own_names
from actorium.store.sqlite.streams.index import RUN_EVENTS, StreamIndex
from actorium.store.sqlite.streams.recent import RecentEvents
from actorium.store.writers.joint_writes import Written

# The first release without the WAL-reset bug. The bug needs two writing connections to one file. We have one; another
# tool that opens the file beside us may be the second.
_WAL_RESET_MENDED = (3, 51, 3)

# About 400 bytes each: 40 MB at most.
STREAM_HEADS_MAX = 100_000

_INSERT_EVENTS = f"INSERT INTO events ({EVENT_COLUMNS}) SELECT * FROM (VALUES {{rows}}) WHERE column1 IS NOT NULL"
_INSERT_STREAMS = "INSERT INTO streams (id, type, name) SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
_PLACE_TYPE = (
    "UPDATE event_types SET first_position = "
    "(SELECT position FROM events WHERE type = ? AND position > ? ORDER BY position LIMIT 1) WHERE id = ?"
)
_SAVE_SNAPSHOT = (
    "INSERT INTO snapshots (stream, fingerprint, version, state, checksum) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET version = excluded.version, state = excluded.state, checksum = excluded.checksum "
    "WHERE excluded.version >= version"
)


class _EventTypes(dict[tuple[str, int], EventType]):
    """The types of events by name and schema version.

    A new type is written in the transaction of its first event, which starts here. `new` holds the ids of the types
    whose first position is not written yet.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        super().__init__()
        self._db = db
        self.new: list[int] = []

    def __missing__(self, key: tuple[str, int]) -> EventType:
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")
        cursor = self._db.execute("INSERT INTO event_types (name, schema_version) VALUES (?, ?)", key)
        assert cursor.lastrowid is not None
        self.new.append(cursor.lastrowid)
        self[key] = event_type = (cursor.lastrowid, kind_bytes(*key))
        return event_type

    def learn(self) -> None:
        """Read the types again."""
        self.clear()
        self.new.clear()
        for name, schema_version, type_id in self._db.execute("SELECT name, schema_version, id FROM event_types"):
            self[name, schema_version] = (type_id, kind_bytes(name, schema_version))

    def place_new(self, after_position: int) -> None:
        """Write the first position of each new type; its first event is after this position, uncommitted."""
        self._db.executemany(_PLACE_TYPE, [(type_id, after_position, type_id) for type_id in self.new])
        self.new.clear()


class Journal:
    """The writer's knowledge of the log, and the commit of a batch.

    Readers of the log may offer heads to `heads`, and look up events in `recent`, from their own threads.

    Raises CorruptStore if the newest events do not follow those in the index of streams.
    """

    __slots__ = (
        "_events",
        "_find_commands",
        "_find_heads",
        "_guard",
        "_index",
        "_is_stale",
        "_next_position",
        "_next_stream",
        "_recorded_us",
        "_streams",
        "_types",
        "heads",
        "recent",
    )

    def __init__(
        self, db: sqlite3.Connection, *, stream_heads_max: int = STREAM_HEADS_MAX, run_events: int = RUN_EVENTS
    ) -> None:
        self._events = RowStatement(_INSERT_EVENTS, EVENT_COLUMN_COUNT, db=db)
        self._streams = RowStatement(_INSERT_STREAMS, 3, db=db)
        self._find_heads = HeadQuery(db)
        self._find_commands = RowStatement(FIND_COMMANDS, 1, db=db)
        self._guard = StatementGuard(own_names(), reads_only=False)
        self.heads = StreamHeads(stream_heads_max)
        self.recent = RecentEvents()
        self._index = StreamIndex(db, self.recent, run_events)
        self._index.open(db)
        self._types = _EventTypes(db)
        self._next_position = 1
        self._next_stream = 1
        self._recorded_us = 0
        self._is_stale = True

    @property
    def position(self) -> int:
        """The position of the last event, after a commit."""
        return self._next_position - 1

    def close(self, db: sqlite3.Connection) -> None:
        """Complete the index, so that the next opening has no events to read; no commit may follow."""
        if self._is_stale:
            self._index.refresh(db)
        self._index.complete(db)

    def knows(self, batch: AppendBatch) -> bool:
        """Return whether a commit of the batch reads nothing, and writes nothing but its events."""
        if batch.snapshots or self._is_stale or self._index.is_due:
            return False
        known = self.heads.get
        for append in batch.appends:
            mark = append.command
            if known(append.stream) is None or (mark is not None and not mark.fresh):
                return False
        return True

    def commit(self, db: sqlite3.Connection, batch: AppendBatch, checkpoints: Sequence[SaveCheckpoint] = ()) -> Written:
        """Write a batch and checkpoints in one transaction; if it raises, no transaction is left open."""
        try:
            try:
                return self._commit(db, batch, checkpoints, trusting=True)
            except sqlite3.IntegrityError:
                # The database contradicts our memory: another program wrote, or a `fresh` command id was not new.
                # Look everything up, so that only the append at fault fails.
                expected = None if self._is_stale else self._next_position
                self._give_up(db)
                return self._commit(db, batch, checkpoints, trusting=False, expected=expected)
        except BaseException:
            self._give_up(db)
            raise

    def _give_up(self, db: sqlite3.Connection) -> None:
        self._is_stale = True
        if db.in_transaction:
            db.rollback()

    def _commit(
        self,
        db: sqlite3.Connection,
        batch: AppendBatch,
        checkpoints: Sequence[SaveCheckpoint],
        *,
        trusting: bool,
        expected: int | None = None,
    ) -> Written:
        if not trusting:
            db.execute("BEGIN IMMEDIATE")
        if self._is_stale:
            self._refresh(db)
            if expected is not None and self._next_position > expected:
                _warn_of_second_writer(expected)
        plan = self._plan(db, batch, trusting=trusting)
        self._announce(db, plan)
        failed = self._write(db, plan, checkpoints, batch.snapshots)
        self._index.committed(plan.next_position - self._next_position)
        for stream in plan.refused:
            self.heads.drop(stream)
        self.heads.forget()
        self._next_stream = plan.next_stream
        if plan.next_position > self._next_position:
            self._next_position = plan.next_position
            self._recorded_us = plan.recorded_us
        return Written(Appended(plan.outcomes, plan.recorded_us), failed)

    def _refresh(self, db: sqlite3.Connection) -> None:
        self.heads.clear()
        self._index.refresh(db)
        # Another program may write in between: the position tells.
        self._next_position, self._recorded_us = self.recent.end + 1, last_event(db).recorded_us
        self._next_stream = db.execute("SELECT coalesce(max(id), 0) + 1 FROM streams").fetchone()[0]
        self._types.learn()
        self._is_stale = False

    def _plan(self, db: sqlite3.Connection, batch: AppendBatch, *, trusting: bool) -> WritePlan:
        appends = batch.appends
        heads = self._heads_of(db, batch, trusting=trusting)
        plan = WritePlan(
            next_position=self._next_position,
            next_stream=self._next_stream,
            recorded_us=max(batch.recorded_us, self._recorded_us),
            heads=self.heads,
            commands=self._commands_of(db, appends, trusting=trusting),
        )
        add, types = plan.add, self._types
        for append, head in zip(appends, heads, strict=True):
            add(append, head, types)
        return plan

    def _heads_of(self, db: sqlite3.Connection, batch: AppendBatch, *, trusting: bool) -> list[StreamHead | None]:
        """Return the remembered or offered head for each append's stream; None for one that must be looked up."""
        remembered, take, newest = self.heads.get, self.heads.take, self.recent.newest
        heads: list[StreamHead | None] = []
        unknown: dict[StreamName, None] = {}
        for append in batch.appends:
            stream = append.stream
            head = remembered(stream)
            if head is None:
                if (tail := newest(stream)) is not None:
                    head = self._remember(stream, tail.id, tail.version)
                elif trusting and stream not in unknown:
                    head = take(stream, append.expected_version)
                if head is None:
                    unknown[stream] = None
            heads.append(head)
        for snapshot in batch.snapshots:
            stream = snapshot.stream
            if remembered(stream) is None:
                if (tail := newest(stream)) is not None:
                    self._remember(stream, tail.id, tail.version)
                else:
                    unknown[stream] = None
        if unknown:
            names = list(unknown)
            for index, stream_id, version in self._find_heads.find(db, names):
                self._remember(names[index], stream_id, version)
        return heads

    def _remember(self, stream: StreamName, stream_id: int, version: int) -> StreamHead:
        head = StreamHead(stream_id, version, stream_checksum(stream))
        self.heads.add(stream, head)
        return head

    def _commands_of(
        self, db: sqlite3.Connection, appends: Sequence[Append], *, trusting: bool
    ) -> dict[str, CommandRecord]:
        wanted = [
            append.command.command_id
            for append in appends
            if append.command is not None and not (trusting and append.command.fresh)
        ]
        found = {}
        if wanted:
            for row in self._find_commands.fetch(db, wanted):
                found[row[0]] = command_record(*row)
        return found

    def _announce(self, db: sqlite3.Connection, plan: WritePlan) -> None:
        """Add the events of a plan to the recent ones; raise IntegrityError if one does not continue its stream."""
        unproved: list[int] = []
        for _, stream_id, version, *_ in self.recent.announce(plan.written):
            if stream_id < self._next_stream:
                unproved += (stream_id, version)
        if unproved and self._index.is_stale(db, unproved):
            raise sqlite3.IntegrityError("a stream is not at the version that was remembered or offered")

    def _write(
        self,
        db: sqlite3.Connection,
        plan: WritePlan,
        checkpoints: Sequence[SaveCheckpoint],
        snapshots: Sequence[Snapshot],
    ) -> dict[int, StatementFailed]:
        values = plan.event_values
        is_one_statement = (
            len(values) <= self._events.rows_max * EVENT_COLUMN_COUNT
            and not plan.new_stream_values
            and not checkpoints
            and not snapshots
            and not db.in_transaction
            and not self._index.is_due
        )
        if is_one_statement:
            if values:
                self._events.execute(db, values)  # its own transaction
            return {}
        if not db.in_transaction:
            db.execute("BEGIN IMMEDIATE")
        if plan.new_stream_values:
            self._streams.execute(db, plan.new_stream_values)
        if values:
            self._events.execute(db, values)
        if self._types.new:
            self._types.place_new(self.position)
        failed: dict[int, StatementFailed] = {}
        for index, checkpoint in enumerate(checkpoints):
            failure = save_checkpoint(db, checkpoint, self._guard)
            if failure is not None:
                failed[index] = failure
        for snapshot in snapshots:
            self._save_snapshot(db, snapshot)
        if self._index.is_due:
            self._index.write_slice(db)
        db.execute("COMMIT")
        return failed

    def _save_snapshot(self, db: sqlite3.Connection, snapshot: Snapshot) -> None:
        head = self.heads.get(snapshot.stream)
        if head is None or snapshot.version > head.version:
            return  # its append failed
        db.execute(
            _SAVE_SNAPSHOT,
            (
                head.id,
                snapshot.fingerprint,
                snapshot.version,
                snapshot.state.decode(),
                snapshot_checksum(snapshot),
            ),
        )


# SQLite's errors before a transaction starts to write: another program has the lock, or the file is read-only.
_BEFORE_WRITING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}


def failed_commit(error: Exception) -> type[ActoriumError]:
    """Return the class of error for a commit that ended with an SQLite error.

    A full disk does not prove that nothing was written: the pages of the commit may already be in the write-ahead log.
    """
    if is_damage(error):
        return CorruptStore
    return StoreUnavailable if _primary_code(error) in _BEFORE_WRITING else CommitUnknown


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether another program had the lock, so that nothing was written."""
    return _primary_code(error) == sqlite3.SQLITE_BUSY


def _primary_code(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE)


def _warn_of_second_writer(position: int) -> None:
    advice = "end that program: only one may write to the file"
    if sqlite3.sqlite_version_info < _WAL_RESET_MENDED:
        advice += f"; SQLite {sqlite3.sqlite_version} can corrupt it if two do (fixed in 3.51.3)"
    logger(__name__).warning("store.second_writer", position=position, advice=advice)
