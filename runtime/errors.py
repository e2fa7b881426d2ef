"""What can go wrong around a command: the runtime's own limits and its end."""

from __future__ import annotations

from actorium.store.errors import ActoriumError


class MailboxFull(ActoriumError):
    """There was no room for a command within its timeout: the system has more load than it can carry.

    Nothing was done. Send again later; an HTTP service answers 503 with Retry-After.
    """


class CommandTimeout(ActoriumError):
    """No answer came in time, and the outcome is unknown: send again with the same `command_id`."""

    def __init__(self, message: str, *, command_id: str) -> None:
        super().__init__(message)
        self.command_id = command_id


class RuntimeClosed(ActoriumError):
    """The runtime has not been started, is stopping, or has stopped."""


class QueryTimeout(ActoriumError):
    """A projection did not come to the position that a query wants within its timeout; ask again."""
