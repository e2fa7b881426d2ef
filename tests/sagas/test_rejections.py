"""What a rejection says is recorded with the saga, whatever text that is."""

import os

from support.transfers import TransferRequested, ask, runtime_of, saga_in
from support.virtual_time import virtual

from actorium import Aggregate, Command, Event, Rejected, Saga, decide, evolve, starts, step


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
async def test_a_rejection_with_bytes_that_are_no_text_turns_the_saga_round_like_any_other() -> None:
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
