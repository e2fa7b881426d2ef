"""`Dispatcher.ask_nowait`: replies of one commit are passed on together, and none is delayed by another."""

import asyncio
from typing import Any

from support.transfers import Account, Deposit, Withdraw, open_accounts, runtime_of
from support.virtual_time import virtual

from actorium import Ack, Command, Rejected, Runtime, Settings
from actorium.runtime.commands.answer_batch import Answer, Take


class Asker:
    """Asks accounts without waiting, and keeps the answers that it was given."""

    def __init__(self, runtime: Runtime) -> None:
        engine = runtime._engine
        assert engine is not None
        self._dispatcher = engine.dispatcher
        self.taken: list[tuple[Any, Any]] = []

    def ask(self, command: Command, about: object, take: Take | None = None) -> Answer | None:
        envelope = self._dispatcher.envelope(command, f"{about}", None, "", "", None, 1.0)
        return self._dispatcher.ask_nowait(envelope, take or self._keep, about)

    def _keep(self, answer: Answer) -> None:
        self.taken.append((answer.about, answer.exception() or answer.result()))


@virtual
async def test_replies_come_with_their_context_and_in_order_for_each_account() -> None:
    async with runtime_of() as runtime:
        await open_accounts(runtime, alice=10)
        asker = Asker(runtime)
        for about, command in (("first", Deposit("alice", 1)), ("second", Withdraw("alice", 100))):
            asker.ask(command, about)
        await asyncio.sleep(1)
        assert [(about, type(outcome)) for about, outcome in asker.taken] == [("first", Ack), ("second", Rejected)]


@virtual
async def test_a_callback_that_raises_delays_no_other_reply() -> None:
    async with runtime_of() as runtime:
        await open_accounts(runtime, alice=10, bob=0)
        asker, said = Asker(runtime), []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context["exception"]))

        def fail(answer: Answer) -> None:
            raise ZeroDivisionError(answer.about)

        asker.ask(Deposit("alice", 1), "first", fail)
        asker.ask(Deposit("bob", 1), "second")
        await asyncio.sleep(1)
        assert [str(error) for error in said] == ["first"]
        assert [about for about, _ in asker.taken] == ["second"]


@virtual
async def test_a_command_cancelled_before_its_decision_is_not_decided_or_reported() -> None:
    async with runtime_of() as runtime:
        await open_accounts(runtime, alice=10)
        asker = Asker(runtime)
        answer = asker.ask(Deposit("alice", 1), "first")
        assert answer is not None
        answer.cancel()
        await asyncio.sleep(1)
        assert asker.taken == []
        assert (await runtime.get(Account, "alice")).balance == 10


@virtual
async def test_nothing_is_delivered_without_room() -> None:
    async with runtime_of(settings=Settings(max_in_flight=2)) as runtime:
        await open_accounts(runtime, alice=10)
        asker = Asker(runtime)
        offered = [asker.ask(Deposit("alice", 1), number) is not None for number in range(3)]
        assert offered == [True, True, False]
        await asyncio.sleep(1)
        assert (await runtime.get(Account, "alice")).balance == 12
