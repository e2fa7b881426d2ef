"""`WebOptions`: how requests become commands, in every web framework."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec

from actorium.application import Runtime

HeadersOf = Callable[[Any], Mapping[str, str]]
"""Returns the headers to store with the commands of a request; the request is the framework's."""


class WebOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How requests become commands.

    headers: returns the headers to store with the commands of a request, such as the user; `traceparent` is added.
    body_bytes_max: a longer request body is answered with 413.
    wait_max_s: the most seconds that `Prefer: wait` may ask for.
    titles: the titles of problems, by class of errors; the nearest base class counts.
    ready_lag_s: how far a processor may be behind the log before `/health/ready` says no.
    health: the path under which `live` and `ready` are served; empty for none.
    while_running: functions of the runtime that return async context managers, such as `control_socket`. They are
        entered once the runtime has started, and left before it stops.
    """

    headers: HeadersOf = lambda request: {}
    body_bytes_max: int = 1_048_576
    wait_max_s: float = 60.0
    titles: Mapping[type[Exception], str] = {}
    ready_lag_s: float = 30.0
    health: str = "/health"
    while_running: Sequence[Callable[[Runtime], AbstractAsyncContextManager[Any]]] = ()

    @asynccontextmanager
    async def running(self, runtime: Runtime) -> AsyncIterator[None]:
        """Run a runtime, and what goes with it, while the block runs."""
        async with runtime, AsyncExitStack() as stack:
            for make in self.while_running:
                await stack.enter_async_context(make(runtime))
            yield
