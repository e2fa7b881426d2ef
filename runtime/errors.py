"""Errors of the runtime around a command: overload, timeouts and shutdown."""

from __future__ import annotations

from actorium.store.errors import HandlerFailed, LostRace, OutcomeUnknown, Unavailable


class Overloaded(Unavailable):
    """The command waited too long to be accepted, or would have: the load is higher than the runtime can handle.

    Nothing was done. Send it again after `retry_after_s` seconds or later; the commands that are waiting now should be
    done by then. An HTTP service can reply 503 with Retry-After.
    """

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        # `BaseException.__new__` has stored the message, and under overload no error is raised more often.
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        # Formatted on demand, for the same reason.
        return f"{self.message}; nothing was done; send again in {self.retry_after_s:.2g} s or later"


class CommandTimeout(OutcomeUnknown):
    """No reply came in time, and the outcome is unknown: send the command again with the same `command_id`."""

    command_id: str

    def __init__(self, message: str, *, command_id: str) -> None:
        super().__init__(message)
        self.command_id = command_id


class RuntimeClosed(Unavailable):
    """The runtime has not been started, is stopping, or has stopped; the call did nothing."""


class ServiceUnavailable(Unavailable):
    """Another service, or the bus, cannot be reached now; nothing was done.

    service: the name of the service; empty if it is the bus.
    """

    service: str = ""

    def __init__(self, message: str, *, service: str = "", retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.service = service
        self.retry_after_s = retry_after_s


class WrongSequence(LostRace):
    """An entry was appended to a stream that does not end where the writer expected; nothing was written."""


class QueryFailed(HandlerFailed):
    """A query method raised an error that is not one of Actorium's; the cause is chained."""


class QueryTimeout(OutcomeUnknown):
    """A query did not finish in time: its projection is behind, or its statement was too slow. Ask again."""


class EventParked(OutcomeUnknown):
    """A projection could not handle the event that the caller is waiting for; an operator must fix this.

    The event is parked, waits behind a parked event of its stream, or was discarded; the message says why, and how to
    deliver it. A command that was sent with `wait_for` has taken effect.

    processor: the name under which the projection's progress is saved.
    position: the position of the parked event.
    """

    processor: str
    position: int

    def __init__(self, message: str, *, processor: str, position: int) -> None:
        super().__init__(message)
        self.processor = processor
        self.position = position


class FollowerElsewhere(Unavailable):
    """A processor runs on another node of the cluster, and only that node can reset it or deliver parked events."""

    @classmethod
    def of(cls, processor: str) -> FollowerElsewhere:
        """Return the error for a processor with this name."""
        return cls(f"{processor} runs on another node: ask that one, see `actorium nodes`")


class NewerCodeNeeded(Unavailable):
    """A stream holds events that newer code wrote, and this node of the cluster cannot read them; another one can."""
