"""`Submissions`: `runtime.submissions`: look at submitted commands, and cancel those that wait."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime

from actorium.sagas.execution.saga_engine import SagaEngine
from actorium.sagas.model.submission_views import SUBMISSION_STATUSES, SubmissionView
from actorium.store.errors import ConfigurationError, InvalidCommand
from actorium.store.source import Source

_AFTER_S_MAX = 1e11  # some 3,000 years: the log counts microseconds in 63 bits


class Submissions:
    """The commands that were given to `runtime.submit`.

    Every method raises RuntimeClosed while the runtime does not run.
    """

    def __init__(self, running: Callable[[], SagaEngine]) -> None:
        self._running = running

    async def get(self, command_id: str) -> SubmissionView:
        """Return a submitted command: its status, when it is due, and how it ended.

        command_id: that of the acknowledgement of `submit`.

        Raises NotFound where no such command was submitted.
        """
        return await self._running().submission(command_id)

    def list(self, *, status: str | None = None) -> AsyncIterator[SubmissionView]:
        """Iterate over the submitted commands, timers that wait included, by their ids.

        status: only those that are "waiting", "done", "failed" or "cancelled".
        """
        if status is not None and status not in SUBMISSION_STATUSES:
            raise ConfigurationError(f"submissions.list(status={status!r}): waiting, done, failed or cancelled")
        return self._running().submissions(status)

    async def cancel(self, command_id: str, *, reason: str = "") -> bool:
        """Cancel a submitted command that waits; return False where it was sent already, or is being sent.

        reason: is kept with it.

        Raises NotFound where no such command was submitted.
        """
        return await self._running().cancel(command_id, reason)


def due_at_us(source: Source, at: datetime | None, after_s: float | None) -> int:
    """Return when a command is due, in microseconds since the epoch; 0 for at once.

    at: an aware datetime.
    after_s: seconds from now.

    Raises ConfigurationError for both, and InvalidCommand for a naive datetime or a number that the log cannot hold.
    """
    if at is not None and after_s is not None:
        raise ConfigurationError("submit(…): give at= or after_s=, not both")
    if at is not None:
        if at.tzinfo is None:
            raise InvalidCommand(f"submit(…, at={at!r}) has no time zone: give an aware datetime")
        return round(at.timestamp() * 1_000_000)
    if after_s is None:
        return 0
    if not abs(after_s) <= _AFTER_S_MAX:
        raise InvalidCommand(f"submit(…, after_s={after_s!r}): seconds, at most {_AFTER_S_MAX:g}")
    return source.now_us() + round(after_s * 1_000_000)
