"""A handler for a base class of events gets every subclass, by one rule everywhere."""

from typing import Any

import pytest
from support.virtual_time import virtual

from actorium import (
    Aggregate,
    Command,
    ConfigurationError,
    Event,
    Outlet,
    Projection,
    Reader,
    RecordedEvent,
    Runtime,
    Saga,
    Transaction,
    decide,
    evolve,
    on,
    query,
    react,
    starts,
    step,
)
from actorium.testing import given_saga


class Move(Command):
    amount: int


class Close(Command):
    pass


class Moved(Event):
    """The base: no aggregate emits it."""

    amount: int


class PaidIn(Moved):
    pass


class PaidOut(Moved):
    pass


class PaidOutAbroad(PaidOut):
    pass


class Closed(Event):
    pass


class Till(Aggregate):
    total: int = 0

    @decide
    def move(self, command: Move) -> PaidIn | PaidOut | PaidOutAbroad:
        if command.amount < -100:
            return PaidOutAbroad(-command.amount)
        return PaidIn(command.amount) if command.amount > 0 else PaidOut(-command.amount)

    @evolve
    def paid_in(self, event: PaidIn) -> None:
        self.total += event.amount

    @evolve
    def paid_out(self, event: PaidOut) -> None:
        self.total -= event.amount

    @evolve
    def paid_out_abroad(self, event: PaidOutAbroad) -> None:
        self.total -= event.amount

    @decide
    def close(self, command: Close) -> Closed:
        return Closed()

    @evolve
    def closed(self, event: Closed) -> None:
        self.total = 0


class Seen(Projection):
    moved: list[str] = []
    out: list[str] = []

    @on
    def any_move(self, event: Moved) -> None:
        self.moved.append(type(event).__name__)

    @on
    def payment(self, event: PaidOut) -> None:
        self.out.append(type(event).__name__)

    @query
    def all(self) -> tuple[list[str], list[str]]:
        return self.moved, self.out


class SeenTable(Projection):
    schema = "CREATE TABLE seen (position INTEGER, kind TEXT, handler TEXT)"

    @on
    def any_move(self, event: Moved, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.execute("INSERT INTO seen VALUES (?, ?, 'any')", recorded.position, type(event).__name__)

    @on
    def payment(self, event: PaidOut, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.execute("INSERT INTO seen VALUES (?, ?, 'out')", recorded.position, type(event).__name__)

    @query
    async def all(self, db: Reader) -> list[tuple[Any, ...]]:
        return await db.fetch_all("SELECT kind, handler FROM seen ORDER BY position")


def by_stream(recorded: RecordedEvent[Event]) -> str:
    return recorded.stream_id


class Watch(Saga):
    amount: int = 0

    @starts(correlate=by_stream)
    def began(self, event: Moved) -> None:
        self.amount = event.amount

    @step(until=Moved, correlate=by_stream)
    def second(self) -> None:
        return None


AMOUNTS = (5, -3, -200)


async def moved(runtime: Runtime) -> int:
    position = 0
    for amount in AMOUNTS:
        position = (await runtime.send(Move("a", amount))).position
    return position


@virtual
async def test_the_handler_of_the_nearest_base_gets_an_event() -> None:
    async with Runtime([Till, Seen, SeenTable], store="memory://") as runtime:
        position = await moved(runtime)
        assert await runtime.query(Seen.all, after=position) == (["PaidIn"], ["PaidOut", "PaidOutAbroad"])
        rows = await runtime.query(SeenTable.all, after=position)
        assert rows == [("PaidIn", "any"), ("PaidOut", "out"), ("PaidOutAbroad", "out")]


@virtual
async def test_a_reaction_to_a_base_class_gets_its_subclasses() -> None:
    told: list[str] = []

    @react(on_replay="run")
    async def tell(event: Moved) -> None:
        told.append(type(event).__name__)

    async with Runtime([Till, tell], store="memory://") as runtime:
        await runtime.processors[tell].checkpoint.reached(await moved(runtime))
        assert told == ["PaidIn", "PaidOut", "PaidOutAbroad"]


@virtual
async def test_an_outlet_for_a_base_class_publishes_its_subclasses() -> None:
    sent: list[str] = []

    async def sink(event: Any) -> None:
        sent.append(event.type)

    outlet = Outlet("moves", types=[Moved], sink=sink, source="/till", start="beginning")
    async with Runtime([Till, outlet], store="memory://") as runtime:
        await runtime.processors[outlet].checkpoint.reached(await moved(runtime))
        assert sent == ["PaidIn", "PaidOut", "PaidOutAbroad"]


@virtual
async def test_a_saga_is_started_and_continued_by_subclasses() -> None:
    async with Runtime([Till, Watch], store="memory://") as runtime:
        await runtime.send(Move("a", 5))
        await runtime.send(Move("a", -3))
        saga = await runtime.sagas.get(Watch, "a", ended_within_s=5.0)
        assert saga.status == "completed"


def test_given_saga_starts_a_saga_with_a_subclass() -> None:
    given_saga(Watch, started_by=PaidIn(5)).then_state(amount=5).when(PaidOutAbroad(3)).then_completed()


@virtual
async def test_reads_of_a_base_class_give_its_subclasses_from_memory_and_from_the_log() -> None:
    async with Runtime([Till], store="memory://") as runtime:
        await runtime.send(Close("a"))
        live = runtime.events(types=[Moved])
        stream = runtime.events(types=[PaidOut], aggregate=Till, id="a")
        await moved(runtime)
        later = runtime.events(types=[Moved])
        for subscription in (live, later):
            assert [type((await anext(subscription)).event) for _ in AMOUNTS] == [PaidIn, PaidOut, PaidOutAbroad]
        assert [type((await anext(stream)).event) for _ in range(2)] == [PaidOut, PaidOutAbroad]
        async with runtime.subscribe("moves", types=[Moved]) as durable:
            assert type((await anext(durable)).event) is PaidIn


class Foreign(Event):
    pass


@virtual
async def test_a_class_whose_events_cannot_occur_is_refused() -> None:
    async with Runtime([Till], store="memory://") as runtime:
        with pytest.raises(ConfigurationError, match=r"Foreign.*no part of this runtime"):
            runtime.events(types=[PaidIn, Foreign])
        with pytest.raises(ConfigurationError, match=r"Foreign.*no part of this runtime"):
            runtime.subscribe("foreign", types=[Foreign])


def test_a_saga_for_a_base_class_whose_subclasses_nobody_emits_is_refused() -> None:
    class Lonely(Saga):
        @starts
        def began(self, event: Foreign) -> None: ...

    with pytest.raises(ConfigurationError, match="follows Foreign, which no aggregate"):
        Runtime([Till, Lonely], store="memory://")


def test_steps_that_wait_for_a_base_and_its_subclass_find_their_saga_in_one_way() -> None:
    with pytest.raises(ConfigurationError, match="correlates differently"):

        class Torn(Saga):
            @starts(correlate=by_stream)
            def began(self, event: Closed) -> None: ...

            @step(until=Moved, correlate=by_stream, undo=None)
            def first(self) -> None:
                return None

            @step(until=PaidIn, correlate="amount")
            def second(self) -> None:
                return None


@virtual
async def test_a_handler_of_a_base_class_gets_no_other_event() -> None:
    async with Runtime([Till, Seen], store="memory://") as runtime:
        ack = await runtime.send(Close("a"))
        assert await runtime.query(Seen.all, after=ack.position) == ([], [])
