"""One run of a scenario with one seed, and its outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from zlib import crc32

import msgspec

from actorium.simulation.record.history import Operation
from actorium.simulation.record.muted import muted
from actorium.simulation.record.trace import NotedLine, TraceLine
from actorium.simulation.record.violation import Violation
from actorium.simulation.world.faults import CrashAt, FaultId, Faults, Kind
from actorium.simulation.world.logs import log_named
from actorium.simulation.world.machine import STEPS_MAX
from actorium.simulation.world.world import World

Scenario = Callable[[World], Awaitable[None]]


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one run.

    seed: determines the run.
    faults: how often faults happen.
    only: if given, exactly these faults happen.
    leave_out: the operations, by name, that are not sent.
    goes_on: whether a task continues after a command that is left out, with an answer that it cannot use; otherwise the
        task ends there.
    crash_at: also kill a process at a step of one of its lives.
    reorder: whether the seed affects the order of simultaneous events.
    invariant: if given, no other invariant ends the run.
    look_closely: read and repeat requests after everything, not just after a sample.
    remember: whether to keep the occasions for faults, and the marks.
    store: "memory", "sqlite" or "sqlite-normal".
    steps_max: the number of steps the run may take.
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
    """The outcome of one run. `violation` is None if every invariant held.

    faults: the faults that happened, in order.
    operations: the clients' operations.
    simulated_s: the duration of the run on its own clock.
    noted: the lines of its trace, unread.
    events: the number of events in the logs at the end.
    occasions: family, site and occurrence number of every possible fault.
    marks: the steps of a life at which something visible from outside happened. A crash can make a difference at these
        steps and in a life that ran until the world was at rest.
    """

    options: RunOptions
    violation: Violation | None
    faults: tuple[FaultId, ...]
    operations: tuple[Operation, ...]
    noted: tuple[NotedLine, ...]
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

    @property
    def trace(self) -> tuple[TraceLine, ...]:
        """The lines of its trace."""
        return tuple(noted.line for noted in self.noted)

    def fingerprint(self) -> int:
        """Return a checksum of the whole trace: equal for equal runs, in any process."""
        return crc32("\n".join(map(str, self.trace)).encode())


def run(
    scenario: Scenario,
    options: RunOptions,
    *,
    steps_max: int | None = None,
    on_trace_line: Callable[[TraceLine], None] | None = None,
) -> Outcome:
    """Run a scenario once; a run that takes too many steps breaks the invariant "the run ends".

    steps_max: a step limit below that of the options.
    on_trace_line: called with each line of the trace as it is written.
    """
    world = World(
        options.seed,
        options.faults,
        only=options.only,
        leave_out=options.leave_out,
        goes_on=options.goes_on,
        crash_at=options.crash_at,
        reorder=options.reorder,
        looks_closely=options.look_closely,
        invariant=options.invariant,
        remember=options.remember,
        steps_max=options.steps_max if steps_max is None else min(steps_max, options.steps_max),
        on_trace_line=on_trace_line,
        log=log_named(options.store),
    )
    with muted():
        world.run(scenario)
    return Outcome(
        options=options,
        violation=world.violation,
        faults=tuple(world.plan.happened),
        operations=tuple(operation for node in world.nodes for operation in node.history.operations),
        noted=tuple(world.noted),
        steps=world.machine.steps,
        simulated_s=world.machine.elapsed_s,
        events=sum(node.witness.position for node in world.nodes),
        occasions=tuple(world.plan.occasions or ()),
        marks=tuple(dict.fromkeys(world.marks)),
        lives=tuple(world.ended_lives),
    )
