"""`Sagas`: inspect the sagas of a runtime, and repair those that are stuck: `runtime.sagas`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from actorium.actors.errors import NotFound
from actorium.runtime.arguments import checked_timeout_s
from actorium.sagas.model.saga import Saga
from actorium.sagas.model.views import SagaSummary, SagaView
from actorium.sagas.saga_engine import SagaEngine
from actorium.store.errors import ConfigurationError

_STATUSES = ("running", "undoing", "completed", "undone", "failed")


class Sagas:
    """The sagas of a runtime.

    Every method raises RuntimeClosed while the runtime is not running, and ConfigurationError for a saga class that is
    not in the runtime.
    """

    def __init__(self, running: Callable[[], SagaEngine]) -> None:
        self._running = running

    async def get(self, saga: type[Saga], id: str, *, ended_within_s: float | None = None) -> SagaView:
        """Return a saga: its status and the reason for it, its fields, and its history line by line.

        saga: its class.
        id: the saga's id, as its `@starts` handler determined it.
        ended_within_s: wait up to this many seconds for it to start and end as completed, undone or failed. A failed
            saga stays failed until an operator acts.

        Raises NotFound if it has not started, and SagaTimeout if it has not ended in time; the saga continues.
        """
        engine = self._running()
        try:
            if ended_within_s is None:
                return await engine.view(saga, id)
            return await engine.ended(saga, id, checked_timeout_s(ended_within_s, "ended_within_s"))
        except NotFound as absent:
            starts = [one for one in saga.__definition__.handlers.values() if one.is_start]
            if id.count("/") > 1 or any(one.correlate is not None for one in starts):
                raise
            raise NotFound(
                f"{absent}; without @starts(correlate=…), the id of a saga is that of the event which starts it, such "
                "as Order/o-1/1"
            ) from None

    def list(self, saga: type[Saga] | None = None, *, status: str | None = None) -> AsyncIterator[SagaSummary]:
        """Iterate over all sagas in order of type and id: `async for saga in runtime.sagas.list(status="failed")`.

        saga: only those of this class.
        status: only those that are "running", "undoing", "completed", "undone" or "failed".
        """
        if status is not None and status not in _STATUSES:
            raise ConfigurationError(
                f"sagas.list(status={status!r}): must be running, undoing, completed, undone or failed"
            )
        return self._running().list(saga, status)

    async def retry(self, saga: type[Saga], id: str, *, reason: str) -> None:
        """Retry the current step or undo of a stuck saga.

        reason: stored in its history; must not be empty.

        Raises Rejected if the saga is not stuck, and NotFound if it does not exist.
        """
        await self._running().repair(saga, id, "retry", reason)

    async def skip(self, saga: type[Saga], id: str, *, reason: str) -> None:
        """Treat the current step or undo of a stuck saga as done.

        reason: stored in its history; must not be empty.

        Raises Rejected if the saga is not stuck, and NotFound if it does not exist.
        """
        await self._running().repair(saga, id, "skip", reason)

    async def complete(self, saga: type[Saga], id: str, *, reason: str) -> None:
        """End a stuck saga as completed, even if steps remain.

        reason: stored in its history; must not be empty.

        Raises Rejected if the saga is not stuck, and NotFound if it does not exist.
        """
        await self._running().repair(saga, id, "complete", reason)

    async def compensate(self, saga: type[Saga], id: str, *, reason: str) -> None:
        """Undo the steps of a saga that is stuck on its way forward, the last one first.

        The commands of the stuck step are undone too, unless they are known to have failed.

        reason: stored in its history; must not be empty.

        Raises Rejected if the saga is not stuck, compensates already, or is past a step that cannot be undone; and
        NotFound if it does not exist.
        """
        await self._running().repair(saga, id, "compensate", reason)
