"""`Submissions`: inspect submitted commands, and cancel those that wait: `runtime.submissions`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from actorium.sagas.model.submission_views import SUBMISSION_STATUSES, SubmissionView
from actorium.sagas.saga_engine import SagaEngine
from actorium.store.errors import ConfigurationError


class Submissions:
    """The commands submitted with `runtime.submit`.

    Every method raises RuntimeClosed while the runtime is not running.
    """

    def __init__(self, running: Callable[[], SagaEngine]) -> None:
        self._running = running

    async def get(self, command_id: str) -> SubmissionView:
        """Return a submitted command: its status, when it is due, and how it ended.

        command_id: from the acknowledgement of `submit`.

        Raises NotFound if no such command was submitted.
        """
        return await self._running().submission(command_id)

    def list(self, *, status: str | None = None) -> AsyncIterator[SubmissionView]:
        """Iterate over the submitted commands in order of id, including those that are not due yet.

        status: only those that are "waiting", "done", "failed" or "cancelled".
        """
        if status is not None and status not in SUBMISSION_STATUSES:
            raise ConfigurationError(f"submissions.list(status={status!r}): must be waiting, done, failed or cancelled")
        return self._running().submissions(status)

    async def cancel(self, command_id: str, *, reason: str = "") -> bool:
        """Cancel a waiting command; return False if it is already done, failed or cancelled.

        A cancelled command can no longer take effect, even if it is being sent.

        reason: stored with it.

        Raises NotFound if no such command was submitted.
        """
        return await self._running().cancel(command_id, reason)

    async def run_now(self, command_id: str, *, reason: str = "") -> bool:
        """Make a waiting command due now instead of later; return False if it was already due, or is over.

        reason: stored with it.

        Raises NotFound if no such command was submitted.
        """
        return await self._running().hasten(command_id, reason)
