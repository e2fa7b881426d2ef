"""A world at rest that was tampered with: every change is found, and nothing is found without one."""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from support.transfers import Account, Ask, Deposit, Desk, Open, Tell, Told, Transfer, Withdraw
from support.transfers import Deposited as Put
from support.transfers import Withdrawn as Taken
from support.written import WrittenLog

from actorium import Event, Projection, Reader, RecordedEvent, Runtime, Saga, Transaction, on, query, starts
from actorium.simulation import Faults, World
from actorium.simulation.checks.projections import ReadModels
from actorium.simulation.record.history import Asking, ClientDelivery
from actorium.simulation.record.violation import Violation
from actorium.simulation.world.client import SimulatedRuntime
from actorium.store.event_store import SaveCheckpoint


class Moves(Projection):
    schema = "CREATE TABLE moves (account TEXT PRIMARY KEY, times INTEGER NOT NULL)"

    @on
    def moved(self, event: Put | Taken, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.execute("INSERT INTO moves VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1", recorded.stream_id)

    @query
    async def of(self, db: Reader, id: str) -> int:
        row = await db.fetch_one("SELECT times FROM moves WHERE account = ?", id)
        return row[0] if row else 0


class Sums(Projection):
    put: int = 0
    taken: int = 0

    @on
    def comes(self, event: Put) -> None:
        self.put += event.amount

    @on
    def goes(self, event: Taken) -> None:
        self.taken += event.amount

    @query
    def balance(self) -> int:
        return self.put - self.taken


class Stubborn(Saga):
    """Rejects every event."""

    @starts(correlate="about")
    def told(self, event: Told) -> None:
        self.fail("it was told to")


Tampering = Callable[[Any, Runtime], object]


def run(tamper: Tampering, *more: Callable[[World, SimulatedRuntime], Any]) -> Violation | None:
    """Run a small world without faults, tamper with its state at rest, and return the violation found."""
    world = World(0, Faults.none())

    async def scenario(world: World) -> None:
        client = world.runtime([Account, Desk, Transfer, Stubborn, Moves, Sums])
        await client.send(Open("a", 100))
        await client.send(Open("b", 0))
        await client.send(Ask("desk", "a", "b", 30))
        await client.send(Withdraw("a", 5))
        for one in more:
            await one(world, client)
        await world.rest()
        _ = [one async for one in client.sagas.list()]  # what lags is written

        async def in_node(runtime: Runtime) -> None:
            tamper(runtime.store._log, runtime)  # type: ignore[attr-defined]

        await world.nodes[0].call(in_node)

    world.run(scenario)
    return world.violation


def invariant(violation: Violation | None) -> str:
    return violation.invariant if violation is not None else ""


def nothing(log: Any, runtime: Runtime) -> None:
    """Change nothing."""


def work_of(runtime: Runtime, projection: type[Projection]) -> Any:
    return runtime._reads.processors[projection]._work


def live(runtime: Runtime, id: str) -> Any:
    return next(actor for actor in runtime._engine.live if actor.id == id)


def sql(statement: str) -> Tampering:
    return lambda log, runtime: log._tables.execute(statement)


def in_memory(log: Any, runtime: Runtime) -> None:
    work_of(runtime, Sums).instance.put += 1


def actors_state(log: Any, runtime: Runtime) -> None:
    live(runtime, "a").state.balance += 1


def actors_version(log: Any, runtime: Runtime) -> None:
    live(runtime, "a").version += 1


def test_an_untouched_world_at_rest_passes_every_check() -> None:
    assert run(nothing) is None


@pytest.mark.parametrize(
    ("tamper", "broken"),
    [
        (sql("UPDATE Moves__v1__moves SET times = 7 WHERE account = 'a'"), "a projection is the fold of the log"),
        (sql("DELETE FROM Moves__v1__moves WHERE account = 'b'"), "a projection is the fold of the log"),
        (in_memory, "a projection is the fold of the log"),
        (actors_state, "state in memory equals replayed state"),
        (actors_version, "state in memory equals replayed state"),
        (sql("INSERT INTO agenda VALUES ('Transfer', 'desk@1', 'debit', 'run', 0)"), "the agenda is empty at rest"),
        (sql("UPDATE sagas SET status = 'running'"), "the saga list matches the log"),
        (sql("DELETE FROM sagas"), "the saga list matches the log"),
    ],
)
def test_any_tampering_is_found(tamper: Tampering, broken: str) -> None:
    assert invariant(run(tamper)) == broken


def test_a_stuck_saga_is_found_unless_it_is_allowed() -> None:
    async def tell(world: World, client: SimulatedRuntime) -> None:
        await client.send(Tell("desk", "it"))

    async def excuse(world: World, client: SimulatedRuntime) -> None:
        world.allow_stuck(Stubborn, lambda saga: saga.reason == "it was told to")

    async def excuse_another(world: World, client: SimulatedRuntime) -> None:
        world.allow_stuck(Transfer)

    assert invariant(run(nothing, tell)) == "every saga ends"
    assert invariant(run(nothing, tell, excuse_another)) == "every saga ends"
    assert run(nothing, tell, excuse) is None


# --- projections that were asked, or parked events ------------------------------------------------------------------


class Order(Projection):
    """The account that changed last, which depends on the order between streams."""

    fails_for: ClassVar[str] = ""

    last: str = ""
    moves: int = 0

    @on
    def moved(self, event: Put | Taken, recorded: RecordedEvent[Event]) -> None:
        if recorded.stream_id == self.fails_for:
            raise ValueError("not now")
        self.last = recorded.stream_id
        self.moves += 1


def asked(query: Any, *arguments: object, answer: object, seen: float = 0.0, known: float = 1.0) -> Any:
    """Record an answer that includes the first part of the log and was given when the log ended there."""

    async def ask(world: World, client: SimulatedRuntime) -> None:
        await world.rest()
        node = world.nodes[0]
        end = node.witness.position
        delivery = ClientDelivery(0, round(known * end), answer)
        node.history.askings.append(Asking(query, arguments, round(seen * end), delivery))

    return ask


@pytest.mark.parametrize("answer", [0, 1, 2])
def test_an_answer_that_was_right_during_the_query_passes(answer: int) -> None:
    assert run(nothing, asked(Moves.of, "a", answer=answer)) is None


@pytest.mark.parametrize(
    "never_right",
    [
        asked(Moves.of, "a", answer=3),
        asked(Moves.of, "a", answer=0, seen=1.0),  # it was to hold the moves
        asked(Moves.of, "a", answer=2, known=0.1),  # there were none yet
        asked(Sums.balance, answer=7),
    ],
)
def test_an_answer_that_was_never_right_is_found(never_right: Any) -> None:
    assert invariant(run(nothing, never_right)) == "an answer of a projection was correct at some position"


def parking(tamper: Tampering) -> Violation | None:
    """Run a world in which the first account's events are parked and delivered after those of the second."""
    world = World(0, Faults.none())

    async def scenario(world: World) -> None:
        client = world.runtime([Account, Order, Sums])
        Order.fails_for = "a"
        for name in ("a", "b"):
            await client.send(Open(name, 100))
        await client.send(Withdraw("a", 1))
        await client.send(Deposit("b", 1))
        await asyncio.sleep(60)
        Order.fails_for = ""
        node = world.nodes[0]
        await node.retry_stuck()

        async def in_node(runtime: Runtime) -> None:
            assert work_of(runtime, Order).instance == Order(last="a", moves=2)
            tamper(None, runtime)

        await node.call(in_node)

    world.run(scenario)
    return world.violation


def test_parked_events_may_come_in_another_order_between_streams() -> None:
    assert parking(nothing) is None


def test_a_loss_is_found_in_a_projection_without_parked_events_beside_one_with_them() -> None:
    assert invariant(parking(in_memory)) == "a projection is the fold of the log"


def test_a_loss_after_parking_is_found_if_the_order_does_not_matter() -> None:
    def park(log: Any, runtime: Runtime) -> None:
        checks._models._parked.add("projection Moves version 1")
        log._tables.execute("UPDATE Moves__v1__moves SET times = 7 WHERE account = 'a'")

    async def know(world: World, client: SimulatedRuntime) -> None:
        nonlocal checks
        checks = world.nodes[0].checks

    checks: Any = None
    assert invariant(run(park, know)) == "a projection is the fold of the log"


def test_a_checkpoint_neither_moves_back_nor_runs_ahead() -> None:
    log = WrittenLog()
    log.commit("a", Put(1), Put(1), Put(1), command_id="c")
    name = "projection Moves version 1"
    models = ReadModels([Moves], log.witness, log.view, log.violated)
    models.committed([SaveCheckpoint(name, 2), SaveCheckpoint(name, 3), SaveCheckpoint("projection Moves schema", 99)])
    models.committed([SaveCheckpoint(name, 0), SaveCheckpoint(name, 1)])  # begun anew
    assert log.found == []
    models.committed([SaveCheckpoint(name, 4)])
    assert log.found == ["no checkpoint is ahead of the log"]
    models.committed([SaveCheckpoint(name, 2)])
    assert log.found[1:] == ["a checkpoint does not move back"]


def test_an_unretrieved_error_is_found() -> None:
    async def fail() -> None:
        raise LookupError("nobody sees this")

    def leave_a_task(log: Any, runtime: Runtime) -> None:
        loop = runtime._engine._loop
        loop.create_task(fail())

    def leave_a_callback(log: Any, runtime: Runtime) -> None:
        runtime._engine._loop.call_soon(lambda: [][0])

    for leave, error in ((leave_a_task, "LookupError"), (leave_a_callback, "IndexError")):
        violation = run(leave)
        assert violation is not None
        assert violation.invariant == "no error goes unnoticed"
        assert violation.actual.startswith(error)


def test_a_leftover_task_is_found() -> None:
    def leave(log: Any, runtime: Runtime) -> None:
        runtime._engine._loop.create_task(asyncio.sleep(1_000_000), name="left behind")

    violation = run(leave)
    assert violation is not None
    assert (violation.invariant, violation.actual) == ("a stopped runtime leaves no task", "left behind")
