"""The runtime's own tables in SQLite: their schema, and the statements that write and read them.

Adapters with an SQLite database use it, as they use `checkpoints.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

from msgspec.structs import astuple

from actorium.store.event_store import Statement
from actorium.store.names import StreamName
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

OWN_TABLES = frozenset({"agenda", "sagas", "submissions", "projection_states"})

# A file of schema 4 may already hold these tables: the runtime created them at their first use.
OWN_TABLES_SCHEMA = """
CREATE TABLE IF NOT EXISTS agenda (owner TEXT NOT NULL, id TEXT NOT NULL, key TEXT NOT NULL, what TEXT NOT NULL,
    due_us INTEGER NOT NULL, PRIMARY KEY (owner, id, key, what)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS agenda_by_time ON agenda (due_us);
CREATE TABLE IF NOT EXISTS sagas (type TEXT NOT NULL, id TEXT NOT NULL, status TEXT, step TEXT, reason TEXT,
    started_us INTEGER, updated_us INTEGER NOT NULL, PRIMARY KEY (type, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sagas_by_status ON sagas (status, type) WHERE status <> 'completed';
CREATE TABLE IF NOT EXISTS submissions (id TEXT NOT NULL PRIMARY KEY, type TEXT NOT NULL, status TEXT NOT NULL,
    reason TEXT NOT NULL, due_us INTEGER NOT NULL, submitted_us INTEGER NOT NULL, ended_us INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS submissions_by_status ON submissions (status, id) WHERE status <> 'done';
CREATE TABLE IF NOT EXISTS projection_states
    (name TEXT PRIMARY KEY, version INTEGER NOT NULL, position INTEGER NOT NULL, state TEXT NOT NULL) WITHOUT ROWID"""

_SAVE_SAGA = (
    "INSERT INTO sagas VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET status = coalesce(excluded.status, status), "
    "step = coalesce(excluded.step, step), reason = coalesce(excluded.reason, reason), "
    "started_us = coalesce(excluded.started_us, started_us), updated_us = excluded.updated_us"
)
_WRITE: Mapping[type[TableChange], str] = {
    AgendaRow: "INSERT OR REPLACE INTO agenda VALUES (?, ?, ?, ?, ?)",
    AgendaRemoval: "DELETE FROM agenda WHERE owner = ? AND id = ? AND key = ? AND what = ?",
    SagaChange: _SAVE_SAGA,
    SubmissionRow: "INSERT OR REPLACE INTO submissions VALUES (?, ?, ?, ?, ?, ?, ?)",
    KeptState: "INSERT OR REPLACE INTO projection_states VALUES (?, ?, ?, CAST(? AS TEXT))",
    KeptStateRemoval: "DELETE FROM projection_states WHERE name = ?",
}
_HASTEN_SUBMISSION = "UPDATE submissions SET due_us = ? WHERE id = ?"
_END_SUBMISSION = "UPDATE submissions SET status = ?, reason = ?, ended_us = ? WHERE id = ?"
_DUE = (
    "SELECT owner, id, key, what, due_us FROM agenda WHERE due_us <= ? "
    "AND (due_us, owner, id, key, what) > (?, ?, ?, ?, ?) ORDER BY due_us, owner, id, key, what LIMIT ?"
)
_REMOVE_SHARE = "DELETE FROM agenda WHERE share_of(owner, id) = ?"
_BEFORE_ALL = AgendaRow("", "", "", "", -1)
_NO_LIMIT = -1
_SAGAS = (
    "SELECT type, id, coalesce(status, ''), coalesce(step, ''), coalesce(reason, ''), coalesce(started_us, 0), "
    "updated_us FROM sagas WHERE {conditions} ORDER BY type, id LIMIT ?"
)
_SUBMISSIONS = (
    "SELECT id, type, status, reason, due_us, submitted_us, ended_us FROM submissions WHERE {conditions} "
    "ORDER BY id LIMIT ?"
)
_KEPT_STATE = (
    "SELECT name, version, position, CAST(state AS BLOB) FROM projection_states WHERE name = ? AND version = ?"
)
# Steps from type to type through the key: a million sagas of one type cost no more than one.
_SAGA_TYPES = (
    "WITH RECURSIVE kept (type) AS (SELECT min(type) FROM sagas UNION ALL "
    "SELECT (SELECT min(type) FROM sagas WHERE sagas.type > kept.type) FROM kept WHERE kept.type IS NOT NULL) "
    "SELECT type FROM kept WHERE type IS NOT NULL"
)
# SQLite uses a partial index only for a query that repeats the index's condition.
_NOT_COMPLETED, _NOT_DONE = "status <> 'completed'", "status <> 'done'"
_LIVE = f"{_NOT_COMPLETED} AND status IN ('running', 'undoing', 'failed')"
_LIVE_STEPS = f"SELECT DISTINCT type, coalesce(step, '') FROM sagas WHERE {_LIVE} ORDER BY 1, 2"
_LIVE_IDS = f"SELECT id FROM sagas WHERE type = ? AND coalesce(step, '') = ? AND {_LIVE} LIMIT ?"


_STATUSES = ("running", "undoing", "failed", "undone", "completed")
_COUNT_SAGAS = "SELECT count(*) FROM (SELECT 1 FROM sagas WHERE {conditions} LIMIT ?)"
_STREAM_TYPES = (
    "WITH RECURSIVE kept (type) AS (SELECT min(type) FROM streams UNION ALL "
    "SELECT (SELECT min(type) FROM streams WHERE streams.type > kept.type) FROM kept WHERE kept.type IS NOT NULL) "
    "SELECT type FROM kept WHERE type IS NOT NULL LIMIT ?"
)
_STREAMS = "SELECT name FROM streams WHERE type = ? AND name > ? AND name >= ? AND name < ? ORDER BY name LIMIT ?"
_EVENTS = (
    "SELECT position FROM events WHERE position > ? AND position < ? AND type IN "
    "(SELECT id FROM event_types WHERE name IN ({names})) ORDER BY position DESC LIMIT ?"
)


_Condition = tuple[str, tuple[Any, ...]]  # SQL, and the values for its placeholders


def write_changes(db: sqlite3.Connection, changes: Iterable[TableChange]) -> None:
    """Make changes in order, with consecutive ones of one kind as one call."""
    for sql, run in groupby(map(_statement_of, changes), key=itemgetter(0)):
        if sql == _REMOVE_SHARE:
            db.create_function("share_of", 2, share_of, deterministic=True)
        db.executemany(sql, [parameters for _, parameters in run])


def _statement_of(change: TableChange) -> Statement:
    if isinstance(change, RemoveAll):
        return f"DELETE FROM {change.table}", ()
    if isinstance(change, RemoveShare):
        return _REMOVE_SHARE, (change.share,)
    if isinstance(change, SubmissionEnd):
        return _END_SUBMISSION, (change.status, change.reason, change.ended_us, change.id)
    if isinstance(change, SubmissionDue):
        return _HASTEN_SUBMISSION, (change.due_us, change.id)
    return _WRITE[type(change)], astuple(change)


def read_rows(db: sqlite3.Connection, read: TableRead[Row]) -> list[Row]:
    """Return the rows that a read asks for."""
    rows: list[Row] = _READ[type(read)](db, read)
    return rows


def _due(db: sqlite3.Connection, read: ReadDue) -> list[AgendaRow]:
    after = read.after or _BEFORE_ALL
    last = (after.due_us, after.owner, after.id, after.key, after.what)
    if read.share is None:
        return [AgendaRow(*row) for row in db.execute(_DUE, (read.until_us, *last, read.limit))]
    # Only nodes have shares, and a log in SQLite has no nodes. A model of a cluster's log needs no index for them.
    rows = db.execute(_DUE, (read.until_us, *last, _NO_LIMIT))
    return [AgendaRow(*row) for row in islice((row for row in rows if share_of(*row[:2]) == read.share), read.limit)]


def _sagas(db: sqlite3.Connection, read: ReadSagas) -> list[SagaRow]:
    conditions: list[_Condition] = [("(type, id) > (?, ?)", read.after or ("", ""))]
    if read.type is not None:
        conditions.append(("type = ?", (read.type,)))
    conditions += _of_status(read.status, "completed", _NOT_COMPLETED)
    if read.step is not None:
        conditions.append(("step = ?", (read.step,)))
    if read.id_prefix:
        conditions.append(("id >= ? AND id < ?", (read.id_prefix, read.id_prefix + LAST_CHARACTER)))
    if read.updated_before_us is not None:
        conditions.append(("updated_us < ?", (read.updated_before_us,)))
    return [SagaRow(*row) for row in _rows_where(db, _SAGAS, conditions, read.limit)]


def _saga_counts(db: sqlite3.Connection, read: CountSagas) -> list[SagaCount]:
    counts = []
    for status in _STATUSES:
        conditions = _of_status(status, "completed", _NOT_COMPLETED)
        ((count,),) = _rows_where(db, _COUNT_SAGAS, conditions, read.count_max)
        counts.append(SagaCount(status, count))
    return counts


def _live_steps(db: sqlite3.Connection, read: ReadLiveSteps) -> list[LiveSteps]:
    found = {type_: LiveSteps(type_, {}) for (type_,) in db.execute(_SAGA_TYPES)}
    for type_, step in db.execute(_LIVE_STEPS).fetchall():
        found[type_].ids[step] = [id for (id,) in db.execute(_LIVE_IDS, (type_, step, read.ids_max))]
    return list(found.values())


def _submissions(db: sqlite3.Connection, read: ReadSubmissions) -> list[SubmissionRow]:
    conditions: list[_Condition] = [("id > ?", (read.after or "",)), *_of_status(read.status, "done", _NOT_DONE)]
    if read.type is not None:
        conditions.append(("type = ?", (read.type,)))
    return [SubmissionRow(*row) for row in _rows_where(db, _SUBMISSIONS, conditions, read.limit)]


def _of_status(status: str | None, usual: str, unusual: str) -> list[_Condition]:
    """Return the conditions for a status; `unusual` is that of the partial index, which has all but the usual rows."""
    if status is None:
        return []
    return [("status = ?", (status,)), *([] if status == usual else [(unusual, ())])]


def _rows_where(db: sqlite3.Connection, sql: str, conditions: Sequence[_Condition], limit: int) -> sqlite3.Cursor:
    sql = sql.format(conditions=" AND ".join(condition for condition, _ in conditions))
    return db.execute(sql, (*(value for _, values in conditions for value in values), limit))


def _kept_state(db: sqlite3.Connection, read: ReadKeptState) -> list[KeptState]:
    return [KeptState(*row) for row in db.execute(_KEPT_STATE, (read.name, read.version))]


def _stream_types(db: sqlite3.Connection, read: FindStreamTypes) -> list[str]:
    return [type_ for (type_,) in db.execute(_STREAM_TYPES, (read.limit,))]


def _streams(db: sqlite3.Connection, read: FindStreams) -> list[StreamName]:
    bounds = (read.after, read.id_prefix, read.id_prefix + LAST_CHARACTER)
    return [StreamName(read.type, id) for (id,) in db.execute(_STREAMS, (read.type, *bounds, read.limit))]


def _events(db: sqlite3.Connection, read: FindEvents) -> list[int]:
    sql = _EVENTS.format(names=", ".join("?" * len(read.types)))
    values = (read.after_position, read.before_position, *read.types, read.limit)
    return [position for (position,) in db.execute(sql, values)]


_READ: Mapping[type[TableRead[Any]], Callable[[sqlite3.Connection, Any], list[Any]]] = {
    ReadDue: _due,
    ReadSagas: _sagas,
    CountSagas: _saga_counts,
    ReadLiveSteps: _live_steps,
    ReadSubmissions: _submissions,
    ReadKeptState: _kept_state,
    FindStreamTypes: _stream_types,
    FindStreams: _streams,
    FindEvents: _events,
}
