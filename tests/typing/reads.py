"""The types that a type checker sees when the log is read: events of the requested type."""

from collections.abc import Collection
from typing import assert_type

from actorium import Event, RecordedEvent, Runtime
from actorium.types import Subscription


class Opened(Event):
    owner: str


class Deposited(Event):
    amount: int


async def one_type(runtime: Runtime) -> None:
    async for recorded in runtime.events(types=[Deposited]):
        assert_type(recorded, RecordedEvent[Deposited])
        assert_type(recorded.event.amount, int)
        _ = recorded.event.owner  # type: ignore[attr-defined]
    async with runtime.subscribe("deposits", types=[Deposited]) as subscription:
        async for recorded in subscription:
            assert_type(recorded, RecordedEvent[Deposited])


async def several_types(runtime: Runtime) -> None:
    async for recorded in runtime.events(types=[Opened, Deposited]):
        assert_type(recorded, RecordedEvent[Event])
    types: list[type[Opened] | type[Deposited]] = [Opened, Deposited]
    async for named in runtime.events(types=types):
        assert_type(named, RecordedEvent[Opened | Deposited])


async def all_types(runtime: Runtime, types: Collection[type[Event]] | None) -> None:
    async for recorded in runtime.events(after=7):
        assert_type(recorded, RecordedEvent[Event])
    async for recorded in runtime.events(types=types):
        assert_type(recorded, RecordedEvent[Event])
    async with runtime.subscribe("everything") as subscription:
        async for recorded in subscription:
            assert_type(recorded, RecordedEvent[Event])


def narrow_where_wide_will_do(runtime: Runtime) -> Subscription[Event]:
    return runtime.events(types=[Deposited])
