"""One run of a scenario with one seed, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from zlib import crc32

import msgspec

from actorium.simulation.faults import FaultId, Faults, Kind
from actorium.simulation.history import Operation
from actorium.simulation.world import Line, Violation, World
from actorium.store.event_store import EventStore

Scenario = Callable[[World], Awaitable[None]]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of one run: the faults of the seed, or exactly `only` these; operations by name to `leave_out`.

    reorder: whether the seed picks the order of what is ready. remember: whether the occasions for faults are kept.
    """

    seed: int
    faults: Faults
    only: frozenset[FaultId] | None = None
    leave_out: frozenset[str] = frozenset()
    reorder: bool = True
    remember: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run. `violation` is None where every invariant held.

    faults: those that happened, in order. operations: what the clients did. simulated_s: how long it took by its own
    clock. commits: events in the logs at the end. occasions: family, site and occurrence of every possible fault.
    """

    wish: Wish
    violation: Violation | None
    faults: tuple[FaultId, ...]
    operations: tuple[Operation, ...]
    trace: tuple[Line, ...]
    steps: int
    simulated_s: float
    events: int
    occasions: tuple[tuple[str, str, int], ...] = ()

    @property
    def by_kind(self) -> Counter[Kind]:
        """How many faults of each kind happened."""
        return Counter(fault.kind for fault in self.faults)

    def fingerprint(self) -> int:
        """Return a checksum of the whole trace: equal for equal runs, in any process."""
        return crc32("\n".join(map(str, self.trace)).encode())


def run(scenario: Scenario, wish: Wish, *, log: Callable[[World], EventStore] | None = None) -> Outcome:
    """Run a scenario once, as wished; `log` makes the log of each runtime (by default the model, in memory)."""
    world = World(
        wish.seed,
        wish.faults,
        only=wish.only,
        leave_out=wish.leave_out,
        reorder=wish.reorder,
        remember=wish.remember,
        **({} if log is None else {"log": log}),
    )
    started_s = world.now_s
    world.run(scenario)
    return Outcome(
        wish=wish,
        violation=world.violation,
        faults=tuple(world.plan.happened),
        operations=tuple(operation for node in world.nodes for operation in node.history.operations),
        trace=tuple(world.trace),
        steps=world.machine.steps,
        simulated_s=world.now_s - started_s,
        events=sum(node.witness.position for node in world.nodes),
        occasions=tuple(world.plan.occasions or ()),
    )
