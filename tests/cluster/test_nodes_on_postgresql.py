"""Three nodes in one process on a real PostgreSQL server: commands, reads, sagas and projections from any of them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from support.bank import Add, Tally
from support.correcting import DAY, Bookings
from support.postgres import new_log
from support.read_models import Totals
from support.transfers import Account, Ask, Desk, Transfer, open_accounts

from actorium import Runtime
from actorium.cluster import Cluster, FollowerElsewhere
from actorium.corrections import Selection
from actorium.errors import ConfigurationError, StoreInUse
from actorium.examples.bank.domain import Account as Booker
from actorium.examples.bank.domain import Credit, OpenAccount

PARTS = [Account, Desk, Transfer, Tally, Totals]
NAMES = ("a", "b", "c")


@pytest.fixture
def url() -> Iterator[str]:
    """The URL of a new log; its lease is so long that a busy machine lets none run out."""
    with new_log(lease_s="30") as found:
        yield found


@pytest_asyncio.fixture
async def nodes(url: str) -> AsyncIterator[list[Runtime]]:
    """Three nodes that each own a part of the shards."""
    started = [Runtime(PARTS, store=url, cluster=Cluster(node=name)) for name in NAMES]
    for one in started:
        await one.start()
    while min(map(shards_of, started)) == 0:  # noqa: ASYNC110  # they hand over on their own
        await asyncio.sleep(0.05)
    yield started
    for one in started:
        await one.stop()


def shards_of(runtime: Runtime) -> int:
    """The number of shards that a node serves."""
    assert runtime._node is not None
    return len(runtime._node.directory.served)


@pytest.mark.asyncio
async def test_a_command_takes_effect_once_wherever_it_is_sent(nodes: list[Runtime]) -> None:
    sent = [nodes[n % 3].send(Add(f"t{n % 30}", 1), command_id=f"c{n}") for n in range(300)]
    acks = await asyncio.gather(*sent)
    assert sorted(ack.position for ack in acks) == list(range(1, 301))
    again = await asyncio.gather(
        *(nodes[(n + 1) % 3].send(Add(f"t{n % 30}", 1), command_id=f"c{n}") for n in range(60))
    )
    assert all(one.duplicate for one in again)
    assert [one.position for one in again] == [one.position for one in acks[:60]]
    for node in nodes:
        assert [(await node.get(Tally, f"t{n}")).total for n in range(30)] == [10] * 30


@pytest.mark.asyncio
async def test_a_query_on_any_node_contains_what_was_acknowledged(nodes: list[Runtime]) -> None:
    for n in range(6):
        ack = await nodes[n % 3].send(Add("t", 5))
        for node in nodes:
            assert await node.query(Totals.of, "t", after=ack.position) == 5 * (n + 1)
    states = sorted(node.processors[Totals].statistics().state for node in nodes)
    assert states == ["elsewhere", "elsewhere", "running"]
    elsewhere = next(one for one in nodes if one.processors[Totals].statistics().state == "elsewhere")
    with pytest.raises(FollowerElsewhere):
        await elsewhere.processors[Totals].reset()


@pytest.mark.asyncio
async def test_sagas_span_the_nodes(nodes: list[Runtime]) -> None:
    await open_accounts(nodes[0], **{f"x{n}": 100 for n in range(12)})
    await asyncio.gather(*(nodes[n % 3].send(Ask(f"d{n}", f"x{n}", f"x{(n + 1) % 12}", 7)) for n in range(12)))
    while len([one async for one in nodes[1].sagas.list(Transfer, status="completed")]) < 12:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    balances = [(await nodes[n % 3].get(Account, f"x{n}")).balance for n in range(12)]
    assert balances == [100] * 12
    found = [one async for one in nodes[2].sagas.list(Transfer)]
    view = await nodes[0].sagas.get(Transfer, found[0].id, ended_within_s=30)
    assert view.status == "completed"


@pytest.mark.asyncio
async def test_a_log_with_nodes_is_not_opened_alone(nodes: list[Runtime], url: str) -> None:
    with pytest.raises(StoreInUse, match="is in use by a, b, c: stop what runs there"):
        await Runtime(PARTS, store=url).start()


@pytest.mark.about("memory", "it names it")
def test_a_store_for_one_process_has_no_nodes() -> None:
    with pytest.raises(ConfigurationError, match="is for one process"):
        Runtime([Tally], store="memory://", cluster=Cluster(node="a"))


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101])
def test_a_node_needs_a_printable_name(name: str) -> None:
    with pytest.raises(ConfigurationError, match="node="):
        Cluster(node=name)


@pytest.mark.asyncio
async def test_a_case_is_applied_from_any_node(url: str) -> None:
    async with AsyncExitStack() as stack:
        running = [Runtime([Booker, Bookings], store=url, cluster=Cluster(node=name)) for name in NAMES]
        for one in running:
            await stack.enter_async_context(one)
        while min(map(shards_of, running)) == 0:  # noqa: ASYNC110  # they hand over on their own
            await asyncio.sleep(0.05)
        for n in range(9):
            await running[n % 3].send(OpenAccount(f"a{n}"))
            await running[n % 3].send(Credit(f"a{n}", 1_000, DAY, "cash_deposit"))
        events = [f"bank.account/a{n}/2" for n in range(9)]
        cases = [one.corrections for one in running]
        await cases[0].open(Selection(events=events), by="ann", reason="typing error", id="c-1")
        await cases[1].plan("c-1", by="ann", right={one: {"amount": 900} for one in events}, skip=[Bookings])
        assert (await cases[2].dry_run("c-1")).differences
        await cases[2].approve("c-1", by="bob")
        applied = await cases[0].apply("c-1")
        assert {one.error for one in applied.outcomes} == {""}
        report = await cases[1].close("c-1", by="bob")
        assert report.repaired == {"Bookings": 9}
        last = max(one.position for one in applied.outcomes)
        for one in running:
            assert {(await one.get(Booker, f"a{n}")).balance for n in range(9)} == {900}
            assert await one.query(Bookings.of, "a0", after=last) == (0, -100)
