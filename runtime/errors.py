"""What can go wrong around a command: the runtime's own limits and its end."""

from __future__ import annotations

from actorium.store.errors import HandlerFailed, OutcomeUnknown, Unavailable


class Overloaded(Unavailable):
    """A command would have waited too long, or has waited too long for room: there is more load than can be carried.

    Nothing was done. Send again after `retry_after_s` seconds or later: by then what waits now is done, as far as one
    can tell. An HTTP service answers 503 with Retry-After.
    """

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        # Written when somebody reads it: under overload this is raised more often than anything else.
        return f"{self.message}; nothing was done, send again in {self.retry_after_s:.2g} s or later"


class CommandTimeout(OutcomeUnknown):
    """No answer came in time, and the outcome is unknown: send again with the same `command_id`."""

    command_id: str

    def __init__(self, message: str, *, command_id: str) -> None:
        super().__init__(message)
        self.command_id = command_id


class RuntimeClosed(Unavailable):
    """The runtime has not been started, is stopping, or has stopped; nothing was done by this call."""


class QueryFailed(HandlerFailed):
    """A query's method raised an error that is not Actorium's; the cause is chained."""


class QueryTimeout(OutcomeUnknown):
    """A query had no answer in time: its projection is behind, or its statement was interrupted; ask again."""


class EventParked(OutcomeUnknown):
    """A projection does not hold the event that was waited for, nor will it by itself: its handler failed.

    The event is parked, or waits behind one of its stream that is, or was discarded; the message says why, and how a
    person delivers it. A command that was sent with `wait_for` has taken effect.

    processor: the name under which the projection's progress is kept. position: that of the parked event.
    """

    processor: str
    position: int

    def __init__(self, message: str, *, processor: str, position: int) -> None:
        super().__init__(message)
        self.processor = processor
        self.position = position
