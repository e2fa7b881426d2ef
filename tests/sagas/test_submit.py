"""`runtime.submit`: accepted in one commit, takes effect once, can be cancelled while it waits."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from support.stores import GatedStore, PassedThrough
from support.transfers import (
    Account,
    Deposit,
    Withdraw,
    balances,
    open_accounts,
    runtime_of,
)
from support.virtual_time import settled, virtual

from actorium import (
    Ack,
    Aggregate,
    Command,
    CommandContext,
    ConfigurationError,
    Event,
    Next,
    NotFound,
    Runtime,
    Settings,
    decide,
    evolve,
)
from actorium.errors import CommandConflict, RuntimeClosed
from actorium.sagas.model.recording import issued_command
from actorium.sagas.model.submissions import SUBMISSION, CommandSubmitted, Submission
from actorium.store.errors import InvalidCommand
from actorium.store.event_store import Append, AppendBatch
from actorium.store.events import EncodedEvent, Metadata, as_json
from actorium.store.names import StreamName


async def submission(runtime: Runtime, id: str) -> Submission:
    state: Submission = await runtime._running().dispatcher.read(SUBMISSION, id, 5.0)
    return state


@virtual
async def test_a_command_is_accepted_in_one_commit_and_executed() -> None:
    store = GatedStore()
    async with runtime_of(store=store) as runtime:
        await open_accounts(runtime, bob=0)
        before = len(store.batches)
        ack = await runtime.submit(Deposit("bob", 5))
        assert sum(bool(batch.appends) for batch in store.batches[before:]) == 1
        await settled()
        assert await balances(runtime, "bob") == (5,)
        assert (await submission(runtime, ack.command_id)).status == "concluded"


@virtual
async def test_it_waits_until_it_is_due_even_across_restarts() -> None:
    store = PassedThrough()
    async with runtime_of(store=store) as runtime:
        await open_accounts(runtime, bob=0)
        await runtime.submit(Deposit("bob", 1), after_s=86_400.0, command_id="tomorrow")
        now = datetime.fromtimestamp(runtime._source.now_us() / 1e6, UTC)
        await runtime.submit(Deposit("bob", 10), at=now + timedelta(days=20), command_id="in twenty days")
        await asyncio.sleep(86_000)
        assert await balances(runtime, "bob") == (0,)
        await asyncio.sleep(500)
        assert await balances(runtime, "bob") == (1,)
    await asyncio.sleep(86_400 * 10)
    async with runtime_of(store=store, seed=1) as runtime:
        await asyncio.sleep(86_400 * 8)
        assert await balances(runtime, "bob") == (1,)
        await asyncio.sleep(86_400 * 2)
        assert await balances(runtime, "bob") == (11,)
    async with runtime_of(store=store, seed=2) as runtime:
        await asyncio.sleep(86_400)
        assert await balances(runtime, "bob") == (11,)


@virtual
async def test_the_same_id_is_accepted_once_and_other_content_is_refused() -> None:
    async with runtime_of() as runtime:
        await open_accounts(runtime, bob=0)
        first = await runtime.submit(Deposit("bob", 5), after_s=10, command_id="once")
        again = await runtime.submit(Deposit("bob", 5), after_s=99, command_id="once")
        assert (first.duplicate, again.duplicate, again.version) == (False, True, first.version)
        with pytest.raises(CommandConflict):
            await runtime.submit(Deposit("bob", 6), command_id="once")
        await asyncio.sleep(11)
        assert await balances(runtime, "bob") == (5,)
        assert (await runtime.submit(Deposit("bob", 5), command_id="once")).duplicate
        assert (await runtime.send(Deposit("bob", 5), command_id="once")).duplicate  # sent by hand it is the same
        await asyncio.sleep(100)
        assert await balances(runtime, "bob") == (5,)


@virtual
async def test_a_waiting_command_can_be_cancelled_and_stays_cancelled() -> None:
    store = PassedThrough()
    async with runtime_of(store=store) as runtime:
        await open_accounts(runtime, bob=0)
        await runtime.submit(Deposit("bob", 5), after_s=10, command_id="late")
        await runtime.submit(Deposit("bob", 1), command_id="now")
        await settled()
        assert await runtime.submissions.cancel("late", reason="changed my mind")
        assert not await runtime.submissions.cancel("late")
        assert not await runtime.submissions.cancel("now")
        with pytest.raises(NotFound):
            await runtime.submissions.cancel("never submitted")
    async with runtime_of(store=store, seed=1) as runtime:
        await asyncio.sleep(60)
        assert await balances(runtime, "bob") == (1,)
        assert (await submission(runtime, "late")).status == "cancelled"


@virtual
async def test_a_command_cancelled_when_it_is_due_is_either_sent_or_cancelled() -> None:
    for delay_s in (9.99, 10.0, 10.0001):
        store = GatedStore()
        async with runtime_of(store=store) as runtime:
            await open_accounts(runtime, bob=0)
            await runtime.submit(Deposit("bob", 5), after_s=10, command_id="late")
            await asyncio.sleep(delay_s)
            store.shut()
            cancelled = asyncio.create_task(runtime.submissions.cancel("late"))
            await asyncio.sleep(1)
            store.let_through()
            was_cancelled = await cancelled
            await asyncio.sleep(30)
            assert await balances(runtime, "bob") == ((0,) if was_cancelled else (5,))


@virtual
async def test_a_rejection_is_recorded() -> None:
    async with runtime_of() as runtime:
        await open_accounts(runtime, bob=0)
        await runtime.submit(Withdraw("bob", 5), command_id="too much")
        await runtime.submit(Deposit("nobody", 5), command_id="to nobody")
        await asyncio.sleep(5)
        refused = await submission(runtime, "too much")
        assert (refused.status, refused.error) == ("concluded", "insufficient funds")
        assert (await submission(runtime, "to nobody")).error.startswith("NotFound")


@virtual
async def test_an_invalid_submission_is_refused_immediately() -> None:
    async with runtime_of() as runtime:
        await open_accounts(runtime, bob=0)
        with pytest.raises(InvalidCommand, match="no time zone"):
            await runtime.submit(Deposit("bob", 5), at=datetime(2030, 1, 1))
        for after_s in (float("nan"), float("inf"), 1e10, -1e10, "5", True, timedelta(seconds=5)):
            with pytest.raises(InvalidCommand, match="after_s"):
                await runtime.submit(Deposit("bob", 5), after_s=after_s)  # type: ignore[arg-type]
        east = timezone(timedelta(hours=-12))
        for at in (datetime.max.replace(tzinfo=UTC), datetime.max.replace(tzinfo=east), "2030-01-01"):
            with pytest.raises(InvalidCommand, match="at="):
                await runtime.submit(Deposit("bob", 5), at=at)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="not both"):
            await runtime.submit(Deposit("bob", 5), at=datetime(2030, 1, 1, tzinfo=UTC), after_s=1)
        with pytest.raises(InvalidCommand, match="Expected `int`"):
            await runtime.submit(Deposit("bob", "much"))  # type: ignore[arg-type]
        with pytest.raises(InvalidCommand, match="command_id"):
            await runtime.submit(Deposit("bob", 1), command_id="")
    with pytest.raises(RuntimeClosed):
        await runtime.submit(Deposit("bob", 1))


@virtual
async def test_a_command_due_in_the_past_is_executed_immediately() -> None:
    early = timezone(timedelta(hours=14))
    async with runtime_of() as runtime:
        await open_accounts(runtime, bob=0)
        await runtime.submit(Deposit("bob", 5), at=datetime.min.replace(tzinfo=UTC))
        await runtime.submit(Deposit("bob", 5), at=datetime.min.replace(tzinfo=early))
        await runtime.submit(Deposit("bob", 5), after_s=-3600)
        await asyncio.sleep(1)
        assert await balances(runtime, "bob") == (15,)


@virtual
async def test_a_recorded_due_time_out_of_range_stops_nothing_else() -> None:
    # Recorded before there were bounds.
    store = PassedThrough()
    submitted = CommandSubmitted(issued_command(Deposit("bob", 1)), 10**22)
    event = EncodedEvent("command.submitted", 1, as_json(submitted), as_json(Metadata("submit far")))
    await store.open()
    await store.append(AppendBatch(1, [Append(StreamName(SUBMISSION, "far"), 0, (event,))]))
    await store.close()
    async with runtime_of(store=store) as runtime:
        await open_accounts(runtime, bob=0)
        await runtime.submit(Deposit("bob", 5), after_s=60, command_id="near")
        assert [view.command_id async for view in runtime.submissions.list(status="waiting")] == ["far", "near"]
        assert (await runtime.submissions.get("far")).due_at == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
        await asyncio.sleep(70)
        assert await balances(runtime, "bob") == (5,)
    async with runtime_of(store=store, seed=1) as runtime:
        assert await runtime.submissions.cancel("far", reason="never")


@virtual
async def test_headers_and_the_flow_go_with_the_submission_and_with_the_command() -> None:
    store = PassedThrough()
    async with runtime_of(store=store) as runtime:
        await open_accounts(runtime, bob=0)
        await runtime.submit(
            Deposit("bob", 5),
            after_s=60,
            command_id="late",
            headers={"tenant": "t1"},
            correlation_id="flow-1",
            causation_id="a person",
        )
    async with runtime_of(store=store, seed=1) as runtime:
        await asyncio.sleep(61)
        (_, change) = [change async for change in runtime.history(Account, "bob")]
        assert change.metadata.headers == {"tenant": "t1"}
        assert change.metadata.correlation_id == "flow-1"
        assert change.metadata.causation_id == "actorium.submission/late/1"
        assert change.metadata.command_id == "late"


class Put(Command):
    """Holds what JSON writes in another way."""

    counts: dict[str, set[int]]
    at: datetime
    blob: bytes


class PutIn(Event):
    counts: dict[str, set[int]]
    at: datetime
    blob: bytes


class Box(Aggregate):
    last: PutIn | None = None

    @decide
    def put(self, command: Put) -> PutIn:
        return PutIn(command.counts, command.at, command.blob)

    @evolve
    def put_in(self, event: PutIn) -> None:
        self.last = event


@virtual
async def test_every_field_that_json_can_carry_comes_back_as_it_was() -> None:
    store = PassedThrough()
    at = datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    async with runtime_of(Box, store=store) as runtime:
        await runtime.submit(Put("b", {"some": {1, -2}}, at, b"\x00\xff"), after_s=60)
    async with runtime_of(Box, store=store, seed=1) as runtime:
        await asyncio.sleep(61)
        assert (await runtime.get(Box, "b")).last == PutIn({"some": {1, -2}}, at, b"\x00\xff")


@virtual
async def test_many_due_at_once_are_sent_a_few_at_a_time() -> None:
    under_way = most = 0

    async def count(context: CommandContext, call: Next) -> Ack:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await call(context)
        finally:
            under_way -= 1

    settings = Settings(max_running_intents=3, poll_s=1.0)
    async with runtime_of(settings=settings, middleware=[count]) as runtime:
        await open_accounts(runtime, bob=0)
        for number in range(200):
            await runtime.submit(Deposit("bob", 1), after_s=100, command_id=f"c{number}")
        most = 0
        await asyncio.sleep(110)
        assert await balances(runtime, "bob") == (200,)
        assert most == 3


@virtual
async def test_a_command_with_a_bug_is_abandoned_with_its_reason() -> None:
    attempts = 0

    class Break(Command):
        pass

    class Fragile(Aggregate):
        broken: bool = False

        @decide
        def broke(self, command: Break) -> None:
            nonlocal attempts
            attempts += 1
            raise ZeroDivisionError("a bug")

    async with runtime_of(Fragile) as runtime:
        await runtime.submit(Break("f"), command_id="b")
        await asyncio.sleep(60)
        assert "ZeroDivisionError: a bug" in (await submission(runtime, "b")).error
        assert attempts == 5
