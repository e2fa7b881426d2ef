"""Derived ids: no caller can use one, none is too long, and commands sent under an older form are not sent again."""

import asyncio
from typing import Any

import pytest
from support.bank import Add, Added, Tally
from support.stores import PassedThrough
from support.transfers import (
    Account,
    Ask,
    Deposit,
    Transfer,
    TransferRequested,
    Withdraw,
    Withdrawn,
    ask,
    balances,
    open_accounts,
    runtime_of,
    saga_in,
)
from support.virtual_time import virtual

from actorium import Event, IdempotencyKey, RecordedEvent, Retry, Runtime, Saga, Settings, react, starts, step
from actorium.sagas.model.events import SagaFailed, SagaStarted, StepIssued, as_recorded
from actorium.sagas.model.recording import issued_command
from actorium.sagas.model.submissions import SUBMISSION, CommandSubmitted
from actorium.store.errors import InvalidCommand
from actorium.store.event_store import Append, AppendBatch, CommandMark, EventStore, SaveCheckpoint
from actorium.store.events import EncodedEvent, Metadata, as_json, event_type_of
from actorium.store.names import StreamName

OLD_FINGERPRINT = 5  # of 32 bits, as it was then


class Named(Saga):
    """A transfer whose id is the desk's."""

    saga_type = "Transfer"
    source: str = ""
    target: str = ""

    @starts(correlate=lambda recorded: recorded.stream_id)
    def requested(self, event: TransferRequested) -> None:
        self.source, self.target = event.source, event.target

    @step
    def debit(self) -> Withdraw:
        return Withdraw(self.source, 10)

    @debit.undo
    def refund(self) -> Deposit:
        return Deposit(self.source, 10)

    @step
    def credit(self) -> Deposit:
        return Deposit(self.target, 10)


async def wrote(
    store: EventStore, stream: tuple[str, str], version: int, command_id: str, *events: Event, **checkpoints: int
) -> None:
    """Append events as older code did, under a command id of the older form."""
    metadata = as_json(Metadata(command_id))
    encoded = tuple(EncodedEvent(event_type_of(type(event)), 1, as_json(event), metadata) for event in events)
    mark = CommandMark(command_id, OLD_FINGERPRINT)
    await store.append(AppendBatch(1, [Append(StreamName(*stream), version, encoded, mark)]))
    await store.save([SaveCheckpoint(name.replace("_", " "), position) for name, position in checkpoints.items()])


@virtual
async def test_a_client_cannot_take_the_ids_of_a_saga() -> None:
    async with runtime_of(Named) as runtime:
        await open_accounts(runtime, alice=100, mallory=100, bob_closed=0)
        for id in ("Transfer/t-1/debit/0", "Transfer/t-1/debit:undo/0", "Transfer/t-1<4.0", "submit late"):
            await runtime.send(Deposit("mallory", 1), command_id=id)
            for call in (runtime.send, runtime.submit):
                with pytest.raises(InvalidCommand, match="ids that begin with ~"):
                    await call(Deposit("mallory", 1), command_id=f"~{id}")
        await runtime.send(Ask("t-1", "alice", "bob_closed"))
        saga = await saga_in(runtime, Named, "t-1", "undone")
        assert (saga.reason, await balances(runtime, "alice")) == ("account closed", (100,))
        assert not (await runtime.submit(Deposit("bob", 1), command_id="late")).duplicate


@pytest.mark.parametrize("length", [480, 500, 512])
@virtual
async def test_a_saga_with_the_longest_id_runs_and_undoes_its_steps(length: int) -> None:
    id = "ž" * length
    async with runtime_of(Named) as runtime:
        await open_accounts(runtime, alice=100, bob=0, bob_closed=0)
        await runtime.send(Ask(id, "alice", "bob_closed"))
        assert (await saga_in(runtime, Named, id, "undone")).reason == "account closed"
        await runtime.send(Ask("short", "alice", "bob"))
        await saga_in(runtime, Named, "short", "completed")
        assert await balances(runtime, "alice", "bob") == (90, 10)


@virtual
async def test_a_saga_started_by_an_event_of_a_long_stream_has_an_id() -> None:
    async with runtime_of(Transfer) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        await runtime.send(Ask("d" * 512, "alice", "bob"))
        await runtime.send(Ask("d" * 512, "alice", "bob"))
        await asyncio.sleep(60)
        sagas = [saga async for saga in runtime.sagas.list()]
        assert [(len(saga.id), saga.status) for saga in sagas] == [(511, "completed")] * 2
        assert (await runtime.sagas.get(Transfer, sagas[0].id)).status == "completed"


@pytest.mark.parametrize("stands", [False, True])
@virtual
async def test_a_step_issued_before_derived_ids_existed_takes_effect_once(stands: bool) -> None:
    store = PassedThrough()
    async with runtime_of(store=store) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
    await store.open()
    state = as_recorded({"source": "alice", "target": "bob", "amount": 10})
    issued = StepIssued("debit", "debit", False, (issued_command(Withdraw("alice", 10)),))
    failed = [SagaFailed("debit", "no answer")] if stands else []
    await wrote(store, ("Transfer", "t"), 0, "Transfer/t<1.0", SagaStarted("", "flow", state), issued, *failed)
    await wrote(store, ("Account", "alice"), 1, "Transfer/t/debit/0", Withdrawn(10))
    await store.close()
    async with runtime_of(Transfer, store=store, seed=1) as runtime:
        if stands:
            await runtime.sagas.retry(Transfer, "t", reason="look again")
        await saga_in(runtime, Transfer, "t", "completed")
        assert await balances(runtime, "alice", "bob") == (90, 10)


@virtual
async def test_an_event_handled_before_derived_ids_existed_is_not_handled_twice() -> None:
    store = PassedThrough()
    await store.open()
    requested = TransferRequested("alice", "bob", 10)
    await wrote(store, ("Desk", "desk"), 0, "ask", requested, saga_Transfer_begins_after=1)
    state = as_recorded({"source": "alice", "target": "bob", "amount": 10})
    started = SagaStarted("", "flow", state)
    issued = StepIssued("debit", "debit", False, (issued_command(Withdraw("alice", 10)),))
    await wrote(store, ("Transfer", "desk@1"), 0, "Transfer/desk@1<1.0", started, issued)
    await store.close()
    async with runtime_of(Transfer, store=store, seed=1) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        saga = await saga_in(runtime, Transfer, "desk@1", "completed", "undone")
        assert [line.text for line in saga.history if "took" in line.text or "moved" in line.text] == []
        assert runtime.statistics().duplicates == 1
        assert await ask(runtime) == "Desk/desk/2"
        await saga_in(runtime, Transfer, "Desk/desk/2", "completed")


@virtual
async def test_a_command_submitted_before_derived_ids_existed_is_recognized() -> None:
    store = PassedThrough()
    await store.open()
    submitted = CommandSubmitted(issued_command(Deposit("bob", 5)), 0)
    await wrote(store, (SUBMISSION, "late"), 0, "submit late", submitted)
    await store.close()
    async with runtime_of(store=store, seed=1) as runtime:
        await open_accounts(runtime, bob=0)
        assert (await runtime.submit(Deposit("bob", 5), command_id="late")).duplicate
        await asyncio.sleep(10)
        assert (await runtime.get(Account, "bob")).balance == 5


def adder(**options: Any) -> Any:
    @react(on_replay="run", name="tell", retry=Retry(attempts=1), **options)
    async def tell(event: Added, recorded: RecordedEvent[Added], key: IdempotencyKey) -> None:
        if recorded.stream_id != "points":
            await RUNNING[0].send(Add("points"), command_id=key)

    return tell


RUNNING: list[Runtime] = []


@virtual
async def test_the_key_of_a_reaction_is_reserved_and_never_too_long() -> None:
    tell = adder()
    RUNNING[:] = [Runtime([Tally, tell], store="memory://", settings=Settings(drain_s=1))]
    async with RUNNING[0] as runtime:
        await runtime.send(Add("other"), command_id="tell:Tally:t:1:0")
        for id in ("t", "t" * 512):
            await runtime.send(Add(id))
        await asyncio.sleep(5)
        assert (runtime.dead_letters.list(), (await runtime.get(Tally, "points")).total) == ([], 3)


@virtual
async def test_commands_sent_by_a_reaction_before_derived_ids_existed_are_not_sent_twice() -> None:
    store = PassedThrough()
    await store.open()
    await wrote(store, ("Tally", "t"), 0, "add", Added(1), reaction_tell_replays_up_to=1)
    await wrote(store, ("Tally", "points"), 0, "tell:Tally:t:1:0", Added(1))
    await store.close()
    RUNNING[:] = [Runtime([Tally, adder()], store=store, settings=Settings(drain_s=1))]
    async with RUNNING[0] as runtime:
        await asyncio.sleep(5)
        assert (await runtime.get(Tally, "points")).total == 1
        await runtime.send(Add("t"))
        await asyncio.sleep(5)
        assert (await runtime.get(Tally, "points")).total == 2
        (change,) = [change async for change in runtime.history(Tally, "points", after_version=1)]
        assert change.metadata.command_id == "~tell:Tally:t:2:0"
