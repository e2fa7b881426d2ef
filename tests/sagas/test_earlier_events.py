"""Sagas in logs of earlier versions, where the success of a step was an event of its own, go on and are shown."""

from typing import Any

import msgspec
import pytest
from support.stores import PassedThrough
from support.transfers import Transfer, ask, balances, open_accounts, runtime_of, saga_in, texts
from support.virtual_time import virtual

from actorium.store.event_store import Append, AppendBatch, CommandMark
from actorium.store.events import EncodedEvent
from actorium.store.names import StreamName

STATE = {"source": "alice", "target": "bob", "amount": 10}


def issued(step: str, command: str, to: str) -> tuple[str, dict[str, Any]]:
    fields = {"to": to, "amount": 10}
    more = {"undo": False, "commands": [{"type": command, "fields": fields}], "id_form": 1}
    return "saga.step_issued", {"key": step, "step": step, **more}


def succeeded(step: str) -> tuple[str, dict[str, Any]]:
    return "saga.step_succeeded", {"key": step, "step": step, "undo": False}


STARTED = ("saga.started", {"because_of": "an event", "correlation_id": "flow", "state": STATE})
DEBIT, CREDIT = issued("debit", "Withdraw", "alice"), issued("credit", "Deposit", "bob")
COMPLETED: tuple[str, dict[str, Any]] = ("saga.completed", {})

HISTORY = [
    "started because of an event",
    "debit: sends Withdraw to 'alice'",
    "debit: done",
    "credit: sends Deposit to 'bob'",
    "credit: done",
    "completed",
]


async def wrote(store: PassedThrough, *events: tuple[str, dict[str, Any]]) -> None:
    """Write the stream of a saga as an earlier version did."""
    encoded = tuple(
        EncodedEvent(type, 1, msgspec.json.encode(fields), b'{"command_id":"c","correlation_id":"flow"}')
        for type, fields in events
    )
    mark = CommandMark("c", 1, False)
    await store.open()
    await store.append(AppendBatch(1_700_000_000_000_000, [Append(StreamName("Transfer", "t"), 0, encoded, mark)]))
    await store.close()


@pytest.mark.parametrize("done", [1, 2])
@virtual
async def test_a_saga_that_an_earlier_version_began_goes_on(done: int) -> None:
    store = PassedThrough()
    async with runtime_of(store=store) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
    written = (STARTED, DEBIT, succeeded("debit"), CREDIT)
    await wrote(store, *written[: 2 * done])
    async with runtime_of(Transfer, store=store, seed=1) as runtime:
        await saga_in(runtime, Transfer, "t", "completed")
        assert await texts(runtime, Transfer, "t") == HISTORY
        # In the second case the log only says that the debit was done.
        assert await balances(runtime, "alice", "bob") == ((90, 10) if done == 1 else (100, 10))


@virtual
async def test_a_saga_that_an_earlier_version_completed_is_shown_and_listed() -> None:
    store = PassedThrough()
    await wrote(store, STARTED, DEBIT, succeeded("debit"), CREDIT, succeeded("credit"), COMPLETED)
    async with runtime_of(Transfer, store=store) as runtime:
        assert (await runtime.sagas.get(Transfer, "t")).status == "completed"
        assert await texts(runtime, Transfer, "t") == HISTORY
        assert [saga.status async for saga in runtime.sagas.list(status="completed")] == ["completed"]


@virtual
async def test_the_success_of_a_step_is_part_of_the_event_that_follows_from_it() -> None:
    async with runtime_of(Transfer) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        saga = await saga_in(runtime, Transfer, await ask(runtime), "completed")
        assert [line.text for line in saga.history][1:] == HISTORY[1:]
        assert [line.version for line in saga.history] == [1, 2, 3, 3, 4, 4]
