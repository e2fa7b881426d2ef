"""`Edits`: how a run differs from the log: events left out, events changed, and commands added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from actorium.actors.commands import Command, CommandHandler
from actorium.actors.errors import NotFound
from actorium.store.errors import ConfigurationError
from actorium.store.names import StreamName


class Added(msgspec.Struct, frozen=True):
    """A command that a run decides in addition, after the event at a position; None for after the last one.

    handler, stream: for a command that is not the application's: how it is decided, and by which stream.
    """

    command: Command
    after: int | None = None
    handler: CommandHandler | None = None
    stream: StreamName | None = None


class Edits(msgspec.Struct, frozen=True, kw_only=True):
    """How a run differs from the log. Nothing in the log changes.

    left_out: the ids of events that did not happen.
    changed: for the ids of events, the fields that have other values, as in the JSON of the event.
    added: commands that are decided in addition, such as compensating ones.
    skipped: for the names of projections, the ids of events that they skip.

    Raises ConfigurationError if an event is both left out and changed.
    """

    left_out: frozenset[str] = frozenset()
    changed: Mapping[str, Mapping[str, Any]] = {}
    added: Sequence[Added] = ()
    skipped: Mapping[str, frozenset[str]] = {}

    def __post_init__(self) -> None:
        both = self.left_out & set(self.changed)
        if both:
            raise ConfigurationError(f"{min(both)} is both left out and changed")

    @property
    def events(self) -> frozenset[str]:
        """The ids of all edited events."""
        return self.left_out | set(self.changed)

    def require_found(self, ids: frozenset[str]) -> None:
        """Raise NotFound unless every edited event is among these."""
        missing = sorted(self.events - ids)
        if missing:
            raise NotFound(f"{missing[0]!r} is not an event of an aggregate in this log")
