"""Each reader has its own copy of an event's mutable values: no reader sees another one's changes."""

import asyncio
from typing import Any

import pytest
from support.virtual_time import virtual

from actorium import Aggregate, Command, Event, Projection, Runtime, decide, evolve, on, query, react


class Tag(Command):
    tags: list[str]


class Tagged(Event):
    tags: list[str]


class Item(Aggregate):
    tags: list[str] = []

    @decide
    def tag(self, command: Tag) -> Tagged:
        return Tagged(command.tags)

    @evolve
    def tagged(self, event: Tagged) -> None:
        self.tags = event.tags
        self.tags.append("changed by the state")


class Keeps(Projection):
    """Keeps the list of its event, and goes on with it."""

    seen: list[str] = []

    @on
    def tagged(self, event: Tagged) -> None:
        if self.seen:
            self.seen.extend(event.tags)
        else:
            self.seen = event.tags

    @query
    def all(self) -> list[str]:
        return self.seen


class Counts(Projection):
    count: int = 0

    @on
    def tagged(self, event: Tagged) -> None:
        self.count += len(event.tags)
        event.tags.clear()

    @query
    def total(self) -> int:
        return self.count


@pytest.mark.parametrize("parts", [[Keeps, Counts], [Counts, Keeps]])
@virtual
async def test_no_reader_sees_another_readers_change_to_an_event(parts: list[type[Projection]]) -> None:
    got: list[list[str]] = []

    @react(on_replay="run")
    async def tell(event: Tagged) -> None:
        got.append(list(event.tags))
        event.tags.append("changed by a reaction")

    async with Runtime([Item, *parts, tell], store="memory://") as runtime:
        live = runtime.events()
        acks = await asyncio.gather(*(runtime.send(Tag(f"i{n}", [f"t{n}"])) for n in range(4)))
        last = max(ack.position for ack in acks)
        assert await runtime.query(Counts.total, after=last) == 4
        assert await runtime.query(Keeps.all, after=last) == ["t0", "t1", "t2", "t3"]
        await runtime.processors[tell].checkpoint.reached(last)
        assert sorted(got) == [["t0"], ["t1"], ["t2"], ["t3"]]
        assert [ack.events for ack in acks] == [(Tagged([f"t{n}"]),) for n in range(4)]
        for n in range(4):
            recorded: Any = await anext(live)
            assert recorded.event == Tagged([f"t{n}"])
            recorded.event.tags.append("changed by a subscriber")
        again = runtime.events()
        assert [(await anext(again)).event for _ in range(4)] == [Tagged([f"t{n}"]) for n in range(4)]


@virtual
async def test_a_sender_changes_nothing_through_its_ack() -> None:
    async with Runtime([Item, Counts], store="memory://") as runtime:
        runtime.processors[Counts].pause()
        live = runtime.events()
        ack = await runtime.send(Tag("i", ["t"]))
        ack.events[0].tags.append("changed by the sender")  # type: ignore[attr-defined]
        runtime.processors[Counts].resume()
        assert await runtime.query(Counts.total, after=ack.position) == 1
        assert (await anext(live)).event == Tagged(["t"])


@virtual
async def test_an_immutable_event_is_shared() -> None:
    class Set(Command):
        tags: tuple[str, ...]

    class WasSet(Event):
        tags: tuple[str, ...]

    class Thing(Aggregate):
        @decide
        def set(self, command: Set) -> WasSet:
            return WasSet(command.tags)

        @evolve
        def was_set(self, event: WasSet) -> None: ...

    async with Runtime([Thing], store="memory://") as runtime:
        first, second = runtime.events(), runtime.events()
        ack = await runtime.send(Set("a", ("t",)))
        assert (await anext(first)).event is (await anext(second)).event is ack.events[0]
