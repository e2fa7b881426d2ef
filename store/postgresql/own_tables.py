"""The runtime's own tables in PostgreSQL: the statements that write and read them.

Changes are first reduced to one per row, which is what they amount to in order, and then written with one statement for
each kind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from msgspec.structs import astuple, replace

from actorium.store.postgresql.connections.failures import is_of_server, statement_failed
from actorium.store.postgresql.connections.sessions import Connection
from actorium.store.postgresql.schema import storable
from actorium.store.postgresql.searches import find_events, find_stream_types, find_streams
from actorium.store.tables.log_search import LAST_CHARACTER, FindEvents, FindStreams, FindStreamTypes
from actorium.store.tables.own_rows import (
    AgendaRemoval,
    AgendaRow,
    CountSagas,
    KeptState,
    KeptStateRemoval,
    LiveSteps,
    ReadDue,
    ReadKeptState,
    ReadLiveSteps,
    ReadSagas,
    ReadSubmissions,
    RemoveAll,
    RemoveShare,
    Row,
    SagaChange,
    SagaCount,
    SagaRow,
    SubmissionDue,
    SubmissionEnd,
    SubmissionRow,
    TableChange,
    TableRead,
)
from actorium.store.tables.shares import share_of

_PUT_AGENDA = """
INSERT INTO agenda SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::smallint[])
ON CONFLICT (owner, id, key, what) DO UPDATE SET due_us = excluded.due_us"""
_REMOVE_AGENDA = """
DELETE FROM agenda USING unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS gone (owner, id, key, what)
WHERE (agenda.owner, agenda.id, agenda.key, agenda.what) = (gone.owner, gone.id, gone.key, gone.what)"""
_PUT_SAGAS = """
INSERT INTO sagas
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[])
ON CONFLICT (type, id) DO UPDATE SET status = coalesce(excluded.status, sagas.status),
    step = coalesce(excluded.step, sagas.step), reason = coalesce(excluded.reason, sagas.reason),
    started_us = coalesce(excluded.started_us, sagas.started_us), updated_us = excluded.updated_us"""
_PUT_SUBMISSIONS = """
INSERT INTO submissions
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
ON CONFLICT (id) DO UPDATE SET type = excluded.type, status = excluded.status, reason = excluded.reason,
    due_us = excluded.due_us, submitted_us = excluded.submitted_us, ended_us = excluded.ended_us"""
_HASTEN_SUBMISSIONS = """
UPDATE submissions SET due_us = hastened.due_us FROM unnest($1::text[], $2::bigint[]) AS hastened (id, due_us)
WHERE submissions.id = hastened.id"""
_END_SUBMISSIONS = """
UPDATE submissions SET status = ended.status, reason = ended.reason, ended_us = ended.ended_us
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS ended (id, status, reason, ended_us)
WHERE submissions.id = ended.id"""
_PUT_STATE = """
INSERT INTO projection_states VALUES ($1, $2, $3, convert_from($4, 'UTF8'))
ON CONFLICT (name) DO UPDATE SET version = excluded.version, position = excluded.position, state = excluded.state"""
_REMOVE_STATE = "DELETE FROM projection_states WHERE name = $1"

_DUE = """
SELECT owner, id, key, what, due_us FROM agenda
WHERE due_us <= $1 AND (due_us, owner, id, key, what) > ($2, $3, $4, $5, $6)
ORDER BY due_us, owner, id, key, what LIMIT $7"""
_DUE_OF_SHARE = _DUE.replace("ORDER BY", "AND share = $8 ORDER BY")
_BEFORE_ALL = AgendaRow("", "", "", "", -1)
_SAGAS = """
SELECT type, id, coalesce(status, ''), coalesce(step, ''), coalesce(reason, ''), coalesce(started_us, 0), updated_us
FROM sagas WHERE (type, id) > ($1, $2) AND {condition} ORDER BY type, id LIMIT $3"""
_STATUSES = ("running", "undoing", "failed", "undone", "completed")
_COUNT_SAGAS = "SELECT count(*) FROM (SELECT FROM sagas WHERE status = $1 {condition} LIMIT $2) AS counted"
_SUBMISSIONS = """
SELECT id, type, status, reason, due_us, submitted_us, ended_us FROM submissions
WHERE id > $1 AND {condition} ORDER BY id LIMIT $2"""
_KEPT_STATE = """
SELECT name, version, position, convert_to(state, 'UTF8') FROM projection_states WHERE name = $1 AND version = $2"""
# Steps from type to type through the key: a million sagas of one type cost no more than one.
_SAGA_TYPES = """
WITH RECURSIVE kept (type) AS (
    SELECT min(type) FROM sagas UNION ALL
    SELECT (SELECT min(type) FROM sagas WHERE sagas.type > kept.type) FROM kept WHERE kept.type IS NOT NULL
)
SELECT type FROM kept WHERE type IS NOT NULL ORDER BY type"""
_LIVE_STEPS = """
SELECT type, step, id FROM (
    SELECT type, coalesce(step, '') AS step, id,
        row_number() OVER (PARTITION BY type, coalesce(step, '') ORDER BY id) AS number
    FROM sagas WHERE status <> 'completed' AND status IN ('running', 'undoing', 'failed')
) AS live WHERE number <= $1 ORDER BY type, step, id"""


class _Changes:
    """What a list of changes amounts to. A value of None removes its row."""

    def __init__(self) -> None:
        self.cleared: dict[str, None] = {}
        self.shares_cleared: dict[int, None] = {}
        self.agenda: dict[tuple[str, str, str, str], int | None] = {}
        self.sagas: dict[tuple[str, str], SagaChange] = {}
        self.submissions: dict[str, SubmissionRow] = {}
        self.dues: dict[str, SubmissionDue] = {}
        self.ends: dict[str, SubmissionEnd] = {}
        self.states: dict[str, KeptState | None] = {}

    def add(self, change: TableChange) -> None:
        """Add the next change."""
        match change:
            case AgendaRow(owner, id, key, what, due_us):
                self.agenda[owner, id, key, what] = due_us
            case AgendaRemoval(owner, id, key, what):
                self.agenda[owner, id, key, what] = None
            case SagaChange():
                self.sagas[change.type, change.id] = _merged(self.sagas.get((change.type, change.id)), change)
            case SubmissionRow():
                self.submissions[change.id] = change
                self.dues.pop(change.id, None)
                self.ends.pop(change.id, None)
            case SubmissionDue(id, due_us):
                if id in self.submissions:
                    self.submissions[id] = replace(self.submissions[id], due_us=due_us)
                else:
                    self.dues[id] = change
            case SubmissionEnd(id, status, reason, ended_us):
                waiting = self.submissions.get(id)
                if waiting is None:
                    self.ends[id] = change
                else:
                    self.submissions[id] = replace(waiting, status=status, reason=reason, ended_us=ended_us)
            case KeptState():
                self.states[change.name] = change
            case KeptStateRemoval(name):
                self.states[name] = None
            case RemoveAll(table):
                self._clear(table)
            case RemoveShare(share):
                self.shares_cleared[share] = None
                self.agenda = {key: due for key, due in self.agenda.items() if share_of(*key[:2]) != share}
            case _:
                raise TypeError(f"{change!r} is not a change to the runtime's own tables")

    def _clear(self, table: str) -> None:
        self.cleared[table] = None
        if table == "agenda":
            self.agenda.clear()
        elif table == "sagas":
            self.sagas.clear()
        else:
            self.submissions.clear()
            self.dues.clear()
            self.ends.clear()


def _merged(before: SagaChange | None, change: SagaChange) -> SagaChange:
    if before is None:
        return change
    columns = {name: getattr(change, name) for name in ("status", "step", "reason", "started_us")}
    return replace(before, updated_us=change.updated_us, **{n: v for n, v in columns.items() if v is not None})


async def write_changes(connection: Connection, changes: Iterable[TableChange]) -> None:
    """Make changes in order; raise StatementFailed if a value cannot be written, such as a text that is not UTF-8."""
    wanted = _Changes()
    for change in changes:
        wanted.add(change)
    for sql, parameters in _statements(wanted):
        try:
            await connection.execute(sql, *parameters)
        except Exception as error:
            if is_of_server(error):
                raise
            raise statement_failed(error, "a change to the runtime's own tables") from error


def _statements(wanted: _Changes) -> Iterable[tuple[str, tuple[Any, ...]]]:
    for table in wanted.cleared:
        yield f"DELETE FROM {table}", ()
    for share in wanted.shares_cleared:
        yield "DELETE FROM agenda WHERE share = $1", (share,)
    gone = [key for key, due_us in wanted.agenda.items() if due_us is None]
    put = [(*key, due_us, share_of(*key[:2])) for key, due_us in wanted.agenda.items() if due_us is not None]
    kinds: list[tuple[str, list[tuple[Any, ...]]]] = [
        (_REMOVE_AGENDA, list(gone)),
        (_PUT_AGENDA, list(put)),
        (_PUT_SAGAS, [astuple(change) for change in wanted.sagas.values()]),
        (_PUT_SUBMISSIONS, [astuple(row) for row in wanted.submissions.values()]),
        (_HASTEN_SUBMISSIONS, [astuple(due) for due in wanted.dues.values()]),
        (_END_SUBMISSIONS, [astuple(end) for end in wanted.ends.values()]),
    ]
    for sql, rows in kinds:
        if rows:
            yield sql, tuple([*map(storable, column)] for column in zip(*rows, strict=True))
    for name, state in wanted.states.items():
        yield (_REMOVE_STATE, (name,)) if state is None else (_PUT_STATE, astuple(state))


async def read_rows(connection: Connection, read: TableRead[Row]) -> list[Row]:
    """Return the rows that a read asks for."""
    rows: list[Row] = await _READ[type(read)](connection, read)
    return rows


async def _due(connection: Connection, read: ReadDue) -> list[AgendaRow]:
    after = read.after or _BEFORE_ALL
    last = (after.due_us, after.owner, after.id, after.key, after.what)
    values = (read.until_us, *last, read.limit)
    if read.share is None:
        return [AgendaRow(*row) for row in await connection.fetch(_DUE, *values)]
    return [AgendaRow(*row) for row in await connection.fetch(_DUE_OF_SHARE, *values, read.share)]


async def _sagas(connection: Connection, read: ReadSagas) -> list[SagaRow]:
    condition, parameters = "true", [*(read.after or ("", "")), read.limit]
    if read.type is not None:
        parameters.append(read.type)
        condition += f" AND type = ${len(parameters)}"
    if read.status is not None:
        parameters.append(read.status)
        condition += f" AND status = ${len(parameters)}"
        condition += "" if read.status == "completed" else " AND status <> 'completed'"
    if read.step is not None:
        parameters.append(read.step)
        condition += f" AND step = ${len(parameters)}"
    if read.id_prefix:
        parameters += [read.id_prefix, read.id_prefix + LAST_CHARACTER]
        condition += f" AND id >= ${len(parameters) - 1} AND id < ${len(parameters)}"
    if read.updated_before_us is not None:
        parameters.append(read.updated_before_us)
        condition += f" AND updated_us < ${len(parameters)}"
    return [SagaRow(*row) for row in await connection.fetch(_SAGAS.format(condition=condition), *parameters)]


async def _saga_counts(connection: Connection, read: CountSagas) -> list[SagaCount]:
    counts = []
    for status in _STATUSES:
        sql = _COUNT_SAGAS.format(condition="" if status == "completed" else "AND status <> 'completed'")
        ((count,),) = await connection.fetch(sql, status, read.count_max)
        counts.append(SagaCount(status, count))
    return counts


async def _live_steps(connection: Connection, read: ReadLiveSteps) -> list[LiveSteps]:
    found = {type_: LiveSteps(type_, {}) for (type_,) in await connection.fetch(_SAGA_TYPES)}
    for type_, step, id in await connection.fetch(_LIVE_STEPS, read.ids_max):
        found[type_].ids.setdefault(step, []).append(id)
    return list(found.values())


async def _submissions(connection: Connection, read: ReadSubmissions) -> list[SubmissionRow]:
    condition, parameters = "true", [read.after or "", read.limit]
    if read.status is not None:
        parameters.append(read.status)
        condition = "status = $3" + ("" if read.status == "done" else " AND status <> 'done'")
    if read.type is not None:
        parameters.append(read.type)
        condition += f" AND type = ${len(parameters)}"
    return [
        SubmissionRow(*row) for row in await connection.fetch(_SUBMISSIONS.format(condition=condition), *parameters)
    ]


async def _kept_state(connection: Connection, read: ReadKeptState) -> list[KeptState]:
    return [KeptState(*row) for row in await connection.fetch(_KEPT_STATE, read.name, read.version)]


_READ: Mapping[type[TableRead[Any]], Callable[[Connection, Any], Awaitable[list[Any]]]] = {
    ReadDue: _due,
    ReadSagas: _sagas,
    CountSagas: _saga_counts,
    ReadLiveSteps: _live_steps,
    ReadSubmissions: _submissions,
    ReadKeptState: _kept_state,
    FindStreamTypes: find_stream_types,
    FindStreams: find_streams,
    FindEvents: find_events,
}
