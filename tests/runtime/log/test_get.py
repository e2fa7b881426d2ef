"""Reading an aggregate: the latest state, or a past one."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from support.bank import Account, Add, Deposit, OpenAccount, Tally
from support.virtual_time import virtual

from actorium import Aggregate, Command, ConfigurationError, Event, NotFound, Runtime, decide, evolve
from actorium.store.errors import InvalidCommand
from actorium.store.source import SeededSource

START = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)


class Put(Command):
    items: list[str]


class PutIn(Event):
    items: list[str]


class More(Command):
    item: str


class MoreIn(Event):
    item: str


class Basket(Aggregate):
    """Keeps the very list of its event, and changes it."""

    items: list[str] = []

    @decide
    def put(self, command: Put) -> PutIn:
        return PutIn(command.items)

    @decide
    def more(self, command: More) -> MoreIn:
        return MoreIn(command.item)

    @evolve
    def put_in(self, event: PutIn) -> None:
        self.items = event.items

    @evolve
    def more_in(self, event: MoreIn) -> None:
        self.items.append(event.item)


@pytest.fixture(params=["memory", "sqlite"])
def store_url(request: pytest.FixtureRequest, log_url: str) -> str:
    return "memory://" if request.param == "memory" else log_url


def microseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


async def five_deposits(runtime: Runtime, source: SeededSource) -> None:
    """Deposit 1 to 5 into two accounts in turn, a minute apart."""
    source.time_us = microseconds(START)
    await runtime.send(OpenAccount("a"))
    await runtime.send(OpenAccount("b"))
    for n in range(1, 6):
        source.time_us = microseconds(START + timedelta(minutes=n))
        await runtime.send(Deposit("a", n))
        await runtime.send(Deposit("b", 100 * n))


@pytest.mark.asyncio
async def test_the_latest_state_has_every_command_acknowledged_before(store_url: str) -> None:
    async with Runtime([Tally], store=store_url) as runtime:
        for n in range(1, 20):
            await runtime.send(Add("t", 1))
            assert (await runtime.get(Tally, "t")).total == n


@pytest.mark.asyncio
async def test_a_state_as_it_was_at_a_version(store_url: str) -> None:
    source = SeededSource()
    async with Runtime([Account], store=store_url, source=source) as runtime:
        await five_deposits(runtime, source)
        balances = [(await runtime.get(Account, "a", at_version=version)).balance for version in range(1, 7)]
        assert balances == [0, 1, 3, 6, 10, 15]
        with pytest.raises(NotFound):
            await runtime.get(Account, "a", at_version=0)
        with pytest.raises(NotFound, match="has 6 versions: it has not reached version 7 yet"):
            await runtime.get(Account, "a", at_version=7)


@pytest.mark.asyncio
async def test_a_state_as_it_was_at_a_position(store_url: str) -> None:
    source = SeededSource()
    async with Runtime([Account], store=store_url, source=source) as runtime:
        await five_deposits(runtime, source)
        balances = [(await runtime.get(Account, "b", at_position=position)).balance for position in range(2, 13)]
        assert balances == [0, 0, 100, 100, 300, 300, 600, 600, 1_000, 1_000, 1_500]
        assert (await runtime.get(Account, "b", at_position=1_000)).balance == 1_500
        with pytest.raises(NotFound, match="no events at position 1"):
            await runtime.get(Account, "b", at_position=1)


@pytest.mark.asyncio
async def test_a_state_as_it_was_at_a_time(store_url: str) -> None:
    source = SeededSource()
    async with Runtime([Account], store=store_url, source=source) as runtime:
        await five_deposits(runtime, source)

        async def balance_at(moment: datetime) -> int:
            return (await runtime.get(Account, "a", at_time=moment)).balance

        assert await balance_at(START) == 0
        assert await balance_at(START + timedelta(minutes=3)) == 6
        assert await balance_at(START + timedelta(minutes=3, microseconds=-1)) == 3
        assert await balance_at((START + timedelta(minutes=3)).astimezone(timezone(timedelta(hours=-7)))) == 6
        assert await balance_at(START + timedelta(days=1)) == 15
        with pytest.raises(NotFound):
            await balance_at(START - timedelta(microseconds=1))


@virtual
async def test_a_time_without_a_zone_is_refused() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        await runtime.send(Add("t"))
        with pytest.raises(InvalidCommand, match="has no time zone"):
            await runtime.get(Tally, "t", at_time=datetime(2024, 5, 1))


@virtual
async def test_only_one_moment_can_be_requested() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        with pytest.raises(ConfigurationError, match="one of at_version, at_position and at_time, not 2"):
            await runtime.get(Tally, "t", at_version=1, at_position=1)


@pytest.mark.asyncio
async def test_long_streams_are_read_completely(store_url: str) -> None:
    async with Runtime([Tally], store=store_url) as runtime:
        for _ in range(5):
            await runtime.send(Add("t", 1, events=1_000))
        assert (await runtime.get(Tally, "t", at_version=4_321)).total == 4_321
        assert (await runtime.get(Tally, "t", at_position=5_000)).total == 5_000


@virtual
async def test_a_missing_aggregate_is_not_found() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        with pytest.raises(NotFound, match="Tally<nobody> does not exist"):
            await runtime.get(Tally, "nobody")
        assert runtime.statistics().failed == 0  # it is not a command


@virtual
async def test_a_class_that_the_runtime_does_not_know_is_refused() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        with pytest.raises(ConfigurationError, match="Account"):
            await runtime.get(Account, "a")


@pytest.mark.parametrize("id", ["", "x" * 513, "\ud800", 7, None])
@virtual
async def test_an_invalid_id_is_refused_and_affects_nothing_else(id: Any) -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        with pytest.raises(InvalidCommand, match="id"):
            await runtime.get(Tally, id)
        assert runtime.statistics().live_actors == 0


@virtual
async def test_changing_a_returned_state_changes_nothing_else() -> None:
    async with Runtime([Basket], store="memory://") as runtime:
        await runtime.send(Put("b", ["bread"]))
        first = await runtime.get(Basket, "b")
        first.items.append("stolen")
        first.id = "somebody else"
        past = await runtime.get(Basket, "b", at_version=1)
        past.items.append("stolen")
        state = await runtime.get(Basket, "b")
        assert (state.id, state.items) == ("b", ["bread"])


@virtual
async def test_commands_acks_and_events_share_no_mutable_data_with_the_state() -> None:
    async with Runtime([Basket], store="memory://") as runtime:
        following = asyncio.ensure_future(anext(runtime.events()))
        mine = ["bread"]
        ack = await runtime.send(Put("b", mine))
        mine.append("stolen")
        await runtime.send(More("b", "milk"))
        event = ack.events[0]
        assert isinstance(event, PutIn)
        assert event.items == ["bread"]
        seen = (await following).event
        assert isinstance(seen, PutIn)
        assert seen.items == ["bread"]
        event.items.append("stolen")
        assert (await runtime.get(Basket, "b")).items == ["bread", "milk"]
        assert (await runtime.get(Basket, "b", at_version=2)).items == ["bread", "milk"]
