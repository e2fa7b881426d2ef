"""Mistakes in a saga class are reported when it is defined, with the class, the method and the fix."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from support.transfers import Account, Ask, Deposit, Deposited, Desk, Told, Transfer, TransferRequested, Withdraw

from actorium import (
    ConfigurationError,
    IdempotencyKey,
    Rejected,
    Runtime,
    Saga,
    on,
    on_rejected,
    starts,
    step,
)


class Base(Saga):
    source: str = ""

    @starts
    def requested(self, event: TransferRequested) -> None: ...


def no_start() -> None:
    class Broken(Saga):
        @step
        def pay(self) -> Deposit:
            return Deposit("a", 1)


def no_undo() -> None:
    class Broken(Base):
        @step
        def pay(self) -> Deposit:
            return Deposit("a", 1)

        @step
        def book(self) -> Deposit:
            return Deposit("b", 1)


def step_that_returns_an_event() -> None:
    class Broken(Base):
        @step
        def pay(self) -> Deposited | None: ...


def undo_that_returns_a_number() -> None:
    class Broken(Base):
        @step
        def pay(self) -> list[Deposit]: ...

        @pay.undo
        def unpay(self) -> int: ...


def two_pivots() -> None:
    class Broken(Base):
        @step(pivot=True)
        def pay(self) -> Deposit:
            return Deposit("a", 1)

        @step(pivot=True)
        def book(self) -> Deposit:
            return Deposit("b", 1)


def undo_after_the_pivot() -> None:
    class Broken(Base):
        @step(pivot=True)
        def pay(self) -> Deposit:
            return Deposit("a", 1)

        @step
        def book(self) -> Deposit:
            return Deposit("b", 1)

        @book.undo
        def unbook(self) -> Withdraw:
            return Withdraw("b", 1)


def two_undos() -> None:
    class Broken(Base):
        @step
        def pay(self) -> Deposit:
            return Deposit("a", 1)

        @pay.undo
        def back(self) -> Withdraw:
            return Withdraw("a", 1)

        @pay.undo
        def back_again(self) -> Withdraw:
            return Withdraw("a", 1)


def unknown_field() -> None:
    class Broken(Base):
        @on(correlate="nobody")
        def told(self, event: Told) -> None: ...


def unknown_field_of_until() -> None:
    class Broken(Base):
        @step(until=Told, correlate="nobody")
        def pay(self) -> Deposit:
            return Deposit("a", 1)


def no_correlation() -> None:
    class Broken(Base):
        @on
        def told(self, event: Told) -> None: ...


def correlation_of_nothing() -> None:
    class Broken(Base):
        @step(correlate="about")
        def pay(self) -> Deposit:
            return Deposit("a", 1)


def two_ways_to_find() -> None:
    class Broken(Base):
        @on(correlate="about")
        def told(self, event: Told) -> None: ...

        @step(until=Told, correlate="word")
        def pay(self) -> Deposit:
            return Deposit("a", 1)


def async_handler() -> None:
    class Broken(Base):
        @on(correlate="about")
        async def told(self, event: Told) -> None: ...


def async_undo() -> None:
    class Broken(Base):
        @step
        def pay(self) -> Deposit:
            return Deposit("a", 1)

        @pay.undo
        async def back(self) -> Withdraw:
            return Withdraw("a", 1)


def step_with_parameters() -> None:
    class Broken(Base):
        @step
        def pay(self, amount: int) -> Deposit:
            return Deposit("a", amount)


def effect_with_parameters() -> None:
    class Broken(Base):
        @step
        async def pay(self, key: IdempotencyKey, amount: int) -> None: ...


def effect_with_until() -> None:
    class Broken(Base):
        @step(until=Told)
        async def pay(self) -> None: ...


def no_default() -> None:
    class Broken(Base):
        amount: int

        @step
        def pay(self) -> Deposit:
            return Deposit("a", self.amount)


def handled_twice() -> None:
    class Broken(Base):
        @on(correlate="about")
        def told(self, event: Told) -> None: ...

        @on(correlate="about")
        def told_again(self, event: Told) -> None: ...


def rejection_that_never_comes() -> None:
    class Broken(Base):
        @step
        def pay(self) -> Deposit:
            return Deposit("a", 1)

        @on_rejected
        def refused(self, command: Deposit, rejected: Rejected) -> None: ...


def rejection_of_no_command() -> None:
    class Broken(Base):
        @on_rejected
        def refused(self, command: Told) -> None: ...


def no_time() -> None:
    class Broken(Base):
        @step(timeout_s=0)
        def pay(self) -> Deposit:
            return Deposit("a", 1)


def name_with_a_slash() -> None:
    class Broken(Base):
        saga_type = "bank/transfer"


def renamed_to_nothing() -> None:
    class Broken(Base):
        renamed_steps = {"old": "new"}


def renamed_what_is_there() -> None:
    class Broken(Base):
        renamed_steps = {"pay": "pay"}

        @step
        def pay(self) -> Deposit:
            return Deposit("a", 1)


@pytest.mark.parametrize(
    ("define", "method", "mend"),
    [
        (no_start, "Broken", "mark the handler of its first event with @starts"),
        (no_undo, "Broken.pay", "add `@pay.undo`, or write @step(undo=None)"),
        (two_pivots, "Broken", "at most one"),
        (undo_after_the_pivot, "Broken.book", "remove its undo"),
        (two_undos, "Broken.pay", "keep one"),
        (unknown_field, "Broken.told", "Told has no such field"),
        (unknown_field_of_until, "Broken.pay", "Told has no such field"),
        (no_correlation, "Broken.told", 'write @on(correlate="field")'),
        (correlation_of_nothing, "Broken.pay", "add until="),
        (two_ways_to_find, "Broken.pay", "give all of them the same correlate="),
        (async_handler, "Broken.told", "only a @step may be async"),
        (async_undo, "Broken.pay", "return the command that undoes"),
        (step_with_parameters, "Broken.pay", "reads only the saga's fields"),
        (effect_with_parameters, "Broken.pay", "one annotated IdempotencyKey"),
        (effect_with_until, "Broken.pay", "remove until="),
        (no_default, "Broken.amount", "give the field a default"),
        (step_that_returns_an_event, "Broken.pay", "to return Deposited: return a Command, several Commands, or None"),
        (undo_that_returns_a_number, "Broken.pay's undo", "to return int: return a Command, several Commands, or None"),
        (handled_twice, "Broken.told", "both handle Told: keep one"),
        (rejection_that_never_comes, "Broken.refused", "read self.reason in an undo method"),
        (rejection_of_no_command, "Broken.refused", "is not a Command"),
        (no_time, "Broken.pay", "must be above 0"),
        (name_with_a_slash, "Broken", "must not contain"),
        (renamed_to_nothing, "Broken.renamed_steps", "to an existing step"),
        (renamed_what_is_there, "Broken.renamed_steps", "map a name that no longer exists"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_fix(define: Callable[[], Any], method: str, mend: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        define()
    assert method in str(refused.value)
    assert mend in str(refused.value)


def test_an_event_that_nothing_emits_is_refused_by_the_runtime() -> None:
    with pytest.raises(ConfigurationError, match=r"Transfer\.requested follows TransferRequested, which no aggregate"):
        Runtime([Account, Transfer], store="memory://")


def test_an_overriding_step_keeps_its_place() -> None:
    class Other(Transfer):
        @step(undo=None)
        def debit(self) -> Withdraw:
            return Withdraw(self.source, 2 * self.amount)

        @step(until=Deposited)
        def third(self) -> None: ...

        @Transfer.credit.undo
        def unused(self) -> None: ...

    assert list(Other.__definition__.steps) == ["debit", "credit", "third"]


def test_a_saga_class_is_freed_with_the_runtime_that_ran_it() -> None:
    def made_for_one_runtime() -> weakref.ref[type[Saga]]:
        class Passing(Transfer):
            saga_type = "passing"

        Runtime([Account, Desk, Passing], store="memory://")
        return weakref.ref(Passing)

    passing = made_for_one_runtime()
    gc.collect()
    assert passing() is None


@pytest.mark.asyncio
async def test_a_missing_saga_is_named(log_url: str) -> None:
    async with Runtime([Account, Desk, Transfer], store=log_url) as runtime:
        await runtime.send(Ask("desk", "alice", "bob"))
        await runtime.sagas.get(Transfer, "Desk/desk/1", ended_within_s=10)
    with pytest.raises(
        ConfigurationError, match=r"Transfer \(none is live\) is not a saga of this runtime: add its class"
    ):
        await Runtime([Account, Desk], store=log_url).start()


@pytest.mark.parametrize("name", ["id", "reason", "ended", "saga_type", "begins_at"])
def test_a_field_with_a_reserved_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"Odd\.{name} cannot be declared as a field"):
        type(Saga)("Odd", (Saga,), {"__annotations__": {name: "str"}, name: ""})


def test_a_step_and_its_undo_with_the_same_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"Odd\.pay is both a method \(line \d+\) and a method \(line \d+\)"):

        class Odd(Base):
            @step
            def pay(self) -> Deposit:
                return Deposit("a", 1)

            @pay.undo
            def pay(self) -> Withdraw:  # type: ignore[no-redef]
                return Withdraw("a", 1)
