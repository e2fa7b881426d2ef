"""Converts a saga to its recorded form and back, and describes its events and bugs as text."""

from __future__ import annotations

from typing import Any

import msgspec

from actorium.sagas.model.state import SagaState
from actorium.store.events import Event, RecordedEvent
from actorium.store.log import logger
from actorium.store.raised import error_text, let_through

log = logger("actorium.sagas")


def saga_of(saga_class: type[SagaState], state: msgspec.Raw, id: str, reason: str) -> SagaState:
    """Return a saga with its recorded fields."""
    saga = msgspec.json.decode(state, type=saga_class)
    saga.id, saga.reason = id, reason
    return saga


def state_of(saga: SagaState) -> dict[str, Any]:
    """Return a saga's fields in recorded form, without the fields that every saga has."""
    state: dict[str, Any] = msgspec.to_builtins(saga, str_keys=True)
    del state["id"], state["reason"], state["ended"]
    return state


def bug_text(method: Any, raised: BaseException) -> str:
    """Return the reason for the failure of a saga whose method raised, and log the traceback."""
    let_through(raised)
    reason = f"{method.__qualname__} raised {error_text(raised)}"
    log.error("saga_method_failed", error=reason, traceback=raised)
    return reason


def event_text(recorded: RecordedEvent[Event]) -> str:
    """Return a description of an event for a person."""
    return f"{type(recorded.event).__name__} at {recorded.stream_type}<{recorded.stream_id}> version {recorded.version}"
