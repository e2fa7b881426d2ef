"""Mistakes in an aggregate class are reported when it is defined, with the class, the method and how to fix it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from support.bank import Add, Added, Deposit, Deposited, Tally, Withdrawn

from actorium import Aggregate, Command, ConfigurationError, Event, RecordedEvent, Runtime, create, decide, evolve
from actorium.actors.annotations import HandlerMeta
from actorium.types import Metadata

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForTypeCheckers


def two_handlers_for_a_command() -> None:
    class Wrong(Aggregate):
        @decide
        def one(self, command: Add) -> None: ...

        @create
        def two(self, command: Add) -> None: ...


def no_return_annotation() -> None:
    class Wrong(Aggregate):
        @decide
        def one(self, command: Add):  # type: ignore[no-untyped-def]
            ...


def a_returned_event_that_nothing_evolves() -> None:
    class Wrong(Aggregate):
        @decide
        def one(self, command: Add) -> Added | Withdrawn | None: ...

        @evolve
        def added(self, event: Added) -> None: ...


def an_event_in_a_list_that_nothing_evolves() -> None:
    class Wrong(Aggregate):
        @decide
        def one(self, command: Add) -> Iterable[Added] | tuple[Withdrawn, ...]: ...  # type: ignore[empty-body]

        @evolve
        def added(self, event: Added) -> None: ...


def a_return_annotation_that_is_no_event() -> None:
    class Wrong(Aggregate):
        @decide
        def one(self, command: Add) -> int: ...  # type: ignore[empty-body]


def a_return_annotation_that_says_too_little() -> None:
    class Wrong(Aggregate):
        @decide
        def one(self, command: Add) -> Event: ...  # type: ignore[empty-body]


def no_annotation_of_the_command() -> None:
    class Wrong(Aggregate):
        @decide
        def one(self, command) -> None:  # type: ignore[no-untyped-def]
            ...


def a_handler_of_what_is_no_command() -> None:
    class Wrong(Aggregate):
        @decide
        def one(self, command: Added) -> None: ...


def a_handler_of_every_command() -> None:
    class Wrong(Aggregate):
        @decide
        def one(self, command: Command) -> None: ...


def no_parameter() -> None:
    class Wrong(Aggregate):
        @decide
        def one(self) -> None: ...


def three_parameters() -> None:
    class Wrong(Aggregate):
        @decide
        def one(self, command: Add, metadata: Metadata, more: int) -> None: ...


def a_second_parameter_without_annotation() -> None:
    class Wrong(Aggregate):
        @decide
        def one(self, command: Add, metadata) -> None:  # type: ignore[no-untyped-def]
            ...


def a_second_parameter_of_the_wrong_kind() -> None:
    class Wrong(Aggregate):
        @decide
        def one(self, command: Add, recorded: RecordedEvent[Added]) -> None: ...


def an_async_decide() -> None:
    class Wrong(Aggregate):
        @decide
        async def one(self, command: Add) -> None: ...


def an_async_evolve() -> None:
    class Wrong(Aggregate):
        @evolve
        async def one(self, event: Added) -> None: ...


def a_decorated_thing_that_is_no_method() -> None:
    class Wrong(Aggregate):
        @decide
        @staticmethod
        def one(command: Add) -> None: ...


def two_evolves_for_an_event() -> None:
    class Wrong(Aggregate):
        @evolve
        def one(self, event: Added) -> None: ...

        @evolve
        def two(self, event: Added | Withdrawn) -> None: ...


def an_evolve_of_what_is_no_event() -> None:
    class Wrong(Aggregate):
        @evolve
        def one(self, event: Add) -> None: ...


def an_evolve_of_every_event() -> None:
    class Wrong(Aggregate):
        @evolve
        def one(self, event: Event) -> None: ...


def an_evolve_without_annotation() -> None:
    class Wrong(Aggregate):
        @evolve
        def one(self, event) -> None:  # type: ignore[no-untyped-def]
            ...


def an_evolve_that_wants_the_record() -> None:
    class Wrong(Aggregate):
        @evolve
        def one(self, event: Added, recorded: RecordedEvent) -> None:  # type: ignore[type-arg]
            ...


def a_field_without_default() -> None:
    class Wrong(Aggregate):
        balance: int

    Runtime([Wrong], store="memory://")


def a_default_that_all_would_share() -> None:
    @dataclass
    class Limits:
        daily: int = 0

    class Wrong(Aggregate):
        limits: Limits = Limits()

    Runtime([Wrong], store="memory://")


def a_name_that_is_only_there_for_type_checkers() -> None:
    class Wrong(Aggregate):
        @decide
        def one(self, command: "OnlyForTypeCheckers") -> None: ...


def a_command_that_json_cannot_carry() -> None:
    class Strange(Command):
        many: list[int] | tuple[str, ...]

    class Wrong(Aggregate):
        @decide
        def one(self, command: Strange) -> None: ...


def an_overriding_method_that_says_less() -> None:
    class Right(Aggregate):
        @decide
        def one(self, command: Add) -> None: ...

    class Wrong(Right):
        @decide
        def one(self, command) -> None:  # type: ignore[no-untyped-def]
            ...


MISTAKES: list[tuple[Callable[[], None], str, str]] = [
    (two_handlers_for_a_command, "Wrong.two and Wrong.one both handle Add", "a command has one handler"),
    (no_return_annotation, "Wrong.one has no return annotation", "declare the events that it returns"),
    (a_returned_event_that_nothing_evolves, "Wrong.one returns Withdrawn, which has no @evolve method", "add one"),
    (an_event_in_a_list_that_nothing_evolves, "Wrong.one returns Withdrawn", "add one to Wrong"),
    (a_return_annotation_that_is_no_event, "Wrong.one is annotated to return int", "several Events, or None"),
    (a_return_annotation_that_says_too_little, "Wrong.one is annotated to return Event", "several Events, or None"),
    (no_annotation_of_the_command, "Wrong.one: the parameter 'command' has no annotation", "write the type of the"),
    (a_handler_of_what_is_no_command, "Wrong.one handles Added", "which is not a Command"),
    (a_handler_of_every_command, "Wrong.one handles Command", "which is not a Command"),
    (no_parameter, "Wrong.one takes 0 parameters after self", "@decide must take the command"),
    (three_parameters, "Wrong.one takes 3 parameters after self", "may take Metadata after it"),
    (a_second_parameter_without_annotation, "Wrong.one: the second parameter has no annotation", "must be Metadata"),
    (a_second_parameter_of_the_wrong_kind, "Wrong.one: the second parameter is annotated", "it must be Metadata"),
    (an_async_decide, "Wrong.one is async: @decide is pure", "move the awaiting to the caller"),
    (an_async_evolve, "Wrong.one is async: @evolve is pure", "move the awaiting to the caller"),
    (a_decorated_thing_that_is_no_method, "@decide goes on a method", "not on"),
    (two_evolves_for_an_event, "Wrong.two and Wrong.one both evolve Added", "keep one"),
    (an_evolve_of_what_is_no_event, "Wrong.one evolves Add", "which is not an Event"),
    (an_evolve_of_every_event, "Wrong.one evolves Event", "which is not an Event"),
    (an_evolve_without_annotation, "Wrong.one: the parameter 'event' has no annotation", "write the type"),
    (an_evolve_that_wants_the_record, "Wrong.one: @evolve must depend on the event alone", "into the event"),
    (a_field_without_default, "Wrong.balance has no default", "give the field a default"),
    (
        a_default_that_all_would_share,
        "Wrong.limits has a mutable default that all instances would share",
        "default_factory=Limits",
    ),
    (a_name_that_is_only_there_for_type_checkers, "Wrong.one: its annotations cannot be read", "outside"),
    (a_command_that_json_cannot_carry, "Strange cannot be stored as JSON", ""),
    (an_overriding_method_that_says_less, "Wrong.one: the parameter 'command' has no annotation", ""),
]


@pytest.mark.parametrize(("mistake", "what", "fix"), MISTAKES, ids=lambda it: getattr(it, "__name__", ""))
def test_a_mistake_is_named_with_its_class_its_method_and_the_fix(
    mistake: Callable[[], None], what: str, fix: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        mistake()
    assert what in str(error.value)
    assert fix in str(error.value)


LOCAL = """
from __future__ import annotations
from actorium import Aggregate, Command, Event, decide, evolve

def define():
    class Ring(Command):
        times: int = 1
    class Rung(Event):
        times: int
    class Bell(Aggregate):
        rings: int = 0
        @decide
        def ring(self, command: Ring) -> list[Rung] | None:
            return [Rung(command.times)]
        @evolve
        def rung(self, event: Rung) -> None:
            self.rings += event.times
    return Bell, Ring, Rung
"""


def test_classes_inside_a_function_may_postpone_their_annotations() -> None:
    names: dict[str, Any] = {"__name__": "local"}
    exec(compile(LOCAL, "local", "exec"), names)
    bell, ring, rung = names["define"]()
    assert set(bell.__definition__.handlers) == {ring}
    assert set(bell.__definition__.evolvers) == {rung}


def test_an_aggregate_inherits_behaviour_and_may_replace_it() -> None:
    class Careful(Tally):
        warnings: int = 0

        @decide
        def add(self, command: Add) -> list[Added]:
            return []

    definition = Careful.__definition__
    assert definition.handlers[Add].method is Careful.add
    assert definition.handlers.keys() == Tally.__definition__.handlers.keys()
    assert definition.stream_type == "Careful"


def test_an_evolve_method_handles_every_type_in_its_union() -> None:
    class Book(Aggregate):
        lines: int = 0

        @decide
        def deposit(self, command: Deposit) -> tuple[Deposited, Withdrawn]:
            return Deposited(1), Withdrawn(1)

        @evolve
        def line(self, event: Deposited | Withdrawn) -> None:
            self.lines += 1

    assert set(Book.__definition__.evolvers) == {Deposited, Withdrawn}


def test_other_defaults_are_accepted() -> None:
    class Frozen(msgspec.Struct, frozen=True):
        daily: int = 0

    class Right(Aggregate):
        text: str = ""
        names: list[str] = []
        counts: dict[str, int] = msgspec.field(default_factory=dict)
        frozen: Frozen = Frozen()
        maybe: int | None = None

    class Child(Right):
        more: int = 0

    Runtime([Right, Child], store="memory://")


def test_the_stored_name_of_a_stream_is_the_class_name_unless_the_class_says_otherwise() -> None:
    class Plain(Aggregate):
        pass

    class Named(Aggregate):
        stream_type = "bank.named"

    class Child(Named):
        pass

    names = [aggregate.__definition__.stream_type for aggregate in (Plain, Named, Child)]
    assert names == ["Plain", "bank.named", "Child"]


class Paid(Event):
    pass


class Pay(Command):
    pass


def test_two_handlers_with_the_same_name_are_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"Account\.on is both a method \(line \d+\) and a method \(line \d+\)"
    ):

        class Account(Aggregate):
            @evolve
            def on(self, event: Paid) -> None: ...

            @decide
            def on(self, command: Pay) -> Paid:  # type: ignore[no-redef]  # noqa: F811
                return Paid()


def fill(body: Any, members: list[tuple[str, Any]]) -> None:
    for name, value in members:
        body[name] = value


@pytest.mark.parametrize("first", ["field", "annotation", "handler"])
def test_a_field_and_a_handler_with_the_same_name_are_refused(first: str) -> None:
    def handler(self: Any, command: Pay) -> None: ...

    body = HandlerMeta.__prepare__("Account", (Aggregate,))
    members: list[tuple[str, Any]] = [("pay", 0), ("pay", decide(handler))]
    if first == "annotation":
        body["__annotations__"] = {"pay": int}
        members = members[1:]
    elif first == "handler":
        members.reverse()
    with pytest.raises(ConfigurationError, match=r"Account\.pay is both a .* and a .*; rename one"):
        fill(body, members)


@pytest.mark.parametrize("name", ["id", "stream_type"])
def test_a_field_with_a_reserved_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"Odd\.{name} cannot be declared as a field"):
        type(Aggregate)("Odd", (Aggregate,), {"__annotations__": {name: "int"}, name: 0})
