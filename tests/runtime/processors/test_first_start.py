"""Wherever a process dies at its first start, its followers of the log begin where that start found the log's end.

The first start with sagas, a reaction or an outlet is repeated for each of its commits, and the process dies there.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from zlib import crc32

import pytest
from support.first_starts import DyingNode, SlowSaves, until_death
from support.stores import whole_log
from support.transfers import Ask, Desk, TransferRequested, runtime_of
from support.virtual_time import run_virtual

from actorium import EventStore, Outlet, RecordedEvent, Runtime, Saga, react, starts
from actorium.cluster import Cluster
from actorium.errors import CommitUnknown, RuntimeClosed, StoreInUse
from actorium.store.memory import MemoryStore
from actorium.testing import LoopSource
from actorium.testing.models.cluster_model import ClusterModel, ClusterModelStore
from actorium.types import CloudEvent


class SinceNow(Saga):
    @starts
    def requested(self, event: TransferRequested) -> None: ...


class SinceBeginning(Saga):
    begins_at = "beginning"

    @starts
    def requested(self, event: TransferRequested) -> None: ...


class FirstStart:
    """Followers that are new to a log, and what they were given of its desks."""

    def __init__(self, *followers: str) -> None:
        self.followers = followers
        self.noted: set[str] = set()
        self.published: set[str] = set()

    def runtime(self, store: EventStore, seed: int, **options: Any) -> Runtime:
        @react(on_replay="skip")
        async def note(event: TransferRequested, recorded: RecordedEvent[TransferRequested]) -> None:
            self.noted.add(recorded.stream_id)

        async def publish(event: CloudEvent) -> None:
            self.published.add(event.subject or "")

        outlet = Outlet("post", types=[TransferRequested], sink=publish, source="/desks", start="now")
        parts = {"now": SinceNow, "beginning": SinceBeginning, "reaction": note, "outlet": outlet}
        return runtime_of(*(parts[name] for name in self.followers), store=store, seed=seed, **options)

    def node(self, name: str, store: ClusterModelStore) -> Runtime:
        """Return a node of a cluster with the followers."""
        return self.runtime(store, crc32(name.encode()), cluster=Cluster(node=name))

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


async def die_as_a_node_and_start_others(at: int, *, after: bool, together: bool) -> int:
    """Let a node die at a commit of its first start; check what another one finds; return the first's commits."""
    model, first = ClusterModel(asyncio.get_running_loop().time), FirstStart("now", "beginning", "reaction", "outlet")
    early = Runtime([Desk], store=ClusterModelStore(model), cluster=Cluster(node="early"), source=LoopSource(1))
    async with early:
        await early.send(Ask("earlier", "", ""))
    store = DyingNode(model, at, after=after)
    dying, other = first.node("dying", store), first.node("other", ClusterModelStore(model))

    async def use(node: Runtime, name: str) -> None:
        await node.start()
        for number in range(3):
            await node.send(Ask(f"{name}-{number}", "", ""), command_id=f"ask {name} {number}")
            await asyncio.sleep(0.7)

    async def use_until_it_dies() -> None:
        with suppress(StoreInUse, CommitUnknown, RuntimeClosed):
            await use(dying, "dying")
        await dying.stop()

    if together:
        await asyncio.gather(use_until_it_dies(), use(other, "other"))
    else:
        await use_until_it_dies()
        await use(other, "other")
    await asyncio.sleep(20)
    given = await first.given(other)
    recorded = {one.stream.id for one in await whole_log(other.store) if one.stream.type == "Desk"}
    await other.stop()
    later = recorded - {"earlier"}
    assert later >= {"other-0", "other-1", "other-2"}
    started, since_beginning = given.pop("now"), given.pop("beginning")
    assert started == {f"Desk/{id}/1" for id in later}
    assert since_beginning == {f"Desk/{id}/1" for id in recorded}
    assert given == {"reaction": later, "outlet": later}
    return store.commits


@pytest.mark.parametrize("together", [False, True], ids=["one after the other", "two at once"])
def test_a_crash_of_a_node_at_any_commit_of_the_first_start_loses_no_event(together: bool) -> None:
    commits = run_virtual(die_as_a_node_and_start_others(0, after=False, together=together))
    assert commits >= 12
    for at in range(1, commits + 1):
        for after in (False, True):
            run_virtual(die_as_a_node_and_start_others(at, after=after, together=together))
