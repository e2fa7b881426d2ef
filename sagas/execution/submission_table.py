"""`SubmissionTable`: the submitted commands as a table: what `runtime.submissions.list(status=…)` lists."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from actorium.sagas.model.submission_views import WAITING, SubmissionView, outcome_of, submission_view
from actorium.sagas.model.submissions import CommandSubmitted, SubmissionCancelled, SubmissionConcluded
from actorium.store.event_store import EventStore, Statement
from actorium.store.events import Event, RecordedEvent

SUBMISSION_TABLES = (
    "CREATE TABLE IF NOT EXISTS submissions (id TEXT NOT NULL PRIMARY KEY, type TEXT NOT NULL, status TEXT NOT NULL, "
    "reason TEXT NOT NULL, due_us INTEGER NOT NULL, submitted_us INTEGER NOT NULL, ended_us INTEGER NOT NULL) "
    "WITHOUT ROWID",
    # Most submissions of a long life are done: only the others are looked for by their status.
    "CREATE INDEX IF NOT EXISTS submissions_by_status ON submissions (status, id) WHERE status <> 'done'",
)
CLEAR_SUBMISSIONS = "DELETE FROM submissions"
_ADD = "INSERT OR REPLACE INTO submissions VALUES (?, ?, ?, ?, ?, ?, ?)"
_END = "UPDATE submissions SET status = ?, reason = ?, ended_us = ? WHERE id = ?"
_COLUMNS = "SELECT id, type, status, reason, due_us, submitted_us, ended_us FROM submissions WHERE id > ? "
_LIST = _COLUMNS + "ORDER BY id LIMIT ?"
# The first condition is that of the index, which SQLite uses for no query without it.
_LIST_OF_STATUS = _COLUMNS + "AND status <> 'done' AND status = ? ORDER BY id LIMIT ?"
_LIST_DONE = _COLUMNS + "AND status = 'done' ORDER BY id LIMIT ?"
_PAGE = 1_000


class SubmissionRowChange(msgspec.Struct, gc=False):
    """What has changed in a row; `type` is None where the row was written before."""

    type: str | None = None
    due_us: int = 0
    submitted_us: int = 0
    status: str = WAITING
    reason: str = ""
    ended_us: int = 0


SubmissionChanges = dict[str, SubmissionRowChange]
"""What has changed, by the id of the command."""


class SubmissionTable:
    """What has changed in the table and is not written yet."""

    event_classes: frozenset[type[Event]] = frozenset((CommandSubmitted, SubmissionCancelled, SubmissionConcluded))

    def __init__(self) -> None:
        self._changes: SubmissionChanges = {}

    def __len__(self) -> int:
        return len(self._changes)

    def take(self, recorded: RecordedEvent[Event]) -> None:
        """Note what an event, one of `event_classes`, says of its submission."""
        event: Any = recorded.event
        if type(event) is CommandSubmitted:
            self._changes[recorded.stream_id] = SubmissionRowChange(
                event.command.type, event.due_us, recorded.recorded_us
            )
            return
        change = self._changes.setdefault(recorded.stream_id, SubmissionRowChange())
        change.status, change.reason = outcome_of(event)
        change.ended_us = recorded.recorded_us

    def take_changes(self) -> SubmissionChanges:
        """Return what is to be written, and forget it."""
        changes, self._changes = self._changes, {}
        return changes

    def give_back(self, changes: SubmissionChanges) -> None:
        """Take back what could not be written; what came since goes before it."""
        for id, change in changes.items():
            newer = self._changes.get(id)
            if newer is None:
                self._changes[id] = change
            elif newer.type is None:
                newer.type, newer.due_us, newer.submitted_us = change.type, change.due_us, change.submitted_us

    def clear(self) -> None:
        """Forget everything."""
        self._changes.clear()


def submission_statements(changes: SubmissionChanges) -> list[Statement]:
    """Return the statements that write changes."""
    return [
        (_END, (change.status, change.reason, change.ended_us, id))
        if change.type is None
        else (
            _ADD,
            (id, change.type, change.status, change.reason, change.due_us, change.submitted_us, change.ended_us),
        )
        for id, change in changes.items()
    ]


async def listed(store: EventStore, status: str | None) -> AsyncIterator[SubmissionView]:
    """Yield the submissions of the table, in one status or any, by their ids."""
    last = ""
    while True:
        if status is None or status == "done":
            rows = await store.query(_LIST if status is None else _LIST_DONE, (last, _PAGE))
        else:
            rows = await store.query(_LIST_OF_STATUS, (last, status, _PAGE))
        for row in rows:
            yield submission_view(*row)
        if len(rows) < _PAGE:
            return
        last = rows[-1][0]
