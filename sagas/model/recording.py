"""A saga as it is recorded, and back; and what is said of its events and its bugs."""

from __future__ import annotations

from typing import Any

import msgspec

from actorium.sagas.model.state import SagaState
from actorium.store.events import Event, RecordedEvent
from actorium.store.log import logger
from actorium.store.raised import error_text, let_through, traceback_text

log = logger("actorium.sagas")


def saga_of(saga_class: type[SagaState], state: msgspec.Raw, id: str, reason: str) -> SagaState:
    """Return a saga with its fields as they were recorded."""
    saga = msgspec.json.decode(state, type=saga_class)
    saga.id, saga.reason = id, reason
    return saga


def state_of(saga: SagaState) -> dict[str, Any]:
    """Return a saga's fields as they are recorded: those that are the user's."""
    state: dict[str, Any] = msgspec.to_builtins(saga, str_keys=True)
    del state["id"], state["reason"], state["ended"]
    return state


def bug_text(method: Any, raised: BaseException) -> str:
    """Return why a saga fails whose method raised, and log where that was."""
    let_through(raised)
    reason = f"{method.__qualname__} raised {error_text(raised)}"
    log.error("saga_method_failed", error=reason, traceback=traceback_text(raised))
    return reason


def event_text(recorded: RecordedEvent[Event]) -> str:
    """Return which event it was, for a person."""
    return f"{type(recorded.event).__name__} at {recorded.stream_type}<{recorded.stream_id}> version {recorded.version}"
