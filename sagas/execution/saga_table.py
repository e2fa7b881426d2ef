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

Said = tuple[str | None, str | None, str | None]
"""Status, step and reason of a saga after an event; None for a value that the event does not change."""


def _issued(event: StepIssued) -> Said:
    # A saga without steps may have many open intents, so its step is not shown.
    return None, None if event.step == FREE else event.step + UNDO if event.undo else event.step, None


def _failed(event: SagaFailed) -> Said:
    return "failed", None if event.key.startswith(FREE + ":") else event.key or None, event.reason


_SAYS: Mapping[type[Event], Callable[[Any], Said]] = {
    StepIssued: _issued,
    SagaStarted: lambda event: ("running", None, None),
    StepFailed: lambda event: ("undoing", None, event.reason),
    SagaCompleted: lambda event: ("completed", "", ""),
    SagaUndone: lambda event: ("undone", "", event.reason),
    SagaFailed: _failed,
    SagaRepaired: lambda event: ("undoing" if event.undoing else "running", None, None),
}


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
    """The unwritten changes of the table."""

    event_classes = frozenset(_SAYS)

    def __init__(self) -> None:
        self._changes: Changes = {}

    def __len__(self) -> int:
        return len(self._changes)

    def take(self, recorded: RecordedEvent[Event]) -> None:
        """Record the change that an event of a saga's stream makes; its class is one of `event_classes`."""
        event = recorded.event
        status, step, reason = _SAYS[type(event)](event)
        name = (recorded.stream_type, recorded.stream_id)
        change = self._changes.get(name)
        if change is None:
            change = self._changes[name] = SagaRowChange()
        if status is not None:
            change.status = status
            if change.started_us is None and type(event) is SagaStarted:
                change.started_us = recorded.recorded_us
        if step is not None:
            change.step = step
        if reason is not None:
            change.reason = reason
        change.updated_us = recorded.recorded_us

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
