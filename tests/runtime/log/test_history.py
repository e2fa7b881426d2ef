"""Every change of an aggregate with the state before and after it, and whether a log can be read at all."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.bank import Account, AccountOpened, Deposit, Deposited, OpenAccount, Tally, Withdraw, Withdrawn
from support.stores import append
from support.tables import run_on
from support.virtual_time import virtual

from actorium import Aggregate, Command, ConfigurationError, Event, NotFound, Runtime, Settings, decide, evolve, upcast
from actorium.errors import HydrationFailed, RuntimeClosed, UnknownEventType, UnreadableTypes
from actorium.runtime.log.history import PAGE_EVENTS
from actorium.store.errors import InvalidCommand
from actorium.store.event_store import Append, AppendBatch
from actorium.store.events import EncodedEvent, as_json
from actorium.store.memory import MemoryStore
from actorium.store.names import StreamName
from actorium.store.source import SeededSource
from actorium.types import Change


async def told(runtime: Runtime, id: str = "alice", after_version: int = 0) -> list[Change[Account]]:
    return [change async for change in runtime.history(Account, id, after_version=after_version)]


@virtual
async def test_each_change_says_who_when_and_why_and_what_it_changed() -> None:
    source = SeededSource(time_us=1_700_000_000_000_000)
    async with Runtime([Account], store="memory://", source=source) as runtime:
        await runtime.send(OpenAccount("alice", "Alice"), headers={"who": "clerk"})
        source.time_us += 1_000_000
        await runtime.send(Deposit("alice", 50), command_id="d-1", correlation_id="payday")
        source.time_us += 1_000_000
        await runtime.send(Withdraw("alice", 20), causation_id="d-1")
        opened, deposited, withdrawn = await told(runtime)
    assert [type(change.event) for change in (opened, deposited, withdrawn)] == [AccountOpened, Deposited, Withdrawn]
    assert [(change.version, change.position) for change in (opened, deposited, withdrawn)] == [(1, 1), (2, 2), (3, 3)]
    assert opened.metadata.headers == {"who": "clerk"}
    assert (deposited.metadata.command_id, deposited.metadata.correlation_id) == ("d-1", "payday")
    assert withdrawn.metadata.causation_id == "d-1"
    assert deposited.recorded_at == datetime.fromtimestamp(1_700_000_001, UTC)
    assert (opened.before, opened.after) == (Account("alice"), Account("alice", "Alice", 0))
    assert (deposited.before.balance, deposited.after.balance) == (0, 50)
    assert (withdrawn.before.balance, withdrawn.after.balance) == (50, 30)


@virtual
async def test_a_history_can_begin_after_a_version() -> None:
    async with Runtime([Account], store="memory://") as runtime:
        await runtime.send(OpenAccount("alice"))
        for amount in range(1, 6):
            await runtime.send(Deposit("alice", amount))
        (change,) = await told(runtime, after_version=5)
        assert (change.version, change.before.balance, change.after.balance) == (6, 10, 15)
        assert await told(runtime, after_version=6) == []


@virtual
async def test_a_history_longer_than_a_page_is_complete() -> None:
    class Ticks(Tally):
        stream_type = "Tally"

    store = MemoryStore()
    await store.open()
    one = EncodedEvent("Added", 1, b'{"amount":1}', b"{}")
    count = 2 * PAGE_EVENTS
    await store.append(AppendBatch(0, [Append(StreamName("Tally", "t"), 0, (one,) * count)]))
    await store.close()
    async with Runtime([Ticks], store=store) as runtime:
        totals = [change.after.total async for change in runtime.history(Ticks, "t")]
        assert totals == list(range(1, count + 1))
        assert (await runtime.get(Ticks, "t", at_version=PAGE_EVENTS)).total == PAGE_EVENTS


class Put(Command):
    key: str


class Kept(Event):
    key: str


class Shelf(Aggregate):
    things: dict[str, list[str]] = {}

    @decide
    def put(self, command: Put) -> Kept:
        return Kept(command.key)

    @evolve
    def kept(self, event: Kept) -> None:
        self.things.setdefault(event.key, []).append(event.key)


@virtual
async def test_the_states_of_a_history_are_independent_copies() -> None:
    async with Runtime([Shelf], store="memory://") as runtime:
        for _ in range(3):
            await runtime.send(Put("s", "a"))
        seen: list[tuple[int, int]] = []
        async for change in runtime.history(Shelf, "s"):
            seen.append((len(change.before.things.get("a", [])), len(change.after.things["a"])))
            change.before.things["a"] = change.after.things["a"] = []
        assert seen == [(0, 1), (1, 2), (2, 3)]
        assert (await runtime.get(Shelf, "s")).things == {"a": ["a", "a", "a"]}


@virtual
async def test_an_empty_stream_has_no_history() -> None:
    async with Runtime([Account], store="memory://") as runtime:
        for after_version in (0, 5):
            with pytest.raises(NotFound, match="Account<nobody> has no history: its stream is empty"):
                await told(runtime, "nobody", after_version)


@virtual
async def test_a_history_needs_an_aggregate_of_the_runtime() -> None:
    runtime = Runtime([Account], store="memory://")
    with pytest.raises(RuntimeClosed):
        runtime.history(Account, "alice")
    async with runtime:
        with pytest.raises(ConfigurationError, match="is not an aggregate of this runtime"):
            runtime.history(Tally, "t")
        with pytest.raises(InvalidCommand, match="after_version=-1"):
            await told(runtime, after_version=-1)


# --- records that became several events, or none --------------------------------------------------------------------

Payload = dict[str, Any]


class Noted(Event):
    text: str


class Paid(Event):
    schema_version = 2

    amount: int

    @upcast(1, type="Moved")
    @staticmethod
    def split(payload: Payload) -> list[Payload | Event]:
        parts: list[Payload | Event] = [{"amount": amount} for amount in payload["amounts"]]
        return [*parts, Noted(payload["note"])] if payload.get("note") else parts


class Pay(Command):
    amount: int


class Purse(Aggregate):
    total: int = 0
    notes: list[str] = []

    @decide
    def pay(self, command: Pay) -> Paid:
        return Paid(command.amount)

    @evolve
    def paid(self, event: Paid) -> None:
        self.total += event.amount

    @evolve
    def noted(self, event: Noted) -> None:
        self.notes.append(event.text)


async def purse_of_old() -> MemoryStore:
    """Return a log of four records: old ones that become three events, one and none, and one of the current shape."""
    store = MemoryStore()
    await store.open()
    old = [{"amounts": [1, 2], "note": "x"}, {"amounts": [4]}, {"amounts": []}]
    events = tuple(EncodedEvent("Moved", 1, as_json(payload), b"{}") for payload in old)
    await store.append(AppendBatch(0, [Append(StreamName("Purse", "p"), 0, events)]))
    await append(store, ("Purse", "p"), 3, Paid(8))
    await store.close()
    return store


@virtual
async def test_hydration_history_and_subscriptions_see_the_same_upcast_events() -> None:
    async with Runtime([Purse], store=await purse_of_old()) as runtime:
        state = await runtime.get(Purse, "p")
        changes = [change async for change in runtime.history(Purse, "p")]
        events = runtime.events()
        recorded = [await anext(events) for _ in range(5)]
        ack = await runtime.send(Pay("p", 16))
    assert (state.total, state.notes) == (15, ["x"])
    assert changes[-1].after == state
    assert [(change.version, change.event) for change in changes] == [
        (1, Paid(1)),
        (1, Paid(2)),
        (1, Noted("x")),
        (2, Paid(4)),
        (4, Paid(8)),
    ]
    assert all(later.before == earlier.after for earlier, later in pairwise(changes))
    assert [(one.version, one.part, one.event) for one in recorded] == [
        (1, 0, Paid(1)),
        (1, 1, Paid(2)),
        (1, 2, Noted("x")),
        (2, 0, Paid(4)),
        (4, 0, Paid(8)),
    ]
    assert ack.version == 5


@virtual
async def test_a_subscription_passes_a_record_with_its_last_event() -> None:
    async with Runtime([Purse], store=await purse_of_old()) as runtime:
        events = runtime.events()
        passed = []
        for _ in range(5):
            await anext(events)
            passed.append(events.position)
        assert passed[:3] == [0, 0, 1]
        assert passed[-1] == 4
        again = runtime.events(after=passed[0])
        assert [(await anext(again)).event for _ in range(2)] == [Paid(1), Paid(2)]


@virtual
async def test_only_the_wanted_events_of_a_record_are_delivered() -> None:
    async with Runtime([Purse], store=await purse_of_old()) as runtime:
        events = runtime.events(types=[Noted])
        assert (await anext(events)).event == Noted("x")


@virtual
async def test_a_state_exists_at_a_version_that_became_no_event() -> None:
    async with Runtime([Purse], store=await purse_of_old()) as runtime:
        assert [(await runtime.get(Purse, "p", at_version=version)).total for version in (1, 2, 3, 4)] == [3, 7, 7, 15]


# --- a log that cannot be read --------------------------------------------------------------------------------------


class Forgotten(Event):
    """No aggregate evolves it any more."""


async def log_with_strangers() -> MemoryStore:
    store = MemoryStore()
    await store.open()
    await append(store, ("Tally", "a"), 0, Forgotten(), Forgotten())
    later = EncodedEvent("Added", 7, b'{"amount":1}', b"{}")
    await store.append(AppendBatch(0, [Append(StreamName("Tally", "b"), 0, (later,))]))
    await store.close()
    return store


@virtual
async def test_a_runtime_refuses_a_log_that_it_cannot_read_and_says_what_to_do() -> None:
    store = await log_with_strangers()
    with pytest.raises(UnreadableTypes) as refusal:
        await Runtime([Tally], store=store).start()
    assert [(one.type, one.schema_version, one.events) for one in refusal.value.types] == [
        ("Added", 7, 1),
        ("Forgotten", 1, 2),
    ]
    message = str(refusal.value)
    assert (
        "Added (schema version 7, 1 event, first in a stream of Tally): it has schema version 7, but Added" in message
    )
    assert "Forgotten (schema version 1, 2 events, first in a stream of Tally): no registered class reads" in message
    assert 'Settings(unreadable_types="warn")' in message
    await store.open()  # it was given back
    await store.close()


@virtual
async def test_a_runtime_can_be_told_to_start_anyway() -> None:
    with capture_logs() as logs:
        async with Runtime(
            [Tally], store=await log_with_strangers(), settings=Settings(unreadable_types="warn")
        ) as runtime:
            with pytest.raises(HydrationFailed, match="Forgotten at Tally<a> version 1"):
                await runtime.get(Tally, "a")
            with pytest.raises(UnknownEventType):
                await anext(runtime.events())
            with pytest.raises(HydrationFailed, match="Forgotten at Tally<a> version 1"):
                await anext(aiter(runtime.history(Tally, "a")))
    (warning,) = [entry for entry in logs if entry["event"] == "unreadable_types"]
    assert len(warning["types"]) == 2


def test_the_setting_is_one_of_two_words() -> None:
    with pytest.raises(ConfigurationError, match='"refuse" or "warn"'):
        Settings(unreadable_types="ignore")  # type: ignore[arg-type]


@pytest.mark.about("sqlite", "a server has no shape without the position of its first event")
@pytest.mark.asyncio
async def test_a_shape_without_events_does_not_prevent_the_start(log_url: str) -> None:
    async with Runtime([Tally], store=log_url):
        pass
    await run_on(log_url, "INSERT INTO event_types (name, schema_version) VALUES ('Planned', 1)")
    async with Runtime([Tally], store=log_url):
        pass
