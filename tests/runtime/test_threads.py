"""A runtime belongs to one event loop: calls from other threads must go through that loop."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support.bank import Add, Added, Tally

from actorium import ConfigurationError, Projection, Runtime, on, query


class Sum(Projection):
    total: int = 0

    @on
    def added(self, event: Added) -> None:
        self.total += event.amount

    @query
    def of(self) -> int:
        return self.total


CALLS: list[Callable[[Runtime], Any]] = [
    lambda runtime: runtime.send(Add("t")),
    lambda runtime: runtime.send(Add("cold")),
    lambda runtime: runtime.tell(Add("t")),
    lambda runtime: runtime.submit(Add("t")),
    lambda runtime: runtime.get(Tally, "t"),
    lambda runtime: runtime.get(Tally, "t", at_version=1),
    lambda runtime: runtime.query(Sum.of),
    lambda runtime: runtime.submissions.cancel("x"),
    lambda runtime: runtime.stop(),
    lambda runtime: runtime.ended(),
    lambda runtime: anext(runtime.history(Tally, "t")),
    lambda runtime: anext(runtime.events()),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.asyncio
async def test_a_call_from_another_loop_is_refused_and_does_nothing(call: Callable[[Runtime], Any]) -> None:
    async def foreign(runtime: Runtime) -> None:
        with pytest.raises(ConfigurationError, match="run_coroutine_threadsafe"):
            await call(runtime)

    async with Runtime([Tally, Sum], store="memory://") as runtime:
        await runtime.send(Add("t"))
        await asyncio.to_thread(lambda: asyncio.run(foreign(runtime)))
        statistics = runtime.statistics()
        assert (statistics.position, statistics.in_flight, statistics.live_actors) == (1, 0, 1)
        assert (await runtime.send(Add("t"))).version == 2


@pytest.mark.asyncio
async def test_a_thread_without_a_loop_is_refused_too() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        with pytest.raises(ConfigurationError, match="outside its event loop"):
            await asyncio.to_thread(runtime.events)


@pytest.mark.asyncio
async def test_a_thread_sends_through_the_loop_of_the_runtime() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        loop = asyncio.get_running_loop()

        def in_a_thread() -> int:
            return asyncio.run_coroutine_threadsafe(runtime.send(Add("t")), loop).result(timeout=10).version

        assert await asyncio.to_thread(in_a_thread) == 1
        assert (await asyncio.to_thread(runtime.statistics)).position == 1
