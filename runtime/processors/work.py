"""`Work`: what a processor drives."""

from __future__ import annotations

from typing import Protocol

from actorium.runtime.errors import RuntimeClosed
from actorium.store.errors import ActoriumError, HandlerFailed
from actorium.store.events import Event
from actorium.store.raised import error_text, let_through


class Work(Protocol):
    """The interface of the projection, reaction or other work that a processor drives."""

    event_classes: frozenset[type[Event]]

    async def prepare(self) -> None:
        """Prepare its tables or state, and move the checkpoint to the position to begin after."""

    async def caught_up(self) -> None:
        """Called each time all existing events have been handled."""

    async def reset(self) -> None:
        """Start again from the first event."""


def failure_of_errand(processor: str, raised: BaseException) -> ActoriumError:
    """Return the error that the caller of an errand gets, for what was raised in the processor's task."""
    if isinstance(raised, ActoriumError):
        return raised
    failure: ActoriumError = HandlerFailed(f"{processor}: {error_text(raised)}")
    try:
        let_through(raised)
    except BaseException:
        failure = RuntimeClosed(f"the processor {processor} has stopped")
    failure.__cause__ = raised
    return failure
