"""Queries: read your own writes, answers as they change, and errors that say what to do."""

import asyncio
from typing import Any

import pytest
from support.bank import Add, Added, Stay, Tally
from support.read_models import PARTS, Sums, Switch, Totals, caught_up
from support.stores import GatedStore
from support.virtual_time import settled, virtual

from actorium import ConfigurationError, Event, Projection, Reader, RecordedEvent, Runtime, Settings, on, query
from actorium.errors import QueryTimeout, RuntimeClosed, StatementFailed
from actorium.types import Query


@pytest.fixture(autouse=True)
def nothing_fails() -> None:
    Switch.off()


@pytest.mark.parametrize("projection", [Totals, Sums])
@virtual
async def test_after_waits_for_ones_own_write(projection: Any) -> None:
    async with Runtime(PARTS, store="memory://") as runtime:
        runtime.processors[projection].pause()
        ack = await runtime.send(Add("a", 3))
        asking = asyncio.ensure_future(runtime.query(projection.of, "a", after=ack.position))
        await settled()
        assert not asking.done()
        assert await runtime.query(Totals.of, "a") in (0, 3), "without after= nobody waits"
        runtime.processors[projection].resume()
        assert await asking == 3


@pytest.mark.parametrize("projection", [Totals, Sums])
@virtual
async def test_send_waits_for_the_projections_it_names(projection: Any) -> None:
    async with Runtime(PARTS, store="memory://") as runtime:
        for n in range(1, 20):
            await runtime.send(Add("a", 1), wait_for=[projection])
            assert await runtime.query(projection.of, "a") == n
        await runtime.send(Stay("a"), wait_for=[Totals, Sums])


@virtual
async def test_a_projection_that_is_too_slow_is_a_timeout_that_says_the_command_took_effect() -> None:
    async with Runtime(PARTS, store="memory://") as runtime:
        runtime.processors[Totals].pause()
        began = asyncio.get_running_loop().time()
        with pytest.raises(QueryTimeout, match="position 0 and did not reach 1"):
            await runtime.send(Add("a", 3), wait_for=[Totals, Sums], timeout_s=2.0)
        assert asyncio.get_running_loop().time() - began == pytest.approx(2.0, abs=0.1)
        assert (await runtime.get(Tally, "a")).total == 3
        with pytest.raises(QueryTimeout):
            await runtime.query(Totals.of, "a", after=1, timeout_s=0.5)


@virtual
async def test_the_default_timeout_is_that_of_the_settings() -> None:
    async with Runtime(PARTS, store="memory://", settings=Settings(default_timeout_s=3.0)) as runtime:
        runtime.processors[Totals].pause()
        await runtime.send(Add("a", 3))
        began = asyncio.get_running_loop().time()
        with pytest.raises(QueryTimeout):
            await runtime.query(Totals.of, "a", after=1)
        assert asyncio.get_running_loop().time() - began == pytest.approx(3.0, abs=0.1)


@virtual
async def test_waiting_for_a_position_that_never_comes_leaves_nothing_behind() -> None:
    async with Runtime(PARTS, store="memory://") as runtime:
        runtime.processors[Totals].pause()
        await runtime.send(Add("a", 3))
        for _ in range(1_000):
            with pytest.raises(QueryTimeout):
                await runtime.query(Totals.of, "a", after=1, timeout_s=0)
        assert len(runtime.processors[Totals].checkpoint._waiters) < 200


@virtual
async def test_an_unknown_projection_is_refused_before_anything_is_done() -> None:
    async with Runtime([Tally, Totals], store="memory://") as runtime:
        with pytest.raises(ConfigurationError, match="is not a projection of this runtime"):
            await runtime.send(Add("a", 1), wait_for=[Sums])
        assert runtime.statistics().position == 0
        with pytest.raises(ConfigurationError):
            await runtime.query(Sums.of, "a")
        with pytest.raises(ConfigurationError):
            runtime.processors[Sums]


class Broken(Totals):
    @query
    async def wrong(self, db: Reader) -> list[tuple[Any, ...]]:
        return await db.fetch_all("SELECT a FROM nowhere")


@virtual
async def test_wrong_sql_is_an_error_of_the_query_alone() -> None:
    async with Runtime([Tally, Broken], store="memory://") as runtime:
        with pytest.raises(StatementFailed, match=r"no such table|does not exist"):
            await runtime.query(Broken.wrong)
        await runtime.send(Add("a", 1), wait_for=[Broken])


class Children(Totals):
    projection_name = "Children"


@virtual
async def test_an_inherited_query_uses_the_class_it_is_called_on() -> None:
    async with Runtime([Tally, Totals, Children], store="memory://") as runtime:
        runtime.processors[Totals].pause()
        await runtime.send(Add("a", 3), wait_for=[Children])
        assert (await runtime.query(Children.of, "a"), await runtime.query(Totals.of, "a")) == (3, 0)
        assert (repr(Children.of), repr(Totals.of)) == ("Children.of", "Totals.of")
        assert isinstance(Children.of, Query)


@virtual
async def test_a_query_sees_committed_rows_only() -> None:
    store = GatedStore()
    async with Runtime([Tally, Totals], store=store) as runtime:
        runtime.processors[Totals].pause()
        await runtime.send(Add("a", 3))
        store.shut()
        runtime.processors[Totals].resume()
        await store.saved(len(store.saves) + 1)
        assert await runtime.query(Totals.of, "a") == 0
        store.let_through()
        assert await runtime.query(Totals.of, "a", after=1) == 3


def test_a_query_that_wants_a_reader_needs_a_schema() -> None:
    with pytest.raises(ConfigurationError, match="has neither a schema nor tables"):

        class Nowhere(Projection):
            @on
            def added(self, event: Added, recorded: RecordedEvent[Event]) -> None: ...

            @query
            async def ask(self, db: Reader) -> None: ...


@pytest.mark.parametrize("projection", [Totals, Sums])
@virtual
async def test_watch_yields_the_answer_and_then_each_change(projection: Any) -> None:
    async with Runtime(PARTS, store="memory://") as runtime:
        watch = runtime.watch(projection.all)
        assert await anext(watch) == {}
        for n in range(1, 4):
            waiting = asyncio.ensure_future(anext(watch))
            await settled()
            assert not waiting.done()
            await runtime.send(Add("a", 1))
            answer: Any = await waiting
            assert answer["a"] == ((n, n) if projection is Totals else n)


@virtual
async def test_a_slow_watcher_may_miss_answers_but_never_the_last() -> None:
    async with Runtime(PARTS, store="memory://") as runtime:
        watch = runtime.watch(Totals.of, "a")
        seen = [await anext(watch)]
        for _ in range(50):
            await runtime.send(Add("a", 1))
        await caught_up(runtime, Totals)
        seen.append(await anext(watch))
        assert seen == [0, 50]


@virtual
async def test_an_unrelated_change_gives_no_new_answer() -> None:
    async with Runtime(PARTS, store="memory://") as runtime:
        watch = runtime.watch(Totals.of, "a")
        assert await anext(watch) == 0
        waiting = asyncio.ensure_future(anext(watch))
        for _ in range(5):
            await runtime.send(Add("b", 1), wait_for=[Totals])
        await settled()
        assert not waiting.done()
        await runtime.send(Add("a", 2))
        assert await waiting == 2


@virtual
async def test_a_watch_is_cancelled_closed_and_ended_with_the_runtime() -> None:
    async with Runtime(PARTS, store="memory://") as runtime:
        cancelled, closed, ended = (runtime.watch(Totals.of, "a") for _ in range(3))
        for watch in (cancelled, closed, ended):
            await anext(watch)
        waiting = [asyncio.ensure_future(anext(watch, None)) for watch in (cancelled, closed, ended)]
        await settled()
        waiting[0].cancel()
        closed.close()
        await settled()
        assert waiting[0].cancelled()
        assert waiting[1].done()
        assert not waiting[2].done()
        await runtime.send(Add("a", 1), wait_for=[Totals])
        assert await anext(cancelled) == 1
        await settled()
    assert await waiting[2] == 1
    assert await anext(ended, None) is None
    with pytest.raises(RuntimeClosed):
        runtime.watch(Totals.of, "a")
