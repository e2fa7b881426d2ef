"""Wherever a process dies at its first start, its followers of the log begin where that start found the log's end.

The first start with sagas, a reaction, an outlet or another service is repeated for each of its commits, and the
process dies there.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import pytest
from support.crashing import CrashingStore
from support.shop_parts import Customer, CustomerOpened, OpenCustomer, Order
from support.stores import whole_log
from support.transfers import Ask, TransferRequested, runtime_of
from support.virtual_time import run_virtual

from actorium import EventStore, Outlet, RecordedEvent, Runtime, Saga, react, starts
from actorium.runtime.bus.buses.memory import MemoryBus
from actorium.services import RemoteService, Service
from actorium.store.event_store import SaveCheckpoint, SaveFailure
from actorium.store.memory import MemoryStore
from actorium.types import CloudEvent


class SinceNow(Saga):
    @starts
    def requested(self, event: TransferRequested) -> None: ...


class SinceBeginning(Saga):
    begins_at = "beginning"

    @starts
    def requested(self, event: TransferRequested) -> None: ...


class SlowSaves(CrashingStore):
    """Commands are acknowledged long before a checkpoint is saved that nothing waits for."""

    async def save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        await asyncio.sleep(1)
        return await super().save(checkpoints)


class FirstStart:
    """Followers that are new to a log, and what they were given of its desks."""

    def __init__(self, *followers: str) -> None:
        self.followers = followers
        self.noted: set[str] = set()
        self.published: set[str] = set()

    def runtime(self, store: EventStore, seed: int) -> Runtime:
        @react(on_replay="skip")
        async def note(event: TransferRequested, recorded: RecordedEvent[TransferRequested]) -> None:
            self.noted.add(recorded.stream_id)

        async def publish(event: CloudEvent) -> None:
            self.published.add(event.subject or "")

        outlet = Outlet("post", types=[TransferRequested], sink=publish, source="/desks", start="now")
        parts = {"now": SinceNow, "beginning": SinceBeginning, "reaction": note, "outlet": outlet}
        return runtime_of(*(parts[name] for name in self.followers), store=store, seed=seed)

    async def given(self, runtime: Runtime) -> dict[str, set[str]]:
        """Return the ids of the sagas that were started, and of the desks whose events the others were given."""
        found = {"reaction": self.noted, "outlet": self.published}
        for name, saga in (("now", SinceNow), ("beginning", SinceBeginning)):
            if name in self.followers:
                found[name] = {one.id async for one in runtime.sagas.list(saga)}
        return {name: found[name] for name in self.followers}


async def live(runtime: Runtime) -> None:
    async with runtime:
        for number in range(3):
            await runtime.send(Ask(f"desk-{number}", "", ""), command_id=f"ask {number}")
            await asyncio.sleep(0.7)
        await asyncio.sleep(2)


async def until_death(store: CrashingStore, runtime: Runtime, living: Coroutine[Any, Any, None]) -> None:
    life, death = asyncio.create_task(living), asyncio.create_task(store.died.wait())
    await asyncio.wait((life, death), return_when=asyncio.FIRST_COMPLETED)
    life.cancel()
    death.cancel()
    if store.died.is_set():
        await store.bury(runtime)
    await asyncio.gather(life, death, return_exceptions=True)


async def die_and_start_again(followers: Sequence[str], at: int, *, after: bool) -> int:
    """Die at a commit of the first start, if there are as many, and check the second; return the first's commits."""
    log, first = MemoryStore(), FirstStart(*followers)
    async with runtime_of(store=log, seed=1) as runtime:
        await runtime.send(Ask("earlier", "", ""))
    store = SlowSaves(log, at, after=after)
    runtime = first.runtime(store, 2)
    await until_death(store, runtime, live(runtime))
    async with first.runtime(log, 3) as runtime:
        await asyncio.sleep(10)
        given = await first.given(runtime)
        recorded = {one.stream.id for one in await whole_log(log) if one.stream.type == "Desk"}
    later = recorded - {"earlier"}
    expected = {
        "now": {f"Desk/{id}/1" for id in later},
        "beginning": {f"Desk/{id}/1" for id in recorded},
        "reaction": later,
        "outlet": later,
    }
    assert given == {name: expected[name] for name in followers}
    return store.commits


@pytest.mark.parametrize("followers", [("now", "beginning"), ("reaction",), ("outlet",)], ids=", ".join)
def test_a_crash_at_any_commit_of_the_first_start_loses_no_event(followers: Sequence[str]) -> None:
    commits = run_virtual(die_and_start_again(followers, 0, after=False))
    assert commits >= 5
    for at in range(1, commits + 1):
        for after in (False, True):
            run_virtual(die_and_start_again(followers, at, after=after))


async def die_and_take_in_again(at: int, *, after: bool) -> int:
    """Die at a commit of the first start with another service's events; check the second."""
    name, log, opened = f"first-start-{at}-{after}", MemoryStore(), {"earlier"}

    def orders(store: EventStore) -> Runtime:
        remote = RemoteService("customers", events=[CustomerOpened], start="now")
        return Runtime([Order, remote], store=store, service=Service("orders", bus=MemoryBus(name)))

    publishing = Service("customers", bus=MemoryBus(name), publishes=[CustomerOpened])
    async with Runtime([Customer], store=MemoryStore(), service=publishing) as customers:

        async def live(runtime: Runtime) -> None:
            async with runtime:
                for id in ("one", "two"):
                    opened.add(id)
                    await customers.send(OpenCustomer(id, 1))
                    await asyncio.sleep(0.7)
                await asyncio.sleep(2)

        await customers.send(OpenCustomer("earlier", 1))
        await asyncio.sleep(1)
        store = SlowSaves(log, at, after=after)
        runtime = orders(store)
        await until_death(store, runtime, live(runtime))
        async with orders(log):
            await asyncio.sleep(10)
            taken_in = {one.stream.id for one in await whole_log(log) if one.stream.type == "customers"}
    assert taken_in == opened - {"earlier"}
    return store.commits


def test_a_crash_at_any_commit_of_the_first_start_loses_no_event_of_another_service() -> None:
    commits = run_virtual(die_and_take_in_again(0, after=False))
    assert commits >= 3
    for at in range(1, commits + 1):
        for after in (False, True):
            run_virtual(die_and_take_in_again(at, after=after))
