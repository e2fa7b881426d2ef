"""What the adapters stream as server-sent events: the log, and the results of a query.

The response has begun when a stream fails, so a failure cannot be its status: it is the last event, named `problem`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec
import structlog

from actorium.application import Runtime
from actorium.contrib.web.problems import problem_of
from actorium.errors import ActoriumError, PositionBeyondLog
from actorium.runtime.log.subscriptions import Subscription
from actorium.runtime.projections.queries import Watch
from actorium.store.events import Event

log = structlog.get_logger("actorium.web")


class StreamedValue(NamedTuple):
    """One server-sent event; `data` is sent as JSON."""

    name: str
    data: Any
    id: str = ""


def log_after(runtime: Runtime, after: int, last_event_id: int | None) -> Subscription[Event]:
    """Return the log after the last event that a client has seen; raise PositionBeyondLog if it cannot have seen it.

    after: a position; last_event_id: the position that a browser sends in Last-Event-ID, which counts more.
    """
    seen = after if last_event_id is None else last_event_id
    end = runtime.statistics().position
    if seen > end:  # raised here, because a started stream has already sent its status
        raise PositionBeyondLog(f"the log ends at position {end}: no later event can have been seen", seen, end)
    return runtime.events(after=seen)


async def streamed_events(log: Subscription[Event]) -> AsyncIterator[StreamedValue]:
    """Return the events of a subscription, whose ids are positions."""
    async for one in _to_problem(_of_events(log)):
        yield one


async def streamed_results(watch: Watch[Any], name: str) -> AsyncIterator[StreamedValue]:
    """Return the results of `runtime.watch`: the present one, then each new one."""
    async for one in _to_problem(StreamedValue(name, msgspec.to_builtins(result)) async for result in watch):
        yield one


async def _of_events(log: Subscription[Event]) -> AsyncIterator[StreamedValue]:
    async for recorded in log:
        data = {
            "id": recorded.stream_id,
            "version": recorded.version,
            "recorded_at": recorded.recorded_at,
            "correlation_id": recorded.metadata.flow_id,
            "event": msgspec.to_builtins(recorded.event),
        }
        yield StreamedValue(type(recorded.event).__name__, data, str(recorded.position))


async def _to_problem(values: AsyncIterator[StreamedValue]) -> AsyncIterator[StreamedValue]:
    """Pass values on; if one cannot be read, end with the problem details of the error."""
    try:
        async for one in values:
            yield one
    except ActoriumError as error:
        problem = problem_of(error)
        if problem.status >= 500:  # the details go to the log, not to clients
            log.warning("stream_failed", error=repr(error))
        yield StreamedValue("problem", problem.body)
