"""`live` and `ready`: whether an application works and, if not, why."""

from __future__ import annotations

import asyncio

import msgspec

from actorium.application import Runtime
from actorium.errors import ActoriumError

STORE_ANSWERS_S = 1.0
_BROKEN = ("failed", "full", "stopped")


class Health(msgspec.Struct, frozen=True):
    """Whether an application works; `reasons` says why not."""

    ok: bool
    reasons: tuple[str, ...] = ()


def live(runtime: Runtime) -> Health:
    """Return whether the runtime runs. An answer over HTTP also shows that its event loop turns.

    An application that is not live should be restarted.
    """
    try:
        runtime.statistics()
    except ActoriumError as error:
        return Health(False, (str(error),))
    return Health(True)


async def ready(runtime: Runtime, *, lag_s_max: float = 30.0) -> Health:
    """Return whether the application can do its work: its store answers, it has room, and its processors keep up.

    lag_s_max: how far a processor may be behind the log, in seconds.

    An application that is not ready should get no requests for now. A restart does not help.
    """
    alive = live(runtime)
    if not alive.ok:
        return alive
    reasons = []
    try:
        async with asyncio.timeout(STORE_ANSWERS_S):
            await runtime.store.head()
    except TimeoutError:
        reasons.append(f"the store did not answer within {STORE_ANSWERS_S:g} s")
    except ActoriumError as error:
        reasons.append(f"the store cannot be read: {type(error).__name__}")  # its text may name files and hosts
    statistics = runtime.statistics()
    if statistics.expected_wait_s > runtime.settings.max_wait_s:
        reasons.append(f"overloaded: a command would wait {statistics.expected_wait_s:.3g} s")
    for one in statistics.processors:
        if one.state in _BROKEN:
            reasons.append(f"{one.name} is {one.state}: {one.error}")
        elif one.lag_s > lag_s_max:
            reasons.append(f"{one.name} is {one.lag_s:.3g} s behind the log")
    return Health(not reasons, tuple(reasons))
