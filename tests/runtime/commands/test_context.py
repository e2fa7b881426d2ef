"""What runs for many callers at once does not run in the context of one of them."""

import asyncio
from collections.abc import Awaitable
from contextvars import ContextVar

from support.bank import Add, Tally
from support.stores import PassedThrough
from support.virtual_time import virtual

from actorium import Runtime
from actorium.store.event_store import AppendBatch, Appended

WHO: ContextVar[str] = ContextVar("who", default="nobody")


class Watched(PassedThrough):
    """Notes in whose context it is called, and in whose its coroutine runs."""

    def __init__(self) -> None:
        super().__init__()
        self.callers: set[str] = set()

    def append(self, batch: AppendBatch) -> Awaitable[Appended]:  # type: ignore[override]
        self.callers.add(WHO.get())
        return self._append(batch)

    async def _append(self, batch: AppendBatch) -> Appended:
        self.callers.add(WHO.get())
        await asyncio.sleep(0)
        return await self.inner.append(batch)


@virtual
async def test_neither_the_store_nor_another_caller_sees_the_context_of_a_caller() -> None:
    store = Watched()
    async with Runtime([Tally], store=store) as runtime:
        seen: list[tuple[str, str]] = []

        async def send_as(who: str) -> None:
            WHO.set(who)
            for _ in range(5):
                await runtime.send(Add(who))
                seen.append((who, WHO.get()))

        await asyncio.create_task(send_as("alone"))
        await asyncio.gather(*(send_as(who) for who in "abc"))
    assert store.callers == {"nobody"}
    assert all(who == found for who, found in seen)
