"""One program, unchanged: in memory, on SQLite, on PostgreSQL alone, and on a node of a cluster."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from support.bank import Add, Tally
from support.postgres import new_log
from support.read_models import Totals
from support.runs_on import ON_SQLITE
from support.transfers import Account, Ask, Desk, Transfer, open_accounts

from actorium import Rejected, Runtime
from actorium.cluster import Cluster

PARTS = [Account, Desk, Transfer, Tally, Totals]


async def program(runtime: Runtime) -> None:
    """Send, refuse, repeat, query, follow and run sagas."""
    acks = await asyncio.gather(*(runtime.send(Add(f"t{n % 5}", n)) for n in range(50)))
    assert sorted(ack.position for ack in acks) == list(range(1, 51))
    with pytest.raises(Rejected, match="not enough"):
        await runtime.send(Add("t1", 1, needs=10_000))
    ack = await runtime.send(Add("t1", 7), command_id="once", expected_version=10)
    again = await runtime.send(Add("t1", 7), command_id="once")
    assert (again.duplicate, again.position) == (True, ack.position)
    assert (await runtime.get(Tally, "t1")).total == sum(range(1, 50, 5)) + 7
    assert await runtime.query(Totals.of, "t1", after=ack.position) == sum(range(1, 50, 5)) + 7
    assert [one.version async for one in runtime.history(Tally, "t1")] == list(range(1, 12))
    await open_accounts(runtime, a=100, b=0)
    await asyncio.gather(*(runtime.send(Ask(f"d{n}", "a", "b", 10)) for n in range(5)))
    while len([one async for one in runtime.sagas.list(Transfer, status="completed")]) < 5:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    assert [(await runtime.get(Account, id)).balance for id in "ab"] == [50, 50]
    assert runtime.dead_letters.list() == []


@pytest.fixture(params=["memory", ON_SQLITE, "postgresql", "cluster"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, int]]:
    """The URL of each store, and how many nodes share it; 0 for one runtime alone."""
    if request.param == "memory":
        yield "memory://", 0
    elif request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/log.db", 0
    else:
        with new_log(lease_s="30") as url:
            yield url, 2 if request.param == "cluster" else 0


@asynccontextmanager
async def running(url: str, nodes: int) -> AsyncIterator[Runtime]:
    async with AsyncExitStack() as stack:
        for number in range(nodes - 1):
            await stack.enter_async_context(Runtime(PARTS, store=url, cluster=Cluster(node=f"other {number}")))
        yield await stack.enter_async_context(Runtime(PARTS, store=url, cluster=Cluster(node="a") if nodes else None))


@pytest.mark.asyncio
async def test_one_program_runs_on_every_store(place: tuple[str, int]) -> None:
    async with asyncio.timeout(100), running(*place) as runtime:
        await program(runtime)
