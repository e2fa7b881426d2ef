"""`World`: one simulated run: nodes, clients, faults and invariants around a scenario.

A run has two parts. While the scenario runs, faults happen. When it has ended, the faults stop, every stopped node is
started, and the world must come to rest: every saga ends, every projection catches up, nothing waits. Then everything
is checked once more.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import Any

from actorium.actors.commands import Command
from actorium.application import Runtime
from actorium.runtime.services.service import Service
from actorium.runtime.settings import Settings
from actorium.sagas.model.saga import Saga
from actorium.simulation.chance import Chance
from actorium.simulation.checks import Rule
from actorium.simulation.checks.services import check_services, left_to_take_in
from actorium.simulation.record.trace import NotedLine, TraceLine, TraceMark
from actorium.simulation.record.view import SagaSeen, View
from actorium.simulation.record.violation import Violation
from actorium.simulation.words import without_addresses
from actorium.simulation.world.client import SimulatedCluster, SimulatedRuntime
from actorium.simulation.world.configuration import checked, made, service_made, used_settings
from actorium.simulation.world.determinism import deterministic
from actorium.simulation.world.faults import CrashAt, FaultId, FaultPlan, Faults
from actorium.simulation.world.logs import ClusterNodeLog, MakeLog, MemoryLog
from actorium.simulation.world.loop import LeftOut, NoAnswer, ScenarioLoop, SimulatedLoop, until_left_out
from actorium.simulation.world.machine import STEPS_MAX, Endless, Machine, Stuck
from actorium.simulation.world.node import Node
from actorium.simulation.world.services.bus import SimulatedHub
from actorium.simulation.world.starting import NodeStarter
from actorium.store.errors import ConfigurationError
from actorium.store.events import Event
from actorium.user_code.lines import described

# How long the work that a scenario leaves behind may take: a deadline of a day passes within a run.
_REST_WITHIN_S = 86_400.0
_PAUSE_PART = 0.1  # share of the time a rest has taken so far: the longer it takes, the less often it is checked
_AFTERMATH_S = 120.0
# The effects of faults last a little longer: an actor whose events failed to apply rejects commands for some seconds.
_LOOKS_IN_S = 60.0
_FENCED_WITHIN_S = 30.0
_RETRIES = 3  # what parks events may move from one node to another while each is asked in turn to retry


class World:
    """The simulated world that a scenario receives, to create runtimes, send commands to them and state invariants."""

    def __init__(
        self,
        seed: int,
        faults: Faults,
        *,
        only: Iterable[FaultId] | None = None,
        leave_out: Collection[str] = (),
        goes_on: bool = False,
        reorder: bool = True,
        remember: bool = False,
        crash_at: CrashAt | None = None,
        looks_closely: bool = False,
        invariant: str = "",
        steps_max: int = STEPS_MAX,
        on_trace_line: Callable[[TraceLine], None] | None = None,
        log: MakeLog = lambda world, node: MemoryLog(),
    ) -> None:
        self.seed = seed
        self.faults = faults
        self.chance = Chance(seed)
        self.plan = FaultPlan(self.chance, faults, only=only, remember=remember)
        self.remembers = remember
        self.machine = Machine(seed, reorder=faults.reorder if reorder else 0.0, steps_max=steps_max)
        self.loop: SimulatedLoop = ScenarioLoop(self.machine)
        self.noted: list[NotedLine] = []
        self._on_trace_line = on_trace_line
        self.violation: Violation | None = None
        self.crash_at = crash_at
        self.marks: list[CrashAt] = []
        self.ended_lives: list[CrashAt] = []
        self._log = log
        self._invariant = invariant
        self._passed_over: set[str] = set()
        self._calms = 0
        self._goes_on = goes_on
        self._stack = ExitStack()
        self._starter = NodeStarter(self, self._stack, leave_out, looks_closely=looks_closely)
        self._nodes = self._starter.nodes
        self._hub = SimulatedHub(self)
        self._services: dict[str, Node] = {}
        self._is_buried = False

    # --- used by scenarios ----------------------------------------------------------------------------------------

    def runtime(
        self,
        parts: Sequence[Any] | Callable[..., Runtime],
        *,
        settings: Settings | None = None,
        name: str | None = None,
        releases: Sequence[Sequence[Any] | Callable[..., Runtime]] = (),
    ) -> SimulatedRuntime:
        """Start a process with a runtime, on an empty log of its own; return a client's connection to it.

        parts: the runtime's parts; or a function that returns the runtime, called at each start of the process with
            `store`, `settings` and `source`, which it must pass on. Reactions that send commands need a function.
        settings: if omitted, the seed chooses the limits, provided that `Faults.vary_settings` is set.
        name: the name of the node; "node1", "node2" and so on by default.
        releases: replacements for `parts`: each `Kind.DEPLOYED` moves to the next. They must accept the same commands
            and read the same events; the classes of aggregates, sagas and projections may differ.
            `SimulatedRuntime.release` is the number of the running release, counted from 0.
        """
        name = name or f"node{len(self._nodes) + 1}"
        used = used_settings(settings, self.chance, vary=self.faults.vary_settings)
        makes = [partial(made, checked(one), used, None) for one in (parts, *releases)]
        return SimulatedRuntime(self, self._starter.start(name, self._log(self, name), makes))

    def cluster(
        self,
        parts: Sequence[Any] | Callable[..., Runtime],
        *,
        nodes: int = 3,
        settings: Settings | None = None,
        name: str | None = None,
    ) -> SimulatedCluster:
        """Start the nodes of a cluster, processes on one empty log; return a client's connection to all of them.

        parts: the runtime's parts; or a function that returns the runtime, called at each start of a process with
            `store`, `settings`, `source` and `cluster`, which it must pass on.
        nodes: the number of nodes; `settings` as for `runtime`.
        name: the name of the cluster, to which the numbers of its nodes are added; "cluster1" and so on by default.
        """
        name = name or f"cluster{len(self._nodes) + 1}"
        used = used_settings(settings, self.chance, vary=self.faults.vary_settings)
        return SimulatedCluster(self, self._starter.start_cluster(name, partial(made, checked(parts), used), nodes))

    def service(
        self,
        name: str,
        parts: Sequence[Any],
        *,
        accepts: Collection[type[Command]] | Mapping[type[Command], Collection[str]] = (),
        publishes: Collection[type[Event]] = (),
        settings: Settings | None = None,
        rate_limit: float | Mapping[str, float] | None = None,
        max_in_flight: int | Mapping[str, int] = 4_096,
        nodes: int | None = None,
        process: str | None = None,
    ) -> SimulatedRuntime:
        """Start a service: a process with a log of its own, on the bus of this world.

        name: the name by which the `RemoteService` parts of other services know it.
        parts, settings: as for `runtime`; each RemoteService among the parts must belong to this service alone.
        accepts, publishes, rate_limit, max_in_flight: as for `Service`; `nodes`: how many, if it is a cluster.
        process: the name of the process, if it is not that of the service, as for a second log under one name.
        """
        used = used_settings(settings, self.chance, vary=self.faults.vary_settings)
        offer = partial(Service, name, accepts=accepts, publishes=publishes, rate_limit=rate_limit)
        offer, process = partial(offer, max_in_flight=max_in_flight), process or name
        make = partial(service_made, checked(parts), used, self._hub, process, offer)
        if nodes is None:
            node = self._starter.start(process, self._log(self, process), [partial(make, None)])
            client = SimulatedRuntime(self, node, self._services)
        else:
            client = SimulatedCluster(self, self._starter.start_cluster(process, make, nodes), self._services)
        self._services.setdefault(name, client.node)
        return client

    def always(self, name: str, holds: Callable[[View], object], *, of: SimulatedRuntime | None = None) -> None:
        """State a condition on the durable state that holds after every commit."""
        self._node(of).checks.rules.add(Rule("always", name, holds))

    def conserved(self, name: str, value: Callable[[View], object], *, of: SimulatedRuntime | None = None) -> None:
        """State a value that is the same whenever the world is at rest: now (or after `calm`), and at the end."""
        self._node(of).checks.rules.add(Rule("conserved", name, value))

    def eventually(
        self,
        name: str,
        holds: Callable[[View], object],
        *,
        within_s: float = _REST_WITHIN_S,
        of: SimulatedRuntime | None = None,
    ) -> None:
        """State a condition that holds within `within_s` seconds of simulated time after the faults stop, and from then
        on.
        """
        if within_s < 0:
            raise ConfigurationError(f"{name!r} cannot hold within {within_s} s: give a number of seconds, 0 or more")
        self._node(of).checks.rules.add(Rule("eventually", name, holds, within_s))

    def allow_stuck(
        self,
        saga: type[Saga] | None = None,
        when: Callable[[SagaSeen], object] = lambda saga: True,
        *,
        of: SimulatedRuntime | None = None,
    ) -> None:
        """Allow sagas to be stuck at the end: those of one class, or all, for which `when` returns true.

        `when` is called with the saga as `View.sagas` returns it. All other sagas must end as completed or undone.
        """
        wanted = None if saga is None else saga.__definition__.saga_type

        def may(found: SagaSeen) -> bool:
            return wanted in (None, found.type) and bool(when(found))

        self._node(of).checks.resting.allowed.append(may)

    @asynccontextmanager
    async def calm(self) -> AsyncIterator[None]:
        """Suspend faults inside the block, for example during setup; when the block ends, the world comes to rest."""
        self._calms += 1
        try:
            with self.plan.spared():
                yield
                await self.rest()
                for node in self._nodes:
                    node.checks.rules.calmed()
        finally:
            self._calms -= 1

    def choose(self, what: str, options: int) -> int:
        """Return a number from 0 to `options` - 1, drawn from the seed under the given name."""
        if options < 1:
            raise ConfigurationError(f"choose({what!r}) needs at least one option, not {options}")
        return self.chance.bits(f"choice {what}", 0) % options

    async def rest(self, within_s: float = _REST_WITHIN_S) -> None:
        """Wait until no work is in progress; work that remains after `within_s` of simulated time is a violation."""
        start_s, pause_s = self.machine.now_s, 0.01
        end_s = start_s + within_s
        while busy := await self._busy(end_s):
            if self.machine.now_s > end_s:
                self.violated("the world comes to rest", "nothing left to do", "; ".join(busy))
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 2.0 + (self.machine.now_s - start_s) * _PAUSE_PART)

    async def _busy(self, until_s: float) -> list[str]:
        busy = [why for node in self._nodes if (why := await node.busy(until_s))]
        return busy or left_to_take_in(self._hub.streams, self._nodes)

    @property
    def now_s(self) -> float:
        """The world's clock, in seconds."""
        return self.machine.now_s

    # --- used by the parts of the world ---------------------------------------------------------------------------

    def note(self, text: str | Callable[[], str], mark: TraceMark, who: str = "", about: tuple[str, ...] = ()) -> None:
        """Write a line of the trace; `text` may be a function that returns it later."""
        if not self._is_buried:
            noted = NotedLine(self.machine.elapsed_s, self.machine.steps, text, mark, who, about)
            self.noted.append(noted)
            if self._on_trace_line is not None:
                self._on_trace_line(noted.line)

    def note_fault(self, fault: FaultId, who: str = "") -> None:
        """Write a line of the trace for a fault that happens now."""
        text = f"{who} fault: {fault}" if who else f"fault: {fault}"
        self.note(text, TraceMark.FAULT, who, (fault.site.partition(" ")[2],))

    def leave_out(self, what: str, to: str) -> NoAnswer:
        """Return a placeholder for the answer to a command that is not sent, or raise LeftOut, as requested."""
        self.note(f"{what}: left out", TraceMark.LEFT_OUT, what, (to,))
        if not self._goes_on:
            raise LeftOut(what)
        return NoAnswer(what)

    def violated(
        self, invariant: str, expected: object, actual: object, *, culprit: str = "", is_stated: bool = False
    ) -> None:
        """Record that an invariant does not hold; the run ends with the first one that counts."""
        if self.violation is None and not self._is_buried:
            if self._invariant and invariant != self._invariant:
                if invariant not in self._passed_over:
                    self._passed_over.add(invariant)
                    self.note(f"{invariant}: does not hold either; ignored", TraceMark.PASSED_OVER)
                return
            at = self.machine.elapsed_s, self.machine.steps
            wanted, found = without_addresses(expected), without_addresses(actual)
            self.violation = Violation(invariant, wanted, found, *at, culprit=culprit, is_stated=is_stated)
            self.note(f"VIOLATED {self.violation}", TraceMark.VIOLATED)
            self.machine.is_over = True

    @property
    def is_calm(self) -> bool:
        """Whether the scenario has switched faults off, for example during setup."""
        return self._calms > 0

    @property
    def nodes(self) -> Sequence[Node]:
        """The processes of the world."""
        return self._nodes

    def _node(self, of: SimulatedRuntime | None) -> Node:
        if of is not None:
            return of.node
        if not self._nodes:
            raise ConfigurationError("an invariant needs a runtime: call world.runtime([…]) first")
        return self._nodes[0]

    # --- the run --------------------------------------------------------------------------------------------------

    def run(self, scenario: Callable[[World], Any]) -> None:
        """Run a scenario to its end, or to the first violation."""
        with deterministic(), self._stack:
            task = self.loop.create_task(self._story(scenario), name="scenario")
            task.add_done_callback(self._ended)
            try:
                self.machine.run()
            except (Stuck, Endless) as stuck:
                self._look_at_tasks()
                self.violated("the run ends", "an end", f"{stuck}{self._starter.waiting_places()}", is_stated=True)
            except SystemExit as end:
                self.violated("the scenario completes", "no error", described(end), is_stated=True)
            finally:
                self._dispose()

    def _look_at_tasks(self) -> None:
        """Fail the run if a task of the scenario failed and nothing awaited it."""
        for error in self.loop.unseen_errors():
            what = error if isinstance(error, str) else described(error)
            self.violated("no task of the scenario fails unnoticed", "none", what, is_stated=True)

    def _ended(self, story: asyncio.Task[None]) -> None:
        self.machine.is_over = True
        if not story.cancelled() and (error := story.exception()) is not None:
            self.violated("the scenario completes", "no error", described(error), is_stated=True)

    async def _story(self, scenario: Callable[[World], Any]) -> None:
        await until_left_out(scenario(self))
        if not self._nodes:
            raise ConfigurationError("the scenario creates no runtime: call world.runtime([…])")
        self.note("the scenario has ended", TraceMark.ENDED)
        await self._finish_under_faults()
        self._look_at_tasks()
        self.note("the faults stop", TraceMark.CALM)
        self.plan.is_active = False
        self.machine.in_order()
        if any(isinstance(node.log, ClusterNodeLog) for node in self._nodes):
            await asyncio.sleep(_FENCED_WITHIN_S)  # a slow renewal that has begun may still cost a node its lease
        stopped_s = self.machine.now_s
        for node in self._nodes:
            node.set_clock()
            await node.retry_stuck()
        for node in self._nodes:
            await self._await_eventual_rules(node, stopped_s)
        await self.rest()
        for _ in range(_RETRIES):
            if not await self._retry_stuck():
                break
            await self.rest()
        lives = [life for node in self._nodes for life in node.lives]
        self.ended_lives = [CrashAt(life.node.name, life.number, life.loop.steps) for life in lives]
        for node in self._nodes:
            await node.checks.at_rest(node.call)
        check_services(self._hub.streams, self._nodes, self.violated)
        self._look_at_tasks()
        for node in self._nodes:
            await node.stop()

    async def _await_eventual_rules(self, node: Node, since_s: float) -> None:
        """Wait until every `eventually` rule holds, each until its deadline; retry what is stuck once meanwhile."""
        pause_s, looks_in_s = 0.01, since_s + _LOOKS_IN_S
        while (unmet := node.checks.rules.unmet(self.machine.now_s - since_s)) is not None:
            if self.machine.now_s >= looks_in_s:
                looks_in_s = math.inf
                await self._retry_stuck()
            await asyncio.sleep(min(pause_s, since_s + unmet[1] - self.machine.now_s))
            pause_s = min(2 * pause_s, 2.0 + (self.machine.now_s - since_s) * _PAUSE_PART)

    async def _retry_stuck(self) -> bool:
        """Retry what failed because of the faults after they stopped; return whether there was anything."""
        stuck = [node for node in self._nodes if node.is_stuck]
        for node in stuck:
            await node.retry_stuck()
        return bool(stuck)

    async def _finish_under_faults(self) -> None:
        """Let faults happen for a while as long as work is left: most steps of sagas run after the clients' part."""
        end_s, pause_s = self.machine.now_s + _AFTERMATH_S, 0.01
        while self.machine.now_s < end_s and await self._busy(end_s):
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 2.0)

    def _dispose(self) -> None:
        self._is_buried = True
        for node in self._nodes:
            for life in node.lives:
                life.loop.dispose()
            node.log.dispose()
        self.loop.dispose()
        self.machine.clear()
