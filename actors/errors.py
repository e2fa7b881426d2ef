"""Errors that an aggregate raises for a command."""

from __future__ import annotations

from typing import Any

from actorium.store.errors import DamagedLog, HandlerFailed, Refused


class Rejected(Refused):
    """The domain rejected a command. Raise it from `@decide`: `raise Rejected("overdrawn", balance=self.balance)`.

    reason: why the command was rejected, as text that people can read and code can compare.
    details: the values that explain the reason.
    """

    reason: str
    details: dict[str, Any]

    def __init__(self, reason: str, /, **details: Any) -> None:
        shown = ", ".join(f"{name}={value!r}" for name, value in details.items())
        super().__init__(f"{reason} ({shown})" if shown else reason)
        self.reason = reason
        self.details = details


class NotFound(Refused):
    """The requested object does not exist; usually the stream of the aggregate is empty."""

    http_status = 404


class AlreadyExists(Refused):
    """A command that creates an aggregate was sent to one that already exists."""


class CommandConflict(Refused):
    """The `command_id` was already used for a different command; nothing was done."""

    http_status = 422


class NotAllowed(Refused):
    """The caller is not allowed to do this; raise it in middleware that checks permissions."""

    http_status = 403


class CommandFailed(HandlerFailed):
    """A command handler has a bug; the cause is chained, and nothing was written."""


class HydrationFailed(DamagedLog):
    """An actor could not be rebuilt from its stream; the cause is chained, and a later command tries again."""
