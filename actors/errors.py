"""What can go wrong between a command and its aggregate."""

from __future__ import annotations

from typing import Any

from actorium.store.errors import DamagedLog, HandlerFailed, Refused


class Rejected(Refused):
    """The domain said no. Raise it from `@decide`: `raise Rejected("insufficient funds", balance=self.balance)`.

    `reason` is for people and for comparison; `details` carries the values that explain it.
    """

    reason: str
    details: dict[str, Any]

    def __init__(self, reason: str, /, **details: Any) -> None:
        shown = ", ".join(f"{name}={value!r}" for name, value in details.items())
        super().__init__(f"{reason} ({shown})" if shown else reason)
        self.reason = reason
        self.details = details


class NotFound(Refused):
    """What was asked for does not exist: most often an aggregate whose stream is empty."""

    http_status = 404


class AlreadyExists(Refused):
    """A creating command met a stream that already has events."""


class CommandConflict(Refused):
    """A `command_id` was used before for a command with other content; nothing was done."""

    http_status = 422


class NotAllowed(Refused):
    """The caller may not do this. Raise it from middleware that checks who sends what."""

    http_status = 403


class CommandFailed(HandlerFailed):
    """The handler of a command has a bug; the cause is chained, and nothing was written."""


class HydrationFailed(DamagedLog):
    """An actor cannot be rebuilt from its stream; the cause is chained, and the next try is allowed after a while."""
