"""Problems of a saga are reported in the log, in its history and in the statistics."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.stores import PassedThrough
from support.transfers import (
    CALM,
    Ask,
    Deposit,
    Deposited,
    Desk,
    Opened,
    Transfer,
    TransferRequested,
    Withdraw,
    Withdrawn,
    ask,
    open_accounts,
    runtime_of,
    saga_in,
)
from support.virtual_time import settled, virtual

from actorium import Aggregate, Command, ConfigurationError, Event, Retry, Runtime, Saga, decide, evolve, starts, step
from actorium.errors import CommandConflict
from actorium.testing import LoopSource

THREE = Retry(attempts=3, backoff_s=1.0, backoff_max_s=1.0)


class Break(Command):
    pass


class Broken(Event):
    pass


class Machine(Aggregate):
    @decide
    def fail(self, command: Break) -> Broken:
        raise ZeroDivisionError("a bug")

    @evolve
    def broken(self, event: Broken) -> None: ...


class Breaks(Saga):
    @starts(correlate=lambda recorded: "b")
    def requested(self, event: TransferRequested) -> None: ...

    @step(retry=THREE)
    def send(self) -> Break:
        return Break("m")


class Calls(Breaks):
    @step(retry=THREE)
    async def send(self) -> None:
        raise ConnectionError("nobody there")


def written(logs: list[Any], event: str) -> list[Any]:
    return [line for line in logs if line["event"] == event]


@pytest.mark.parametrize(("saga", "cause"), [(Breaks, ZeroDivisionError), (Calls, ConnectionError)])
@virtual
async def test_every_failed_attempt_is_logged_with_its_traceback(saga: type[Saga], cause: type[Exception]) -> None:
    with capture_logs() as logs:
        async with runtime_of(Machine, saga) as runtime:
            await runtime.send(Ask("desk", "", ""))
            view = await saga_in(runtime, saga, "b", "undone")
    lines = written(logs, "attempt_failed")
    assert [(line["attempt"], line["retry_after_s"] is None) for line in lines] == [(1, False), (2, False), (3, True)]
    assert {line["intent"] for line in lines} == {f"{saga.__name__}<b> send"}
    assert all(cause.__name__ in line["traceback"] for line in lines)
    (failed,) = [line for line in view.history if "send: failed" in line.text]
    waited_s = sum(line["retry_after_s"] or 0.0 for line in lines)
    assert (failed.attempts, round(failed.took_s, 2)) == (3, round(waited_s, 2))
    assert str(failed).endswith(f"(3 attempts, {failed.took_s:.3g} s)")


@virtual
async def test_a_stuck_saga_is_logged_and_counted_once() -> None:
    store = PassedThrough()

    class Stuck(Saga):
        @starts(correlate=lambda recorded: "s")
        def requested(self, event: TransferRequested) -> None:
            self.fail("told to")

    with capture_logs() as logs:
        async with runtime_of(Stuck, store=store) as runtime:
            await runtime.send(Ask("desk", "", ""))
            await saga_in(runtime, Stuck, "s", "failed")
            assert runtime.statistics().stuck_sagas == 1
        async with runtime_of(Stuck, store=store, seed=1) as runtime:
            assert runtime.statistics().stuck_sagas == 0
    (line,) = written(logs, "saga_failed")
    assert (line["saga"], line["reason"], line["log_level"]) == ("Stuck<s>", "told to", "error")


class Slow(Saga):
    alarm_after_s = 60.0

    @starts(correlate="target")
    def requested(self, event: TransferRequested) -> None: ...

    @step(undo=None)
    async def wait(self) -> None:
        await asyncio.sleep(100.0 if self.id == "slow" else 1.0)


@virtual
async def test_a_saga_that_takes_longer_than_its_alarm_time_is_logged_and_counted_once() -> None:
    store = PassedThrough()
    with capture_logs() as logs:
        async with runtime_of(Slow, store=store) as runtime:
            await runtime.send(Ask("desk", "", "slow"))
            await runtime.send(Ask("desk", "", "quick"))
            await asyncio.sleep(59)
            assert runtime.statistics().late_sagas == 0
            await asyncio.sleep(2)
            assert runtime.statistics().late_sagas == 1
        async with runtime_of(Slow, store=store, seed=1) as runtime:
            await asyncio.sleep(70)
            assert runtime.statistics().late_sagas == 0
    (line,) = written(logs, "saga_late")
    assert (line["saga"], line["running_for_more_than_s"], line["log_level"]) == ("Slow<slow>", 60.0, "error")


@virtual
async def test_an_alarm_goes_off_after_a_restart_too() -> None:
    store = PassedThrough()
    async with runtime_of(Slow, store=store) as runtime:
        await runtime.send(Ask("desk", "", "slow"))
        await saga_in(runtime, Slow, "slow", "running")
    async with runtime_of(Slow, store=store, seed=1) as runtime:
        await asyncio.sleep(61)
        assert runtime.statistics().late_sagas == 1


@pytest.mark.parametrize("after_s", [0, -1.0, float("nan"), float("inf")])
def test_an_invalid_alarm_time_is_refused(after_s: float) -> None:
    with pytest.raises(ConfigurationError, match="alarm_after_s = "):
        type(Saga)("Odd", (Slow,), {"alarm_after_s": after_s})


@virtual
async def test_a_submitted_command_that_is_rejected_is_logged() -> None:
    with capture_logs() as logs:
        async with runtime_of() as runtime:
            await open_accounts(runtime, poor=0)
            await runtime.submit(Withdraw("poor", 1), command_id="w")
            await settled()
            assert (await runtime.submissions.get("w")).status == "failed"
    (line,) = written(logs, "submission_failed")
    assert (line["command_id"], line["error"]) == ("w", "insufficient funds")


class WithdrawSome(Command):
    """What became of `Withdraw`: the same JSON gives another fingerprint."""

    command_type = "Withdraw"

    amount: float


class AccountOfToday(Aggregate):
    stream_type = "Account"

    balance: int = 0

    @decide
    def deposit(self, command: Deposit) -> Deposited:
        return Deposited(command.amount)

    @decide
    def withdraw(self, command: WithdrawSome) -> Withdrawn:
        return Withdrawn(round(command.amount))

    @evolve
    def opened(self, event: Opened | Deposited) -> None:
        self.balance += event.amount

    @evolve
    def withdrawn(self, event: Withdrawn) -> None:
        self.balance -= event.amount


@virtual
async def test_a_saga_whose_command_took_effect_before_its_class_changed_continues() -> None:
    store, lost = PassedThrough(), []

    async def lose_the_answer(context: Any, following: Any) -> Any:
        ack = await following(context)
        if context.command_id.startswith("~Transfer/") and not lost:
            lost.append(context.command_id)
            await asyncio.Event().wait()
        return ack

    async with runtime_of(Transfer, store=store, middleware=[lose_the_answer]) as runtime:
        await open_accounts(runtime, alice=10, bob=0)
        id = await ask(runtime, amount=1)
        await settled()
    with capture_logs() as logs:
        async with Runtime(
            [AccountOfToday, Desk, Transfer], store=store, source=LoopSource(1), settings=CALM
        ) as runtime:
            await saga_in(runtime, Transfer, id, "completed")
            assert (await runtime.get(AccountOfToday, "alice")).balance == 9
    assert [line["command_id"] for line in written(logs, "command_found_changed")] == lost


@virtual
async def test_a_submission_whose_id_belongs_to_another_command_fails() -> None:
    async with runtime_of() as runtime:
        await open_accounts(runtime, bob=0)
        await runtime.submit(Deposit("bob", 1), command_id="x", after_s=60)
        await runtime.send(Deposit("bob", 2), command_id="x")
        await asyncio.sleep(61)
        view = await runtime.submissions.get("x")
        assert (view.status, view.reason.partition(":")[0]) == ("failed", CommandConflict.__name__)
