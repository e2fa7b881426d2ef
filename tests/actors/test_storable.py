"""A class that cannot be stored is refused when it is defined, not when its first instance is sent."""

from datetime import datetime
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

import msgspec
import pytest
from support.virtual_time import virtual

from actorium import Aggregate, Command, ConfigurationError, Event, Runtime, decide, evolve

T = TypeVar("T")


class Address:
    """A class that msgspec does not know."""


class Line(msgspec.Struct):
    address: Address


class Moved(Event):
    at: datetime


class Move(Command):
    at: datetime


class Person(Aggregate):
    at: datetime | None = None

    @decide
    def move(self, command: Move) -> Moved:
        return Moved(command.at)

    @evolve
    def moved(self, event: Moved) -> None:
        self.at = event.at


def a_command_with_a_foreign_type() -> None:
    class Strange(Command):
        lines: list[dict[str, Line]]

    class Wrong(Aggregate):
        @decide
        def one(self, command: Strange) -> None: ...


def an_event_with_a_foreign_type() -> None:
    class Strange(Event):
        where: Address | None

    class Wrong(Aggregate):
        @evolve
        def one(self, event: Strange) -> None: ...


def a_generic_event() -> None:
    class Set(Command):
        pass

    class Changed(Event, Generic[T]):
        value: T

    class Wrong(Aggregate):
        @decide
        def one(self, command: Set) -> Changed[int]:
            return Changed(1)


@pytest.mark.parametrize(
    ("define", "message"),
    [
        (
            a_command_with_a_foreign_type,
            r"Strange\.lines\.address has the type Address, which JSON cannot represent: use a msgspec",
        ),
        (an_event_with_a_foreign_type, r"Strange\.where has the type Address, which JSON cannot represent"),
        (
            a_generic_event,
            r"Wrong.one returns Changed\[…\], a generic event: derive a class from it, such as `class Int",
        ),
    ],
)
def test_a_class_that_cannot_be_stored_is_refused_when_it_is_defined(define: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        define()


@virtual
@pytest.mark.parametrize("fold", [0, 1])
async def test_a_time_in_the_ambiguous_hour_is_stored_as_its_instant(fold: int) -> None:
    at = datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=ZoneInfo("Europe/Berlin"))
    async with Runtime([Person], store="memory://") as runtime:
        await runtime.send(Move("ann", at))
        stored = (await runtime.get(Person, "ann")).at
    assert stored is not None
    assert (stored.timestamp(), stored.utcoffset()) == (at.timestamp(), at.utcoffset())
