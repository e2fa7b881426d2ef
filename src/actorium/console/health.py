"""`live` and `ready`: whether an application works, and why not."""

from __future__ import annotations

import asyncio

from actorium.application import Runtime
from actorium.console.api.views import HealthView
from actorium.store.errors import ActoriumError

STORE_ANSWERS_S = 2.0
_BROKEN = ("failed", "full", "stopped")


async def live(runtime: Runtime) -> HealthView:
    """Return whether the runtime runs; the answer itself shows that its event loop turns."""
    try:
        runtime.statistics()
    except ActoriumError as error:
        return HealthView(False, [str(error)])
    return HealthView(True, [])


async def ready(runtime: Runtime, *, lag_s_max: float) -> HealthView:
    """Return whether the application can do its work: its store answers, it has room, its processors keep up.

    lag_s_max: how far a processor may be behind, in seconds.
    """
    alive = await live(runtime)
    if not alive.ok:
        return alive
    reasons = []
    try:
        async with asyncio.timeout(STORE_ANSWERS_S):
            await runtime.store.head()
    except TimeoutError:
        reasons.append(f"the store does not answer within {STORE_ANSWERS_S:g} s")
    except ActoriumError as error:
        reasons.append(f"the store cannot be read: {error}")
    statistics = runtime.statistics()
    if statistics.expected_wait_s > runtime.settings.max_wait_s:
        reasons.append(f"overloaded: a command would wait {statistics.expected_wait_s:.3g} s")
    for one in statistics.processors:
        if one.state in _BROKEN:
            reasons.append(f"{one.name} is {one.state}: {one.error}")
        elif one.lag_s > lag_s_max:
            reasons.append(f"{one.name} is {one.lag_s:.3g} s behind the log")
    return HealthView(not reasons, reasons)
