"""Start events of sagas, and start events for a saga that already exists."""

import asyncio

import pytest
from structlog.testing import capture_logs
from support.transfers import (
    Account,
    Ask,
    Deposit,
    Desk,
    Opened,
    Tell,
    Told,
    TransferRequested,
    Withdraw,
    balances,
    open_accounts,
    runtime_of,
    saga_in,
    texts,
)
from support.virtual_time import settled, virtual

from actorium import Command, ConfigurationError, NotFound, Runtime, Saga, starts, step
from actorium.services import RemoteService, Service


@virtual
async def test_events_of_two_stream_types_with_the_same_id_start_two_sagas() -> None:
    class Thanks(Saga):
        @starts
        def moved(self, event: TransferRequested | Opened) -> None: ...

        @step
        def tell(self) -> Tell:
            return Tell("tellers", self.id)

    async with runtime_of(Thanks, Once) as runtime:
        await open_accounts(runtime, same=1)
        await runtime.send(Ask("same", "", ""))
        await settled()
        assert [one.id async for one in runtime.sagas.list(Thanks)] == ["Account/same/1", "Desk/same/1"]
        assert (await runtime.get(Desk, "tellers")).count == 2
        with pytest.raises(
            NotFound, match=r"^Thanks<same> does not exist: .*; without @starts\(correlate=…\), the id of a"
        ):
            await runtime.sagas.get(Thanks, "same", ended_within_s=1)
        for absent in (runtime.sagas.get(Thanks, "Account/other/1"), runtime.sagas.get(Once, "same")):
            with pytest.raises(NotFound, match=r"its stream is empty$"):
                await absent


class Once(Saga):
    """Waits for a word, then pays what it was first asked for."""

    amount: int = 0

    @starts(correlate="target")
    def requested(self, event: TransferRequested) -> None:
        self.amount = event.amount

    @step(until=Told, correlate="about", undo=None)
    def told(self) -> None: ...

    @step
    def pay(self) -> Deposit:
        return Deposit("bob", self.amount)


class Strict(Once):
    on_start_again = "refuse"


@virtual
async def test_a_second_start_event_changes_nothing_in_a_running_saga_and_is_recorded() -> None:
    with capture_logs() as logs:
        async with runtime_of(Once) as runtime:
            await open_accounts(runtime, bob=0)
            await runtime.send(Ask("desk", "", "s", 1))
            await runtime.send(Ask("desk", "", "s", 99))
            await settled()
            await runtime.send(Tell("desk", "s"))
            await saga_in(runtime, Once, "s", "completed")
            await runtime.send(Ask("desk", "", "s", 98))
            await settled()
            assert await balances(runtime, "bob") == (1,)
            notes = [text for text in await texts(runtime, Once, "s") if "ignored" in text]
    event = "TransferRequested at Desk<desk> version"
    assert notes == [
        f"ignored start event {event} 2: the saga was running",
        f"ignored start event {event} 4: the saga was completed",
    ]
    assert [(line["saga"], line["status"]) for line in logs if line["event"] == "saga_start_ignored"] == [
        ("Once<s>", "running"),
        ("Once<s>", "completed"),
    ]


@virtual
async def test_a_second_start_event_that_is_refused_is_parked_until_a_person_discards_it() -> None:
    async with runtime_of(Strict) as runtime:
        await open_accounts(runtime, bob=0)
        await runtime.send(Ask("desk", "", "s", 1))
        await runtime.send(Ask("desk", "", "s", 99))
        await asyncio.sleep(60)
        (letter,) = runtime.processors[Strict].dead_letters()
        assert "refuses a second start event" in letter.error
        await runtime.processors[Strict].discard(letter.position, reason="asked twice")
        await runtime.send(Tell("desk", "s"))
        await saga_in(runtime, Strict, "s", "completed")
        assert await balances(runtime, "bob") == (1,)


def test_on_start_again_has_two_values() -> None:
    with pytest.raises(ConfigurationError, match='on_start_again = \'restart\': must be "ignore" or "refuse"'):
        type(Saga)("Odd", (Once,), {"on_start_again": "restart"})


def test_a_step_whose_command_nothing_handles_is_refused_when_the_runtime_is_made() -> None:
    class Pay(Command):
        amount: int

    class Payment(Saga):
        @starts
        def requested(self, event: TransferRequested) -> None: ...

        @step
        def hold(self) -> Withdraw:
            return Withdraw("alice", 1)

        @hold.undo
        def pay(self) -> Pay:
            return Pay("alice", 1)

    with pytest.raises(ConfigurationError, match="hold's undo returns Pay, which no aggregate of this runtime handles"):
        runtime_of(Payment)
    payments = RemoteService("payments", commands=[Pay])
    Runtime([Account, Desk, Payment, payments], store="memory://", service=Service("bank", bus="memory://unused"))
