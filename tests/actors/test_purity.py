"""A command handler only reads the state: what it changes is refused, and the state is as it was."""

from typing import Any

import msgspec
import pytest
from support.virtual_time import virtual

from actorium import Aggregate, Command, CommandFailed, Event, Rejected, Runtime, Settings, decide, evolve
from actorium.actors.purity import FIRST_DECISIONS


class Take(Command):
    n: int


class Taken(Event):
    n: int


class Unlocked:
    """Cannot be copied."""

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("no copies")


class Stock(Aggregate):
    left: int = 10
    notes: list[str] = []

    @decide
    def take(self, command: Take) -> Taken:
        if command.n == 3:
            self.notes.append("three")
            raise Rejected("three is unlucky")
        if command.n == 4:
            self.left -= 4
        return Taken(command.n)

    @evolve
    def taken(self, event: Taken) -> None:
        self.left -= event.n


class Steps(Aggregate):
    @decide
    def take(self, command: Take) -> list[Taken]:
        return [Taken(1) for _ in range(command.n)]

    @evolve
    def taken(self, event: Taken) -> None: ...


class Uncopied(Aggregate):
    tool: Any = msgspec.field(default_factory=Unlocked)
    left: int = 10

    @decide
    def take(self, command: Take) -> Taken:
        return Taken(command.n)

    @evolve
    def taken(self, event: Taken) -> None:
        self.left -= event.n


@virtual
async def test_a_changed_field_fails_the_command_and_is_put_back() -> None:
    async with Runtime([Stock], store="memory://") as runtime:
        await runtime.send(Take("s", 1))
        with pytest.raises(CommandFailed, match=r"Stock\.take changed left from 9 to 5: a command handler only reads"):
            await runtime.send(Take("s", 4))
        assert (await runtime.get(Stock, "s")).left == 9


@virtual
async def test_a_change_beside_a_rejection_is_found_too() -> None:
    async with Runtime([Stock], store="memory://") as runtime:
        await runtime.send(Take("s", 1))
        with pytest.raises(CommandFailed, match=r"Stock.take changed notes from \[\] to \['three'\]"):
            await runtime.send(Take("s", 3))
        assert (await runtime.get(Stock, "s")).notes == []


@virtual
@pytest.mark.parametrize("development", [False, True])
async def test_production_checks_the_first_decisions_and_development_all(development: bool) -> None:
    async with Runtime([Stock], store="memory://", settings=Settings(development=development)) as runtime:
        for n in range(FIRST_DECISIONS):
            await runtime.send(Take(f"s{n}", 1))
        if development:
            with pytest.raises(CommandFailed, match="changed left"):
                await runtime.send(Take("late", 4))
        else:
            await runtime.send(Take("late", 4))


@virtual
async def test_each_runtime_checks_for_itself() -> None:
    for _ in range(2):
        async with Runtime([Stock], store="memory://") as runtime:
            with pytest.raises(CommandFailed, match="changed left"):
                await runtime.send(Take("s", 4))


@virtual
async def test_several_events_and_a_state_that_cannot_be_copied_are_decided_as_ever() -> None:
    async with Runtime([Steps], store="memory://") as runtime:
        assert (await runtime.send(Take("s", 3))).version == 3
    async with Runtime([Uncopied], store="memory://") as runtime:
        assert (await runtime.send(Take("s", 3))).version == 1
