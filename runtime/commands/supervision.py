"""`Supervisor`: contains the failure of an actor whose code or stream fails, without affecting other actors.

Invariant: an actor in `_failures` was not hydrated since it failed; the table has at most one entry per live actor.
"""

from __future__ import annotations

from actorium.actors.actor import Actor
from actorium.actors.errors import HydrationFailed
from actorium.actors.status import Status
from actorium.runtime.retry import Retry
from actorium.store.errors import ActoriumError
from actorium.store.log import logger
from actorium.store.source import Source
from actorium.store.wording import counted

log = logger("actorium.runtime")


class Supervisor:
    """Lets a failed actor retry after a delay that doubles each time, with jitter."""

    def __init__(self, source: Source, *, backoff_s: float, backoff_max_s: float) -> None:
        self._source = source
        self._retry = Retry(attempts=1, backoff_s=backoff_s, backoff_max_s=backoff_max_s)
        self._failures: dict[Actor, tuple[int, float, HydrationFailed]] = {}

    def __len__(self) -> int:
        return len(self._failures)

    def hydration_failed(self, actor: Actor, error: ActoriumError, now: float) -> None:
        """Refuse an actor's mail; a poisoned stream delays its next try, an unavailable store does not."""
        if not isinstance(error, HydrationFailed):
            actor.hydration_failed(error, status=Status.COLD)
            return
        count = self._failures.get(actor, (0, 0.0, error))[0] + 1
        wait_s = min(self._retry.backoff_max_s, self._retry.wait_s(count, self._source))  # the jitter is capped too
        self._failures[actor] = (count, now + wait_s, error)
        log.error(
            "actor_failed",
            actor=repr(actor),
            failures=count,
            retry_after_s=round(wait_s, 3),
            error=error.message,
            traceback=error,
        )
        actor.hydration_failed(error, status=Status.FAILED)

    def refusal(self, actor: Actor, now: float) -> HydrationFailed | None:
        """Return why a FAILED actor refuses mail now, or None if it may try again."""
        count, retry_at, error = self._failures[actor]
        if now >= retry_at:
            actor.status = Status.COLD
            return None
        refusal = HydrationFailed(
            f"{error} (after {counted(count, 'failed attempt')}, next try in {retry_at - now:.1f} s)"
        )
        refusal.__cause__ = error.__cause__
        return refusal

    def recovered(self, actor: Actor) -> None:
        """Forget the failures of an actor that is alive again or gone."""
        self._failures.pop(actor, None)
