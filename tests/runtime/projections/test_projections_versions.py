"""A new version of a projection is built beside the old one, which answers until the new one has caught up."""

import asyncio
import re
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.bank import Add, Added, Tally
from support.read_models import AT_ONCE, Switch, Totals, caught_up, next_version, parked
from support.stores import GatedStore, append
from support.tables import run_on
from support.virtual_time import steps, virtual

from actorium import Event, EventStore, RecordedEvent, Runtime, Transaction, on
from actorium.errors import QueryTimeout
from actorium.store.memory import MemoryStore
from actorium.store.tables.dialect import TableObject


class Doubled(Totals):
    """The next version: it counts everything twice."""

    version = 2
    projection_name = "Totals"

    @on
    def added(self, event: Added, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        Switch.calls.append(recorded.position)
        if event.amount in Switch.raises:
            raise ValueError("the new version cannot do it")
        tx.execute(
            "INSERT INTO totals VALUES (?, ?, 1) ON CONFLICT (id) DO UPDATE "
            "SET total = totals.total + excluded.total, events = totals.events + 1",
            recorded.stream_id,
            2 * event.amount,
        )


@pytest.fixture(autouse=True)
def nothing_fails() -> None:
    Switch.off()


async def old_store(events: int = 5_000) -> MemoryStore:
    """A store with a log, and version 1 built over it."""
    store = MemoryStore()
    await store.open()
    await append(store, ("Tally", "a"), 0, *[Added(1)] * events)
    await store.close()
    async with Runtime([Tally, Totals], store=store) as runtime:
        await caught_up(runtime, Totals)
    return store


async def tables_of(store: EventStore) -> list[str]:
    objects = [TableObject(*row) for row in await store.query(*store.dialect.list_objects("Totals__v"))]
    return [thing.name for thing in objects if thing.kind == "TABLE" and thing.name.endswith("totals")]


@virtual
async def test_the_old_version_answers_until_the_new_one_has_caught_up() -> None:
    inner = await old_store()
    store = GatedStore(inner)
    async with Runtime([Tally, Doubled], store=store) as runtime:
        replies = set()
        for _ in range(10_000):
            replies.add((await runtime.query(Doubled.all))["a"])
            if await tables_of(inner) == ["Totals__v2__totals"]:
                break
            await asyncio.sleep(0)
        assert replies - {(10_000, 5_000)} == {(5_000, 5_000)}, "half-built rows are never seen"
        assert (await runtime.query(Doubled.all))["a"] == (10_000, 5_000)
        assert await tables_of(inner) == ["Totals__v2__totals"]
    switches = [saved for saved in store.saves if any("current" in one.name for one in saved)]
    assert len(switches) == 1, "the switch is one save"


@virtual
async def test_a_switch_is_logged_and_a_first_version_is_not() -> None:
    with capture_logs() as logs:
        store = await old_store(events=10)
        events = [entry["event"] for entry in logs if not entry["event"].startswith("store.")]
        assert events == ["runtime_started", "runtime_stopped"]
        async with Runtime([Tally, Doubled], store=store) as runtime:
            await caught_up(runtime, Doubled)
            assert await runtime.query(Doubled.of, "a", after=10) == 20
    assert [entry["version"] for entry in logs if entry["event"] == "projection_switched"] == [2]


@virtual
async def test_a_query_that_waits_for_its_own_write_waits_for_the_switch() -> None:
    store = GatedStore(await old_store())
    async with Runtime([Tally, Doubled], store=store) as runtime:
        runtime.processors[Doubled].pause()
        ack = await runtime.send(Add("b", 3))
        with pytest.raises(QueryTimeout):
            await runtime.query(Doubled.of, "b", after=ack.position, timeout_s=1.0)
        runtime.processors[Doubled].resume()
        assert await runtime.query(Doubled.of, "b", after=ack.position) == 6


@virtual
async def test_endless_commands_do_not_delay_the_switch() -> None:
    store = await old_store(100)
    async with Runtime([Tally, Doubled], store=store) as runtime:

        async def load(id: str) -> None:
            while True:
                await runtime.send(Add(id, 1))

        callers = [asyncio.ensure_future(load(f"t{n}")) for n in range(8)]
        for _ in range(2_000):
            await asyncio.sleep(0)
            if await tables_of(store) == ["Totals__v2__totals"]:
                break
        assert await tables_of(store) == ["Totals__v2__totals"]
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)


@virtual
async def test_an_interrupted_rebuild_continues_where_it_was() -> None:
    inner = await old_store(10_000)
    Switch.calls.clear()
    for _ in range(20):
        store = GatedStore(inner)
        runtime = Runtime([Tally, Doubled], store=store)
        await runtime.start()
        for _ in range(1_000):
            if len(store.saves) < 3 and await tables_of(inner) != ["Totals__v2__totals"]:
                await steps(1)
        (dying,) = [task for task in asyncio.all_tasks() if task.get_name() == "actorium"]
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
        await inner.open()
        tables = await tables_of(inner)
        await inner.close()
        if tables == ["Totals__v2__totals"]:
            break
    async with Runtime([Tally, Doubled], store=inner) as runtime:
        assert (await runtime.query(Doubled.all, after=10_000))["a"] == (20_000, 10_000)


@virtual
async def test_a_rebuild_parks_the_events_that_a_live_handler_would_park() -> None:
    store = MemoryStore()
    await store.open()
    for id, amount in (("a", 1), ("b", 7), ("c", 1)):
        await append(store, ("Tally", id), 0, Added(amount))
    await store.close()
    Switch.raises.add(7)
    live: list[Any] = []
    for projection in (Totals, Doubled):
        async with Runtime([Tally, projection], store=store, settings=AT_ONCE) as runtime:
            await caught_up(runtime, projection)
            live.append(parked(runtime, projection))
            assert sorted(await runtime.query(projection.all)) == ["a", "c"]
    assert live == [[("b", 1)]] * 2


@virtual
async def test_dead_letters_of_the_old_version_do_not_affect_the_new_one() -> None:
    store = MemoryStore()
    await store.open()
    await append(store, ("Tally", "a"), 0, Added(7), Added(1))
    await store.close()
    Switch.raises.add(7)
    async with Runtime([Tally, Totals], store=store, settings=AT_ONCE) as runtime:
        await caught_up(runtime, Totals)
    Switch.raises.clear()
    async with Runtime([Tally, Doubled], store=store, settings=AT_ONCE) as runtime:
        assert await runtime.query(Doubled.all, after=2) == {"a": (16, 2)}
        assert parked(runtime, Doubled) == []


@pytest.mark.asyncio
async def test_old_tables_and_their_plain_names_are_gone_from_the_log(log_url: str) -> None:
    schema = Totals.schema + "; CREATE TABLE extra (a INTEGER); CREATE INDEX by_a ON extra (a)"
    first: Any = type("Totals", (Totals,), {"schema": schema})
    async with Runtime([Tally, first], store=log_url) as runtime:
        await runtime.send(Add("a", 1), wait_for=[first])
    second: Any = next_version(Totals)
    async with Runtime([Tally, second], store=log_url) as runtime:
        await runtime.query(second.of, "a", after=1)
    is_file = log_url.startswith("sqlite")
    of_this_log = "relnamespace = current_schema()::regnamespace"
    relations = "name FROM sqlite_master" if is_file else f"relname FROM pg_class WHERE {of_this_log}"
    names = {str(name) for (name,) in await run_on(log_url, f"SELECT {relations}")}
    left = {name for name in names if ("totals" in name or "extra" in name) and not re.search("autoindex|pkey", name)}
    assert left == {"Totals__v2__totals", "totals"}
    assert await run_on(log_url, "SELECT total FROM totals") == [(1,)]
