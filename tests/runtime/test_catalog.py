"""Conflicts between the classes of a runtime are reported when it is created."""

from typing import Any

import pytest
from support.bank import Account, Add, Added, Tally

from actorium import (
    Aggregate,
    Command,
    ConfigurationError,
    Event,
    Projection,
    Runtime,
    Saga,
    decide,
    evolve,
    on,
    react,
    starts,
)


def test_two_aggregates_for_one_command_are_refused() -> None:
    class Rival(Aggregate):
        @decide
        def add(self, command: Add) -> None: ...

    with pytest.raises(ConfigurationError, match=r"Tally and .*Rival both handle Add: a command has one handler"):
        Runtime([Tally, Rival], store="memory://")


def test_two_aggregates_with_one_stream_type_are_refused() -> None:
    class Rival(Aggregate):
        stream_type = "Tally"

    with pytest.raises(ConfigurationError, match=r"Tally and .*Rival both keep streams .*'Tally'.*stream_type = "):
        Runtime([Tally, Rival], store="memory://")


def test_two_events_with_the_same_stored_name_are_refused() -> None:
    class AddedToo(Event):
        event_type = "Added"

    class Rival(Aggregate):
        @evolve
        def added(self, event: AddedToo) -> None: ...

    with pytest.raises(ConfigurationError, match=r"AddedToo and .*Added are both stored as 'Added'.*event_type = "):
        Runtime([Tally, Rival], store="memory://")


def test_two_commands_with_the_same_stored_name_are_refused() -> None:
    class AddToo(Command):
        command_type = "Add"

    class Rival(Aggregate):
        @decide
        def add(self, command: AddToo) -> None: ...

    with pytest.raises(ConfigurationError, match=r"Add and .*AddToo are both stored as 'Add'.*command_type = "):
        Runtime([Tally, Rival], store="memory://")


def test_an_event_that_json_cannot_carry_is_refused() -> None:
    class Odd(Event):
        many: list[int] | tuple[str, ...]

    with pytest.raises(ConfigurationError, match="Odd cannot be stored as JSON"):

        class Holder(Aggregate):
            @evolve
            def odd(self, event: Odd) -> None: ...


def test_an_instance_is_refused_as_a_part() -> None:
    with pytest.raises(ConfigurationError, match=r"is not an Aggregate.*classes, not instances"):
        Runtime([Tally("t")], store="memory://")  # type: ignore[list-item]


def test_a_runtime_without_aggregates_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"at least one aggregate class: Runtime\(\[Account\]"):
        Runtime([], store="memory://")


class Gone(Saga):
    @starts
    def added(self, event: Added) -> None: ...


@react(on_replay="skip")
async def tell(event: Added) -> None: ...


@pytest.mark.parametrize("part", [Tally, Gone, tell])
def test_a_part_that_is_passed_twice_is_refused(part: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{part.__name__} is passed twice: pass each part to a runtime once"):
        Runtime([Tally, Account, part, part], store="memory://")


def test_two_aggregates_may_share_an_event() -> None:
    class Count(Command):
        pass

    class Mirror(Aggregate):
        @decide
        def count(self, command: Count) -> Added:
            return Added(1)

        @evolve
        def added(self, event: Added) -> None: ...

    Runtime([Tally, Mirror], store="memory://")


@pytest.mark.parametrize("url", ["", "bank.db", "oracle://x", "sqlite://", "sqlite:///"])
def test_a_store_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="store"):
        Runtime([Tally], store=url)


def long_parts(name: str) -> list[Any]:
    """One part of each kind that is stored under a name of its own."""

    class NamedStream(Aggregate):
        stream_type = name

    class NamedCommand(Command):
        command_type = name

    class NamedEvent(Event):
        event_type = name

    class Receiver(Aggregate):
        @decide
        def take(self, command: NamedCommand) -> None: ...

    class Emitter(Aggregate):
        @evolve
        def happened(self, event: NamedEvent) -> None: ...

    class NamedProjection(Projection):
        projection_name = name

        @on
        def added(self, event: Added) -> None: ...

    @react(on_replay="run", name=name)
    async def named_reaction(event: Added) -> None: ...

    return [NamedStream, Receiver, Emitter, NamedProjection, named_reaction]


def test_a_name_that_is_too_long_for_the_log_is_refused() -> None:
    for part in long_parts("ž" * 100):
        Runtime([Tally, part], store="memory://")

    class WithNul(Aggregate):
        stream_type = "a\0b"

    for part in [*long_parts("ž" * 101), WithNul]:
        with pytest.raises(ConfigurationError, match=r"is stored under the name .* at most 200 bytes and no NUL"):
            Runtime([Tally, part], store="memory://")


@pytest.mark.anyio
async def test_a_runtime_takes_the_catalog_of_another() -> None:
    other = Runtime([Tally], store="memory://")
    async with Runtime(other.catalog, store="memory://") as runtime:
        assert runtime.catalog is other.catalog
        assert (await runtime.send(Add("a", 1))).version == 1
