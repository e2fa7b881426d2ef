"""What can go wrong between a command and its aggregate."""

from __future__ import annotations

from typing import Any

from actorium.store.errors import ActoriumError


class Rejected(ActoriumError):
    """The domain said no. Raise it from `@decide`: `raise Rejected("insufficient funds", balance=self.balance)`.

    `reason` is for people and for comparison; `details` carries the values that explain it.
    """

    def __init__(self, reason: str, /, **details: Any) -> None:
        shown = ", ".join(f"{name}={value!r}" for name, value in details.items())
        super().__init__(f"{reason} ({shown})" if shown else reason)
        self.reason = reason
        self.details = details


class NotFound(ActoriumError):
    """The aggregate does not exist: its stream is empty, and the command (or the read) needs one that exists."""


class AlreadyExists(ActoriumError):
    """A creating command met a stream that already has events."""


class CommandFailed(ActoriumError):
    """A command handler has a bug, or was given a command whose fields are wrong; the cause is chained."""


class CommandConflict(ActoriumError):
    """A `command_id` was used before for a command with other content; nothing was done."""


class HydrationFailed(ActoriumError):
    """An actor cannot be rebuilt from its stream; the cause is chained, and the next try is allowed after a while."""
