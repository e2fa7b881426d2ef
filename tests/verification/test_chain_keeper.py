"""With `hash_chain`, a runtime stores the links of its log behind the commands; without it, none."""

import asyncio
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs
from support.bank import Add, Added, Tally
from support.postgres import new_log
from support.stores import FaultyStore, append, whole_log
from support.tables import cut_off, run_on
from support.verifying import ChainedStore
from support.virtual_time import virtual

from actorium import Runtime, Settings
from actorium.cluster import Cluster
from actorium.runtime.log import chain_keeper
from actorium.store.chain import CHAIN, SEGMENT_EVENTS, ChainLink, HashChain, read_link
from actorium.store.event_store import EventStore
from actorium.store.memory import MemoryStore
from actorium.store.urls import open_store

CHAINED = Settings(hash_chain=True)
SOON = Settings(hash_chain=True, poll_s=0.01)


async def write(runtime: Runtime, events: int) -> None:
    for start in range(0, events, 100):
        await asyncio.gather(*(runtime.send(Add(f"t{n % 7}", 1)) for n in range(start, min(start + 100, events))))


async def require_whole_chain(store: EventStore) -> None:
    """The stored links are those of the log's events."""
    kept = await store.load_checkpoint(CHAIN)
    stored = [await read_link(store, position) for position in range(SEGMENT_EVENTS, kept + 1, SEGMENT_EVENTS)]
    expected: list[ChainLink] = HashChain().add(await whole_log(store))
    assert stored == expected


async def chained(store: EventStore, position: int) -> None:
    """Let virtual time pass until the chain is stored up to a position."""
    async with asyncio.timeout(300):
        while await store.load_checkpoint(CHAIN) < position:  # noqa: ASYNC110
            await asyncio.sleep(1)


@virtual
async def test_links_follow_the_log() -> None:
    store = MemoryStore()
    async with Runtime([Tally], store=store, settings=CHAINED) as runtime:
        await write(runtime, 5 * SEGMENT_EVENTS + 10)
        await chained(store, 5 * SEGMENT_EVENTS)
        await require_whole_chain(store)
        await write(runtime, SEGMENT_EVENTS)
        await chained(store, 6 * SEGMENT_EVENTS)
        await require_whole_chain(store)


@virtual
async def test_what_this_process_commits_is_not_read_again() -> None:
    store = ChainedStore(MemoryStore())
    async with Runtime([Tally], store=store, settings=CHAINED) as runtime:
        await write(runtime, 4 * SEGMENT_EVENTS)
        await store.chained(4 * SEGMENT_EVENTS)
        assert store.read_events == 0
        await append(store.inner, ("Tally", "another"), 0, Added(1))  # as another process would
        await write(runtime, 2 * SEGMENT_EVENTS)
        await store.chained(6 * SEGMENT_EVENTS)
        assert store.read_events > 0
        await require_whole_chain(store)


@virtual
async def test_links_that_wait_to_be_stored_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_keeper, "_LINKS_MAX", 2)
    store = ChainedStore(MemoryStore())
    async with Runtime([Tally], store=store, settings=CHAINED) as runtime:
        await write(runtime, 5 * SEGMENT_EVENTS)
        await store.chained(5 * SEGMENT_EVENTS)
        assert store.read_events > 0
        await require_whole_chain(store)


@virtual
async def test_without_the_setting_there_is_no_chain() -> None:
    store = MemoryStore()
    async with Runtime([Tally], store=store) as runtime:
        await write(runtime, SEGMENT_EVENTS)
        await asyncio.sleep(60)
        assert await store.load_checkpoint(CHAIN) == 0


@virtual
@pytest.mark.parametrize("fault", ["before", "after"])
async def test_a_save_that_fails_is_done_again(fault: str) -> None:
    store = FaultyStore(MemoryStore())
    async with Runtime([Tally], store=store, settings=CHAINED) as runtime:
        await write(runtime, 2 * SEGMENT_EVENTS)
        store.faults.append(fault)  # type: ignore[arg-type]  # one of its literals
        with capture_logs() as logs:
            await chained(store, 2 * SEGMENT_EVENTS)
            await asyncio.sleep(60)
        assert not store.faults
        assert [one["event"] for one in logs].count("chain_waits") == 1
        await require_whole_chain(store)


@pytest.mark.asyncio
async def test_the_chain_continues_after_a_restart_and_begins_again_without_its_last_link(log_url: str) -> None:
    written = 0
    for end, change in ((300, ""), (700, ""), (800, "DELETE FROM projection_states WHERE position = 512"), (900, "")):
        if change:
            await run_on(log_url, change)
        store = ChainedStore(open_store(log_url))
        async with asyncio.timeout(60), Runtime([Tally], store=store, settings=SOON) as runtime:
            await write(runtime, end - written)
            if end // SEGMENT_EVENTS > written // SEGMENT_EVENTS:
                await store.chained(end // SEGMENT_EVENTS * SEGMENT_EVENTS)
            await require_whole_chain(store)
        written = end


@pytest.mark.asyncio
async def test_a_log_that_lost_its_end_gets_no_new_links(log_url: str) -> None:
    store = ChainedStore(open_store(log_url))
    async with asyncio.timeout(60), Runtime([Tally], store=store, settings=SOON) as runtime:
        await write(runtime, 2 * SEGMENT_EVENTS)
        await store.chained(2 * SEGMENT_EVENTS)
    await cut_off(log_url, after_position=SEGMENT_EVENTS + 1)
    async with asyncio.timeout(60), Runtime([Tally], store=log_url, settings=SOON) as runtime:
        with capture_logs() as logs:
            while not any(one["event"] == "chain_waits" for one in logs):  # noqa: ASYNC110  # it says so on its own
                await asyncio.sleep(0.01)
        assert "events are missing from its end" in logs[0]["error"]
        assert (await runtime.send(Add("t", 1))).position == SEGMENT_EVENTS + 2


@pytest.fixture
def shared_log() -> Iterator[str]:
    """The URL of a new log; its lease is so long that a busy machine lets none run out."""
    with new_log(lease_s="30") as url:
        yield url


@pytest.mark.asyncio
async def test_one_node_of_a_cluster_keeps_the_chain(shared_log: str) -> None:
    nodes = [Runtime([Tally], store=shared_log, settings=SOON, cluster=Cluster(node=name)) for name in ("a", "b")]
    async with asyncio.timeout(120), nodes[0], nodes[1]:
        for node in nodes:
            await write(node, SEGMENT_EVENTS)
        store = nodes[0].store
        while await store.load_checkpoint(CHAIN) < 2 * SEGMENT_EVENTS:  # noqa: ASYNC110  # they share it on their own
            await asyncio.sleep(0.05)
        await require_whole_chain(store)
