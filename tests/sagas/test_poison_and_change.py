"""A saga whose code raises stops only itself, and code changes that affect live sagas are checked at the start."""

import asyncio

import msgspec
import pytest
from structlog.testing import capture_logs
from support.stores import PassedThrough
from support.transfers import (
    CALM,
    Deposit,
    Tell,
    Told,
    TransferRequested,
    Withdraw,
    ask,
    balances,
    open_accounts,
    runtime_of,
    saga_in,
)
from support.virtual_time import virtual

from actorium import ConfigurationError, NotFound, Retry, Saga, Settings, on, starts, step

is_mended = False


class Touchy(Saga):
    heard: list[str] = []

    @starts(correlate="about")
    def told(self, event: Told) -> Deposit | None:
        if event.word == "poison" and not is_mended:
            raise ZeroDivisionError("a bug")
        self.heard.append(event.word)
        return Deposit("bob", 1)


calls: list[str] = []


class Failing(Saga):
    @starts(correlate="about")
    def told(self, event: Told) -> None:
        calls.append(event.about)
        raise ZeroDivisionError("a bug")


@virtual
async def test_an_event_is_tried_as_often_as_the_settings_say_before_it_is_parked() -> None:
    calls.clear()
    settings = Settings(handler_retry=Retry(attempts=4, backoff_s=1.0), poll_s=1.0)
    async with runtime_of(Failing, settings=settings) as runtime:
        await asyncio.gather(*(runtime.send(Tell("news", f"s{n}", "hello")) for n in range(3)))
        await asyncio.sleep(30)
        assert sorted(calls) == [f"s{n}" for n in range(3) for _ in range(4)]
        assert [letter.attempts for letter in runtime.processors[Failing].dead_letters()] == [4, 4, 4]


@virtual
async def test_a_poisoned_saga_is_parked_alone_with_its_events_behind_it() -> None:
    global is_mended
    is_mended = False
    store = PassedThrough()
    async with runtime_of(Touchy, store=store) as runtime:
        await open_accounts(runtime, bob=0)
        for about, word in (("s1", "hello"), ("s1", "poison"), ("s2", "hello"), ("s1", "after"), ("s3", "poison")):
            await runtime.send(Tell("news", about, word))
        await asyncio.sleep(10)
        assert (await saga_in(runtime, Touchy, "s1", "running")).state["heard"] == ["hello"]
        assert (await saga_in(runtime, Touchy, "s2", "running")).state["heard"] == ["hello"]
        with pytest.raises(NotFound):
            await runtime.sagas.get(Touchy, "s3")
        letters = runtime.processors[Touchy].dead_letters()
        assert [letter.stream.id for letter in letters] == ["s1", "s3"]
        assert "ZeroDivisionError: a bug" in letters[0].error
    async with runtime_of(Touchy, store=store, seed=1) as runtime:
        await runtime.send(Tell("news", "s1", "later"))
        await runtime.send(Tell("news", "s2", "later"))
        await asyncio.sleep(10)
        assert (await runtime.sagas.get(Touchy, "s1")).state["heard"] == ["hello"]
        assert (await runtime.sagas.get(Touchy, "s2")).state["heard"] == ["hello", "later"]
        is_mended = True
        await runtime.processors[Touchy].retry()
        await asyncio.sleep(10)
        assert (await runtime.sagas.get(Touchy, "s1")).state["heard"] == ["hello", "poison", "after", "later"]
        assert (await runtime.sagas.get(Touchy, "s3")).state["heard"] == ["poison"]
        assert await balances(runtime, "bob") == (7,)
        await runtime.processors[Touchy].reset()  # goes through the log again: nothing is taken twice
        await asyncio.sleep(10)
        assert await balances(runtime, "bob") == (7,)


class Old(Saga):
    """The code of yesterday."""

    saga_type = "Move"
    source: str = ""
    target: str = ""

    @starts
    def requested(self, event: TransferRequested) -> None:
        self.source, self.target = event.source, event.target

    @step
    def debit(self) -> Withdraw:
        return Withdraw(self.source, 1)

    @debit.undo
    def refund(self) -> Deposit:
        return Deposit(self.source, 1)

    @step(until=Told, correlate="about", timeout_s=3_600)
    def confirm(self) -> None: ...

    @confirm.undo
    def forget(self) -> None: ...

    @step
    def credit(self) -> Deposit:
        return Deposit(self.target, 1)


class New(Saga):
    """The code of today: two steps have other names, one is new."""

    saga_type = "Move"
    renamed_steps = {"debit": "take", "confirm": "wait"}
    source: str = ""
    target: str = ""

    @starts
    def requested(self, event: TransferRequested) -> None:
        self.source, self.target = event.source, event.target

    @step
    def take(self) -> Withdraw:
        return Withdraw(self.source, 1)

    @take.undo
    def give(self) -> Deposit:
        return Deposit(self.source, 1)

    @step(until=Told, correlate="about", timeout_s=3_600, undo=None)
    def wait(self) -> None: ...

    @step(undo=None)
    def note(self) -> Deposit:
        return Deposit("notes", 1)

    @step
    def credit(self) -> Deposit:
        return Deposit(self.target, 1)


class Shorter(Saga):
    """The code of somebody who forgot that sagas live long."""

    saga_type = "Move"
    source: str = ""
    target: str = ""

    @starts
    def requested(self, event: TransferRequested) -> None: ...

    @on(correlate="about")
    def told(self, event: Told) -> None: ...

    @step
    def credit(self) -> Deposit:
        return Deposit(self.target, 1)


async def begin_with_old(store: PassedThrough) -> tuple[str, str, str]:
    """Let three sagas wait at the step `confirm`; the last one's target takes no deposits."""
    async with runtime_of(Old, store=store) as runtime:
        await open_accounts(runtime, alice=10, bob=0, bob_closed=0, notes=0)
        first, second = await ask(runtime), await ask(runtime)
        third = await ask(runtime, target="bob_closed")
        for id in (first, second, third):
            await saga_in(runtime, Old, id, reached="confirm: waits")
    return first, second, third


@virtual
async def test_a_start_without_a_step_of_live_sagas_is_refused_with_their_list() -> None:
    store = PassedThrough()
    await begin_with_old(store)
    with pytest.raises(ConfigurationError) as refused:
        await runtime_of(Shorter, store=store, seed=1).start()
    assert "Move.confirm (live: Desk/desk/1, Desk/desk/2, Desk/desk/3)" in str(refused.value)
    assert "renamed_steps" in str(refused.value)
    async with runtime_of(Old, store=store, seed=3) as runtime:
        assert [one.step async for one in runtime.sagas.list(status="running")] == ["confirm"] * 3


WARNING = msgspec.structs.replace(CALM, unreadable_types="warn")


class Apart(Saga):
    """Another one, so that the runtime has sagas."""

    @starts
    def requested(self, event: TransferRequested) -> None: ...

    @step(undo=None)
    def note(self) -> Deposit:
        return Deposit("notes", 1)


@pytest.mark.parametrize("others", [[], [Apart]], ids=["no other", "another"])
@virtual
async def test_a_start_without_the_class_of_live_sagas_is_refused_with_their_list(others: list[type[Saga]]) -> None:
    store = PassedThrough()
    await begin_with_old(store)
    with pytest.raises(
        ConfigurationError, match=r"Move \(live: (Desk/desk/\d(, )?){3}\) is not a saga of this runtime"
    ):
        await runtime_of(*others, store=store, seed=2, settings=WARNING).start()


@virtual
async def test_a_live_saga_between_steps_is_listed_too() -> None:
    store = PassedThrough()
    async with runtime_of(Touchy, store=store) as runtime:
        await open_accounts(runtime, bob=0, notes=0)
        await runtime.send(Tell("news", "s1", "hello"))
        await saga_in(runtime, Touchy, "s1", "running")
    with pytest.raises(ConfigurationError, match=r"Touchy \(live: s1\) is not a saga of this runtime"):
        await runtime_of(Apart, store=store, seed=1).start()


@virtual
async def test_a_class_whose_sagas_have_all_ended_may_be_removed_with_a_setting() -> None:
    store = PassedThrough()
    async with runtime_of(Apart, store=store) as runtime:
        await open_accounts(runtime, notes=0)
        await saga_in(runtime, Apart, await ask(runtime), "completed")
    with pytest.raises(ConfigurationError, match=r"Apart \(none is live\) is not a saga of this runtime"):
        await runtime_of(Touchy, store=store, seed=1).start()
    with capture_logs() as lines:
        async with runtime_of(Touchy, store=store, seed=2, settings=WARNING):
            pass
    (said,) = [line["types"] for line in lines if line["event"] == "unregistered_sagas"]
    assert said[0].startswith("Apart (none is live)")


@virtual
async def test_renamed_steps_continue_under_their_new_names() -> None:
    store = PassedThrough()
    first, second, third = await begin_with_old(store)
    async with runtime_of(New, store=store, seed=1) as runtime:
        await runtime.send(Tell("news", first))
        await runtime.send(Tell("news", third))
        await saga_in(runtime, New, first, "completed")
        # What was done under the old name is undone under the new one.
        saga = await saga_in(runtime, New, third, "undone")
        assert "take:undo: done" in [line.text for line in saga.history]
        # The deadline that was set under the old name still counts.
        saga = await saga_in(runtime, New, second, "undone", within_s=5_000)
        assert saga.reason == "wait did not finish within 3600 s"
        assert await balances(runtime, "alice", "bob", "notes") == (9, 1, 2)


@virtual
async def test_a_step_to_undo_that_is_missing_in_the_code_makes_the_saga_fail() -> None:
    class Poorer(Saga):
        saga_type = "Move"

        @starts
        def requested(self, event: TransferRequested) -> None: ...

        @step(until=Told, correlate="about", timeout_s=3_600)
        def confirm(self) -> None: ...

    store = PassedThrough()
    first, *_ = await begin_with_old(store)
    async with runtime_of(Poorer, store=store, seed=1) as runtime:
        saga = await saga_in(runtime, Poorer, first, "failed", within_s=5_000)
        assert saga.step == "debit:undo"
        assert saga.reason == "debit is done, but the code has no such step to undo"
        await runtime.sagas.skip(Poorer, first, reason="paid back by hand")
        assert (await saga_in(runtime, Poorer, first, "undone")).reason == "confirm did not finish within 3600 s"
