"""A command handler only reads the state: a change is refused, and the state is restored."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from support.virtual_time import virtual

from actorium import Aggregate, Command, CommandFailed, Event, Rejected, Runtime, Settings, decide, evolve
from actorium.actors.handlers.purity import FIRST_DECISIONS


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


class Alter(Command):
    how: str


class Nested(msgspec.Struct):
    items: list[int] = []


class Shelf(Aggregate):
    count: int = 1
    flags: list[Any] = msgspec.field(default_factory=lambda: [1, 2])
    tags: set[str] = msgspec.field(default_factory=lambda: {"a"})
    prices: dict[str, int] = msgspec.field(default_factory=lambda: {"a": 1})
    rows: dict[str, list[int]] = msgspec.field(default_factory=lambda: {"a": [1]})
    pair: tuple[int, list[int]] = msgspec.field(default_factory=lambda: (1, [1]))
    nested: Nested = msgspec.field(default_factory=Nested)

    @decide
    def alter(self, command: Alter) -> Taken:
        CHANGES[command.how](self)
        return Taken(1)

    @evolve
    def taken(self, event: Taken) -> None: ...


CHANGES: dict[str, Callable[[Shelf], Any]] = {
    "count": lambda shelf: setattr(shelf, "count", True),
    "flags": lambda shelf: shelf.flags.__setitem__(0, True),
    "tags": lambda shelf: shelf.tags.add("b"),
    "prices": lambda shelf: shelf.prices.update(a=2),
    "rows": lambda shelf: shelf.rows["a"].append(2),
    "pair": lambda shelf: shelf.pair[1].clear(),
    "nested": lambda shelf: shelf.nested.items.append(1),
}
HARMLESS: dict[str, Callable[[Shelf], Any]] = {
    "an equal list": lambda shelf: setattr(shelf, "flags", [1, 2]),
    "there and back": lambda shelf: (shelf.rows["a"].append(2), shelf.rows["a"].pop()),
}
CHANGES |= HARMLESS


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
async def test_a_changed_field_fails_the_command_and_is_restored() -> None:
    async with Runtime([Stock], store="memory://") as runtime:
        await runtime.send(Take("s", 1))
        with pytest.raises(
            CommandFailed, match=r"Stock\.take changed left from 9 to 5: a command handler may only read"
        ):
            await runtime.send(Take("s", 4))
        assert (await runtime.get(Stock, "s")).left == 9


@virtual
@pytest.mark.parametrize("field", [name for name in CHANGES if name not in HARMLESS])
async def test_a_change_at_any_depth_is_found_and_restored(field: str) -> None:
    async with Runtime([Shelf], store="memory://") as runtime:
        await runtime.send(Alter("s", "an equal list"))
        with pytest.raises(CommandFailed, match=rf"Shelf\.alter changed {field} from"):
            await runtime.send(Alter("s", field))
        assert msgspec.json.encode(await runtime.get(Shelf, "s")) == msgspec.json.encode(Shelf("s"))


@virtual
@pytest.mark.parametrize("change", HARMLESS)
async def test_a_state_that_is_the_same_afterwards_is_unchanged(change: str) -> None:
    async with Runtime([Shelf], store="memory://") as runtime:
        assert (await runtime.send(Alter("s", change))).version == 1


@virtual
async def test_a_change_before_a_rejection_is_found_too() -> None:
    async with Runtime([Stock], store="memory://") as runtime:
        await runtime.send(Take("s", 1))
        with pytest.raises(CommandFailed, match=r"Stock.take changed notes from \[\] to \['three'\]"):
            await runtime.send(Take("s", 3))
        assert (await runtime.get(Stock, "s")).notes == []


@virtual
@pytest.mark.parametrize("development", [False, True])
async def test_production_checks_the_first_decisions_and_development_checks_all(development: bool) -> None:
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
async def test_several_events_and_a_state_that_cannot_be_copied_work_as_usual() -> None:
    async with Runtime([Steps], store="memory://") as runtime:
        assert (await runtime.send(Take("s", 3))).version == 3
    async with Runtime([Uncopied], store="memory://") as runtime:
        assert (await runtime.send(Take("s", 3))).version == 1
