"""Reading one's own write if its event is parked: an error that names it, or an old answer on request."""

import pickle

import pytest
from support.bank import Add, Added, Stay, Tally
from support.virtual_time import virtual

from actorium import Projection, Reader, Retry, Runtime, Settings, Transaction, on, query
from actorium.errors import EventParked, OutcomeUnknown

_ONCE = Settings(handler_retry=Retry(attempts=1))


class Failing:
    now = True


class Sums(Projection):
    total: int = 0

    @on
    def added(self, event: Added) -> None:
        if Failing.now and event.amount == 13:
            raise ValueError("an unlucky number")
        self.total += event.amount

    @query
    def all(self) -> int:
        return self.total


class SumsTable(Projection):
    schema = "CREATE TABLE sums (amount INTEGER)"

    @on
    def added(self, event: Added, tx: Transaction) -> None:
        if Failing.now and event.amount == 13:
            raise ValueError("an unlucky number")
        tx.execute("INSERT INTO sums VALUES (?)", event.amount)

    @query
    async def all(self, db: Reader) -> int:
        row = await db.fetch_one("SELECT coalesce(sum(amount), 0) FROM sums")
        return 0 if row is None else int(row[0])


@pytest.fixture(autouse=True)
def thirteen_fails() -> None:
    Failing.now = True


@pytest.mark.parametrize("projection", [Sums, SumsTable])
@virtual
async def test_a_parked_write_is_reported_and_not_ignored(projection: type[Sums]) -> None:
    async with Runtime([Tally, projection], store="memory://", settings=_ONCE) as runtime:
        ack = await runtime.send(Add("a", 13))
        with pytest.raises(EventParked, match=r"has parked Added at position 1 .*an unlucky number") as parked:
            await runtime.query(projection.all, after=ack.position)
        assert (parked.value.processor, parked.value.position) == (runtime.processors[projection].name, 1)
        assert isinstance(parked.value, OutcomeUnknown)
        assert str(pickle.loads(pickle.dumps(parked.value))) == str(parked.value)
        assert await runtime.query(projection.all, after=ack.position, stale=True) == 0
        assert await runtime.query(projection.all) == 0


@pytest.mark.parametrize("projection", [Sums, SumsTable])
@virtual
async def test_a_write_behind_a_parked_one_of_its_stream_is_missing_too(projection: type[Sums]) -> None:
    async with Runtime([Tally, projection], store="memory://", settings=_ONCE) as runtime:
        await runtime.send(Add("a", 13))
        mine, other = await runtime.send(Add("a", 2)), await runtime.send(Add("b", 5))
        with pytest.raises(EventParked, match=r"at position 1 .*and position 2 waits behind it"):
            await runtime.query(projection.all, after=mine.position)
        assert await runtime.query(projection.all, after=other.position) == 5, "another stream does not wait"
        Failing.now = False
        assert await runtime.dead_letters.retry() == 1
        assert await runtime.query(projection.all, after=mine.position) == 20


@virtual
async def test_a_discarded_write_never_appears() -> None:
    async with Runtime([Tally, Sums], store="memory://", settings=_ONCE) as runtime:
        ack = await runtime.send(Add("a", 13))
        with pytest.raises(EventParked):
            await runtime.query(Sums.all, after=ack.position)
        await runtime.dead_letters.discard(runtime.dead_letters.list()[0], reason="never mind")
        with pytest.raises(EventParked, match=r"was discarded .never mind"):
            await runtime.query(Sums.all, after=ack.position)


@virtual
async def test_send_says_that_a_projection_it_waits_for_has_parked_the_event() -> None:
    async with Runtime([Tally, Sums], store="memory://", settings=_ONCE) as runtime:
        with pytest.raises(EventParked):
            await runtime.send(Add("a", 13), wait_for=[Sums], command_id="c")
        assert (await runtime.get(Tally, "a")).total == 13, "the command took effect"
        assert (await runtime.send(Add("a", 13), command_id="c")).duplicate
        await runtime.send(Stay("b"), wait_for=[Sums])
