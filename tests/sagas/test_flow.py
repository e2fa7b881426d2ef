"""Sagas, reactions, effects and submissions pass on the flow, the cause and the headers of a command."""

import asyncio
from collections.abc import Mapping
from typing import Any

from support.stores import PassedThrough
from support.transfers import (
    Account,
    Ask,
    Deposit,
    Deposited,
    Desk,
    Opened,
    Tell,
    Told,
    Transfer,
    TransferRequested,
    Withdraw,
    Withdrawn,
    open_accounts,
    runtime_of,
    saga_in,
)
from support.virtual_time import settled, virtual

from actorium import Event, RecordedEvent, Runtime, Saga, on, react, starts, step
from actorium.types import Metadata

ANN = {"user": "ann", "tenant": "t1"}


async def recorded(runtime: Runtime, *types: type[Event]) -> list[RecordedEvent[Event]]:
    """Return the events of the log so far, of these types."""
    found: list[RecordedEvent[Event]] = []
    end = runtime.statistics().position
    async for one in runtime.events():
        if isinstance(one.event, types or (Event,)):
            found.append(one)
        if one.position >= end:
            return found
    raise AssertionError("the log ended early")


async def metadata_of(runtime: Runtime, event: type[Event]) -> Metadata:
    """Return the metadata of the last event of a type."""
    return (await recorded(runtime, event))[-1].metadata


def roots(log: list[RecordedEvent[Event]], one: RecordedEvent[Event]) -> list[str]:
    """Return the ids of the causes of an event, from the nearest to the first."""
    by_id = {each.event_id: each for each in log}
    chain = []
    while one.metadata.causation_id:
        chain.append(one.metadata.causation_id)
        one = by_id[one.metadata.causation_id]
    return chain


@virtual
async def test_every_event_of_a_saga_leads_back_to_what_started_it() -> None:
    async with runtime_of(Transfer) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        ack = await runtime.send(Ask("desk", "alice", "bob", 1))
        await saga_in(runtime, Transfer, f"Desk/desk/{ack.version}", "completed")
        log = await recorded(runtime)
        withdrawn, deposited = (await recorded(runtime, Withdrawn, Deposited))[-2:]
        assert roots(log, withdrawn) == [f"Transfer/Desk/desk/{ack.version}/2", f"Desk/desk/{ack.version}"]
        assert roots(log, deposited)[1:] == [withdrawn.event_id, *roots(log, withdrawn)]
        assert all(roots(log, one)[-1:] == [f"Desk/desk/{ack.version}"] for one in log if one.position > ack.position)


@virtual
async def test_a_saga_passes_on_the_headers_of_the_event_that_started_it() -> None:
    async with runtime_of(Transfer) as runtime:
        await open_accounts(runtime, alice=100, bob_closed=0)
        await runtime.send(Ask("desk", "alice", "bob_closed", 1), headers=ANN)
        await saga_in(runtime, Transfer, "Desk/desk/1", "undone")
        assert (await metadata_of(runtime, Withdrawn)).headers == ANN
        assert (await metadata_of(runtime, Deposited)).headers == ANN  # of the undo


class Waits(Saga):
    """Pays when somebody has told it to."""

    @starts(correlate=lambda recorded: recorded.event.target)
    def requested(self, event: TransferRequested) -> None: ...

    @step(until=Told, correlate="about", undo=None)
    def told(self) -> None: ...

    @step
    def pay(self) -> Deposit:
        return Deposit("bob", 1)


async def two_flows(runtime: Runtime, *, headers: Mapping[str, str]) -> None:
    """Start a saga in one flow and continue it in another."""
    await open_accounts(runtime, bob=0)
    await runtime.send(Ask("desk", "", "s"), correlation_id="first", headers=ANN)
    await saga_in(runtime, Waits, "s", "running", reached="waits")
    await runtime.send(Tell("desk", "s"), correlation_id="second", headers=headers)


@virtual
async def test_a_saga_keeps_its_own_flow_and_adds_the_headers_of_later_events() -> None:
    async with runtime_of(Waits) as runtime:
        await two_flows(runtime, headers={"user": "bob", "trace": "2"})
        await saga_in(runtime, Waits, "s", "completed")
        metadata = await metadata_of(runtime, Deposited)
        assert (metadata.correlation_id, metadata.headers) == ("first", {**ANN, "user": "bob", "trace": "2"})
        saga_flows = {one.metadata.flow_id for one in await recorded(runtime) if one.stream_type == "Waits"}
        assert saga_flows == {"first"}


class Hears(Saga):
    """Sends in its free form."""

    @starts(correlate=lambda recorded: recorded.event.target)
    def requested(self, event: TransferRequested) -> None: ...

    @on(correlate="about")
    def told(self, event: Told) -> Deposit:
        self.complete()
        return Deposit("bob", 1)


@virtual
async def test_commands_sent_after_a_restart_have_the_same_metadata() -> None:
    store = PassedThrough()
    async with runtime_of(Hears, store=store, middleware=[refuse_sagas]) as runtime:
        await open_accounts(runtime, bob=0)
        await runtime.send(Ask("desk", "", "s"), correlation_id="first", headers=ANN)
        await saga_in(runtime, Hears, "s", "running")
        await runtime.send(Tell("desk", "s"), correlation_id="second", headers={"trace": "2"})
        view = await saga_in(runtime, Hears, "s", "completed")
        issued = next(line.version for line in view.history if "sends Deposit" in line.text)
    async with runtime_of(Hears, store=store, seed=1) as runtime:
        await asyncio.sleep(60)
        metadata = await metadata_of(runtime, Deposited)
        assert metadata.causation_id == f"Hears/s/{issued}"
        assert (metadata.correlation_id, metadata.headers) == ("first", {**ANN, "trace": "2"})


async def refuse_sagas(context: Any, following: Any) -> Any:
    """Hold back the commands of sagas, like a process that dies before it sends them."""
    if context.command_id.startswith("~Hears/"):
        await asyncio.Event().wait()
    return await following(context)


@virtual
async def test_commands_of_a_reaction_inherit_from_its_event() -> None:
    runtime: Runtime

    @react(on_replay="run")
    async def thank(event: Withdrawn) -> None:
        await runtime.send(Deposit("bob", 1))
        await runtime.submit(Deposit("bob", 2))
        await runtime.tell(Deposit("bob", 3), headers={"user": "cid"}, causation_id="me", correlation_id="mine")

    async with runtime_of(thank) as runtime:
        await open_accounts(runtime, alice=10, bob=0)
        await runtime.send(Withdraw("alice", 1), command_id="w", headers=ANN)
        await settled()
        await runtime.send(Deposit("bob", 4), command_id="outside")
        sent = {one.event.amount: one.metadata for one in await recorded(runtime, Deposited)}  # type: ignore[attr-defined]
        assert (sent[1].correlation_id, sent[1].causation_id, sent[1].headers) == ("w", "Account/alice/2", ANN)
        assert (sent[2].correlation_id, sent[2].headers) == ("w", ANN)
        submission = (await recorded(runtime))[-1]
        by_id = {one.event_id: one for one in await recorded(runtime)}
        submission = by_id[sent[2].causation_id]
        assert submission.metadata.causation_id == "Account/alice/2"
        assert (sent[3].correlation_id, sent[3].causation_id) == ("mine", "me")
        assert sent[3].headers == {**ANN, "user": "cid"}
        assert (sent[4].correlation_id, sent[4].causation_id, sent[4].headers) == ("", "", {})


@virtual
async def test_commands_of_a_sagas_effect_inherit_from_its_step() -> None:
    runtime: Runtime

    class Calls(Saga):
        @starts(correlate=lambda recorded: "c")
        def requested(self, event: TransferRequested) -> None: ...

        @step
        async def call(self) -> None:
            await runtime.send(Deposit("bob", 1))

    async with runtime_of(Calls) as runtime:
        await open_accounts(runtime, bob=0)
        await runtime.send(Ask("desk", "", ""), command_id="a", headers=ANN)
        await saga_in(runtime, Calls, "c", "completed")
        metadata = await metadata_of(runtime, Deposited)
        assert (metadata.correlation_id, metadata.causation_id, metadata.headers) == ("a", "Calls/c/2", ANN)


@virtual
async def test_a_submission_and_its_command_are_one_flow() -> None:
    async with runtime_of() as runtime:
        await open_accounts(runtime, bob=0)
        await runtime.submit(Deposit("bob", 1), command_id="s", causation_id="Other/x/1")
        await settled()
        log = [one for one in await recorded(runtime) if not isinstance(one.event, Opened)]
        assert {one.metadata.flow_id for one in log} == {"s"}
        submitted, deposited, concluded = log
        assert submitted.metadata.causation_id == "Other/x/1"
        assert deposited.metadata.causation_id == submitted.event_id
        assert concluded.metadata.causation_id == deposited.event_id


@virtual
async def test_the_consequences_of_an_event_are_found() -> None:
    async with runtime_of(Transfer) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        ack = await runtime.send(Ask("desk", "alice", "bob", 1))
        await saga_in(runtime, Transfer, f"Desk/desk/{ack.version}", "completed")
        found, asked = [], [f"Desk/desk/{ack.version}"]
        while asked:
            direct = [one async for one in runtime.causes(asked.pop())]
            found += direct
            asked += [one.event_id for one in direct]
        log = await recorded(runtime)
        assert sorted(found, key=lambda one: one.position) == log[ack.position :]
        (first, *_) = caused = [one async for one in runtime.causes(f"Desk/desk/{ack.version}")]
        assert [one async for one in runtime.causes(f"Desk/desk/{ack.version}", after=first.position)] == caused[1:]
        assert [one async for one in runtime.causes(log[-1].event_id)] == []


@virtual
async def test_an_event_that_caused_more_than_a_page_is_followed_to_the_end() -> None:
    async with runtime_of() as runtime:
        await open_accounts(runtime, bob=0)
        for _ in range(101):
            await runtime.send(Deposit("bob", 1), causation_id="Account/bob/1")
        assert len([one async for one in runtime.causes("Account/bob/1")]) == 101


def test_the_id_of_an_event_names_its_stream() -> None:
    recorded = RecordedEvent("a/b%", "x/1", 7, 1, Opened(1, True), Metadata(causation_id="a%2Fb%25/x/1/7"), 0)
    assert recorded.event_id == "a%2Fb%25/x/1/7"
    assert recorded.metadata.cause == recorded.stream
    for text in ("", "a letter", "Account/alice", "Account/alice/x"):
        assert Metadata(causation_id=text).cause is None


@virtual
async def test_headers_of_the_caller_are_stored_unless_the_call_or_an_event_says_otherwise() -> None:
    user = ["ann"]
    copied: list[Mapping[str, str]] = []

    @react(on_replay="skip")
    async def copy(event: Told) -> None:
        user[0] = "the reaction"
        await runtime.submit(Ask("copy", "alice", "bob", 1))

    runtime = Runtime(
        [Account, Desk, copy], store="memory://", caller_headers=lambda: {"user": user[0]} if user else None
    )
    async with runtime:
        await open_accounts(runtime, alice=100)
        assert (await metadata_of(runtime, Opened)).headers == {"user": "ann"}
        await runtime.send(Deposit("alice", 1), headers={"user": "bob", "tenant": "t1"})
        assert (await metadata_of(runtime, Deposited)).headers == {"user": "bob", "tenant": "t1"}
        await runtime.tell(Tell("desk", "x", "y"))
        await settled()
        copied.append((await metadata_of(runtime, Told)).headers)
        copied.append((await metadata_of(runtime, TransferRequested)).headers)
        assert copied == [{"user": "ann"}, {"user": "ann"}]
        user.clear()
        await runtime.send(Deposit("alice", 2))
        assert (await metadata_of(runtime, Deposited)).headers == {}
