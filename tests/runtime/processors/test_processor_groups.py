"""`runtime.processors` is a mapping; `runtime.dead_letters` acts on the parked events of all processors."""

from collections.abc import Iterator

import pytest
from support.bank import Add, Tally
from support.read_models import Sums, Switch, Totals
from support.virtual_time import settled, virtual

from actorium import ConfigurationError, InvalidCommand, NotFound, Retry, Runtime, Settings

AT_ONCE = Settings(handler_retry=Retry(attempts=1))


@pytest.fixture(autouse=True)
def switched_off() -> Iterator[None]:
    Switch.off()
    yield
    Switch.off()


async def park(runtime: Runtime) -> None:
    """Make both projections park the same two events, of two tallies."""
    Switch.raises.update({13, 14})
    await runtime.send(Add("t", 13))
    await runtime.send(Add("u", 14))
    await runtime.send(Add("t", 1))
    await settled()


@virtual
async def test_processors_are_found_by_their_handlers_only() -> None:
    async with Runtime([Tally, Totals, Sums], store="memory://") as runtime:
        processors = runtime.processors
        assert list(processors) == [Totals, Sums]
        assert len(processors) == 2
        assert processors[Totals].plain_name == "Totals"
        assert [one.plain_name for one in processors.values()] == ["Totals", "Sums"]
        assert Totals in processors
        assert Tally not in processors
        assert processors.get(Tally) is None
        assert processors.get(Sums) is processors[Sums]
        with pytest.raises(ConfigurationError, match="is not a projection, @react function, outlet or saga"):
            processors[Tally]


@virtual
async def test_the_dead_letters_of_all_processors_are_listed_in_log_order() -> None:
    async with Runtime([Tally, Totals, Sums], store="memory://", settings=AT_ONCE) as runtime:
        await park(runtime)
        letters = runtime.dead_letters.list()
        assert [one.position for one in letters] == [1, 1, 2, 2]
        assert {one.processor for one in letters} == {one.name for one in runtime.processors.values()}
        assert runtime.dead_letters.list(Sums) == runtime.processors[Sums].dead_letters()
        with pytest.raises(ConfigurationError):
            runtime.dead_letters.list(Tally)


@virtual
async def test_they_are_retried_one_by_one_by_handler_or_all() -> None:
    async with Runtime([Tally, Totals, Sums], store="memory://", settings=AT_ONCE) as runtime:
        await park(runtime)
        first = runtime.dead_letters.list(Totals)[0]
        assert await runtime.dead_letters.retry(first) == 0, "it fails again, and is parked again"
        Switch.off()
        assert await runtime.dead_letters.retry(first) == 1
        assert [len(runtime.dead_letters.list(one)) for one in (Totals, Sums)] == [1, 2]
        assert await runtime.dead_letters.retry(handler=Sums) == 2
        assert await runtime.dead_letters.retry() == 1
        assert runtime.dead_letters.list() == []
        assert await runtime.query(Totals.all) == {"t": (14, 2), "u": (14, 1)}
        with pytest.raises(NotFound, match="no parked event at position 1"):
            await runtime.dead_letters.retry(first)


@virtual
async def test_one_is_discarded_with_its_reason_and_the_same_of_another_processor_stays() -> None:
    async with Runtime([Tally, Totals, Sums], store="memory://", settings=AT_ONCE) as runtime:
        await park(runtime)
        letter = runtime.dead_letters.list(Totals)[0]
        with pytest.raises(InvalidCommand, match="reason"):
            await runtime.dead_letters.discard(letter, reason=" ")
        assert await runtime.dead_letters.discard(letter, reason="a typing error")
        assert [one.discarded for one in runtime.dead_letters.list(discarded=True)] == ["a typing error"]
        assert [len(runtime.dead_letters.list(one)) for one in (Totals, Sums)] == [1, 2]
        assert (await runtime.query(Totals.all))["t"] == (1, 1)
