"""Sagas without steps: handlers return commands; `correlate=`, several starts, complete, fail, on_rejected."""

import asyncio

import pytest
from support.transfers import (
    Ask,
    Deposit,
    Open,
    Tell,
    Told,
    TransferRequested,
    Unlock,
    Withdraw,
    balances,
    open_accounts,
    runtime_of,
    saga_in,
)
from support.virtual_time import virtual

from actorium import NotFound, RecordedEvent, Rejected, Saga, on, on_rejected, starts


class Deal(Saga):
    """Begins with a word or a request, whichever comes first; both pay; the word "done" ends it."""

    words: list[str] = []
    requests: int = 0
    refused: str = ""

    @starts(correlate="about")
    def told(self, event: Told) -> list[Deposit] | None:
        self.words.append(event.word)
        if event.word == "done":
            self.complete()
            return [Deposit("end", 1)]
        if event.word == "bad":
            self.fail("somebody said so")
            return None
        return [Deposit("word", 1)]

    @starts(correlate="target")
    def requested(self, event: TransferRequested, recorded: RecordedEvent[TransferRequested]) -> list[Withdraw]:
        self.requests += 1
        return [Withdraw(event.source, event.amount), Withdraw("fees", recorded.version)]

    @on_rejected
    def too_poor(self, command: Withdraw, rejected: Rejected) -> Deposit:
        self.refused = f"{command.to}: {rejected.reason} ({rejected.details['balance']})"
        return Deposit("refused", command.amount)


@virtual
async def test_either_event_starts_it_and_the_other_finds_it() -> None:
    async with runtime_of(Deal) as runtime:
        await open_accounts(runtime, word=0, end=0, refused=0, alice=100, fees=100)
        await runtime.send(Tell("news", "d1", "hello"))
        await runtime.send(Ask("desk", "alice", "d1", 5))
        await runtime.send(Ask("desk", "alice", "d2", 5))
        await runtime.send(Tell("news", "d2", "hello"))
        await asyncio.sleep(5)
        for id in ("d1", "d2"):
            saga = await saga_in(runtime, Deal, id, "running")
            assert saga.state == {"words": ["hello"], "requests": 1, "refused": ""}
        assert await balances(runtime, "word", "alice", "fees") == (2, 90, 97)
        assert [(one.id, one.status) async for one in runtime.sagas.list(Deal)] == [
            ("d1", "running"),
            ("d2", "running"),
        ]


@virtual
async def test_it_ends_itself_and_ignores_later_events() -> None:
    async with runtime_of(Deal) as runtime:
        await open_accounts(runtime, word=0, end=0)
        for word in ("hello", "done", "done", "hello"):
            await runtime.send(Tell("news", "d1", word))
        await asyncio.sleep(5)
        saga = await saga_in(runtime, Deal, "d1", "completed")
        assert saga.state["words"] == ["hello", "done"]
        assert await balances(runtime, "word", "end") == (1, 1)
        said = [line.text for line in saga.history]
        assert "on:2: done" in said
        assert sum(text.startswith("ignored start event Told") for text in said) == 2


@virtual
async def test_it_fails_itself_with_its_reason_and_can_only_be_completed_by_hand() -> None:
    async with runtime_of(Deal) as runtime:
        await open_accounts(runtime, word=0, end=0)
        for word in ("hello", "bad", "hello"):
            await runtime.send(Tell("news", "d1", word))
        await asyncio.sleep(5)
        saga = await saga_in(runtime, Deal, "d1", "failed")
        assert saga.reason == "somebody said so"
        with pytest.raises(Rejected, match="only be completed"):
            await runtime.sagas.retry(Deal, "d1", reason="try")
        with pytest.raises(Rejected, match="only be completed"):
            await runtime.sagas.skip(Deal, "d1", reason="try")
        await runtime.sagas.complete(Deal, "d1", reason="settled by telephone")
        assert (await saga_in(runtime, Deal, "d1", "completed")).state["words"] == ["hello", "bad"]


@virtual
async def test_a_rejection_reaches_its_handler_with_the_reason() -> None:
    async with runtime_of(Deal) as runtime:
        await open_accounts(runtime, refused=0, alice=3, fees=100)
        await runtime.send(Ask("desk", "alice", "d1", 5))
        await asyncio.sleep(5)
        saga = await saga_in(runtime, Deal, "d1", "running")
        assert saga.state["refused"] == "alice: insufficient funds (3)"
        assert await balances(runtime, "alice", "fees", "refused") == (3, 99, 5)


class Strict(Saga):
    """Has no handler for a refusal."""

    count: int = 0

    @starts(correlate="about")
    def told(self, event: Told) -> Withdraw:
        return Withdraw(event.word, 1)

    @on(correlate="target")
    def requested(self, event: TransferRequested) -> Deposit:
        self.count += 1
        return Deposit(event.source, 1)


@virtual
async def test_a_rejection_without_a_handler_leaves_the_saga_stuck_and_later_events_waiting() -> None:
    async with runtime_of(Strict) as runtime:
        await open_accounts(runtime, poor=0, other=0)
        await runtime.send(Tell("news", "s1", "poor"))
        await asyncio.sleep(5)
        assert (await saga_in(runtime, Strict, "s1", "failed")).reason == "insufficient funds"
        await runtime.send(Ask("desk", "other", "s1"))
        await runtime.send(Ask("desk", "other", "s1"))
        await asyncio.sleep(5)
        assert await balances(runtime, "other") == (0,)
        await runtime.send(Deposit("poor", 1))
        await runtime.sagas.retry(Strict, "s1", reason="there is money now")
        await asyncio.sleep(5)
        saga = await saga_in(runtime, Strict, "s1", "running")
        assert saga.state["count"] == 2
        assert await balances(runtime, "poor", "other") == (0, 2)
        assert runtime.processors[Strict].dead_letters() == []


@virtual
async def test_several_stuck_commands_are_all_retried() -> None:
    async with runtime_of(Strict) as runtime:
        await open_accounts(runtime, poor=0, poorer=0)
        for name in ("poor", "poorer"):
            await runtime.send(Tell("news", "s1", name))
        await asyncio.sleep(5)
        saga = await saga_in(runtime, Strict, "s1", "failed")
        for name in ("poor", "poorer"):
            await runtime.send(Deposit(name, 1))
        await runtime.sagas.retry(Strict, "s1", reason="there is money now")
        await asyncio.sleep(5)
        saga = await saga_in(runtime, Strict, "s1", "running")
        assert saga.step == ""
        assert await balances(runtime, "poor", "poorer") == (0, 0)


@virtual
async def test_an_event_that_starts_nothing_and_finds_no_saga_is_ignored() -> None:
    async with runtime_of(Strict) as runtime:
        await open_accounts(runtime, other=0)
        await runtime.send(Ask("desk", "other", "unknown"))
        await asyncio.sleep(5)
        with pytest.raises(NotFound):
            await runtime.sagas.get(Strict, "unknown")
        assert await balances(runtime, "other") == (0,)


@virtual
async def test_a_saga_that_ended_before_its_last_command_failed_is_completed_by_the_retry() -> None:
    async with runtime_of(Deal) as runtime:
        await open_accounts(runtime, word=0)
        await runtime.send(Open("end", 0, False))
        await runtime.send(Tell("news", "d1", "done"))
        await saga_in(runtime, Deal, "d1", "failed")
        await runtime.send(Unlock("end"))
        await runtime.sagas.retry(Deal, "d1", reason="it takes deposits now")
        await saga_in(runtime, Deal, "d1", "completed")
        await runtime.send(Tell("news", "d1", "hello"))
        await asyncio.sleep(5)
        assert (await runtime.sagas.get(Deal, "d1")).status == "completed"
        assert await balances(runtime, "end", "word") == (1, 0)


@virtual
async def test_a_saga_that_failed_itself_before_its_command_failed_stays_failed_after_the_retry() -> None:
    async with runtime_of(Deal) as runtime:
        await runtime.send(Open("word", 0, False))
        hello, bad = Tell("news", "d1", "hello"), Tell("news", "d1", "bad")
        await asyncio.gather(runtime.send(hello, command_id="1"), runtime.send(bad, command_id="2"))
        await saga_in(runtime, Deal, "d1", reached="stuck at on:1")
        await saga_in(runtime, Deal, "d1", reached="stuck: somebody said so")
        await runtime.send(Unlock("word"))
        await runtime.sagas.retry(Deal, "d1", reason="it takes deposits now")
        await asyncio.sleep(5)
        view = await runtime.sagas.get(Deal, "d1")
        assert (view.status, view.reason, view.step) == ("failed", "somebody said so", "")
        assert await balances(runtime, "word") == (1,)
