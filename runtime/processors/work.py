"""`Work`: what a processor drives."""

from __future__ import annotations

from typing import Protocol

from actorium.store.events import Event


class Work(Protocol):
    """The interface of the projection, reaction or other work that a processor drives."""

    event_classes: frozenset[type[Event]]

    async def prepare(self) -> None:
        """Prepare its tables or state, and move the checkpoint to the position to begin after."""

    async def caught_up(self) -> None:
        """Called each time all existing events have been handled."""

    async def reset(self) -> None:
        """Start again from the first event."""
