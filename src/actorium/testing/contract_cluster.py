"""`ClusterStoreContract`: the guarantees of every store whose log several nodes open at once.

class TestMyClusterStore(ClusterStoreContract):
    @pytest.fixture
    def logs(self) -> ClusterLogs:
        return MyLogs()
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from msgspec.structs import replace

from actorium.store.errors import Fenced, StoreInUse
from actorium.store.event_store import AppendBatch, SaveCheckpoint
from actorium.store.shared import ClusterStore
from actorium.testing.contract_shared import Arrival, with_logs
from actorium.testing.contract_words import ALICE, BOB, append, expect, expect_wrong_version, raises, versions


class ClusterLogs(Protocol):
    """What an adapter implements for `ClusterStoreContract`: see `SharedLogs`."""

    def store(self, name: str = "", *, waits: bool = False) -> ClusterStore: ...

    async def kill(self, store: ClusterStore) -> None: ...

    async def freeze(self, store: ClusterStore) -> None: ...

    async def sent(self, store: ClusterStore, batch: AppendBatch) -> Arrival: ...

    async def sent_save(self, store: ClusterStore, checkpoints: Sequence[SaveCheckpoint]) -> Arrival: ...

    async def close(self) -> None: ...


Test = Callable[["ClusterStoreContract", ClusterLogs], Awaitable[None]]


async def _nodes(logs: ClusterLogs, *names: str) -> list[tuple[ClusterStore, int]]:
    stores = [logs.store() for _ in names]
    return [(store, await store.join(name)) for store, name in zip(stores, names, strict=True)]


async def _place(store: ClusterStore, *, shards: dict[int, int] | None = None, **followers: int) -> bool:
    before = await store.placement()
    owners = list(before.shards)
    for shard, owner in (shards or {}).items():
        owners[shard] = owner
    after = replace(
        before, version=before.version + 1, shards=tuple(owners), followers={**before.followers, **followers}
    )
    return await store.place(after)


class ClusterStoreContract:
    """The contract test suite for stores that nodes share; subclass it and define a fixture `logs`."""

    @with_logs
    async def test_nodes_append_to_one_log_in_one_order(self, logs: ClusterLogs) -> None:
        (one, first), (two, second) = await _nodes(logs, "a", "b")
        expect(first != second, True)
        for version in range(3):
            expect((await one.append(AppendBatch(1, [append(ALICE, version)]))).outcomes, [2 * version + 1])
            expect((await two.append(AppendBatch(1, [append(BOB, version)]))).outcomes, [2 * version + 2])
        for store in (one, two):
            expect([record.position for record in await store.read_log(0, 10)], [1, 2, 3, 4, 5, 6])
            expect((await store.head()).position, 6)

    @with_logs
    async def test_a_follower_reads_what_it_wants_and_how_far_it_read(self, logs: ClusterLogs) -> None:
        (one, _), (two, _) = await _nodes(logs, "a", "b")
        for version in range(3):
            await one.append(AppendBatch(1, [append(ALICE, version)]))
            await two.append(AppendBatch(1, [append(BOB, version)]))
        everything = await one.read_log(0, 10)
        shapes = {f"{record.type}/{record.schema_version}" for record in everything}
        expect(await two.read_wanted(0, 10, ()), everything)
        expect(await two.read_wanted(2, 10, ["another/1"]), everything[2:])
        expect(await two.read_wanted(0, 4, shapes), everything[3:4])
        expect(await two.read_wanted(4, 10, shapes), everything[5:])
        expect(await two.read_wanted(6, 10, shapes), [])

    @with_logs
    async def test_a_stream_is_guarded_against_another_node(self, logs: ClusterLogs) -> None:
        (one, _), (two, _) = await _nodes(logs, "a", "b")
        await one.append(AppendBatch(1, [append(ALICE, 0, command="c-1")]))
        outcomes = (await two.append(AppendBatch(1, [append(ALICE, 0), append(BOB, 0)]))).outcomes
        expect_wrong_version(outcomes[0], ALICE, expected=0, actual=1)
        expect(outcomes[1], 2)
        repeated = (await two.append(AppendBatch(1, [append(ALICE, 1, command="c-1")]))).outcomes
        expect(type(repeated[0]).__name__, "DuplicateCommand")
        expect((await two.append(AppendBatch(1, [append(ALICE, 1)]))).outcomes, [3])
        expect(await versions(one, ALICE), [1, 2])

    @with_logs
    async def test_a_renewal_returns_the_nodes(self, logs: ClusterLogs) -> None:
        (one, first), (two, second) = await _nodes(logs, "a", "b")
        await two.renew()
        members = await one.renew()
        expect([(node.number, node.name) for node in members.nodes], [(first, "a"), (second, "b")])
        expect([node.has_lease and node.has_session for node in members.nodes], [True, True])
        await two.close()
        expect([node.number for node in (await one.renew()).nodes], [first])

    @with_logs
    async def test_a_node_is_passive_until_its_first_renewal(self, logs: ClusterLogs) -> None:
        (one, _), (two, _) = await _nodes(logs, "a", "b")
        expect([node.is_passive for node in (await one.renew()).nodes], [False, True])
        await two.renew(is_passive=True)
        expect([node.is_passive for node in (await one.renew()).nodes], [False, True])
        await two.renew()
        expect([node.is_passive for node in (await one.renew()).nodes], [False, False])
        await two.renew(is_passive=True)
        expect([node.is_passive for node in (await one.renew()).nodes], [False, True])

    @with_logs
    async def test_a_node_tells_others_about_itself(self, logs: ClusterLogs) -> None:
        one, two = logs.store(), logs.store()
        await one.join("a", "1.0", '{"ä": "€"}')
        await two.join("b")
        for _ in range(2):
            nodes = (await two.renew()).nodes
            expect([(node.code, node.about) for node in nodes], [("1.0", '{"ä": "€"}'), ("", "")])
        state, _ = await two.cluster_state()
        expect([node.about for node in state.nodes], ['{"ä": "€"}', ""])

    @with_logs
    async def test_a_name_is_used_once_at_a_time(self, logs: ClusterLogs) -> None:
        ((one, first),) = await _nodes(logs, "a")
        other = logs.store()
        joining = asyncio.ensure_future(other.join("a"))
        await one.append(AppendBatch(1, [append(ALICE, 0)]))
        expect(joining.done(), False)
        await one.close()
        expect(await joining != first, True)
        expect(await versions(other, ALICE), [1])

    @with_logs
    async def test_a_runtime_without_a_cluster_is_refused_while_there_are_nodes(self, logs: ClusterLogs) -> None:
        ((one, _),) = await _nodes(logs, "the node")
        alone = logs.store("alone")
        try:
            await alone.open()
        except StoreInUse as refused:
            expect("the node" in str(refused), True)
        else:
            raise AssertionError("StoreInUse was expected")
        await one.close()
        await alone.open()
        await alone.append(AppendBatch(1, [append(ALICE, 0)]))

    @with_logs
    async def test_a_killed_node_is_fenced(self, logs: ClusterLogs) -> None:
        (one, first), (two, second) = await _nodes(logs, "a", "b")
        expect(await one.fence(second), False)
        await two.append(AppendBatch(1, [append(ALICE, 0)]))
        append_arrives = await logs.sent(two, AppendBatch(1, [append(ALICE, 1)]))
        save_arrives = await logs.sent_save(two, [SaveCheckpoint("p", 9)])
        await logs.kill(two)
        gone = {node.number: node.has_session for node in (await one.renew()).nodes}
        expect(gone, {first: True, second: False})
        expect(await one.fence(second), True)
        expect(await one.fence(second), False)
        with raises(Fenced):
            await append_arrives()
        with raises(Fenced):
            await save_arrives()
        expect(await versions(one, ALICE), [1])
        expect(await one.load_checkpoint("p"), 0)
        expect([node.number for node in (await one.renew()).nodes], [first])

    @with_logs
    async def test_a_frozen_node_is_fenced_and_may_do_nothing(self, logs: ClusterLogs) -> None:
        (one, _), (two, second) = await _nodes(logs, "a", "b")
        await logs.freeze(two)
        await one.renew()
        expect(await one.fence(second), True)
        with raises(Fenced):
            await two.append(AppendBatch(1, [append(ALICE, 0)]))
        with raises(Fenced):
            await two.save([SaveCheckpoint("p", 1)])
        with raises(Fenced):
            await two.renew()
        with raises(Fenced):
            await _place(two, shards={1: second})
        expect(isinstance(await two.until_lost(), Fenced), True)
        await two.close()
        expect(await two.join("b") != second, True)
        expect((await two.append(AppendBatch(1, [append(ALICE, 0)]))).outcomes, [1])

    @with_logs
    async def test_the_placement_changes_as_a_whole_from_the_version_that_was_seen(self, logs: ClusterLogs) -> None:
        (one, first), (two, second) = await _nodes(logs, "a", "b")
        seen = await two.placement()
        expect((seen.version, set(seen.shards), dict(seen.followers)), (0, {0}, {}))
        expect(await _place(one, shards={0: first, 7: second}, **{"projection x": first}), True)
        expect(await two.place(replace(seen, version=1, shards=(second,) * len(seen.shards))), False)
        found = await two.placement()
        expect((found.version, found.shards[0], found.shards[7], found.shards[8]), (1, first, second, 0))
        expect(dict(found.followers), {"projection x": first})
        expect((await two.renew()).placement_version, 1)
        expect(await _place(two, shards={7: first}, **{"projection x": 0}), True)
        expect((await one.placement()).shards[7], first)

    @with_logs
    async def test_nodes_pass_shards_on_at_once(self, logs: ClusterLogs) -> None:
        (one, first), (two, second), (three, third) = await _nodes(logs, "a", "b", "c")
        await _place(one, shards=dict.fromkeys(range(10), first) | dict.fromkeys(range(10, 20), second), p=second)
        before = (await three.placement()).version
        for shard in range(10):
            await asyncio.gather(one.pass_on({shard: third}), two.pass_on({shard + 10: third}))
        found = await three.placement()
        expect(found.shards, (third,) * 20 + (0,) * (len(found.shards) - 20))
        expect((found.version, dict(found.followers)), (before + 20, {"p": second}))
        expect(await three.place(replace(found, version=found.version)), False)

    @with_logs
    async def test_a_node_passes_on_only_its_own_shards(self, logs: ClusterLogs) -> None:
        (one, first), (two, second) = await _nodes(logs, "a", "b")
        await _place(one, shards={1: first, 2: second})
        await one.pass_on({1: second, 2: first, 3: first})
        expect((await one.placement()).shards[:4], (0, second, second, 0))
        await logs.freeze(two)
        await one.renew()
        await one.fence(second)
        with raises(Fenced):
            await two.pass_on({1: first})
        expect((await one.placement()).shards[1], second)

    @with_logs
    async def test_only_the_owner_of_a_follower_saves_its_checkpoints(self, logs: ClusterLogs) -> None:
        (one, first), (two, second) = await _nodes(logs, "a", "b")
        await _place(one, p=first, q=second)
        saved = [SaveCheckpoint("p", 3, follower="p"), SaveCheckpoint("q", 4, follower="q"), SaveCheckpoint("r", 5)]
        failed = await one.save(saved)
        expect({index: type(failure) for index, failure in failed.items()}, {1: Fenced})
        expect([await two.load_checkpoint(name) for name in "pqr"], [3, 0, 5])
        late = await logs.sent_save(one, [SaveCheckpoint("p", 6, follower="p")])
        await _place(one, p=second)
        expect({index: type(failure) for index, failure in (await late()).items()}, {0: Fenced})
        expect(await two.save([SaveCheckpoint("p", 7, follower="p")]), {})
        expect(await one.load_checkpoint("p"), 7)

    @with_logs
    async def test_a_message_reaches_the_node_that_it_is_sent_to(self, logs: ClusterLogs) -> None:
        (one, first), (two, second) = await _nodes(logs, "a", "b")
        heard: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        await one.hear(lambda message: heard.put_nowait((first, message)), lambda: None)
        await two.hear(lambda message: heard.put_nowait((second, message)), lambda: None)
        long = "ä €𝄞\n".encode() * 9_000
        for message in (b"{}", long, b"last"):
            await one.tell(second, message)
            expect(await heard.get(), (second, message))
        await two.tell(first, b"back")
        expect(await heard.get(), (first, b"back"))
