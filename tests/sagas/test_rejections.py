"""A saga records the content of a rejection, whatever text it is."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from support.transfers import TransferRequested, ask, runtime_of, saga_in
from support.virtual_time import settled, until, virtual

from actorium import Aggregate, Command, Event, Rejected, Retry, Saga, decide, evolve, starts, step


class Print(Command):
    path: str


class Printed(Event):
    pass


class Printer(Aggregate):
    @decide
    def print(self, command: Print) -> Printed:
        raise Rejected(os.fsdecode(b"no file \xff"), path=os.fsdecode(b"\xff"), pages=3)

    @evolve
    def printed(self, event: Printed) -> None: ...


@virtual
async def test_a_rejection_with_invalid_text_makes_the_saga_compensate_like_any_other() -> None:
    class Receipt(Saga):
        @starts
        def asked(self, event: TransferRequested) -> None: ...

        @step(undo=None)
        def paper(self) -> Print:
            return Print("printer", "a")

    async with runtime_of(Receipt, Printer) as runtime:
        saga = await saga_in(runtime, Receipt, await ask(runtime), "undone")
        assert saga.reason == "no file \\udcff"
        (failed,) = [line.event for line in saga.history if "failed" in line.text]
        assert getattr(failed, "details") == {"path": "'\\udcff'", "pages": 3}  # noqa: B009


class OwnRefusal(Rejected):
    """An application's class that leaves out what `Rejected` is made of, and cannot be printed."""

    def __init__(self) -> None:
        pass

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


def _in_itself() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


REFUSALS: dict[str, Callable[[], Rejected]] = {
    "object": lambda: Rejected("no", why=object()),
    "not a number": lambda: Rejected("no", why=float("nan")),
    "keys": lambda: Rejected("no", why={(1, 2): b"\xff"}),
    "loop": lambda: Rejected("no", why=_in_itself()),
    "large": lambda: Rejected("x" * 3_000_000, why=["y" * 3_000_000]),
    "no text": lambda: Rejected(None),  # type: ignore[arg-type]
    "own": OwnRefusal,
}


def _with_details(details: Any) -> Rejected:
    refusal = Rejected("no")
    refusal.details = details
    return refusal


REFUSALS["no details"] = lambda: _with_details(None)
REFUSALS["unprintable"] = lambda: _with_details({"why": Unprintable()})


class Refuse(Command):
    how: str


class Refuser(Aggregate):
    @decide
    def refuse(self, command: Refuse) -> Printed:
        raise REFUSALS[command.how]()

    @evolve
    def printed(self, event: Printed) -> None: ...


@pytest.mark.parametrize("how", REFUSALS)
@virtual
async def test_a_saga_compensates_whatever_a_rejection_contains(how: str) -> None:
    class Receipt(Saga):
        @starts
        def asked(self, event: TransferRequested) -> None: ...

        @step(undo=None)
        def refused(self) -> Refuse:
            return Refuse("x", how)

    async with runtime_of(Receipt, Refuser) as runtime:
        saga = await saga_in(runtime, Receipt, await ask(runtime), "undone")
        assert 0 < len(saga.reason) <= 1_000
        (failed,) = [line.event for line in saga.history if "failed" in line.text]
        assert len(repr(getattr(failed, "details"))) < 5_000  # noqa: B009


@pytest.mark.parametrize("how", REFUSALS)
@virtual
async def test_a_submission_is_concluded_whatever_a_rejection_contains(how: str) -> None:
    async with runtime_of(Refuser) as runtime:
        await runtime.submit(Refuse("x", how), command_id="a")
        await until(lambda: runtime.statistics().rejected == 1)
        await settled()
        view = await runtime.submissions.get("a")
        assert (view.status, 0 < len(view.reason) <= 1_000) == ("failed", True)


VALUES: dict[str, Any] = {
    "nan": float("nan"),
    "object": object(),
    "surrogate": "\ud800",
    "of another type": "text",
    "too large": "x" * 2_000_000,
}


@pytest.mark.parametrize("what", VALUES)
@virtual
async def test_an_effect_that_sets_an_unrecordable_field_fails(what: str) -> None:
    class Payment(Saga):
        got: Any = None
        count: int = 0

        @starts
        def asked(self, event: TransferRequested) -> None: ...

        @step(undo=None, retry=Retry(attempts=2))
        async def call(self) -> None:
            setattr(self, "count" if what == "of another type" else "got", VALUES[what])

        @step
        def never(self) -> Print:
            raise AssertionError

    async with runtime_of(Payment, Printer) as runtime:
        saga = await saga_in(runtime, Payment, await ask(runtime), "undone")
        assert "Error" in saga.reason or "the limit max_payload_bytes is 1048576" in saga.reason
