"""`Post`: answers of one commit are handed over together, and none of them is held up by another."""

import asyncio
from typing import Any

from support.transfers import Account, Deposit, Withdraw, open_accounts, runtime_of
from support.virtual_time import virtual

from actorium import Ack, Command, Rejected, Runtime, Settings
from actorium.actors.commands import Envelope
from actorium.sagas.execution.post import Answer, Post, Take


class Poster:
    """Posts commands to accounts, and keeps the answers that it was given."""

    def __init__(self, runtime: Runtime) -> None:
        engine = runtime._engine
        assert engine is not None
        self._kind = engine.kinds[Account]
        self._post = Post(engine.admission)
        self.taken: list[tuple[Any, Any]] = []

    def offer(self, command: Command, about: object, take: Take | None = None) -> Answer | None:
        handler = self._kind.definition.handlers[type(command)]
        envelope = Envelope(command.to, command, handler, command_id=f"{about}")
        return self._post.offer(self._kind, envelope, take or self._keep, about)

    def _keep(self, answer: Answer) -> None:
        self.taken.append((answer.about, answer.exception() or answer.result()))


@virtual
async def test_answers_are_taken_with_what_they_are_about_those_of_an_account_in_their_order() -> None:
    async with runtime_of() as runtime:
        await open_accounts(runtime, alice=10)
        poster = Poster(runtime)
        for about, command in (("first", Deposit("alice", 1)), ("second", Withdraw("alice", 100))):
            poster.offer(command, about)
        await asyncio.sleep(1)
        assert [(about, type(outcome)) for about, outcome in poster.taken] == [("first", Ack), ("second", Rejected)]


@virtual
async def test_one_that_cannot_be_taken_holds_up_no_other() -> None:
    async with runtime_of() as runtime:
        await open_accounts(runtime, alice=10, bob=0)
        poster, said = Poster(runtime), []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context["exception"]))

        def fail(answer: Answer) -> None:
            raise ZeroDivisionError(answer.about)

        poster.offer(Deposit("alice", 1), "first", fail)
        poster.offer(Deposit("bob", 1), "second")
        await asyncio.sleep(1)
        assert [str(error) for error in said] == ["first"]
        assert [about for about, _ in poster.taken] == ["second"]


@virtual
async def test_one_that_is_cancelled_before_it_is_decided_is_neither_decided_nor_taken() -> None:
    async with runtime_of() as runtime:
        await open_accounts(runtime, alice=10)
        poster = Poster(runtime)
        answer = poster.offer(Deposit("alice", 1), "first")
        assert answer is not None
        answer.cancel()
        await asyncio.sleep(1)
        assert poster.taken == []
        assert (await runtime.get(Account, "alice")).balance == 10


@virtual
async def test_nothing_is_posted_where_there_is_no_room() -> None:
    async with runtime_of(settings=Settings(max_in_flight=2)) as runtime:
        await open_accounts(runtime, alice=10)
        poster = Poster(runtime)
        offered = [poster.offer(Deposit("alice", 1), number) is not None for number in range(3)]
        assert offered == [True, True, False]
        await asyncio.sleep(1)
        assert (await runtime.get(Account, "alice")).balance == 12
