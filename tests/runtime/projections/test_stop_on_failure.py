"""`on_failure = "stop"`: a projection that must not skip an event stops before the one at which its handler fails."""

import pytest
import structlog.testing
from support.bank import Add, Added, Tally
from support.virtual_time import settled, virtual

from actorium import ConfigurationError, Projection, Reader, Retry, Runtime, Settings, Transaction, on, query
from actorium.errors import QueryTimeout
from actorium.store.memory import MemoryStore

_TWICE = Settings(handler_retry=Retry(attempts=2, backoff_s=0.1))


class Failing:
    now = True
    tries = 0


def take(amount: int) -> int:
    if Failing.now and amount == 13:
        Failing.tries += 1
        raise ValueError("an unlucky number")
    return amount


@pytest.fixture(autouse=True)
def thirteen_fails() -> None:
    Failing.now, Failing.tries = True, 0


class Sums(Projection):
    on_failure = "stop"
    total: int = 0

    @on
    def added(self, event: Added) -> None:
        self.total += 1
        self.total += take(event.amount) - 1

    @query
    def all(self) -> int:
        return self.total


class SumsTable(Projection):
    on_failure = "stop"
    schema = "CREATE TABLE sums (amount INTEGER)"

    @on
    def added(self, event: Added, tx: Transaction) -> None:
        tx.execute("INSERT INTO sums VALUES (?)", take(event.amount))

    @query
    async def all(self, db: Reader) -> int:
        row = await db.fetch_one("SELECT coalesce(sum(amount), 0) FROM sums")
        return 0 if row is None else int(row[0])


@pytest.mark.parametrize("projection", [Sums, SumsTable])
@virtual
async def test_it_stops_before_the_event_until_it_is_resumed(projection: type[Sums]) -> None:
    async with Runtime([Tally, projection], store="memory://", settings=_TWICE) as runtime:
        await runtime.send(Add("a", 1), wait_for=[projection])
        with structlog.testing.capture_logs() as logs:
            await runtime.send(Add("b", 13))
            ack = await runtime.send(Add("c", 5))
            with pytest.raises(QueryTimeout):
                await runtime.query(projection.all, after=ack.position, timeout_s=60.0)
        standing = runtime.processors[projection].statistics()
        assert (standing.state, standing.position, standing.parked, Failing.tries) == ("failed", 1, 0, 2)
        assert "Tally<b> at position 2 failed after 2 attempts: ValueError: an unlucky number" in standing.error
        assert [one["processor"] for one in logs if one["event"] == "processor_halted"] == [standing.name]
        assert await runtime.query(projection.all) == 1, "it answers as it stands"

        runtime.processors[projection].resume()
        await settled()
        assert runtime.processors[projection].statistics().position == 1, "the handler still fails"
        Failing.now = False
        runtime.processors[projection].resume()
        assert await runtime.query(projection.all, after=ack.position) == 19
        assert runtime.processors[projection].statistics().error == ""


@pytest.mark.parametrize("projection", [Sums, SumsTable])
@virtual
async def test_a_reset_and_a_restart_try_again(projection: type[Sums]) -> None:
    store = MemoryStore()
    async with Runtime([Tally, projection], store=store, settings=_TWICE) as runtime:
        await runtime.send(Add("a", 1))
        ack = await runtime.send(Add("b", 13))
        with pytest.raises(QueryTimeout):
            await runtime.query(projection.all, after=ack.position, timeout_s=10.0)
        assert Failing.tries == 2
        await runtime.processors[projection].reset()
        with pytest.raises(QueryTimeout):
            await runtime.query(projection.all, after=ack.position, timeout_s=10.0)
        assert Failing.tries == 4
    Failing.now = False
    async with Runtime([Tally, projection], store=store, settings=_TWICE) as runtime:
        assert await runtime.query(projection.all, after=ack.position) == 14


def test_there_is_no_third_way_to_fail() -> None:
    with pytest.raises(ConfigurationError, match=r'Wrong.on_failure = .skip.: must be "park" or "stop"'):

        class Wrong(Projection):
            on_failure = "skip"  # type: ignore[assignment]

            @on
            def added(self, event: Added) -> None: ...
