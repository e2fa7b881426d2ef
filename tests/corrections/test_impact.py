"""`impact`: what some events touched, compared with a closure computed in another way."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from support.correcting import DAY, Outside, bank, open_account, transfer, until

from actorium import ConfigurationError, InvalidCommand, NotFound, Runtime
from actorium.corrections import Impact, Selection
from actorium.corrections.impact import closure as closure_module
from actorium.corrections.pages.impact_page import impact_page
from actorium.examples.bank.domain import Credit
from actorium.examples.bank.transfers import OrderTransfer, Transfer
from actorium.sagas.model.submissions import SubmissionConcluded
from actorium.store.names import StreamName, event_id

pytestmark = pytest.mark.asyncio


@pytest.fixture
def outside() -> Outside:
    return Outside()


@pytest_asyncio.fixture
async def runtime(outside: Outside, log_url: str) -> AsyncIterator[Runtime]:
    async with bank(log_url, outside) as runtime:
        for account in ("a", "b", "c"):
            await open_account(runtime, account, 1_000)
        await transfer(runtime, "t-1", "a", "b", 300)
        await transfer(runtime, "t-2", "b", "c", 200)
        await runtime.submit(Credit("c", 5, DAY, "cash_deposit"), command_id="s-1")
        await anext(runtime.events(types=[SubmissionConcluded]))
        await until(lambda: len(outside.published) == 8, runtime)
        yield runtime


async def independently_caused(runtime: Runtime, ids: set[str]) -> set[str]:
    """The closure by definition: repeat until no event of the log has a cause in the set that is not in it."""
    events = []
    async for recorded in runtime.events():
        events.append((recorded.event_id, recorded.metadata.causation_id))
        if recorded.position == runtime.statistics().position:
            break
    found = set(ids)
    while True:
        more = {id for id, cause in events if cause in found} - found
        if not more:
            return found
        found |= more


@pytest.mark.parametrize("looked_up_max", [0, 200])
async def test_the_closure_is_the_one_by_definition(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, looked_up_max: int
) -> None:
    monkeypatch.setattr(closure_module, "_LOOKED_UP_MAX", looked_up_max)
    id = "bank.transfer/t-1/1"
    found = await runtime.corrections.impact(Selection(events=[id]))
    assert {event.id for event in found.events} == await independently_caused(runtime, {id})
    assert (found.selected, found.caused) == (1, len(found.events) - 1)
    touched = {f"{one.type}<{one.id}>": one for one in found.streams}
    assert touched["bank.internal-transfer<t-1>"].kind == "saga"
    assert touched["bank.internal-transfer<t-1>"].status == "completed"
    # b was credited by t-1; the debit of t-2 came later and was decided on that balance
    assert touched["bank.account<b>"].later == 1
    assert "bank.account<c>" not in touched
    assert next(iter(found.tree())) == f"bank.transfer-ordered {id} at {found.events[0].position}"
    assert len(list(found.tree())) == len(found.events)


async def test_rows_effects_and_messages_are_counted(runtime: Runtime, outside: Outside) -> None:
    found = await runtime.corrections.impact(Selection(events=["bank.transfer/t-1/1"]))
    projections = {one.name: one for one in found.projections}
    assert projections["Bookings"].rows == {"Booked": [("a",), ("b",)]}
    assert projections["Bookings"].handled == projections["Bookings"].events == 2
    assert projections["bank_balances"].statements == 2
    assert "Openings" not in projections
    followers = {(one.kind, one.name): (one.events, one.handled) for one in found.followers}
    await until(lambda: len(outside.thanked) == 6, runtime)
    assert followers["outlet", "bank"] == (2, 2)
    assert followers["reaction", "thank"][0] == 1
    counts = json.loads(found.as_json())["counts"]
    assert (counts["sagas"], counts["rows"], counts["events published"]) == (1, 2, 2)
    assert "Impact of 1 event" in impact_page(found)
    assert Impact(0).counts()["selected events"] == 0


async def test_subscriptions_and_submissions_are_found(runtime: Runtime) -> None:
    async with runtime.subscribe("reader") as subscription:
        async for recorded in subscription:
            await subscription.save()
            if recorded.stream_id == "a" and recorded.version == 2:
                break
    found = await runtime.corrections.impact(Selection(stream=StreamName("bank.account", "a")))
    assert [(one.name, one.handled) for one in found.followers if one.kind == "subscription"] == [("reader", 2)]
    submitted = await runtime.corrections.impact(Selection(events=["actorium.submission/s-1/1"]))
    assert [one.kind for one in submitted.streams] == ["submission", "aggregate"]
    assert submitted.streams[0].status == "concluded"


async def test_every_condition_narrows_the_selection(runtime: Runtime) -> None:
    impact = runtime.corrections.impact
    everything = (await impact(Selection(until=10_000))).selected
    assert everything == runtime.statistics().position
    assert (await impact(Selection(after=2, until=5))).selected == 3
    assert (await impact(Selection(types=["bank.account-opened"]))).selected == 3
    assert (await impact(Selection(types=["bank.account-opened"], after=1))).selected == 2
    now = datetime.now(UTC)
    assert (await impact(Selection(since=now + timedelta(days=1)))).selected == 0
    assert (await impact(Selection(before=now + timedelta(days=1)))).selected == everything
    assert (await impact(Selection(where=lambda one: one.stream_id == "a" and one.version == 1))).selected == 1
    await runtime.send(Credit("a", 1, DAY, "cash_deposit"), headers={"code": "2"})
    assert (await impact(Selection(headers={"code": "2"}))).selected == 1
    assert (await impact(Selection(headers={"code": "1"}))).selected == 0


async def test_a_snapshot_that_includes_a_touched_event_is_named() -> None:
    from actorium import Aggregate, Command, Event, Snapshots, create, decide, evolve

    class Open(Command):
        pass

    class Tick(Command):
        pass

    class Opened(Event):
        pass

    class Ticked(Event):
        pass

    class Clock(Aggregate):
        snapshots = Snapshots(every=2)
        ticks: int = 0

        @create
        def open(self, command: Open) -> Opened:
            return Opened()

        @decide
        def tick(self, command: Tick) -> Ticked:
            return Ticked()

        @evolve
        def opened(self, event: Opened) -> None:
            pass

        @evolve
        def ticked(self, event: Ticked) -> None:
            self.ticks += 1

    async with Runtime([Clock], store="memory://") as runtime:
        await runtime.send(Open("c"))
        for _ in range(6):
            await runtime.send(Tick("c"))
        (first,) = (await runtime.corrections.impact(Selection(events=["Clock/c/2"]))).streams
        (last,) = (await runtime.corrections.impact(Selection(events=["Clock/c/7"]))).streams
    assert first.snapshot >= 2
    assert last.snapshot in (0, 7)


async def test_what_cannot_be_selected_is_refused(runtime: Runtime) -> None:
    with pytest.raises(ConfigurationError, match="without a condition"):
        Selection()
    with pytest.raises(InvalidCommand, match="no time zone"):
        Selection(since=datetime(1993, 1, 1))
    with pytest.raises(NotFound, match=r"no event 'bank\.account/a/99'"):
        await runtime.corrections.impact(Selection(events=["bank.account/a/99"]))
    with pytest.raises(NotFound, match="no event 'nothing'"):
        await runtime.corrections.impact(Selection(events=["nothing"]))


async def test_the_impact_of_an_event_of_a_transfer_is_the_same_for_the_order_and_for_its_command(
    runtime: Runtime,
) -> None:
    ordered = await runtime.send(OrderTransfer("t-3", "c", "a", 10, DAY))
    await runtime.sagas.get(Transfer, "t-3", ended_within_s=10)
    found = await runtime.corrections.impact(Selection(after=ordered.position - 1, until=ordered.position))
    assert found.events[0].id == event_id(StreamName("bank.transfer", "t-3"), 1)
    assert found.caused > 3
