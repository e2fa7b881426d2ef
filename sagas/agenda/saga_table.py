"""`SagaTable`: the sagas and their status as a table, which `runtime.sagas.list(status=…)` reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import astuple

from actorium.sagas.model.events import (
    FREE,
    UNDO,
    SagaCompleted,
    SagaFailed,
    SagaRepaired,
    SagaStarted,
    SagaUndone,
    StepFailed,
    StepIssued,
)
from actorium.store.events import Event, RecordedEvent
from actorium.store.tables.own_rows import SagaChange


class SagaRowChange(msgspec.Struct, gc=False):
    """The changes of a saga's row; None for a column that did not change."""

    status: str | None = None
    step: str | None = None
    reason: str | None = None
    started_us: int | None = None
    updated_us: int = 0


Changes = dict[tuple[str, str], SagaRowChange]
"""The changes, by type and id of the saga."""


class SagaTable:
    """The unwritten changes of the table; `takes` maps each event class to the method that records its change."""

    def __init__(self) -> None:
        self._changes: Changes = {}
        self.takes: Mapping[type[Event], Callable[[RecordedEvent[Any]], None]] = {
            SagaStarted: self._started,
            StepIssued: self._issued,
            StepFailed: self._step_failed,
            SagaCompleted: self._completed,
            SagaUndone: self._undone,
            SagaFailed: self._failed,
            SagaRepaired: self._repaired,
        }

    def __len__(self) -> int:
        return len(self._changes)

    def _changed(self, recorded: RecordedEvent[Any]) -> SagaRowChange:
        """Return the change of the saga's row, to be completed from the event."""
        name = (recorded.stream_type, recorded.stream_id)
        change = self._changes.get(name)
        if change is None:
            change = self._changes[name] = SagaRowChange()
        change.updated_us = recorded.recorded_us
        return change

    def _started(self, recorded: RecordedEvent[SagaStarted]) -> None:
        change = self._changed(recorded)
        change.status, change.started_us = "running", recorded.recorded_us

    def _issued(self, recorded: RecordedEvent[StepIssued]) -> None:
        change, event = self._changed(recorded), recorded.event
        if event.step != FREE:  # a saga without steps may have many open intents, so its step is not shown
            change.step = event.step + UNDO if event.undo else event.step

    def _step_failed(self, recorded: RecordedEvent[StepFailed]) -> None:
        change = self._changed(recorded)
        change.status, change.reason = "undoing", recorded.event.reason

    def _completed(self, recorded: RecordedEvent[SagaCompleted]) -> None:
        change = self._changed(recorded)
        change.status, change.step, change.reason = "completed", "", ""

    def _undone(self, recorded: RecordedEvent[SagaUndone]) -> None:
        change = self._changed(recorded)
        change.status, change.step, change.reason = "undone", "", recorded.event.reason

    def _failed(self, recorded: RecordedEvent[SagaFailed]) -> None:
        change, event = self._changed(recorded), recorded.event
        change.status, change.reason = "failed", event.reason
        if event.key and not event.key.startswith(FREE + ":"):
            change.step = event.key

    def _repaired(self, recorded: RecordedEvent[SagaRepaired]) -> None:
        self._changed(recorded).status = "undoing" if recorded.event.undoing else "running"

    def take_changes(self) -> Changes:
        """Return the changes to write, and forget them."""
        changes, self._changes = self._changes, {}
        return changes

    def give_back(self, changes: Changes) -> None:
        """Take back changes that could not be written; newer ones take precedence."""
        for name, change in changes.items():
            newer = self._changes.get(name)
            if newer is None:
                self._changes[name] = change
            else:
                columns = zip(astuple(change), astuple(newer), strict=True)
                self._changes[name] = SagaRowChange(*[old if new is None else new for old, new in columns])

    def clear(self) -> None:
        """Forget everything."""
        self._changes.clear()


def saga_changes(changes: Changes) -> list[SagaChange]:
    """Return the changes as statements for the store."""
    return [SagaChange(*name, *astuple(change)) for name, change in changes.items()]
