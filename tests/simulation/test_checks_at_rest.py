"""A world at rest that somebody tampered with: whatever was changed is found; untouched, nothing is."""

from collections.abc import Callable
from typing import Any

import pytest
from support.transfers import Account, Ask, Desk, Open, Tell, Told, Transfer, Withdraw
from support.transfers import Deposited as Put
from support.transfers import Withdrawn as Taken

from actorium import Event, Projection, Reader, RecordedEvent, Runtime, Saga, Transaction, on, query, starts
from actorium.simulation import Faults, World
from actorium.simulation.client import SimulatedRuntime
from actorium.simulation.world import Violation


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
    """Fails as soon as it is told anything."""

    @starts(correlate="about")
    def told(self, event: Told) -> None:
        self.fail("it was told to")


Tampering = Callable[[Any, Runtime], object]


def run(tamper: Tampering, *more: Callable[[World, SimulatedRuntime], Any]) -> Violation | None:
    """Run a small world without faults, tamper with what it holds at rest, and return the violation that was found."""
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
        await client.sagas()  # what lags is written
        node = world.nodes[0]
        assert node.runtime is not None
        tamper(node.runtime.store._log, node.runtime)  # type: ignore[attr-defined]

    world.run(scenario)
    return world.violation


def invariant(violation: Violation | None) -> str:
    return violation.invariant if violation is not None else ""


def nothing(log: Any, runtime: Runtime) -> None:
    """Leave it as it is."""


def work_of(runtime: Runtime, projection: type[Projection]) -> Any:
    return runtime.processor(projection)._work


def live(runtime: Runtime, id: str) -> Any:
    return next(actor for actor in runtime._running().live if actor.id == id)


def sql(statement: str) -> Tampering:
    return lambda log, runtime: log._tables.execute(statement)


def in_memory(log: Any, runtime: Runtime) -> None:
    work_of(runtime, Sums).instance.put += 1


def actors_state(log: Any, runtime: Runtime) -> None:
    live(runtime, "a").state.balance += 1


def actors_version(log: Any, runtime: Runtime) -> None:
    live(runtime, "a").version += 1


def test_a_world_at_rest_holds_everything() -> None:
    assert run(nothing) is None


@pytest.mark.parametrize(
    ("tamper", "broken"),
    [
        (sql("UPDATE Moves__v1__moves SET times = 7 WHERE account = 'a'"), "a projection is the fold of the log"),
        (sql("DELETE FROM Moves__v1__moves WHERE account = 'b'"), "a projection is the fold of the log"),
        (in_memory, "a projection is the fold of the log"),
        (actors_state, "a state in memory is what replay gives"),
        (actors_version, "a state in memory is what replay gives"),
        (sql("INSERT INTO agenda VALUES ('Transfer', 'desk@1', 'debit', 'run', 0)"), "the agenda is empty at rest"),
        (sql("UPDATE sagas SET status = 'running'"), "the list of sagas is the log's"),
        (sql("DELETE FROM sagas"), "the list of sagas is the log's"),
    ],
)
def test_what_somebody_changed_is_found(tamper: Tampering, broken: str) -> None:
    assert invariant(run(tamper)) == broken


def test_a_saga_that_stands_is_found_unless_it_may() -> None:
    async def tell(world: World, client: SimulatedRuntime) -> None:
        await client.send(Tell("desk", "it"))

    async def excuse(world: World, client: SimulatedRuntime) -> None:
        world.may_stand(Stubborn, lambda saga: saga.reason == "it was told to")

    async def excuse_another(world: World, client: SimulatedRuntime) -> None:
        world.may_stand(Transfer)

    assert invariant(run(nothing, tell)) == "every saga ends"
    assert invariant(run(nothing, tell, excuse_another)) == "every saga ends"
    assert run(nothing, tell, excuse) is None
