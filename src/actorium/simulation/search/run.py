"""One run of a scenario with one seed, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from zlib import crc32

import msgspec

from actorium.simulation.record.history import Operation
from actorium.simulation.record.trace import TraceLine
from actorium.simulation.record.unheard import unheard
from actorium.simulation.world.faults import CrashAt, FaultId, Faults, Kind
from actorium.simulation.world.logs import log_named
from actorium.simulation.world.machine import STEPS_MAX
from actorium.simulation.world.world import Violation, World

Scenario = Callable[[World], Awaitable[None]]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of one run: the faults of the seed, or exactly `only` these; operations by name to `leave_out`.

    goes_on: whether a task goes on after a command that is left out, with an answer that it cannot look at, instead of
    ending there. crash_at: also kill a process at a step of one of its lives. reorder: whether the seed has a say in
    the order of what happens at once. invariant: if given, no other ends the run. look_closely: read and ask again
    after everything, where else after a sample. remember: whether the occasions for faults are kept, and the marks.
    store: "memory", "sqlite" or "sqlite-normal". steps_max: how many steps it may take.
    """

    seed: int
    faults: Faults
    only: frozenset[FaultId] | None = None
    leave_out: frozenset[str] = frozenset()
    goes_on: bool = False
    crash_at: CrashAt | None = None
    reorder: bool = True
    invariant: str = ""
    look_closely: bool = False
    remember: bool = False
    store: str = "memory"
    steps_max: int = STEPS_MAX


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run. `violation` is None where every invariant held.

    faults: those that happened, in order. operations: what the clients did. simulated_s: how long it took by its own
    clock. events: in the logs at the end. occasions: family, site and occurrence of every possible fault. marks: the
    steps of a life at which something happened that others can see; those, and what a life ran until the world was at
    rest, are the places at which a crash can make a difference.
    """

    wish: Wish
    violation: Violation | None
    faults: tuple[FaultId, ...]
    operations: tuple[Operation, ...]
    trace: tuple[TraceLine, ...]
    steps: int
    simulated_s: float
    events: int
    occasions: tuple[tuple[str, str, int], ...] = ()
    marks: tuple[CrashAt, ...] = ()
    lives: tuple[CrashAt, ...] = ()

    @property
    def by_kind(self) -> Counter[Kind]:
        """How many faults of each kind happened."""
        return Counter(fault.kind for fault in self.faults)

    def fingerprint(self) -> int:
        """Return a checksum of the whole trace: equal for equal runs, in any process."""
        return crc32("\n".join(map(str, self.trace)).encode())


def run(
    scenario: Scenario, wish: Wish, *, steps_max: int | None = None, told: Callable[[TraceLine], None] | None = None
) -> Outcome:
    """Run a scenario once, as wished; one of more steps than it may have breaks the invariant that the run ends.

    steps_max: fewer steps than the wish allows. told: is called with each line of the trace when it is written.
    """
    world = World(
        wish.seed,
        wish.faults,
        only=wish.only,
        leave_out=wish.leave_out,
        goes_on=wish.goes_on,
        crash_at=wish.crash_at,
        reorder=wish.reorder,
        looks_closely=wish.look_closely,
        invariant=wish.invariant,
        remember=wish.remember,
        steps_max=wish.steps_max if steps_max is None else min(steps_max, wish.steps_max),
        told=told,
        log=log_named(wish.store),
    )
    with unheard():
        world.run(scenario)
    return Outcome(
        wish=wish,
        violation=world.violation,
        faults=tuple(world.plan.happened),
        operations=tuple(operation for node in world.nodes for operation in node.history.operations),
        trace=tuple(world.trace),
        steps=world.machine.steps,
        simulated_s=world.machine.elapsed_s,
        events=sum(node.witness.position for node in world.nodes),
        occasions=tuple(world.plan.occasions or ()),
        marks=tuple(dict.fromkeys(world.marks)),
        lives=tuple(world.ended_lives),
    )
