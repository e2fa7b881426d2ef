"""`SubmissionTable`: the submitted commands as a table, which `runtime.submissions.list(status=…)` reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
from msgspec.structs import astuple

from actorium.sagas.model.due_times import within_calendar
from actorium.sagas.model.submission_views import WAITING, SubmissionView, outcome_of, submission_view
from actorium.sagas.model.submissions import (
    CommandSubmitted,
    SubmissionCancelled,
    SubmissionConcluded,
    SubmissionHastened,
)
from actorium.store.event_store import EventStore
from actorium.store.events import Event, RecordedEvent
from actorium.store.tables.own_rows import ReadSubmissions, SubmissionDue, SubmissionEnd, SubmissionRow, TableChange

_PAGE = 1_000


class SubmissionRowChange(msgspec.Struct, gc=False):
    """The changes of a row; `type` is None if the row was written before, and `due_us` is then 0 if it is unchanged."""

    type: str | None = None
    due_us: int = 0
    submitted_us: int = 0
    status: str = WAITING
    reason: str = ""
    ended_us: int = 0


SubmissionChanges = dict[str, SubmissionRowChange]
"""The changes, by the id of the command."""


class SubmissionTable:
    """The unwritten changes of the table."""

    event_classes: frozenset[type[Event]] = frozenset(
        (CommandSubmitted, SubmissionHastened, SubmissionCancelled, SubmissionConcluded)
    )

    def __init__(self) -> None:
        self._changes: SubmissionChanges = {}

    def __len__(self) -> int:
        return len(self._changes)

    def take(self, recorded: RecordedEvent[Event]) -> None:
        """Record the change that an event of a submission makes; its class is one of `event_classes`."""
        event: Any = recorded.event
        if type(event) is CommandSubmitted:
            self._changes[recorded.stream_id] = SubmissionRowChange(
                event.command.type, within_calendar(event.due_us), recorded.recorded_us
            )
            return
        change = self._changes.setdefault(recorded.stream_id, SubmissionRowChange())
        if type(event) is SubmissionHastened:
            change.due_us = event.due_us
            return
        change.status, change.reason = outcome_of(event)
        change.ended_us = recorded.recorded_us

    def take_changes(self) -> SubmissionChanges:
        """Return the changes to write, and forget them."""
        changes, self._changes = self._changes, {}
        return changes

    def give_back(self, changes: SubmissionChanges) -> None:
        """Take back changes that could not be written; newer ones take precedence."""
        for id, change in changes.items():
            newer = self._changes.get(id)
            if newer is None:
                self._changes[id] = change
            elif newer.type is None:
                newer.type, newer.submitted_us = change.type, change.submitted_us
                newer.due_us = newer.due_us or change.due_us
                if not newer.ended_us:
                    newer.status, newer.reason, newer.ended_us = change.status, change.reason, change.ended_us

    def clear(self) -> None:
        """Forget everything."""
        self._changes.clear()


def submission_changes(changes: SubmissionChanges) -> list[TableChange]:
    """Return the changes as statements for the store."""
    return [row for id, change in changes.items() for row in _rows_of(id, change)]


def _rows_of(id: str, change: SubmissionRowChange) -> Iterator[TableChange]:
    if change.type is not None:
        yield SubmissionRow(
            id, change.type, change.status, change.reason, change.due_us, change.submitted_us, change.ended_us
        )
        return
    if change.due_us:
        yield SubmissionDue(id, change.due_us)
    if change.ended_us:
        yield SubmissionEnd(id, change.status, change.reason, change.ended_us)


async def listed(store: EventStore, status: str | None) -> AsyncIterator[SubmissionView]:
    """Yield the submissions of the table, in one status or any, by id."""
    last: str | None = None
    while True:
        rows = await store.read_rows(ReadSubmissions(_PAGE, status, last))
        for row in rows:
            yield submission_view(*astuple(row))
        if len(rows) < _PAGE:
            return
        last = rows[-1].id
