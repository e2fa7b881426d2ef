"""The writing side of the log in PostgreSQL: one batch, one statement, one round trip.

The statement moves the log's one row, which orders the writers and refuses those that it does not name, and inserts the
events. It relies on what is remembered of the streams; the unique indexes hold that to the truth. If they object, or if
an append is to be refused, the batch is planned again under the row's lock, where nobody can interfere.

Invariants between two appends: no transaction is open; what is remembered was committed once, so it can be behind the
database if somebody else writes too, never ahead of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import asyncpg
from asyncpg.protocol import NO_TIMEOUT

from actorium.store.event_store import Append, AppendBatch, Appended
from actorium.store.events import stream_checksum
from actorium.store.names import CommandRecord, StreamName
from actorium.store.postgresql.connections.failures import is_of_statement
from actorium.store.postgresql.connections.sessions import Connection
from actorium.store.postgresql.connections.silence import Silence
from actorium.store.postgresql.ownership import fenced
from actorium.store.postgresql.plan import COLUMNS, FOLDED_SQL, AppendPlan, EventType
from actorium.store.sql.stream_heads import StreamHead, StreamHeads

# About 300 bytes each.
STREAM_HEADS_MAX = 100_000

Statement: TypeAlias = "asyncpg.prepared_stmt.PreparedStatement[asyncpg.Record]"

_OPTIONAL = frozenset({"command_id", "causation_id", "correlation_id", "command_events", "command_fingerprint"})


def _split(number: int, name: str, type_: str) -> str:
    """Return the array that a text parameter stands for; an empty part of an optional column is NULL."""
    if type_ != "text":
        return f"string_to_array(${number}, ',', '')::{type_}[]"
    return f"string_to_array(${number}, $4, '')" if name in _OPTIONAL else f"string_to_array(${number}, $4)"


def _value(name: str, type_: str) -> str:
    """Return the value of a column of `event`."""
    if name == "checksum":
        return f"checksum # {FOLDED_SQL}"
    # A single empty text is split into no part at all.
    return f"coalesce({name}, '')" if type_ == "text" and name not in _OPTIONAL else name


def _parameter(number: int, name: str, type_: str) -> str:
    """Return the value of a column of a single event, each of which is a parameter."""
    value = f"${number}::{type_}"
    return f"{value} # {FOLDED_SQL}" if name == "checksum" else value


# Set-returning functions in a SELECT list advance together. In FROM, the server would first store each result.
_UNNEST = ", ".join(
    f"unnest({_split(number, *column)}) AS {column[0]}" for number, column in enumerate(COLUMNS.items(), 5)
)
_PARAMETERS = ", ".join(_parameter(number, *column) for number, column in enumerate(COLUMNS.items(), 3))
_VALUES = ", ".join(_value(*column) for column in COLUMNS.items())
_APPEND = f"""
WITH moved AS (
    UPDATE log SET position = position + $3::bigint, recorded_us = greatest(recorded_us, $2::bigint)
    WHERE $1::bigint = ANY (writers)
    RETURNING position - $3 AS base, recorded_us
), written AS (
    INSERT INTO events (position, recorded_us, {", ".join(COLUMNS)})
    SELECT base + n, recorded_us, {_VALUES}
    FROM (SELECT base, recorded_us, generate_series(1, $3::bigint) AS n, {_UNNEST} FROM moved) AS event
){{types}}
SELECT base, recorded_us FROM moved""".replace("{time}", "recorded_us")
_APPEND_KNOWN_TYPES = _APPEND.format(types="")
_APPEND_NEW_TYPES = _APPEND.format(
    types=""", typed AS (
    INSERT INTO event_types SELECT type.name, type.schema_version, base + type.place
    FROM moved, unnest($18::text[], $19::int[], $20::bigint[]) AS type (name, schema_version, place)
    ON CONFLICT DO NOTHING
)"""
)
_APPEND_ONE = f"""
WITH moved AS (
    UPDATE log SET position = position + 1, recorded_us = greatest(recorded_us, $2::bigint)
    WHERE $1::bigint = ANY (writers)
    RETURNING position, recorded_us
)
INSERT INTO events (position, recorded_us, {", ".join(COLUMNS)})
SELECT position, recorded_us, {_PARAMETERS} FROM moved
RETURNING position - 1 AS base, recorded_us""".replace("{time}", "recorded_us")
_LOCK = "SELECT position, recorded_us FROM log WHERE $1::bigint = ANY (writers) FOR UPDATE"
_HEADS = """
SELECT n, (
    SELECT version FROM events WHERE events.stream_type = wanted.stream_type AND events.stream_id = wanted.stream_id
    ORDER BY version DESC LIMIT 1
) FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted (stream_type, stream_id, n)"""
_COMMANDS = """
SELECT command_id, command_fingerprint, stream_type, stream_id, version - command_events + 1, version, position
FROM events WHERE command_id = ANY ($1::text[])"""
_WRITTEN = f"""
SELECT position - 1, recorded_us FROM events WHERE stream_type = $1 AND stream_id = $2 AND version = $3
AND checksum # {FOLDED_SQL} = $4 AND command_id IS NOT DISTINCT FROM $5""".replace("{time}", "recorded_us")


class Appender:
    """The writer's knowledge of the log, and the append of a batch. Readers may offer heads to `heads`.

    silence_s: how long the server may be silent after the statement of an append, in seconds.
    """

    __slots__ = ("_prepared", "_prepared_on", "_sent", "_silence", "_types", "heads")

    def __init__(self, *, silence_s: float, stream_heads_max: int = STREAM_HEADS_MAX) -> None:
        self.heads = StreamHeads(stream_heads_max)
        self._silence = Silence(silence_s)
        self._types: set[EventType] = set()
        self._prepared_on: Connection | None = None
        self._prepared: dict[str, Statement] = {}
        self._sent: AppendPlan | None = None  # the last plan whose statement was sent and not answered

    @property
    def is_in_doubt(self) -> bool:
        """Whether a statement was sent and not answered."""
        return self._sent is not None

    def close(self) -> None:
        """Stop the timer of the last append."""
        self._silence.stop()

    async def append(self, connection: Connection, batch: AppendBatch, writer: int) -> Appended:
        """Write the appends of a batch; raise Fenced, and write nothing, if the log does not name the writer."""
        assert self._sent is None, "the outcome of the last append must be known before the next one"
        try:
            await self._look_up_heads(connection, _unknown(batch.appends, self.heads))
            plan = self._planned(batch.appends, {})
            if not plan.refused:
                try:
                    return await self._write(connection, plan, batch, writer)
                except asyncpg.UniqueViolationError:
                    self._sent = None  # another writer was first, or a command took effect before
            self.heads.clear()
            return await self._append_under_lock(connection, batch, writer)
        except BaseException as error:
            self.heads.clear()
            if is_of_statement(error):
                self._sent = None  # the server answered, or was never asked
            raise

    async def _append_under_lock(self, connection: Connection, batch: AppendBatch, writer: int) -> Appended:
        async with connection.transaction():
            locked = await connection.fetchrow(_LOCK, writer)
            if locked is None:
                raise fenced(writer)
            # Statements of their own: they see what was committed before the lock was granted.
            await self._look_up_heads(connection, dict.fromkeys(append.stream for append in batch.appends))
            wanted = [append.command.command_id for append in batch.appends if append.command is not None]
            plan = self._planned(batch.appends, await find_commands(connection, wanted))
            if plan.count:
                appended = await self._write(connection, plan, batch, writer, in_transaction=True)
            else:
                appended = Appended(
                    plan.outcomes_after(locked["position"]), max(batch.recorded_us, locked["recorded_us"])
                )
        self._sent = None
        return appended

    def _planned(self, appends: Sequence[Append], commands: Mapping[str, CommandRecord]) -> AppendPlan:
        plan = AppendPlan(self.heads, commands)
        plan.add(appends)
        return plan

    async def _write(
        self, connection: Connection, plan: AppendPlan, batch: AppendBatch, writer: int, *, in_transaction: bool = False
    ) -> Appended:
        new = [kind for kind in plan.firsts if kind not in self._types]
        arguments: Sequence[Any]
        if plan.count == 1 and not new:
            sql, arguments = _APPEND_ONE, (writer, batch.recorded_us, *plan.row())
        else:
            sql, arguments = _APPEND_KNOWN_TYPES, (writer, batch.recorded_us, plan.count, *plan.texts())
        if new:
            names, versions = [name for name, _ in new], [version for _, version in new]
            sql, arguments = _APPEND_NEW_TYPES, (*arguments, names, versions, [plan.firsts[kind] + 1 for kind in new])
        statement = await self._statement(connection, sql)
        self._sent = plan
        self._silence.begin(connection)
        try:
            row = await statement.fetchrow(*arguments, timeout=NO_TIMEOUT)  # type: ignore[arg-type]  # its stub is wrong
        finally:
            self._silence.end()
        if not in_transaction:
            self._sent = None
        if row is None:
            self._sent = None
            raise fenced(writer)
        self._types.update(new)
        for stream in plan.refused:
            self.heads.drop(stream)
        self.heads.forget()
        return Appended(plan.outcomes_after(row["base"]), row["recorded_us"])

    async def _statement(self, connection: Connection, sql: str) -> Statement:
        """Return a statement that is prepared on this connection: the driver's own cache of them is slower."""
        if connection is not self._prepared_on:
            self._prepared_on, self._prepared = connection, {}
        found = self._prepared.get(sql)
        if found is None:
            found = self._prepared[sql] = await connection.prepare(sql)
        return found

    async def found_out(self, connection: Connection) -> Appended | None:
        """Return the outcome of the last append if it is in the log, None if it is not.

        Call it after its connection broke, once nothing that was sent on that connection can still take effect.
        """
        plan, self._sent = self._sent, None
        self._types.clear()
        if plan is None or plan.first is None:
            return None
        stream, version, checksum, command_id = plan.first
        row = await connection.fetchrow(_WRITTEN, stream.type, stream.id, version, checksum, command_id)
        return None if row is None else Appended(plan.outcomes_after(row[0]), row[1])

    async def _look_up_heads(self, connection: Connection, streams: Mapping[StreamName, None]) -> None:
        if not streams:
            return
        names = list(streams)
        rows = await connection.fetch(_HEADS, [name.type for name in names], [name.id for name in names])
        for number, version in rows:
            if version is not None:
                stream = names[number - 1]
                self.heads.add(stream, StreamHead(0, version, stream_checksum(stream)))


def _unknown(appends: Sequence[Append], heads: StreamHeads) -> dict[StreamName, None]:
    """Return the streams whose heads must be looked up: not remembered, not offered, and not to be created."""
    return {
        append.stream: None
        for append in appends
        if append.expected_version
        and heads.get(append.stream) is None
        and heads.take(append.stream, append.expected_version) is None
    }


async def find_commands(connection: Connection, command_ids: Sequence[str]) -> dict[str, CommandRecord]:
    """Return where commands took effect, by their ids."""
    if not command_ids:
        return {}
    rows = await connection.fetch(_COMMANDS, command_ids)
    return {
        id: CommandRecord(id, fingerprint, StreamName(stream_type, stream_id), first, version, position)
        for id, fingerprint, stream_type, stream_id, first, version, position in rows
    }
